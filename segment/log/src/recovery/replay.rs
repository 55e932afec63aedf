//! What the frames say, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use robustmq_record::{
    Batch, BatchEntry, Control, Damage, FrameKind, Lsn, ScanEnd, ScannedFrame, SegmentId,
    SegmentStart, ShardId, ShardState, Tail, Vote,
};

use super::{Recovered, RecoveryReport, Remains};
use crate::catalog::Catalog;
use crate::config::{CommitRule, LogConfig};
use crate::indexes::report_damage;
use crate::segment::Tables;
use crate::state::ShardCell;
use crate::writer::FIRST_TERM;

pub(super) struct Replay {
    shards: u32,
    commit: CommitRule,
    states: Vec<ShardState>,
    /// Per shard how many batches may have been lost since its last frame.
    lost: Vec<u64>,
    lsn_next: Option<Lsn>,
    /// The highest number that a frame proves synced.
    durable_lsn: Lsn,
    /// Frames of the segment being read: number and position.
    frames: Vec<(Lsn, u64)>,
    tables: Tables,
    starts: Box<[u64]>,
    segment_lsn: Option<Lsn>,
    recent: Recent,
    pub(super) report: RecoveryReport,
}

/// The newest batches, as many as the tail cache holds.
struct Recent {
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    fn push(&mut self, batch: Batch) {
        self.bytes += batch.memory_bytes();
        self.batches.push_back(Arc::new(batch));
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.batches.pop_front()
        {
            self.bytes -= oldest.memory_bytes();
        }
    }

    fn forget(&mut self, shard: ShardId, index_start: u64) {
        self.batches
            .retain(|batch| batch.shard() != shard || batch.index() < index_start);
        self.bytes = self.batches.iter().map(|batch| batch.memory_bytes()).sum();
    }
}

impl Replay {
    pub(super) fn new(config: &LogConfig) -> Self {
        let state = |shard| ShardState {
            shard: ShardId(shard),
            log_start_index: 1,
            ..ShardState::default()
        };
        Self {
            shards: config.shards,
            commit: config.commit,
            states: (0..config.shards).map(state).collect(),
            lost: vec![0; config.shards as usize],
            lsn_next: None,
            durable_lsn: Lsn(0),
            frames: Vec::new(),
            tables: Tables::new(config.shards),
            starts: Box::default(),
            segment_lsn: None,
            recent: Recent {
                batches: VecDeque::new(),
                bytes: 0,
                bytes_max: config.tail_cache_bytes,
            },
            report: RecoveryReport::default(),
        }
    }

    pub(super) fn lsn_next(&self) -> Option<Lsn> {
        self.lsn_next
    }

    /// The frames of a segment follow.
    pub(super) fn begin(&mut self, id: SegmentId, start: Option<&SegmentStart>) {
        if let Some(start) = start {
            for stored in &start.shards {
                let place = stored.shard.0 as usize;
                if let Some(state) = self.states.get_mut(place) {
                    *state = *stored;
                    self.lost[place] = 0;
                }
            }
        } else {
            tracing::warn!(segment = id.0, "the first frame of a segment is damaged");
        }
        self.starts = (0..self.shards as usize)
            .map(|shard| self.states[shard].appended_index + self.lost[shard] + 1)
            .collect();
        self.tables = Tables::new(self.shards);
        self.frames.clear();
        self.segment_lsn = None;
        self.report.segments_scanned += 1;
        self.report.clean = false;
    }

    pub(super) fn frame(&mut self, frame: &ScannedFrame<'_>) {
        let fields = frame.header.fields;
        self.segment_lsn.get_or_insert(fields.lsn);
        self.frames.push((fields.lsn, frame.position));
        self.durable_lsn = self.durable_lsn.max(fields.durable_lsn);
        self.report.clean = fields.flags.clean;
        if fields.kind == FrameKind::Batch {
            match frame.batch() {
                Ok(batch) => self.batch(frame, batch),
                Err(fault) => {
                    tracing::error!(position = frame.position, %fault, "a batch with a right checksum cannot be read; it is left out");
                    self.note_lost(1);
                }
            }
            return;
        }
        match frame.control() {
            Ok(control) => self.control(&control),
            Err(fault) => {
                tracing::error!(position = frame.position, %fault, "a control frame with a right checksum cannot be read");
            }
        }
    }

    fn batch(&mut self, frame: &ScannedFrame<'_>, batch: Batch) {
        let shard = batch.shard();
        let Some(state) = self.states.get_mut(shard.0 as usize) else {
            tracing::error!(
                shard = shard.0,
                "a batch of a shard that does not exist is left out"
            );
            return;
        };
        if batch.index() <= state.appended_index {
            // The frame that made the older entries void is lost.
            self.tables.truncate(shard, batch.index());
            self.recent.forget(shard, batch.index());
        }
        state.appended_index = batch.index();
        state.appended_term = batch.term();
        state.term = state.term.max(batch.term());
        let hint = frame.header.fields.commit_hint;
        state.commit_index = state.commit_index.max(hint);
        self.lost[shard.0 as usize] = 0;
        self.report.batches += 1;
        let entry = BatchEntry {
            ordinal: 0,
            index: batch.index(),
            term: batch.term(),
            position: frame.position,
            frame_len: frame.header.frame_len() as u32,
            count: batch.count() as u32,
            has_state: batch.has_state(),
            timestamp_ms_min: batch.timestamp_ms_min(),
            timestamp_ms_max: batch.timestamp_ms_max(),
        };
        self.tables.push(shard, entry);
        self.recent.push(batch);
    }

