//! SUBSCRIBE and UNSUBSCRIBE: interest first, then the log, then the answer.
//!
//! Dispatch names the position from which a new subscription is live; that
//! position is stored with it. Retained messages are those of the views at
//! exactly that position: no gap and no twin between them and what is live.

use std::sync::Arc;

use robustmq_protocol::codec::{
    AckProperties, Packet, ReasonCodes, SubAck, Subscribe, UnsubAck, Unsubscribe,
};
use robustmq_protocol::topic::{CursorFilter, Filter, SharedFilter};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};
use robustmq_views::StateBody;

use super::replay::{Asked, REPLAYS_MAX, Wishes};
use super::retained::RetainedScan;
use super::rules::NO_TOPIC;
use super::session::{Ending, Session};
use crate::dispatch::{FilterOptions, append_failure_reason};
use crate::exclusive;
use crate::history::RangeError;
use crate::positions::Positions;
use crate::subscription::SubscriptionOptions;
use crate::subscriptions::Subscription;

/// First levels that stand for features of the broker and are no topics.
const RESERVED: [&str; 4] = ["$queue/", "$delayed/", "$replay", "$cursor/"];

/// What a SUBACK says where a reason code alone would puzzle.
const REPLAYS_TOO_MANY: &str = "too many replays in one session";

fn is_reserved(filter: &str) -> bool {
    RESERVED.iter().any(|prefix| filter.starts_with(prefix))
}

/// One filter of a SUBSCRIBE, kept beyond the input buffer.
pub(super) struct Requested {
    pub(super) filter: String,
    pub(super) options: SubscriptionOptions,
    pub(super) retain_handling: u8,
}

/// A SUBSCRIBE to be carried out.
pub(super) struct SubscribeRequest {
    packet_id: PacketId,
    requested: Vec<Requested>,
    wishes: Wishes,
}

/// What becomes of one filter: a reason code, and a text where there is more
/// to say.
type Verdict = (ReasonCode, Option<String>);

/// An UNSUBSCRIBE to be carried out.
pub(super) struct UnsubscribeRequest {
    packet_id: PacketId,
    filters: Vec<String>,
}

impl SubscribeRequest {
    pub(super) fn new(packet: &Subscribe<'_>) -> Self {
        let identifier = packet.subscription_id;
        let requested = packet
            .filters
            .iter()
            .map(|entry| Requested {
                filter: entry.filter.to_owned(),
                options: SubscriptionOptions {
                    qos: entry.options.qos,
                    no_local: entry.options.no_local,
                    retain_as_published: entry.options.retain_as_published,
                    identifier,
                },
                retain_handling: entry.options.retain_handling as u8,
            })
            .collect();
        Self {
            packet_id: packet.packet_id,
            requested,
            wishes: Wishes::new(&packet.user_properties),
        }
    }
}

impl UnsubscribeRequest {
    pub(super) fn new(packet: &Unsubscribe<'_>) -> Self {
        let filters = packet.filters.iter().map(str::to_owned).collect();
        Self {
            packet_id: packet.packet_id,
            filters,
        }
    }
}

/// What a client is told when its replay cannot begin.
fn refusal(error: &RangeError) -> ReasonCode {
    match error {
        RangeError::Token(_) => ReasonCode::TopicFilterInvalid,
        RangeError::TooMany(_) => ReasonCode::QuotaExceeded,
        RangeError::Read(_) => ReasonCode::UnspecifiedError,
    }
}

impl Session {
    /// Carries out a SUBSCRIBE and answers it.
    pub(super) async fn subscribe(&mut self, mut request: SubscribeRequest, output: &mut Vec<u8>) {
        let filters = request.requested.iter_mut().map(|entry| &mut entry.filter);
        let is_any_invalid = self.rewrite_filters(filters);
        let done = self.carry_out(request.requested, &request.wishes);
        let (codes, mut texts) = done.await;
        if is_any_invalid {
            texts.push(NO_TOPIC.to_owned());
        }
        let text = texts.join("; ");
        let properties = AckProperties {
            reason_string: (self.problem_info && !text.is_empty()).then_some(&*text),
            ..AckProperties::default()
        };
        let packet = SubAck {
            packet_id: request.packet_id,
            properties,
            reasons: ReasonCodes::from(codes.as_slice()),
        };
        self.write(output, &Packet::SubAck(packet));
    }

