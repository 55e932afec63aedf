use proptest::prelude::*;

use super::*;

const SHARDS: u32 = 3;

fn positions() -> impl Strategy<Value = Positions> {
    proptest::collection::vec(any::<u64>(), SHARDS as usize).prop_map(|offsets| {
        let place = |(shard, offset)| (ShardId(shard as u32), Offset(offset));
        offsets.into_iter().enumerate().map(place).collect()
    })
}

fn place() -> impl Strategy<Value = Place> {
    let interval = (
        positions(),
        proptest::option::of(positions()),
        any::<(u64, u64)>(),
    );
    let picks = (
        ".*",
        proptest::option::of(".*"),
        any::<u64>(),
        positions(),
        any::<(u64, u32, u64)>(),
    );
    prop_oneof![
        interval.prop_map(|(from, end, (since_ms, until_ms))| Place::Interval {
            from,
            end,
            since_ms,
            until_ms
        }),
        picks.prop_map(
            |(from, to, now_ms, visible, (timestamp_ms, shard, offset))| {
                Place::Picks {
                    from,
                    to,
                    now_ms,
                    visible,
                    after: (timestamp_ms, ShardId(shard), Offset(offset)),
                }
            }
        ),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(filter in ".*", place in place()) {
        let bookmark = Bookmark { filter, place };
        let read = Bookmark::decode(&bookmark.encode(), ShardMap::new(SHARDS));
        prop_assert_eq!(read, Ok(bookmark));
    }

    #[test]
    fn a_bookmark_of_other_shards_is_refused(filter in ".*", place in place(), shards in 1u32..8) {
        prop_assume!(shards != SHARDS);
        let bookmark = Bookmark { filter, place };
        prop_assert!(Bookmark::decode(&bookmark.encode(), ShardMap::new(shards)).is_err());
    }

    #[test]
    fn anything_else_is_refused_with_words(text in ".*") {
        let map = ShardMap::new(SHARDS);
        if let Err(error) = Bookmark::decode(&text, map) {
            prop_assert!(error.to_string().contains("is no cursor"));
        }
        let wrapped = URL_SAFE_NO_PAD.encode(&text);
        prop_assert!(Bookmark::decode(&wrapped, map).is_err());
    }
}
