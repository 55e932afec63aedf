//! Answers to CONNECT, clause by clause.

use super::*;

const V3: ProtocolVersion = ProtocolVersion::V3;
const V4: ProtocolVersion = ProtocolVersion::V4;
const V5: ProtocolVersion = ProtocolVersion::V5;

fn limits() -> ServerLimits {
    ServerLimits {
        session_expiry_v3_s: 7_200,
        session_expiry_max_s: SESSION_NEVER_EXPIRES,
        keep_alive_max_s: 0,
        inflight_default: 32,
        inflight_max: 1_000,
        receive_max: u16::MAX,
        packet_size_max: PACKET_SIZE_MAX,
        topic_alias_in_max: 0,
        topic_alias_out_max: 16,
        qos_max: QoS::ExactlyOnce,
        retain_available: true,
        client_id_bytes_max: 65_535,
        auth_methods: vec!["SCRAM-SHA-256".to_owned()],
    }
}

fn request(version: ProtocolVersion) -> ConnectRequest<'static> {
    ConnectRequest {
        version,
        clean_start: false,
        client_id: "c",
        keep_alive_s: 60,
        session_expiry_s: None,
        receive_max: None,
        packet_size_max: None,
        topic_alias_max: None,
        request_problem_info: None,
        request_response_info: None,
        will: None,
        has_username: false,
        has_password: false,
        auth_method: None,
        has_auth_data: false,
    }
}

#[track_caller]
fn refused(request: ConnectRequest<'_>, limits: &ServerLimits, reason: ReasonCode, clause: &str) {
    let refusal = accept(&request, limits).expect_err("must be refused");
    assert_eq!((refusal.reason, refusal.clause), (reason, clause));
}

#[test]
fn mqtt_3_1_3_6_to_8_client_identifiers() {
    let long = "x".repeat(65_535);
    // version, clean start, client id, accepted (and whether one is assigned)
    let cases = [
        (V3, true, "c", Some(false)),
        (V3, true, "", None),
        (V3, false, "", None),
        (V3, false, &*long, Some(false)),
        (V4, true, "", Some(true)),
        (V4, false, "", None),
        (V4, false, &*long, Some(false)),
        (V5, true, "", Some(true)),
        (V5, false, "", Some(true)),
        (V5, false, "c", Some(false)),
    ];
    for (version, clean_start, client_id, expected) in cases {
        let answer = accept(
            &ConnectRequest {
                clean_start,
                client_id,
                ..request(version)
            },
            &limits(),
        );
        let assigned = answer.as_ref().ok().map(|terms| terms.assign_client_id);
        let case = (version, clean_start, client_id.len());
        assert_eq!(assigned, expected, "{case:?}");
        if let Err(refusal) = answer {
            assert_eq!(refusal.reason, ReasonCode::ClientIdentifierNotValid);
            assert_eq!(return_code_v3(refusal.reason), Some(2));
        }
    }
}

#[test]
fn a_client_identifier_over_the_house_limit_is_not_valid() {
    let limits = ServerLimits {
        client_id_bytes_max: 4,
        ..limits()
    };
    let named = |client_id| ConnectRequest {
        client_id,
        ..request(V5)
    };
    assert!(accept(&named("1234"), &limits).is_ok());
    let reason = ReasonCode::ClientIdentifierNotValid;
    refused(named("12345"), &limits, reason, "MQTT-3.1.3-8");
}

#[test]
fn session_expiry_by_version_and_limit() {
    // version, clean start, asked, server's limit → granted, told
    let never = SESSION_NEVER_EXPIRES;
    let cases = [
        (V4, true, None, never, 0, None),
        (V4, false, None, never, 7_200, None),
        (V3, false, None, never, 7_200, None),
        (V5, false, None, never, 0, None),
        (V5, true, Some(10), never, 10, None),
        (V5, false, Some(never), never, never, None),
        (V5, false, Some(never), 3_600, 3_600, Some(3_600)),
        (V5, false, Some(3_600), 3_600, 3_600, None),
        (V5, false, Some(5), 0, 0, Some(0)),
    ];
    for (version, clean_start, session_expiry_s, session_expiry_max_s, granted, told) in cases {
        let request = ConnectRequest {
            clean_start,
            session_expiry_s,
            ..request(version)
        };
        let limits = ServerLimits {
            session_expiry_max_s,
            ..limits()
        };
        let terms = accept(&request, &limits).unwrap();
        assert_eq!(terms.session_expiry_s, granted, "{request:?}");
        assert_eq!(terms.connack.session_expiry_s, told, "{request:?}");
    }
}