    /// Makes subscriptions. A reason code for each, and what there is to say
    /// besides.
    pub(super) async fn carry_out(
        &mut self,
        requested: Vec<Requested>,
        wishes: &Wishes,
    ) -> (Vec<ReasonCode>, Vec<String>) {
        let mut codes: Vec<ReasonCode> = Vec::with_capacity(requested.len());
        let mut granted: Vec<(Requested, bool)> = Vec::new();
        let mut texts: Vec<String> = Vec::new();
        let qos_max = QoS::try_from(self.broker.config.mqtt.max_qos).unwrap_or(QoS::ExactlyOnce);
        for mut requested in requested {
            requested.options.qos = requested.options.qos.min(qos_max);
            let filter = &requested.filter;
            if CursorFilter::is_cursor(filter) || SharedFilter::is_shared(filter) {
                let asked = self.subscribe_cursor(&requested.filter, requested.options);
                let (code, text) = asked.await;
                codes.push(code);
                texts.extend(text);
                continue;
            }
            match wishes.asked(&requested.filter, requested.options) {
                Ok(Some(asked)) => {
                    let (code, text) = self.subscribe_replay(asked).await;
                    codes.push(code);
                    texts.extend(text);
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    codes.push(ReasonCode::TopicFilterInvalid);
                    texts.push(error.to_string());
                    continue;
                }
            }
            match self.check(&requested) {
                Err(reason) => codes.push(reason),
                Ok(()) => {
                    codes.push(requested.options.qos.into());
                    let existed = self.subscriptions.get(&requested.filter).is_some();
                    granted.push((requested, existed));
                }
            }
        }
        if !granted.is_empty()
            && let Err(reason) = self.activate(granted).await
        {
            for code in codes.iter_mut().filter(|code| !code.is_error()) {
                *code = reason;
            }
        }
        (codes, texts)
    }

    fn check(&self, requested: &Requested) -> Result<(), ReasonCode> {
        let filter =
            Filter::parse(&requested.filter).map_err(|_| ReasonCode::TopicFilterInvalid)?;
        if filter.group().is_some() {
            return Err(ReasonCode::SharedSubscriptionsNotSupported);
        }
        let levels = requested.filter.split('/').count();
        if levels > usize::from(self.broker.config.mqtt.max_topic_levels) {
            return Err(ReasonCode::TopicFilterInvalid);
        }
        let known = self.subscriptions.get(&requested.filter).is_some();
        let count_max = self.broker.config.mqtt.max_subscriptions as usize;
        if !known && self.subscriptions.len() >= count_max {
            return Err(ReasonCode::QuotaExceeded);
        }
        if is_reserved(&requested.filter) {
            return Err(ReasonCode::TopicFilterInvalid);
        }
        match requested.filter.strip_prefix(exclusive::PREFIX) {
            Some(topic) => self.claim_exclusive(&requested.filter, topic),
            None => Ok(()),
        }
    }

    /// Claims an exclusive subscription.
    fn claim_exclusive(&self, filter: &str, topic: &str) -> Result<(), ReasonCode> {
        let is_plain = Filter::parse(topic).is_ok_and(|inner| inner.group().is_none());
        let is_on = self.broker.config.mqtt.exclusive_subscription;
        if !is_on || !is_plain || is_reserved(topic) || topic.starts_with(exclusive::PREFIX) {
            return Err(ReasonCode::TopicFilterInvalid);
        }
        let claims = &self.broker.registry.exclusive;
        if claims.claim(&self.broker, filter, self.client_id()) {
            Ok(())
        } else {
            Err(ReasonCode::QuotaExceeded)
        }
    }

