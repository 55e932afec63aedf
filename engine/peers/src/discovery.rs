//! Where other nodes may be found: an address, or every address of a name.

use std::fmt;
use std::str::FromStr;

/// One entry of `cluster.discovery`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `host:port`
    Address(String),
    /// `dns:name:port`: every address of the name, as a headless service of Kubernetes has them.
    EveryAddressOf(String),
}

/// An entry that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// It does not read as one.
    #[error("{0}: give host:port, or dns:name:port for every address of a name")]
    Form(String),
    /// The name cannot be looked up.
    #[error("{place}: {source}")]
    Lookup {
        /// The entry.
        place: Place,
        /// Why not.
        source: std::io::Error,
    },
}

impl FromStr for Place {
    type Err = DiscoveryError;

    fn from_str(text: &str) -> Result<Self, DiscoveryError> {
        let (address, is_dns) = match text.strip_prefix("dns:") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let is_address = address.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        match (is_address, is_dns) {
            (false, _) => Err(DiscoveryError::Form(text.to_owned())),
            (true, false) => Ok(Self::Address(address.to_owned())),
            (true, true) => Ok(Self::EveryAddressOf(address.to_owned())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address),
            Self::EveryAddressOf(address) => write!(f, "dns:{address}"),
        }
    }
}

impl Place {
    /// Addresses to dial, as they are now.
    ///
    /// # Errors
    /// [`DiscoveryError::Lookup`]
    pub async fn addresses(&self) -> Result<Vec<String>, DiscoveryError> {
        match self {
            // Looked up when it is dialled.
            Self::Address(address) => Ok(vec![address.clone()]),
            Self::EveryAddressOf(address) => {
                let found = tokio::net::lookup_host(address).await;
                let found = found.map_err(|source| DiscoveryError::Lookup {
                    place: self.clone(),
                    source,
                })?;
                let mut addresses: Vec<_> = found.map(|address| address.to_string()).collect();
                addresses.sort_unstable();
                addresses.dedup();
                Ok(addresses)
            }
        }
    }
}
