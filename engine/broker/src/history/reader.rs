//! A reader of one range: from its first message to its last, and on with what
//! is published where it has no end.

use std::sync::Arc;

use robustmq_protocol::QoS;
use robustmq_protocol::topic::{Filter, ReplayRange};
use robustmq_record::{Offset, ShardId};

use super::bookmark::{Bookmark, Place};
use super::catch_up::{self, CatchUp, Step};
use super::message::is_expired;
use super::picks::{self, Order, Picking};
use super::{HistoryError, HistoryMessage, Resolved, Resolver, Watch, blocking};
use crate::broker::Broker;
use crate::link::Delivery;
use crate::positions::Positions;
use crate::subscription::SubscriptionOptions;
use crate::subscriptions::{Subscription, Subscriptions};

/// Bytes of messages in one page; one message is given even if it is larger.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// A range of the history of the topics a filter matches, as people spell it.
#[derive(Clone, Debug)]
pub struct Query {
    /// The Topic Filter.
    pub filter: String,
    /// Where to begin, as in `$replay/{start}`.
    pub from: String,
    /// Where to end; none goes on with what is published.
    pub to: Option<String>,
}

/// Some messages, in order.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// The messages.
    pub messages: Vec<HistoryMessage>,
    /// Nothing more is there at present; or ever, where the range has an end.
    pub at_end: bool,
    /// Ranges of the log that are gone, by retention or damage.
    pub missing: u64,
    /// Messages left out because their Message Expiry Interval has passed.
    pub expired: u64,
}

/// Stands somewhere in a range.
pub struct HistoryReader {
    broker: Arc<Broker>,
    filter: String,
    subscriptions: Subscriptions,
    picking: Option<Picking>,
    reading: CatchUp,
    current: Option<Delivery>,
    since_ms: u64,
    until_ms: u64,
    end: Option<Positions>,
    is_cut: bool,
    watch: Option<Watch>,
}

/// A reader's one subscription: everything the filter matches.
pub(crate) fn everything(filter: &str) -> Subscriptions {
    let mut subscriptions = Subscriptions::default();
    subscriptions.insert(
        filter,
        Subscription {
            options: SubscriptionOptions {
                qos: QoS::ExactlyOnce,
                no_local: false,
                retain_as_published: false,
                identifier: None,
            },
            retain_handling: 2,
            starts: Positions::default(),
        },
    );
    subscriptions
}

/// Checks a filter from outside: a plain one, without prefix.
pub(crate) fn check_filter(filter: &str) -> Result<(), HistoryError> {
    let wrong = |why: &dyn std::fmt::Display| {
        HistoryError::Asked(format!("`{filter}` is no topic filter: {why}"))
    };
    match Filter::parse(filter) {
        Ok(parsed) if parsed.group().is_some() => Err(wrong(&"give it without $share")),
        Ok(_) => Ok(()),
        Err(error) => Err(wrong(&error)),
    }
}

/// Resolves a range where blocking is allowed.
pub(crate) fn resolve(
    broker: &Broker,
    filter: &str,
    range: &ReplayRange,
    now_ms: u64,
    visible: Positions,
) -> Result<Resolved, HistoryError> {
    let resolver = Resolver {
        reader: &broker.reader,
        map: broker.shard_map,
        filter,
        now_ms,
        visible,
    };
    Ok(resolver.resolve(range)?)
}

impl HistoryReader {
    /// Begins at the start of a range.
    ///
    /// # Errors
    /// When the filter or the range is wrong, or the log cannot be read.
    pub async fn open(broker: &Arc<Broker>, query: &Query) -> Result<Self, HistoryError> {
        let now_ms = broker.clock.wall_ms();
        let visible = broker.dispatch.progress().positions();
        Self::begin(broker, query, now_ms, visible).await
    }

    async fn begin(
        broker: &Arc<Broker>,
        query: &Query,
        now_ms: u64,
        visible: Positions,
    ) -> Result<Self, HistoryError> {
        check_filter(&query.filter)?;
        let range = ReplayRange::from_parts(&query.from, query.to.as_deref())
            .map_err(|error| HistoryError::asked(&error))?;
        let (inner, filter) = (Arc::clone(broker), query.filter.clone());
        let seen = visible.clone();
        let resolved = blocking(broker, move || {
            resolve(&inner, &filter, &range, now_ms, seen)
        })
        .await?;
        let picking = resolved
            .picks
            .map(|picks| Picking::new(query, now_ms, visible, picks));
        let mut reader = Self::at(
            broker,
            &query.filter,
            resolved.from,
            resolved.end,
            (resolved.since_ms, resolved.until_ms),
        );
        reader.picking = picking;
        reader.is_cut = resolved.is_cut;
        Ok(reader)
    }

