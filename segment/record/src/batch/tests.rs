use bytes::Bytes;
use proptest::prelude::*;

use crate::testing::{Owned, build, messages, record, records};
use crate::{Batch, BatchBuilder, BatchFull, BatchLimits, Offset, RecordInput, ShardId, Term};

fn parse(body: impl Into<Bytes>) -> Result<Batch, crate::FormatError> {
    Batch::parse(ShardId(4), 9, Term(3), body.into())
}

fn assert_same(batch: &Batch, records: &[Owned]) {
    assert_eq!(batch.count(), records.len());
    for (place, (found, record)) in batch.records().zip(records).enumerate() {
        assert_eq!(found.to_input(), record.input());
        assert_eq!(found.offset(), Offset::new(9, place as u16));
        assert_eq!(found.payload_bytes(), record.payload);
        let again = batch.record(place as u16).expect("slot is there");
        assert_eq!(again.to_input(), record.input());
    }
    assert!(batch.record(records.len() as u16).is_none());
    let timestamps = || records.iter().map(|record| record.timestamp_ms);
    assert_eq!(Some(batch.timestamp_ms_min()), timestamps().min());
    assert_eq!(Some(batch.timestamp_ms_max()), timestamps().max());
    let state = records
        .iter()
        .any(|record| record.kind != 0 || record.retain || record.packet_id.is_some());
    assert_eq!(batch.has_state(), state);
}

