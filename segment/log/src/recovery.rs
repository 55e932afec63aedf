//! Opening a log: what the files say, and where writing goes on.
//!
//! **Invariants**
//! 1. What was synced is never cut off; only the torn end of the last segment
//!    is zeroed, after it was found that nothing in it was acknowledged.
//! 2. Damage never keeps good data from being served: it is reported, and the
//!    batches it hit are missing.

use std::sync::Arc;

use robustmq_record::{
    Control, Damage, FrameKind, FrameScanner, HEADER_LEN, Lsn, ScanEnd, ScanItem, ScanOptions,
    ScannedFrame, SegmentId, ShardId, ShardState, Tail, Term, parse_header,
};

use crate::config::LogConfig;
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::segment::{Segment, parse_segment_name, segment_name};
use crate::spare::is_spare_name;
use crate::writer::Resume;

/// Bytes zeroed at a time.
const ZERO_CHUNK: u64 = 1 << 20;

/// What was found when a log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments with frames.
    pub segments: usize,
    /// Batches in them.
    pub batches: u64,
    /// Bytes at the end of the log that had been written but not synced, and
    /// were cut off.
    pub torn_bytes: u64,
    /// Synced bytes that are damaged, by segment.
    pub damaged: Vec<(SegmentId, Damage)>,
}

/// Everything recovery finds.
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) log_starts: Vec<u64>,
    pub(crate) resume: Resume,
    pub(crate) spares: Vec<String>,
    pub(crate) report: RecoveryReport,
}

/// First frame of a segment, as far as it can be read.
struct Opening {
    id: SegmentId,
    file: Arc<dyn DiskFile>,
    lsn: Option<Lsn>,
    durable_lsn: Lsn,
}

pub(crate) fn recover(disk: &dyn Disk, config: &LogConfig) -> Result<Recovered, OpenError> {
    let names = disk
        .list()
        .map_err(|error| OpenError::io("listing the log", error))?;
    let mut ids: Vec<SegmentId> = names
        .iter()
        .filter_map(|name| parse_segment_name(name))
        .collect();
    ids.sort_unstable();
    let spares = names
        .into_iter()
        .filter(|name| is_spare_name(name))
        .collect();
    let mut openings = Vec::with_capacity(ids.len());
    for id in &ids {
        openings.push(open(disk, *id)?);
    }
    let mut found = Found::new(config);
    for place in 0..openings.len() {
        let later = &openings[place + 1..];
        found.scan(disk, &openings[place], later, config)?;
    }
    let segment_next = SegmentId(ids.last().map_or(1, |id| id.0 + 1));
    Ok(found.finish(segment_next, spares))
}

fn open(disk: &dyn Disk, id: SegmentId) -> Result<Opening, OpenError> {
    let name = segment_name(id);
    let failed = |error| OpenError::io(format!("reading {name}"), error);
    let file = disk.open(&name).map_err(failed)?;
    let mut bytes = [0u8; HEADER_LEN];
    let count = file.read_at(&mut bytes, 0).map_err(failed)?;
    let header = parse_header(&bytes[..count], id).ok();
    Ok(Opening {
        id,
        file,
        lsn: header.map(|header| header.fields.lsn),
        durable_lsn: header.map_or(Lsn(0), |header| header.fields.durable_lsn),
    })
}

struct Found {
    segments: Vec<Arc<Segment>>,
    states: Vec<ShardState>,
    log_starts: Vec<Option<u64>>,
    lsn_next: Lsn,
    segment_lsn_start: Lsn,
    position: Option<u64>,
    report: RecoveryReport,
}

impl Found {
    fn new(config: &LogConfig) -> Self {
        let state = |shard| ShardState {
            shard: ShardId(shard),
            term: Term(1),
            ..ShardState::default()
        };
        Self {
            segments: Vec::new(),
            states: (0..config.shards).map(state).collect(),
            log_starts: vec![None; config.shards as usize],
            lsn_next: Lsn(1),
            segment_lsn_start: Lsn(1),
            position: None,
            report: RecoveryReport::default(),
        }
    }

    fn scan(
        &mut self,
        disk: &dyn Disk,
        opening: &Opening,
        later: &[Opening],
        config: &LogConfig,
    ) -> Result<(), OpenError> {
        let name = segment_name(opening.id);
        let failed = |error| OpenError::io(format!("reading {name}"), error);
        let options = ScanOptions {
            lsn_start: (!self.segments.is_empty()).then_some(self.lsn_next),
            lsn_end: later.iter().find_map(|next| next.lsn),
            durable_lsn: later
                .iter()
                .map(|next| next.durable_lsn)
                .max()
                .unwrap_or(Lsn(0)),
            ..ScanOptions::new(opening.id, opening.file.len().map_err(failed)?)
        };
        let file = Arc::clone(&opening.file);
        let read = move |position: u64, buffer: &mut [u8]| file.read_at(buffer, position);
        let mut scanner = FrameScanner::new(options, read);
        let segment = Arc::new(Segment::new(
            opening.id,
            Arc::clone(&opening.file),
            config.shards,
        ));
        let mut frames = 0u64;
        while let Some(item) = scanner.next_item().map_err(failed)? {
            match item {
                ScanItem::Frame(frame) => {
                    if frames == 0 {
                        self.segment_lsn_start = frame.header.fields.lsn;
                    }
                    frames += 1;
                    self.take_frame(&segment, &frame, config)?;
                }
                ScanItem::Damaged(damage) => {
                    tracing::warn!(
                        segment = opening.id.0,
                        position = damage.position,
                        bytes = damage.len,
                        first_frame = damage.lsn_start.0,
                        end_frame = damage.lsn_end.0,
                        "synced data is damaged; the records in it are lost from this copy"
                    );
                    self.report.damaged.push((opening.id, damage));
                }
                ScanItem::End(end) => {
                    self.take_end(opening, &end, frames == 0, later.is_empty())
                        .map_err(failed)?;
                    segment.set_end(end.position, end.tail == Tail::Sealed || !later.is_empty());
                }
            }
        }
        let damaged = self
            .report
            .damaged
            .last()
            .is_some_and(|(id, _)| *id == opening.id);
        if frames == 0 && !damaged {
            // Made ready but never written: it carries nothing.
            disk.remove(&name)
                .map_err(|error| OpenError::io(format!("removing {name}"), error))?;
            return Ok(());
        }
        self.report.segments += 1;
        self.segments.push(segment);
        Ok(())
    }

