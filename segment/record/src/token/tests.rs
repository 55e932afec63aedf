//! Tokens as text.

use super::*;

#[test]
fn what_is_written_is_read() {
    for (shard, index, slot) in [
        (0, 0, 0),
        (7, 1042, 65_535),
        (u32::MAX, Offset::INDEX_MAX, 1),
    ] {
        let token = OffsetToken {
            shard: ShardId(shard),
            offset: Offset::new(index, slot),
        };
        assert_eq!(token.to_string().parse(), Ok(token));
        assert_eq!(token.to_string(), format!("{shard}-{index}-{slot}"));
    }
}

#[test]
fn anything_else_is_refused() {
    for text in [
        "",
        "1",
        "1-2",
        "1-2-3-4",
        "1-2-65536",
        "01-2-3",
        "+1-2-3",
        "1- 2-3",
        "4294967296-1-1",
        "1-281474976710656-0",
        "1--2",
        "a-b-c",
    ] {
        assert_eq!(text.parse::<OffsetToken>(), Err(TokenError), "{text}");
    }
}
