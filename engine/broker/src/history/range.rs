//! From a range as the client spells it to places in the log, as the log is
//! now. Blocks on the disk.

use robustmq_log::{LastQuery, LogReader, ReadError, ReadLimits};
use robustmq_protocol::topic::{FilterAutomaton, Moment, ReplayPosition, ReplayRange};
use robustmq_record::{Batch, Offset, OffsetToken, ShardId};

use super::last;
use crate::positions::Positions;
use crate::shard_map::{DEFAULT_NAMESPACE, ShardMap};

/// Behind every offset: shards that a filter does not reach are done with.
pub(crate) const UNREACHED: Offset = Offset::MAX;

/// A range that cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RangeError {
    /// `o:…` with something else behind it.
    #[error("`{0}` is no offset token: use what x-offset said")]
    Token(String),
    /// More topics than are held at a time.
    #[error("more than {0} messages are the last of their topics: use a narrower filter")]
    TooMany(usize),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A range in the log.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// Where reading begins.
    pub(crate) from: Positions,
    /// Where it ends; none goes on live.
    pub(crate) end: Option<Positions>,
    /// Messages before this moment are not part of it.
    pub(crate) since_ms: u64,
    /// Messages from this moment on are not part of it.
    pub(crate) until_ms: u64,
    /// The messages themselves, in order, where the range is no interval;
    /// reading goes on from `from` afterwards.
    pub(crate) picks: Option<Vec<(ShardId, Offset)>>,
    /// What is before this was there when the range was resolved.
    pub(crate) history_end: Positions,
    /// The range begins before what is kept.
    pub(crate) is_cut: bool,
}

/// Resolves ranges of one filter.
pub(crate) struct Resolver<'a> {
    pub(crate) reader: &'a LogReader,
    pub(crate) map: ShardMap,
    pub(crate) filter: &'a str,
    pub(crate) now_ms: u64,
    /// Up to where the log is to be seen.
    pub(crate) visible: Positions,
}

/// One end of an interval: places, and the moment that decides within a batch.
struct Edge {
    places: Positions,
    moment_ms: Option<u64>,
    is_cut: bool,
}

