//! How connections come about.

use std::time::Duration;

use robustmq_peers::CallError;

use crate::nodes::{Authority, ECHO, Node, any_port, limits, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dials_of_both_at_once_leave_one_connection_and_lose_nothing() {
    let authority = Authority::new(&[1, 2]);
    for round in 0..40 {
        let (one, two) = (
            Node::start(&authority, 1).await,
            Node::start(&authority, 2).await,
        );
        let (there, back) = tokio::join!(one.ask(&two, ECHO, "there"), two.ask(&one, ECHO, "back"));
        assert_eq!(
            (there, back),
            (Ok("there".into()), Ok("back".into())),
            "round {round}"
        );
        // What was left over of the other dial comes to its end without harm.
        tokio::time::sleep(Duration::from_millis(5)).await;
        for (from, to) in [(&one, &two), (&two, &one)] {
            assert_eq!(
                from.ask(to, ECHO, "again").await,
                Ok("again".into()),
                "round {round}"
            );
            let stats = from.peers.stats();
            assert_eq!(stats.connections_lost, 0, "round {round}: {stats:?}");
            assert_eq!(stats.connections, 1, "round {round}: {stats:?}");
        }
        tokio::join!(one.peers.shutdown(), two.peers.shutdown());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_works_only_one_way_is_enough() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    // The deciding node cannot reach the other one.
    let unreachable = one.ask_at(2, "127.0.0.1:1", ECHO, "").await;
    assert!(
        matches!(unreachable, Err(CallError::Unreachable(_))),
        "{unreachable:?}"
    );
    assert_eq!(two.ask(&one, ECHO, "back").await, Ok("back".into()));
    assert_eq!(
        one.ask_at(2, "127.0.0.1:1", ECHO, "there").await,
        Ok("there".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_is_found_again() {
    let authority = Authority::new(&[1, 2]);
    for (here, there) in [(1, 2), (2, 1)] {
        let one = Node::start(&authority, here).await;
        let two = Node::start(&authority, there).await;
        let address = two.peers.local_addr();
        one.ask(&two, ECHO, "first").await.expect("an answer");
        two.peers.shutdown().await;
        until("the loss is noticed", || !one.peers.is_connected(there)).await;
        let away = one.ask(&two, ECHO, "away").await;
        assert!(matches!(away, Err(CallError::Unreachable(_))), "{away:?}");
        let two = Node::start_with(authority.files(there), there, limits(), address).await;
        let mut answer = one.ask(&two, ECHO, "back").await;
        while matches!(answer, Err(CallError::Unreachable(_))) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            answer = one.ask(&two, ECHO, "back").await;
        }
        assert_eq!(answer, Ok("back".into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dials_that_fail_pause_before_the_next() {
    let authority = Authority::new(&[1]);
    let mut slow = limits();
    slow.backoff_min = Duration::from_secs(3600);
    slow.backoff_max = Duration::from_secs(3600);
    let one = Node::start_with(authority.files(1), 1, slow, any_port()).await;
    for _ in 0..5 {
        let asked = one.ask_at(2, "127.0.0.1:1", ECHO, "").await;
        let Err(CallError::Unreachable(reason)) = asked else {
            panic!("{asked:?}");
        };
        assert!(reason.contains("127.0.0.1:1"), "{reason}");
    }
    assert_eq!(one.peers.stats().dials_failed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_sent_away_may_come_again() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    one.ask(&two, ECHO, "first").await.expect("an answer");
    one.peers.disconnect(2);
    assert!(!one.peers.is_connected(2));
    until("the other one notices", || !two.peers.is_connected(1)).await;
    assert_eq!(one.ask(&two, ECHO, "again").await, Ok("again".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_looked_up() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    let address = format!("localhost:{}", two.peers.local_addr().port());
    assert_eq!(
        one.ask_at(2, &address, ECHO, "by name").await,
        Ok("by name".into())
    );
    let place: robustmq_peers::Place = format!("dns:{address}").parse().expect("a place");
    let found = place.addresses().await.expect("localhost is known");
    assert!(found.contains(&two.address()), "{found:?}");
}
