//! `log segments`: the segments, oldest first.

use robustmq_log::inspect::{SegmentStatus, SegmentSummary};
use serde::Serialize;

use super::FoundLog;
use super::info::Shard;
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{self, Printer};
use crate::units::{bytes, time};

#[derive(Serialize)]
struct Segment {
    segment: u64,
    file: String,
    status: &'static str,
    compacted: bool,
    lsn_start: Option<u64>,
    node_id: Option<u64>,
    created_ms: Option<u64>,
    file_bytes: u64,
    used_bytes: Option<u64>,
    index_bytes: Option<u64>,
    /// By the segment's index; empty while there is none.
    shards: Vec<Shard>,
}

impl Segment {
    fn new(summary: &SegmentSummary) -> Self {
        Self {
            segment: summary.id.0,
            file: summary.file.clone(),
            status: status(summary.status),
            compacted: summary.compacted,
            lsn_start: summary.lsn_start.map(|lsn| lsn.0),
            node_id: summary.node_id.map(|node| node.0),
            created_ms: summary.created_ms,
            file_bytes: summary.file_bytes,
            used_bytes: summary.used_bytes,
            index_bytes: summary.index_bytes,
            shards: summary.shards.iter().map(Shard::new).collect(),
        }
    }
}

fn status(status: SegmentStatus) -> &'static str {
    match status {
        SegmentStatus::Ready => "ready",
        SegmentStatus::Active => "active",
        SegmentStatus::Sealed => "sealed",
        SegmentStatus::Damaged => "damaged",
        SegmentStatus::Newer => "newer",
    }
}

pub(super) fn run(found: &FoundLog, printer: &mut Printer) -> Result<Verdict, CtlError> {
    let segments = found.inspector.segments().map_err(found.read_error())?;
    let rows: Vec<Segment> = segments.iter().map(Segment::new).collect();
    printer.list(&rows, table)?;
    Ok(Verdict::Fine)
}

fn table(segments: &[Segment]) -> comfy_table::Table {
    let header = [
        "segment", "status", "created", "used", "file", "index", "records", "oldest", "newest",
    ];
    let rows = segments.iter().map(|segment| {
        let status = if segment.compacted {
            format!("{}, compacted", segment.status)
        } else {
            segment.status.to_owned()
        };
        let size = |size: Option<u64>| size.map_or_else(|| "-".to_owned(), bytes);
        let moment = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), time);
        let records: u64 = segment.shards.iter().map(|shard| shard.records).sum();
        let oldest = segment
            .shards
            .iter()
            .filter_map(|shard| shard.timestamp_ms_min);
        let newest = segment
            .shards
            .iter()
            .filter_map(|shard| shard.timestamp_ms_max);
        vec![
            segment.segment.to_string(),
            status,
            moment(segment.created_ms),
            size(segment.used_bytes),
            bytes(segment.file_bytes),
            size(segment.index_bytes),
            if segment.shards.is_empty() {
                "-".to_owned()
            } else {
                records.to_string()
            },
            moment(oldest.min()),
            moment(newest.max()),
        ]
    });
    output::table(&header, &[0, 3, 4, 5, 6], rows.collect())
}
