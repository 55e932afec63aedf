//! Options that publish and subscribe share.

use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use robustmq_protocol::codec::{Connect, ConnectProperties, Forwarded, Will};
use robustmq_protocol::{ProtocolVersion, QoS};

use crate::error::CtlError;

/// How long a broker may take to answer CONNECT.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// A session that never expires (section 3.1.2.11.2).
const EXPIRY_NEVER: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Version {
    #[value(name = "mqttv31", alias = "31", alias = "3.1", alias = "3")]
    V31,
    #[value(name = "mqttv311", alias = "311", alias = "3.1.1", alias = "4")]
    V311,
    #[value(name = "mqttv5", alias = "5", alias = "5.0")]
    V5,
}

impl Version {
    pub(super) fn protocol(self) -> ProtocolVersion {
        match self {
            Self::V31 => ProtocolVersion::V3,
            Self::V311 => ProtocolVersion::V4,
            Self::V5 => ProtocolVersion::V5,
        }
    }
}

/// How to connect.
#[derive(Args)]
pub(super) struct ConnectOptions {
    /// Host of the broker.
    #[arg(long, short = 'h', default_value = "127.0.0.1")]
    pub(super) host: String,
    /// Port of the broker.
    #[arg(long, short, default_value_t = 1883)]
    pub(super) port: u16,
    /// Client identifier; without one the broker gives one.
    #[arg(long = "client-id", short = 'i', alias = "id", default_value = "")]
    client_id: String,
    /// User name.
    #[arg(long, short)]
    username: Option<String>,
    /// Password; better in the environment than on the command line.
    #[arg(long, short = 'P', env = "ROBUSTMQ_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Protocol version.
    #[arg(
        long = "mqtt-version",
        short = 'V',
        value_enum,
        default_value = "mqttv5"
    )]
    version: Version,
    /// Keep alive, seconds.
    #[arg(long, short, default_value_t = 60)]
    pub(super) keepalive: u16,
    /// Keep the session beyond this connection.
    #[arg(long = "disable-clean-session", short = 'c', alias = "no-clean")]
    pub(super) keep_session: bool,
    /// Seconds the session is kept (5.0); for ever without it.
    #[arg(long, short = 'x', requires = "keep_session")]
    session_expiry_interval: Option<u32>,
    /// Topic of the will.
    #[arg(long)]
    will_topic: Option<String>,
    /// Payload of the will.
    #[arg(long, requires = "will_topic", default_value = "")]
    will_payload: String,
    /// QoS of the will.
    #[arg(long, requires = "will_topic", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    will_qos: u8,
    /// The will is retained.
    #[arg(long, requires = "will_topic")]
    will_retain: bool,
    /// Seconds until the will is published (5.0).
    #[arg(long, requires = "will_topic")]
    will_delay: Option<u32>,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

impl ConnectOptions {
    pub(super) fn protocol(&self) -> ProtocolVersion {
        self.version.protocol()
    }

    /// The client identifier: 3.1 has no empty one.
    pub(super) fn client_id(&self) -> String {
        if self.client_id.is_empty() && self.version == Version::V31 {
            return format!("robust-ctl-{}", std::process::id());
        }
        self.client_id.clone()
    }

    /// The CONNECT packet.
    pub(super) fn packet<'a>(&'a self, client_id: &'a str) -> Connect<'a> {
        let is_v5 = self.version == Version::V5;
        let expiry_s = self.session_expiry_interval.unwrap_or(EXPIRY_NEVER);
        let properties = ConnectProperties {
            session_expiry_s: (is_v5 && self.keep_session).then_some(expiry_s),
            ..ConnectProperties::default()
        };
        let will = self.will_topic.as_deref().map(|topic| Will {
            qos: qos(self.will_qos),
            retain: self.will_retain,
            topic,
            delay_s: self.will_delay.filter(|_| is_v5),
            message_expiry: None,
            forwarded: Forwarded::EMPTY,
            payload: self.will_payload.as_bytes(),
        });
        Connect {
            version: self.protocol(),
            clean_start: !self.keep_session,
            keep_alive_s: self.keepalive,
            client_id,
            properties,
            will,
            user_name: self.username.as_deref(),
            password: self.password.as_deref().map(str::as_bytes),
        }
    }
}

/// A QoS that the command line has checked.
pub(super) fn qos(number: u8) -> QoS {
    QoS::try_from(number).unwrap_or(QoS::AtMostOnce)
}

/// User properties as `name=value` or, as mqttx has them, `name: value`.
pub(super) fn user_properties(given: &[String]) -> Result<Vec<(String, String)>, CtlError> {
    let split = |text: &String| {
        let pair = text.split_once('=').or_else(|| text.split_once(": "));
        let (name, value) = pair.ok_or_else(|| CtlError::UserProperty { text: text.clone() })?;
        Ok((name.to_owned(), value.to_owned()))
    };
    given.iter().map(split).collect()
}

/// Pairs as the codec takes them.
pub(super) fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
