//! Rewriting a segment with only what is live; offsets stay.
//!
//! The new file has the segment's id and takes the old one's name. It is never
//! used again for another segment, so no bytes of one can pass for the other's.
//!
//! **Invariant**: at any moment a crash leaves either the old file or the new
//! one, complete, under the segment's name; an index of the wrong one is not
//! believed.

use std::io;
use std::sync::Arc;

use robustmq_record::{
    Batch, BatchEntry, BodyEncoder, Control, FrameFields, FrameStamp, HEADER_LEN, IndexBuilder,
    IndexedSegment, KIND_MESSAGE, Lsn, SegmentEnd, SegmentIndex, ShardId, encode_frame,
    parse_header, read_batch,
};

use super::{Removed, Retirement};
use crate::disk::DiskFile;
use crate::file_names;
use crate::files;
use crate::indexes;
use crate::recovery::read_start;
use crate::repairs;
use crate::segment::{Segment, SegmentInfo};
use crate::state::LogCounters;

/// Bytes gathered for one write.
const WRITE_BYTES: usize = 1 << 20;

/// The file in the making.
struct Output {
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    position: u64,
    frames: u64,
    /// The number of the last frame.
    lsn_last: Lsn,
    index: IndexBuilder,
}

impl Output {
    fn position_end(&self) -> u64 {
        self.position + self.buffer.len() as u64
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_at(self.position, &self.buffer)?;
        self.position = self.position_end();
        self.buffer.clear();
        Ok(())
    }
}

