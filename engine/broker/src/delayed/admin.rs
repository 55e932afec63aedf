//! Looking at what waits, cancelling it, and the settings of delayed publishing.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use robustmq_config::Delayed as DelayedConfig;
use robustmq_log::AppendError;
use robustmq_record::{Offset, OffsetToken, RecordInput, ShardId};
use robustmq_views::{DelayedMessage, DelayedPage, Rule, StateBody};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::broker::Broker;
use crate::history::{HistoryError, blocking};
use crate::rules::{self, family};
use crate::shard_map::DEFAULT_NAMESPACE;

/// Bytes of payloads that are read for a list, which shows none.
const LISTED_BYTES_MAX: usize = 64 << 20;

/// How long a cancellation waits for what is being published.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

/// The settings of delayed publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DelayedSettings {
    /// False refuses publishes to `$delayed/…`; what waits is published all the
    /// same.
    pub enable: bool,
    /// Most messages that wait; 0 for no limit.
    #[serde(default)]
    pub max_delayed_messages: u32,
}

impl DelayedSettings {
    /// As the configuration says, or as it was changed at run time.
    pub(crate) fn new<'a>(
        configured: &DelayedConfig,
        mut stored: impl Iterator<Item = &'a Rule>,
    ) -> Self {
        let configured = Self {
            enable: configured.enable,
            max_delayed_messages: configured.max_delayed_messages,
        };
        let changed = stored.find(|rule| rule.name == SETTINGS);
        changed.and_then(rules::read).unwrap_or(configured)
    }
}

/// Name of the one rule of the family.
const SETTINGS: &str = "settings";

/// The settings in force.
pub fn settings(broker: &Broker) -> DelayedSettings {
    broker.rules.current().delayed
}

/// Changes the settings at run time, in place of what the configuration says.
///
/// # Errors
/// [`HistoryError`].
pub async fn change_settings(
    broker: &Broker,
    settings: DelayedSettings,
) -> Result<DelayedSettings, HistoryError> {
    let _lock = rules::lock(broker).await;
    let changes = vec![rules::set(SETTINGS.to_owned(), &settings)];
    rules::change(broker, family::DELAYED, changes).await?;
    Ok(settings)
}

/// A message that waits, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DelayedInfo {
    /// What it is known by: the offset token of its acknowledgement.
    pub msgid: String,
    /// The node that holds it.
    pub node: String,
    /// When it was published (RFC 3339).
    pub publish_at: String,
    /// When it is due (RFC 3339).
    pub expected_at: String,
    /// Its delay in seconds.
    pub delayed_interval: u64,
    /// What is left of that, seconds.
    pub delayed_remaining: u64,
    /// The topic it is for.
    pub topic: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The RETAIN flag.
    pub retain: bool,
    /// The publisher's Client Identifier.
    pub from_clientid: String,
    /// Bytes of its payload.
    pub payload_size: usize,
    /// Its payload in Base64, where one message is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

impl DelayedInfo {
    fn new(broker: &Broker, message: &DelayedMessage) -> Self {
        let now_ms = broker.clock.wall_ms();
        Self {
            msgid: token(message).to_string(),
            node: broker.config.node.name.clone(),
            publish_at: time(message.published_ms),
            expected_at: time(message.due_ms),
            delayed_interval: message.due_ms.saturating_sub(message.published_ms) / 1000,
            delayed_remaining: message.due_ms.saturating_sub(now_ms).div_ceil(1000),
            topic: message.topic.clone(),
            qos: message.qos,
            retain: message.retain,
            from_clientid: message.publisher.clone(),
            payload_size: message.payload.len(),
            payload: None,
        }
    }
}

fn token(message: &DelayedMessage) -> OffsetToken {
    OffsetToken {
        shard: message.shard,
        offset: message.offset,
    }
}

fn time(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok();
    let at = at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map_or_else(|| at_ms.to_string(), |at| at.to_string())
}

