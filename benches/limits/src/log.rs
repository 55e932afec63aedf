//! The log: how long a broker takes to start again, and what it writes.

use std::time::{Duration, Instant};

use robustmq_e2e::Broker;

use crate::Scale;
use crate::load::{bench, start, written_bytes};
use crate::report::{Line, grouped};

/// Payloads that fill a batch each.
const PAYLOAD_BYTES: u64 = 64 << 10;

/// Kills at each size.
const ROUNDS: usize = 3;

fn fill(broker: &Broker, bytes: u64) -> Result<(), String> {
    let messages = bytes / PAYLOAD_BYTES;
    let arguments = format!(
        "fan-in --qos 1 --publishers 4 --subscribers 0 --topics 50 --payload {PAYLOAD_BYTES} --messages {messages} --warmup 0s"
    );
    let parts = bench(broker, &arguments)?;
    match parts["run"]["acknowledged"].as_u64() {
        Some(acknowledged) if acknowledged == messages => Ok(()),
        other => Err(format!(
            "{other:?} of {messages} messages were acknowledged"
        )),
    }
}

/// From the start of the process until it serves, after a kill under load.
pub(crate) fn restart(scale: Scale) -> Result<Vec<Line>, String> {
    let mut broker = start(&[
        "storage.retention_time=unlimited",
        "storage.compression=none",
    ]);
    let mut lines = Vec::new();
    let mut filled = 0;
    for size in [1 << 30, 10 << 30].map(|bytes| scale.of(bytes)) {
        fill(&broker, size - filled)?;
        filled = size;
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..ROUNDS {
            // Something that no checkpoint knows of.
            fill(&broker, scale.of(64 << 20))?;
            broker.kill();
            let since = Instant::now();
            broker.restart();
            times.push(since.elapsed());
        }
        times.sort();
        let what = format!("start after kill -9, {} MiB of log", grouped(size >> 20));
        let figure = format!(
            "{:.2} s (of {ROUNDS}: {:.2} to {:.2})",
            times[ROUNDS / 2].as_secs_f64(),
            times[0].as_secs_f64(),
            times[ROUNDS - 1].as_secs_f64()
        );
        lines.push(Line::new(what, figure).target("≤ 2 s, the same for any size"));
    }
    Ok(lines)
}

/// What is written for what is published.
pub(crate) fn amplification(scale: Scale) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    let bytes = scale.of(4 << 30).max(512 << 20);
    for (segments, what) in [("64MB", "64 MiB"), ("1GB", "1 GiB")] {
        let set = format!("storage.segment_size={segments}");
        let broker = start(&["storage.compression=none", &set]);
        let log_before = log_bytes(&broker)?;
        let before = written_bytes(&broker)?;
        fill(&broker, bytes)?;
        let written = written_bytes(&broker)? - before;
        let log = log_bytes(&broker)?.saturating_sub(log_before);
        let ratio = |of: u64| of as f64 / bytes as f64;
        let title = format!(
            "bytes given to the disk for each byte published, {} MiB in batches of 64 KiB, segments of {what}",
            grouped(bytes >> 20)
        );
        let figure = format!(
            "{:.2}, of it zeros before the data {:.2}; log and indexes kept {:.2}",
            ratio(written),
            (ratio(written) - 1.0).max(0.0),
            ratio(log)
        );
        lines.push(Line::new(title, figure).target("≤ 1.15"));
    }
    Ok(lines)
}

/// What the files of the data directory take.
fn log_bytes(broker: &Broker) -> Result<u64, String> {
    let folder = broker.data().join("log");
    let entries = std::fs::read_dir(&folder).map_err(|error| error.to_string())?;
    let sizes = entries.map(|entry| entry.and_then(|entry| entry.metadata()).map(|of| of.len()));
    // Files come and go meanwhile.
    Ok(sizes.filter_map(Result::ok).sum())
}