    /// Reads the messages of a filter between positions.
    pub(crate) fn at(
        broker: &Arc<Broker>,
        filter: &str,
        from: Positions,
        end: Option<Positions>,
        (since_ms, until_ms): (u64, u64),
    ) -> Self {
        Self {
            broker: Arc::clone(broker),
            filter: filter.to_owned(),
            subscriptions: everything(filter),
            picking: None,
            reading: CatchUp::new(&from, end.clone()),
            current: None,
            since_ms,
            until_ms,
            end,
            is_cut: false,
            watch: None,
        }
    }

    /// Reads what several subscriptions match, between positions.
    pub(crate) fn over(
        broker: &Arc<Broker>,
        subscriptions: Subscriptions,
        from: Positions,
        end: Option<Positions>,
    ) -> Self {
        let everything = (0, u64::MAX);
        Self {
            subscriptions,
            ..Self::at(broker, "#", from, end, everything)
        }
    }

    /// Goes on where a bookmark was taken.
    ///
    /// # Errors
    /// When it is no bookmark of this broker, or what it stands at is gone.
    pub async fn resume(broker: &Arc<Broker>, bookmark: &str) -> Result<Self, HistoryError> {
        let bookmark = Bookmark::decode(bookmark, broker.shard_map)?;
        let filter = bookmark.filter;
        check_filter(&filter)?;
        match bookmark.place {
            Place::Interval {
                from,
                end,
                since_ms,
                until_ms,
            } => Ok(Self::at(broker, &filter, from, end, (since_ms, until_ms))),
            Place::Picks {
                from,
                to,
                now_ms,
                visible,
                after,
            } => {
                let query = Query { filter, from, to };
                let mut reader = Self::begin(broker, &query, now_ms, visible).await?;
                if let Some(picking) = &mut reader.picking {
                    picking.skip(after)?;
                }
                Ok(reader)
            }
        }
    }

