//! Who is let in, and what is said to those who are not.

use std::fs;

use robustmq_peers::certificates::{CLUSTER_NAME, node_name};
use robustmq_peers::{CallError, PeerSetup, Peers, PeersError};

use crate::nodes::{Authority, ECHO, Node, any_port, files, limits, until};

fn reason(outcome: Result<bytes::Bytes, CallError>) -> String {
    match outcome {
        Err(CallError::Unreachable(reason)) => reason,
        other => panic!("it is let in: {other:?}"),
    }
}

/// Both ways of dialling come to nothing, with words that help.
async fn refused_both_ways(one: &Node, two: &Node, words: [&str; 2]) {
    for (from, to) in [(one, two), (two, one)] {
        let reason = reason(from.ask(to, ECHO, "let me in").await);
        assert!(
            words.iter().any(|words| reason.contains(words)),
            "{} dials: {reason}",
            from.id
        );
    }
    assert!(one.seen().is_empty() && two.seen().is_empty());
    let refused = || one.peers.stats().refused + two.peers.stats().refused;
    until("both dials count as refused", || refused() >= 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority() {
    let (ours, theirs) = (Authority::new(&[1]), Authority::new(&[2]));
    let (one, two) = (Node::start(&ours, 1).await, Node::start(&theirs, 2).await);
    let words = "not of this cluster's authority";
    refused_both_ways(&one, &two, [words, words]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    *two.members.cluster_id.lock() = Some("two".to_owned());
    let words = "node 1 belongs to cluster one, node 2 to cluster two";
    refused_both_ways(
        &one,
        &two,
        [
            words,
            "node 2 belongs to cluster two, node 1 to cluster one",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_is_not_on_the_roster() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    one.members.banned.lock().push(2);
    refused_both_ways(&one, &two, ["node 2 was removed", "node 2 was removed"]).await;
    one.members.banned.lock().clear();
    tokio::time::sleep(limits().backoff_max).await;
    assert_eq!(two.ask(&one, ECHO, "now").await, Ok("now".into()));
}

/// A certificate signed by the authority in a folder.
fn sign(
    folder: &std::path::Path,
    names: &[String],
    change: impl Fn(&mut rcgen::CertificateParams),
) {
    let key = fs::read_to_string(folder.join("ca-key.pem")).expect("the authority's key");
    let key = rcgen::KeyPair::from_pem(&key).expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    let serial = authority.key_identifier(&key);
    let serial: String = serial
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    authority.distinguished_name = rcgen::DistinguishedName::new();
    let name = format!("RobustMQ cluster authority {serial}");
    authority
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let issuer = rcgen::Issuer::new(authority, key);
    let pair = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new(names).expect("parameters");
    change(&mut parameters);
    let signed = parameters.signed_by(&pair, &issuer).expect("a certificate");
    fs::write(folder.join("node-2.pem"), signed.pem()).expect("written");
    fs::write(folder.join("node-2-key.pem"), pair.serialize_pem()).expect("written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate() {
    let authority = Authority::new(&[1]);
    sign(
        authority.folder.path(),
        &[node_name(2), CLUSTER_NAME.to_owned()],
        |parameters| {
            parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
        },
    );
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    refused_both_ways(&one, &two, ["has expired", "as expired"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_node() {
    let authority = Authority::new(&[1, 2, 3]);
    // The node itself would notice; so this one is made to hold both names and shows another's to those
    // who know whom they dial.
    let folder = authority.folder.path();
    let (one, three) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 3).await,
    );
    let reason = reason(one.ask_at(2, &three.address(), ECHO, "").await);
    assert!(
        reason.contains("is not for node-2.robustmq.internal"),
        "{reason}"
    );
    // And it does not start with the wrong one.
    let setup = PeerSetup {
        node_id: 2,
        incarnation: 0,
        bind: any_port(),
        advertise: None,
        tls: files(folder, 3),
        roster: three.members.clone(),
        handler: three.asked.clone(),
        limits: limits(),
    };
    let Err(PeersError::Tls(error)) = Peers::start(setup).await else {
        panic!("it starts");
    };
    let error = error.to_string();
    assert!(
        error.contains("node-3.pem: it is not a certificate of node 2"),
        "{error}"
    );
    assert!(error.contains("robust-ctl cluster certificates"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_node_is_told_apart() {
    let authority = Authority::new(&[1]);
    let one = Node::start(&authority, 1).await;
    // Speaks first, and no TLS.
    let other = tokio::net::TcpListener::bind(any_port())
        .await
        .expect("a port");
    let address = other.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = other.accept().await {
            let _ =
                tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-something\r\n").await;
        }
    });
    let reason = reason(one.ask_at(2, &address, ECHO, "").await);
    assert!(
        reason.contains("check the address and the port"),
        "{reason}"
    );
}

/// As docs/cluster.md shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_agrees_that_address_and_certificates_are_right() {
    let authority = Authority::new(&[1, 2]);
    let two = Node::start(&authority, 2).await;
    let file = |name: &str| authority.folder.path().join(name).display().to_string();
    let asked = tokio::task::spawn_blocking({
        let (ca, certificate) = (file("ca.pem"), file("node-1.pem"));
        let (key, address) = (file("node-1-key.pem"), two.address());
        move || {
            let mut command = std::process::Command::new("openssl");
            command.args(["s_client", "-connect", &address, "-tls1_3"]);
            command.args([
                "-alpn",
                "robustmq-peers",
                "-CAfile",
                &ca,
                "-cert",
                &certificate,
            ]);
            command.args(["-key", &key, "-verify_hostname", "node-2.robustmq.internal"]);
            command.stdin(std::process::Stdio::null());
            command.output()
        }
    });
    let Ok(output) = asked.await.expect("it runs") else {
        println!("openssl is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in ["Verification: OK", "ALPN protocol: robustmq-peers"] {
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_is_replaced_without_a_restart() {
    let (old, new) = (Authority::new(&[1, 2]), Authority::new(&[1, 2]));
    let mut curious = limits();
    curious.certificate_check_interval = std::time::Duration::ZERO;
    let one = Node::start_with(old.files(1), 1, curious.clone(), any_port()).await;
    let two = Node::start_with(old.files(2), 2, curious.clone(), any_port()).await;
    let text = |path: &std::path::Path| fs::read_to_string(path).expect("a file");
    let meet = async || {
        one.peers.disconnect(2);
        until("the other one notices", || !two.peers.is_connected(1)).await;
        one.ask(&two, ECHO, "anew").await
    };
    assert_eq!(meet().await, Ok("anew".into()));
    let (old_ca, new_ca) = (text(&old.files(1).ca), text(&new.files(1).ca));
    // Both, then the certificates of the new one, then only the new one.
    fs::write(old.files(1).ca, format!("{old_ca}{new_ca}")).expect("written");
    assert_eq!(meet().await, Ok("anew".into()));
    for node in [1, 2] {
        fs::write(old.files(node).key, text(&new.files(node).key)).expect("written");
        // Key and certificate do not belong together: the former ones stay at work.
        assert_eq!(meet().await, Ok("anew".into()));
        fs::write(
            old.files(node).certificate,
            text(&new.files(node).certificate),
        )
        .expect("written");
        assert_eq!(meet().await, Ok("anew".into()));
    }
    fs::write(old.files(1).ca, new_ca).expect("written");
    assert_eq!(meet().await, Ok("anew".into()));
    // One who still shows a certificate of the old one is out.
    let keep = Authority::new(&[]);
    let key = |authority: &Authority| authority.folder.path().join("ca-key.pem");
    fs::copy(key(&old), key(&keep)).expect("copied");
    fs::write(keep.folder.path().join("ca.pem"), &old_ca).expect("written");
    robustmq_peers::certificates::issue(keep.folder.path(), &[3], 30).expect("certificates");
    let three = Node::start_with(keep.files(3), 3, curious, any_port()).await;
    assert!(one.ask(&three, ECHO, "").await.is_err() && three.ask(&one, ECHO, "").await.is_err());
}
