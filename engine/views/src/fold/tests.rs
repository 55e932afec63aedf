//! Laws of folding, over made-up logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use robustmq_record::{Batch, Offset, ShardId};

use crate::memory::MemoryStore;
use crate::testing::{self, Chance, MemoryDisk, SampleLog, SampleRecord, Sampler};
use crate::views::{Counts, Views};

fn new_views() -> Views {
    Views::new(Arc::new(MemoryStore::new())).expect("memory can be read")
}

fn fold_each(batches: &[Arc<Batch>]) -> Views {
    let views = new_views();
    for batch in batches {
        views.apply(batch).expect("memory takes writes");
    }
    views
}

fn digest(views: &Views) -> u64 {
    views.digest().expect("memory can be read")
}

fn sample_log(seed: u64) -> SampleLog {
    let mut log = SampleLog::new();
    Sampler::new(seed).append_to(&mut log, 40);
    log
}

/// The same log with the shards interleaved otherwise.
fn interleaved(log: &SampleLog, chance: &mut Chance) -> Vec<Arc<Batch>> {
    let mut queues: BTreeMap<ShardId, Vec<Arc<Batch>>> = BTreeMap::new();
    for batch in log.batches().iter().rev() {
        queues
            .entry(batch.shard())
            .or_default()
            .push(Arc::clone(batch));
    }
    let mut queues: Vec<_> = queues.into_values().collect();
    let mut mixed = Vec::new();
    while !queues.is_empty() {
        let chosen = chance.below(queues.len() as u64) as usize;
        mixed.extend(queues[chosen].pop());
        queues.retain(|queue| !queue.is_empty());
    }
    mixed
}

/// What views hold, with offsets of messages replaced by their number in the
/// log, so that logs batched differently can be compared.
fn contents(views: &Views, numbers: &BTreeMap<(ShardId, Offset), usize>) -> String {
    let mut text = String::new();
    let visited = views.for_each_session(&mut |session| {
        text += &format!("{session:?}\n");
        true
    });
    visited.expect("memory can be read");
    let retained = views.retained("#", 0, usize::MAX, None);
    for mut message in retained.expect("memory can be read") {
        let number = numbers[&(message.shard, message.offset)];
        message.offset = Offset(number as u64);
        text += &format!("{message:?}\n");
    }
    for client in 0..4 {
        let open = views.inbound_qos2(&format!("client{client}"));
        for (packet_id, shard, offset) in open.expect("memory can be read") {
            let number = numbers[&(shard, offset)];
            text += &format!("client{client} {packet_id} {number}\n");
        }
    }
    text + &format!("{:?}", views.due(u64::MAX, usize::MAX))
}

/// The records of a seed in batches of random sizes, and the records' numbers.
fn batched(
    records: &[(ShardId, SampleRecord)],
    chance: &mut Chance,
) -> (SampleLog, BTreeMap<(ShardId, Offset), usize>) {
    let mut log = SampleLog::new();
    let mut numbers = BTreeMap::new();
    let mut open: BTreeMap<ShardId, Vec<usize>> = BTreeMap::new();
    let mut close = |shard: ShardId, open: &mut Vec<usize>| {
        let members: Vec<_> = open
            .iter()
            .map(|number| records[*number].1.clone())
            .collect();
        if members.is_empty() {
            return;
        }
        let batch = log.append(shard, &members);
        for (slot, number) in open.drain(..).enumerate() {
            numbers.insert((shard, Offset::new(batch.index(), slot as u16)), number);
        }
    };
    for (number, (shard, _)) in records.iter().enumerate() {
        let members = open.entry(*shard).or_default();
        members.push(number);
        if chance.once_in(4) {
            close(*shard, members);
        }
    }
    for (shard, members) in &mut open {
        close(*shard, members);
    }
    (log, numbers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn how_records_are_batched_makes_no_difference(seed in any::<u64>()) {
        let mut sampler = Sampler::new(seed);
        let records: Vec<_> = (0..120).map(|_| sampler.record()).collect();
        let mut chance = Chance::new(!seed);
        let (log, numbers) = batched(&records, &mut chance);
        let expected = contents(&fold_each(log.batches()), &numbers);
        let (log, numbers) = batched(&records, &mut chance);
        prop_assert_eq!(contents(&fold_each(log.batches()), &numbers), expected);
    }

    #[test]
    fn how_batches_are_applied_makes_no_difference(seed in any::<u64>()) {
        let log = sample_log(seed);
        let expected = digest(&fold_each(log.batches()));
        let mut chance = Chance::new(!seed);
        let views = new_views();
        let mixed = interleaved(&log, &mut chance);
        let mut rest = &mixed[..];
        while !rest.is_empty() {
            let count = 1 + chance.below(rest.len() as u64) as usize;
            let (first, others) = rest.split_at(count);
            views.apply_all(first).expect("memory takes writes");
            rest = others;
        }
        prop_assert_eq!(digest(&views), expected);
    }

    #[test]
    fn applying_again_changes_nothing(seed in any::<u64>()) {
        let log = sample_log(seed);
        let views = fold_each(log.batches());
        let expected = digest(&views);
        views.apply_all(log.batches()).expect("memory takes writes");
        for batch in log.batches() {
            views.apply(batch).expect("memory takes writes");
        }
        prop_assert_eq!(digest(&views), expected);
        for shard in Sampler::shards() {
            prop_assert_eq!(views.applied(shard).max(Offset::new(1, 0)), log.end(shard));
        }
    }

    #[test]
    fn crashes_make_no_difference(seed in any::<u64>()) {
        testing::check_crashes(seed, &mut MemoryDisk::default());
    }

    #[test]
    fn removed_segments_make_no_difference(seed in any::<u64>()) {
        testing::check_removal(seed, &mut || Arc::new(MemoryStore::new()));
    }

    /// Views that were kept while the log lost more of its beginning than they
    /// had folded are folded anew, nothing stale stays.
    #[test]
    fn stale_views_are_folded_anew(seed in any::<u64>()) {
        let log = sample_log(seed);
        let stale = fold_each(&log.batches()[..log.batches().len() / 2]);
        let fresh = new_views();
        let mut left = log.clone();
        for shard in Sampler::shards() {
            let end = log.end(shard);
            left.remove_before(shard, end);
            for views in [&stale, &fresh] {
                let start = views.begin(shard, end).expect("memory takes writes");
                prop_assert_eq!(start, end);
            }
        }
        prop_assert!(left.batches().is_empty());
        prop_assert_eq!(digest(&stale), digest(&fresh));
        prop_assert_eq!(stale.counts().expect("memory can be read"), Default::default());
    }
}

/// The made-up logs are worth something: every view gets entries.
#[test]
fn made_up_logs_fill_every_view() {
    let mut filled = Counts::default();
    for seed in 0..40 {
        let counts = fold_each(sample_log(seed).batches()).counts();
        let counts = counts.expect("memory can be read");
        filled.sessions += counts.sessions;
        filled.subscriptions += counts.subscriptions;
        filled.retained += counts.retained;
        filled.inbound += counts.inbound;
        filled.timers += counts.timers;
    }
    let Counts {
        sessions,
        subscriptions,
        retained,
        inbound,
        timers,
    } = filled;
    for count in [sessions, subscriptions, retained, inbound, timers] {
        assert!(count >= 10, "{filled:?}");
    }
}
