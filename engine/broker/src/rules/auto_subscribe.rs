//! Auto subscription: what every client is subscribed to when it connects.
//!
//! **Invariants**
//! 1. A client's identifier, user name or address cannot widen a filter: one
//!    with `+` or `#` in it gets no subscription.
//!
//! **Not here**: the subscribing (`connection::subscribe`).

use robustmq_config::{AUTO_SUBSCRIPTIONS_MAX, AutoSubscribe, Piece, Template};
use robustmq_protocol::topic::{self, Filter};
use robustmq_views::Rule;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RuleSource, family, lock, of_the_file, read, refused, removed, set};
use crate::broker::Broker;
use crate::history::HistoryError;

/// A subscription as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoSubscribeDefinition {
    /// Topic filter: `${clientid}`, `${username}`, `${host}` are the client's.
    pub topic: String,
    /// Highest QoS of what is delivered.
    #[serde(default)]
    pub qos: u8,
    /// No Local: 1 keeps a client's own messages from it.
    #[serde(default, alias = "no_local")]
    pub nl: u8,
    /// Retain As Published: 1 keeps the RETAIN flag.
    #[serde(default, alias = "retain_as_published")]
    pub rap: u8,
    /// Retain Handling: retained messages are sent 0 at every connect, 1 if the
    /// subscription is new, 2 never.
    #[serde(default, alias = "retain_handling")]
    pub rh: u8,
}

impl From<&AutoSubscribe> for AutoSubscribeDefinition {
    fn from(rule: &AutoSubscribe) -> Self {
        Self {
            topic: rule.topic.clone(),
            qos: rule.qos,
            nl: u8::from(rule.no_local),
            rap: u8::from(rule.retain_as_published),
            rh: rule.retain_handling,
        }
    }
}

impl AutoSubscribeDefinition {
    fn compile(&self) -> Result<Template, HistoryError> {
        let asked = |text: &str| Err(HistoryError::Asked(text.to_owned()));
        match self {
            Self { qos: 3.., .. } => return asked("qos: give 0, 1 or 2"),
            Self { nl: 2.., .. } => return asked("nl: give 0 or 1"),
            Self { rap: 2.., .. } => return asked("rap: give 0 or 1"),
            Self { rh: 3.., .. } => return asked("rh: give 0, 1 or 2"),
            _ => {}
        }
        let rule = AutoSubscribe {
            topic: self.topic.clone(),
            qos: self.qos,
            no_local: self.nl == 1,
            retain_as_published: self.rap == 1,
            retain_handling: self.rh,
        };
        rule.compile().map_err(|fault| refused(&fault))
    }
}

/// A subscription in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AutoSubscribeInfo {
    /// Where it comes from.
    pub source: RuleSource,
    /// What it says.
    #[serde(flatten)]
    pub definition: AutoSubscribeDefinition,
}

/// Who connects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connecting<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) user_name: Option<&'a str>,
    pub(crate) host: &'a str,
}

#[derive(Debug)]
struct Automatic {
    info: AutoSubscribeInfo,
    template: Template,
}

/// All automatic subscriptions: those of the file, then those made at run time
/// by topic.
#[derive(Debug, Default)]
pub(crate) struct AutoSubscriptions {
    rules: Vec<Automatic>,
}

impl AutoSubscriptions {
    pub(super) fn new<'a>(
        configured: &[AutoSubscribe],
        stored: impl Iterator<Item = &'a Rule>,
    ) -> Self {
        let mut rules: Vec<Automatic> = Vec::new();
        for rule in configured {
            let info = AutoSubscribeInfo {
                source: RuleSource::File,
                definition: rule.into(),
            };
            // The configuration has been checked.
            rules.extend(rule.compile().map(|template| Automatic { info, template }));
        }
        for definition in stored.filter_map(read::<AutoSubscribeDefinition>) {
            let is_known = |rule: &Automatic| rule.info.definition.topic == definition.topic;
            if rules.iter().any(is_known) {
                // The file came to say the same; it is the one that is edited.
                continue;
            }
            match definition.compile() {
                Ok(template) => {
                    let source = RuleSource::Runtime;
                    let info = AutoSubscribeInfo { source, definition };
                    rules.push(Automatic { info, template });
                }
                Err(error) => {
                    tracing::error!(topic = definition.topic, %error, "an automatic subscription of the log cannot be used and is not in force");
                }
            }
        }
        Self { rules }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What a client is subscribed to: the filter, or none where it cannot be
    /// made for this client.
    pub(crate) fn of<'a>(
        &'a self,
        who: Connecting<'a>,
    ) -> impl Iterator<Item = (Option<String>, &'a AutoSubscribeDefinition)> {
        self.rules.iter().map(move |rule| {
            let mut is_safe = true;
            let filter = rule.template.fill(|piece| {
                let value = match piece {
                    Piece::Text(_) | Piece::Group(_) => return None,
                    Piece::ClientId => Some(who.client_id),
                    Piece::UserName => who.user_name,
                    Piece::Host => Some(who.host),
                };
                is_safe &= value.is_some_and(|value| !topic::has_wildcard(value));
                value
            });
            let filter = (is_safe && Filter::parse(&filter).is_ok()).then_some(filter);
            (filter, &rule.info.definition)
        })
    }
}