#[test]
fn mqtt_3_2_2_21_and_22_the_server_keep_alive_holds_if_told() {
    // version, asked, server's limit → held to, told
    let cases = [
        (V5, 60, 0, 60, None),
        (V5, 0, 0, 0, None),
        (V5, 60, 100, 60, None),
        (V5, 100, 100, 100, None),
        (V5, 101, 100, 100, Some(100)),
        (V5, 0, 100, 100, Some(100)),
        (V4, 101, 100, 101, None),
        (V4, 0, 100, 0, None),
    ];
    for (version, keep_alive_s, keep_alive_max_s, held, told) in cases {
        let request = ConnectRequest {
            keep_alive_s,
            ..request(version)
        };
        let limits = ServerLimits {
            keep_alive_max_s,
            ..limits()
        };
        let terms = accept(&request, &limits).unwrap();
        let answer = (terms.keep_alive_s, terms.connack.server_keep_alive_s);
        assert_eq!(answer, (held, told), "{version:?} {keep_alive_s}");
    }
}

#[test]
fn mqtt_3_3_4_9_the_window_is_the_smaller_of_both_limits() {
    // version, client's Receive Maximum → window
    let cases = [
        (V5, None, 32),
        (V5, Some(1), 1),
        (V5, Some(100), 100),
        (V5, Some(65_535), 1_000),
        (V4, None, 32),
    ];
    for (version, receive_max, expected) in cases {
        let request = ConnectRequest {
            receive_max,
            ..request(version)
        };
        let terms = accept(&request, &limits()).unwrap();
        assert_eq!(terms.window_max, expected, "{version:?} {receive_max:?}");
    }
}

#[test]
fn mqtt_3_1_2_24_to_29_what_a_client_asks_for_is_kept_to() {
    let terms = accept(&request(V5), &limits()).unwrap();
    assert_eq!(terms.packet_size_out_max, PACKET_SIZE_MAX);
    assert_eq!(terms.topic_alias_out_max, 0, "-27: absent means none");
    assert!(terms.problem_info && !terms.response_info);

    let request = ConnectRequest {
        packet_size_max: Some(100),
        topic_alias_max: Some(5),
        request_problem_info: Some(false),
        request_response_info: Some(true),
        ..request(V5)
    };
    let terms = accept(&request, &limits()).unwrap();
    assert_eq!(terms.packet_size_out_max, 100);
    assert_eq!(terms.topic_alias_out_max, 5);
    assert!(!terms.problem_info && terms.response_info);
    let generous = ConnectRequest {
        topic_alias_max: Some(65_535),
        ..request
    };
    let terms = accept(&generous, &limits()).unwrap();
    assert_eq!(terms.topic_alias_out_max, 16);
}

#[test]
fn zeros_that_mean_nothing_are_protocol_errors() {
    let no_window = ConnectRequest {
        receive_max: Some(0),
        ..request(V5)
    };
    let no_size = ConnectRequest {
        packet_size_max: Some(0),
        ..request(V5)
    };
    let error = ReasonCode::ProtocolError;
    refused(no_window, &limits(), error, "MQTT5 section 3.1.2.11.3");
    refused(no_size, &limits(), error, "MQTT5 section 3.1.2.11.4");
}

#[test]
fn mqtt_3_2_2_12_and_13_a_will_the_server_cannot_keep_is_refused() {
    let limits = ServerLimits {
        qos_max: QoS::AtLeastOnce,
        retain_available: false,
        ..limits()
    };
    let with_will = |qos, retain| ConnectRequest {
        will: Some(WillSummary { qos, retain }),
        ..request(V5)
    };
    assert!(accept(&with_will(QoS::AtLeastOnce, false), &limits).is_ok());
    let qos = ReasonCode::QoSNotSupported;
    let retain = ReasonCode::RetainNotSupported;
    let will = with_will(QoS::ExactlyOnce, false);
    refused(will, &limits, qos, "MQTT-3.2.2-12");
    let will = with_will(QoS::AtMostOnce, true);
    refused(will, &limits, retain, "MQTT-3.2.2-13");
}

#[test]
fn mqtt_4_12_0_1_an_unknown_authentication_method_is_refused() {
    let with_method = |auth_method, has_auth_data| ConnectRequest {
        auth_method,
        has_auth_data,
        ..request(V5)
    };
    let known = accept(&with_method(Some("SCRAM-SHA-256"), true), &limits());
    assert!(known.unwrap().enhanced_auth);
    assert!(!accept(&request(V5), &limits()).unwrap().enhanced_auth);
    let bad = ReasonCode::BadAuthenticationMethod;
    let unknown = with_method(Some("SCRAM-SHA-1"), false);
    refused(unknown, &limits(), bad, "MQTT-4.12.0-1");
    let error = ReasonCode::ProtocolError;
    let data_alone = with_method(None, true);
    refused(data_alone, &limits(), error, "MQTT5 section 3.1.2.11.10");
}

