//! The last messages of every topic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use robustmq_record::{KIND_MESSAGE, Offset};

use super::sample::{FILTERS, SHARD, Sample, append, filter};
use crate::disk::Disk;
use crate::file_names;
use crate::sim::SimDisk;
use crate::testing::{Bench, History};
use crate::{Clock, GapReason, LastQuery, ReadError, TopicPick, TopicPicks};

#[test]
fn they_are_those_that_a_read_of_everything_finds() {
    let (mut damaged, mut compacted) = (0, 0);
    for seed in 0..160 {
        let mut sample = Sample::new(seed);
        damaged += u32::from(sample.is_damaged());
        compacted += u32::from(sample.gaps.len() > 1 && !sample.is_damaged());
        for _ in 0..8 {
            let text = FILTERS[sample.chance.below(8) as usize];
            let automaton = filter(text);
            let now_ms = sample.bench.clock.wall_ms();
            let query = LastQuery {
                filter: &automaton,
                count: sample.chance.below(5) as usize,
                end: sample.offset(),
                until_ms: match sample.chance.below(2) {
                    0 => u64::MAX,
                    _ => now_ms - sample.chance.below(3000).min(now_ms),
                },
                picks_max: usize::MAX,
            };
            let mut by_topic = BTreeMap::<String, Vec<TopicPick>>::new();
            for message in sample.messages(&automaton) {
                if message.offset < query.end && message.timestamp_ms < query.until_ms {
                    by_topic.entry(message.topic).or_default().push(TopicPick {
                        offset: message.offset,
                        timestamp_ms: message.timestamp_ms,
                        clears: message.clears,
                    });
                }
            }
            let expected: Vec<TopicPicks> = by_topic
                .into_iter()
                .map(|(topic, mut picks)| {
                    let picks = picks.split_off(picks.len().saturating_sub(query.count));
                    TopicPicks { topic, picks }
                })
                .filter(|topic| !topic.picks.is_empty())
                .collect();
            let reader = sample.bench.reader();
            let found = reader.last_of_topics(SHARD, query).expect("reads");
            let context = format!("{}: {text} {query:?}", sample.context);
            assert_eq!(found.topics, expected, "{context}");
            for gap in &found.gaps {
                assert_eq!(gap.reason, GapReason::Damage);
                let known = sample
                    .gaps
                    .iter()
                    .any(|known| known.start <= gap.start && gap.end <= known.end);
                assert!(known, "{context}: {gap:?} of {:?}", sample.gaps);
            }
            let total: usize = expected.iter().map(|topic| topic.picks.len()).sum();
            if total > 0 {
                let picks_max = total - 1;
                let query = LastQuery { picks_max, ..query };
                let refused = reader.last_of_topics(SHARD, query);
                assert!(matches!(refused, Err(ReadError::TooMany(max)) if max == picks_max));
            }
        }
    }
    assert!(damaged > 10 && compacted > 4, "{damaged}, {compacted}");
}

/// Every batch that does not hold one of the messages is damaged: whoever reads
/// it notices.
#[test]
fn other_batches_are_not_read() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let mut bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens");
    let mut rare = Vec::new();
    for number in 0..200 {
        let now_ms = bench.clock.wall_ms();
        let topic = if number % 20 == 3 { "rare" } else { "frequent" };
        if topic == "rare" {
            rare.push(number + 1);
        }
        let record = (topic, &[7; 300][..], false, KIND_MESSAGE);
        append(&mut bench, SHARD, &[now_ms], &[record]);
    }
    // The newest segment has no index: it has to be scanned, and is left whole.
    bench.background();
    let state = Arc::clone(&bench.parts.state);
    let catalog = state.catalog();
    assert!(catalog.segments().len() > 8);
    let mut damaged = 0;
    for span in catalog.spans(SHARD) {
        if span.segment.tables.read().is_some() {
            continue;
        }
        let index = crate::indexes::load(&state, &span.segment).expect("loads");
        let table = index.shard(SHARD).expect("has batches");
        for entry in table.batches().filter(|entry| !rare.contains(&entry.index)) {
            let name = file_names::segment(span.segment.id());
            disk.flip_bit(&name, entry.position * 8 + 500);
            damaged += 1;
        }
    }
    drop((bench, state));
    let small = |config: &mut crate::LogConfig| config.tail_cache_bytes = 1;
    let reopened: Arc<dyn Disk> = Arc::new(disk);
    let bench = Bench::open_with(reopened, &history, small).expect("opens again");
    let before = bench.parts.state.counters.damages.load(Ordering::SeqCst);
    for (text, count) in [("rare", 4), ("rare/#", 9), ("rare", 100)] {
        let query = LastQuery {
            filter: &filter(text),
            count,
            end: Offset::MAX,
            until_ms: u64::MAX,
            picks_max: 100,
        };
        let found = bench.reader().last_of_topics(SHARD, query).expect("reads");
        let picks = found.topics[0].picks.iter().map(|pick| pick.offset.index());
        let expected = &rare[rare.len().saturating_sub(count)..];
        assert_eq!(picks.collect::<Vec<_>>(), expected);
        assert_eq!(found.gaps, []);
    }
    let after = bench.parts.state.counters.damages.load(Ordering::SeqCst);
    assert!(damaged > 100 && before == after, "{before}, {after}");
}