    /// The filter it reads.
    #[must_use]
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Whether the range begins before the oldest message that is kept.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The next messages, at most `messages_max`; fewer than that, when there
    /// are no more at present or they are large.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn next(&mut self, messages_max: usize) -> Result<HistoryPage, HistoryError> {
        if self.end.is_none() {
            let visible = self.broker.dispatch.progress().positions();
            self.reading.refresh(&visible);
        }
        let mut page = HistoryPage::default();
        let mut bytes_left = PAGE_BYTES_MAX;
        while page.messages.len() < messages_max && bytes_left > 0 {
            if let Some(delivery) = self.current.take() {
                self.take(delivery, messages_max, &mut bytes_left, &mut page);
                continue;
            }
            if self.has_picks() {
                self.read_picks(messages_max, &mut page).await?;
                continue;
            }
            match self.reading.step() {
                Step::Deliver(delivery) => self.current = Some(delivery),
                Step::Read => page.missing += self.read().await?,
                Step::Rejoin | Step::Live => {
                    page.at_end = true;
                    break;
                }
            }
        }
        Ok(page)
    }

    fn has_picks(&self) -> bool {
        self.picking.as_ref().is_some_and(Picking::has_more)
    }

    fn take(
        &mut self,
        mut delivery: Delivery,
        messages_max: usize,
        bytes_left: &mut usize,
        page: &mut HistoryPage,
    ) {
        let now_ms = self.broker.clock.wall_ms();
        let batch = Arc::clone(&delivery.batch);
        let shard = batch.shard();
        while let Some((slot, _)) = delivery.entries.get(delivery.done).copied() {
            if page.messages.len() >= messages_max || *bytes_left == 0 {
                self.current = Some(delivery);
                return;
            }
            delivery.done += 1;
            let Some(record) = batch.record(slot) else {
                continue;
            };
            if !self.holds(shard, record.offset(), record.timestamp_ms()) {
                continue;
            }
            if is_expired(record.timestamp_ms(), record.message_expiry_s(), now_ms) {
                page.expired += 1;
                continue;
            }
            *bytes_left = bytes_left.saturating_sub(record.payload().len() + record.topic().len());
            let mut behind = self.reading.positions();
            if let Some(next) = delivery.next_offset() {
                behind.set(shard, next);
            }
            page.messages
                .extend(HistoryMessage::new(&batch, slot, Some(behind)));
        }
    }

    fn holds(&self, shard: ShardId, offset: Offset, timestamp_ms: u64) -> bool {
        let before_end = self.end.as_ref().is_none_or(|end| offset < end.get(shard));
        before_end && (self.since_ms..self.until_ms).contains(&timestamp_ms)
    }

    async fn read(&mut self) -> Result<u64, HistoryError> {
        let reads = self.reading.reads();
        let filters = self.subscriptions.automata();
        let broker = Arc::clone(&self.broker);
        let found = blocking(&self.broker, move || {
            let read = |place| catch_up::read(&broker.reader, place, &filters);
            Ok(reads.into_iter().map(read).collect::<Vec<_>>())
        })
        .await?;
        let mut missing = 0;
        for found in found {
            if found.failed {
                return Err(HistoryError::failed(&"the log could not be read"));
            }
            missing += found.missing;
            self.reading.handle_found(found, &self.subscriptions);
        }
        Ok(missing)
    }

    async fn read_picks(
        &mut self,
        messages_max: usize,
        page: &mut HistoryPage,
    ) -> Result<(), HistoryError> {
        let Some(picking) = &mut self.picking else {
            return Ok(());
        };
        let wanted = picking.take(messages_max - page.messages.len());
        let broker = Arc::clone(&self.broker);
        let found = blocking(&self.broker, move || picks::read(&broker.reader, wanted)).await?;
        let now_ms = self.broker.clock.wall_ms();
        for message in found {
            let Some(message) = message else {
                page.missing += 1;
                continue;
            };
            picking.given = Some(message.order());
            if message.is_expired(now_ms) {
                page.expired += 1;
            } else {
                page.messages.push(message);
            }
        }
        Ok(())
    }

    /// Text that [`HistoryReader::resume`] goes on from, behind `message`.
    #[must_use]
    pub fn bookmark_behind(&self, message: &HistoryMessage) -> String {
        let place = match &message.behind {
            Some(behind) => self.interval(behind.clone()),
            None => self.picks_behind(message.order()),
        };
        self.bookmark(place)
    }

    /// Text that [`HistoryReader::resume`] goes on from, where the reader is.
    #[must_use]
    pub fn bookmark_here(&self) -> String {
        let given = self.picking.as_ref().and_then(|picking| picking.given);
        let place = match given {
            Some(given) if self.has_picks() => self.picks_behind(given),
            _ => self.interval(self.positions()),
        };
        self.bookmark(place)
    }

    fn bookmark(&self, place: Place) -> String {
        let filter = self.filter.clone();
        Bookmark { filter, place }.encode()
    }

    fn interval(&self, from: Positions) -> Place {
        Place::Interval {
            from,
            end: self.end.clone(),
            since_ms: self.since_ms,
            until_ms: self.until_ms,
        }
    }

    /// Behind the last pick the range is an interval like any other.
    fn picks_behind(&self, after: Order) -> Place {
        match &self.picking {
            Some(picking) => picking.behind(after),
            None => self.interval(self.reading.positions()),
        }
    }

    /// Where it stands: the first offset per shard not given out.
    pub(crate) fn positions(&self) -> Positions {
        let mut positions = self.reading.positions();
        if let Some(held) = &self.current
            && let Some(next) = held.next_offset()
        {
            positions.set(held.batch.shard(), next);
        }
        positions
    }

    /// Returns when there may be more than [`HistoryReader::next`] found.
    ///
    /// # Errors
    /// When the broker stops.
    pub async fn wait(&mut self) -> Result<(), HistoryError> {
        let stops = || HistoryError::Failed("the broker stops".to_owned());
        if self.watch.is_none() {
            let filters = vec![self.filter.clone()];
            let watch = Watch::new(&self.broker, filters).await.ok_or_else(stops)?;
            self.watch = Some(watch);
        }
        if let Some(watch) = &mut self.watch {
            watch.changed().await;
        }
        Ok(())
    }
}