impl Retirement<'_> {
    /// Rewrites the segment with the messages of the policies marked live.
    pub(super) fn compact(&self, segment: &Arc<Segment>, live: &[bool]) -> io::Result<Removed> {
        let disk = &*self.state.disk;
        let old_index = indexes::load(self.state, segment)?;
        let old_file = files::open(self.state, segment)?;
        let name = file_names::segment(segment.id());
        let temporary = file_names::temporary(&name);
        match disk.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let mut output = Output {
            file: disk.create(&temporary)?,
            buffer: Vec::new(),
            position: 0,
            frames: 0,
            lsn_last: Lsn(0),
            index: IndexBuilder::new(),
        };
        let written = self.rewrite(segment, &old_index, &*old_file, live, &mut output);
        let removed = match written {
            Ok(removed) => removed,
            Err(error) => {
                // Best effort: the next start removes it.
                let _ = disk.remove(&temporary);
                return Err(error);
            }
        };
        let about = IndexedSegment {
            position_end: output.position_end(),
            ..old_index.segment()
        };
        let bytes = output.index.finish(about);
        // Readers that hold the old segment go on with the old file.
        segment.pin(old_file, old_index);
        let _loading = segment.loading.lock();
        indexes::remove(disk, segment.id())?;
        disk.sync_dir()?;
        disk.rename(&temporary, &name)?;
        disk.sync_dir()?;
        let info = SegmentInfo {
            compacted: true,
            len: about.position_end,
            starts: segment.info.starts.clone(),
            ..segment.info
        };
        let compacted = Segment::new(info, None);
        self.state.change_catalog(|segments| {
            for kept in segments.iter_mut().filter(|kept| kept.id() == segment.id()) {
                *kept = Arc::clone(&compacted);
            }
        });
        LogCounters::add(&self.state.counters.segments_compacted, 1);
        // Without it the index is built again when it is needed.
        if let Err(error) = indexes::write(disk, segment.id(), &bytes) {
            tracing::warn!(segment = segment.id().0, %error, "the index of a compacted segment could not be stored");
        }
        Ok(Removed {
            records: removed,
            bytes: segment.info.len.saturating_sub(about.position_end),
        })
    }

    /// Writes and syncs the new file; returns how many records were left out.
    fn rewrite(
        &self,
        segment: &Segment,
        old_index: &SegmentIndex,
        old_file: &dyn DiskFile,
        live: &[bool],
        output: &mut Output,
    ) -> io::Result<u64> {
        let id = segment.id();
        let about = old_index.segment();
        let start = read_start(old_file, id, about.position_end)?;
        let (lsn, mut start) = start.map_err(io::Error::other)?;
        start.compacted = true;
        let stamp = |lsn: Lsn| FrameStamp {
            lsn,
            durable_lsn: Lsn(lsn.0 - 1),
            leader: self.state.config.node_id,
            commit_hint: 0,
            timestamp_ms: start.created_ms,
        };
        let first = Control::SegmentStart(start.clone());
        first.encode(&stamp(lsn), id, &mut output.buffer);
        output.frames += 1;
        output.lsn_last = lsn;
        let mut entries: Vec<(ShardId, BatchEntry)> = old_index
            .shards()
            .flat_map(|table| table.batches().map(move |entry| (table.shard(), entry)))
            .collect();
        entries.sort_unstable_by_key(|(_, entry)| entry.position);
        let mut encoder = BodyEncoder::new(self.state.config.compression);
        let mut removed = 0;
        for (shard, entry) in entries {
            removed +=
                self.rewrite_batch(segment, old_file, shard, &entry, live, &mut encoder, output)?;
            if output.buffer.len() >= WRITE_BYTES {
                output.write()?;
            }
        }
        let end = SegmentEnd {
            frames: output.frames + 1,
            position: output.position_end(),
            clean: false,
        };
        let end_lsn = Lsn(about.lsn_end.0 - 1);
        Control::SegmentEnd(end).encode(&stamp(end_lsn), id, &mut output.buffer);
        output.write()?;
        output.file.sync_data()?;
        Ok(removed)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step of a loop, taken out for its length"
    )]
    fn rewrite_batch(
        &self,
        segment: &Segment,
        old_file: &dyn DiskFile,
        shard: ShardId,
        entry: &BatchEntry,
        live: &[bool],
        encoder: &mut BodyEncoder,
        output: &mut Output,
    ) -> io::Result<u64> {
        let id = segment.id();
        let mut frame = vec![0; entry.frame_len as usize];
        let read = old_file.read_at(entry.position, &mut frame)?;
        let parsed = parse_header(&frame[..read], id).and_then(|header| {
            let batch = read_batch(&header, &frame[HEADER_LEN..read], id)?;
            Ok((header.fields, batch))
        });
        let (fields, batch) = match parsed {
            Ok(parsed) => parsed,
            Err(fault) => match repairs::stored(self.state, shard, entry.index) {
                Some(batch) => {
                    let lsn = output.lsn_last.next();
                    let fields = FrameFields {
                        leader: self.state.config.node_id,
                        lsn,
                        durable_lsn: output.lsn_last,
                        ..FrameFields::of_batch(&batch)
                    };
                    (fields, (*batch).clone())
                }
                None => {
                    LogCounters::add(&self.state.counters.damages, 1);
                    tracing::warn!(segment = id.0, shard = shard.0, index = entry.index, %fault, "a batch is damaged and left out");
                    return Ok(0);
                }
            },
        };
        let topics: Vec<bool> = batch
            .topics()
            .map(|(_, _, topic)| !topic.is_empty() && live[self.policies.number(topic)])
            .collect();
        let messages = messages_of(&batch);
        let kept = batch
            .retain(|record| record.kind() == KIND_MESSAGE && topics[record.topic_id() as usize]);
        let Some(kept) = kept else {
            return Ok(messages);
        };
        let fields = FrameFields {
            leader: fields.leader,
            lsn: fields.lsn,
            durable_lsn: fields.durable_lsn,
            commit_hint: fields.commit_hint,
            ..FrameFields::of_batch(&kept)
        };
        let position = output.position_end();
        let body = encoder.encode(kept.body());
        let header = encode_frame(&fields, body, id, &mut output.buffer);
        output.frames += 1;
        output.lsn_last = fields.lsn;
        output.index.add_batch(position, header.frame_len(), &kept);
        Ok(messages - messages_of(&kept))
    }
}

fn messages_of(batch: &Batch) -> u64 {
    let kinds = batch.records().map(|record| record.kind());
    kinds.filter(|kind| *kind == KIND_MESSAGE).count() as u64
}
