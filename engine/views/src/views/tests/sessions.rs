use super::*;

fn filters(session: &SessionState) -> Vec<&str> {
    session.subscriptions.keys().map(String::as_str).collect()
}

#[test]
fn a_session_opens_with_what_its_record_says() {
    let mut bench = Bench::new();
    bench.log(&opened_with_will(7));
    let state = bench.state();
    assert_eq!((state.epoch, state.connected, state.version), (7, true, 4));
    assert_eq!((state.expiry_s, state.opened_at_ms), (100, 1_000));
    assert_eq!(
        state.will.as_ref().map(|will| will.topic.as_str()),
        Some("will")
    );
    assert_eq!(state.will_fires_at_ms, None);
    assert_eq!(
        state.expires_at_ms(),
        None,
        "it does not expire while connected"
    );
    assert_eq!(bench.due(u64::MAX), []);
}

#[test]
fn subscriptions_are_replaced_by_filter_and_removed() {
    let mut bench = Bench::new();
    bench.log(&opened(1, false));
    bench.log(&subscribed(&["a", "b/#", "c"]));
    let subscriptions = vec![subscription("a", 2)];
    bench.log(&StateBody::Subscribed { subscriptions });
    bench.log(&StateBody::Unsubscribed {
        filters: vec!["c".to_owned(), "unknown".to_owned()],
    });
    let state = bench.state();
    assert_eq!(filters(&state), ["a", "b/#"]);
    assert_eq!(state.subscriptions["a"].qos, 2);
}

#[test]
fn a_clean_start_leaves_nothing_of_what_was_before() {
    let mut bench = Bench::new();
    bench.log(&opened_with_will(1));
    bench.log(&subscribed(&["a", "b"]));
    bench.log(&StateBody::OutboundAssigned {
        entries: vec![(1, SHARD, Offset(9))],
    });
    bench.log(&opened(2, true));
    let state = bench.state();
    assert_eq!(filters(&state), [""; 0]);
    assert_eq!(
        (
            state.cursors.len(),
            state.inflight.len(),
            state.assigned_end.len()
        ),
        (0, 0, 0)
    );
    assert_eq!(state.will, None);
    assert_eq!(
        bench
            .views
            .counts()
            .expect("memory can be read")
            .subscriptions,
        0
    );
}

/// Wiping and subscribing within one write: what was made after it stays.
#[test]
fn a_clean_start_amid_a_batch_parts_before_from_after() {
    let mut bench = Bench::new();
    let state = |body: &StateBody| SampleRecord::state(CLIENT, body);
    bench.append(&[
        state(&opened(1, false)),
        state(&subscribed(&["stored", "both"])),
    ]);
    bench.append(&[
        state(&subscribed(&["same batch"])),
        state(&opened(2, true)),
        state(&subscribed(&["both", "after"])),
    ]);
    assert_eq!(filters(&bench.state()), ["after", "both"]);
}

#[test]
fn a_session_that_goes_on_keeps_everything_but_its_connection() {
    let mut bench = Bench::new();
    bench.log(&opened_with_will(1));
    bench.log(&subscribed(&["a"]));
    bench.log(&closed(1, 2_000, 60, Some(3_000)));
    bench.log(&opened(2, false));
    let state = bench.state();
    assert_eq!(filters(&state), ["a"]);
    assert_eq!((state.epoch, state.connected), (2, true));
    assert_eq!(
        state.will, None,
        "the will before belongs to the connection before"
    );
    assert_eq!(
        bench.due(u64::MAX),
        [],
        "returning in time stops both timers"
    );
}

#[test]
fn what_an_older_owner_says_is_ignored() {
    let mut bench = Bench::new();
    bench.log(&opened(5, false));
    bench.log(&subscribed(&["a"]));
    let before = bench.state();
    bench.log(&opened(4, true));
    bench.log(&opened(5, true));
    bench.log(&closed(4, 2_000, 0, None));
    bench.log(&StateBody::SessionExpired { epoch: 4 });
    bench.log(&StateBody::WillFired { epoch: 4 });
    bench.log(&StateBody::CursorStored {
        epoch: 4,
        cursors: vec![(SHARD, Offset(77))],
        inflight: vec![],
    });
    assert_eq!(bench.state(), before);
}

