//! Rules: definitions from the configuration file and those made while the
//! broker runs, as what is to be done with them.
//!
//! A rule made at run time is a state record in the log of [`RULES_SHARD`],
//! folded into the views like any other state. When dispatch has applied a
//! batch that changed rules, it has them read anew, before anybody hears that
//! the batch is stored: whoever changed a rule finds it at work, and so does a
//! client that publishes after that.
//!
//! A new kind of rule is a [`family`], a part of [`Rulebook`] built from the
//! configuration and the stored rules, and its own functions to list, make and
//! remove rules, all through [`change`].
//!
//! **Invariants**
//! 1. A rulebook never changes: who holds one sees one state of all rules.
//! 2. Where no rule concerns what clients send, that costs a batch of input one
//!    look at a flag.
//!
//! **Not here**: carrying rules forward (`robustmq-views`), HTTP.

pub mod auto_subscribe;
pub mod rewrite;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;
use robustmq_config::{
    AutoSubscribe, Config, Delayed, RewriteRule, RuleFault, SharedSubscriptions,
};
use robustmq_record::{RecordInput, ShardId};
use robustmq_views::{Rule, RuleChange, StateBody, Views};
use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::Broker;
use crate::cursors::group_admin::SharedSettings;
use crate::delayed::DelayedSettings;
use crate::history::HistoryError;
use crate::shard_map::DEFAULT_NAMESPACE;
use auto_subscribe::AutoSubscriptions;
use rewrite::Rewrites;

/// The shard whose log holds what is changed at run time for all nodes.
const RULES_SHARD: ShardId = ShardId(0);

/// Families of rules, as they are named in the log: for ever.
pub(crate) mod family {
    /// Names of topics.
    pub(crate) const TOPIC_REWRITE: &str = "topic_rewrite";
    /// Subscriptions that every client gets.
    pub(crate) const AUTO_SUBSCRIBE: &str = "auto_subscribe";
    /// Delayed publishing.
    pub(crate) const DELAYED: &str = "delayed";
    /// Shared subscriptions.
    pub(crate) const SHARED: &str = "shared_subscription";
}

/// Where a rule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleSource {
    /// The configuration file, the environment or the command line.
    File,
    /// It was made while the broker ran.
    Runtime,
}

/// What the configuration says about rules.
struct Configured {
    rewrites: Vec<RewriteRule>,
    auto_subscriptions: Vec<AutoSubscribe>,
    delayed: Delayed,
    shared: SharedSubscriptions,
}

/// All rules as they are at one moment.
pub(crate) struct Rulebook {
    pub(crate) rewrites: Rewrites,
    pub(crate) auto_subscriptions: AutoSubscriptions,
    pub(crate) delayed: DelayedSettings,
    pub(crate) shared: SharedSettings,
}

impl Rulebook {
    fn new(configured: &Configured, stored: &[Rule]) -> Self {
        let of = |family| stored.iter().filter(move |rule| rule.family == family);
        Self {
            rewrites: Rewrites::new(&configured.rewrites, of(family::TOPIC_REWRITE)),
            auto_subscriptions: AutoSubscriptions::new(
                &configured.auto_subscriptions,
                of(family::AUTO_SUBSCRIBE),
            ),
            delayed: DelayedSettings::new(&configured.delayed, of(family::DELAYED)),
            shared: SharedSettings::new(&configured.shared, of(family::SHARED)),
        }
    }

    /// Whether what clients send may be changed by a rule.
    fn concerns_input(&self) -> bool {
        !self.rewrites.is_empty()
    }
}

/// The rules in force.
pub(crate) struct Rules {
    configured: Configured,
    current: RwLock<Arc<Rulebook>>,
    concerns_input: AtomicBool,
    /// Held from looking at the rules to the change that follows from it.
    changing: tokio::sync::Mutex<()>,
}

impl Rules {
    /// The rules of the configuration and those that the views hold.
    pub(crate) fn loaded(config: &Config, views: &Views) -> Self {
        let rules = Self::new(config);
        rules.reload(views);
        rules
    }

