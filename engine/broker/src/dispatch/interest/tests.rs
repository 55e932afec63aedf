use std::sync::Arc;

use robustmq_protocol::QoS;

use super::*;
use crate::link::LinkLimits;

const EXACT: SubscriptionOptions = SubscriptionOptions {
    qos: QoS::AtLeastOnce,
    no_local: false,
    retain_as_published: false,
    identifier: None,
};

fn link(client_id: &str) -> Arc<Link> {
    let limits = LinkLimits {
        queue_messages_max: 1,
        queue_bytes_max: 1,
    };
    Arc::new(Link::new(client_id, limits))
}

fn subscribers(interest: &mut Interest, topic: &str) -> Vec<SubscriberId> {
    interest
        .matches(topic)
        .iter()
        .map(|target| target.subscriber)
        .collect()
}

#[test]
fn a_session_matches_once_whatever_number_of_filters_match() {
    let mut interest = Interest::default();
    let id = interest.enter("c", Some(link("c")));
    interest.subscribe(id, "a/+", EXACT);
    interest.subscribe(
        id,
        "a/b",
        SubscriptionOptions {
            qos: QoS::ExactlyOnce,
            ..EXACT
        },
    );
    let matches = interest.matches("a/b");
    assert_eq!(matches.len(), 1);
    let effective = matches[0]
        .options
        .effective(false)
        .expect("both filters match");
    assert_eq!(effective.qos, QoS::ExactlyOnce);
}

#[test]
fn going_offline_and_coming_back_keeps_number_and_subscriptions() {
    let mut interest = Interest::default();
    let id = interest.enter("c", Some(link("c")));
    interest.subscribe(id, "a/#", EXACT);
    interest.park(id);
    assert!(interest.link(id).is_none());
    assert_eq!(
        subscribers(&mut interest, "a"),
        [id],
        "offline sessions count as subscribers"
    );
    assert_eq!(interest.enter("c", Some(link("c"))), id);
    assert!(interest.link(id).is_some());
}

#[test]
fn a_change_of_subscriptions_is_seen_at_once() {
    let mut interest = Interest::default();
    let id = interest.enter("c", Some(link("c")));
    assert!(subscribers(&mut interest, "t").is_empty());
    interest.subscribe(id, "t", EXACT);
    assert_eq!(subscribers(&mut interest, "t"), [id]);
    interest.unsubscribe(id, "t");
    assert!(subscribers(&mut interest, "t").is_empty());
}

#[test]
fn unsubscribing_one_filter_leaves_the_others() {
    let mut interest = Interest::default();
    let id = interest.enter("c", Some(link("c")));
    interest.subscribe(id, "a", EXACT);
    interest.subscribe(id, "b", EXACT);
    interest.unsubscribe(id, "a");
    assert_eq!(subscribers(&mut interest, "b"), [id]);
    assert_eq!(interest.filters(id).len(), 1);
}

#[test]
fn only_offline_sessions_are_forgotten_and_their_number_is_used_again() {
    let mut interest = Interest::default();
    let id = interest.enter("c", Some(link("c")));
    interest.subscribe(id, "t", EXACT);
    interest.remove_offline("c");
    assert_eq!(
        subscribers(&mut interest, "t"),
        [id],
        "a connected session stays"
    );
    interest.park(id);
    interest.remove_offline("c");
    assert!(subscribers(&mut interest, "t").is_empty());
    assert_eq!(interest.enter("d", None), id);
    assert!(
        subscribers(&mut interest, "t").is_empty(),
        "the new one inherits nothing"
    );
}
