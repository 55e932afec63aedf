//! Queues and windows without sockets.

use bytes::Bytes;

use super::*;

fn other(in_flight_max: u32) -> Hello {
    Hello {
        node_id: 2,
        cluster_id: None,
        incarnation: 0,
        address: String::new(),
        software: String::new(),
        purpose: crate::hello::Purpose::Member,
        versions: (1, 1),
        run: 0,
        attempt: 0,
        is_used: true,
        body_bytes_max: u32::MAX,
        in_flight_max,
        in_flight_bytes_max: 1_000_000,
    }
}

fn taken(exchange: &Exchange) -> Vec<(u64, usize)> {
    let mut pieces = Vec::new();
    exchange.take_batch(&mut pieces);
    let taken = pieces.iter();
    taken
        .map(|piece| (piece.header.id, piece.chunk.len()))
        .collect()
}

fn request(bytes: usize) -> Request {
    Request::new(1, vec![0; bytes].into())
}

fn attached(in_flight_max: u32) -> Exchange {
    let exchange = Exchange::new(&PeerLimits::default());
    exchange.attach(&other(in_flight_max));
    exchange
}

#[tokio::test]
async fn nothing_is_sent_beyond_what_is_granted_but_one_alone_always_is() {
    let exchange = attached(2);
    let (first, _answer) = exchange.push(request(2_000_000)).expect("it is queued");
    let (second, _answer) = exchange.push(request(1)).expect("it is queued");
    while taken(&exchange).iter().any(|(id, _)| *id == first) {}
    assert_eq!(taken(&exchange), [], "the first fills the window by itself");
    assert!(exchange.complete(first, Ok(Bytes::new())));
    assert_eq!(taken(&exchange), [(second, 1)]);
    let more = [(); 2].map(|()| exchange.push(request(1)).expect("it is queued").0);
    assert_eq!(taken(&exchange), [(more[0], 1)]);
}

#[tokio::test]
async fn what_was_withdrawn_is_never_sent_and_what_was_sent_is_not_withdrawn() {
    let exchange = attached(10);
    let (first, _) = exchange.push(request(1)).expect("it is queued");
    let (second, _) = exchange.push(request(1)).expect("it is queued");
    assert!(exchange.withdraw(first) && !exchange.withdraw(first));
    assert_eq!(taken(&exchange), [(second, 1)]);
    assert!(!exchange.withdraw(second));
    assert_eq!(exchange.counts(), (0, 1));
}

#[tokio::test]
async fn at_its_end_sent_and_unsent_are_told_apart() {
    let exchange = attached(1);
    let (_, sent) = exchange.push(request(1)).expect("it is queued");
    let (_, queued) = exchange.push(request(1)).expect("it is queued");
    taken(&exchange);
    exchange.finish(End::Lost("cut".to_owned()));
    exchange.finish(End::Shutdown);
    assert_eq!(sent.await, Err(CallError::Lost));
    let unreachable = CallError::Unreachable("cut".to_owned());
    assert_eq!(queued.await, Err(unreachable.clone()));
    assert_eq!(exchange.push(request(1)).err(), Some(unreachable));
    exchange.room_for_answers().await;
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_does_nothing() {
    let exchange = attached(1);
    assert!(!exchange.complete(99, Ok(Bytes::new())));
}

#[tokio::test]
async fn chunks_of_the_lanes_take_turns_behind_urgent_ones() {
    let exchange = attached(10);
    let (bulk, _bulk) = exchange
        .push(request(200_000).on(Lane::Bulk))
        .expect("queued");
    let (ordered, _ordered) = exchange.push(request(100_000)).expect("queued");
    let (urgent, _urgent) = exchange.push(request(10).on(Lane::Urgent)).expect("queued");
    let order: Vec<u64> = taken(&exchange).iter().map(|(id, _)| *id).collect();
    assert_eq!(order[0], urgent);
    assert_eq!(order.iter().filter(|id| **id == ordered).count(), 2);
    let last_ordered = order.iter().rposition(|id| *id == ordered);
    let last_bulk = order.iter().rposition(|id| *id == bulk);
    assert!(last_ordered < last_bulk, "{order:?}");
}

#[test]
fn more_than_was_granted_is_noticed() {
    let limits = PeerLimits {
        in_flight_max: 2,
        ..PeerLimits::default()
    };
    let exchange = Exchange::new(&limits);
    assert!(exchange.begin(Lane::Ordered, 1) && exchange.begin(Lane::Ordered, 1));
    assert!(!exchange.begin(Lane::Ordered, 1));
    assert!(
        exchange.begin(Lane::Bulk, 1),
        "lanes have windows of their own"
    );
    exchange.answer(0, Lane::Ordered, 1, Ok(Bytes::new()));
    assert!(exchange.begin(Lane::Ordered, 1));
}
