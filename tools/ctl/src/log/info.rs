//! `log info`: the log as a whole.

use std::fmt::Write;

use robustmq_log::inspect::{LogInfo, ShardSummary};
use serde::Serialize;

use super::FoundLog;
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{self, Printer};
use crate::units::{bytes, time};

#[derive(Serialize)]
struct Info {
    data_dir: String,
    broker_running: bool,
    broker_pid: Option<u32>,
    /// The last run ended in order.
    clean: bool,
    segments: u64,
    segments_without_index: u64,
    spare_files: u64,
    file_bytes: u64,
    used_bytes: u64,
    lsn_start: u64,
    lsn_end: u64,
    shards: Vec<Shard>,
}

/// What is held of a shard; also part of `log segments`.
#[derive(Serialize)]
pub(super) struct Shard {
    pub(super) shard: u32,
    pub(super) index_start: u64,
    pub(super) index_end: u64,
    pub(super) batches: u64,
    pub(super) records: u64,
    pub(super) topics_max: u64,
    /// None where nothing is held.
    pub(super) timestamp_ms_min: Option<u64>,
    pub(super) timestamp_ms_max: Option<u64>,
}

impl Shard {
    pub(super) fn new(summary: &ShardSummary) -> Self {
        let held = summary.batches > 0;
        Self {
            shard: summary.shard.0,
            index_start: summary.index_start,
            index_end: summary.index_end,
            batches: summary.batches,
            records: summary.records,
            topics_max: summary.topics,
            timestamp_ms_min: held.then_some(summary.timestamp_ms_min),
            timestamp_ms_max: held.then_some(summary.timestamp_ms_max),
        }
    }
}

pub(super) fn run(found: &FoundLog, printer: &mut Printer) -> Result<Verdict, CtlError> {
    let info = found.inspector.info().map_err(found.read_error())?;
    let info = summarize(found, &info);
    printer.document(&info, || text(&info))?;
    Ok(Verdict::Fine)
}

fn summarize(found: &FoundLog, info: &LogInfo) -> Info {
    let owner = &found.location.owner;
    Info {
        data_dir: found.location.path.display().to_string(),
        broker_running: owner.is_some(),
        broker_pid: owner.as_ref().and_then(|owner| owner.pid),
        clean: info.clean,
        segments: info.segments,
        segments_without_index: info.segments_without_index,
        spare_files: info.spare_files,
        file_bytes: info.file_bytes,
        used_bytes: info.used_bytes,
        lsn_start: info.lsn_start.0,
        lsn_end: info.lsn_end.0,
        shards: info.shards.iter().map(Shard::new).collect(),
    }
}

fn text(info: &Info) -> String {
    let broker = match (info.broker_running, info.broker_pid) {
        (true, Some(pid)) => format!("running (process {pid})"),
        (true, None) => "running".to_owned(),
        (false, _) if info.clean => "stopped in order".to_owned(),
        (false, _) if info.segments == 0 => "stopped".to_owned(),
        (false, _) => "stopped without an orderly end; the next start recovers".to_owned(),
    };
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing into a String does not fail.
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line("data", info.data_dir.clone());
    line("broker", broker);
    line(
        "segments",
        format!(
            "{} ({} without an index yet), {} spare files",
            info.segments, info.segments_without_index, info.spare_files
        ),
    );
    line(
        "size",
        format!(
            "{} of frames in {} of files",
            bytes(info.used_bytes),
            bytes(info.file_bytes)
        ),
    );
    line("frames", format!("{}..{}", info.lsn_start, info.lsn_end));
    let rows = info.shards.iter().map(|shard| {
        vec![
            shard.shard.to_string(),
            format!("{}..{}", shard.index_start, shard.index_end),
            shard.batches.to_string(),
            shard.records.to_string(),
            shard.timestamp_ms_min.map_or_else(|| "-".to_owned(), time),
            shard.timestamp_ms_max.map_or_else(|| "-".to_owned(), time),
        ]
    });
    let header = [
        "shard",
        "batches from..to",
        "batches",
        "records",
        "oldest",
        "newest",
    ];
    let table = output::table(&header, &[0, 2, 3], rows.collect());
    let _ = write!(text, "\n{table}\n");
    text
}
