//! The part of a segment that is in memory during a scan.

use crate::frame::{FRAME_ALIGN, HEADER_LEN};

/// Reads a segment in chunks; larger pieces only where a frame asks for one.
#[derive(Debug)]
pub(super) struct Window<R> {
    read: R,
    /// Where the segment ends; shrinks when the file turns out to be shorter.
    len: u64,
    chunk_bytes: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl<R, E> Window<R>
where
    R: FnMut(u64, &mut [u8]) -> Result<usize, E>,
{
    pub(super) fn new(read: R, len: u64, chunk_bytes: usize) -> Self {
        let chunk_bytes = chunk_bytes.max(HEADER_LEN).next_multiple_of(FRAME_ALIGN);
        Self {
            read,
            len,
            chunk_bytes,
            start: 0,
            bytes: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The `want` bytes at `position`, or fewer where the segment ends. Never
    /// holds more than the segment has.
    pub(super) fn bytes(&mut self, position: u64, want: usize) -> Result<&[u8], E> {
        self.fill(position, want)?;
        let offset = (position - self.start).min(self.bytes.len() as u64) as usize;
        let end = (offset + want).min(self.bytes.len());
        Ok(&self.bytes[offset..end])
    }

    /// All bytes at `position` that are in memory, at least a header's worth
    /// unless the segment ends before.
    pub(super) fn chunk(&mut self, position: u64) -> Result<&[u8], E> {
        self.fill(position, HEADER_LEN)?;
        let offset = (position - self.start).min(self.bytes.len() as u64) as usize;
        Ok(&self.bytes[offset..])
    }

    fn fill(&mut self, position: u64, want: usize) -> Result<(), E> {
        let end = position.saturating_add(want as u64).min(self.len);
        let have_end = self.start + self.bytes.len() as u64;
        if position >= self.start && end <= have_end {
            return Ok(());
        }
        let left = self.len.saturating_sub(position);
        let size = (want.max(self.chunk_bytes) as u64).min(left) as usize;
        if self.bytes.capacity() > 2 * size.max(self.chunk_bytes) {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.bytes.resize(size, 0);
        self.start = position;
        let mut filled = 0;
        while filled < size {
            match (self.read)(position + filled as u64, &mut self.bytes[filled..]) {
                Ok(0) => {
                    self.len = position + filled as u64;
                    break;
                }
                Ok(len) => filled += len.min(size - filled),
                Err(error) => {
                    self.bytes.clear();
                    return Err(error);
                }
            }
        }
        self.bytes.truncate(filled);
        Ok(())
    }
}
