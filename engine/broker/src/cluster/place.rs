//! Where a node is reached, and which incarnation of it: `host:port/incarnation`
//! in the memberships of the groups.

/// Where a node is reached, and which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `host:port`
    pub(super) address: String,
    /// Incarnation of the data directory.
    pub(super) incarnation: u128,
}

impl Place {
    /// As it stands in a membership.
    pub(super) fn encode(&self) -> String {
        format!("{}/{:032x}", self.address, self.incarnation)
    }

    /// What stands in a membership.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let (address, incarnation) = text.rsplit_once('/')?;
        Some(Self {
            address: address.to_owned(),
            incarnation: u128::from_str_radix(incarnation, 16).ok()?,
        })
    }

    /// The address in what stands in a membership.
    pub(super) fn address_of(text: &str) -> &str {
        text.rsplit_once('/').map_or(text, |(address, _)| address)
    }
}
