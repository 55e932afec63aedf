//! Brokers, `robust-bench`, and what /proc says of them.

use std::process::Command;

use robustmq_e2e::{Broker, Launch, binary};
use serde_json::Value;

/// Cores of the broker and of whoever loads it.
const CORES: [&str; 2] = ["0", "1"];

pub(crate) fn start(sets: &[&str]) -> Broker {
    let launch = Launch {
        // Not longer than this program, however that ends.
        wrapper: ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", CORES[0]]
            .map(str::to_owned)
            .to_vec(),
        ..Launch::default()
    };
    let sets: Vec<&str> = ["log.level=warn"].iter().chain(sets).copied().collect();
    Broker::start_in(launch, &sets)
}

/// Runs `robust-bench`; the parts of what it says.
pub(crate) fn bench(broker: &Broker, arguments: &str) -> Result<Value, String> {
    let address = broker.address();
    let output = Command::new("taskset")
        .args(["-c", CORES[1]])
        .arg(binary("robust-bench"))
        .args(arguments.split_whitespace())
        .args(["--json", "--patience", "30s"])
        .args(["--host", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .args(["--broker-pid", &broker.pid().to_string()])
        .output()
        .map_err(|error| format!("robust-bench: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let document: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    Ok(document["parts"].clone())
}

/// The broker's processor seconds per million messages of a part.
pub(crate) fn processor_s(part: &Value) -> Result<f64, String> {
    part["broker"]["processor_s_per_million"]
        .as_f64()
        .ok_or_else(|| format!("robust-bench does not say what the broker used: {part}"))
}

/// Bytes that the broker has had the system write to disks.
pub(crate) fn written_bytes(broker: &Broker) -> Result<u64, String> {
    let path = format!("/proc/{}/io", broker.pid());
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|count| count.parse().ok())
        .ok_or_else(|| format!("{path} has no write_bytes"))
}