#[test]
fn closing_sets_the_timers() {
    let mut bench = Bench::new();
    bench.log(&opened_with_will(3));
    bench.log(&closed(3, 2_000, 60, Some(7_000)));
    let timer = |at_ms, kind| Timer {
        at_ms,
        client_id: CLIENT.to_owned(),
        epoch: 3,
        kind,
    };
    let (will, expiry) = (
        timer(7_000, TimerKind::Will),
        timer(62_000, TimerKind::Expiry),
    );
    assert_eq!(bench.due(6_999), []);
    assert_eq!(bench.due(7_000), std::slice::from_ref(&will));
    assert_eq!(bench.due(62_000), [will.clone(), expiry.clone()]);
    assert_eq!(
        bench.views.due(u64::MAX, 1).expect("memory can be read"),
        [will]
    );
    assert_eq!(
        bench.views.next_due().expect("memory can be read"),
        Some(7_000)
    );
    bench.log(&StateBody::WillFired { epoch: 3 });
    assert_eq!(bench.state().will, None);
    assert_eq!(bench.due(u64::MAX), [expiry]);
    bench.log(&StateBody::SessionExpired { epoch: 3 });
    assert_eq!(bench.session(), None);
    assert_eq!(bench.views.next_due().expect("memory can be read"), None);
}

#[test]
fn at_one_time_the_will_comes_before_the_end() {
    let mut bench = Bench::new();
    bench.log(&opened_with_will(1));
    bench.log(&closed(1, 0, 5, Some(5_000)));
    let kinds: Vec<_> = bench
        .due(5_000)
        .into_iter()
        .map(|timer| timer.kind)
        .collect();
    assert_eq!(kinds, [TimerKind::Will, TimerKind::Expiry]);
}

#[test]
fn a_session_without_expiry_ends_with_its_connection() {
    let mut bench = Bench::new();
    bench.log(&opened(1, false));
    bench.log(&subscribed(&["a"]));
    bench.log(&closed(1, 2_000, 0, None));
    assert_eq!(bench.session(), None);
    assert_eq!(
        bench.views.counts().expect("memory can be read"),
        Default::default()
    );
}

#[test]
fn a_session_that_never_expires_has_no_timer() {
    let mut bench = Bench::new();
    bench.log(&opened(1, false));
    bench.log(&closed(1, 2_000, EXPIRY_NEVER, None));
    assert_eq!(bench.state().expires_at_ms(), None);
    assert_eq!(bench.due(u64::MAX), []);
}

/// A will that is discarded (DISCONNECT with 0x00) is not fired later.
#[test]
fn closing_without_a_time_discards_the_will() {
    let mut bench = Bench::new();
    bench.log(&opened_with_will(1));
    bench.log(&closed(1, 2_000, 60, None));
    assert_eq!(bench.state().will, None);
    bench.log(&StateBody::WillFired { epoch: 1 });
    assert!(bench.session().is_some());
}

/// The will is not lost if its session has no time left: the session's end,
/// due at once, publishes it.
#[test]
fn a_will_that_is_due_later_keeps_a_session_without_expiry() {
    let mut bench = Bench::new();
    bench.log(&opened_with_will(1));
    bench.log(&closed(1, 2_000, 0, Some(9_000)));
    assert!(bench.state().will.is_some());
    assert_eq!(
        bench.due(2_000).first().map(|timer| timer.kind),
        Some(TimerKind::Expiry)
    );
}

#[test]
fn records_about_unknown_sessions_make_none() {
    let mut bench = Bench::new();
    bench.log(&subscribed(&["a"]));
    bench.log(&closed(1, 2_000, 60, None));
    bench.log(&StateBody::OutboundAssigned {
        entries: vec![(1, SHARD, Offset(9))],
    });
    assert_eq!(bench.session(), None);
    assert_eq!(
        bench.views.counts().expect("memory can be read"),
        Default::default()
    );
}

#[test]
fn qos_2_deliveries_go_through_their_stages() {
    let mut bench = Bench::new();
    bench.log(&opened(1, false));
    bench.log(&StateBody::OutboundAssigned {
        entries: vec![(1, SHARD, Offset(10)), (2, ShardId(4), Offset(3))],
    });
    bench.log(&StateBody::OutboundAssigned {
        entries: vec![(3, SHARD, Offset(8))],
    });
    bench.log(&StateBody::OutboundReceived {
        packet_ids: vec![1, 9],
    });
    let state = bench.state();
    let stages: Vec<_> = state
        .inflight
        .iter()
        .map(|entry| (entry.packet_id, entry.state))
        .collect();
    let expected = [
        (1, InflightStage::Received),
        (2, InflightStage::Assigned),
        (3, InflightStage::Assigned),
    ];
    assert_eq!(stages, expected);
    assert_eq!(
        state.assigned_end[&SHARD],
        Offset(11),
        "the highest counts, not the last"
    );
    assert_eq!(state.assigned_end[&ShardId(4)], Offset(4));
    bench.log(&StateBody::OutboundCompleted {
        packet_ids: vec![1, 2],
    });
    let state = bench.state();
    assert_eq!(state.inflight.len(), 1);
    assert_eq!(state.assigned_end[&SHARD], Offset(11), "it never goes back");
}