    /// Begins a replay, or leaves one alone that the session holds already: a
    /// client that subscribes again by habit goes on where it was.
    async fn subscribe_replay(&mut self, asked: Asked) -> Verdict {
        let requested = Requested {
            filter: asked.filter.clone(),
            options: asked.options,
            retain_handling: 2,
        };
        if requested.filter.starts_with(exclusive::PREFIX) {
            return (ReasonCode::TopicFilterInvalid, None);
        }
        if let Err(reason) = self.check(&requested) {
            return (reason, None);
        }
        let code = ReasonCode::from(asked.options.qos);
        if self.replays.contains(&asked.name) && !asked.restart {
            return (code, None);
        }
        if self.replays.len() >= REPLAYS_MAX && !self.replays.contains(&asked.name) {
            return (ReasonCode::QuotaExceeded, Some(REPLAYS_TOO_MANY.to_owned()));
        }
        let name = asked.name.clone();
        if self.attached().await.is_none() {
            return (ReasonCode::ServerShuttingDown, None);
        }
        // A plain subscription to the same filter is replaced.
        if self.subscriptions.get(&name).is_some() {
            self.drop_subscriptions(std::slice::from_ref(&name)).await;
        }
        let text = match self.begin_replay(asked, None).await {
            Ok(text) => text.map(str::to_owned),
            Err(error) => {
                return (refusal(&error), Some(error.to_string()));
            }
        };
        if self.is_persistent() {
            let stored: Vec<StateBody> = self.cursor_bodies();
            for body in &stored {
                if let Err(error) = self.broker.append_state(self.client_id(), body).await {
                    self.replays.remove(&name);
                    return (append_failure_reason(&error), None);
                }
            }
        }
        self.watch_replays();
        (code, text)
    }

    async fn activate(&mut self, granted: Vec<(Requested, bool)>) -> Result<(), ReasonCode> {
        let subscriber = self
            .attached()
            .await
            .ok_or(ReasonCode::ServerShuttingDown)?;
        self.replace_replays(&granted).await;
        let wants_retained =
            |requested: &Requested, existed| match (requested.retain_handling, existed) {
                (0, _) | (1, false) => self.broker.config.mqtt.retain_available,
                _ => false,
            };
        let with_snapshot = granted
            .iter()
            .any(|(requested, existed)| wants_retained(requested, *existed));
        let filters: Vec<FilterOptions> = granted
            .iter()
            .map(|(requested, _)| (requested.filter.clone(), requested.options))
            .collect();
        let active = self
            .broker
            .dispatch
            .subscribe(subscriber, filters, with_snapshot)
            .await
            .ok_or(ReasonCode::ServerShuttingDown)?;
        let states: Vec<(Requested, Subscription, bool)> = granted
            .into_iter()
            .map(|(requested, existed)| {
                let retained = wants_retained(&requested, existed);
                // A subscription that is replaced goes on where it was.
                let starts = self
                    .subscriptions
                    .get(&requested.filter)
                    .map_or_else(|| active.live_from.clone(), |before| before.starts.clone());
                let subscription = Subscription {
                    options: requested.options,
                    retain_handling: requested.retain_handling,
                    starts,
                };
                (requested, subscription, retained)
            })
            .collect();
        if let Err(reason) = self.store_subscriptions(&states).await {
            let new: Vec<String> = states
                .iter()
                .filter(|(requested, ..)| self.subscriptions.get(&requested.filter).is_none())
                .map(|(requested, ..)| requested.filter.clone())
                .collect();
            self.broker.dispatch.unsubscribe(subscriber, new).await;
            return Err(reason);
        }
        let snapshot = active.snapshot.map(Arc::new);
        for (requested, subscription, retained) in states {
            if let (true, Some(snapshot)) = (retained, &snapshot) {
                self.retained.push_back(RetainedScan::new(
                    Arc::clone(snapshot),
                    requested.filter.clone(),
                    &requested.options,
                ));
            }
            self.subscriptions.insert(&requested.filter, subscription);
        }
        self.cursor_dirty = true;
        Ok(())
    }

    /// Ends the replays that were asked for under filters now subscribed to
    /// without a replay.
    async fn replace_replays(&mut self, granted: &[(Requested, bool)]) {
        let filters = granted.iter().map(|(requested, _)| &requested.filter);
        let replayed: Vec<String> = filters
            .filter(|filter| self.replays.contains(filter))
            .cloned()
            .collect();
        if !replayed.is_empty() {
            self.drop_subscriptions(&replayed).await;
        }
    }