proptest! {
    #[test]
    fn parse_gives_back_what_was_built(records in records()) {
        let batch = build(4, 9, &records);
        assert_same(&batch, &records);
        let parsed = parse(batch.body().clone()).expect("a built batch parses");
        assert_same(&parsed, &records);
        prop_assert_eq!(&parsed, &batch);
        prop_assert_eq!(parsed.first_offset(), batch.first_offset());
        prop_assert_eq!(parsed.offset_end(), Offset::new(9, (records.len() - 1) as u16).next());
    }

    #[test]
    fn dictionaries_hold_each_name_once(records in records()) {
        let batch = build(4, 9, &records);
        let mut topics: Vec<_> = batch.topics().map(|(_, ns, topic)| (ns, topic)).collect();
        topics.sort_unstable();
        let mut wanted: Vec<_> =
            records.iter().map(|record| (&*record.namespace, &*record.topic)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        prop_assert_eq!(topics, wanted);
    }

    #[test]
    fn the_builder_foresees_its_size(records in records()) {
        let mut builder = BatchBuilder::new(BatchLimits::default());
        for record in &records {
            builder.try_push(&record.input()).expect("fits");
        }
        let foreseen = builder.size_bytes();
        let size = builder.finish(ShardId(4), 9, Term(3)).size_bytes();
        prop_assert!(size <= foreseen && foreseen <= size + 30, "{} of {}", size, foreseen);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(bytes);
    }

    #[test]
    fn changed_bytes_never_panic(
        records in records(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = build(4, 9, &records).body().to_vec();
        for (place, value) in changes {
            let place = place.index(body.len());
            body[place] = value;
        }
        if let Ok(batch) = parse(body) {
            for record in batch.records() {
                let _ = (record.to_input(), record.payload_bytes());
            }
        }
    }

    #[test]
    fn compaction_keeps_offsets(records in records(), keep in any::<u64>()) {
        let batch = build(4, 9, &records);
        let kept = |slot: u16| keep >> (slot % 64) & 1 == 1;
        let survivors: Vec<_> =
            batch.records().filter(|record| kept(record.offset().slot())).collect();
        let Some(compacted) = batch.retain(|record| kept(record.offset().slot())) else {
            prop_assert!(survivors.is_empty());
            return Ok(());
        };
        let parsed = parse(compacted.body().clone()).expect("a compacted batch parses");
        prop_assert_eq!(&parsed, &compacted);
        prop_assert_eq!(compacted.is_compacted(), survivors.len() < records.len());
        prop_assert_eq!(parsed.count(), survivors.len());
        for (found, record) in parsed.records().zip(&survivors) {
            prop_assert_eq!(found.offset(), record.offset());
            prop_assert_eq!(found.to_input(), record.to_input());
        }
        for slot in 0..records.len() as u16 {
            let found = parsed.record(slot).map(|record| record.offset());
            prop_assert_eq!(found, kept(slot).then(|| Offset::new(9, slot)));
            let from = parsed.records_from(Offset::new(9, slot)).map(|r| r.offset()).next();
            let wanted = survivors.iter().map(|r| r.offset()).find(|o| o.slot() >= slot);
            prop_assert_eq!(from, wanted);
        }
        let again = parsed.retain(|record| record.offset() == parsed.first_offset());
        let again = again.expect("the first record stays");
        prop_assert_eq!(again.first_offset(), parsed.first_offset());
        prop_assert_eq!(again.count(), 1);
    }

    #[test]
    fn properties_in_pieces_are_the_same(record in record(), split in any::<prop::sample::Index>()) {
        let whole = build(4, 9, std::slice::from_ref(&record));
        let split = if record.properties.is_empty() { 0 } else { split.index(record.properties.len()) };
        let (front, rest) = record.properties.split_at(split);
        let mut builder = BatchBuilder::new(BatchLimits::default());
        let input = RecordInput { properties: front, ..record.input() };
        builder.try_push_with(&input, rest.len(), |out| out.extend_from_slice(rest)).expect("fits");
        prop_assert_eq!(builder.finish(ShardId(4), 9, Term(3)), whole);
    }
}

#[test]
fn limits_are_kept_and_leave_the_batch_unchanged() {
    let record = RecordInput {
        topic: "t",
        payload: &[7; 100],
        ..RecordInput::default()
    };
    let limits = BatchLimits {
        bytes_max: 1000,
        records_max: 65_536,
    };
    let mut builder = BatchBuilder::new(limits);
    let count = (0..)
        .take_while(|_| builder.try_push(&record).is_ok())
        .count();
    let size = builder.size_bytes();
    assert_eq!(
        (builder.count(), builder.try_push(&record)),
        (count, Err(BatchFull))
    );
    assert!(size <= 1000 && size + 110 > 1000, "{size}");
    let batch = builder.finish(ShardId(4), 9, Term(3));
    assert_eq!(batch.count(), count);

    let mut builder = BatchBuilder::new(BatchLimits {
        bytes_max: 1000,
        records_max: 2,
    });
    assert_eq!(builder.try_push(&record), Ok(0));
    assert_eq!(builder.try_push(&record), Ok(1));
    assert_eq!(builder.try_push(&record), Err(BatchFull));
}

#[test]
fn a_refused_name_does_not_enter_the_dictionary() {
    let large = [1; 990];
    let mut builder = BatchBuilder::new(BatchLimits {
        bytes_max: 1000,
        records_max: 9,
    });
    let record = |topic, payload| RecordInput {
        topic,
        payload,
        ..RecordInput::default()
    };
    builder.try_push(&record("a", b"1")).expect("fits");
    assert_eq!(builder.try_push(&record("b", &large)), Err(BatchFull));
    builder.try_push(&record("c", b"2")).expect("fits");
    let batch = builder.finish(ShardId(4), 9, Term(3));
    let topics: Vec<_> = batch.topics().map(|(id, _, topic)| (id, topic)).collect();
    assert_eq!(topics, [(0, "a"), (1, "c")]);
}

#[test]
fn a_large_record_gets_a_batch_of_its_own() {
    let large = vec![1; 5000];
    let record = RecordInput {
        payload: &large,
        ..RecordInput::default()
    };
    let mut builder = BatchBuilder::new(BatchLimits {
        bytes_max: 1000,
        records_max: 9,
    });
    assert_eq!(builder.try_push(&record), Ok(0));
    assert_eq!(builder.try_push(&RecordInput::default()), Err(BatchFull));
}

#[test]
fn a_batch_holds_65536_records() {
    let mut builder = BatchBuilder::new(BatchLimits::default());
    for slot in 0..=u16::MAX {
        assert_eq!(builder.try_push(&RecordInput::default()), Ok(slot));
    }
    assert_eq!(builder.try_push(&RecordInput::default()), Err(BatchFull));
    let batch = builder.finish(ShardId(4), 9, Term(3));
    assert_eq!(
        parse(batch.body().clone()).map(|batch| batch.count()),
        Ok(65_536)
    );
    assert_eq!(
        batch.record(u16::MAX).map(|r| r.offset()),
        Some(Offset::new(9, u16::MAX))
    );
    assert_eq!(batch.offset_end(), Offset::new(10, 0));
}

#[test]
fn each_broken_rule_has_its_error() {
    let batch = messages(4, 9, 2, 2);
    let body = batch.body().to_vec();
    let dictionary = u32::from_le_bytes([body[0], body[1], body[2], body[3]]) as usize;
    // position, new value, what is wrong
    let cases: &[(usize, u8, &str)] = &[
        (3, 0xff, "dictionary lies outside the body"),
        (0, 0, "dictionary lies outside the body"),
        (4, 0, "more names than records"),
        (4, 1, "more names than records"),
        (4, 3, "ends too early"),
        (7, 0xff, "count is above what the bytes can hold, or zero"),
        (8, 2, "state flag does not fit the records"),
        (8, 4, "unknown flags"),
        (12, 1, "reserved bytes are not zero"),
        (24, 0x7f, "ends too early"),
        (25, 0x81, "unknown flags"),
        (25, 0x03, "unknown flags"),
        (25, 0x41, "kind of a message is spelled out"),
        (26, 5, "topic is not in the dictionary"),
        (27, 5, "client is not in the dictionary"),
        (28, 2, "timestamp base is not the first record's"),
        (dictionary, 2, "namespace is not in the dictionary"),
        (dictionary, 0x7f, "count is above what the bytes can hold"),
        (dictionary + 3, 1, "namespace is not in the dictionary"),
        (dictionary + 5, 1, "namespace is not in the dictionary"),
        (dictionary + 4, 0x7f, "ends too early"),
        (dictionary + 4, 6, "bytes are left over"),
        (dictionary + 11, 0, "namespace holds U+0000"),
        (dictionary + 11, 0xff, "name is not UTF-8"),
        (body.len() - 1, 0xc3, "name is not UTF-8"),
    ];
    for &(position, value, what) in cases {
        let mut changed = body.clone();
        changed[position] = value;
        let error = parse(changed).expect_err(what);
        assert_eq!(error.what, what, "byte {position} := {value:#x}");
    }
    for len in 0..body.len() {
        assert!(parse(body[..len].to_vec()).is_err(), "cut at {len}");
    }
    let long = [&body[..], b"x"].concat();
    assert_eq!(
        parse(long).map_err(|error| error.what),
        Err("bytes are left over")
    );
}

#[test]
fn names_end_at_character_boundaries() {
    let record = |topic| RecordInput {
        topic,
        ..RecordInput::default()
    };
    let mut builder = BatchBuilder::new(BatchLimits::default());
    builder.try_push(&record("é")).expect("fits");
    builder.try_push(&record("ab")).expect("fits");
    let body = builder.finish(ShardId(4), 9, Term(3)).body().to_vec();
    let text = body
        .windows(4)
        .position(|bytes| bytes == "éab".as_bytes())
        .expect("text");
    // The lengths 2 and 2 stand before the client's entry; 1 and 3 would cut é.
    let lengths = text - 5;
    assert_eq!((body[lengths], body[lengths + 2]), (2, 2));
    let mut changed = body.clone();
    (changed[lengths], changed[lengths + 2]) = (1, 3);
    assert_eq!(
        parse(changed).map_err(|error| error.what),
        Err("name is not UTF-8")
    );
}

#[test]
fn an_index_outside_its_range_is_refused() {
    let body = messages(4, 9, 1, 1).body().clone();
    for index in [0, Offset::INDEX_MAX + 1] {
        assert!(Batch::parse(ShardId(4), index, Term(3), body.clone()).is_err());
    }
    assert!(Batch::parse(ShardId(4), Offset::INDEX_MAX, Term(3), body).is_ok());
}
