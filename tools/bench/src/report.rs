//! Outcomes as JSON, and as a table for people.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::{Map, Value, json};

use crate::histogram::Histogram;
use crate::options::Options;
use crate::run::Outcome;

const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)];

/// Everything, for programs. Times of a message in microseconds.
pub(crate) fn document(options: &Options, outcomes: &[Outcome]) -> Value {
    let parts = outcomes.iter().map(|outcome| {
        let name = outcome.name.to_owned();
        (name, part(outcome))
    });
    json!({
        "scenario": options.scenario.name(),
        "version": env!("CARGO_PKG_VERSION"),
        "command": std::env::args().collect::<Vec<_>>().join(" "),
        "qos": options.load.qos() as u8,
        "payload_bytes": options.load.payload,
        "parts": Value::Object(parts.collect::<Map<_, _>>()),
    })
}

fn part(outcome: &Outcome) -> Value {
    let tally = &outcome.tally;
    json!({
        "seconds": round(outcome.seconds, 3),
        "published_per_s": round(outcome.published_per_s, 0),
        "received_per_s": round(outcome.received_per_s, 0),
        "delivered_per_s": round(outcome.delivered_per_s, 0),
        "opened_per_s": round(outcome.opened_per_s, 0),
        "sent": tally.sent,
        "acknowledged": tally.acknowledged,
        "refused": tally.refused,
        "expected": outcome.expected,
        "received": tally.received,
        "lost": outcome.lost(),
        "duplicates": tally.duplicates,
        "order_violations": tally.disordered,
        "foreign": tally.foreign,
        "connections": tally.opened,
        "connections_broken": tally.broken,
        "first_error": tally.first_error,
        "window_granted": tally.window_granted,
        "latency_us": percentiles(&tally.latency),
        "acknowledgement_us": percentiles(&tally.acknowledgement),
        "opening_us": percentiles(&tally.opening),
        "generator": {
            "processor_share": round(outcome.own_share(), 3),
            "processor_s_per_million": round(outcome.per_million(outcome.own_processor_s), 3),
        },
        "broker": outcome.broker.map(|broker| json!({
            "processor_s": round(broker.processor_s, 2),
            "processor_s_per_million": round(outcome.per_million(broker.processor_s), 3),
            "resident_bytes_before": broker.resident_before,
            "resident_bytes_after": broker.resident_after,
            "resident_bytes_peak": broker.resident_peak,
        })),
    })
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

fn percentiles(histogram: &Histogram) -> Value {
    if histogram.count() == 0 {
        return Value::Null;
    }
    let us = |ns: u64| json!(round(ns as f64 / 1e3, 1));
    let mut found: Map<_, _> = SHARES
        .iter()
        .map(|(name, share)| ((*name).to_owned(), us(histogram.percentile(*share))))
        .collect();
    found.insert("max".to_owned(), us(histogram.max()));
    found.insert("count".to_owned(), json!(histogram.count()));
    Value::Object(found)
}

impl Outcome {
    pub(crate) fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.tally.distinct)
    }

    /// How much of one processor this program has used.
    fn own_share(&self) -> f64 {
        self.own_processor_s / self.own_seconds
    }

    /// Seconds per million messages that arrived, or were published if nobody
    /// listens, or connections if there are no messages.
    fn per_million(&self, seconds: f64) -> f64 {
        let tally = &self.tally;
        let of = [tally.received, tally.sent, tally.opened];
        let of = of.into_iter().find(|count| *count > 0).unwrap_or(1);
        seconds / (of as f64 / 1e6)
    }
}

/// What people read.
pub(crate) fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for outcome in outcomes {
        for (place, (name, value)) in lines(outcome).into_iter().enumerate() {
            if rows.len() <= place {
                rows.push(vec![name.to_owned()]);
            }
            rows[place].push(value);
        }
    }
    let names = outcomes.iter().map(|outcome| outcome.name.to_owned());
    table.set_header(std::iter::once(String::new()).chain(names));
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The same lines for every outcome.
fn lines(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let tally = &outcome.tally;
    let mut lines = vec![
        ("seconds", format!("{:.2}", outcome.seconds)),
        ("published/s", whole(outcome.published_per_s)),
        ("received/s", whole(outcome.received_per_s)),
        (
            "delivered/s, queues emptied",
            whole(outcome.delivered_per_s),
        ),
        ("connections/s", whole(outcome.opened_per_s)),
        ("sent", tally.sent.to_string()),
        ("acknowledged", tally.acknowledged.to_string()),
        ("received", tally.received.to_string()),
        ("lost", outcome.lost().to_string()),
        ("duplicates", tally.duplicates.to_string()),
        ("order violations", tally.disordered.to_string()),
        (
            "refused / foreign",
            format!("{} / {}", tally.refused, tally.foreign),
        ),
        ("broken connections", tally.broken.to_string()),
    ];
    let times = [
        ("latency p50 p90 p99 p99.9 max", &tally.latency),
        ("acknowledgement, the same", &tally.acknowledgement),
        ("opening, the same", &tally.opening),
    ];
    lines.extend(times.map(|(name, histogram)| (name, times_of(histogram))));
    lines.push((
        "generator: share of a core, s per million",
        format!(
            "{:.0} %, {:.2}",
            outcome.own_share() * 100.0,
            outcome.per_million(outcome.own_processor_s)
        ),
    ));
    let broker = outcome.broker.map_or_else(
        || "–".to_owned(),
        |broker| {
            format!(
                "{:.2}, {:.1}",
                outcome.per_million(broker.processor_s),
                broker.resident_peak as f64 / f64::from(1 << 20)
            )
        },
    );
    lines.push(("broker: s per million, MiB at most", broker));
    lines
}

fn whole(value: f64) -> String {
    if value == 0.0 {
        return "–".to_owned();
    }
    format!("{value:.0}")
}

fn times_of(histogram: &Histogram) -> String {
    if histogram.count() == 0 {
        return "–".to_owned();
    }
    let found = SHARES.iter().map(|(_, share)| histogram.percentile(*share));
    let all = found.chain([histogram.max()]);
    let texts = all.map(|ns| match ns {
        0..1_000_000 => format!("{:.2}", ns as f64 / 1e6),
        1_000_000..100_000_000 => format!("{:.1}", ns as f64 / 1e6),
        _ => format!("{:.0}", ns as f64 / 1e6),
    });
    format!("{} ms", texts.collect::<Vec<_>>().join(" "))
}
