use super::*;
use crate::delayed::{DelayedMessage, DelayedPage};
use crate::state::DelayedStored;

fn stored(due_ms: u64, payload: &str) -> SampleRecord {
    let body = StateBody::DelayedStored(DelayedStored {
        due_ms,
        topic: "t".to_owned(),
        payload: payload.as_bytes().to_vec().into(),
    });
    SampleRecord {
        qos: 1,
        retain: true,
        message_expiry_s: Some(9),
        properties: vec![1, 0],
        ..SampleRecord::state(CLIENT, &body)
    }
}

fn ended(offset: Offset) -> SampleRecord {
    let published = true;
    SampleRecord::state("", &StateBody::DelayedEnded { offset, published })
}

fn page(due_ms: u64) -> DelayedPage<'static> {
    DelayedPage {
        due_ms,
        after: None,
        skip: 0,
        count_max: 10,
        bytes_max: 1_000,
    }
}

fn found(bench: &Bench, page: &DelayedPage<'_>) -> Vec<DelayedMessage> {
    let found = bench.views.delayed_messages(page);
    found.expect("memory can be read")
}

fn payloads(bench: &Bench, page: &DelayedPage<'_>) -> Vec<String> {
    let text = |message: DelayedMessage| String::from_utf8(message.payload.to_vec());
    let payloads: Result<_, _> = found(bench, page).into_iter().map(text).collect();
    payloads.expect("text")
}

#[test]
fn messages_wait_in_the_order_in_which_they_are_due() {
    let mut bench = Bench::new();
    bench.append(&[stored(300, "c"), stored(100, "a"), stored(100, "b")]);
    bench.append_to(ShardId(1), &[stored(200, "other shard")]);
    assert_eq!(payloads(&bench, &page(99)), Vec::<String>::new());
    assert_eq!(payloads(&bench, &page(100)), ["a", "b"]);
    assert_eq!(
        payloads(&bench, &page(u64::MAX)),
        ["a", "b", "other shard", "c"]
    );
    assert_eq!(bench.views.delayed_count(), 4);
    let first = found(&bench, &page(100)).remove(0);
    let behind = DelayedPage {
        after: Some(&first),
        count_max: 1,
        ..page(300)
    };
    assert_eq!(payloads(&bench, &behind), ["b"]);
    let skipping = DelayedPage {
        skip: 2,
        bytes_max: 1,
        ..page(300)
    };
    assert_eq!(payloads(&bench, &skipping), ["other shard"]);
    assert_eq!((first.qos, first.retain), (1, true));
    assert_eq!(
        (first.message_expiry_s, &*first.publisher),
        (Some(9), CLIENT)
    );
    assert_eq!(&first.properties[..], [1, 0]);
}

#[test]
fn a_message_that_ended_is_gone_for_good() {
    let mut bench = Bench::new();
    let at = bench.append(&[stored(100, "a"), stored(100, "b")]);
    let batch = bench.append(&[ended(at)]);
    assert_eq!(payloads(&bench, &page(100)), ["b"]);
    assert_eq!(bench.views.delayed_message((SHARD, at)).ok(), Some(None));
    bench.append(&[ended(at), ended(batch)]);
    assert_eq!(bench.views.delayed_count(), 1, "nothing ends twice");
    let again = Views::new(Arc::clone(&bench.store)).expect("memory can be read");
    assert_eq!(again.delayed_count(), 1);
}

#[test]
fn with_qos_2_the_identifier_is_remembered_as_of_any_message() {
    let mut bench = Bench::new();
    let record = SampleRecord {
        qos: 2,
        packet_id: Some(7),
        ..stored(100, "a")
    };
    let at = bench.append(&[record]);
    let open = bench
        .views
        .inbound_qos2(CLIENT)
        .expect("memory can be read");
    let packet_id = PacketId::new(7).expect("an identifier");
    assert_eq!(open, [(packet_id, SHARD, at)]);
}