    fn new(config: &Config) -> Self {
        let configured = Configured {
            rewrites: config.mqtt.rewrite.clone(),
            auto_subscriptions: config.mqtt.auto_subscribe.clone(),
            delayed: config.delayed.clone(),
            shared: config.shared_subscription.clone(),
        };
        let book = Rulebook::new(&configured, &[]);
        Self {
            concerns_input: AtomicBool::new(book.concerns_input()),
            current: RwLock::new(Arc::new(book)),
            configured,
            changing: tokio::sync::Mutex::new(()),
        }
    }

    /// Takes up what the views hold now.
    pub(crate) fn reload(&self, views: &Views) {
        let stored = match views.rules() {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%error, "the rules made at run time could not be read; those before stay in force");
                return;
            }
        };
        let book = Arc::new(Rulebook::new(&self.configured, &stored));
        let concerns_input = book.concerns_input();
        *self.current.write() = book;
        self.concerns_input.store(concerns_input, Ordering::Release);
    }

    /// The rules as they are now.
    pub(crate) fn current(&self) -> Arc<Rulebook> {
        Arc::clone(&self.current.read())
    }

    /// The rules as they are now, if any concerns what clients send.
    pub(crate) fn for_input(&self) -> Option<Arc<Rulebook>> {
        self.concerns_input
            .load(Ordering::Acquire)
            .then(|| self.current())
    }
}

/// Whoever holds it is the only one to change rules.
pub(crate) async fn lock(broker: &Broker) -> tokio::sync::MutexGuard<'_, ()> {
    broker.rules.changing.lock().await
}

/// Makes, changes and removes rules of one family, all at once; they are in
/// force when it returns.
pub(crate) async fn change(
    broker: &Broker,
    family: &str,
    changes: Vec<RuleChange>,
) -> Result<(), HistoryError> {
    if changes.is_empty() {
        return Ok(());
    }
    let body = StateBody::RulesChanged {
        family: family.to_owned(),
        changes,
    };
    let payload = body.encode();
    let record = RecordInput {
        kind: body.kind(),
        namespace: DEFAULT_NAMESPACE,
        timestamp_ms: broker.clock.wall_ms(),
        payload: &payload,
        ..RecordInput::default()
    };
    let appended = broker.mailboxes.append_and_wait(RULES_SHARD, &record).await;
    appended.map_err(|error| HistoryError::failed(&format!("the change was not stored: {error}")))
}

/// A rule that is set.
pub(crate) fn set(name: String, definition: &impl Serialize) -> RuleChange {
    // Structs of texts and numbers become JSON.
    let definition = serde_json::to_vec(definition).unwrap_or_default();
    RuleChange {
        name,
        definition: Some(Bytes::from(definition)),
    }
}

/// A rule that goes.
fn removed(name: &str) -> RuleChange {
    RuleChange {
        name: name.to_owned(),
        definition: None,
    }
}

/// Reads the definition of a stored rule; one that this version does not
/// understand is left alone.
pub(crate) fn read<T: serde::de::DeserializeOwned>(rule: &Rule) -> Option<T> {
    serde_json::from_slice(&rule.definition)
        .map_err(|error| {
            tracing::error!(family = rule.family, name = rule.name, %error, "a rule of the log cannot be understood and is not in force");
        })
        .ok()
}

fn refused(fault: &RuleFault) -> HistoryError {
    let RuleFault {
        key,
        problem,
        remedy,
    } = fault;
    HistoryError::Asked(format!("{key}: {problem}. {remedy}"))
}

/// The refusal to remove what the configuration file says.
fn of_the_file(what: &str, key: &str) -> HistoryError {
    HistoryError::Conflict(format!(
        "{what} comes from the configuration file and cannot be removed while the broker runs: \
         remove it from [[{key}]] there and start the broker again"
    ))
}

#[cfg(test)]
mod tests;
