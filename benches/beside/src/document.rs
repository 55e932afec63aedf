//! The section of docs/benchmarks.md, between its markers.

use std::fmt::Write;

use crate::brokers::{Kind, MOSQUITTO_CONFIGURATION};
use crate::measure::{FAULTS, Sample, arguments, median};
use crate::rows::{self, Row};

const BEGIN: &str = "<!-- begin: written by `make bench` -->";
const END: &str = "<!-- end: written by `make bench` -->";

/// What was measured of one figure.
pub(crate) struct Measured {
    pub(crate) row: Row,
    /// Place among the figures of the row.
    pub(crate) figure: usize,
    /// By broker, by round.
    pub(crate) samples: Vec<Vec<Sample>>,
}

impl Measured {
    fn median(&self, broker: usize, value: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.samples.get(broker)?.iter().map(value))
    }

    fn value(&self, broker: usize) -> Option<f64> {
        self.median(broker, |sample| sample.value)
    }

    /// How much better the first broker is than another; above 1 is better.
    fn ratio(&self, other: usize) -> Option<f64> {
        let (ours, theirs) = (self.value(0)?, self.value(other)?);
        let ratio = match self.row.figures[self.figure].kind.more_is_better() {
            true => ours / theirs,
            false => theirs / ours,
        };
        ratio.is_finite().then_some(ratio)
    }
}

/// How it was measured.
pub(crate) struct Circumstances<'a> {
    pub(crate) brokers: &'a [Kind],
    pub(crate) machine: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
    pub(crate) cores: [usize; 2],
}

pub(crate) fn section(measured: &[Measured], how: &Circumstances<'_>) -> String {
    let mut text = format!(
        "Medians of {} alternating rounds on {}; the broker on core {}, the generator on core {}; a broker is\n\
         started anew for every run. Ratios above 1 are in favour of this broker.\n\n",
        how.rounds, how.machine, how.cores[0], how.cores[1],
    );
    for broker in how.brokers {
        let _ = writeln!(
            text,
            "- **{}**, {}: {}.",
            broker.name(),
            broker.version(),
            broker.durability()
        );
    }
    figures(&mut text, measured, how.brokers);
    costs(&mut text, measured, how.brokers);
    commands(&mut text, measured, how);
    text
}

fn header(text: &mut String, columns: impl Iterator<Item = String>) {
    let columns: Vec<String> = columns.collect();
    let _ = writeln!(text, "\n| {} |", columns.join(" | "));
    let _ = writeln!(text, "|{}", " --- |".repeat(columns.len()));
}

fn figures(text: &mut String, measured: &[Measured], brokers: &[Kind]) {
    let names = brokers.iter().map(|broker| broker.name().to_owned());
    let ratios = brokers
        .iter()
        .skip(1)
        .map(|broker| format!("× {}", broker.name()));
    let first = ["what", "unit"].map(str::to_owned);
    header(text, first.into_iter().chain(names).chain(ratios));
    for measured in measured {
        let figure = &measured.row.figures[measured.figure];
        let mut cells = vec![figure.title.to_owned(), figure.kind.unit().to_owned()];
        for broker in 0..brokers.len() {
            let faulty = FAULTS.iter().enumerate().filter(|(place, _)| {
                let count = measured.median(broker, |sample| sample.faults[*place]);
                count.is_some_and(|count| count > 0.0)
            });
            let notes = faulty.map(|(_, name)| format!(" ({})", name.replace('_', " ")));
            let note: String = notes.collect();
            cells.push(number(measured.value(broker)) + &note);
        }
        cells.extend((1..brokers.len()).map(|other| number(measured.ratio(other))));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

/// Processor time and memory of the brokers, and how busy the generator was.
fn costs(text: &mut String, measured: &[Measured], brokers: &[Kind]) {
    text.push_str(
        "\nThe broker's processor seconds per million messages (connections, where there are no messages), its\n\
         resident memory at most in MiB, and the share of its core that the generator used:\n",
    );
    let names = brokers
        .iter()
        .map(|broker| format!("{}: s, MiB, generator", broker.name()));
    header(text, std::iter::once("what".to_owned()).chain(names));
    for measured in measured {
        let mut cells = vec![measured.row.figures[measured.figure].title.to_owned()];
        for broker in 0..brokers.len() {
            let of = |value: fn(&Sample) -> Option<f64>| {
                measured.median(broker, move |sample| value(sample).unwrap_or(f64::NAN))
            };
            let memory = of(|sample| sample.resident_peak).map(|bytes| bytes / f64::from(1 << 20));
            let share = of(|sample| Some(sample.generator_share)).unwrap_or(0.0) * 100.0;
            let seconds = number(of(|sample| sample.processor_s_per_million));
            cells.push(format!("{seconds}, {}, {share:.0} %", number(memory)));
        }
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

fn commands(text: &mut String, measured: &[Measured], how: &Circumstances<'_>) {
    text.push_str(
        "\nThe generator's commands (`robust-bench …`, each with host and port):\n\n```\n",
    );
    let mut last = None;
    for measured in measured {
        if last != Some(measured.row.name) {
            let _ = writeln!(text, "{}", arguments(&measured.row, how.seconds));
        }
        last = Some(measured.row.name);
    }
    text.push_str("```\n");
    if how
        .brokers
        .iter()
        .any(|broker| matches!(broker, Kind::Mosquitto))
    {
        let _ = write!(
            text,
            "\nmosquitto's configuration, beside its listener:\n\n```\n{MOSQUITTO_CONFIGURATION}```\n"
        );
    }
}

/// Three digits that say something.
fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// Puts a section between the markers; behind everything if there are none.
pub(crate) fn replace(page: &str, section: &str) -> String {
    let written = format!("{BEGIN}\n\n{}\n\n{END}", section.trim());
    match (page.find(BEGIN), page.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{written}{}", &page[..begin], &page[end + END.len()..])
        }
        _ => format!("{}\n\n## Beside mosquitto\n\n{written}\n", page.trim_end()),
    }
}

/// The machine in a few words.
pub(crate) fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let after_colon = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processors = read("/proc/cpuinfo");
    let model = after_colon(&processors, "model name").unwrap_or_else(|| "unknown".to_owned());
    let count = processors
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let memory = after_colon(&read("/proc/meminfo"), "MemTotal");
    let kib = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let release = read("/proc/sys/kernel/osrelease");
    let kernel: Vec<&str> = release.trim().splitn(3, '.').collect();
    format!(
        "{count} processors ({model}), {} GiB, Linux {}",
        kib.unwrap_or(0).div_ceil(1 << 20),
        kernel.iter().take(2).copied().collect::<Vec<_>>().join("."),
    )
}

/// Rows without those that were not asked for.
pub(crate) fn chosen(only: &[String]) -> impl Iterator<Item = Row> {
    let rows = rows::ROWS.into_iter();
    rows.filter(move |row| only.is_empty() || only.iter().any(|name| name == row.name))
}

#[cfg(test)]
mod tests;
