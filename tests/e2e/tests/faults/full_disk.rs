//! A data directory on a small file system of its own, which fills up.

use std::path::Path;
use std::time::{Duration, Instant};

use robustmq_e2e::{Broker, Client, Connect, Launch, Received};
use robustmq_protocol::{QoS, ReasonCode};

use super::{publish, store, take};

/// Mounts a tmpfs over the folder, for this process and its children alone,
/// puts a file into it that takes room, and becomes the broker.
const MOUNT: &str = r#"
mount -t tmpfs -o size=48m,mode=0700 tmpfs "$0" || exit 70
head -c 12M /dev/zero >"$0/ballast" || exit 71
exec "$@"
"#;

/// How long the broker may take to notice that there is room.
const PATIENCE: Duration = Duration::from_secs(30);

fn on_small_disk() -> Broker {
    let words = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        MOUNT,
        "{}",
    ];
    let launch = Launch {
        wrapper: words.map(str::to_owned).to_vec(),
        ..Launch::default()
    };
    let can = std::process::Command::new("unshare")
        .args(["--map-root-user", "--mount", "true"])
        .status();
    assert!(
        can.is_ok_and(|status| status.success()),
        "this test mounts a small file system: allow user namespaces (in a container: --privileged)"
    );
    Broker::start_in(launch, &["storage.segment_size=1MB"])
}

/// Publishes until the disk is full; how many messages were acknowledged.
fn fill(client: &mut Client) -> u32 {
    for number in 0u32.. {
        assert!(number < 20_000, "a disk of 48 MB takes no 160 MB");
        let payload = incompressible(number);
        match store(client, "fill", &payload) {
            ReasonCode::Success | ReasonCode::NoMatchingSubscribers => {}
            ReasonCode::QuotaExceeded => return number,
            other => panic!("message {number}: {other:?}"),
        }
    }
    unreachable!("the loop has no end")
}

/// 8 KiB that begin with the number.
fn incompressible(number: u32) -> Vec<u8> {
    let mut state = u64::from(number) * 2 + 1;
    let mut payload = number.to_be_bytes().to_vec();
    while payload.len() < 8 * 1024 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        payload.extend((state >> 32).to_be_bytes());
    }
    payload
}

fn wait_for_room(client: &mut Client, folder: &Path) {
    std::fs::remove_file(folder.join("ballast")).expect("the ballast can be removed");
    let start = Instant::now();
    while store(client, "fill", b"again") == ReasonCode::QuotaExceeded {
        assert!(
            start.elapsed() < PATIENCE,
            "there is room, and no use of it"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_disk_refuses_publishes_and_nothing_else() {
    let mut broker = on_small_disk();
    let (mut reader, _) = Client::accepted(broker.address(), &Connect::persistent("reader"));
    reader.subscribe("fill", QoS::AtLeastOnce);
    let (mut writer, _) = Client::accepted(broker.address(), &Connect::new("writer"));
    let kept = publish("kept", QoS::AtLeastOnce, true, b"before");
    writer.publish(&kept).expect("PUBLISH is sent");
    assert!(matches!(writer.receive(), Ok(Received::PubAck(..))));
    let acknowledged = fill(&mut writer);
    assert!(acknowledged > 100, "{acknowledged}");

    // QoS 2 gets its refusal in the PUBREC, 3.1.1 has no way to say it.
    let twice = publish("fill", QoS::ExactlyOnce, false, b"x");
    writer.publish(&twice).expect("PUBLISH is sent");
    match writer.receive().expect("the broker answers") {
        Received::PubRec(_, reason, _) => assert_eq!(reason, ReasonCode::QuotaExceeded),
        other => panic!("no PUBREC: {other:?}"),
    }

    // Everything that was acknowledged is read, live and by who comes now.
    for number in 0..acknowledged {
        assert_eq!(take(&mut reader)[..4], number.to_be_bytes());
    }
    let (mut late, _) = Client::accepted(broker.address(), &Connect::persistent("late"));
    late.subscribe("kept", QoS::AtLeastOnce);
    assert_eq!(take(&mut late), b"before");
    reader.disconnect(ReasonCode::Success).expect("DISCONNECT");
    let (mut reader, present) = Client::accepted(broker.address(), &Connect::persistent("reader"));
    assert!(present, "sessions come and go on a full disk");

    wait_for_room(&mut writer, &broker.folder());
    assert_eq!(take(&mut reader), b"again");
    let (status, _) = broker.stop();
    assert!(status.success(), "{status}");
    let log = broker.log();
    assert!(log.contains("the disk is full"), "{log}");
    assert!(log.contains("there is room on the disk again"), "{log}");
}
