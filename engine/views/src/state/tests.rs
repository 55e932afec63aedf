use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn place() -> impl Strategy<Value = (ShardId, Offset)> {
    (any::<u32>(), any::<u64>()).prop_map(|(shard, offset)| (ShardId(shard), Offset(offset)))
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

/// None is stored as 0, so the last number is left out.
fn time() -> impl Strategy<Value = u64> {
    0..u64::MAX
}

prop_compose! {
    fn will()(
        (topic, qos, retain, delay_s) in (any::<String>(), 0u8..3, any::<bool>(), any::<u32>()),
        message_expiry_s in any::<Option<u32>>(),
        (properties, payload) in (bytes(), bytes()),
    ) -> Will {
        Will { topic, qos, retain, delay_s, message_expiry_s, properties, payload }
    }
}

prop_compose! {
    fn subscription()(
        (filter, qos, retain_handling) in (any::<String>(), 0u8..3, 0u8..3),
        (no_local, retain_as_published) in any::<(bool, bool)>(),
        identifier in any::<Option<u32>>(),
        starts in vec(place(), 0..4),
    ) -> SubscriptionState {
        SubscriptionState {
            filter, qos, no_local, retain_as_published, retain_handling, identifier, starts,
        }
    }
}

fn inflight() -> impl Strategy<Value = InflightState> {
    let stage = prop_oneof![
        Just(InflightStage::Sent),
        Just(InflightStage::Assigned),
        Just(InflightStage::Received)
    ];
    (any::<u16>(), place(), 0u8..3, stage).prop_map(|(packet_id, (shard, offset), qos, state)| {
        InflightState {
            packet_id,
            shard,
            offset,
            qos,
            state,
        }
    })
}

prop_compose! {
    /// Without client id, which is the record's.
    fn session()(
        (epoch, connected, version, expiry_s) in any::<(u64, bool, u8, u32)>(),
        (opened_at_ms, closed_at_ms) in any::<(u64, u64)>(),
        (will, will_fires_at_ms) in (proptest::option::of(will()), proptest::option::of(time())),
        subscriptions in vec(subscription(), 0..4),
        (cursors, assigned_end) in (vec(place(), 0..4), vec(place(), 0..4)),
        inflight in vec(inflight(), 0..4),
    ) -> SessionState {
        let by_filter = |subscription: SubscriptionState| (subscription.filter.clone(), subscription);
        SessionState {
            client_id: "client".to_owned(),
            epoch, connected, version, expiry_s, opened_at_ms, closed_at_ms, will, will_fires_at_ms,
            subscriptions: subscriptions.into_iter().map(by_filter).collect(),
            cursors: cursors.into_iter().collect(),
            assigned_end: assigned_end.into_iter().collect(),
            inflight,
        }
    }
}

prop_compose! {
    fn retained()(
        (as_of, offset, timestamp_ms) in any::<(u64, u64, u64)>(),
        (publisher, qos) in (any::<String>(), 0u8..3),
        message_expiry_s in any::<Option<u32>>(),
        payload in bytes(),
    ) -> RetainedCarried {
        RetainedCarried {
            as_of: Offset(as_of), offset: Offset(offset), timestamp_ms, publisher, qos,
            message_expiry_s, payload: Bytes::from(payload),
        }
    }
}

fn delayed() -> impl Strategy<Value = StateBody> {
    let stored = || {
        (any::<(u64, String)>(), bytes()).prop_map(|((due_ms, topic), payload)| DelayedStored {
            due_ms,
            topic,
            payload: payload.into(),
        })
    };
    let carried = (
        any::<(u64, u64, u64, String, bool)>(),
        (0u8..3, any::<Option<u32>>()),
        stored(),
    )
        .prop_map(|(fields, (qos, message_expiry_s), stored)| {
            let (as_of, offset, published_ms, publisher, retain) = fields;
            StateBody::DelayedCarried(DelayedCarried {
                as_of: Offset(as_of),
                offset: Offset(offset),
                published_ms,
                publisher,
                qos,
                retain,
                message_expiry_s,
                stored,
            })
        });
    let ended = any::<(u64, bool)>().prop_map(|(offset, published)| StateBody::DelayedEnded {
        offset: Offset(offset),
        published,
    });
    prop_oneof![stored().prop_map(StateBody::DelayedStored), carried, ended]
}

fn rules() -> impl Strategy<Value = StateBody> {
    let change = (any::<String>(), proptest::option::of(bytes())).prop_map(|(name, definition)| {
        let definition = definition.map(Bytes::from);
        RuleChange { name, definition }
    });
    let carried = (any::<(u64, u64, u64, String, String)>(), bytes()).prop_map(
        |((as_of, offset, set_at_ms, family, name), definition)| {
            StateBody::RuleCarried(RuleCarried {
                as_of: Offset(as_of),
                offset: Offset(offset),
                set_at_ms,
                family,
                name,
                definition: definition.into(),
            })
        },
    );
    let changed = (any::<String>(), vec(change, 0..4))
        .prop_map(|(family, changes)| StateBody::RulesChanged { family, changes });
    prop_oneof![changed, carried]
}

fn session_body() -> impl Strategy<Value = StateBody> {
    let opened = (
        any::<(u64, bool, u8, u32, u64)>(),
        proptest::option::of(will()),
    )
        .prop_map(|((epoch, clean_start, version, expiry_s, at_ms), will)| {
            StateBody::SessionOpened {
                epoch,
                clean_start,
                version,
                expiry_s,
                will,
                at_ms,
            }
        });
    let closed = (any::<(u64, u64, u32)>(), proptest::option::of(time())).prop_map(
        |((epoch, at_ms, expiry_s), will)| StateBody::SessionClosed {
            epoch,
            at_ms,
            expiry_s,
            will,
        },
    );
    prop_oneof![
        opened,
        closed,
        any::<u64>().prop_map(|epoch| StateBody::SessionExpired { epoch }),
        any::<u64>().prop_map(|epoch| StateBody::WillFired { epoch }),
        any::<u16>().prop_map(|packet_id| StateBody::InboundReleased { packet_id }),
        Just(StateBody::SessionAnnounced),
        vec(subscription(), 0..4).prop_map(|subscriptions| StateBody::Subscribed { subscriptions }),
        vec(any::<String>(), 0..4).prop_map(|filters| StateBody::Unsubscribed { filters }),
    ]
}

fn body() -> impl Strategy<Value = StateBody> {
    let cursor = (any::<u64>(), vec(place(), 0..4), vec(inflight(), 0..4)).prop_map(
        |(epoch, cursors, inflight)| StateBody::CursorStored {
            epoch,
            cursors,
            inflight,
        },
    );
    let entry = || (any::<u16>(), place()).prop_map(|(id, (shard, offset))| (id, shard, offset));
    let carried = |as_of, session| {
        let as_of = Offset(as_of);
        StateBody::SessionCarried(Box::new(SessionCarried { as_of, session }))
    };
    let inbound = |(as_of, packet_id, offset): (u64, u16, u64)| {
        StateBody::InboundCarried(InboundCarried {
            as_of: Offset(as_of),
            packet_id,
            offset: Offset(offset),
        })
    };
    prop_oneof![
        7 => session_body(),
        2 => rules(),
        3 => delayed(),
        1 => cursor,
        1 => vec(entry(), 0..4).prop_map(|entries| StateBody::OutboundAssigned { entries }),
        1 => vec(entry(), 0..4).prop_map(|entries| StateBody::ReplayAssigned { entries }),
        1 => vec(place(), 0..4).prop_map(|cursors| StateBody::SessionRewound { cursors }),
        1 => vec(any::<u16>(), 0..4)
            .prop_map(|packet_ids| StateBody::OutboundReceived { packet_ids }),
        1 => vec(any::<u16>(), 0..4)
            .prop_map(|packet_ids| StateBody::OutboundCompleted { packet_ids }),
        1 => retained().prop_map(StateBody::RetainedCarried),
        2 => (any::<u64>(), session()).prop_map(move |(as_of, session)| carried(as_of, session)),
        1 => any::<(u64, u16, u64)>().prop_map(inbound),
    ]
}

fn decode(kind: u8, payload: &[u8]) -> Result<StateBody, StateError> {
    StateBody::decode_parts(kind, "client", payload)
}

proptest! {
    #[test]
    fn bodies_come_back_as_they_were(body in body()) {
        prop_assert_eq!(decode(body.kind(), &body.encode()), Ok(body));
    }

    #[test]
    fn a_body_cut_short_is_refused(body in body(), cut in any::<prop::sample::Index>()) {
        let bytes = body.encode();
        let cut = cut.index(bytes.len());
        // The payload of a message is whatever is left.
        let messages = [
            kind::RETAINED_CARRIED,
            kind::DELAYED_STORED,
            kind::DELAYED_CARRIED,
        ];
        if !messages.contains(&body.kind()) {
            prop_assert!(decode(body.kind(), &bytes[..cut]).is_err());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(kind in any::<u8>(), bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(body) = decode(kind, &bytes) {
            prop_assert_eq!(body.kind(), kind);
        }
    }

    #[test]
    fn damaged_bodies_never_panic(
        body in body(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = body.encode();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(decoded) = decode(body.kind(), &bytes) {
            // What is accepted has one encoding, but for the order of entries.
            prop_assert_eq!(decode(body.kind(), &decoded.encode()), Ok(decoded));
        }
    }
}

#[test]
fn a_length_beyond_the_bytes_allocates_nothing() {
    // Version, then a list of 2^63 filters.
    let mut payload = vec![STATE_VERSION];
    payload.extend([0x80; 8]);
    payload.extend([0x80, 0x01]);
    let refused = decode(kind::UNSUBSCRIBED, &payload);
    assert!(
        matches!(refused, Err(StateError::Malformed(_))),
        "{refused:?}"
    );
}

#[test]
fn later_versions_and_kinds_are_told_from_damage() {
    let body = StateBody::WillFired { epoch: 3 };
    let mut payload = body.encode();
    assert_eq!(decode(200, &payload), Err(StateError::UnknownKind(200)));
    assert_eq!(decode(0, &payload), Err(StateError::UnknownKind(0)));
    payload[0] = STATE_VERSION + 1;
    let expected = Err(StateError::UnknownVersion(STATE_VERSION + 1));
    assert_eq!(decode(kind::WILL_FIRED, &payload), expected);
}

/// Bytes of version 1, which every later version must read.
#[test]
fn version_1_is_read_for_ever() {
    let opened = StateBody::SessionOpened {
        epoch: 300,
        clean_start: true,
        version: 5,
        expiry_s: 60,
        will: Some(Will {
            topic: "t".to_owned(),
            qos: 1,
            retain: true,
            delay_s: 5,
            message_expiry_s: Some(9),
            properties: vec![1, 0],
            payload: b"p".to_vec(),
        }),
        at_ms: 1_000,
    };
    let bytes = [
        1, 0xac, 2, 1, 5, 60, 1, 1, b't', 1, 1, 5, 10, 2, 1, 0, 1, b'p', 0xe8, 7,
    ];
    assert_eq!(opened.encode(), bytes);
    let cursor = StateBody::CursorStored {
        epoch: 2,
        cursors: vec![(ShardId(1), Offset::new(1, 0))],
        inflight: vec![InflightState {
            packet_id: 7,
            shard: ShardId(1),
            offset: Offset(5),
            qos: 2,
            state: InflightStage::Received,
        }],
    };
    assert_eq!(
        cursor.encode(),
        [1, 2, 1, 1, 0x80, 0x80, 4, 1, 7, 1, 5, 0x22]
    );
    let subscribed = StateBody::Subscribed {
        subscriptions: vec![SubscriptionState {
            filter: "a/#".to_owned(),
            qos: 2,
            no_local: true,
            retain_as_published: true,
            retain_handling: 1,
            identifier: Some(8),
            starts: vec![(ShardId(0), Offset(3))],
        }],
    };
    let bytes = [1, 1, 3, b'a', b'/', b'#', 0x1e, 9, 1, 0, 3];
    assert_eq!(subscribed.encode(), bytes);
    let closed = StateBody::SessionClosed {
        epoch: 1,
        at_ms: 2,
        expiry_s: u32::MAX,
        will: Some(4),
    };
    assert_eq!(closed.encode(), [1, 1, 2, 0xff, 0xff, 0xff, 0xff, 0x0f, 5]);
}

/// Bytes of version 1, which every later version must read.
#[test]
fn rules_of_version_1_are_read_for_ever() {
    let rules = StateBody::RulesChanged {
        family: "f".to_owned(),
        changes: vec![
            RuleChange {
                name: "a".to_owned(),
                definition: Some(Bytes::from_static(b"{}")),
            },
            RuleChange {
                name: "b".to_owned(),
                definition: None,
            },
        ],
    };
    let bytes = [1, 1, b'f', 2, 1, b'a', 1, 2, b'{', b'}', 1, b'b', 0, 0];
    assert_eq!(rules.encode(), bytes);
    let delayed = StateBody::DelayedStored(DelayedStored {
        due_ms: 1_000,
        topic: "t".to_owned(),
        payload: Bytes::from_static(b"p"),
    });
    assert_eq!(delayed.encode(), [1, 0xe8, 7, 1, b't', b'p']);
    let ended = StateBody::DelayedEnded {
        offset: Offset(5),
        published: true,
    };
    assert_eq!(ended.encode(), [1, 5, 1]);
}
