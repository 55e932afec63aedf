//! A disk on which a sync fails: the process ends, and what it acknowledged is
//! there at the next start.

use std::path::{Path, PathBuf};
use std::process::Command;

use robustmq_e2e::{Broker, Client, Connect, Launch};
use robustmq_protocol::{QoS, ReasonCode};

use super::{publish, store, take};

/// Compiles the library that makes syncs fail.
fn library(directory: &Path) -> PathBuf {
    let source = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    let source = Path::new(&source).join("tests/faults/fail_sync.c");
    let library = directory.join("fail_sync.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(compiled.is_ok_and(|status| status.success()), "cc compiles");
    library
}

#[test]
fn a_failing_sync_ends_the_process_and_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().expect("a directory");
    let flag = directory.path().join("fail");
    let launch = Launch {
        environment: vec![
            ("LD_PRELOAD".to_owned(), library(directory.path()).into()),
            ("FAIL_SYNC".to_owned(), flag.clone().into()),
        ],
        ..Launch::default()
    };
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