/// The subscriptions in force.
pub fn list(broker: &Broker) -> Vec<AutoSubscribeInfo> {
    let book = broker.rules.current();
    let rules = book.auto_subscriptions.rules.iter();
    rules.map(|rule| rule.info.clone()).collect()
}

fn check_count(count: usize) -> Result<(), HistoryError> {
    if count > AUTO_SUBSCRIPTIONS_MAX {
        return Err(HistoryError::Conflict(format!(
            "there may be {AUTO_SUBSCRIPTIONS_MAX} automatic subscriptions at most, those of the \
             configuration file included"
        )));
    }
    Ok(())
}

/// Makes a subscription, or changes that of the same topic.
///
/// # Errors
/// [`HistoryError`].
pub async fn create(
    broker: &Broker,
    definition: AutoSubscribeDefinition,
) -> Result<AutoSubscribeInfo, HistoryError> {
    definition.compile()?;
    let _lock = lock(broker).await;
    let known = list(broker);
    match known
        .iter()
        .find(|rule| rule.definition.topic == definition.topic)
    {
        Some(rule) if rule.source == RuleSource::File => {
            let what = format!("`{}`", definition.topic);
            return Err(of_the_file(&what, "mqtt.auto_subscribe"));
        }
        Some(_) => {}
        None => check_count(known.len() + 1)?,
    }
    let changes = vec![set(definition.topic.clone(), &definition)];
    super::change(broker, family::AUTO_SUBSCRIBE, changes).await?;
    Ok(AutoSubscribeInfo {
        source: RuleSource::Runtime,
        definition,
    })
}

/// Removes a subscription that was made at run time. Clients keep what they have.
///
/// # Errors
/// [`HistoryError`].
pub async fn delete(broker: &Broker, topic: &str) -> Result<(), HistoryError> {
    let _lock = lock(broker).await;
    let known = list(broker);
    let rule = known.iter().find(|rule| rule.definition.topic == topic);
    match rule.map(|rule| rule.source) {
        Some(RuleSource::Runtime) => {
            super::change(broker, family::AUTO_SUBSCRIBE, vec![removed(topic)]).await
        }
        Some(RuleSource::File) => Err(of_the_file(&format!("`{topic}`"), "mqtt.auto_subscribe")),
        None => Err(HistoryError::NotFound(format!(
            "there is no automatic subscription to `{topic}`"
        ))),
    }
}

/// Takes a whole list in place of the subscriptions there are. Those of the file
/// must be in it, since they stay.
///
/// # Errors
/// [`HistoryError`].
pub async fn replace(
    broker: &Broker,
    definitions: Vec<AutoSubscribeDefinition>,
) -> Result<Vec<AutoSubscribeInfo>, HistoryError> {
    for (index, definition) in definitions.iter().enumerate() {
        definition.compile()?;
        let mut before = definitions[..index].iter();
        if before.any(|other| other.topic == definition.topic) {
            let text = format!("topic: `{}` is there twice", definition.topic);
            return Err(HistoryError::Asked(text));
        }
    }
    check_count(definitions.len())?;
    let _lock = lock(broker).await;
    let known = list(broker);
    let (fixed, made): (Vec<_>, Vec<_>) = known
        .into_iter()
        .partition(|rule| rule.source == RuleSource::File);
    for rule in &fixed {
        if !definitions.contains(&rule.definition) {
            let what = format!("`{}`", rule.definition.topic);
            return Err(of_the_file(&what, "mqtt.auto_subscribe"));
        }
    }
    let is_wanted = |topic: &str| definitions.iter().any(|wanted| wanted.topic == topic);
    let gone = made
        .iter()
        .map(|rule| &rule.definition.topic)
        .filter(|topic| !is_wanted(topic))
        .map(|topic| removed(topic));
    let is_fixed = |topic: &str| fixed.iter().any(|rule| rule.definition.topic == topic);
    let wanted = definitions
        .iter()
        .filter(|wanted| !is_fixed(&wanted.topic))
        .map(|wanted| set(wanted.topic.clone(), wanted));
    let changes = gone.chain(wanted).collect();
    super::change(broker, family::AUTO_SUBSCRIBE, changes).await?;
    Ok(list(broker))
}
