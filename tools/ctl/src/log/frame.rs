//! A frame as it is printed.

use robustmq_log::inspect::DumpItem;
use robustmq_record::{Control, FrameHeader, FrameKind, SegmentId, Tail};
use serde::Serialize;

use crate::units::{bytes, time};

#[derive(Serialize)]
pub(super) struct Frame {
    segment: u64,
    position: u64,
    /// Bytes; none at the end of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    len: Option<u64>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    /// What a control frame says, or what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

#[derive(Serialize)]
struct Header {
    lsn: u64,
    durable_lsn: u64,
    shard: u32,
    index: u64,
    term: u64,
    records: u32,
    has_state: bool,
    compacted: bool,
    timestamp_ms: u64,
}

impl Header {
    fn new(header: &FrameHeader) -> Self {
        let fields = &header.fields;
        Self {
            lsn: fields.lsn.0,
            durable_lsn: fields.durable_lsn.0,
            shard: fields.shard.0,
            index: fields.index,
            term: fields.term.0,
            records: fields.count,
            has_state: fields.flags.has_state,
            compacted: fields.flags.compacted,
            timestamp_ms: fields.timestamp_base_ms,
        }
    }
}

impl Frame {
    pub(super) fn new(segment: SegmentId, item: &DumpItem) -> Self {
        let of = |position: &u64, header: &FrameHeader, text: Option<String>| Self {
            segment: segment.0,
            position: *position,
            len: Some(header.frame_len() as u64),
            kind: kind(header.fields.kind),
            header: Some(Header::new(header)),
            text,
        };
        match item {
            DumpItem::Batch {
                position, header, ..
            } => of(position, header, None),
            DumpItem::Control {
                position,
                header,
                control,
            } => of(position, header, Some(describe(control))),
            DumpItem::Unreadable {
                position,
                header,
                fault,
            } => Self {
                kind: "unreadable",
                ..of(position, header, Some(fault.to_string()))
            },
            DumpItem::Damaged(damage) => Self {
                segment: segment.0,
                position: damage.position,
                len: Some(damage.len),
                kind: "damaged",
                header: None,
                text: Some(format!(
                    "frames {}..{} are lost",
                    damage.lsn_start, damage.lsn_end
                )),
            },
            DumpItem::End(end) => Self {
                segment: segment.0,
                position: end.position,
                len: None,
                kind: "end",
                header: None,
                text: (end.tail == Tail::Torn)
                    .then(|| "a write that was cut off follows".to_owned()),
            },
        }
    }

    /// One line for people.
    pub(super) fn text(&self) -> String {
        let mut line = format!(
            "{:>4} {:>10} {:<14}",
            self.segment, self.position, self.kind
        );
        if let Some(header) = &self.header {
            line.push_str(&format!(
                " lsn {} {} {}",
                header.lsn,
                bytes(self.len.unwrap_or(0)),
                time(header.timestamp_ms)
            ));
            if header.records > 0 {
                line.push_str(&format!(
                    " shard {} index {} term {}: {} records",
                    header.shard, header.index, header.term, header.records
                ));
            }
        }
        if let Some(text) = &self.text {
            line.push(' ');
            line.push_str(text);
        }
        line
    }
}

fn describe(control: &Control) -> String {
    match control {
        Control::SegmentStart(start) => {
            let kind = if start.compacted {
                "compacted"
            } else {
                "written"
            };
            let shards = start.shards.len();
            format!(
                "segment {} {kind} by node {}, {shards} shards",
                start.segment_id, start.node_id
            )
        }
        Control::SegmentEnd(end) => format!("after {} frames", end.frames),
        Control::DurableMark(mark) if mark.clean => "orderly end".to_owned(),
        Control::DurableMark(_) => "all before is synced".to_owned(),
        Control::Vote(vote) => format!(
            "shard {} term {} for node {}",
            vote.shard, vote.term, vote.voted_for
        ),
        Control::Truncate(truncate) => {
            format!(
                "shard {} from index {}",
                truncate.shard, truncate.index_start
            )
        }
        Control::Purge(purge) => format!("shard {} below index {}", purge.shard, purge.index_end),
    }
}

fn kind(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Batch => "batch",
        FrameKind::SegmentStart => "segment_start",
        FrameKind::SegmentEnd => "segment_end",
        FrameKind::DurableMark => "durable_mark",
        FrameKind::Vote => "vote",
        FrameKind::Truncate => "truncate",
        FrameKind::Purge => "purge",
    }
}
