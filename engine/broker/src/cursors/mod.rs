//! Named cursors: positions in the log that outlive the clients who use them,
//! alone or shared by a group.
//!
//! A cursor is kept in the log like a session, under a client identifier that
//! no client can have (`$cursor/{name}`): its filter as a subscription, its
//! position as the session's.
//!
//! **Not here**: MQTT (`connection::cursors`), HTTP.

pub(crate) mod admin;
mod cursor;
pub mod group_admin;
pub(crate) mod groups;
mod owning;
mod sharing;
mod state;
mod store;

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use robustmq_protocol::ReasonCode;
use robustmq_protocol::topic::{CursorFilter, ReplayPosition};
use robustmq_views::SessionState;

pub use admin::{CursorInfo, Moved, ShardPosition, Target, delete, list, seek, show};
pub(crate) use cursor::Standing;
pub(crate) use cursor::{Cursor, Membership, Reading};
use groups::Groups;
pub use sharing::Strategy;
pub(crate) use state::{Given, Taken};
pub(crate) use store::{client_id, cursor_name};

use crate::broker::Broker;
use crate::history::{HistoryError, places};

/// Why a client does not get a cursor.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CursorRefusal {
    /// It reads something else.
    #[error(
        "the cursor `{name}` reads `{filter}`: use that filter, another name, or delete it first"
    )]
    OtherFilter { name: String, filter: String },
    /// Somebody else uses it.
    #[error(
        "the cursor `{0}` is in use: share it with $share/GROUP/$cursor/…, the same group for everybody"
    )]
    InUse(String),
    /// Clients of another node use it.
    #[error("the cursor `{0}` is in use at another node ({1}): connect there")]
    Elsewhere(String, String),
    /// Nobody leads the shard it is kept in.
    #[error("the shard of the cursor `{0}` has no leader at present: try again")]
    NoLeader(String),
    /// There are as many as there may be.
    #[error("there are {0} cursors already: delete some, or raise limits.cursors_max")]
    TooMany(usize),
    /// Its beginning cannot be found.
    #[error(transparent)]
    Place(#[from] HistoryError),
}

impl CursorRefusal {
    pub(crate) fn reason(&self) -> ReasonCode {
        match self {
            Self::OtherFilter { .. } | Self::Place(HistoryError::Asked(_)) => {
                ReasonCode::TopicFilterInvalid
            }
            Self::InUse(_) | Self::TooMany(_) | Self::Elsewhere(..) => ReasonCode::QuotaExceeded,
            Self::NoLeader(_) => ReasonCode::UnspecifiedError,
            Self::Place(_) => ReasonCode::UnspecifiedError,
        }
    }
}

impl From<CursorRefusal> for HistoryError {
    fn from(refusal: CursorRefusal) -> Self {
        match refusal {
            CursorRefusal::Place(error) => error,
            CursorRefusal::NoLeader(_) => Self::failed(&refusal),
            other => Self::Conflict(other.to_string()),
        }
    }
}

/// All cursors of this node.
#[derive(Default)]
pub(crate) struct Cursors {
    /// Those of shared subscriptions.
    pub(crate) groups: Groups,
    all: Mutex<HashMap<String, Arc<Cursor>>>,
    /// Held while one is made or deleted: both are written to the log first.
    changing: tokio::sync::Mutex<()>,
}

impl Cursors {
    /// The cursor of this name, owned by this node.
    pub(crate) async fn owned(
        &self,
        broker: &Arc<Broker>,
        name: &str,
    ) -> Result<Option<Arc<Cursor>>, HistoryError> {
        let _changing = self.changing.lock().await;
        self.own(broker, name).await?;
        Ok(self.get(name))
    }

    /// A cursor that the log knows.
    pub(crate) fn restore(&self, broker: &Broker, state: &SessionState) {
        if let Some(cursor) = store::read(broker, state) {
            let name = cursor.name().to_owned();
            self.all.lock().insert(name, Arc::new(cursor));
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Cursor>> {
        self.all.lock().get(name).cloned()
    }

    /// All of them by name.
    pub(crate) fn sorted(&self) -> Vec<Arc<Cursor>> {
        let mut all: Vec<Arc<Cursor>> = self.all.lock().values().cloned().collect();
        all.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        all
    }

    /// The cursor a filter names; made if there is none.
    pub(crate) async fn open(
        &self,
        broker: &Arc<Broker>,
        wanted: &CursorFilter<'_>,
    ) -> Result<Arc<Cursor>, CursorRefusal> {
        if let Some(known) = self.get(wanted.name)
            && (!broker.is_member() || known.member_count() > 0)
        {
            return same_filter(known, wanted);
        }
        let _changing = self.changing.lock().await;
        self.own(broker, wanted.name).await?;
        if let Some(known) = self.get(wanted.name) {
            return same_filter(known, wanted);
        }
        let count = self.all.lock().len();
        let count_max = broker.config.limits.cursors_max as usize;
        if count >= count_max {
            return Err(CursorRefusal::TooMany(count));
        }
        let start = wanted.start.clone().unwrap_or(ReplayPosition::Latest);
        let filter = wanted.filter.as_str();
        let from = places::place(broker, filter, start).await?;
        let cursor = store::create(broker, wanted.name, filter, from).await?;
        let cursor = Arc::new(cursor);
        self.all
            .lock()
            .insert(wanted.name.to_owned(), Arc::clone(&cursor));
        tracing::info!(cursor = wanted.name, filter, "a cursor was made");
        Ok(cursor)
    }

    async fn remove(&self, broker: &Arc<Broker>, name: &str) -> Result<bool, HistoryError> {
        let _changing = self.changing.lock().await;
        self.own(broker, name).await.map_err(HistoryError::from)?;
        let Some(cursor) = self.get(name) else {
            return Ok(false);
        };
        store::delete(broker, &cursor).await?;
        self.all.lock().remove(name);
        cursor.end();
        tracing::info!(cursor = name, "a cursor was deleted");
        Ok(true)
    }
}

fn same_filter(
    known: Arc<Cursor>,
    wanted: &CursorFilter<'_>,
) -> Result<Arc<Cursor>, CursorRefusal> {
    if known.filter() == wanted.filter.as_str() {
        return Ok(known);
    }
    Err(CursorRefusal::OtherFilter {
        name: known.name().to_owned(),
        filter: known.filter().to_owned(),
    })
}
