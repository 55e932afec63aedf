use robustmq_record::{BatchBuilder, BatchLimits, RecordInput, Term};
use robustmq_views::InflightStage;

use super::*;

const SHARD: ShardId = ShardId(2);
const TOKEN: OffsetToken = OffsetToken {
    shard: SHARD,
    offset: Offset(1000),
};

fn see(passing: &mut Passing, at_ms: u64, body: &StateBody) {
    let mut builder = BatchBuilder::new(BatchLimits::default());
    let payload = body.encode();
    let record = RecordInput {
        kind: body.kind(),
        namespace: DEFAULT_NAMESPACE,
        client_id: "c",
        timestamp_ms: at_ms,
        payload: &payload,
        ..RecordInput::default()
    };
    builder.try_push(&record).expect("it fits");
    let batch = builder.finish(ShardId(0), 1, Term(1));
    passing.see(&batch.record(0).expect("it is there"), TOKEN);
}

fn stands_at(offset: u64, inflight: Vec<InflightState>) -> StateBody {
    StateBody::CursorStored {
        epoch: 1,
        cursors: vec![(SHARD, Offset(offset))],
        inflight,
    }
}

#[test]
fn a_message_is_passed_between_two_stored_positions() {
    let mut passing = Passing::default();
    see(&mut passing, 10, &stands_at(900, Vec::new()));
    see(&mut passing, 20, &stands_at(1000, Vec::new()));
    assert_eq!((passing.before_ms, passing.by_ms), (Some(20), None));
    see(&mut passing, 30, &stands_at(1001, Vec::new()));
    see(&mut passing, 40, &stands_at(2000, Vec::new()));
    assert_eq!((passing.before_ms, passing.by_ms), (Some(20), Some(30)));
    assert!(!passing.was_moved);
}

#[test]
fn what_is_in_flight_is_not_passed() {
    let mut passing = Passing::default();
    let held = InflightState {
        packet_id: 1,
        shard: SHARD,
        offset: TOKEN.offset,
        qos: 1,
        state: InflightStage::Sent,
    };
    see(&mut passing, 10, &stands_at(5000, vec![held]));
    assert_eq!((passing.before_ms, passing.by_ms), (Some(10), None));
}

#[test]
fn moving_over_it_is_not_delivering_it() {
    let mut passing = Passing::default();
    let moved = |offset| StateBody::SessionRewound {
        cursors: vec![(SHARD, Offset(offset))],
    };
    see(&mut passing, 10, &stands_at(900, Vec::new()));
    see(&mut passing, 20, &moved(2000));
    assert_eq!((passing.by_ms, passing.was_moved), (Some(20), true));
    // Back, and then by its own.
    see(&mut passing, 30, &moved(500));
    see(&mut passing, 40, &stands_at(1001, Vec::new()));
    assert_eq!((passing.by_ms, passing.was_moved), (Some(40), false));
}
