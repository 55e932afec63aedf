//! Runs of the broker under valgrind, and the instructions that they took.

use std::process::Command;

use robustmq_e2e::{Broker, Launch, binary};
use serde_json::Value;

/// One load.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Arguments of `robust-bench`.
    arguments: &'static str,
    /// What the instructions are divided by.
    per: &'static [(&'static str, &'static str)],
}

const RECEIVED: &[(&str, &str)] = &[("run", "received")];

/// Windows are small and messages few: valgrind makes a broker some thirty
/// times slower.
pub(crate) const ROWS: [Row; 6] = [
    Row {
        name: "qos0",
        arguments: "fan-in --qos 0 --messages 60000",
        per: RECEIVED,
    },
    Row {
        name: "qos1",
        arguments: "fan-in --qos 1 --messages 40000",
        per: RECEIVED,
    },
    Row {
        name: "qos2",
        arguments: "fan-in --qos 2 --messages 10000",
        per: RECEIVED,
    },
    Row {
        name: "fan-out",
        arguments: "fan-out --qos 0 --messages 2000",
        per: RECEIVED,
    },
    Row {
        name: "offline",
        arguments: "offline --qos 1 --messages 20000",
        per: &[("drain", "received")],
    },
    Row {
        name: "connect",
        arguments: "connect --connections 1000",
        per: &[("connect", "connections")],
    },
];

/// Fails where there is no valgrind, with what to do.
pub(crate) fn check_valgrind() -> Result<(), String> {
    let found = Command::new("valgrind").arg("--version").output();
    match found {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("valgrind is missing: run `scripts/bootstrap guard`, or install it".to_owned()),
    }
}

/// Instructions of a broker that starts and stops.
pub(crate) fn idle() -> Result<u64, String> {
    let broker = start();
    finish(broker)
}

/// Instructions of the broker for each message of a row.
pub(crate) fn per_message(row: &Row, idle: u64) -> Result<u64, String> {
    let broker = start();
    let address = broker.address();
    let output = Command::new(binary("robust-bench"))
        .args(row.arguments.split_whitespace())
        .args(["--json", "--patience", "60s", "--warmup", "0s"])
        .args(["--host", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .output()
        .map_err(|error| format!("robust-bench: {error}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}", row.name, why.trim()));
    }
    let document: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let instructions = finish(broker)?;
    let counts = row
        .per
        .iter()
        .map(|(part, field)| document["parts"][part][field].as_u64());
    let count = counts
        .sum::<Option<u64>>()
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("{}: robust-bench counts nothing: {document}", row.name))?;
    Ok(instructions.saturating_sub(idle) / count)
}

fn start() -> Broker {
    let launch = Launch {
        wrapper: [
            "valgrind",
            "--tool=callgrind",
            // Threads take turns evenly, so that runs are alike.
            "--fair-sched=try",
            "--callgrind-out-file={}/counts",
            "--log-file={}/valgrind.log",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..Launch::default()
    };
    Broker::start_in(launch, &["log.level=warn"])
}

/// Stops it; all that it has executed.
fn finish(mut broker: Broker) -> Result<u64, String> {
    let file = broker.data().with_file_name("counts");
    broker.stop();
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("valgrind has written no counts: {error}"))?;
    total(&text).ok_or_else(|| "valgrind's counts have no total".to_owned())
}

/// The sum of callgrind's file.
fn total(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests;
