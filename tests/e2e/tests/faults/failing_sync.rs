//! A disk on which a sync fails: the process ends, and what it acknowledged is
//! there at the next start.

use robustmq_e2e::{Broker, Client, Connect};
use robustmq_protocol::{QoS, ReasonCode};

use super::{on_strange_disk, publish, store, take};

#[test]
fn a_failing_sync_ends_the_process_and_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().expect("a directory");
    let flag = directory.path().join("fail");
    let launch = on_strange_disk(directory.path(), "FAIL_SYNC", &flag);
    let mut broker = Broker::start_in(launch, &[]);
    let (mut reader, _) = Client::accepted(broker.address(), &Connect::persistent("reader"));
    reader.subscribe("t", QoS::AtLeastOnce);
    reader.disconnect(ReasonCode::Success).expect("DISCONNECT");
    let (mut writer, _) = Client::accepted(broker.address(), &Connect::new("writer"));
    for number in 0..50u32 {
        assert_eq!(
            store(&mut writer, "t", &number.to_be_bytes()),
            ReasonCode::Success
        );
    }
    std::fs::write(&flag, b"").expect("the flag is set");
    let lost = publish("t", QoS::AtLeastOnce, false, b"never acknowledged");
    writer.publish(&lost).expect("PUBLISH is sent");
    let status = broker.wait();
    assert!(!status.success(), "{status}");
    let log = broker.log();
    assert!(log.contains("ERROR"), "{log}");
    assert!(log.contains("syncing the log"), "{log}");
    assert!(log.contains("Input/output error"), "{log}");
    let last = std::iter::from_fn(|| writer.receive().ok()).next();
    assert!(
        !matches!(last, Some(robustmq_e2e::Received::PubAck(..))),
        "a message was acknowledged whose sync failed: {last:?}"
    );

    std::fs::remove_file(&flag).expect("the disk is mended");
    broker.restart();
    let (mut reader, present) = Client::accepted(broker.address(), &Connect::persistent("reader"));
    assert!(present);
    for number in 0..50u32 {
        assert_eq!(take(&mut reader), number.to_be_bytes());
    }
}
