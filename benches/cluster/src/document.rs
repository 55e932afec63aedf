//! The section of docs/benchmarks.md, between its markers.

use std::fmt::Write;

const BEGIN: &str = "<!-- begin: written by `make bench-cluster` -->";
const END: &str = "<!-- end: written by `make bench-cluster` -->";

/// A figure of one node and of three.
pub(crate) struct Row {
    pub(crate) title: String,
    pub(crate) one: Option<f64>,
    pub(crate) three: Option<f64>,
}

/// How it was measured.
pub(crate) struct Circumstances {
    pub(crate) seconds: u32,
    pub(crate) rounds: u32,
    pub(crate) missed: u32,
    pub(crate) kills: u32,
}

pub(crate) fn section(rows: &[Row], how: &Circumstances) -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut text = format!(
        "Medians of {} rounds of {} s, one node and three by turns, all nodes and the generator on the same {processors}\n\
         processors; {} kills; {} messages of 1 KiB missed.\n\n| what | one node | three nodes |\n| --- | --- | --- |\n",
        how.rounds, how.seconds, how.kills, how.missed
    );
    for row in rows {
        let (one, three) = (number(row.one), number(row.three));
        let _ = writeln!(text, "| {} | {one} | {three} |", row.title);
    }
    text
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if !value.is_finite() => "failed".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// The page with the section in its place, or at its end.
pub(crate) fn replace(page: &str, section: &str) -> String {
    let written = format!("{BEGIN}\n\n{}\n\n{END}", section.trim());
    match (page.find(BEGIN), page.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{written}{}", &page[..begin], &page[end + END.len()..])
        }
        _ => format!(
            "{}\n\n## Three nodes beside one\n\n{written}\n",
            page.trim_end()
        ),
    }
}
