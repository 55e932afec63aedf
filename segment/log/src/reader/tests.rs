//! Reading backwards and by topic, compared with a plain read of everything:
//! over several segments, with and without index, in memory and on disk, with
//! the front removed, segments compacted and batches damaged.

mod back;
mod last;
mod sample;
mod topics;