    fn take_frame(
        &mut self,
        segment: &Arc<Segment>,
        frame: &ScannedFrame<'_>,
        config: &LogConfig,
    ) -> Result<(), OpenError> {
        let fields = &frame.header.fields;
        if fields.shard.0 >= config.shards {
            return Err(OpenError::Shards {
                shard: fields.shard,
                configured: config.shards,
            });
        }
        if fields.kind == FrameKind::Batch {
            let shard = fields.shard.0 as usize;
            // The latest timestamp needs the batch; a batch that cannot be
            // parsed is reported when it is read.
            let latest = frame
                .batch()
                .map_or(fields.timestamp_base_ms, |batch| batch.timestamp_ms_max());
            segment.add(&frame.header, frame.position, latest);
            let state = &mut self.states[shard];
            state.appended_index = fields.index;
            state.appended_term = fields.term;
            state.commit_index = fields.index;
            self.log_starts[shard].get_or_insert(fields.index);
            self.report.batches += 1;
            return Ok(());
        }
        match frame.control() {
            Ok(Control::SegmentStart(start)) => self.take_start(&start.shards, config)?,
            Ok(Control::Vote(vote)) => {
                let state = &mut self.states[vote.shard.0 as usize];
                state.term = vote.term;
                state.voted_for = vote.voted_for;
                state.vote_committed = vote.committed;
            }
            Ok(Control::Truncate(truncate)) => {
                let state = &mut self.states[truncate.shard.0 as usize];
                state.appended_index = state.appended_index.min(truncate.index_start - 1);
                for segment in self.segments.iter().chain([segment]) {
                    segment.truncate(truncate.shard, truncate.index_start);
                }
            }
            Ok(Control::Purge(purge)) => {
                let start = &mut self.log_starts[purge.shard.0 as usize];
                *start = Some(start.unwrap_or(0).max(purge.index_end));
            }
            Ok(Control::DurableMark(_) | Control::SegmentEnd(_)) => {}
            Err(robustmq_record::FrameFault::Newer { version }) => {
                return Err(OpenError::Newer {
                    segment: segment.id,
                    version,
                });
            }
            Err(fault) => {
                tracing::warn!(segment = segment.id.0, position = frame.position, %fault, "a control frame cannot be understood");
            }
        }
        Ok(())
    }

    fn take_start(&mut self, states: &[ShardState], config: &LogConfig) -> Result<(), OpenError> {
        for stored in states {
            let Some(state) = self.states.get_mut(stored.shard.0 as usize) else {
                return Err(OpenError::Shards {
                    shard: stored.shard,
                    configured: config.shards,
                });
            };
            if stored.appended_index >= state.appended_index {
                *state = *stored;
                state.commit_index = stored.appended_index;
            }
        }
        Ok(())
    }

    fn take_end(
        &mut self,
        opening: &Opening,
        end: &ScanEnd,
        empty: bool,
        is_last: bool,
    ) -> std::io::Result<()> {
        if end.tail == Tail::Torn {
            let bytes = end.dirty_end - end.position;
            self.report.torn_bytes += bytes;
            tracing::warn!(
                segment = opening.id.0,
                position = end.position,
                bytes,
                "the end of the log was written but never synced; it is cut off (nothing in it was acknowledged)"
            );
        }
        if !empty {
            self.lsn_next = end.lsn_next;
        }
        if !is_last || empty {
            return Ok(());
        }
        let mut position = end.position;
        let zeros = vec![0u8; ZERO_CHUNK.min(end.dirty_end - end.position) as usize];
        while position < end.dirty_end {
            let count = (end.dirty_end - position).min(ZERO_CHUNK);
            opening.file.write_at(&zeros[..count as usize], position)?;
            position += count;
        }
        if end.dirty_end > end.position {
            opening.file.sync_data()?;
        }
        self.position = (end.tail != Tail::Sealed).then_some(end.position);
        Ok(())
    }

    fn finish(self, segment_next: SegmentId, spares: Vec<String>) -> Recovered {
        let starts = self.log_starts.iter().zip(&self.states);
        let log_starts = starts
            .map(|(start, state)| start.unwrap_or(state.appended_index + 1))
            .collect();
        let last_is_open = self
            .segments
            .last()
            .is_some_and(|last| !last.summary().sealed);
        Recovered {
            log_starts,
            resume: Resume {
                position: self.position.filter(|_| last_is_open),
                lsn_next: self.lsn_next,
                segment_lsn_start: self.segment_lsn_start,
                segment_next,
                shards: self.states,
            },
            segments: self.segments,
            spares,
            report: self.report,
        }
    }
}
