//! The newest messages of every topic, found from the end: only batches that
//! hold a message of a topic which still lacks some are read, each once.

use std::collections::BinaryHeap;
use std::io;
use std::ops::ControlFlow;

use hashbrown::HashMap;
use robustmq_protocol::topic::FilterAutomaton;
use robustmq_record::{Batch, BatchEntry, KIND_MESSAGE, Offset, ShardId, ShardIndex};

use super::descent::{Descent, Part};
use super::entries::{Range, holes};
use super::run::{self, Fetched, Outcome, RUN_BYTES_MAX, Run};
use super::{Gap, GapReason, NAMESPACE, Wanted};
use crate::catalog::Span;
use crate::error::ReadError;
use crate::state::LogState;
use crate::{files, indexes};

/// Which messages are looked for.
#[derive(Clone, Copy, Debug)]
pub struct LastQuery<'a> {
    /// Topics that this matches; without a prefix.
    pub filter: &'a FilterAutomaton,
    /// So many of each topic.
    pub count: usize,
    /// Only messages before this offset.
    pub end: Offset,
    /// Only messages stored before this moment.
    pub until_ms: u64,
    /// So many of all topics together are held; more are an error.
    pub picks_max: usize,
}

/// One of the last messages of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicPick {
    /// Where it is.
    pub offset: Offset,
    /// When it was stored.
    pub timestamp_ms: u64,
    /// It is retained and empty: it ends what was retained.
    pub clears: bool,
}

/// The last messages of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPicks {
    /// The Topic Name.
    pub topic: String,
    /// Oldest first; at least one.
    pub picks: Vec<TopicPick>,
}

/// The last messages of the topics of a shard.
#[derive(Clone, Debug, Default)]
pub struct LastOfTopics {
    /// By rising name.
    pub topics: Vec<TopicPicks>,
    /// What is damaged and might have held some of them, newest first.
    pub gaps: Vec<Gap>,
}

/// What was found so far, newest first.
struct Gathered<'a> {
    query: LastQuery<'a>,
    by_topic: HashMap<String, Vec<TopicPick>>,
    picked: usize,
}

impl Gathered<'_> {
    fn lacks(&self, topic: &str) -> bool {
        let picks = self.by_topic.get(topic).map_or(0, Vec::len);
        picks < self.query.count
    }

    /// Nothing before can be wanted. With a wildcard that is never known: an
    /// older segment may hold a topic that nobody has written to since.
    fn is_done(&self) -> bool {
        let only = self.query.filter.exact();
        let only = only.and_then(|topic| std::str::from_utf8(topic).ok());
        self.is_over() || self.query.count == 0 || only.is_some_and(|topic| !self.lacks(topic))
    }

    fn is_over(&self) -> bool {
        self.picked > self.query.picks_max
    }

    fn take(&mut self, batch: &Batch) -> ControlFlow<()> {
        let query = self.query;
        if batch.timestamp_ms_min() >= query.until_ms {
            return ControlFlow::Continue(());
        }
        let wanted: Vec<bool> = batch
            .topics()
            .map(|(_, namespace, topic)| {
                namespace == NAMESPACE
                    && query.filter.matches(topic.as_bytes())
                    && self.lacks(topic)
            })
            .collect();
        if wanted.contains(&true) {
            let records = batch.records().rev().filter(|record| {
                record.kind() == KIND_MESSAGE
                    && wanted[record.topic_id() as usize]
                    && record.offset() < query.end
                    && record.timestamp_ms() < query.until_ms
            });
            for record in records {
                let picks = self.by_topic.entry_ref(record.topic()).or_default();
                if picks.len() < query.count {
                    picks.push(TopicPick {
                        offset: record.offset(),
                        timestamp_ms: record.timestamp_ms(),
                        clears: record.retain() && record.payload().is_empty(),
                    });
                    self.picked += 1;
                }
            }
        }
        match self.is_done() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn finish(self, mut gaps: Vec<Gap>) -> LastOfTopics {
        // Holes of a segment are noted before its batches are read.
        gaps.sort_unstable_by_key(|gap| std::cmp::Reverse(gap.start));
        gaps.dedup();
        let reversed = |(topic, mut picks): (String, Vec<TopicPick>)| {
            picks.reverse();
            TopicPicks { topic, picks }
        };
        let mut topics: Vec<TopicPicks> = self.by_topic.into_iter().map(reversed).collect();
        topics.sort_unstable_by(|a, b| a.topic.cmp(&b.topic));
        LastOfTopics { topics, gaps }
    }
}

/// See [`super::LogReader::last_of_topics`].
pub(super) fn last_of_topics(
    state: &LogState,
    shard: ShardId,
    query: LastQuery<'_>,
) -> Result<LastOfTopics, ReadError> {
    let mut descent = Descent::new(state, shard, query.end);
    let mut gathered = Gathered {
        query,
        by_topic: HashMap::new(),
        picked: 0,
    };
    while !gathered.is_done() {
        match descent.next_part() {
            None => break,
            Some(Part::Cached(batches)) => {
                for batch in batches {
                    descent.index_end = batch.index();
                    if gathered.take(&batch).is_break() {
                        break;
                    }
                }
            }
            Some(Part::Stored(span, range)) => {
                let outcome = take_stored(&mut descent, &mut gathered, &span, range);
                descent.settle(&span, outcome)?;
            }
        }
    }
    if gathered.is_over() {
        return Err(ReadError::TooMany(query.picks_max));
    }
    Ok(gathered.finish(descent.gaps))
}