#[test]
fn mqtt_3_1_2_22_a_password_needs_a_user_name_before_5_0() {
    let alone = |version| ConnectRequest {
        has_password: true,
        ..request(version)
    };
    let malformed = ReasonCode::MalformedPacket;
    refused(alone(V4), &limits(), malformed, "MQTT-3.1.2-22");
    assert_eq!(return_code_v3(malformed), None, "closed without CONNACK");
    assert!(accept(&alone(V5), &limits()).is_ok());
    let both = ConnectRequest {
        has_username: true,
        ..alone(V4)
    };
    assert!(accept(&both, &limits()).is_ok());
}

#[test]
fn connack_tells_only_what_is_not_the_default() {
    let terms = accept(&request(V5), &limits()).unwrap();
    assert_eq!(terms.connack, ConnAckLimits::default());
    let poor = ServerLimits {
        receive_max: 100,
        packet_size_max: 1_000_000,
        topic_alias_in_max: 10,
        qos_max: QoS::AtLeastOnce,
        retain_available: false,
        ..limits()
    };
    let terms = accept(&request(V5), &poor).unwrap();
    let expected = ConnAckLimits {
        session_expiry_s: None,
        receive_max: Some(100),
        qos_max: Some(QoS::AtLeastOnce),
        retain_available: Some(false),
        packet_size_max: Some(1_000_000),
        topic_alias_max: Some(10),
        server_keep_alive_s: None,
    };
    assert_eq!(terms.connack, expected);
    let terms = accept(&request(V4), &poor).unwrap();
    assert_eq!(
        terms.connack,
        ConnAckLimits::default(),
        "3.x is told nothing"
    );
}

#[test]
fn mqtt_3_2_2_2_and_3_session_present() {
    assert!(session_present(false, true));
    assert!(!session_present(false, false));
    assert!(!session_present(true, true));
    assert!(!session_present(true, false));
}

#[test]
fn disconnect_may_change_the_expiry_but_not_from_zero() {
    // CONNECT asked, granted, DISCONNECT asks, limit → now
    let never = SESSION_NEVER_EXPIRES;
    let cases = [
        (0, 0, None, never, Some(0)),
        (0, 0, Some(0), never, Some(0)),
        (0, 0, Some(1), never, None),
        (60, 60, None, never, Some(60)),
        (60, 60, Some(0), never, Some(0)),
        (60, 60, Some(never), never, Some(never)),
        (60, 30, Some(90), 30, Some(30)),
        // The server's zero is not the client's: no protocol error.
        (60, 0, Some(90), 0, Some(0)),
    ];
    for (connect_s, current_s, requested_s, max_s, expected) in cases {
        let now = expiry_after_disconnect(connect_s, current_s, requested_s, max_s);
        let case = (connect_s, current_s, requested_s, max_s);
        assert_eq!(now.as_ref().ok().copied(), expected, "{case:?}");
        if let Err(violation) = now {
            assert_eq!(violation.reason, ReasonCode::ProtocolError);
        }
    }
}

#[test]
fn mqtt_3_1_2_8_a_will_waits_no_longer_than_its_session() {
    let cases = [(0, 100, 0), (50, 100, 50), (100, 50, 50), (9, 0, 0)];
    for (delay, expiry, expected) in cases {
        assert_eq!(will_is_due_after_s(delay, expiry), expected);
    }
    let never = SESSION_NEVER_EXPIRES;
    assert_eq!(will_is_due_after_s(30, never), 30);
}

#[test]
fn return_codes_of_3_x() {
    let cases = [
        (ReasonCode::Success, Some(0)),
        (ReasonCode::UnsupportedProtocolVersion, Some(1)),
        (ReasonCode::ClientIdentifierNotValid, Some(2)),
        (ReasonCode::ServerBusy, Some(3)),
        (ReasonCode::BadUserNameOrPassword, Some(4)),
        (ReasonCode::NotAuthorized, Some(5)),
        (ReasonCode::ProtocolError, None),
    ];
    for (reason, expected) in cases {
        assert_eq!(return_code_v3(reason), expected);
    }
    for reason in ReasonCode::ALL {
        let zero = return_code_v3(reason) == Some(0);
        assert_eq!(zero, reason == ReasonCode::Success, "{reason:?}");
    }
}
