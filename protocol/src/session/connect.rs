//! What a CONNECT is answered, as pure functions of the request and the
//! server's limits.
//!
//! **Invariants**
//! 1. What CONNACK tells a 5.0 client is exactly what the connection enforces:
//!    both come from one [`ConnectAccepted`].
//! 2. A 3.x client is held to nothing it could not be told, but what the
//!    protocol itself demands.
//!
//! **Not here**: who the client is (authentication), whether a session is
//! stored, making up a Client Identifier (that needs chance).

use crate::session::Violation;
use crate::types::{ProtocolVersion, QoS, ReasonCode};

pub use expiry::{SESSION_NEVER_EXPIRES, expiry_after_disconnect, will_is_due_after_s};

mod expiry;
#[cfg(test)]
mod tests;

/// What the server allows, from its configuration.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Session Expiry Interval of a 3.x session with CleanSession=0, seconds.
    pub session_expiry_v3_s: u32,
    /// Longest Session Expiry Interval granted to a 5.0 client, seconds;
    /// [`SESSION_NEVER_EXPIRES`] for no limit.
    pub session_expiry_max_s: u32,
    /// Longest Keep Alive a 5.0 client may have, seconds; 0 for no limit.
    pub keep_alive_max_s: u16,
    /// Messages in flight towards a client that names no Receive Maximum.
    pub inflight_default: u16,
    /// Messages in flight towards any client at most.
    pub inflight_max: u16,
    /// Receive Maximum of the server: what a client may have in flight.
    pub receive_max: u16,
    /// Largest packet taken, bytes.
    pub packet_size_max: u32,
    /// Topic aliases a client may set up.
    pub topic_alias_in_max: u16,
    /// Topic aliases the server uses at most towards a client.
    pub topic_alias_out_max: u16,
    /// Highest QoS.
    pub qos_max: QoS,
    /// Whether messages may be retained.
    pub retain_available: bool,
    /// Longest Client Identifier, bytes of UTF-8.
    pub client_id_bytes_max: usize,
    /// Authentication Methods for enhanced authentication.
    pub auth_methods: Vec<String>,
}

/// What matters here of a Will Message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WillSummary {
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
}

/// A CONNECT as plain values; properties are None where the packet had none.
#[derive(Clone, Copy, Debug)]
pub struct ConnectRequest<'a> {
    /// Protocol version.
    pub version: ProtocolVersion,
    /// Clean Start; CleanSession on 3.x.
    pub clean_start: bool,
    /// Client Identifier, maybe empty.
    pub client_id: &'a str,
    /// Keep Alive, seconds.
    pub keep_alive_s: u16,
    /// Session Expiry Interval, seconds.
    pub session_expiry_s: Option<u32>,
    /// Receive Maximum.
    pub receive_max: Option<u16>,
    /// Maximum Packet Size, bytes.
    pub packet_size_max: Option<u32>,
    /// Topic Alias Maximum.
    pub topic_alias_max: Option<u16>,
    /// Request Problem Information.
    pub request_problem_info: Option<bool>,
    /// Request Response Information.
    pub request_response_info: Option<bool>,
    /// The Will Message, if any.
    pub will: Option<WillSummary>,
    /// Whether a User Name came.
    pub has_username: bool,
    /// Whether a Password came.
    pub has_password: bool,
    /// Authentication Method.
    pub auth_method: Option<&'a str>,
    /// Whether Authentication Data came.
    pub has_auth_data: bool,
}

/// CONNECT is refused: CONNACK with this Reason Code, Session Present 0
/// [MQTT-3.2.2-6], then close [MQTT-3.2.2-7]. On 3.x [`return_code_v3`] gives
/// the code, or says to close without CONNACK.
pub type Refusal = Violation;

/// The terms of an accepted connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectAccepted {
    /// The client named itself with an empty string: the server makes up a
    /// unique name and, on 5.0, tells it [MQTT-3.2.2-16].
    pub assign_client_id: bool,
    /// Whether an existing session is to be discarded [MQTT-3.1.4-4].
    pub clean_start: bool,
    /// How long the session outlives the connection, seconds; 0 ends with it.
    pub session_expiry_s: u32,
    /// Keep Alive to hold the client to, seconds; 0 for none.
    pub keep_alive_s: u16,
    /// Window towards the client: its Receive Maximum and ours, ≥ 1.
    pub window_max: u16,
    /// Largest packet to send to the client, bytes.
    pub packet_size_out_max: u32,
    /// Topic aliases to use towards the client at most.
    pub topic_alias_out_max: u16,
    /// Whether Reason String and User Properties may go on any packet; else
    /// only on PUBLISH, CONNACK and DISCONNECT [MQTT-3.1.2-29].
    pub problem_info: bool,
    /// Whether CONNACK may carry Response Information [MQTT-3.1.2-28].
    pub response_info: bool,
    /// Whether authentication goes on with AUTH packets before CONNACK.
    pub enhanced_auth: bool,
    /// What CONNACK has to tell; all None on 3.x.
    pub connack: ConnAckLimits,
}

