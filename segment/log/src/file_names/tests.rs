use robustmq_record::SegmentId;

use super::{FileKind, index, parse, segment, spare, temporary};

#[test]
fn names_are_read_back() {
    for id in [1, 7, 0xabcdef, u64::MAX].map(SegmentId) {
        assert_eq!(parse(&segment(id)), FileKind::Segment(id));
        assert_eq!(parse(&index(id)), FileKind::Index(id));
        assert_eq!(parse(&spare(id)), FileKind::Spare(id));
        assert_eq!(parse(&temporary(&segment(id))), FileKind::Temporary);
    }
    assert_eq!(segment(SegmentId(0x1f)), "000000000000001f.seg");
}

#[test]
fn other_names_are_left_alone() {
    let others = [
        "",
        ".seg",
        "7.seg",
        "0000000000000000.seg",
        "000000000000001F.seg",
        "+00000000000001f.seg",
        "00000000000000001.seg",
        "000000000000001f",
        "000000000000001f.log",
        "000000000000001f.seg.old",
        "lost+found",
    ];
    for name in others {
        assert_eq!(parse(name), FileKind::Unknown, "{name}");
    }
}