#[test]
fn a_stored_cursor_replaces_what_is_qos_1_only() {
    let mut bench = Bench::new();
    bench.log(&opened(1, false));
    bench.log(&StateBody::OutboundAssigned {
        entries: vec![(1, SHARD, Offset(10)), (2, SHARD, Offset(11))],
    });
    bench.log(&StateBody::OutboundReceived {
        packet_ids: vec![1],
    });
    let sent = |packet_id, offset| inflight(packet_id, 1, offset, InflightStage::Sent);
    bench.log(&StateBody::CursorStored {
        epoch: 1,
        cursors: vec![(SHARD, Offset(20)), (ShardId(1), Offset(5))],
        inflight: vec![
            sent(7, 9),
            // Told with an older stage, and one that was never assigned.
            inflight(1, 2, 10, InflightStage::Assigned),
            inflight(4, 2, 99, InflightStage::Assigned),
            sent(8, 12),
        ],
    });
    let state = bench.state();
    let expected = [
        sent(7, 9),
        inflight(1, 2, 10, InflightStage::Received),
        sent(8, 12),
        inflight(2, 2, 11, InflightStage::Assigned),
    ];
    assert_eq!(state.inflight, expected);
    bench.log(&StateBody::CursorStored {
        epoch: 1,
        cursors: vec![(SHARD, Offset(30))],
        inflight: vec![],
    });
    let state = bench.state();
    assert_eq!(state.cursors.len(), 1, "cursors are replaced as a whole");
    assert_eq!(state.cursors[&SHARD], Offset(30));
    let qos: Vec<_> = state.inflight.iter().map(|entry| entry.qos).collect();
    assert_eq!(qos, [2, 2]);
}

/// The identifier's new use is known before the record of its old use's end.
#[test]
fn an_identifier_used_again_stands_for_the_new_message() {
    let mut bench = Bench::new();
    bench.log(&opened(1, false));
    for offset in [10, 20] {
        bench.log(&StateBody::OutboundAssigned {
            entries: vec![(1, SHARD, Offset(offset))],
        });
    }
    assert_eq!(
        bench.state().inflight,
        [inflight(1, 2, 20, InflightStage::Assigned)]
    );
    bench.log(&StateBody::CursorStored {
        epoch: 1,
        cursors: vec![],
        inflight: vec![inflight(1, 1, 30, InflightStage::Sent)],
    });
    assert_eq!(
        bench.state().inflight,
        [inflight(1, 1, 30, InflightStage::Sent)]
    );
}

#[test]
fn sessions_are_visited_in_order_until_told_to_stop() {
    let mut bench = Bench::new();
    for client_id in ["c", "a", "b", "a/b", ""] {
        bench.append(&[
            SampleRecord::state(client_id, &opened(1, false)),
            SampleRecord::state(client_id, &subscribed(&[client_id])),
        ]);
    }
    let mut seen = Vec::new();
    let visited = bench.views.for_each_session(&mut |session| {
        assert_eq!(filters(&session), [session.client_id.as_str()]);
        seen.push(session.client_id);
        seen.len() < 4
    });
    visited.expect("memory can be read");
    assert_eq!(seen, ["", "a", "a/b", "b"]);
}

#[test]
fn a_rewound_session_goes_on_from_there_with_what_is_half_done() {
    let mut bench = Bench::new();
    bench.log(&opened(1, false));
    bench.log(&subscribed(&["a"]));
    bench.log(&StateBody::OutboundAssigned {
        entries: vec![(1, SHARD, Offset(10)), (2, SHARD, Offset(11))],
    });
    bench.log(&StateBody::OutboundReceived {
        packet_ids: vec![2],
    });
    bench.log(&StateBody::SessionRewound {
        cursors: vec![(SHARD, Offset(5))],
    });
    let state = bench.state();
    assert_eq!(state.cursors, [(SHARD, Offset(5))].into());
    assert!(state.assigned_end.is_empty(), "they may be sent again");
    let left: Vec<u16> = state.inflight.iter().map(|entry| entry.packet_id).collect();
    assert_eq!(left, [2], "PUBREL is still to come");
    assert_eq!(filters(&state), ["a"]);
}
