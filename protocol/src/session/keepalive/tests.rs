//! The deadlines of a connection.

use super::*;

#[test]
fn mqtt_3_1_4_a_connection_without_connect_ends_whatever_it_sends() {
    let mut keepalive = Keepalive::new(1_000, 15_000);
    assert_eq!(keepalive.poll_timeout(), Some(16_000));
    keepalive.handle_activity(15_999);
    assert_eq!(keepalive.handle_timeout(15_999), None);
    let timeout = keepalive.handle_timeout(16_000);
    assert_eq!(timeout, Some(Timeout::Connect));
    assert_eq!(
        Timeout::Connect.reason(),
        None,
        "no DISCONNECT before CONNACK"
    );
}

#[test]
fn mqtt_3_1_2_22_silence_of_one_and_a_half_keep_alives_ends_it() {
    let mut keepalive = Keepalive::new(0, 15_000);
    keepalive.connected(2_000, 10, 1.5);
    assert_eq!(keepalive.poll_timeout(), Some(17_000));
    keepalive.handle_activity(16_999);
    assert_eq!(keepalive.handle_timeout(17_000), None);
    assert_eq!(keepalive.poll_timeout(), Some(31_999));
    assert_eq!(keepalive.handle_timeout(31_998), None);
    let timeout = keepalive.handle_timeout(31_999);
    assert_eq!(timeout, Some(Timeout::KeepAlive));
    let reason = Timeout::KeepAlive.reason();
    assert_eq!(reason, Some(ReasonCode::KeepAliveTimeout));
}

#[test]
fn odd_keep_alives_and_the_longest_are_exact() {
    let mut keepalive = Keepalive::new(0, 1);
    keepalive.connected(0, 1, 1.5);
    assert_eq!(keepalive.poll_timeout(), Some(1_500));
    keepalive.connected(0, u16::MAX, 1.5);
    assert_eq!(keepalive.poll_timeout(), Some(98_302_500));
}

#[test]
fn keep_alive_0_never_ends_it() {
    let mut keepalive = Keepalive::new(0, 15_000);
    keepalive.connected(0, 0, 1.5);
    assert_eq!(keepalive.poll_timeout(), None);
    assert_eq!(keepalive.handle_timeout(u64::MAX), None);
}

#[test]
fn a_time_that_comes_late_does_not_shorten_patience() {
    let mut keepalive = Keepalive::new(0, 15_000);
    keepalive.connected(5_000, 2, 1.5);
    keepalive.handle_activity(6_000);
    keepalive.handle_activity(5_500);
    assert_eq!(keepalive.poll_timeout(), Some(9_000));
}
