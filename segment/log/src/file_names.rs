//! The names of the log's files.
//!
//! | name | what |
//! | --- | --- |
//! | `0000000000000007.seg` | segment 7 (sixteen hexadecimal digits) |
//! | `0000000000000007.idx` | its index |
//! | `0000000000000007.spare` | the file of a removed segment, to be used again |
//! | `00003-0000000000000a07.batch` | batch 0xa07 of shard 3, which is damaged in its segment |
//! | `*.tmp` | a file in the making; removed at the next start |

use robustmq_record::{SegmentId, ShardId};

pub(crate) const TMP_SUFFIX: &str = ".tmp";
const REPAIRED_SUFFIX: &str = ".batch";

/// What a file is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Segment(SegmentId),
    Index(SegmentId),
    Spare(SegmentId),
    Repaired(ShardId, u64),
    Temporary,
    Unknown,
}

pub(crate) fn segment(id: SegmentId) -> String {
    format!("{:016x}.seg", id.0)
}

pub(crate) fn index(id: SegmentId) -> String {
    format!("{:016x}.idx", id.0)
}

pub(crate) fn spare(id: SegmentId) -> String {
    format!("{:016x}.spare", id.0)
}

/// The name of a batch that came back from another node.
pub(crate) fn repaired(shard: ShardId, index: u64) -> String {
    format!("{:05}-{index:016x}{REPAIRED_SUFFIX}", shard.0)
}

/// The name under which a file is made before it takes its place.
pub(crate) fn temporary(name: &str) -> String {
    format!("{name}{TMP_SUFFIX}")
}

pub(crate) fn parse(name: &str) -> FileKind {
    if name.ends_with(TMP_SUFFIX) {
        return FileKind::Temporary;
    }
    if let Some(place) = name.strip_suffix(REPAIRED_SUFFIX) {
        return parse_repaired(name, place);
    }
    let Some((digits, suffix)) = name.split_once('.') else {
        return FileKind::Unknown;
    };
    let lower = digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let Ok(id) = u64::from_str_radix(digits, 16) else {
        return FileKind::Unknown;
    };
    match suffix {
        _ if digits.len() != 16 || !lower || id == 0 => FileKind::Unknown,
        "seg" => FileKind::Segment(SegmentId(id)),
        "idx" => FileKind::Index(SegmentId(id)),
        "spare" => FileKind::Spare(SegmentId(id)),
        _ => FileKind::Unknown,
    }
}

fn parse_repaired(name: &str, place: &str) -> FileKind {
    let place = place.split_once('-').and_then(|(shard, index)| {
        let index = u64::from_str_radix(index, 16).ok()?;
        Some((ShardId(shard.parse().ok()?), index))
    });
    match place {
        Some((shard, index)) if repaired(shard, index) == name => FileKind::Repaired(shard, index),
        _ => FileKind::Unknown,
    }
}

#[cfg(test)]
mod tests;
