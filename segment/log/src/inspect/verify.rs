//! Checking a log: quickly by its first frames and indexes, deeply by every
//! byte.

use std::io;

use robustmq_record::{
    Control, Damage, FrameKind, FrameScanner, IndexBuilder, IndexedSegment, Lsn, ScanEnd, ScanItem,
    ScannedFrame, SegmentId, Tail,
};

use super::{LogInspector, Opened, SegmentStatus, options};
use crate::disk::read_all;
use crate::file_names;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The segment.
    pub segment: SegmentId,
    /// The byte in the segment, where one can be named.
    pub position: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// Records that were stored are lost or cannot be read. Otherwise it costs
    /// only work, as an index does that has to be built again.
    pub loses_data: bool,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Segments done.
    pub segments_done: u64,
    /// All segments.
    pub segments: u64,
    /// Bytes done.
    pub bytes_done: u64,
    /// All bytes.
    pub bytes: u64,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segments looked at.
    pub segments: u64,
    /// Bytes read and verified; only in a deep verification.
    pub bytes: u64,
    /// Frames verified; only in a deep verification.
    pub frames: u64,
    /// Batches decoded; only in a deep verification.
    pub batches: u64,
    /// Records decoded; only in a deep verification.
    pub records: u64,
    /// Bytes at the end of the log that belong to a write that was under way,
    /// or cut off, when this was read. No fault.
    pub torn_bytes: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    fn problem(&mut self, segment: SegmentId, position: Option<u64>, what: impl Into<String>) {
        self.problems.push(Problem {
            segment,
            position,
            what: what.into(),
            loses_data: true,
        });
    }

    fn nuisance(&mut self, segment: SegmentId, what: impl Into<String>) {
        self.problems.push(Problem {
            segment,
            position: None,
            what: what.into(),
            loses_data: false,
        });
    }
}

impl LogInspector {
    /// Verifies the log. Deep: reads everything, checks every checksum, decodes
    /// every batch, and compares the indexes with what a scan says.
    ///
    /// # Errors
    /// What the system says. Damage is no error; it is in the report.
    pub fn verify(
        &self,
        deep: bool,
        progress: &mut dyn FnMut(VerifyProgress),
    ) -> io::Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let all = self.open_all()?;
        let begun: Vec<&Opened> = all
            .iter()
            .filter(|opened| opened.summary.status != SegmentStatus::Ready)
            .collect();
        let mut done = VerifyProgress {
            segments: begun.len() as u64,
            bytes: begun.iter().map(|opened| opened.summary.file_bytes).sum(),
            ..VerifyProgress::default()
        };
        progress(done);
        for (place, opened) in begun.iter().enumerate() {
            let next = begun.get(place + 1).copied();
            match self.verify_segment(opened, next, deep, &mut report) {
                // Retention was faster; on a running broker that is no fault.
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                verified => verified?,
            }
            report.segments += 1;
            done.segments_done += 1;
            done.bytes_done += opened.summary.file_bytes;
            progress(done);
        }
        Ok(report)
    }

    fn verify_segment(
        &self,
        opened: &Opened,
        next: Option<&Opened>,
        deep: bool,
        report: &mut VerifyReport,
    ) -> io::Result<()> {
        let id = opened.summary.id;
        match opened.summary.status {
            SegmentStatus::Newer => {
                report.problem(
                    id,
                    Some(0),
                    "the segment has a format that is newer than this program",
                );
                return Ok(());
            }
            SegmentStatus::Damaged => report.problem(id, Some(0), "the first frame is damaged"),
            _ => (),
        }
        if let Some(index) = &opened.index {
            let next_start = next.and_then(|next| next.summary.lsn_start);
            // Behind a rewritten segment others may have been removed.
            let joined = next_start.is_none_or(|start| start == index.segment().lsn_end);
            if !joined && !opened.summary.compacted {
                report.problem(
                    id,
                    None,
                    "frames are missing between this segment and the next",
                );
            }
        } else if next.is_some() && self.disk.open(&file_names::index(id)).is_ok() {
            report.nuisance(id, "the index is damaged; it will be built again");
        } else if next.is_some() {
            report.nuisance(id, "the index is missing; it will be built again");
        }
        if deep {
            self.read_deeply(opened, next, report)?;
        }
        Ok(())
    }

    fn read_deeply(
        &self,
        opened: &Opened,
        next: Option<&Opened>,
        report: &mut VerifyReport,
    ) -> io::Result<()> {
        let id = opened.summary.id;
        let file = &*opened.file;
        let mut options = options(opened);
        options.lsn_end = next.and_then(|next| next.summary.lsn_start);
        options.durable_lsn = Lsn(options.lsn_end.map_or(0, |end| end.0 - 1));
        let lsn_start = options.lsn_start;
        let mut scanner = FrameScanner::new(options, |position, buffer: &mut [u8]| {
            file.read_at(position, buffer)
        });
        let mut deep = Deep {
            id,
            report,
            index: IndexBuilder::new(),
            about: IndexedSegment {
                segment_id: id,
                position_end: 0,
                lsn_start: lsn_start.unwrap_or(Lsn(0)),
                lsn_end: Lsn(0),
            },
            whole: lsn_start.is_some(),
            frames: 0,
        };
        while let Some(item) = scanner.next_item()? {
            match item {
                ScanItem::Frame(frame) => deep.frame(&frame),
                ScanItem::Damaged(damage) => deep.damage(&damage),
                ScanItem::End(end) => deep.end(&end, next.is_none()),
            }
        }
        if deep.whole && opened.index.is_some() {
            let file = self.disk.open(&file_names::index(id))?;
            if read_all(&*file)? != deep.index.finish(deep.about) {
                report.nuisance(
                    id,
                    "the index says something else than the segment; remove it, it will be built again",
                );
            }
        }
        Ok(())
    }
}

