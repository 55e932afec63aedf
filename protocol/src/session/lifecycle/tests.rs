//! The whole table of phases and packets, against rules stated another way.

use super::*;

const VERSIONS: [ProtocolVersion; 3] = [
    ProtocolVersion::V3,
    ProtocolVersion::V4,
    ProtocolVersion::V5,
];
const PHASES: [Phase; 5] = [
    Phase::AwaitingConnect,
    Phase::Authenticating,
    Phase::Connected,
    Phase::ConnectedWithMethod,
    Phase::Disconnected,
];

fn clause(phase: Phase, packet: PacketType) -> Option<&'static str> {
    let result = allow(phase, packet, ProtocolVersion::V5);
    result.err().map(|violation| violation.clause)
}

#[test]
fn numbers_and_types_agree() {
    for (index, packet) in PacketType::ALL.into_iter().enumerate() {
        assert_eq!(packet as usize, index + 1);
        assert_eq!(PacketType::try_from(packet as u8), Ok(packet));
    }
    for reserved in [0, 16, 255] {
        let unknown = Err(UnknownValue(reserved));
        assert_eq!(PacketType::try_from(reserved), unknown);
    }
}

#[test]
fn mqtt_3_1_0_1_the_first_packet_is_connect() {
    for packet in PacketType::ALL {
        let expected = (packet != PacketType::Connect).then_some("MQTT-3.1.0-1");
        assert_eq!(clause(Phase::AwaitingConnect, packet), expected);
    }
}

#[test]
fn mqtt_3_1_0_2_a_second_connect_is_a_protocol_error() {
    for phase in &PHASES[1..4] {
        let violation = allow(*phase, PacketType::Connect, ProtocolVersion::V4).unwrap_err();
        assert_eq!(violation.reason, ReasonCode::ProtocolError);
        assert_eq!(violation.clause, "MQTT-3.1.0-2");
    }
}

#[test]
fn mqtt_3_14_4_1_nothing_comes_after_disconnect() {
    for packet in PacketType::ALL {
        let expected = Some("MQTT-3.14.4-1");
        assert_eq!(clause(Phase::Disconnected, packet), expected);
    }
}

#[test]
fn mqtt_3_1_2_30_only_auth_and_disconnect_while_authenticating() {
    use PacketType::{Auth, Disconnect};
    for packet in PacketType::ALL {
        let allowed = clause(Phase::Authenticating, packet).is_none();
        assert_eq!(allowed, matches!(packet, Auth | Disconnect), "{packet:?}");
    }
}

#[test]
fn mqtt_4_12_0_7_auth_needs_a_method() {
    let auth = PacketType::Auth;
    assert_eq!(clause(Phase::Connected, auth), Some("MQTT-4.12.0-7"));
    assert_eq!(clause(Phase::ConnectedWithMethod, auth), None);
}

#[test]
fn a_server_takes_no_packets_of_servers() {
    use PacketType::{ConnAck, PingResp, SubAck, UnsubAck};
    for version in VERSIONS {
        for phase in [Phase::Connected, Phase::ConnectedWithMethod] {
            for packet in PacketType::ALL {
                let connect_or_auth = matches!(packet, PacketType::Connect | PacketType::Auth);
                let server = matches!(packet, ConnAck | SubAck | UnsubAck | PingResp);
                let allowed = allow(phase, packet, version).is_ok();
                if !connect_or_auth {
                    assert_eq!(allowed, !server, "{phase:?} {packet:?} {version:?}");
                }
            }
        }
    }
}

#[test]
fn mqtt_2_2_2_2_type_15_is_malformed_before_5_0() {
    for version in [ProtocolVersion::V3, ProtocolVersion::V4] {
        for phase in PHASES {
            let violation = allow(phase, PacketType::Auth, version).unwrap_err();
            assert_eq!(violation.reason, ReasonCode::MalformedPacket);
        }
    }
}