impl Resolver<'_> {
    pub(crate) fn resolve(&self, range: &ReplayRange) -> Result<Resolved, RangeError> {
        let end = match &range.end {
            None => None,
            Some(end) => Some(self.edge(end, true)?),
        };
        let until_ms = end.as_ref().and_then(|end| end.moment_ms);
        let picked = match &range.start {
            ReplayPosition::Last(count) => Some((*count as usize, None)),
            ReplayPosition::At(moment) => Some((1, Some(*moment))),
            _ => None,
        };
        if let Some((count, at)) = picked {
            let picks = self.pick(count, at, end.as_ref())?;
            return Ok(Resolved {
                from: self.visible.clone(),
                // `at:` is a moment of the past; there is nothing to follow.
                end: (end.is_some() || at.is_some()).then(|| self.visible.clone()),
                since_ms: 0,
                until_ms: u64::MAX,
                picks: Some(picks),
                history_end: self.visible.clone(),
                is_cut: false,
            });
        }
        let start = self.edge(&range.start, false)?;
        Ok(Resolved {
            from: start.places,
            end: end.map(|end| end.places),
            since_ms: start.moment_ms.unwrap_or(0),
            until_ms: until_ms.unwrap_or(u64::MAX),
            picks: None,
            history_end: self.visible.clone(),
            is_cut: start.is_cut,
        })
    }

    /// The shards that can hold a match.
    fn reached(&self) -> impl Iterator<Item = ShardId> {
        let only = (!robustmq_protocol::topic::has_wildcard(self.filter))
            .then(|| self.map.topic(DEFAULT_NAMESPACE, self.filter));
        self.map
            .shards()
            .filter(move |shard| only.is_none_or(|only| only == *shard))
    }

    /// Places by shard; those not reached are behind everything.
    fn places(
        &self,
        mut place: impl FnMut(ShardId) -> Result<Offset, RangeError>,
    ) -> Result<Positions, RangeError> {
        let mut places: Positions = self.map.shards().map(|shard| (shard, UNREACHED)).collect();
        for shard in self.reached() {
            places.set(shard, place(shard)?);
        }
        Ok(places)
    }

    fn oldest(&self, shard: ShardId) -> Offset {
        Offset::new(self.reader.position(shard).local_start, 0)
    }

    fn edge(&self, position: &ReplayPosition, is_end: bool) -> Result<Edge, RangeError> {
        let plain = |places| Edge {
            places,
            moment_ms: None,
            is_cut: false,
        };
        Ok(match position {
            ReplayPosition::Earliest => plain(self.places(|shard| Ok(self.oldest(shard)))?),
            ReplayPosition::Time(moment) => self.moment(moment.to_unix_ms(self.now_ms), is_end)?,
            ReplayPosition::Offset(token) => self.token(token, is_end)?,
            // The others pick messages and are no edges; `latest` is now.
            ReplayPosition::Latest | ReplayPosition::Last(_) | ReplayPosition::At(_) => {
                plain(self.places(|shard| Ok(self.visible.get(shard)))?)
            }
        })
    }

    /// The batches around a moment; within the batch the messages' own times
    /// decide, so an end takes the batch in.
    fn moment(&self, moment_ms: u64, is_end: bool) -> Result<Edge, RangeError> {
        let mut is_cut = false;
        let places = self.places(|shard| {
            let found = self.reader.find_time(shard, moment_ms)?;
            let oldest = self.oldest(shard);
            let begins_late = found == oldest && self.reader.position(shard).local_start > 1;
            is_cut |= begins_late && self.starts_after(shard, oldest, moment_ms)?;
            Ok(match is_end {
                true if found < self.visible.get(shard) => Offset::new(found.index() + 1, 0),
                true => self.visible.get(shard),
                false => found,
            })
        })?;
        Ok(Edge {
            places,
            moment_ms: Some(moment_ms),
            is_cut,
        })
    }

    fn starts_after(
        &self,
        shard: ShardId,
        oldest: Offset,
        moment_ms: u64,
    ) -> Result<bool, RangeError> {
        let first = self.batch_from(shard, oldest)?;
        Ok(first.is_some_and(|batch| batch.timestamp_ms_min() > moment_ms))
    }

    fn batch_from(
        &self,
        shard: ShardId,
        from: Offset,
    ) -> Result<Option<std::sync::Arc<Batch>>, RangeError> {
        let limits = ReadLimits {
            bytes_max: 1,
            batches_max: 1,
        };
        let chunk = self.reader.read(shard, from, None, limits)?;
        Ok(chunk.batches.into_iter().next())
    }

    /// The message a token names; in the other shards, its time.
    fn token(&self, text: &str, is_end: bool) -> Result<Edge, RangeError> {
        let bad = || RangeError::Token(text.to_owned());
        let token: OffsetToken = text.parse().map_err(|_| bad())?;
        if !self.map.shards().any(|shard| shard == token.shard) {
            return Err(bad());
        }
        let is_cut = token.offset < self.oldest(token.shard);
        let batch = self.batch_from(token.shard, token.offset)?;
        let time_ms = batch.as_ref().map_or(self.now_ms, |batch| {
            let named = batch.records_from(token.offset).next();
            named.map_or(batch.timestamp_ms_max(), |record| record.timestamp_ms())
        });
        let elsewhere = self.moment(time_ms, is_end)?;
        let mut places = elsewhere.places;
        if self.reached().any(|shard| shard == token.shard) {
            places.set(token.shard, token.offset);
        }
        Ok(Edge {
            places,
            moment_ms: None,
            is_cut,
        })
    }

    fn pick(
        &self,
        count: usize,
        at: Option<Moment>,
        end: Option<&Edge>,
    ) -> Result<Vec<(ShardId, Offset)>, RangeError> {
        let until_ms = at
            .map(|moment| moment.to_unix_ms(self.now_ms).saturating_add(1))
            .or_else(|| end.and_then(|end| end.moment_ms))
            .unwrap_or(u64::MAX);
        let Ok(automaton) = FilterAutomaton::parse(self.filter) else {
            return Ok(Vec::new());
        };
        let mut found = last::Picks::new(at.is_some());
        for shard in self.reached() {
            let visible = self.visible.get(shard);
            let query = LastQuery {
                filter: &automaton,
                count,
                end: end.map_or(visible, |end| end.places.get(shard).min(visible)),
                until_ms,
                picks_max: found.room(),
            };
            let last = match self.reader.last_of_topics(shard, query) {
                Err(ReadError::TooMany(_)) => return Err(RangeError::TooMany(last::PICKS_MAX)),
                last => last?,
            };
            found.add(shard, last.topics);
        }
        Ok(found.finish())
    }
}
