//! What a subscriber has received of each flow (one publisher's messages on one
//! topic): what came twice, what came late, what is missing.
//!
//! **Invariants**
//! 1. A message is new, late (new, but behind one that was sent after it) or a
//!    duplicate; each is counted once.
//! 2. While nothing is missing a message costs one comparison and one addition.

use std::collections::{BTreeMap, HashMap};

/// Gaps that are remembered; beyond, the oldest is forgotten, and what still
/// comes to fill it counts as a duplicate.
const GAPS_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct Sequences {
    flow_start: u32,
    /// Per flow the number that comes next.
    next: Vec<u64>,
    /// Per flow what was skipped: start (inside) and end (not inside).
    gaps: HashMap<u32, BTreeMap<u64, u64>>,
    gap_count: usize,
    /// All messages, duplicates included.
    pub(crate) received: u64,
    pub(crate) duplicates: u64,
    /// Messages behind one that was sent after them.
    pub(crate) disordered: u64,
    /// Messages of flows that this subscriber has not asked for.
    pub(crate) foreign: u64,
}

impl Sequences {
    /// For `flows` flows from `flow_start` on.
    pub(crate) fn new(flow_start: u32, flows: u32) -> Self {
        Self {
            flow_start,
            next: vec![0; flows as usize],
            ..Self::default()
        }
    }

    /// Different messages.
    pub(crate) fn distinct(&self) -> u64 {
        self.received - self.duplicates
    }

    pub(crate) fn take(&mut self, flow: u32, number: u64) {
        let place = flow.wrapping_sub(self.flow_start);
        let Some(next) = self.next.get_mut(place as usize) else {
            self.foreign += 1;
            return;
        };
        self.received += 1;
        if number == *next {
            *next += 1;
        } else if number > *next {
            let gap = (*next, number);
            *next = number.wrapping_add(1);
            self.skip(place, gap);
        } else if self.fill(place, number) {
            self.disordered += 1;
        } else {
            self.duplicates += 1;
        }
    }

    fn skip(&mut self, flow: u32, (start, end): (u64, u64)) {
        let gaps = self.gaps.entry(flow).or_default();
        gaps.insert(start, end);
        if self.gap_count < GAPS_MAX {
            self.gap_count += 1;
        } else {
            gaps.pop_first();
        }
    }

    /// Takes a number out of a gap; false if it is in none.
    fn fill(&mut self, flow: u32, number: u64) -> bool {
        let Some(gaps) = self.gaps.get_mut(&flow) else {
            return false;
        };
        let Some((&start, &end)) = gaps.range(..=number).next_back() else {
            return false;
        };
        if number >= end {
            return false;
        }
        gaps.remove(&start);
        self.gap_count -= 1;
        for (start, end) in [(start, number), (number + 1, end)] {
            if start < end {
                gaps.insert(start, end);
                self.gap_count += 1;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
