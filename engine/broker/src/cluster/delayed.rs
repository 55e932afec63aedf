//! A delayed message is cancelled on the node that leads its shard: only that
//! node knows whether it is being published.

use robustmq_peers::Request;
use robustmq_record::ShardId;
use serde::{Deserialize, Serialize};

use super::Cluster;
use super::place::Place;
use super::requests::{self, TIMEOUT};
use crate::delayed;
use crate::history::HistoryError;

/// A delayed message that is to be cancelled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cancel {
    pub(super) id: String,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Cancelled {
    Done,
    NotFound(String),
    Failed(String),
}

impl From<Result<(), HistoryError>> for Cancelled {
    fn from(cancelled: Result<(), HistoryError>) -> Self {
        match cancelled {
            Ok(()) => Self::Done,
            Err(HistoryError::NotFound(reason)) => Self::NotFound(reason),
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

impl From<Cancelled> for Result<(), HistoryError> {
    fn from(cancelled: Cancelled) -> Self {
        match cancelled {
            Cancelled::Done => Ok(()),
            Cancelled::NotFound(reason) => Err(HistoryError::NotFound(reason)),
            Cancelled::Failed(reason) => Err(HistoryError::Failed(reason)),
        }
    }
}

impl Cluster {
    /// Has the node that leads its shard cancel a delayed message.
    pub(crate) async fn cancel_delayed(
        &self,
        shard: ShardId,
        id: &str,
    ) -> Result<(), HistoryError> {
        let status = self.groups().map(|groups| groups.status());
        let status = status
            .iter()
            .flatten()
            .find(|group| group.shard == shard)
            .and_then(|group| Some((group.leader?, group.addresses.get(&group.leader?)?)));
        let Some((leader, address)) = status else {
            return Err(HistoryError::Failed(format!(
                "shard {} has no leader at present: try again",
                shard.0
            )));
        };
        let body = requests::write(&Cancel { id: id.to_owned() });
        let request = Request::new(requests::CANCEL_DELAYED, body);
        let address = Place::address_of(address);
        let asked = self.peers.call(leader, address, request, TIMEOUT * 3);
        let answer = asked.await.map_err(|error| HistoryError::failed(&error))?;
        requests::read::<Cancelled>(&answer)
            .map_err(HistoryError::Failed)?
            .into()
    }

    /// Cancels a delayed message of a shard that this node leads.
    pub(super) async fn cancel_delayed_here(&self, id: &str) -> Result<Cancelled, String> {
        let broker = self.broker().ok_or("this node is starting or stopping")?;
        Ok(delayed::cancel_here(&broker, id).await.into())
    }
}
