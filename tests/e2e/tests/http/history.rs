//! Messages, topics and states.

use robustmq_protocol::codec::Forwarded;

use super::*;

#[test]
fn pages_follow_each_other_without_gap_or_twin() {
    let broker = Broker::start(&[]);
    fill(&broker, 25);
    let http = http(&broker);
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/api/v5/history/messages?limit=10".to_owned();
    for expected in [10, 10, 5] {
        let page = http.get(&path).json();
        assert_eq!(page["meta"]["count"], expected, "{page}");
        assert_eq!(page["meta"]["hasnext"], expected == 10);
        seen.extend(told(&page["data"]).into_iter().map(str::to_owned));
        // What is published meanwhile is not part of the range.
        store(&mut clean(&broker, "late"), "a/b", b"late");
        let cursor = page["meta"]["cursor"].as_str().unwrap_or_default();
        path = format!("/api/v5/history/messages?limit=10&cursor={cursor}");
    }
    assert_eq!(seen, numbers(0..25));
}

#[test]
fn a_message_is_told_as_replays_tell_it() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "writer");
    // A user property as it is on the wire.
    let block = [&[38, 0, 4][..], b"unit", &[0, 3], "°C".as_bytes()].concat();
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "a/b",
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties {
            forwarded: Forwarded::parse(&block).expect("a user property"),
            ..PublishProperties::default()
        },
        payload: b"\xff\x00",
    };
    let token = store_packet(&mut publisher, &publish);
    let page = http(&broker)
        .get("/api/v5/history/messages?filter=a/%2B")
        .json();
    let message = &page["data"][0];
    assert_eq!(message["offset"], token);
    assert_eq!(message["topic"], "a/b");
    assert_eq!(message["qos"], 1);
    assert_eq!(message["retain"], true);
    assert_eq!(message["clientid"], "writer");
    assert_eq!(message["payload_b64"], "/wA=");
    assert_eq!(message["properties"]["user_properties"][0][1], "°C");
}

#[test]
fn ranges_are_those_of_replays() {
    let broker = Broker::start(&[]);
    let tokens = fill(&broker, 6);
    let http = http(&broker);
    let range = |query: &str| {
        let page = http.get(&format!("/api/v5/history/messages?{query}"));
        let page = page.json();
        let told = told(&page["data"]).into_iter().map(str::to_owned);
        told.collect::<Vec<String>>()
    };
    assert_eq!(range("filter=a/c"), ["1", "3", "5"]);
    assert_eq!(range("from=-1h"), numbers(0..6));
    assert_eq!(range("from=latest"), [""; 0]);
    assert_eq!(range("from=last:1"), ["4", "5"]);
    assert_eq!(range("filter=a/b&from=last:2"), ["2", "4"]);
    assert_eq!(
        range(&format!("filter=a/b&from=o:{}", tokens[2])),
        ["2", "4"]
    );
    let to = format!("filter=a/b&to=o:{}", tokens[4]);
    assert_eq!(range(&to), ["0", "2"]);
    // Picked messages have pages, too.
    let page = http
        .get("/api/v5/history/messages?from=last:2&limit=3")
        .json();
    assert_eq!(told(&page["data"]), ["2", "3", "4"]);
    let cursor = page["meta"]["cursor"].as_str().expect("a cursor");
    assert_eq!(range(&format!("cursor={cursor}")), ["5"]);
}

#[test]
fn lines_and_tables_are_streamed_whole() {
    let broker = Broker::start(&[]);
    fill(&broker, 300);
    store(&mut clean(&broker, "quoted"), "a/b", b"say \"hi\", twice");
    let http = http(&broker);
    let lines = http.get("/api/v5/history/messages?format=ndjson");
    let parse = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    let messages: Vec<Value> = lines.text().lines().map(parse).collect();
    assert_eq!(messages.len(), 301);
    assert_eq!(messages[299]["payload"], "299");
    let table = http.get("/api/v5/history/messages?format=csv");
    assert_eq!(
        table.header("content-type"),
        Some("text/csv; charset=utf-8")
    );
    let rows: Vec<&str> = table.text().split("\r\n").collect();
    assert_eq!(
        rows[0],
        "offset,timestamp,topic,qos,retain,clientid,payload,payload_b64,properties"
    );
    assert!(
        rows[1].ends_with(",a/b,1,false,publisher,0,,"),
        "{}",
        rows[1]
    );
    assert!(
        rows[301].ends_with(",quoted,\"say \"\"hi\"\", twice\",,"),
        "{}",
        rows[301]
    );
    let page = http.get("/api/v5/history/messages?format=ndjson&limit=2");
    assert_eq!(page.header("x-hasnext"), Some("true"));
    let cursor = page.header("x-cursor").expect("a cursor");
    let rest = http.get(&format!(
        "/api/v5/history/messages?format=ndjson&cursor={cursor}"
    ));
    assert_eq!(rest.text().lines().count(), 299);
}

#[test]
fn topics_are_listed_with_what_they_hold() {
    let broker = Broker::start(&["storage.segment_size=1MB"]);
    fill(&broker, 5);
    store(&mut clean(&broker, "other"), "z", b"12345");
    let http = http(&broker);
    let page = http.get("/api/v5/history/topics?limit=2").json();
    assert_eq!(page["data"][0]["topic"], "a/b");
    assert_eq!(page["data"][0]["messages"], 3);
    assert_eq!(page["data"][1]["messages"], 2);
    assert_eq!(page["meta"]["hasnext"], true);
    let cursor = page["meta"]["cursor"].as_str().expect("a cursor");
    assert_eq!(cursor, "a/c");
    let page = http.get("/api/v5/history/topics?cursor=a/c").json();
    assert_eq!(page["data"][0]["topic"], "z");
    assert_eq!(page["data"][0]["bytes"], 5);
    assert_eq!(page["meta"]["hasnext"], false);
    let page = http.get("/api/v5/history/topics?filter=a/%23").json();
    assert_eq!(page["meta"]["count"], 2);
}

#[test]
fn the_state_of_any_moment_is_told_by_topic() {
    let broker = Broker::start(&[]);
    fill(&broker, 4);
    let http = http(&broker);
    let all = http.get("/api/v5/history/messages").json();
    let moment = all["data"][1]["timestamp"].as_u64().expect("a time");
    assert_eq!(
        told(&http.get("/api/v5/history/state").json()["data"]),
        ["2", "3"]
    );
    let then = format!("/api/v5/history/state?at=ts:{moment}");
    assert_eq!(told(&http.get(&then).json()["data"]), ["0", "1"]);
    let page = http.get(&format!("{then}&limit=1")).json();
    assert_eq!(
        (told(&page["data"]), &page["meta"]["hasnext"]),
        (vec!["0"], &Value::Bool(true))
    );
    let page = http.get(&format!("{then}&limit=1&cursor=a/b")).json();
    assert_eq!(told(&page["data"]), ["1"]);
}