/// One segment read through.
struct Deep<'a> {
    id: SegmentId,
    report: &'a mut VerifyReport,
    index: IndexBuilder,
    about: IndexedSegment,
    /// Nothing was missing so far.
    whole: bool,
    frames: u64,
}

impl Deep<'_> {
    fn frame(&mut self, frame: &ScannedFrame<'_>) {
        let (position, fields) = (frame.position, frame.header.fields);
        self.report.frames += 1;
        self.frames += 1;
        self.about.lsn_end = fields.lsn.next();
        self.about.position_end = position + frame.header.frame_len() as u64;
        let fault = if fields.kind == FrameKind::Batch {
            let batch = frame.batch();
            batch.map(|batch| {
                self.report.batches += 1;
                self.report.records += batch.count() as u64;
                self.index.truncate(batch.shard(), batch.index());
                self.index
                    .add_batch(position, frame.header.frame_len(), &batch);
            })
        } else {
            frame
                .control()
                .map(|control| self.control(position, &control))
        };
        if let Err(fault) = fault {
            self.whole = false;
            self.report
                .problem(self.id, Some(position), fault.to_string());
        }
    }

    fn control(&mut self, position: u64, control: &Control) {
        match control {
            Control::Truncate(truncate) => {
                self.index.truncate(truncate.shard, truncate.index_start);
            }
            Control::SegmentEnd(end)
                if end.position != position || self.whole && end.frames != self.frames =>
            {
                self.report.problem(
                    self.id,
                    Some(position),
                    "the frame that seals the segment says another length",
                );
            }
            _ => (),
        }
    }

    fn damage(&mut self, damage: &Damage) {
        self.whole = false;
        let lost = damage.lsn_end.0 - damage.lsn_start.0;
        let what = format!("{} damaged bytes held {lost} frames", damage.len);
        self.report.problem(self.id, Some(damage.position), what);
    }

    fn end(&mut self, end: &ScanEnd, is_newest: bool) {
        self.report.bytes += end.position;
        if end.tail == Tail::Torn {
            self.report.torn_bytes += end.dirty_end - end.position;
        }
        if !is_newest && end.tail != Tail::Sealed {
            self.report.problem(
                self.id,
                Some(end.position),
                "the frame that seals the segment is missing",
            );
        }
    }
}
