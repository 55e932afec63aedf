//! The command line.

use std::net::ToSocketAddrs;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use robustmq_protocol::{ProtocolVersion, QoS};

use crate::error::BenchError;
use crate::plan::{Extent, Settings};
use crate::stream::TlsPlan;

const EXAMPLES: &str = "\
Examples:
  robust-bench fan-in --qos 1 --publishers 8                 as fast as possible
  robust-bench fan-out --subscribers 100 --payload 1024
  robust-bench pairs --pairs 50 --qos 2 --window 20 --json
  robust-bench fan-in --qos 1 --rate 10000 --duration 30s    latency at a fixed rate
  robust-bench offline --messages 1000000                    store, then drain
  robust-bench retained --messages 100000                    set, then fetch by one wildcard
  robust-bench connect --connections 50000
  robust-bench idle --connections 10000 --duration 60s --broker-pid 4711

Latencies are from the time in the payload, which with --rate is when the message was meant to be sent: a
broker that falls behind is not let off. Numbers in the payload tell what was lost, came twice or came late.";

/// Loads an MQTT broker and measures it.
#[derive(Parser)]
#[command(name = "robust-bench", version, after_help = EXAMPLES, disable_help_flag = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
    #[command(flatten)]
    pub(crate) load: Load,
}

#[derive(Subcommand)]
pub(crate) enum Scenario {
    /// Many publishers, few subscribers that each get everything.
    FanIn {
        #[arg(long, default_value_t = 8)]
        publishers: u32,
        #[arg(long, default_value_t = 1)]
        subscribers: u32,
    },
    /// Few publishers, many subscribers that each get everything.
    FanOut {
        #[arg(long, default_value_t = 1)]
        publishers: u32,
        #[arg(long, default_value_t = 100)]
        subscribers: u32,
    },
    /// Pairs of a publisher and a subscriber, each with a topic of its own.
    Pairs {
        #[arg(long, default_value_t = 50)]
        pairs: u32,
    },
    /// Publishes to sessions that are away, then lets them come for it.
    Offline {
        #[arg(long, default_value_t = 8)]
        publishers: u32,
        #[arg(long, default_value_t = 1)]
        subscribers: u32,
    },
    /// Sets retained messages on as many topics, then fetches them by one wildcard.
    Retained {
        #[arg(long, default_value_t = 4)]
        publishers: u32,
        #[arg(long, default_value_t = 1)]
        subscribers: u32,
        /// Leave the messages in the broker.
        #[arg(long)]
        keep: bool,
    },
    /// Connects and disconnects, as many connections as are told.
    Connect {
        #[arg(long, default_value_t = 10_000)]
        connections: u32,
    },
    /// Connects and holds the connections for --duration.
    Idle {
        #[arg(long, default_value_t = 10_000)]
        connections: u32,
        /// Each connection subscribes to a topic of its own.
        #[arg(long)]
        subscribe: bool,
    },
    /// Pairs of QoS 0, 1 and 2 in turn, and one subscriber of everything.
    Mixed {
        #[arg(long, default_value_t = 30)]
        pairs: u32,
    },
}

