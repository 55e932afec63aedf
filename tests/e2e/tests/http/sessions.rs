//! Lasting sessions: looking, rewinding, deleting, explaining.

use serde_json::json;

use super::*;

fn persistent(broker: &Broker, client_id: &str) -> (Client, bool) {
    Client::accepted(broker.address(), &Connect::persistent(client_id))
}

#[test]
fn an_offline_session_is_rewound_and_gets_it_all_again() {
    let broker = Broker::start(&[]);
    fill(&broker, 2);
    let (mut client, _) = persistent(&broker, "c");
    client.subscribe("a/#", QoS::ExactlyOnce);
    let mut publisher = clean(&broker, "p");
    for number in 2..5 {
        store(&mut publisher, "a/b", number.to_string().as_bytes());
    }
    assert_eq!(payloads(&mut client, 3), numbers(2..5));
    goodbye(client);
    let http = http(&broker);
    let start = std::time::Instant::now();
    while http.get("/api/v5/sessions/c").json()["connected"] == true {
        assert!(start.elapsed().as_secs() < 20, "it stays connected");
        tick();
    }
    let shown = http.get("/api/v5/sessions/c").json();
    assert_eq!(shown["subscription_list"][0]["filter"], "a/#");
    assert_eq!(shown["lag_messages"], 0, "{shown}");
    let rewind = |body: Value| http.post("/api/v5/sessions/c/rewind", &body).json();
    assert_eq!(rewind(json!({ "shift": -2, "dry_run": true }))["again"], 2);
    // Further back than its subscription.
    assert_eq!(rewind(json!({ "to": "earliest" }))["again"], 5);
    let (mut client, present) = persistent(&broker, "c");
    assert!(present);
    assert_eq!(payloads(&mut client, 5), numbers(0..5));
    nothing(&mut client);
    store(&mut publisher, "a/b", b"live");
    assert_eq!(payloads(&mut client, 1), ["live"]);
}

#[test]
fn a_connected_client_is_told_and_goes_on_from_there() {
    let broker = Broker::start(&[]);
    let (mut client, _) = persistent(&broker, "c");
    client.subscribe("a/#", QoS::AtLeastOnce);
    fill(&broker, 3);
    assert_eq!(payloads(&mut client, 3), numbers(0..3));
    let http = http(&broker);
    let moved = http.post("/api/v5/sessions/c/rewind", &json!({ "shift": -1 }));
    assert_eq!(moved.json()["again"], 1, "{}", moved.text());
    assert_eq!(
        client.receive().expect("the broker says why"),
        Received::Disconnect(ReasonCode::AdministrativeAction)
    );
    let (mut client, present) = persistent(&broker, "c");
    assert!(present);
    assert_eq!(payloads(&mut client, 1), ["2"]);
}

#[test]
fn qos_2_comes_again_after_a_rewind_over_a_kill() {
    let mut broker = Broker::start(&[]);
    let (mut client, _) = persistent(&broker, "c");
    client.subscribe("t", QoS::ExactlyOnce);
    let mut publisher = clean(&broker, "p");
    let publish = Publish {
        dup: false,
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: "t",
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload: b"twice",
    };
    publisher.publish(&publish).expect("PUBLISH is sent");
    let exchange = |client: &mut Client| {
        let Ok(Received::Publish(message)) = client.receive() else {
            panic!("no PUBLISH");
        };
        let packet_id = message.packet_id.expect("QoS 2");
        client.ack(Packet::PubRec, packet_id).expect("PUBREC");
        assert!(matches!(client.receive(), Ok(Received::PubRel(..))));
        client.ack(Packet::PubComp, packet_id).expect("PUBCOMP");
        nothing(client);
        message.payload
    };
    assert_eq!(exchange(&mut client), b"twice");
    goodbye(client);
    let moved = http(&broker).post("/api/v5/sessions/c/rewind", &json!({ "to": "earliest" }));
    assert_eq!(moved.json()["again"], 1, "{}", moved.text());
    broker.kill_and_restart();
    let (mut client, _) = persistent(&broker, "c");
    assert_eq!(exchange(&mut client), b"twice");
    nothing(&mut client);
}

#[test]
fn a_deleted_session_is_gone() {
    let broker = Broker::start(&[]);
    let (mut client, _) = persistent(&broker, "c");
    client.subscribe("t", QoS::AtLeastOnce);
    let http = http(&broker);
    assert_eq!(
        http.get("/api/v5/sessions").json()["data"][0]["clientid"],
        "c"
    );
    assert_eq!(
        http.ask("DELETE", "/api/v5/sessions/c", &[], "").status,
        204
    );
    assert_eq!(
        client.receive().expect("the broker says why"),
        Received::Disconnect(ReasonCode::AdministrativeAction)
    );
    assert_eq!(http.get("/api/v5/sessions/c").status, 404);
    let (_, present) = persistent(&broker, "c");
    assert!(!present);
}

#[test]
fn what_became_of_a_message_is_explained_for_a_session() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let before = store(&mut publisher, "t", b"before");
    let (mut client, _) = persistent(&broker, "c");
    client.subscribe("t", QoS::AtLeastOnce);
    let tokens = ["0", "1"].map(|text| store(&mut publisher, "t", text.as_bytes()));
    assert_eq!(payloads(&mut client, 1), ["0"]);
    assert!(matches!(client.receive(), Ok(Received::Publish(_))));
    goodbye(client);
    let http = http(&broker);
    let start = std::time::Instant::now();
    while http.get("/api/v5/sessions/c").json()["connected"] == true {
        assert!(start.elapsed().as_secs() < 20, "it stays connected");
        tick();
    }
    let later = store(&mut publisher, "t", b"2");
    let mut expiring = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "t",
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload: b"soon gone",
    };
    expiring.properties.message_expiry = Some(1);
    let expired = store_packet(&mut publisher, &expiring);
    let other = store(&mut publisher, "other", b"x");
    let tell = |token: &str| {
        http.get(&format!("/api/v5/messages/{token}/explain?client=c"))
            .json()
    };
    let explain = |token: &str| {
        let told = tell(token);
        let word = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
        (word("verdict"), word("reason"))
    };
    let said = |verdict: &str, reason: &str| (verdict.to_owned(), reason.to_owned());
    assert_eq!(
        explain(&before),
        said("not_delivered", "published_before_subscription")
    );
    assert_eq!(explain(&tokens[0]), said("delivered", "acknowledged"));
    assert!(tell(&tokens[0])["passed_by"].is_u64());
    assert_eq!(explain(&tokens[1]), said("in_flight", "sent"));
    assert_eq!(explain(&later), said("pending", "lagging"));
    assert_eq!(
        explain(&other),
        said("not_delivered", "no_matching_subscription")
    );
    let start = std::time::Instant::now();
    while explain(&expired) != said("not_delivered", "expired") {
        assert!(start.elapsed().as_secs() < 20, "{:?}", explain(&expired));
        tick();
    }
    assert_eq!(
        http.get(&format!("/api/v5/messages/{later}/explain?client=none"))
            .status,
        404
    );
}
