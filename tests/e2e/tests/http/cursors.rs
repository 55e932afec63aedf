//! Named cursors: looking, moving, deleting, explaining.

use serde_json::json;

use super::*;

fn subscribe(client: &mut Client, filter: &str) {
    assert_eq!(
        client.subscribe(filter, QoS::AtLeastOnce),
        [ReasonCode::GrantedQoS1],
        "{filter}"
    );
}

#[test]
fn a_cursor_is_shown_with_what_it_lags() {
    let broker = Broker::start(&[]);
    fill(&broker, 6);
    let mut client = clean(&broker, "worker");
    subscribe(
        &mut client,
        "$share/g/$cursor/jobs@earliest/a/%23"
            .replace("%23", "#")
            .as_str(),
    );
    assert_eq!(payloads(&mut client, 2), ["0", "1"]);
    nothing_but_messages(&mut client);
    let http = http(&broker);
    let cursor = http.get("/api/v5/cursors/jobs").json();
    assert_eq!(cursor["filter"], "a/#");
    assert_eq!(cursor["group"], "g");
    assert_eq!(cursor["members"], json!(["worker"]));
    assert_eq!(cursor["lag_messages"], 4, "{cursor}");
    assert_eq!(cursor["in_flight"], 4);
    assert!(cursor["lag_seconds"].as_f64().expect("a number") > 0.0);
    let list = http.get("/api/v5/cursors").json();
    assert_eq!(list["data"][0]["name"], "jobs");
    assert_eq!(list["meta"]["count"], 1);
}

/// A round trip that passes messages over.
fn nothing_but_messages(client: &mut Client) {
    client.send(&Packet::PingReq).expect("PINGREQ is sent");
    while client.receive().expect("the broker answers") != Received::PingResp {}
}

#[test]
fn a_cursor_moves_by_time_offset_and_shift_after_a_rehearsal() {
    let broker = Broker::start(&[]);
    let tokens = fill(&broker, 6);
    let mut client = clean(&broker, "worker");
    subscribe(&mut client, "$cursor/jobs@earliest/a/#");
    assert_eq!(payloads(&mut client, 6), numbers(0..6));
    nothing(&mut client);
    let http = http(&broker);
    let seek = |body: Value| http.post("/api/v5/cursors/jobs/seek", &body).json();
    let rehearsed = seek(json!({ "shift": -2, "dry_run": true }));
    assert_eq!(rehearsed["messages"], 2, "{rehearsed}");
    assert_eq!(rehearsed["direction"], "back");
    nothing(&mut client);
    let moved = seek(json!({ "shift": -2 }));
    assert_eq!(
        (&moved["again"], &moved["dry_run"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(payloads(&mut client, 2), ["4", "5"]);
    nothing(&mut client);
    let moved = seek(json!({ "to": format!("o:{}", tokens[3]) }));
    // In other shards the token's time counts.
    assert_eq!(moved["again"], 3, "{moved}");
    let mut again = payloads(&mut client, 3);
    again.sort_unstable();
    assert_eq!(again, ["3", "4", "5"]);
    nothing(&mut client);
    assert_eq!(seek(json!({ "to": "-1h", "dry_run": true }))["again"], 6);
    goodbye(client);
    seek(json!({ "to": "earliest" }));
    assert_eq!(seek(json!({ "shift": 4 }))["skipped"], 4);
    let cursor = http.get("/api/v5/cursors/jobs").json();
    assert_eq!(cursor["lag_messages"], 2, "{cursor}");
    let answer = http.post("/api/v5/cursors/jobs/seek", &json!({ "to": "last:3" }));
    assert_eq!(answer.status, 400);
}

#[test]
fn a_move_survives_a_kill_and_a_deleted_cursor_stays_away() {
    let mut broker = Broker::start(&[]);
    fill(&broker, 3);
    let mut client = clean(&broker, "worker");
    subscribe(&mut client, "$cursor/jobs/a/#");
    goodbye(client);
    let moved = http(&broker).post("/api/v5/cursors/jobs/seek", &json!({ "to": "earliest" }));
    assert_eq!(moved.json()["again"], 3);
    broker.kill_and_restart();
    assert_eq!(
        http(&broker).get("/api/v5/cursors/jobs").json()["lag_messages"],
        3
    );
    let deleted = http(&broker).ask("DELETE", "/api/v5/cursors/jobs", &[], "");
    assert_eq!(deleted.status, 204);
    broker.kill_and_restart();
    assert_eq!(http(&broker).get("/api/v5/cursors/jobs").status, 404);
    assert_eq!(
        http(&broker).get("/api/v5/cursors").json()["meta"]["count"],
        0
    );
}

#[test]
fn what_became_of_a_message_is_explained_for_a_cursor() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let before = store(&mut publisher, "t", b"before");
    tick();
    let mut client = clean(&broker, "worker");
    subscribe(&mut client, "$cursor/jobs/t");
    let tokens = ["0", "1", "2"].map(|text| store(&mut publisher, "t", text.as_bytes()));
    let other = store(&mut publisher, "other", b"x");
    assert_eq!(payloads(&mut client, 1), ["0"]);
    assert!(matches!(client.receive(), Ok(Received::Publish(_))));
    nothing_but_messages(&mut client);
    let http = http(&broker);
    let explain = |token: &str| {
        let path = format!("/api/v5/messages/{token}/explain?cursor=jobs");
        let told = http.get(&path).json();
        let word = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
        (word("verdict"), word("reason"))
    };
    let said = |verdict: &str, reason: &str| (verdict.to_owned(), reason.to_owned());
    assert_eq!(explain(&tokens[0]), said("delivered", "acknowledged"));
    assert_eq!(explain(&tokens[1]), said("in_flight", "sent"));
    assert_eq!(
        explain(&other),
        said("not_delivered", "no_matching_subscription")
    );
    assert_eq!(
        explain(&before),
        said("not_delivered", "published_before_subscription")
    );
    goodbye(client);
    // It came back to the cursor.
    let start = std::time::Instant::now();
    while explain(&tokens[1]) != said("pending", "lagging") {
        assert!(start.elapsed().as_secs() < 20, "{:?}", explain(&tokens[1]));
        tick();
    }
    http.post("/api/v5/cursors/jobs/seek", &json!({ "to": "latest" }));
    assert_eq!(explain(&tokens[1]), said("not_delivered", "moved"));
    let path = format!("/api/v5/messages/{}/explain", tokens[0]);
    assert_eq!(http.get(&path).status, 400);
    assert_eq!(http.get(&format!("{path}?cursor=none")).status, 404);
    let none = http.get("/api/v5/messages/0-999999-0/explain?cursor=jobs");
    assert_eq!(none.status, 404);
}
