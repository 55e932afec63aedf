//! The frames of a segment, one by one.

use std::io;

use robustmq_record::{
    Batch, Control, Damage, FrameFault, FrameHeader, FrameKind, FrameScanner, ScanEnd, ScanItem,
    SegmentId,
};

use super::{LogInspector, options};

/// What stands in a segment.
#[derive(Debug)]
pub enum DumpItem {
    /// A batch.
    Batch {
        /// Where its frame starts.
        position: u64,
        /// The frame's header.
        header: FrameHeader,
        /// The records.
        batch: Batch,
    },
    /// A control frame.
    Control {
        /// Where it starts.
        position: u64,
        /// Its header.
        header: FrameHeader,
        /// What it says.
        control: Control,
    },
    /// A frame with right checksums that says what no writer writes.
    Unreadable {
        /// Where it starts.
        position: u64,
        /// Its header.
        header: FrameHeader,
        /// What is wrong.
        fault: FrameFault,
    },
    /// Lost bytes.
    Damaged(Damage),
    /// Nothing follows.
    End(ScanEnd),
}

impl LogInspector {
    /// Calls `visit` for everything in a segment, in order, until it says
    /// false.
    ///
    /// # Errors
    /// `NotFound`, and what the system says.
    pub fn dump(&self, id: SegmentId, visit: &mut dyn FnMut(DumpItem) -> bool) -> io::Result<()> {
        let opened = self.find(id)?;
        let file = &*opened.file;
        let mut scanner = FrameScanner::new(options(&opened), |position, buffer: &mut [u8]| {
            file.read_at(position, buffer)
        });
        while let Some(item) = scanner.next_item()? {
            let item = match item {
                ScanItem::Frame(frame) => {
                    let (position, header) = (frame.position, frame.header);
                    let read = if header.fields.kind == FrameKind::Batch {
                        frame.batch().map(|batch| DumpItem::Batch {
                            position,
                            header,
                            batch,
                        })
                    } else {
                        frame.control().map(|control| DumpItem::Control {
                            position,
                            header,
                            control,
                        })
                    };
                    read.unwrap_or_else(|fault| DumpItem::Unreadable {
                        position,
                        header,
                        fault,
                    })
                }
                ScanItem::Damaged(damage) => DumpItem::Damaged(damage),
                ScanItem::End(end) => DumpItem::End(end),
            };
            if !visit(item) {
                break;
            }
        }
        Ok(())
    }
}
