use super::*;
use crate::carry::CarriedRecord;
use crate::error::ViewError;

impl Bench {
    fn carried(&self, up_to: Offset) -> Vec<CarriedRecord> {
        let live = self.views.carry_forward(SHARD, up_to, 100);
        live.expect("everything is applied")
    }

    /// Carries until nothing is left; returns in how many rounds.
    fn carry(&mut self, up_to: Offset) -> usize {
        for round in 0.. {
            let carried = self.carried(up_to);
            if carried.is_empty() {
                return round;
            }
            self.append_carried(&carried);
        }
        unreachable!("rounds end")
    }

    fn append_carried(&mut self, carried: &[CarriedRecord]) -> Offset {
        let records: Vec<_> = carried.iter().map(SampleRecord::from).collect();
        self.append(&records)
    }

    /// Views folded from what the log holds from `start` on.
    fn rebuilt(&self, start: Offset) -> Views {
        let views = Views::new(Arc::new(MemoryStore::new())).expect("memory can be read");
        views.begin(SHARD, start).expect("memory takes writes");
        let mut log = self.log.clone();
        log.remove_before(SHARD, start);
        views.apply_all(log.batches()).expect("memory takes writes");
        views
    }

    fn same(&self, views: &Views) -> bool {
        self.views.digest().expect("memory can be read")
            == views.digest().expect("memory can be read")
    }

    fn end(&self) -> Offset {
        self.log.end(SHARD)
    }
}

fn filled() -> Bench {
    let mut bench = Bench::new();
    bench.append(&[SampleRecord {
        message_expiry_s: Some(9),
        properties: vec![1, 0],
        ..SampleRecord::retained("a", "x")
    }]);
    bench.append(&[SampleRecord::exactly_once(CLIENT, "b", 3)]);
    bench.log(&opened_with_will(1));
    bench.log(&subscribed(&["a", "b"]));
    bench.log(&StateBody::OutboundAssigned {
        entries: vec![(1, SHARD, Offset(9))],
    });
    bench.log(&closed(1, 5_000, 60, Some(9_000)));
    bench
}

#[test]
fn everything_live_is_listed_and_then_not_again() {
    let mut bench = filled();
    let end = bench.end();
    let carried = bench.carried(end);
    assert_eq!(carried.len(), 3);
    let record = carried[0].record(77);
    assert_eq!(
        (record.timestamp_ms, record.topic, record.properties),
        (77, "a", &[1, 0][..])
    );
    let before = bench.views.digest().expect("memory can be read");
    assert_eq!(bench.carry(end), 2, "sessions take two rounds");
    assert_eq!(bench.views.digest().expect("memory can be read"), before);
    assert!(
        bench.same(&bench.rebuilt(end)),
        "the copies are all it takes"
    );
}

