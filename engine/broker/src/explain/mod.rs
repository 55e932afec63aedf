//! Why a message was, or was not, delivered to a session or by a cursor: from
//! what the log says about both.
//!
//! When a reader passed a message is told by the positions it stored, which it
//! does every few seconds: so a moment is told as *by when*.

mod passing;

use std::sync::Arc;

use robustmq_protocol::topic;
use robustmq_record::{Batch, Offset, OffsetToken, RecordRef, ShardId};
use robustmq_views::{InflightStage, SessionState};
use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::Broker;
use crate::connection;
use crate::cursors::{self, Standing};
use crate::dispatch::KIND_MESSAGE;
use crate::history::{HistoryError, blocking, places};
use crate::positions::Positions;
use crate::sessions;
use crate::subscription::TargetOptions;
use crate::subscriptions::Subscriptions;
use passing::{Passing, passing};

/// Messages before the one explained that are counted.
const BEHIND_MAX: u64 = 1_000_000;

/// Whose view is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The session of a client identifier.
    Client(String),
    /// A named cursor.
    Cursor(String),
}

/// What became of a message for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was sent, and acknowledged where that is done.
    Delivered,
    /// It was sent and is not acknowledged.
    InFlight,
    /// The reader has not come to it yet.
    Pending,
    /// It was not sent and will not be.
    NotDelivered,
    /// The log does not say.
    Unknown,
}

/// The message in question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Explained {
    /// Its Topic Name.
    pub topic: String,
    /// When it was stored, milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// The QoS it was published with.
    pub qos: u8,
    /// Whether it was to be retained.
    pub retain: bool,
    /// Who published it.
    pub clientid: String,
    /// When its Message Expiry Interval ends.
    pub expires_at: Option<u64>,
}

/// What became of one message for one reader, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Explanation {
    /// The message's offset token.
    pub offset: String,
    /// The message.
    pub message: Explained,
    /// `client` or `cursor`.
    pub reader: &'static str,
    /// Its identifier or name.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, as a word for programs.
    pub reason: &'static str,
    /// Why, as a sentence for people.
    pub text: String,
    /// The reader had passed it by then, milliseconds since the Unix epoch.
    pub passed_by: Option<u64>,
    /// Messages that come before it.
    pub behind: Option<u64>,
}

/// A message as it lies in the log.
struct Found {
    batch: Arc<Batch>,
    token: OffsetToken,
}

impl Found {
    fn record(&self) -> Option<RecordRef<'_>> {
        self.batch.record(self.token.offset.slot())
    }

    fn explained(&self) -> Result<Explained, HistoryError> {
        let record = self.record().ok_or_else(|| not_there(self.token))?;
        let expiry_ms = |expiry_s| record.timestamp_ms() + u64::from(expiry_s) * 1000;
        Ok(Explained {
            topic: record.topic().to_owned(),
            timestamp: record.timestamp_ms(),
            qos: record.qos(),
            retain: record.retain(),
            clientid: record.client_id().to_owned(),
            expires_at: record.message_expiry_s().map(expiry_ms),
        })
    }
}

/// A verdict before it is put into words for somebody.
struct Finding {
    verdict: Verdict,
    reason: &'static str,
    text: String,
    passed_by: Option<u64>,
    behind: Option<u64>,
}

impl Finding {
    fn new(verdict: Verdict, reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            verdict,
            reason,
            text: text.into(),
            passed_by: None,
            behind: None,
        }
    }
}

fn not_there(token: OffsetToken) -> HistoryError {
    HistoryError::NotFound(format!(
        "there is no message at {token}: it was removed by retention, or never was"
    ))
}

/// Explains what became of the message at `offset` (an offset token).
///
/// # Errors
/// When there is no such message or reader, or the log cannot be read.
pub async fn explain(
    broker: &Arc<Broker>,
    offset: &str,
    reader: &Reader,
) -> Result<Explanation, HistoryError> {
    let found = find(broker, offset).await?;
    let message = found.explained()?;
    let (kind, name, finding) = match reader {
        Reader::Client(client_id) => {
            let state = sessions::find(broker, client_id)?;
            let finding = for_session(broker, &state, &found, &message).await?;
            ("client", client_id, finding)
        }
        Reader::Cursor(name) => {
            let finding = for_cursor(broker, name, &found, &message).await?;
            ("cursor", name, finding)
        }
    };
    Ok(Explanation {
        offset: found.token.to_string(),
        message,
        reader: kind,
        name: name.clone(),
        verdict: finding.verdict,
        reason: finding.reason,
        text: finding.text,
        passed_by: finding.passed_by,
        behind: finding.behind,
    })
}