impl Scenario {
    /// Publishers, or connections with a topic of their own.
    pub(crate) fn publishers_max(&self) -> u32 {
        match *self {
            Self::FanIn { publishers, .. }
            | Self::FanOut { publishers, .. }
            | Self::Offline { publishers, .. }
            | Self::Retained { publishers, .. } => publishers,
            Self::Pairs { pairs } | Self::Mixed { pairs } => pairs,
            Self::Connect { connections } | Self::Idle { connections, .. } => connections,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::FanIn { .. } => "fan-in",
            Self::FanOut { .. } => "fan-out",
            Self::Pairs { .. } => "pairs",
            Self::Offline { .. } => "offline",
            Self::Retained { .. } => "retained",
            Self::Connect { .. } => "connect",
            Self::Idle { .. } => "idle",
            Self::Mixed { .. } => "mixed",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Version {
    #[value(name = "mqttv311", alias = "311", alias = "3.1.1", alias = "4")]
    V311,
    #[value(name = "mqttv5", alias = "5", alias = "5.0")]
    V5,
}

/// What all scenarios share.
#[derive(Args, Clone)]
pub(crate) struct Load {
    /// Host of the broker.
    #[arg(long, short = 'h', global = true, default_value = "127.0.0.1")]
    host: String,
    /// Port of the broker.
    #[arg(long, short, global = true, default_value_t = 1883)]
    port: u16,
    /// User name.
    #[arg(long, short, global = true)]
    username: Option<String>,
    /// Password; better in the environment than on the command line.
    #[arg(
        long,
        short = 'P',
        global = true,
        env = "ROBUSTMQ_PASSWORD",
        hide_env_values = true
    )]
    password: Option<String>,
    /// Over TLS; the broker's certificate is checked against --cafile.
    #[arg(long, global = true)]
    tls: bool,
    /// Certificates that the broker's may be signed with, as PEM; means --tls.
    #[arg(long, global = true, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// Over TLS, with a broker of any certificate; means --tls.
    #[arg(long, global = true, conflicts_with = "cafile")]
    insecure: bool,
    /// Protocol version.
    #[arg(
        long = "mqtt-version",
        short = 'V',
        global = true,
        value_enum,
        default_value = "mqttv5"
    )]
    version: Version,
    /// QoS of publishes and subscriptions.
    #[arg(long, short, global = true, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Bytes of a payload; the 20 at its beginning are its number and time.
    #[arg(long, global = true, default_value_t = 64, value_parser = clap::value_parser!(u32).range(20..=16 << 20))]
    pub(crate) payload: u32,
    /// Topics of each publisher.
    #[arg(long, global = true, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99_999_999))]
    pub(crate) topics: u32,
    /// QoS 1 and 2 messages of a connection on their way at a time.
    #[arg(long, global = true, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    window: u16,
    /// Messages a second of all publishers together; without it, as fast as possible.
    #[arg(long, global = true)]
    rate: Option<f64>,
    /// How long is measured (500ms, 10s, 2m).
    #[arg(long, global = true, default_value = "10s", value_parser = time)]
    duration: u64,
    /// How long is published before that.
    #[arg(long, global = true, default_value = "1s", value_parser = time)]
    warmup: u64,
    /// Messages of all publishers together, instead of a time.
    #[arg(long, global = true)]
    pub(crate) messages: Option<u64>,
    /// How long nothing may arrive before what is missing counts as lost.
    #[arg(long, global = true, default_value = "5s", value_parser = time)]
    patience: u64,
    /// Threads of this program.
    #[arg(long, global = true, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: u16,
    /// Connections that are being opened at a time, per thread.
    #[arg(long, global = true, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    opening: u32,
    /// Look at sockets only this often (100us), so that a broker that writes message by message need not
    /// wake this program for each; adds as much to latencies.
    #[arg(long, global = true, default_value = "0us", value_parser = time)]
    gather: u64,
    /// The broker's process on this machine: its processor time and memory are told too.
    #[arg(long, global = true)]
    broker_pid: Option<u32>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print help.
    #[arg(long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
}

impl Load {
    pub(crate) fn settings(&self) -> Result<Settings, BenchError> {
        let host = (self.host.as_str(), self.port);
        let mut addresses = host
            .to_socket_addrs()
            .map_err(|error| BenchError::Address(error.to_string()))?;
        let address = addresses
            .next()
            .ok_or_else(|| BenchError::Address(self.host.clone()))?;
        if self
            .rate
            .is_some_and(|rate| !rate.is_finite() || rate <= 0.0)
        {
            return Err(BenchError::Options("--rate must be above 0".to_owned()));
        }
        Ok(Settings {
            address,
            version: match self.version {
                Version::V311 => ProtocolVersion::V4,
                Version::V5 => ProtocolVersion::V5,
            },
            tls: self.tls()?,
            username: self.username.clone(),
            password: self.password.clone(),
            window: self.window,
            rate: self.rate,
            threads: usize::from(self.threads),
            opening_max: self.opening as usize,
            patience_ns: self.patience,
            gather_ns: self.gather,
            broker_pid: self.broker_pid,
        })
    }

    fn tls(&self) -> Result<Option<TlsPlan>, BenchError> {
        if !self.tls && self.cafile.is_none() && !self.insecure {
            return Ok(None);
        }
        if self.cafile.is_none() && !self.insecure {
            let message = "--tls needs --cafile FILE, or --insecure to trust any certificate";
            return Err(BenchError::Options(message.to_owned()));
        }
        TlsPlan::new(&self.host, self.cafile.as_deref()).map(Some)
    }

    /// The same, but for so many messages.
    pub(crate) fn with_messages(&self, messages: u64) -> Self {
        Self {
            messages: Some(messages),
            ..self.clone()
        }
    }

    pub(crate) fn qos(&self) -> QoS {
        QoS::try_from(self.qos).unwrap_or(QoS::AtMostOnce)
    }

    pub(crate) fn extent(&self) -> Extent {
        match self.messages {
            Some(_) => Extent::Messages,
            None => Extent::Time {
                warmup_ns: self.warmup,
                duration_ns: self.duration,
            },
        }
    }

    pub(crate) fn duration_ns(&self) -> u64 {
        self.duration
    }
}

/// A time as the configuration writes it, as nanoseconds.
fn time(text: &str) -> Result<u64, String> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let ns = match &text[unit_at..] {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        _ => return Err("write 500ms, 10s or 2m".to_owned()),
    };
    let number: Option<u64> = text[..unit_at].parse().ok();
    number
        .and_then(|number| number.checked_mul(ns))
        .ok_or_else(|| "the number does not fit".to_owned())
}
