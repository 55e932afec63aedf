//! `[cluster]`: how this node takes part in a cluster.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::literal::TimeSpan;
use crate::schema::section;
use crate::setting::{Fault, Literal, LiteralValue, Setting, invalid, quoted};

section! {
    /// How this node takes part in a cluster; see docs/cluster.md. A node with this section enabled is
    /// alone until it joins another one, or another one joins it.
    pub struct Cluster {
        /// Opens the way to and from other nodes.
        enabled: bool = false;
        /// Where other nodes come in.
        bind: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7083));
        /// Where other nodes are told to come, `host:port`. Needed where `bind` is not an address that they
        /// can reach, such as `0.0.0.0:7083`.
        advertise: Option<String> = None, none "bind";
        /// Certificate of the cluster's authority, in PEM: `robust-ctl cluster certificates` makes one.
        ca: Option<PathBuf> = None, none "none";
        /// Certificate of this node, in PEM, made for its `node.id`.
        certificate: Option<PathBuf> = None, none "none";
        /// Key of that certificate, in PEM.
        key: Option<PathBuf> = None, none "none";
        /// Where other nodes may be found at start: `host:port`, or `dns:name:port` for every address of a
        /// name (a headless service of Kubernetes). The node with the lowest `node.id` among those that
        /// are alone begins, the others join it.
        discovery: Places = Places(Vec::new());
        /// How often the leader of a shard shows that it is there.
        heartbeat_interval: TimeSpan = TimeSpan::from_millis(100), range TimeSpan::from_millis(10)..=TimeSpan::from_secs(10);
        /// After what silence of the leader others stand for election: one and a half to two times this, drawn anew each time.
        election_timeout: TimeSpan = TimeSpan::from_secs(1), range TimeSpan::from_millis(100)..=TimeSpan::from_secs(60);
        /// After what silence of a node the others close the sessions that were connected there. A node that
        /// has lost the others closes its connections after half of that.
        node_timeout: TimeSpan = TimeSpan::from_secs(10), range TimeSpan::from_secs(2)..=TimeSpan::from_secs(3600);
    }
}

/// Where other nodes may be found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places(pub Vec<String>);

fn check(place: &str, literal: &Literal) -> Result<String, Vec<Fault>> {
    let address = place.strip_prefix("dns:").unwrap_or(place);
    let is_address = address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if is_address {
        return Ok(place.to_owned());
    }
    Err(invalid(
        literal,
        "neither `host:port` nor `dns:name:port`",
        "name the host and the port of cluster.bind there: \"10.0.0.2:7083\"",
    ))
}

impl Setting for Places {
    type Scalar = String;

    fn accepts(_: Option<&str>) -> String {
        "a list of `host:port` and `dns:name:port`".to_owned()
    }

    fn read(literal: &Literal, none: Option<&str>) -> Result<Self, Vec<Fault>> {
        let places = match &literal.value {
            LiteralValue::List(items) => {
                let read = |item: &Literal| check(&String::read(item, none)?, item);
                items.iter().map(read).collect::<Result<_, _>>()?
            }
            // The environment and the command line have no lists.
            _ => {
                let text = String::read(literal, none)?;
                let places = text.split(',').map(str::trim);
                let places = places.filter(|place| !place.is_empty());
                places
                    .map(|place| check(place, literal))
                    .collect::<Result<_, _>>()?
            }
        };
        Ok(Self(places))
    }

    fn show(&self, _: Option<&str>) -> String {
        let places: Vec<String> = self.0.iter().map(|place| quoted(place)).collect();
        format!("[{}]", places.join(", "))
    }

    fn scalar(&self) -> Option<&String> {
        None
    }
}
