//! Server-sent events.

use robustmq_e2e::{Event, Events};

use super::*;

fn message(events: &mut Events) -> (Event, String) {
    loop {
        let event = events.next_event().expect("an event").expect("no end");
        if event.name == "message" {
            let told: Value = serde_json::from_str(&event.data).expect("JSON");
            let payload = told["payload"].as_str().expect("a payload").to_owned();
            return (event, payload);
        }
        assert_eq!(event.name, "caught-up");
    }
}

#[test]
fn history_comes_first_and_then_what_is_published() {
    let broker = Broker::start(&[]);
    fill(&broker, 3);
    let mut events = http(&broker).events("/api/v5/history/tail?from=earliest&filter=a/%23", None);
    for number in 0..3 {
        assert_eq!(message(&mut events).1, number.to_string());
    }
    let event = events.next_event().expect("an event").expect("no end");
    assert_eq!(event.name, "caught-up");
    let mut publisher = clean(&broker, "p");
    store(&mut publisher, "other", b"not this");
    store(&mut publisher, "a/b", b"live");
    assert_eq!(message(&mut events).1, "live");
}

#[test]
fn a_broken_stream_goes_on_behind_the_last_event() {
    let mut broker = Broker::start(&[]);
    fill(&broker, 20);
    let mut seen = Vec::new();
    let mut last: Option<Event> = None;
    for round in 0..4 {
        let id = last.as_ref().and_then(|event| event.id.clone());
        let mut events = http(&broker).events("/api/v5/history/tail?from=earliest", id.as_deref());
        for _ in 0..5 {
            let (event, payload) = message(&mut events);
            seen.push(payload);
            last = Some(event);
        }
        drop(events);
        if round == 1 {
            broker.kill_and_restart();
        }
    }
    assert_eq!(seen, numbers(0..20));
}

#[test]
fn nothing_is_missed_under_load() {
    const COUNT: usize = 2_000;
    let broker = Broker::start(&[]);
    let mut events = http(&broker).events("/api/v5/history/tail?from=latest", None);
    let first = events.next_event().expect("an event").expect("no end");
    assert_eq!(first.name, "caught-up");
    let address = broker.address();
    let publisher = std::thread::spawn(move || {
        let mut client = Client::accepted(address, &Connect::new("p")).0;
        for number in 0..COUNT {
            store(
                &mut client,
                &format!("t/{}", number % 5),
                number.to_string().as_bytes(),
            );
        }
    });
    let mut seen: Vec<usize> = Vec::new();
    while seen.len() < COUNT {
        seen.push(message(&mut events).1.parse().expect("a number"));
    }
    publisher.join().expect("it publishes all");
    seen.sort_unstable();
    assert_eq!(seen, (0..COUNT).collect::<Vec<_>>());
}
