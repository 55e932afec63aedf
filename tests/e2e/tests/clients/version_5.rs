//! What MQTT 5.0 adds.

use super::*;

fn each_5(scenario: impl Fn(&Broker, Library)) {
    let broker = Broker::start(&[]);
    each(&[5], |library, _| scenario(&broker, library));
}

fn connected(broker: &Broker, library: Library, client_id: &str, more: &Value) -> Driver {
    Driver::connected(library, 5, port(broker), client_id, more).0
}

#[test]
fn properties_travel_untouched_and_in_order() {
    each_5(|broker, library| {
        let mut subscriber = connected(broker, library, "s", &none());
        subscriber.subscribe(
            "t",
            1,
            &json!({"properties": {"SubscriptionIdentifier": 7}}),
        );
        let mut publisher = connected(broker, library, "p", &none());
        let pairs = json!([["b", "1"], ["a", "2"], ["c", "ü"]]);
        let properties = json!({"properties": {
            "UserProperty": pairs, "ResponseTopic": "answers", "CorrelationData": "id-1",
            "ContentType": "text/plain", "MessageExpiryInterval": 100,
        }});
        publisher.publish("t", "x", 1, &properties);
        let (_, _, event) = subscriber.message();
        assert_eq!(event["user"], pairs, "{library:?}");
        assert_eq!(event["response_topic"], "answers");
        assert_eq!(event["correlation"], "id-1");
        assert_eq!(event["content_type"], "text/plain");
        assert_eq!(event["identifiers"], json!([7]));
        let left = event["expiry"].as_u64().expect("an expiry");
        assert!((90..=100).contains(&left), "{left}");
    });
}

#[test]
fn acknowledgements_say_where_the_message_is_and_whether_anybody_gets_it() {
    each_5(|broker, library| {
        let mut client = connected(broker, library, "c", &none());
        let lonely = client.publish("nobody/here", "x", 1, &none());
        assert_eq!(lonely["code"], 0x10, "{library:?}: {lonely}");
        client.subscribe("somebody", 0, &none());
        let heard = client.publish("somebody", "x", 1, &none());
        assert_eq!(heard["code"], 0, "{library:?}: {heard}");
        assert_eq!(heard["user"][0][0], "x-offset");
        client.send(&json!({"do": "unsubscribe", "filter": "never/subscribed"}));
        assert_eq!(client.expect("unsubscribed")["codes"], json!([0x11]));
        client.send(&json!({"do": "unsubscribe", "filter": "somebody"}));
        assert_eq!(client.expect("unsubscribed")["codes"], json!([0]));
    });
}

#[test]
fn a_client_without_a_name_is_given_one() {
    let broker = Broker::start(&[]);
    let (_client, event) = Driver::connected(Library::Paho, 5, port(&broker), "", &none());
    assert!(
        event["assigned"]
            .as_str()
            .is_some_and(|name| !name.is_empty()),
        "{event}"
    );
}

#[test]
fn subscription_options_are_kept() {
    each_5(|broker, library| {
        let mut client = connected(broker, library, "c", &none());
        let mut other = connected(broker, library, "o", &none());
        let topic = |name: &str| format!("{library:?}/{name}");
        other.publish(&topic("kept"), "old", 1, &json!({"retain": true}));
        // No retained message at all, and none twice.
        client.subscribe(&topic("kept"), 1, &json!({"retain_handling": 2}));
        client.subscribe(&topic("own"), 1, &json!({"no_local": true}));
        client.subscribe(&topic("flag"), 1, &json!({"retain_as_published": true}));
        client.publish(&topic("own"), "mine", 1, &none());
        other.publish(&topic("own"), "others'", 1, &none());
        assert_eq!(client.message().1, "others'", "{library:?}");
        other.publish(&topic("flag"), "x", 1, &json!({"retain": true}));
        assert_eq!(client.message().2["retain"], true);
        other.publish(&topic("kept"), "new", 1, &json!({"retain": true}));
        let (_, text, event) = client.message();
        assert_eq!((text.as_str(), &event["retain"]), ("new", &false.into()));
    });
}

#[test]
fn windows_sizes_and_aliases_are_kept_to() {
    each_5(|broker, library| {
        let limits = json!({"use_alias": true, "properties": {
            "ReceiveMaximum": 3, "MaximumPacketSize": 1_000, "TopicAliasMaximum": 5,
        }});
        let mut subscriber = connected(broker, library, "s", &limits);
        subscriber.subscribe("long/topic/name/+", 1, &none());
        let mut publisher = connected(broker, library, "p", &json!({"use_alias": true}));
        publisher.publish("long/topic/name/1", "x", 1, &json!({"repeat": 2_000}));
        let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        for payload in &expected {
            publisher.publish("long/topic/name/1", payload, 1, &none());
        }
        // What is too large is left out, everything else comes.
        assert_eq!(subscriber.payloads(50), expected, "{library:?}");
    });
}

#[test]
fn a_delayed_will_waits_and_is_cancelled_by_coming_back() {
    each_5(|broker, library| {
        let mut watcher = connected(broker, library, "w", &none());
        watcher.subscribe("will", 1, &none());
        let will = |payload: &str| {
            json!({
                "clean": false, "properties": {"SessionExpiryInterval": 60},
                "will": {"topic": "will", "payload": payload, "qos": 1, "delay": 1},
            })
        };
        connected(broker, library, "c", &will("cancelled")).kill();
        let back = connected(broker, library, "c", &will("due"));
        back.kill();
        assert_eq!(watcher.message().1, "due", "{library:?}");
    });
}

#[test]
fn an_orderly_shutdown_is_announced() {
    each(&[5], |library, version| {
        let mut broker = Broker::start(&[]);
        let (mut client, _) = Driver::connected(library, version, port(&broker), "c", &none());
        broker.stop();
        let told = client.expect("disconnected");
        assert_eq!(told["code"], 0x8b, "{library:?}: {told}");
    });
}