/// Messages that wait, in the order in which they are due; how many there are
/// in all.
///
/// # Errors
/// [`HistoryError`].
pub async fn list(
    broker: &Arc<Broker>,
    skip: usize,
    count_max: usize,
) -> Result<(Vec<DelayedInfo>, u64), HistoryError> {
    let views = Arc::clone(&broker.views);
    let found = blocking(broker, move || {
        let page = DelayedPage {
            due_ms: u64::MAX,
            after: None,
            skip,
            count_max,
            bytes_max: LISTED_BYTES_MAX,
        };
        let found = views.delayed_messages(&page);
        found.map_err(|error| HistoryError::failed(&error))
    })
    .await?;
    let told = found
        .iter()
        .map(|message| DelayedInfo::new(broker, message))
        .collect();
    Ok((told, broker.views.delayed_count()))
}

/// The shard and offset that an id stands for.
fn place(id: &str) -> Result<(ShardId, Offset), HistoryError> {
    let token: Result<OffsetToken, _> = id.parse();
    token
        .map(|token| (token.shard, token.offset))
        .map_err(|_| unknown(id))
}

fn unknown(id: &str) -> HistoryError {
    HistoryError::NotFound(format!(
        "no message `{id}` waits: it was published, cancelled, or never there"
    ))
}

async fn waiting(broker: &Arc<Broker>, id: &str) -> Result<DelayedMessage, HistoryError> {
    let place = place(id)?;
    let views = Arc::clone(&broker.views);
    let found = blocking(broker, move || {
        let found = views.delayed_message(place);
        found.map_err(|error| HistoryError::failed(&error))
    });
    found.await?.ok_or_else(|| unknown(id))
}

/// One message that waits, with its payload.
///
/// # Errors
/// [`HistoryError`].
pub async fn show(broker: &Arc<Broker>, id: &str) -> Result<DelayedInfo, HistoryError> {
    let message = waiting(broker, id).await?;
    let payload = Some(STANDARD.encode(&message.payload));
    Ok(DelayedInfo {
        payload,
        ..DelayedInfo::new(broker, &message)
    })
}

/// Ends the waiting of a message: it is not published. The node that leads its
/// shard does it.
///
/// # Errors
/// [`HistoryError`].
pub async fn cancel(broker: &Arc<Broker>, id: &str) -> Result<(), HistoryError> {
    let (shard, _) = place(id)?;
    match broker.cluster() {
        Some(cluster) if broker.is_member() && !broker.leads(shard) => {
            if broker.shard_map.shards().all(|one| one != shard) {
                return Err(unknown(id));
            }
            cluster.cancel_delayed(shard, id).await
        }
        _ => cancel_here(broker, id).await,
    }
}

/// Ends the waiting of a message in a shard that this node leads.
pub(crate) async fn cancel_here(broker: &Arc<Broker>, id: &str) -> Result<(), HistoryError> {
    // Whoever publishes what is due looks before this, or after it.
    let ending = tokio::time::timeout(CANCEL_PATIENCE, broker.delayed_ending.lock());
    let _ending = ending.await.map_err(|_| {
        let reason = "messages that are due are being published and cannot be stored: try again";
        HistoryError::Failed(reason.to_owned())
    })?;
    let (shard, offset) = place(id)?;
    if broker.shard_map.shards().all(|one| one != shard) {
        return Err(unknown(id));
    }
    let not_leader = || HistoryError::Failed("the lead of the shard moves: try again".to_owned());
    let term = broker.term_led(shard).ok_or_else(not_leader)?;
    let message = waiting(broker, id).await?;
    let body = StateBody::DelayedEnded {
        offset,
        published: false,
    };
    let payload = body.encode();
    let records = [RecordInput {
        kind: body.kind(),
        namespace: DEFAULT_NAMESPACE,
        timestamp_ms: broker.clock.wall_ms(),
        payload: &payload,
        ..RecordInput::default()
    }];
    let appended = broker
        .mailboxes
        .append_together(shard, &records, term)
        .await;
    let appended = appended.await.unwrap_or(Err(AppendError::Shutdown));
    appended.map_err(|error| HistoryError::failed(&format!("that was not stored: {error}")))?;
    broker.counters.messages_delayed_cancelled.add(1);
    tracing::info!(id, topic = message.topic, "a delayed message was cancelled");
    Ok(())
}
