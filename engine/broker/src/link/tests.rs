use std::collections::VecDeque;
use std::sync::Arc;

use robustmq_protocol::QoS;
use robustmq_record::{Batch, BatchBuilder, BatchLimits, Offset, RecordInput, ShardId, Term};

use super::*;
use crate::subscription::SubscriptionOptions;

const LIMITS: LinkLimits = LinkLimits {
    queue_messages_max: 4,
    queue_bytes_max: 1 << 20,
};

fn batch(shard: u32, index: u64, records: u16) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(BatchLimits::default());
    for number in 0..records {
        let record = RecordInput {
            namespace: "default",
            topic: "t",
            client_id: "publisher",
            timestamp_ms: 1_000 + u64::from(number),
            payload: b"payload",
            ..RecordInput::default()
        };
        builder.try_push(&record).expect("the batch has room");
    }
    Arc::new(builder.finish(ShardId(shard), index, Term(1)))
}

fn delivery(batch: &Arc<Batch>) -> Delivery {
    let options = TargetOptions::from(&SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        identifier: None,
    });
    Delivery {
        batch: Arc::clone(batch),
        entries: (0..batch.count() as u16).map(|slot| (slot, 0)).collect(),
        options: vec![Arc::new(options)],
        done: 0,
    }
}

fn positions(entries: &[(u32, u64)]) -> Positions {
    entries
        .iter()
        .map(|(shard, index)| (ShardId(*shard), Offset::new(*index, 0)))
        .collect()
}

#[test]
fn deliveries_come_out_in_the_order_they_went_in() {
    let link = Link::new("c", LIMITS);
    assert!(link.push(delivery(&batch(0, 1, 1)), &positions(&[(0, 1)])));
    assert!(link.push(delivery(&batch(0, 2, 1)), &positions(&[(0, 2)])));
    let taken = link.take(true);
    let order: Vec<u64> = taken
        .deliveries
        .iter()
        .map(|held| held.batch.index())
        .collect();
    assert_eq!(order, [1, 2]);
    assert!(taken.lagging_from.is_none());
}

#[test]
fn a_full_link_drops_all_it_holds_and_resumes_at_the_first_of_it() {
    let link = Link::new("c", LIMITS);
    assert!(link.push(delivery(&batch(0, 5, 2)), &positions(&[(0, 5), (1, 9)])));
    assert!(link.push(delivery(&batch(1, 9, 2)), &positions(&[(0, 6), (1, 9)])));
    assert!(!link.push(delivery(&batch(0, 6, 1)), &positions(&[(0, 6), (1, 10)])));
    let taken = link.take(true);
    assert!(taken.deliveries.is_empty());
    assert_eq!(taken.lagging_from, Some(positions(&[(0, 5), (1, 9)])));
    // Until it is made live again nothing is queued.
    assert!(!link.push(delivery(&batch(0, 7, 1)), &positions(&[(0, 7), (1, 10)])));
    link.set_live();
    assert!(link.push(delivery(&batch(0, 8, 1)), &positions(&[(0, 8), (1, 10)])));
}

#[test]
fn a_batch_larger_than_the_limits_is_still_delivered_to_an_empty_link() {
    let link = Link::new("c", LIMITS);
    assert!(link.push(delivery(&batch(0, 1, 50)), &positions(&[(0, 1)])));
    assert_eq!(link.take(true).deliveries.len(), 1);
}

#[test]
fn what_is_put_back_while_lagging_lowers_the_resume_position_to_the_entry() {
    let link = Link::new("c", LIMITS);
    let dispatched = positions(&[(0, 1)]);
    assert!(link.push(delivery(&batch(0, 1, 4)), &dispatched));
    let mut taken = link.take(true).deliveries;
    taken[0].done = 3;
    // Meanwhile the link overflows.
    let full: Vec<bool> = (2..5)
        .map(|index| link.push(delivery(&batch(0, index, 3)), &positions(&[(0, index)])))
        .collect();
    assert_eq!(full, [true, false, false]);
    link.put_back(taken);
    let resume = link.take(true).lagging_from.expect("the link lags");
    assert_eq!(resume.get(ShardId(0)), Offset::new(1, 3));
}

#[test]
fn what_is_put_back_comes_first_again() {
    let link = Link::new("c", LIMITS);
    assert!(link.push(delivery(&batch(0, 1, 2)), &positions(&[(0, 1)])));
    let mut taken = link.take(true).deliveries;
    taken[0].done = 1;
    assert!(link.push(delivery(&batch(0, 2, 1)), &positions(&[(0, 2)])));
    link.put_back(taken);
    let taken = link.take(true).deliveries;
    assert_eq!((taken[0].batch.index(), taken[0].done), (1, 1));
    assert_eq!(taken[1].batch.index(), 2);
}

#[test]
fn position_is_the_first_thing_not_yet_taken() {
    let link = Link::new("c", LIMITS);
    let dispatched = positions(&[(0, 7), (1, 3)]);
    assert_eq!(link.position(dispatched.clone()), dispatched);
    let mut held = delivery(&batch(0, 6, 3));
    held.done = 2;
    link.put_back(VecDeque::from([held]));
    let expected: Positions = [
        (ShardId(0), Offset::new(6, 2)),
        (ShardId(1), Offset::new(3, 0)),
    ]
    .into_iter()
    .collect();
    assert_eq!(link.position(dispatched), expected);
}

#[test]
fn a_session_that_does_not_take_lets_go_of_old_batches() {
    let link = Link::new("c", LIMITS);
    assert!(link.push(delivery(&batch(0, 1, 1)), &positions(&[(0, 1)])));
    let reached = positions(&[(0, 2)]);
    assert!(!link.release_older_than(&positions(&[(0, 1)]), &reached));
    assert!(link.release_older_than(&positions(&[(0, 2)]), &reached));
    let taken = link.take(true);
    assert_eq!(taken.lagging_from, Some(positions(&[(0, 1)])));
}

#[test]
fn the_latest_order_and_all_completions_are_seen() {
    let link = Link::new("c", LIMITS);
    let stored = |ticket| Completion {
        ticket: Ticket::Publish(ticket),
        outcome: Outcome::Rejected(ReasonCode::QuotaExceeded),
    };
    link.complete([stored(1)]);
    link.complete([stored(2)]);
    link.order(Order::Disconnect(ReasonCode::ServerShuttingDown));
    link.order(Order::Disconnect(ReasonCode::SessionTakenOver));
    let taken = link.take(false);
    let tickets: Vec<Ticket> = taken.completions.iter().map(|done| done.ticket).collect();
    assert_eq!(tickets, [Ticket::Publish(1), Ticket::Publish(2)]);
    assert_eq!(
        taken.order,
        Some(Order::Disconnect(ReasonCode::SessionTakenOver))
    );
}