#[test]
fn only_what_depends_on_the_part_is_listed() {
    let bench = filled();
    let topics = |up_to| {
        bench
            .carried(up_to)
            .iter()
            .map(|carried| carried.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(topics(Offset::new(1, 0)), []);
    assert_eq!(topics(Offset::new(2, 0)), [crate::kind::RETAINED_CARRIED]);
    let kinds = topics(Offset::new(3, 0));
    assert_eq!(
        kinds,
        [crate::kind::RETAINED_CARRIED, crate::kind::INBOUND_CARRIED]
    );
    let other = bench.views.carry_forward(ShardId(1), Offset::ZERO, 100);
    assert_eq!(other.expect("nothing was asked for"), []);
}

#[test]
fn a_limit_is_kept() {
    let bench = filled();
    for limit in 0..4 {
        let some = bench.views.carry_forward(SHARD, bench.end(), limit);
        assert_eq!(some.expect("everything is applied").len(), limit);
    }
}

#[test]
fn what_is_not_folded_yet_cannot_be_carried() {
    let bench = filled();
    let asked = bench.views.carry_forward(SHARD, Offset::new(1_000, 0), 1);
    assert!(
        matches!(asked, Err(ViewError::NotApplied { .. })),
        "{asked:?}"
    );
}

/// The copy was made, then the entry changed, then the copy was appended.
#[test]
fn a_copy_that_was_overtaken_is_ignored() {
    let mut bench = filled();
    let end = bench.end();
    let carried = bench.carried(end);
    bench.append(&[SampleRecord::retained("a", "newer")]);
    bench.log(&StateBody::Unsubscribed {
        filters: vec!["a".to_owned()],
    });
    let again = bench.append(&[SampleRecord::exactly_once(CLIENT, "b", 3)]);
    bench.append_carried(&carried);
    assert_eq!(bench.retained("a", 0)[0].payload, "newer");
    assert_eq!(bench.state().subscriptions.len(), 1);
    let open = bench
        .views
        .inbound_qos2(CLIENT)
        .expect("memory can be read");
    assert_eq!(open[0].2, again);
    // The session was only announced; the others need the part no more.
    assert_eq!(bench.carry(end), 1);
    assert!(bench.same(&bench.rebuilt(end)));
}

/// The copy was made, then the entry went, then the copy was appended.
#[test]
fn a_copy_does_not_bring_back_what_is_gone() {
    let mut bench = filled();
    let end = bench.end();
    let carried = bench.carried(end);
    bench.append(&[SampleRecord::retained("a", "")]);
    bench.append(&[SampleRecord::state(
        CLIENT,
        &StateBody::InboundReleased { packet_id: 3 },
    )]);
    bench.log(&StateBody::SessionExpired { epoch: 1 });
    let copies = bench.append_carried(&carried);
    assert_eq!(
        bench.views.counts().expect("memory can be read"),
        Default::default()
    );
    assert!(bench.same(&bench.rebuilt(end)), "what removed them is seen");
    // Now even the removing records go, and only the copies are left.
    assert_eq!(bench.carried(copies), []);
    assert!(
        bench.same(&bench.rebuilt(copies)),
        "what removed them is not seen"
    );
}

/// A session that never rests: something is said about it between any two
/// steps, and its copy counts all the same.
#[test]
fn a_busy_session_is_carried() {
    let mut bench = Bench::new();
    bench.log(&opened(5, false));
    let end = bench.end();
    let assigned = |packet_id| StateBody::OutboundAssigned {
        entries: vec![(packet_id, SHARD, Offset(u64::from(packet_id)))],
    };
    let mut rounds = 0u16;
    loop {
        let carried = bench.carried(end);
        if carried.is_empty() {
            break;
        }
        rounds += 1;
        bench.log(&assigned(rounds));
        bench.append_carried(&carried);
        bench.log(&assigned(100 + rounds));
    }
    assert_eq!(rounds, 2, "announced, then copied");
    let ids: Vec<_> = bench
        .state()
        .inflight
        .iter()
        .map(|entry| entry.packet_id)
        .collect();
    assert_eq!(ids, [1, 101, 2, 102]);
    assert!(bench.same(&bench.rebuilt(end)));
}

/// The session ends, or begins afresh, between the making of its copy and the
/// copy's place in the log.
#[test]
fn what_happens_after_a_copy_was_made_comes_on_top_of_it() {
    for fresh in [false, true] {
        let mut bench = Bench::new();
        bench.log(&opened(5, false));
        bench.log(&subscribed(&["a"]));
        let end = bench.end();
        let announced = bench.carried(end);
        bench.append_carried(&announced);
        let copy = bench.carried(end);
        bench.log(&StateBody::SessionExpired { epoch: 5 });
        if fresh {
            bench.log(&opened(6, false));
            bench.log(&subscribed(&["b"]));
        }
        let placed = bench.append_carried(&copy);
        assert_eq!(bench.carried(end), []);
        assert_eq!(bench.session().is_some(), fresh);
        assert!(bench.same(&bench.rebuilt(end)), "all that followed is seen");
        if !fresh {
            assert!(
                bench.same(&bench.rebuilt(placed)),
                "the copy alone is not believed"
            );
        }
    }
}

/// A copy that was announced by an older announcement than the last is not
/// believed: what was said in between may be gone.
#[test]
fn a_copy_from_before_its_announcement_is_ignored() {
    let mut bench = Bench::new();
    bench.log(&opened(5, false));
    let early = bench.end();
    let announced = bench.carried(early);
    bench.append_carried(&announced);
    let copy = bench.carried(early);
    bench.log(&subscribed(&["a"]));
    let late = bench.end();
    let announced = bench.carried(late);
    bench.append_carried(&announced);
    bench.append_carried(&copy);
    let again = bench.carried(late);
    assert_eq!(again.len(), 1, "the older copy did not count");
    bench.append_carried(&again);
    assert_eq!(bench.carried(late), []);
    assert!(bench.same(&bench.rebuilt(late)));
}

#[test]
fn rebuilt_views_carry_on_like_any_other() {
    let mut bench = filled();
    let end = bench.end();
    bench.carry(end);
    let views = bench.rebuilt(end);
    views.caught_up(SHARD).expect("memory takes writes");
    views.caught_up(SHARD).expect("nothing more to do");
    bench.views = views;
    let end = bench.end();
    assert_eq!(bench.carry(end), 2);
    assert!(bench.same(&bench.rebuilt(end)));
}