/// Batches of a segment without an index that are looked at before the segment
/// is asked again: it may have got one.
const SCANNED_BATCHES: u64 = 1024;

fn take_stored(
    descent: &mut Descent<'_>,
    gathered: &mut Gathered<'_>,
    span: &Span,
    range: Range,
) -> io::Result<Outcome> {
    if span.segment.tables.read().is_some() {
        let start = range.start.max(range.end.saturating_sub(SCANNED_BATCHES));
        let part = Range { start, ..range };
        let mut take = |batch: std::sync::Arc<Batch>| gathered.take(&batch);
        return descent.take_stored(span, part, Wanted::All, RUN_BYTES_MAX, &mut take);
    }
    let index = indexes::load(descent.state, &span.segment)?;
    let Some(table) = index.shard(descent.shard) else {
        missing(descent, span, range);
        descent.index_end = range.start;
        return Ok(Outcome::Done);
    };
    if !span.segment.info.compacted {
        for hole in holes(&table, range) {
            missing(descent, span, hole);
        }
        descent.index_end = range.end;
    }
    if table.timestamp_ms_min() < gathered.query.until_ms {
        let postings = Postings::gather(&table, range, gathered).map_err(io::Error::other)?;
        if let Outcome::Retired = take_postings(descent, gathered, span, &table, postings)? {
            return Ok(Outcome::Retired);
        }
    }
    descent.index_end = range.start;
    Ok(Outcome::Done)
}

/// What compaction has removed is gone on purpose, and no last message.
fn missing(descent: &mut Descent<'_>, span: &Span, hole: Range) {
    if let GapReason::Damage = run::hole_reason(span) {
        descent.index_end = hole.end;
        descent.gap(hole.start, GapReason::Damage);
    }
}

/// The topics of a segment that still lack messages: the batches of each that
/// were not looked at yet, and the newest of these of all topics.
#[derive(Default)]
struct Postings {
    topics: Vec<(String, Vec<u32>)>,
    newest: BinaryHeap<(u32, usize)>,
}

impl Postings {
    fn gather(
        table: &ShardIndex<'_>,
        range: Range,
        gathered: &Gathered<'_>,
    ) -> Result<Self, robustmq_record::FormatError> {
        let ordinal = |index| {
            let entry = table.seek_index(index);
            entry.map_or(table.batch_count(), |entry| entry.ordinal)
        };
        let (start, end) = (ordinal(range.start), ordinal(range.end));
        let mut postings = Self::default();
        table.topics(NAMESPACE, gathered.query.filter, None, |entry, posting| {
            if gathered.lacks(entry.topic) {
                let mut ordinals = posting.ordinals()?;
                ordinals.retain(|ordinal| (start..end).contains(ordinal));
                if let Some(newest) = ordinals.pop() {
                    postings.newest.push((newest, postings.topics.len()));
                    postings.topics.push((entry.topic.to_owned(), ordinals));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(postings)
    }

    /// The newest batch that a topic is in which still lacks messages. What
    /// is known of the topics is known of all batches behind it.
    fn next(&mut self, gathered: &Gathered<'_>) -> Option<u32> {
        loop {
            let (ordinal, topic) = *self.newest.peek()?;
            if gathered.lacks(&self.topics[topic].0) {
                return Some(ordinal);
            }
            self.newest.pop();
        }
    }

    /// The batch was looked at.
    fn pass(&mut self, ordinal: u32) {
        while let Some(&(newest, topic)) = self.newest.peek()
            && newest == ordinal
        {
            self.newest.pop();
            if let Some(next) = self.topics[topic].1.pop() {
                self.newest.push((next, topic));
            }
        }
    }
}

fn take_postings(
    descent: &mut Descent<'_>,
    gathered: &mut Gathered<'_>,
    span: &Span,
    table: &ShardIndex<'_>,
    mut postings: Postings,
) -> io::Result<Outcome> {
    let file = files::open(descent.state, &span.segment)?;
    while let Some(ordinal) = postings.next(gathered) {
        postings.pass(ordinal);
        let Some(entry) = table.batch(ordinal) else {
            continue;
        };
        if entry.timestamp_ms_min >= gathered.query.until_ms {
            continue;
        }
        let entries: [BatchEntry; 1] = [entry];
        let run = Run::read(descent.state, span, descent.shard, &*file, &entries)?;
        match descent.take_one(&run, &entry) {
            Fetched::Retired => return Ok(Outcome::Retired),
            Fetched::Damaged => (),
            Fetched::Batch(batch) => {
                if gathered.take(&batch).is_break() {
                    break;
                }
            }
        }
    }
    Ok(Outcome::Done)
}
