//! Runs of `robust-bench` against one node and against three, by turns.

use std::process::Command;

use robustmq_e2e::{Cluster, binary};
use serde_json::Value;

use crate::document::Row;

/// What is measured of a run of the generator.
struct Figure {
    title: &'static str,
    arguments: &'static str,
    read: fn(&Value) -> Option<f64>,
}

fn per_s(part: &Value) -> Option<f64> {
    Some(part["published_per_s"].as_f64()? / 1e3)
}

fn p50(part: &Value) -> Option<f64> {
    Some(part["acknowledgement_us"]["p50"].as_f64()? / 1e3)
}

fn p99(part: &Value) -> Option<f64> {
    Some(part["acknowledgement_us"]["p99"].as_f64()? / 1e3)
}

const THROUGHPUT: &str = "fan-in --qos 1 --publishers 8";
const LOW_LOAD: &str = "fan-in --qos 1 --publishers 1 --rate 1000";

const FIGURES: [Figure; 4] = [
    Figure {
        title: "8 → 1, QoS 1, 64 B, thousand/s",
        arguments: THROUGHPUT,
        read: per_s,
    },
    Figure {
        title: "its PUBACK, p50, ms",
        arguments: THROUGHPUT,
        read: p50,
    },
    Figure {
        title: "PUBACK at 1 000 messages a second, p50, ms",
        arguments: LOW_LOAD,
        read: p50,
    },
    Figure {
        title: "the same, p99, ms",
        arguments: LOW_LOAD,
        read: p99,
    },
];

/// Nodes of one cluster; one is a broker as it starts by default.
pub(crate) fn nodes(count: usize) -> Cluster {
    if count == 1 {
        Cluster::alone(&[])
    } else {
        Cluster::start(count, &[])
    }
}

/// Medians of all figures.
pub(crate) fn beside(seconds: u32, rounds: u32) -> Result<Vec<Row>, String> {
    let mut samples = vec![[Vec::new(), Vec::new()]; FIGURES.len()];
    for round in 1..=rounds {
        for (side, count) in [1, 3].into_iter().enumerate() {
            eprintln!("round {round} of {rounds}: {count} node(s)");
            for arguments in [THROUGHPUT, LOW_LOAD] {
                let cluster = nodes(count);
                let part = generate(&cluster, &format!("{arguments} --duration {seconds}s"))?;
                for (figure, samples) in FIGURES.iter().zip(&mut samples) {
                    if figure.arguments == arguments {
                        samples[side].extend((figure.read)(&part));
                    }
                }
            }
        }
    }
    let rows = FIGURES.iter().zip(samples);
    let rows = rows.map(|(figure, [one, three])| Row {
        title: figure.title.to_owned(),
        one: median(one),
        three: median(three),
    });
    Ok(rows.collect())
}

/// Stores messages of 1 KiB.
pub(crate) fn store(cluster: &Cluster, messages: u32) -> Result<(), String> {
    let arguments = format!("offline --qos 1 --payload 1024 --messages {messages}");
    generate(cluster, &arguments).map(|_| ())
}

fn generate(cluster: &Cluster, arguments: &str) -> Result<Value, String> {
    let address = cluster.node(0).address();
    let mut command = Command::new(binary("robust-bench"));
    command.args(arguments.split_whitespace()).arg("--json");
    command.args(["--host", &address.ip().to_string()]);
    command.args(["--port", &address.port().to_string()]);
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let said: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    Ok(said["parts"]["run"].clone())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