/// CONNACK properties; None where the specification's default holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnAckLimits {
    /// Session Expiry Interval, where it is not what the client asked for.
    pub session_expiry_s: Option<u32>,
    /// Receive Maximum below 65 535.
    pub receive_max: Option<u16>,
    /// Maximum QoS below 2.
    pub qos_max: Option<QoS>,
    /// Retain Available, where it is not.
    pub retain_available: Option<bool>,
    /// Maximum Packet Size below the protocol's own.
    pub packet_size_max: Option<u32>,
    /// Topic Alias Maximum above 0.
    pub topic_alias_max: Option<u16>,
    /// Server Keep Alive, where it is not what the client asked for.
    pub server_keep_alive_s: Option<u16>,
}

/// The largest packet the protocol can express: fixed header, then 256 MiB - 1.
pub const PACKET_SIZE_MAX: u32 = 268_435_460;

/// Accepts or refuses a CONNECT, authentication and authorisation left aside.
pub fn accept(
    request: &ConnectRequest<'_>,
    limits: &ServerLimits,
) -> Result<ConnectAccepted, Refusal> {
    check_client_id(request, limits)?;
    check_credentials(request, limits)?;
    check_values(request)?;
    check_will(request, limits)?;
    Ok(terms(request, limits))
}

fn check_client_id(request: &ConnectRequest<'_>, limits: &ServerLimits) -> Result<(), Refusal> {
    const REASON: ReasonCode = ReasonCode::ClientIdentifierNotValid;
    let refuse = |text, clause| Err(Violation::new(REASON, text, clause));
    if request.client_id.len() > limits.client_id_bytes_max {
        return refuse("Client Identifier too long", "MQTT-3.1.3-8");
    }
    if !request.client_id.is_empty() {
        return Ok(());
    }
    match request.version {
        ProtocolVersion::V3 => refuse("Client Identifier is empty", "MQTT 3.1 section 3.1"),
        ProtocolVersion::V4 if !request.clean_start => {
            let text = "empty Client Identifier without CleanSession";
            refuse(text, "MQTT-3.1.3-8")
        }
        ProtocolVersion::V4 | ProtocolVersion::V5 => Ok(()),
    }
}

fn check_credentials(request: &ConnectRequest<'_>, limits: &ServerLimits) -> Result<(), Refusal> {
    let is_v5 = request.version == ProtocolVersion::V5;
    if request.has_password && !request.has_username && !is_v5 {
        let text = "Password without User Name";
        let reason = ReasonCode::MalformedPacket;
        return Err(Violation::new(reason, text, "MQTT-3.1.2-22"));
    }
    match request.auth_method {
        None if request.has_auth_data => Err(Violation::new(
            ReasonCode::ProtocolError,
            "Authentication Data without Authentication Method",
            "MQTT5 section 3.1.2.11.10",
        )),
        Some(method) if !limits.auth_methods.iter().any(|known| known == method) => {
            Err(Violation::new(
                ReasonCode::BadAuthenticationMethod,
                "Authentication Method not supported",
                "MQTT-4.12.0-1",
            ))
        }
        _ => Ok(()),
    }
}

fn check_values(request: &ConnectRequest<'_>) -> Result<(), Refusal> {
    let zero = |text, clause| Err(Violation::new(ReasonCode::ProtocolError, text, clause));
    if request.receive_max == Some(0) {
        return zero("Receive Maximum is zero", "MQTT5 section 3.1.2.11.3");
    }
    if request.packet_size_max == Some(0) {
        return zero("Maximum Packet Size is zero", "MQTT5 section 3.1.2.11.4");
    }
    Ok(())
}

fn check_will(request: &ConnectRequest<'_>, limits: &ServerLimits) -> Result<(), Refusal> {
    let Some(will) = request.will else {
        return Ok(());
    };
    if will.qos > limits.qos_max {
        let text = "Will QoS above the Maximum QoS";
        let reason = ReasonCode::QoSNotSupported;
        return Err(Violation::new(reason, text, "MQTT-3.2.2-12"));
    }
    if will.retain && !limits.retain_available {
        let text = "Will Retain without Retain Available";
        let reason = ReasonCode::RetainNotSupported;
        return Err(Violation::new(reason, text, "MQTT-3.2.2-13"));
    }
    Ok(())
}