    fn control(&mut self, control: &Control) {
        let shard = match control {
            Control::Vote(vote) => vote.shard,
            Control::Truncate(truncate) => truncate.shard,
            Control::Purge(purge) => purge.shard,
            Control::SegmentStart(_) | Control::DurableMark(_) | Control::SegmentEnd(_) => return,
        };
        let Some(state) = self.states.get_mut(shard.0 as usize) else {
            tracing::error!(
                shard = shard.0,
                "a control frame of a shard that does not exist"
            );
            return;
        };
        match control {
            Control::Vote(vote) => {
                state.term = vote.term;
                state.voted_for = vote.voted_for;
                state.vote_committed = vote.committed;
            }
            Control::Truncate(truncate) => {
                let start = truncate.index_start;
                if start <= state.appended_index {
                    state.appended_index = start - 1;
                    state.appended_term = truncate.term;
                    self.tables.truncate(shard, start);
                    self.recent.forget(shard, start);
                }
                self.lost[shard.0 as usize] = 0;
            }
            Control::Purge(purge) => {
                state.log_start_index = state.log_start_index.max(purge.index_end);
                state.purged_term = purge.term;
                let last = purge.index_end - 1;
                state.commit_index = state.commit_index.max(last);
                if state.appended_index < last {
                    // A snapshot took the place of entries that were never here.
                    state.appended_index = last;
                    state.appended_term = purge.term;
                }
            }
            _ => (),
        }
    }

    pub(super) fn damaged(&mut self, id: SegmentId, damage: Damage) {
        report_damage(id, &damage);
        let only_body = damage
            .header
            .filter(|header| header.fields.kind == FrameKind::Batch);
        match only_body {
            Some(header) => {
                let fields = header.fields;
                if let Some(state) = self.states.get_mut(fields.shard.0 as usize) {
                    state.appended_index = state.appended_index.max(fields.index);
                    state.appended_term = state.appended_term.max(fields.term);
                }
            }
            None => self.note_lost(damage.lsn_end.0 - damage.lsn_start.0),
        }
        self.report.damaged.push((id, damage));
    }

    /// Any of the lost frames may have been the last of any shard.
    fn note_lost(&mut self, frames: u64) {
        self.lost.iter_mut().for_each(|lost| *lost += frames);
    }

    pub(super) fn torn(&mut self, id: SegmentId, end: &ScanEnd) {
        let bytes = end.dirty_end - end.position;
        self.report.torn_bytes += bytes;
        tracing::warn!(
            segment = id.0,
            position = end.position,
            bytes,
            "the end of the log was written but never synced; it is cut off (nothing in it was acknowledged)"
        );
    }

    /// The position of the first frame of this segment that no other proves to
    /// be synced.
    pub(super) fn unproven_position(&self) -> u64 {
        let proven = self
            .frames
            .partition_point(|(lsn, _)| *lsn <= self.durable_lsn);
        self.frames
            .get(proven)
            .map_or(u64::MAX, |(_, position)| *position)
    }

    /// The segment is read through.
    pub(super) fn end(
        &mut self,
        end: &ScanEnd,
        lsn_start: Option<Lsn>,
    ) -> (Tables, Box<[u64]>, Lsn) {
        self.lsn_next = Some(end.lsn_next);
        if end.tail == Tail::Torn {
            self.report.clean = false;
        }
        let tables = std::mem::replace(&mut self.tables, Tables::new(self.shards));
        let lsn_start = lsn_start.or(self.segment_lsn).unwrap_or(end.lsn_next);
        (tables, std::mem::take(&mut self.starts), lsn_start)
    }

    pub(super) fn finish(self, remains: Remains) -> Recovered {
        let catalog = Catalog::new(remains.segments, self.shards);
        let states = self.states.iter().zip(&self.lost);
        let cells = states.map(|(state, lost)| {
            let local_start = catalog.start(state.shard);
            self.cell(state, *lost, local_start)
        });
        Recovered {
            cells: cells.collect(),
            segments: catalog.segments().to_vec(),
            resume: remains.resume,
            lsn_next: self.lsn_next.unwrap_or(Lsn(1)),
            unindexed: remains.unindexed,
            ready: remains.ready,
            spares: remains.spares,
            repaired: remains.repaired,
            next_id: remains.next_id,
            recent: self.recent.batches,
            report: self.report,
        }
    }

    fn cell(&self, state: &ShardState, lost: u64, local_start: u64) -> ShardCell {
        let mut cell = ShardCell::new(state.shard);
        let appended_end = (state.appended_index + lost + 1).max(local_start);
        let log_start = state.log_start_index.max(local_start).min(appended_end);
        let commit_end = match self.commit {
            CommitRule::Flushed => appended_end,
            CommitRule::Told => (state.commit_index + 1).clamp(log_start, appended_end),
        };
        cell.position.change(|position| {
            position.log_start = log_start;
            position.local_start = log_start;
            position.commit_end = commit_end;
            position.flushed_end = appended_end;
            position.appended_end = appended_end;
            position.term = match self.commit {
                CommitRule::Flushed => state.term.max(FIRST_TERM),
                CommitRule::Told => state.term,
            };
        });
        cell.vote = Vote {
            shard: state.shard,
            term: state.term,
            voted_for: state.voted_for,
            committed: state.vote_committed,
        };
        cell.appended_term = state.appended_term;
        cell.purged_term = state.purged_term;
        cell
    }
}
