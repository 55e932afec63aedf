//! What a run is to do, connection by connection.

use std::net::SocketAddr;

use robustmq_protocol::{ProtocolVersion, QoS};

use crate::block::Template;
use crate::stream::TlsPlan;

/// How every connection of a run is made.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) address: SocketAddr,
    pub(crate) version: ProtocolVersion,
    pub(crate) tls: Option<TlsPlan>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// QoS 1 and 2 messages of one connection on their way, in either direction.
    pub(crate) window: u16,
    /// Messages a second of all publishers together; as fast as possible
    /// without.
    pub(crate) rate: Option<f64>,
    pub(crate) threads: usize,
    /// Connections that are being opened at a time, per thread.
    pub(crate) opening_max: usize,
    /// How long nothing may arrive before what is missing counts as lost.
    pub(crate) patience_ns: u64,
    /// Before sockets are looked at again, so long is waited.
    pub(crate) gather_ns: u64,
    /// The broker's process, if it runs here and is to be watched.
    pub(crate) broker_pid: Option<u32>,
}

/// How long a run publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Only what the connections do when they open.
    Nothing,
    /// This many nanoseconds after the warm-up.
    Time { warmup_ns: u64, duration_ns: u64 },
    /// Until every publisher has sent what it is to send.
    Messages,
}

#[derive(Clone, Debug)]
pub(crate) struct ConnectionPlan {
    pub(crate) client_id: String,
    /// False: the session outlives the connection.
    pub(crate) is_clean: bool,
    pub(crate) publish: Option<PublishPlan>,
    pub(crate) subscribe: Option<SubscribePlan>,
    /// Says DISCONNECT as soon as it is connected and subscribed.
    pub(crate) hangs_up: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct PublishPlan {
    pub(crate) template: Template,
    /// The flow of its first topic; the other topics follow.
    pub(crate) flow_start: u32,
    /// Messages it sends at most.
    pub(crate) messages_max: u64,
    /// How many subscribers each message reaches in this run.
    pub(crate) audience: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct SubscribePlan {
    /// None: the subscription is that of a session which is already there.
    pub(crate) filter: Option<String>,
    pub(crate) qos: QoS,
    pub(crate) flow_start: u32,
    pub(crate) flows: u32,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) connections: Vec<ConnectionPlan>,
    pub(crate) extent: Extent,
    /// Messages that arrive although no publisher of this run sends them.
    pub(crate) expected: u64,
    /// How long the connections are held once they are open.
    pub(crate) hold_ns: u64,
}

impl Plan {
    pub(crate) fn publishers(&self) -> usize {
        let connections = self.connections.iter();
        connections.filter(|plan| plan.publish.is_some()).count()
    }
}
