//! Groups of shared subscriptions for people, and how they share.

use std::collections::BTreeMap;
use std::sync::Arc;

use robustmq_config::{SharedStrategy, SharedSubscriptions};
use robustmq_protocol::topic::SharedFilter;
use robustmq_views::{Rule, owner_of};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::{ShardPosition, lag, shard_positions};
use super::{Strategy, groups, store};
use crate::broker::Broker;
use crate::history::{HistoryError, blocking, everything};
use crate::rules::{self, family};

/// Messages of a lag that are counted for one group.
const LAG_MAX: u64 = 10_000;

/// Groups that may have a strategy of their own.
const GROUPS_MAX: usize = 1_000;

/// How groups share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SharedSettings {
    /// The strategy of groups that have none of their own.
    pub strategy: Strategy,
    /// Strategies of groups, by the group's name.
    #[serde(default)]
    pub groups: BTreeMap<String, Strategy>,
}

impl SharedSettings {
    /// As the configuration says, or as it was changed at run time.
    pub(crate) fn new<'a>(
        configured: &SharedSubscriptions,
        mut stored: impl Iterator<Item = &'a Rule>,
    ) -> Self {
        let changed = stored.find(|rule| rule.name == SETTINGS);
        changed.and_then(rules::read).unwrap_or_else(|| Self {
            strategy: configured.strategy.into(),
            groups: BTreeMap::new(),
        })
    }

    /// How a group shares.
    pub(crate) fn strategy_of(&self, group: &str) -> Strategy {
        self.groups.get(group).copied().unwrap_or(self.strategy)
    }
}

impl From<SharedStrategy> for Strategy {
    fn from(strategy: SharedStrategy) -> Self {
        match strategy {
            SharedStrategy::RoundRobin => Self::RoundRobin,
            SharedStrategy::Random => Self::Random,
            SharedStrategy::Sticky => Self::Sticky,
            SharedStrategy::HashClientid => Self::HashClientid,
            SharedStrategy::HashTopic => Self::HashTopic,
            SharedStrategy::Local => Self::Local,
            SharedStrategy::LeastInflight => Self::LeastInflight,
        }
    }
}

/// Name of the one rule of the family.
const SETTINGS: &str = "settings";

/// The settings in force.
pub fn settings(broker: &Broker) -> SharedSettings {
    broker.rules.current().shared.clone()
}

/// Changes the settings at run time, in place of what the configuration says.
///
/// # Errors
/// [`HistoryError`].
pub async fn change_settings(
    broker: &Broker,
    settings: SharedSettings,
) -> Result<SharedSettings, HistoryError> {
    if settings.groups.len() > GROUPS_MAX {
        let reason = format!("at most {GROUPS_MAX} groups have a strategy of their own");
        return Err(HistoryError::Asked(reason));
    }
    let _lock = rules::lock(broker).await;
    let changes = vec![rules::set(SETTINGS.to_owned(), &settings)];
    rules::change(broker, family::SHARED, changes).await?;
    Ok(settings)
}

/// A group of a shared subscription, for people.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct GroupInfo {
    /// The group.
    pub group: String,
    /// What it subscribes to.
    pub filter: String,
    /// How it shares.
    pub strategy: Strategy,
    /// The number of the node that serves it; none while nobody is connected.
    pub node: Option<u64>,
    /// The client identifiers of its connected members, if this node serves it.
    pub members: Vec<String>,
    /// Messages with them, not acknowledged.
    pub in_flight: usize,
    /// Where it stands.
    pub positions: Vec<ShardPosition>,
    /// Messages it has not passed.
    pub lag_messages: u64,
    /// They are more than were counted.
    pub lag_is_more: bool,
    /// Age of the oldest message it has not passed, seconds.
    pub lag_seconds: f64,
}

/// Some of the groups by name, and how many there are.
///
/// # Errors
/// When log or views cannot be read.
pub async fn list(
    broker: &Arc<Broker>,
    skip: usize,
    limit: usize,
) -> Result<(Vec<GroupInfo>, usize), HistoryError> {
    let views = Arc::clone(&broker.views);
    let (stored, count) = blocking(broker, move || {
        let (mut stored, mut count) = (Vec::new(), 0);
        let visited = views.for_each_session(&mut |state| {
            if store::cursor_name(&state.client_id).is_some_and(groups::is_group) {
                if count >= skip && stored.len() < limit {
                    stored.push(state);
                }
                count += 1;
            }
            true
        });
        visited.map_err(|error| HistoryError::failed(&error))?;
        Ok((stored, count))
    })
    .await?;
    let settings = settings(broker);
    let mut infos = Vec::with_capacity(stored.len());
    for state in &stored {
        let name = store::cursor_name(&state.client_id).unwrap_or_default();
        let Ok(shared) = SharedFilter::parse(name) else {
            continue;
        };
        let served = broker.cursors.groups.get(name);
        let (members, in_flight, positions) = match &served {
            Some(group) => {
                let (members, _, in_flight) = group.users();
                (members, in_flight, group.positions())
            }
            None => (Vec::new(), 0, store::positions(broker, state)),
        };
        let filter = shared.filter.as_str();
        let lag = lag(broker, &everything(filter), &positions, LAG_MAX).await?;
        infos.push(GroupInfo {
            group: shared.group.to_owned(),
            filter: filter.to_owned(),
            strategy: settings.strategy_of(shared.group),
            node: state.connected.then(|| owner_of(state.epoch)),
            members,
            in_flight,
            positions: shard_positions(&positions),
            lag_messages: lag.messages,
            lag_is_more: lag.is_more,
            lag_seconds: lag.seconds,
        });
    }
    Ok((infos, count))
}
