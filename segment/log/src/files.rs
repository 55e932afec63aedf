//! Files of segments, opened when they are read and kept open while there is
//! room among the open files.

use std::io;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::file_names;
use crate::segment::Segment;
use crate::state::LogState;

/// The segment's file. A segment that was retired in the meantime may not be
/// found, or its name may belong to another file.
pub(crate) fn open(state: &LogState, segment: &Arc<Segment>) -> io::Result<Arc<dyn DiskFile>> {
    if let Some((file, _)) = segment.pinned() {
        return Ok(Arc::clone(file));
    }
    if let Some(file) = &*segment.file.lock() {
        return Ok(Arc::clone(file));
    }
    let file = state.disk.open(&file_names::segment(segment.id()))?;
    keep(state, segment, Arc::clone(&file));
    Ok(file)
}

/// Keeps the file open, closing those that were opened longest ago.
pub(crate) fn keep(state: &LogState, segment: &Arc<Segment>, file: Arc<dyn DiskFile>) {
    if segment.file.lock().replace(file).is_some() {
        return;
    }
    let mut open = state.open_files.lock();
    open.push_back(Arc::downgrade(segment));
    while open.len() > state.config.open_files_max.max(1) {
        if let Some(oldest) = open.pop_front().and_then(|oldest| oldest.upgrade()) {
            *oldest.file.lock() = None;
        }
    }
}
