use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use bytes::Bytes;
use proptest::prelude::*;
use robustmq_protocol::topic::{FilterAutomaton, matches};

use super::*;
use crate::testing::{Owned, SEGMENT, build, messages, record};
use crate::{Batch, KIND_MESSAGE, ShardId};

const SEALED: IndexedSegment = IndexedSegment {
    segment_id: SEGMENT,
    position_end: 1 << 20,
    lsn_start: Lsn(100),
    lsn_end: Lsn(300),
};

fn filter(text: &str) -> FilterAutomaton {
    FilterAutomaton::parse(text).expect("a valid filter")
}

/// Index of batches at made-up positions.
fn index(batches: &[Batch]) -> Bytes {
    let mut builder = IndexBuilder::new();
    for (place, batch) in batches.iter().enumerate() {
        builder.add_batch(1000 * place as u64, 96 + place, batch);
    }
    builder.finish(SEALED)
}

fn parse(bytes: &Bytes) -> SegmentIndex {
    SegmentIndex::parse(bytes.clone(), SEGMENT).expect("a built index parses")
}

fn topic() -> impl Strategy<Value = String> {
    "(\\$?[ab]?)(/[abé]?){0,3}"
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let record = (record(), topic(), 0u64..5000).prop_map(|(record, topic, time)| Owned {
        topic,
        timestamp_ms: 1_700_000_000_000 + time,
        ..record
    });
    let batch = (0u32..3, proptest::collection::vec(record, 1..12));
    proptest::collection::vec(batch, 1..20).prop_map(|batches| {
        let batch = |(place, (shard, records)): (usize, (u32, Vec<Owned>))| {
            build(shard, 5 + 2 * place as u64, &records)
        };
        batches.into_iter().enumerate().map(batch).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn tables_say_what_the_batches_are(batches in batches()) {
        let bytes = index(&batches);
        let index = parse(&bytes);
        prop_assert_eq!(index.segment(), SEALED);
        let shards: BTreeSet<_> = batches.iter().map(Batch::shard).collect();
        prop_assert!(index.shards().map(|shard| shard.shard()).eq(shards.iter().copied()));
        for shard in shards {
            let own: Vec<_> = (0..).zip(&batches).filter(|(_, b)| b.shard() == shard).collect();
            let found = index.shard(shard).expect("shard has batches");
            prop_assert_eq!(found.batch_count() as usize, own.len());
            prop_assert_eq!(found.index_start(), own[0].1.index());
            prop_assert_eq!(found.index_end(), own[own.len() - 1].1.index() + 1);
            for (ordinal, ((place, batch), entry)) in own.iter().zip(found.batches()).enumerate() {
                prop_assert_eq!(entry, BatchEntry {
                    ordinal: ordinal as u32,
                    index: batch.index(),
                    term: batch.term(),
                    position: 1000 * place,
                    frame_len: 96 + *place as u32,
                    count: batch.count() as u32,
                    has_state: batch.has_state(),
                    timestamp_ms_min: batch.timestamp_ms_min(),
                    timestamp_ms_max: batch.timestamp_ms_max(),
                });
            }
            let states: Vec<_> = found.state_batches().map(|entry| entry.index).collect();
            let wanted: Vec<_> =
                own.iter().filter(|(_, b)| b.has_state()).map(|(_, b)| b.index()).collect();
            prop_assert_eq!(states, wanted);
            for wanted in 0..50 {
                let at = own.iter().map(|(_, b)| b.index()).find(|index| *index >= wanted);
                prop_assert_eq!(found.seek_index(wanted).map(|e| e.index), at);
                let exact = at.filter(|index| *index == wanted);
                prop_assert_eq!(found.find_index(wanted).map(|e| e.index), exact);
            }
            for time in (0..5200).step_by(97).map(|time| 1_700_000_000_000 + time) {
                let at = own.iter().find(|(_, b)| b.timestamp_ms_max() >= time);
                let at = at.map(|(_, batch)| batch.index());
                prop_assert_eq!(found.find_time(time).map(|entry| entry.index), at);
            }
        }
    }

    #[test]
    fn filters_find_what_a_scan_finds(batches in batches(), more in "[+ab$](/([+]|[abé]?)){0,2}(/#)?") {
        let index = parse(&index(&batches));
        for text in ["#", "+", "+/#", "a/+", "a", "/#", "$a/#", "a/b/#", &more] {
            let Ok(automaton) = FilterAutomaton::parse(text) else { continue };
            for shard in index.shards() {
                let own: Vec<_> = batches.iter().filter(|b| b.shard() == shard.shard()).collect();
                let mut totals = BTreeMap::new();
                let mut wanted = BTreeSet::new();
                for (ordinal, batch) in (0u32..).zip(&own) {
                    for record in batch.records() {
                        if record.kind() == KIND_MESSAGE && record.namespace() == "default" && matches(text, record.topic()) {
                            wanted.insert(ordinal);
                            let total: &mut (u64, u64, u64) =
                                totals.entry(record.topic()).or_default();
                            let bytes = record.properties().len() + record.payload().len();
                            total.0 += 1;
                            total.1 += bytes as u64;
                            total.2 = total.2.max(record.timestamp_ms());
                        }
                    }
                }
                let postings = shard.postings("default", std::slice::from_ref(&automaton));
                prop_assert_eq!(postings, Ok(wanted.into_iter().collect::<Vec<_>>()), "{}", text);
                let mut found = Vec::new();
                shard.topics("default", &automaton, None, |entry, posting| {
                    assert_eq!(entry.namespace, "default");
                    let totals = (entry.records, entry.bytes, entry.timestamp_ms_max);
                    found.push((entry.topic.to_owned(), totals));
                    let own = FilterAutomaton::parse(entry.topic).map(|own| [own]);
                    if let Ok(own) = own {
                        assert_eq!(posting.ordinals(), shard.postings("default", &own));
                    }
                    Ok(ControlFlow::Continue(()))
                }).expect("a built index is valid");
                let wanted: Vec<_> = totals.into_iter().map(|(t, n)| (t.to_owned(), n)).collect();
                prop_assert_eq!(&found, &wanted, "{}", text);
                for (place, (topic, _)) in wanted.iter().enumerate() {
                    let mut next = None;
                    shard.topics("default", &automaton, Some(topic), |entry, _| {
                        assert!(next.is_none(), "it was told to stop");
                        next = Some(entry.topic.to_owned());
                        Ok(ControlFlow::Break(()))
                    }).expect("a built index is valid");
                    prop_assert_eq!(next, wanted.get(place + 1).map(|(topic, _)| topic.clone()));
                }
            }
        }
    }

    #[test]
    fn all_topics_with_messages_are_visited(batches in batches()) {
        let index = parse(&index(&batches));
        for shard in index.shards() {
            let own = || batches.iter().filter(|b| b.shard() == shard.shard());
            let messages = || {
                let records = own().flat_map(|batch| batch.records());
                records.filter(|record| record.kind() == KIND_MESSAGE)
            };
            let wanted: BTreeSet<_> = messages()
                .map(|record| (record.namespace().to_owned(), record.topic().to_owned()))
                .collect();
            let (mut found, mut records) = (BTreeSet::new(), 0);
            shard.all_topics(|entry| {
                found.insert((entry.namespace.to_owned(), entry.topic.to_owned()));
                records += entry.records;
            }).expect("a built index is valid");
            prop_assert_eq!(found.len(), shard.topic_count() as usize);
            prop_assert_eq!(found, wanted);
            prop_assert_eq!(records, messages().count() as u64);
            prop_assert_eq!(shard.records(), own().map(|batch| batch.count() as u64).sum::<u64>());
        }
    }

    #[test]
    fn truncation_leaves_what_was_never_there(batches in batches(), keep in 0usize..20) {
        let keep = keep.min(batches.len());
        let mut builder = IndexBuilder::new();
        for (place, batch) in batches.iter().enumerate() {
            builder.add_batch(1000 * place as u64, 96 + place, batch);
        }
        for shard in 0..4 {
            builder.truncate(ShardId(shard), 5 + 2 * keep as u64);
        }
        prop_assert_eq!(builder.finish(SEALED), index(&batches[..keep]));
    }

    /// Even a checksum that fits makes no bytes dangerous, but for those of the
    /// FST, whose own library trusts them.
    #[test]
    fn forged_directories_never_panic(
        batches in batches(),
        changes in proptest::collection::vec((8usize..200, any::<u8>()), 1..4),
    ) {
        let mut bytes = index(&batches).to_vec();
        let directory_end = HEADER_LEN + parse(&index(&batches)).shards().len() * SHARD_LEN;
        for (place, value) in changes {
            bytes[place.min(directory_end - 1)] = value;
        }
        let crc = crate::frame::checksum(SEGMENT, &bytes[8..]).to_le_bytes();
        bytes[4..8].copy_from_slice(&crc);
        if let Ok(index) = SegmentIndex::parse(Bytes::from(bytes), SEGMENT) {
            for shard in index.shards() {
                let _ = (shard.batches().count(), shard.state_batches().count());
                let _ = shard.find_time(1_700_000_001_000);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(SegmentIndex::parse(Bytes::from(bytes), SEGMENT).is_err());
    }
}

#[test]
fn a_segment_without_batches_has_an_index() {
    let index = parse(&IndexBuilder::new().finish(SEALED));
    assert_eq!((index.shards().len(), index.segment()), (0, SEALED));
    assert!(index.shard(ShardId(0)).is_none());
}

#[test]
fn every_bit_flip_is_detected() {
    let bytes = index(&[
        messages(0, 1, 3, 2),
        messages(1, 1, 2, 2),
        messages(0, 2, 4, 3),
    ]);
    let mut changed = bytes.to_vec();
    for bit in 0..changed.len() * 8 {
        changed[bit / 8] ^= 1 << (bit % 8);
        let found = SegmentIndex::parse(Bytes::copy_from_slice(&changed), SEGMENT);
        assert!(found.is_err(), "bit {bit} flipped unnoticed");
        changed[bit / 8] ^= 1 << (bit % 8);
    }
    for len in 0..bytes.len() {
        assert!(
            SegmentIndex::parse(bytes.slice(..len), SEGMENT).is_err(),
            "cut at {len}"
        );
    }
}

#[test]
fn an_index_of_another_segment_is_refused() {
    let bytes = index(&[messages(0, 1, 3, 2)]);
    assert!(SegmentIndex::parse(bytes, SegmentId(SEGMENT.0 + 1)).is_err());
}

#[test]
fn several_filters_are_joined_and_a_rare_topic_is_found() {
    let batches: Vec<_> = (1..=50).map(|index| messages(0, index, 4, 2)).collect();
    let rare = Owned {
        kind: 0,
        qos: 0,
        retain: false,
        namespace: "default".into(),
        topic: "rare/one".into(),
        client_id: String::new(),
        timestamp_ms: 1,
        message_expiry_s: None,
        packet_id: None,
        properties: vec![],
        payload: vec![1, 2, 3],
    };
    let other = Owned {
        namespace: "other".into(),
        ..rare.clone()
    };
    let mut builder = IndexBuilder::new();
    let all = [
        &batches[..],
        &[build(0, 60, &[rare]), build(0, 61, &[other])],
    ]
    .concat();
    all.iter()
        .for_each(|batch| builder.add_batch(batch.index(), 96, batch));
    let index = parse(&builder.finish(SEALED));
    let shard = index.shard(ShardId(0)).expect("has batches");
    assert_eq!(
        shard.postings("default", &[filter("rare/one")]),
        Ok(vec![50])
    );
    assert_eq!(shard.postings("other", &[filter("rare/+")]), Ok(vec![51]));
    assert_eq!(shard.postings("default", &[filter("rare/two")]), Ok(vec![]));
    let joined = shard.postings("default", &[filter("rare/#"), filter("t/0")]);
    assert_eq!(joined, Ok((0..51).collect::<Vec<_>>()));
    assert_eq!(shard.postings("default", &[]), Ok(vec![]));
}

#[test]
#[should_panic(expected = "batches come in index order")]
fn batches_out_of_order_are_a_mistake() {
    let _ = index(&[messages(0, 2, 1, 1), messages(0, 2, 1, 1)]);
}