    async fn store_subscriptions(
        &self,
        states: &[(Requested, Subscription, bool)],
    ) -> Result<(), ReasonCode> {
        if !self.is_persistent() {
            return Ok(());
        }
        let subscriptions = states
            .iter()
            .map(|(requested, subscription, _)| subscription.to_state(&requested.filter))
            .collect();
        // The cursor goes with the first subscription: without one, a session
        // found after a crash would read its shards from the beginning.
        let cursor = self.cursor_bodies();
        for body in cursor
            .iter()
            .chain([&StateBody::Subscribed { subscriptions }])
        {
            self.broker
                .append_state(self.client_id(), body)
                .await
                .map_err(|error| append_failure_reason(&error))?;
        }
        Ok(())
    }

    /// The session's number in dispatch, which it gets when first needed: a
    /// connection that only publishes never has one.
    pub(super) async fn attached(&mut self) -> Option<crate::dispatch::SubscriberId> {
        if self.subscriber.is_none() {
            let link = Arc::clone(&self.link);
            let attached = self.broker.dispatch.attach(link, Vec::new()).await?;
            self.subscriber = Some(attached.subscriber);
        }
        self.subscriber
    }

    /// Removes subscriptions and replays; says which were there.
    async fn drop_subscriptions(&mut self, filters: &[String]) -> Vec<bool> {
        let mut stored = filters.to_vec();
        let mut existed = Vec::with_capacity(filters.len());
        let mut left = Vec::new();
        for filter in filters {
            let replay = self.replays.remove(filter);
            let cursor = self.cursors.remove(filter);
            if filter.starts_with(exclusive::PREFIX) {
                let claims = &self.broker.registry.exclusive;
                claims.release(filter, self.client_id());
            }
            existed.push(self.subscriptions.remove(filter) || replay.is_some() || cursor.is_some());
            if let Some(cursor) = cursor {
                cursor.store(&self.broker).await;
                left.push(cursor);
            }
            stored.extend(replay);
        }
        if !existed.contains(&true) {
            return existed;
        }
        if let Some(subscriber) = self.subscriber {
            let filters = filters.to_vec();
            self.broker.dispatch.unsubscribe(subscriber, filters).await;
        }
        self.watch_replays();
        let body = StateBody::Unsubscribed { filters: stored };
        if self.is_persistent()
            && let Err(error) = self.broker.append_state(self.client_id(), &body).await
        {
            self.end(Ending::server(
                append_failure_reason(&error),
                "the session's state could not be stored",
            ));
        }
        self.settle_groups(&left).await;
        existed
    }

    /// Whether the session has anything under a filter.
    fn holds(&self, filter: &str) -> bool {
        self.subscriptions.get(filter).is_some()
            || self.replays.contains(filter)
            || self.cursors.contains(filter)
    }

    /// Carries out an UNSUBSCRIBE and answers it.
    pub(super) async fn unsubscribe(&mut self, request: UnsubscribeRequest, output: &mut Vec<u8>) {
        let mut filters = request.filters.clone();
        self.rewrite_filters(filters.iter_mut());
        for (filter, given) in filters.iter_mut().zip(request.filters) {
            // Made before there was the rule.
            if !self.holds(filter) && self.holds(&given) {
                *filter = given;
            }
        }
        let existed = self.drop_subscriptions(&filters).await;
        if self.ending.is_some() {
            return;
        }
        let code = |existed: bool| match existed {
            true => ReasonCode::Success,
            false => ReasonCode::NoSubscriptionExisted,
        };
        let codes: Vec<ReasonCode> = existed.into_iter().map(code).collect();
        let reasons = if self.version == ProtocolVersion::V5 {
            codes.as_slice()
        } else {
            &[]
        };
        let packet = UnsubAck {
            packet_id: request.packet_id,
            properties: AckProperties::default(),
            reasons: ReasonCodes::from(reasons),
        };
        self.write(output, &Packet::UnsubAck(packet));
    }

    /// Asks dispatch to deliver again after the backlog has been read.
    pub(super) async fn rejoin(&mut self) {
        let Some(subscriber) = self.subscriber else {
            return;
        };
        let live_from: Option<Positions> = self.broker.dispatch.rejoin(subscriber).await;
        match (live_from, &mut self.catch_up) {
            (Some(live_from), Some(catch_up)) => catch_up.rejoined(live_from),
            _ => self.end(Ending::server(
                ReasonCode::ServerShuttingDown,
                "the broker stops",
            )),
        }
    }
}
