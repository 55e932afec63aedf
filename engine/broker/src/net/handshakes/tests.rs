//! Places and those who hold them.

use super::*;

const PATIENCE: Duration = Duration::from_secs(8);

fn handshakes(max: usize) -> Arc<Handshakes> {
    Handshakes::new(max, PATIENCE, Arc::default())
}

fn try_enter(handshakes: &Arc<Handshakes>, now: Instant) -> Option<Place> {
    handshakes.try_enter(now).ok()
}

#[tokio::test]
async fn the_oldest_gives_way_after_its_grace_and_not_before() {
    let handshakes = handshakes(2);
    let start = Instant::now();
    let mut oldest = try_enter(&handshakes, start).expect("a place");
    let mut second = try_enter(&handshakes, start + Duration::from_secs(1)).expect("a place");
    let early = start + Duration::from_millis(1_500);
    let wait = handshakes.try_enter(early).err();
    assert_eq!(wait, Some(Duration::from_millis(500)));
    assert_eq!(oldest.hold(async { 1 }).await, Some(1));
    let newcomer = try_enter(&handshakes, start + Duration::from_secs(2));
    assert!(newcomer.is_some());
    assert_eq!(oldest.hold(std::future::pending::<()>()).await, None);
    assert_eq!(second.hold(async { 2 }).await, Some(2));
    assert_eq!(handshakes.counters.handshakes_displaced.get(), 1);
}

#[tokio::test]
async fn a_place_given_back_is_given_to_who_waits() {
    let handshakes = handshakes(1);
    let place = handshakes.enter().await;
    let waiting = tokio::spawn({
        let handshakes = Arc::clone(&handshakes);
        async move { handshakes.enter().await }
    });
    tokio::task::yield_now().await;
    drop(place);
    let place = waiting.await.expect("it ends");
    assert!(handshakes.is_busy());
    drop(place);
    assert!(!handshakes.is_busy());
    assert_eq!(handshakes.counters.handshakes_displaced.get(), 0);
}
