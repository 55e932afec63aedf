//! The brokers: this one and mosquitto are started anew for every run, pinned to
//! a core; others are where they are.

use std::io;
use std::net::SocketAddr;
use std::process::Command;

use robustmq_e2e::{Broker, Launch, Mosquitto};

/// Ours but for this.
pub(crate) const SETS: [&str; 1] = ["log.level=warn"];

/// mosquitto with its limits taken away: by default 20 messages on their way and
/// 1 000 waiting for each client, and the rest dropped.
pub(crate) const MOSQUITTO_CONFIGURATION: &str = "\
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
persistence false
log_type error
";

/// A broker to be measured.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Ours,
    Mosquitto,
    Peer { name: String, address: SocketAddr },
}

impl Kind {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Ours => "RobustMQ",
            Self::Mosquitto => "mosquitto",
            Self::Peer { name, .. } => name,
        }
    }

    /// What an acknowledgement of it promises here.
    pub(crate) fn durability(&self) -> &'static str {
        match self {
            Self::Ours => {
                "every message synced to disk before its PUBACK or PUBREC; default configuration"
            }
            Self::Mosquitto => "none: everything in memory (`persistence false`)",
            Self::Peer { .. } => "as it is configured; started by hand",
        }
    }

    pub(crate) fn version(&self) -> String {
        let (program, argument) = match self {
            Self::Ours => (robustmq_e2e::binary("robustmq"), "--version"),
            Self::Mosquitto => (Mosquitto::program(), "-h"),
            Self::Peer { address, .. } => return format!("at {address}"),
        };
        let output = Command::new(program).arg(argument).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let first = text
            .ok()
            .and_then(|text| text.lines().next().map(str::to_owned));
        first.unwrap_or_else(|| "of an unknown version".to_owned())
    }

    /// Starts it on `core`.
    pub(crate) fn start(&self, core: usize) -> io::Result<Running> {
        match self {
            Self::Ours => {
                let launch = Launch {
                    wrapper: pin(core),
                    ..Launch::default()
                };
                let broker = Broker::start_in(launch, &SETS);
                Ok(Running::Ours(Box::new(broker)))
            }
            Self::Mosquitto => {
                Mosquitto::start(&pin(core), MOSQUITTO_CONFIGURATION).map(Running::Mosquitto)
            }
            Self::Peer { address, .. } => Ok(Running::Peer(*address)),
        }
    }
}

/// On `core`, and not longer than this program, however that ends.
pub(crate) fn pin(core: usize) -> Vec<String> {
    let core = core.to_string();
    let words = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", &core];
    words.map(str::to_owned).to_vec()
}

/// A broker that runs.
pub(crate) enum Running {
    Ours(Box<Broker>),
    Mosquitto(Mosquitto),
    Peer(SocketAddr),
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Ours(broker) => broker.address(),
            Self::Mosquitto(mosquitto) => mosquitto.address(),
            Self::Peer(address) => *address,
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Ours(broker) => Some(broker.pid()),
            Self::Mosquitto(mosquitto) => Some(mosquitto.pid()),
            Self::Peer(_) => None,
        }
    }
}
