use super::*;

fn open(bench: &Bench) -> Vec<(u16, ShardId, Offset)> {
    let open = bench
        .views
        .inbound_qos2(CLIENT)
        .expect("memory can be read");
    let plain = |(id, shard, offset): (PacketId, ShardId, Offset)| (id.get(), shard, offset);
    open.into_iter().map(plain).collect()
}

fn released(packet_id: u16) -> SampleRecord {
    SampleRecord::state(CLIENT, &StateBody::InboundReleased { packet_id })
}

#[test]
fn a_publish_is_open_until_it_is_released() {
    let mut bench = Bench::new();
    let other = ShardId(1);
    let first = bench.append(&[SampleRecord::exactly_once(CLIENT, "a", 1)]);
    let second = bench.append_to(other, &[SampleRecord::exactly_once(CLIENT, "b", 2)]);
    bench.append(&[SampleRecord::exactly_once("client2", "a", 1)]);
    assert_eq!(open(&bench), [(1, SHARD, first), (2, other, second)]);
    // A release counts in the shard of the message only.
    bench.append_to(other, &[released(1)]);
    assert_eq!(open(&bench).len(), 2);
    bench.append(&[released(1)]);
    assert_eq!(open(&bench), [(2, other, second)]);
}

/// With DUP 0 the identifier stands for a new message [MQTT-4.3.3-7].
#[test]
fn a_new_publish_takes_over_the_identifier() {
    let mut bench = Bench::new();
    bench.append(&[SampleRecord::exactly_once(CLIENT, "a", 1)]);
    let again = bench.append(&[SampleRecord::exactly_once(CLIENT, "a", 1)]);
    assert_eq!(open(&bench), [(1, SHARD, again)]);
}

#[test]
fn only_qos_2_is_remembered() {
    let mut bench = Bench::new();
    bench.append(&[SampleRecord {
        qos: 1,
        ..SampleRecord::exactly_once(CLIENT, "a", 1)
    }]);
    assert_eq!(open(&bench), []);
}

#[test]
fn a_retained_qos_2_publish_is_both() {
    let mut bench = Bench::new();
    bench.append(&[SampleRecord {
        retain: true,
        ..SampleRecord::exactly_once(CLIENT, "a", 1)
    }]);
    assert_eq!(open(&bench).len(), 1);
    assert_eq!(bench.topics("#"), ["a"]);
}

/// Documented: a session's end lies in another shard, so the broker releases.
#[test]
fn a_clean_start_leaves_open_publishes_to_the_broker() {
    let mut bench = Bench::new();
    bench.log(&opened(1, false));
    bench.append_to(ShardId(1), &[SampleRecord::exactly_once(CLIENT, "a", 1)]);
    bench.log(&opened(2, true));
    assert_eq!(open(&bench).len(), 1);
}

/// Identifiers of clients whose names begin alike do not mix.
#[test]
fn clients_are_told_apart() {
    let mut bench = Bench::new();
    for client_id in ["c", "cl", CLIENT, "client\0x", ""] {
        bench.append(&[SampleRecord::exactly_once(client_id, "a", 1)]);
    }
    assert_eq!(open(&bench).len(), 1);
    assert_eq!(
        bench
            .views
            .inbound_qos2("")
            .expect("memory can be read")
            .len(),
        1
    );
}