async fn find(broker: &Arc<Broker>, offset: &str) -> Result<Found, HistoryError> {
    let wrong = || {
        HistoryError::Asked(format!(
            "`{offset}` is no offset token: use what x-offset or the history says"
        ))
    };
    let token: OffsetToken = offset.parse().map_err(|_| wrong())?;
    if !broker.shard_map.shards().any(|shard| shard == token.shard) {
        return Err(wrong());
    }
    let inner = Arc::clone(broker);
    let batch = blocking(broker, move || {
        let batch = inner.reader.batch(token.shard, token.offset.index());
        batch.map_err(|error| HistoryError::failed(&error))
    })
    .await?;
    let batch = batch.ok_or_else(|| not_there(token))?;
    let record = batch.record(token.offset.slot());
    if record.is_none_or(|record| record.kind() != KIND_MESSAGE) {
        return Err(not_there(token));
    }
    Ok(Found { batch, token })
}

async fn for_session(
    broker: &Arc<Broker>,
    state: &SessionState,
    found: &Found,
    message: &Explained,
) -> Result<Finding, HistoryError> {
    let OffsetToken { shard, offset } = found.token;
    if let Some(entry) = state
        .inflight
        .iter()
        .find(|entry| (entry.shard, entry.offset) == (shard, offset))
    {
        return Ok(in_flight(entry.state));
    }
    if let Some(finding) = unsubscribed(state, found, message) {
        return Ok(finding);
    }
    let stands = sessions::cursors(broker, state);
    if offset >= stands.get(shard) {
        let subscriptions = sessions::plain(state);
        let connected = match state.connected {
            true => "connected",
            false => "offline",
        };
        return pending(broker, found, message, &subscriptions, &stands, connected).await;
    }
    let granted = granted(state, message);
    let made_ms = 0;
    passed(broker, &state.client_id, made_ms, found, message, granted).await
}

fn in_flight(stage: InflightStage) -> Finding {
    let (reason, text) = match stage {
        InflightStage::Sent => (
            "sent",
            "it was sent and is not acknowledged yet; it is sent again when the client reconnects",
        ),
        InflightStage::Assigned => (
            "sent",
            "its packet identifier is stored and it was sent; the client has not said PUBREC yet",
        ),
        InflightStage::Received => (
            "received",
            "the client has received it (PUBREC); the exchange is not completed (PUBCOMP) yet",
        ),
    };
    Finding::new(Verdict::InFlight, reason, text)
}

/// The highest QoS that a matching plain subscription grants.
fn granted(state: &SessionState, message: &Explained) -> u8 {
    let plain = state.subscriptions.values();
    let matching = plain.filter(|stored| {
        connection::is_plain(&stored.filter) && topic::matches(&stored.filter, &message.topic)
    });
    let granted = matching.map(|stored| stored.qos).max().unwrap_or(0);
    granted.min(message.qos)
}

/// Why no subscription asks for it, if so.
fn unsubscribed(state: &SessionState, found: &Found, message: &Explained) -> Option<Finding> {
    let OffsetToken { shard, offset } = found.token;
    let not = |reason, text| Some(Finding::new(Verdict::NotDelivered, reason, text));
    let matching: Vec<_> = state
        .subscriptions
        .values()
        .filter(|stored| {
            connection::is_plain(&stored.filter) && topic::matches(&stored.filter, &message.topic)
        })
        .collect();
    if matching.is_empty() {
        return not(
            "no_matching_subscription",
            format!(
                "none of the session's {} subscriptions matches `{}`",
                state.subscriptions.len(),
                message.topic
            ),
        );
    }
    let begins = |starts: &[(ShardId, Offset)]| {
        let own = starts.iter().find(|(known, _)| *known == shard);
        own.map_or(Offset::ZERO, |(_, start)| *start)
    };
    let active: Vec<_> = matching
        .iter()
        .filter(|stored| begins(&stored.starts) <= offset)
        .collect();
    if active.is_empty() {
        let filter = &matching[0].filter;
        return not(
            "published_before_subscription",
            format!("it was published before the client subscribed to `{filter}`"),
        );
    }
    let mut options = TargetOptions::default();
    for stored in active {
        options.add(&(*stored).into());
    }
    let own = message.clientid == state.client_id;
    if options.effective(own).is_none() {
        let text = "the client published it itself and subscribed with No Local";
        return not("no_local", text.to_owned());
    }
    None
}

