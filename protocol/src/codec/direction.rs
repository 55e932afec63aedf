//! Which packets, and what in them, each side may send.

use super::error::DecodeError;
use super::packet::Packet;
use crate::types::ReasonCode;

impl Packet<'_> {
    /// Checks what a server must not get from a client although it can be
    /// decoded.
    ///
    /// # Errors
    /// A packet of the server's side; a subscription identifier in PUBLISH;
    /// what only a server says in DISCONNECT or AUTH.
    pub fn check_from_client(&self) -> Result<(), DecodeError> {
        match self {
            Self::ConnAck(_) | Self::SubAck(_) | Self::UnsubAck(_) | Self::PingResp => Err(
                DecodeError::protocol("2.1.2", "a client must not send this packet"),
            ),
            Self::Publish(publish) if !publish.properties.subscription_ids.is_empty() => {
                Err(DecodeError::protocol(
                    "MQTT-3.3.4-6",
                    "a client must not send a subscription identifier in PUBLISH",
                ))
            }
            Self::Disconnect(disconnect)
                if disconnect.properties.server_reference.is_some()
                    || !client_may_disconnect_with(disconnect.reason) =>
            {
                Err(DecodeError::protocol(
                    "3.14.2",
                    "only a server may say this in DISCONNECT",
                ))
            }
            Self::Auth(auth) if auth.reason == ReasonCode::Success => Err(DecodeError::protocol(
                "3.15.2.1",
                "only a server may end an authentication",
            )),
            _ => Ok(()),
        }
    }

    /// Checks what a client must not get from a server although it can be
    /// decoded.
    ///
    /// # Errors
    /// A packet of the client's side; what only a client says in DISCONNECT
    /// or AUTH.
    pub fn check_from_server(&self) -> Result<(), DecodeError> {
        match self {
            Self::Connect(_) | Self::Subscribe(_) | Self::Unsubscribe(_) | Self::PingReq => Err(
                DecodeError::protocol("2.1.2", "a server must not send this packet"),
            ),
            Self::Disconnect(disconnect)
                if disconnect.properties.session_expiry_s.is_some()
                    || disconnect.reason == ReasonCode::DisconnectWithWill =>
            {
                Err(DecodeError::protocol(
                    "MQTT-3.14.2-2",
                    "only a client may say this in DISCONNECT",
                ))
            }
            Self::Auth(auth) if auth.reason == ReasonCode::ReAuthenticate => Err(
                DecodeError::protocol("3.15.2.1", "only a client may ask for re-authentication"),
            ),
            _ => Ok(()),
        }
    }
}

/// The codes table 3-10 gives a client.
const fn client_may_disconnect_with(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::Success
            | ReasonCode::DisconnectWithWill
            | ReasonCode::UnspecifiedError
            | ReasonCode::MalformedPacket
            | ReasonCode::ProtocolError
            | ReasonCode::ImplementationSpecificError
            | ReasonCode::TopicNameInvalid
            | ReasonCode::ReceiveMaximumExceeded
            | ReasonCode::TopicAliasInvalid
            | ReasonCode::PacketTooLarge
            | ReasonCode::MessageRateTooHigh
            | ReasonCode::QuotaExceeded
            | ReasonCode::AdministrativeAction
            | ReasonCode::PayloadFormatInvalid
            | ReasonCode::BadAuthenticationMethod
    )
}