fn terms(request: &ConnectRequest<'_>, limits: &ServerLimits) -> ConnectAccepted {
    let is_v5 = request.version == ProtocolVersion::V5;
    let session_expiry_s = match (is_v5, request.clean_start) {
        (true, _) => request
            .session_expiry_s
            .unwrap_or(0)
            .min(limits.session_expiry_max_s),
        (false, true) => 0,
        (false, false) => limits.session_expiry_v3_s,
    };
    let keep_alive_s = keep_alive(request.keep_alive_s, is_v5, limits.keep_alive_max_s);
    let window = request.receive_max.filter(|_| is_v5);
    let window_max = window
        .unwrap_or(limits.inflight_default)
        .min(limits.inflight_max)
        .max(1);
    let packet_size_out_max = request.packet_size_max.filter(|_| is_v5);
    let topic_alias = request.topic_alias_max.filter(|_| is_v5);
    ConnectAccepted {
        assign_client_id: request.client_id.is_empty(),
        clean_start: request.clean_start,
        session_expiry_s,
        keep_alive_s,
        window_max,
        // Not the server's own limit: what was taken in at that size grows a
        // little on its way out.
        packet_size_out_max: packet_size_out_max.unwrap_or(PACKET_SIZE_MAX),
        topic_alias_out_max: topic_alias.unwrap_or(0).min(limits.topic_alias_out_max),
        problem_info: is_v5 && request.request_problem_info.unwrap_or(true),
        response_info: is_v5 && request.request_response_info.unwrap_or(false),
        enhanced_auth: request.auth_method.is_some(),
        connack: if is_v5 {
            told(request, limits, session_expiry_s, keep_alive_s)
        } else {
            ConnAckLimits::default()
        },
    }
}

/// 3.x has no way to tell a client another Keep Alive, so its own holds.
fn keep_alive(asked_s: u16, is_v5: bool, max_s: u16) -> u16 {
    let too_long = asked_s == 0 || asked_s > max_s;
    if is_v5 && max_s > 0 && too_long {
        max_s
    } else {
        asked_s
    }
}

fn told(
    request: &ConnectRequest<'_>,
    limits: &ServerLimits,
    session_expiry_s: u32,
    keep_alive_s: u16,
) -> ConnAckLimits {
    let asked_expiry_s = request.session_expiry_s.unwrap_or(0);
    let size_max = limits.packet_size_max;
    ConnAckLimits {
        session_expiry_s: (session_expiry_s != asked_expiry_s).then_some(session_expiry_s),
        receive_max: (limits.receive_max < u16::MAX).then_some(limits.receive_max),
        qos_max: (limits.qos_max < QoS::ExactlyOnce).then_some(limits.qos_max),
        retain_available: (!limits.retain_available).then_some(false),
        packet_size_max: (size_max < PACKET_SIZE_MAX).then_some(size_max),
        topic_alias_max: (limits.topic_alias_in_max > 0).then_some(limits.topic_alias_in_max),
        server_keep_alive_s: (keep_alive_s != request.keep_alive_s).then_some(keep_alive_s),
    }
}

/// Whether a stored session is gone on with, which is also the Session Present
/// flag of a 3.1.1 or 5.0 CONNACK [MQTT-3.2.2-2], [MQTT-3.2.2-3]. `stored` says
/// whether there is one that has not expired. (3.1 has no such flag: the codec
/// leaves the byte 0.)
pub const fn session_present(clean_start: bool, stored: bool) -> bool {
    !clean_start && stored
}

/// The CONNACK return code of 3.x for a refusal; None: close without CONNACK,
/// as 3.x has no code for it.
pub const fn return_code_v3(reason: ReasonCode) -> Option<u8> {
    match reason {
        ReasonCode::Success => Some(0),
        ReasonCode::UnsupportedProtocolVersion => Some(1),
        ReasonCode::ClientIdentifierNotValid => Some(2),
        ReasonCode::ServerUnavailable
        | ReasonCode::ServerBusy
        | ReasonCode::ServerShuttingDown
        | ReasonCode::UseAnotherServer
        | ReasonCode::ServerMoved
        | ReasonCode::QuotaExceeded
        | ReasonCode::ConnectionRateExceeded => Some(3),
        ReasonCode::BadUserNameOrPassword => Some(4),
        ReasonCode::NotAuthorized | ReasonCode::Banned => Some(5),
        _ => None,
    }
}
