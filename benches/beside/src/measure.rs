//! Runs of `robust-bench`, and the medians of what they say.

use std::process::Command;

use serde_json::Value;

use crate::brokers::{Running, pin};
use crate::rows::{Figure, Row};

/// What the figures of a row were in one round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    /// The broker's processor seconds per million messages, and its memory.
    pub(crate) processor_s_per_million: Option<f64>,
    pub(crate) resident_peak: Option<f64>,
    /// How much of its core the generator used.
    pub(crate) generator_share: f64,
    /// Messages lost, refused, received twice and received late.
    pub(crate) faults: [f64; 4],
}

/// What [`Sample::faults`] counts.
pub(crate) const FAULTS: [&str; 4] = ["lost", "refused", "duplicates", "order_violations"];

/// The command line of a row, without where the broker is.
pub(crate) fn arguments(row: &Row, seconds: u32) -> String {
    match row.is_timed {
        true => format!("{} --duration {seconds}s", row.arguments),
        false => row.arguments.to_owned(),
    }
}

/// Runs a row once; one sample per figure.
pub(crate) fn measure(
    row: &Row,
    seconds: u32,
    broker: &Running,
    core: usize,
) -> Result<Vec<Sample>, String> {
    let mut words = pin(core).into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command.arg(robustmq_e2e::binary("robust-bench"));
    command.args(arguments(row, seconds).split_whitespace());
    let address = broker.address();
    command
        .arg("--json")
        .args(["--host", &address.ip().to_string()]);
    command.args(["--port", &address.port().to_string()]);
    if let Some(pid) = broker.pid() {
        command.args(["--broker-pid", &pid.to_string()]);
    }
    let output = command
        .output()
        .map_err(|error| format!("setpriv: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let document: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let samples = row.figures.iter().map(|figure| sample(&document, figure));
    samples
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| format!("robust-bench does not say all of it: {document}"))
}

fn sample(document: &Value, figure: &Figure) -> Option<Sample> {
    let part = &document["parts"][figure.part];
    Some(Sample {
        value: figure.kind.read(part).or_else(|| unknown(figure, part))?,
        processor_s_per_million: part["broker"]["processor_s_per_million"].as_f64(),
        resident_peak: part["broker"]["resident_bytes_peak"].as_f64(),
        generator_share: part["generator"]["processor_share"].as_f64()?,
        faults: FAULTS.map(|fault| part[fault].as_f64().unwrap_or(f64::NAN)),
    })
}

/// The memory of a broker whose process is not known is not measured.
fn unknown(figure: &Figure, part: &Value) -> Option<f64> {
    let is_memory = figure.kind == crate::rows::Kind::BytesPerConnection;
    (is_memory && part["broker"].is_null()).then_some(f64::NAN)
}

/// The middle one; the mean of the two in the middle of an even number.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let high = *values.get(values.len() / 2)?;
    let low = *values.get((values.len() - 1) / 2)?;
    Some((low + high) / 2.0)
}

#[cfg(test)]
mod tests;
