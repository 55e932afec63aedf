//! What rules do to what a client sends: names that become others, and
//! subscriptions that it gets without asking.

use std::borrow::Cow;
use std::net::SocketAddr;

use robustmq_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};
use robustmq_views::Will;

use super::session::Session;
use super::subscribe::Requested;
use crate::broker::Broker;
use crate::delayed::{self, Delayed};
use crate::rules::auto_subscribe::Connecting;
use crate::rules::{Rulebook, rewrite};
use crate::subscription::SubscriptionOptions;

/// Why a publish is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: ReasonCode,
    /// For people, where the reason code alone would puzzle.
    pub(super) text: Option<&'static str>,
}

impl From<ReasonCode> for Refusal {
    fn from(reason: ReasonCode) -> Self {
        Self { reason, text: None }
    }
}

/// What a client is told when a rule makes no topic of its topic.
pub(super) const NO_TOPIC: &str = "what a rewrite rule makes of the topic is not valid";

/// Where a publish goes.
#[derive(Clone, Debug)]
pub(super) struct Destination<'a> {
    pub(super) topic: Cow<'a, str>,
    /// When it is published, milliseconds since the Unix epoch; none for now.
    pub(super) due_ms: Option<u64>,
}

/// Gives a will the topic that rules have for it, and checks that it may be
/// published there.
pub(super) fn admit_will(
    broker: &Broker,
    will: &mut Will,
    who: rewrite::Who<'_>,
) -> Result<(), &'static str> {
    if let Some(rules) = broker.rules.for_input() {
        let name = rewrite::published(&rules.rewrites, &will.topic, who);
        let name = name.map_err(|rewrite::Invalid| {
            broker.counters.topics_rewritten_invalid.add(1);
            NO_TOPIC
        })?;
        if let Cow::Owned(name) = name {
            broker.counters.topics_rewritten.add(1);
            will.topic = name;
        }
    }
    let topic = match delayed::is_delayed(&will.topic) {
        true => delayed::parse(&will.topic, broker.clock.wall_ms())?.topic,
        false => &will.topic,
    };
    match topic.starts_with('$') {
        true => Err("topics that begin with $ are the broker's"),
        false => Ok(()),
    }
}

impl Session {
    /// Where a publish goes, and when: at once, or later.
    pub(super) fn destination<'a>(
        &self,
        name: &'a str,
        rules: Option<&Rulebook>,
        now_ms: u64,
    ) -> Result<Destination<'a>, Refusal> {
        let name = self.published_name(name, rules)?;
        if !delayed::is_delayed(&name) {
            return Ok(Destination {
                topic: name,
                due_ms: None,
            });
        }
        let admitted = delayed::admit(&self.broker, &name, now_ms);
        let Delayed { topic, due_ms } = admitted.map_err(|refused| Refusal {
            reason: refused.reason,
            text: Some(refused.text),
        })?;
        Ok(Destination {
            topic: Cow::Owned(topic.to_owned()),
            due_ms: Some(due_ms),
        })
    }

    /// The name under which a publish is stored.
    fn published_name<'a>(
        &self,
        name: &'a str,
        rules: Option<&Rulebook>,
    ) -> Result<Cow<'a, str>, Refusal> {
        let Some(rules) = rules else {
            return Ok(Cow::Borrowed(name));
        };
        match rewrite::published(&rules.rewrites, name, self.who()) {
            Ok(name) => {
                if matches!(name, Cow::Owned(_)) {
                    self.broker.counters.topics_rewritten.add(1);
                }
                Ok(name)
            }
            Err(rewrite::Invalid) => {
                self.broker.counters.topics_rewritten_invalid.add(1);
                Err(Refusal {
                    reason: ReasonCode::TopicNameInvalid,
                    text: Some(NO_TOPIC),
                })
            }
        }
    }

    /// Gives filters the names that rules have for them; one that becomes no
    /// filter becomes empty, which is none either. Says whether there was one.
    pub(super) fn rewrite_filters<'a>(
        &self,
        filters: impl Iterator<Item = &'a mut String>,
    ) -> bool {
        let Some(rules) = self.broker.rules.for_input() else {
            return false;
        };
        let mut is_any_invalid = false;
        for filter in filters {
            match rules.rewrites.filter(filter, self.who()) {
                Ok(None) => {}
                Ok(Some(becomes)) => {
                    self.broker.counters.topics_rewritten.add(1);
                    *filter = becomes;
                }
                Err(rewrite::Invalid) => {
                    self.broker.counters.topics_rewritten_invalid.add(1);
                    is_any_invalid = true;
                    filter.clear();
                }
            }
        }
        is_any_invalid
    }

    /// Makes the subscriptions that every client gets. What cannot be made is
    /// counted and logged: there is no packet to say it in.
    pub(super) async fn auto_subscribe(&mut self, peer: SocketAddr) {
        let rules = self.broker.rules.current();
        if rules.auto_subscriptions.is_empty() {
            return;
        }
        let host = peer.ip().to_canonical().to_string();
        let who = Connecting {
            client_id: self.link.client_id(),
            user_name: self.user_name.as_deref(),
            host: &host,
        };
        let mut requested = Vec::new();
        for (filter, definition) in rules.auto_subscriptions.of(who) {
            let Some(filter) = filter else {
                self.auto_subscription_failed(
                    &definition.topic,
                    "it cannot be made for this client",
                );
                continue;
            };
            requested.push(Requested {
                filter,
                options: SubscriptionOptions {
                    qos: QoS::try_from(definition.qos).unwrap_or(QoS::AtMostOnce),
                    no_local: definition.nl == 1,
                    retain_as_published: definition.rap == 1,
                    identifier: None,
                },
                retain_handling: definition.rh,
            });
        }
        let filters: Vec<String> = requested.iter().map(|entry| entry.filter.clone()).collect();
        let (codes, _) = self
            .carry_out(requested, &super::replay::Wishes::default())
            .await;
        for (filter, code) in filters.iter().zip(codes) {
            if code.is_error() {
                self.auto_subscription_failed(filter, code.name());
            } else {
                self.broker.counters.auto_subscriptions.add(1);
            }
        }
    }

    fn auto_subscription_failed(&self, filter: &str, reason: &str) {
        self.broker.counters.auto_subscriptions_failed.add(1);
        tracing::info!(
            client_id = self.client_id(),
            filter,
            reason,
            "a client was not subscribed automatically"
        );
    }

    /// Remembers what to say beside the reason code of an acknowledgement.
    pub(super) fn explain_refusal(
        &mut self,
        packet_id: Option<PacketId>,
        text: Option<&'static str>,
    ) {
        if let (Some(packet_id), Some(text)) = (packet_id, text)
            && self.problem_info
            && self.version == ProtocolVersion::V5
        {
            self.refusal_texts.push((packet_id, text));
        }
    }

    /// What there is to say beside a reason code.
    pub(super) fn take_refusal_text(&mut self, packet_id: PacketId) -> Option<&'static str> {
        let mut known = self.refusal_texts.iter();
        let at = known.position(|(refused, _)| *refused == packet_id)?;
        Some(self.refusal_texts.swap_remove(at).1)
    }
}
