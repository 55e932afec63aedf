//! Who takes part in a group: how it is written (JSON, so that a person can
//! read it in a dump) and where it is kept.

mod store;

pub use store::{
    FileMembershipStore, MembershipStore, MembershipStoreError, MemoryMembershipStore,
};

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::types::Membership;

#[derive(Serialize, Deserialize)]
pub(crate) struct WrittenMembership {
    /// The voters; two sets while one takes over from the other.
    voters: Vec<BTreeSet<u64>>,
    /// Addresses of voters and learners.
    nodes: BTreeMap<u64, String>,
}

impl WrittenMembership {
    pub(crate) fn new(membership: &Membership) -> Self {
        let nodes = membership.nodes();
        Self {
            voters: membership.get_joint_config().clone(),
            nodes: nodes.map(|(id, node)| (*id, node.addr.clone())).collect(),
        }
    }

    /// `None` if it does not fit together: a voter without an address, say.
    pub(crate) fn read(self) -> Option<Membership> {
        let nodes: BTreeMap<u64, openraft::BasicNode> = self
            .nodes
            .into_iter()
            .map(|(id, address)| (id, openraft::BasicNode::new(address)))
            .collect();
        Membership::new(self.voters, nodes).ok()
    }
}
