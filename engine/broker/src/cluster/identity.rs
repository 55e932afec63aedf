//! Who this node is to other nodes, kept beside its log: `cluster/node.json`.
//!
//! The incarnation is made when the data directory is: a node whose data was
//! lost has another one, and is not taken for the node it was.

use std::sync::Arc;

use robustmq_log::Disk;
use serde::{Deserialize, Serialize};

const FILE: &str = "node.json";

/// The identity could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{action} cluster/{FILE} failed: {reason}")]
pub struct IdentityError {
    action: &'static str,
    reason: String,
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    /// The node's number; another one in the configuration is a mistake.
    pub(crate) node_id: u64,
    /// Of the data directory.
    pub(crate) incarnation: String,
    /// The cluster that the node founds, or joined.
    pub(crate) cluster_id: String,
    /// Whether other nodes have been part of it: it is not alone then, whoever
    /// else is there at present.
    pub(crate) is_member: bool,
    /// Whether the cluster began with this node's log.
    pub(crate) is_founder: bool,
}

impl Identity {
    fn new(node_id: u64) -> Self {
        let random = || format!("{:032x}", random());
        Self {
            node_id,
            incarnation: random(),
            cluster_id: random(),
            is_member: false,
            is_founder: false,
        }
    }

    /// The incarnation as a number.
    pub(crate) fn incarnation(&self) -> u128 {
        u128::from_str_radix(&self.incarnation, 16).unwrap_or_default()
    }

    /// Reads who the node is, or makes it up at its first start.
    pub(crate) fn load(disk: &Arc<dyn Disk>, node_id: u64) -> Result<Self, IdentityError> {
        let failed = |reason: String| IdentityError {
            action: "reading",
            reason,
        };
        let file = match disk.open(FILE) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let identity = Self::new(node_id);
                identity.store(disk)?;
                return Ok(identity);
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        let len = file.len().map_err(|error| failed(error.to_string()))?;
        let mut bytes = vec![0; len as usize];
        let read = file.read_at(0, &mut bytes);
        bytes.truncate(read.map_err(|error| failed(error.to_string()))?);
        let identity: Self =
            serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        if identity.node_id != node_id {
            return Err(failed(format!(
                "this data belongs to node {}, but node.id = {node_id}: set node.id = {}, or use another node.data_dir",
                identity.node_id, identity.node_id
            )));
        }
        Ok(identity)
    }

    /// Writes it; durable when this returns.
    pub(crate) fn store(&self, disk: &Arc<dyn Disk>) -> Result<(), IdentityError> {
        let temporary = format!("{FILE}.tmp");
        let replace = || {
            let bytes = serde_json::to_vec_pretty(self)?;
            match disk.remove(&temporary) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => (),
            }
            let file = disk.create(&temporary)?;
            file.write_at(0, &bytes)?;
            file.sync_data()?;
            disk.rename(&temporary, FILE)?;
            disk.sync_dir()
        };
        replace().map_err(|error| IdentityError {
            action: "writing",
            reason: error.to_string(),
        })
    }
}

/// 128 random bits.
fn random() -> u128 {
    let mut bytes = [0; 16];
    let filled = getrandom::fill(&mut bytes);
    assert!(filled.is_ok(), "the system has randomness");
    u128::from_le_bytes(bytes)
}