async fn pending(
    broker: &Arc<Broker>,
    found: &Found,
    message: &Explained,
    subscriptions: &Subscriptions,
    stands: &Positions,
    reader: &str,
) -> Result<Finding, HistoryError> {
    let now_ms = broker.clock.wall_ms();
    if message.expires_at.is_some_and(|at_ms| at_ms <= now_ms) {
        let text = "its Message Expiry Interval is over before the reader came to it";
        return Ok(Finding::new(Verdict::NotDelivered, "expired", text));
    }
    let mut there = stands.clone();
    there.raise(found.token.shard, found.token.offset);
    let between = places::between(broker, subscriptions, stands, &there, BEHIND_MAX).await?;
    let behind = between.skipped;
    Ok(Finding {
        behind: Some(behind),
        ..Finding::new(
            Verdict::Pending,
            "lagging",
            format!("the reader ({reader}) has not come to it: {behind} messages come before"),
        )
    })
}

/// What became of a message that lies behind a reader, who was made at `made_ms`.
async fn passed(
    broker: &Arc<Broker>,
    reader: &str,
    made_ms: u64,
    found: &Found,
    message: &Explained,
    granted: u8,
) -> Result<Finding, HistoryError> {
    let (inner, reader, token) = (Arc::clone(broker), reader.to_owned(), found.token);
    let since_ms = message.timestamp;
    let passing = blocking(broker, move || passing(&inner, &reader, token, since_ms)).await?;
    let finding = words(&passing, made_ms, message, granted);
    Ok(Finding {
        passed_by: passing.by_ms,
        ..finding
    })
}

fn words(passing: &Passing, made_ms: u64, message: &Explained, granted: u8) -> Finding {
    let not = |reason, text| Finding::new(Verdict::NotDelivered, reason, text);
    if passing.was_moved {
        return not("moved", "the reader was moved over it (seek or rewind)");
    }
    if passing.before_ms.is_none() && message.timestamp < made_ms {
        let reason = "published_before_subscription";
        return not(reason, "the reader was made to begin behind it");
    }
    if let Some(at_ms) = message.expires_at {
        if passing
            .before_ms
            .is_some_and(|before_ms| before_ms >= at_ms)
        {
            let text = "its Message Expiry Interval was over when the reader came to it";
            return not("expired", text);
        }
        if passing.by_ms.is_none_or(|by_ms| by_ms >= at_ms) {
            let text = "the reader passed it at about the time it expired: it was sent, or left out as expired";
            return Finding::new(Verdict::Unknown, "passed", text);
        }
    }
    match granted {
        0 => {
            let text = "it was sent with QoS 0, which is not acknowledged";
            Finding::new(Verdict::Delivered, "sent", text)
        }
        _ => {
            let text = "it was sent and acknowledged";
            Finding::new(Verdict::Delivered, "acknowledged", text)
        }
    }
}

async fn for_cursor(
    broker: &Arc<Broker>,
    name: &str,
    found: &Found,
    message: &Explained,
) -> Result<Finding, HistoryError> {
    let cursor = cursors::admin::find(broker, name)?;
    let OffsetToken { shard, offset } = found.token;
    if !topic::matches(cursor.filter(), &message.topic) {
        let text = format!("the cursor reads `{}`", cursor.filter());
        let reason = "no_matching_subscription";
        return Ok(Finding::new(Verdict::NotDelivered, reason, text));
    }
    match cursor.standing((shard, offset)) {
        Standing::Out(member) => Ok(Finding::new(
            Verdict::InFlight,
            "sent",
            format!("it was sent to `{member}` and is not acknowledged yet"),
        )),
        Standing::Done => Ok(Finding::new(
            Verdict::Delivered,
            "acknowledged",
            "it was sent and acknowledged, before others that are not",
        )),
        Standing::Ahead => {
            let subscriptions = crate::history::everything(cursor.filter());
            let stands = cursor.positions();
            let members = cursor.member_count();
            let reader = format!("{members} members");
            pending(broker, found, message, &subscriptions, &stands, &reader).await
        }
        Standing::Behind => {
            let stored = cursors::client_id(name);
            let granted = message.qos.min(1);
            passed(broker, &stored, cursor.made_ms(), found, message, granted).await
        }
    }
}
