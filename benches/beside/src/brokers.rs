//! The brokers: this one and mosquitto are started anew for every run, pinned to
//! a core; others are where they are.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use robustmq_e2e::{Broker, Launch};
use tempfile::TempDir;

/// How long mosquitto may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

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
            Self::Mosquitto => (mosquitto(), "-h"),
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
                    wrapper: ["taskset", "-c"]
                        .map(str::to_owned)
                        .into_iter()
                        .chain([core.to_string()])
                        .collect(),
                    ..Launch::default()
                };
                Ok(Running::Ours(Box::new(Broker::start_in(
                    launch,
                    &["log.level=warn"],
                ))))
            }
            Self::Mosquitto => Mosquitto::start(core).map(Running::Mosquitto),
            Self::Peer { address, .. } => Ok(Running::Peer(*address)),
        }
    }
}

/// mosquitto's broker; Debian installs it where only root looks.
pub(crate) fn mosquitto() -> PathBuf {
    let debian = PathBuf::from("/usr/sbin/mosquitto");
    if debian.is_file() {
        debian
    } else {
        "mosquitto".into()
    }
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
            Self::Mosquitto(mosquitto) => mosquitto.address,
            Self::Peer(address) => *address,
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Ours(broker) => Some(broker.pid()),
            Self::Mosquitto(mosquitto) => Some(mosquitto.child.id()),
            Self::Peer(_) => None,
        }
    }
}

/// mosquitto as a process; killed when dropped.
pub(crate) struct Mosquitto {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Mosquitto {
    fn start(core: usize) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        // Free a moment ago; it cannot choose one itself.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let file = directory.path().join("mosquitto.conf");
        let listener = format!("listener {} 127.0.0.1\n", address.port());
        std::fs::write(&file, listener + MOSQUITTO_CONFIGURATION)?;
        let mut command = Command::new("taskset");
        command
            .arg("-c")
            .arg(core.to_string())
            .arg(mosquitto())
            .arg("-c")
            .arg(&file);
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mosquitto = Self {
            child: quiet.spawn()?,
            address,
            _directory: directory,
        };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if start.elapsed() > PATIENCE {
                let message =
                    "mosquitto does not listen: is it installed (`apt-get install mosquitto`)?";
                return Err(io::Error::other(message));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(mosquitto)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
