//! Reads towards the start.

use std::sync::Arc;

use robustmq_record::{Batch, KIND_MESSAGE, Offset};

use super::sample::{FILTERS, SHARD, Sample, filter};
use crate::{Gap, ReadLimits};

/// Reads to the start in small steps: offsets of the batches, and the gaps.
fn read_back(sample: &mut Sample, end: Offset, text: Option<&str>) -> (Vec<Offset>, Vec<Gap>) {
    let filters = text.map(|text| [filter(text)]);
    let filters = filters.as_ref().map(|filters| &filters[..]);
    let (mut found, mut gaps, mut next) = (Vec::new(), Vec::new(), end);
    loop {
        let limits = ReadLimits {
            bytes_max: 1 + sample.chance.below(4000) as usize,
            batches_max: 1 + sample.chance.below(6) as usize,
        };
        let reader = sample.bench.reader();
        let chunk = reader
            .read_back(SHARD, next, filters, limits)
            .expect("reads");
        assert!(chunk.batches.len() <= limits.batches_max);
        assert!(chunk.next_end <= next, "{}", sample.context);
        assert!(
            chunk.next_end < next || chunk.at_start,
            "{}: reading goes on",
            sample.context
        );
        found.extend(chunk.batches.iter().map(|batch| batch.first_offset()));
        gaps.extend(chunk.gaps);
        next = chunk.next_end;
        if chunk.at_start {
            return (found, gaps);
        }
    }
}

/// Whether a batch holds a message of the filter. That of a state record may
/// be handed over too: only an index tells them apart.
fn holds_match(batch: &Batch, text: Option<&str>) -> bool {
    let Some(automaton) = text.map(filter) else {
        return true;
    };
    let mut messages = batch
        .records()
        .filter(|record| record.kind() == KIND_MESSAGE);
    messages.any(|record| automaton.matches(record.topic().as_bytes()))
}

fn expected(sample: &Sample, end: Offset, text: Option<&str>) -> Vec<Offset> {
    let before = |batch: &&Arc<Batch>| Offset::new(batch.index(), 0) < end;
    let batches = sample.batches.iter().rev().filter(before);
    batches
        .filter(|batch| holds_match(batch, text))
        .map(|batch| batch.first_offset())
        .collect()
}

#[test]
fn what_is_read_back_is_what_is_read_reversed() {
    for seed in 0..120 {
        let mut sample = Sample::new(seed);
        for round in 0..6 {
            let text = (round > 0).then(|| FILTERS[sample.chance.below(8) as usize]);
            let end = sample.offset();
            let expected = expected(&sample, end, text);
            let (mut found, gaps) = read_back(&mut sample, end, text);
            let context = format!("{}: {text:?} before {end:?}", sample.context);
            found.retain(|offset| {
                let known = |batch: &&Arc<Batch>| batch.first_offset() == *offset;
                let batch = sample.batches.iter().find(known);
                holds_match(batch.expect("a plain read finds it"), text)
            });
            assert_eq!(found, expected, "{context}");
            for gap in &gaps {
                let known = |known: &&Gap| {
                    known.start <= gap.start && gap.end <= known.end && known.reason == gap.reason
                };
                assert!(
                    sample.gaps.iter().any(|gap| known(&gap)),
                    "{context}: {gap:?} of {:?}",
                    sample.gaps
                );
            }
            if text.is_none() && end == Offset::MAX {
                let missing = |gaps: &[Gap]| -> u64 {
                    let start = Offset::new(sample.bench.reader().position(SHARD).local_start, 0);
                    let kept = gaps.iter().filter(|gap| gap.end > start);
                    kept.map(|gap| gap.end.index() - gap.start.max(start).index())
                        .sum()
                };
                assert_eq!(missing(&gaps), missing(&sample.gaps), "{context}");
            }
        }
    }
}
