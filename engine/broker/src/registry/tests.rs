use std::time::Duration;

use super::*;
use crate::link::LinkLimits;

const REASON: ReasonCode = ReasonCode::SessionTakenOver;

fn link(client_id: &str) -> Arc<Link> {
    let limits = LinkLimits {
        queue_messages_max: 1,
        queue_bytes_max: 1,
    };
    Arc::new(Link::new(client_id, limits))
}

fn order(link: &Link) -> Option<Order> {
    link.take(false).order
}

#[tokio::test]
async fn a_claim_waits_until_the_owner_before_lets_go() {
    let registry = Arc::new(Registry::default());
    let (first, second) = (link("c"), link("c"));
    let owned = registry.claim(&first, REASON).await;
    let (claimer, claimed) = (Arc::clone(&registry), Arc::clone(&second));
    let waiting = tokio::spawn(async move { claimer.claim(&claimed, REASON).await });
    while order(&first) != Some(Order::Disconnect(ReasonCode::SessionTakenOver)) {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    drop(owned);
    let owned = waiting.await.expect("the claim succeeds");
    assert_eq!(registry.len(), 1);
    drop(owned);
    assert!(registry.is_empty());
}

#[tokio::test]
async fn claims_are_served_in_the_order_they_came() {
    let registry = Arc::new(Registry::default());
    let links = [link("c"), link("c"), link("c")];
    let first = registry.claim(&links[0], REASON).await;
    let claim = |index: usize| {
        let (registry, link) = (Arc::clone(&registry), Arc::clone(&links[index]));
        tokio::spawn(async move { registry.claim(&link, REASON).await })
    };
    let second = claim(1);
    while order(&links[0]).is_none() {
        tokio::task::yield_now().await;
    }
    let third = claim(2);
    while order(&links[1]).is_none() {
        tokio::task::yield_now().await;
    }
    drop(first);
    let second = second.await.expect("the second claim succeeds");
    assert!(!third.is_finished());
    drop(second);
    third.await.expect("the third claim succeeds");
}

#[tokio::test]
async fn a_claim_given_up_while_waiting_does_not_block_the_next() {
    let registry = Arc::new(Registry::default());
    let links = [link("c"), link("c"), link("c")];
    let first = registry.claim(&links[0], REASON).await;
    let (claimer, claimed) = (Arc::clone(&registry), Arc::clone(&links[1]));
    let given_up = tokio::spawn(async move { claimer.claim(&claimed, REASON).await });
    while order(&links[0]).is_none() {
        tokio::task::yield_now().await;
    }
    given_up.abort();
    assert!(given_up.await.is_err());
    let (claimer, claimed) = (Arc::clone(&registry), Arc::clone(&links[2]));
    let third = tokio::spawn(async move { claimer.claim(&claimed, REASON).await });
    drop(first);
    let owned = tokio::time::timeout(Duration::from_secs(10), third).await;
    assert!(owned.is_ok(), "the third claim is served");
}

#[tokio::test]
async fn try_claim_takes_only_what_nobody_owns() {
    let registry = Arc::new(Registry::default());
    let owned = registry.claim(&link("c"), REASON).await;
    assert!(registry.try_claim(&link("c")).is_none());
    drop(owned);
    assert!(registry.try_claim(&link("c")).is_some());
}
