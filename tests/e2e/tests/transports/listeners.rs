//! Listeners as they are configured: several of each kind, both families.

use std::net::TcpStream;

use robustmq_e2e::{Broker, Client, Connect};

use crate::certificates::{client, self_signed};
use crate::wires::{Quic, Tls, Ws};

#[test]
fn there_may_be_several_of_every_kind_on_both_families() {
    let mut sets = vec!["listeners.tcp.six.bind=[::1]:0".to_owned()];
    for kind in ["tls", "ws", "wss", "quic"] {
        sets.push(format!("listeners.{kind}.four.bind=127.0.0.1:0"));
        sets.push(format!("listeners.{kind}.six.bind=[::1]:0"));
    }
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let broker = Broker::start(&sets);
    let trusting = || client(&self_signed(&broker), None);
    Client::accepted(broker.listener("tcp:six"), &Connect::new("tcp"));
    for name in ["four", "six"] {
        let tls = broker.listener(&format!("tls:{name}"));
        let wire = Tls::open(tls, trusting()).expect("a TLS connection");
        Client::accepted_over(wire, &Connect::new("tls"));
        let ws = broker.listener(&format!("ws:{name}"));
        let wire = Ws::open(TcpStream::connect(ws).expect("a connection"), ws);
        Client::accepted_over(wire, &Connect::new("ws"));
        let wss = broker.listener(&format!("wss:{name}"));
        let wire = Tls::open(wss, trusting()).expect("a TLS connection");
        Client::accepted_over(Ws::open(wire, wss), &Connect::new("wss"));
        let quic = broker.listener(&format!("quic:{name}"));
        let wire = Quic::open(quic, trusting()).expect("a QUIC connection");
        Client::accepted_over(wire, &Connect::new("quic"));
    }
}

#[test]
fn each_has_its_own_limit_of_connections() {
    let broker = Broker::start(&[
        "listeners.tls.small.bind=127.0.0.1:0",
        "listeners.tls.small.max_connections=1",
        "listeners.tls.large.bind=127.0.0.1:0",
    ]);
    let open = |name: &str| {
        let config = client(&self_signed(&broker), None);
        Tls::open(broker.listener(name), config)
    };
    let first = open("tls:small").expect("one has room");
    let (_first, _) = Client::accepted_over(first, &Connect::new("first"));
    assert!(open("tls:small").is_err());
    let other = open("tls:large").expect("the other listener has room");
    Client::accepted_over(other, &Connect::new("other"));
}

fn refused(sets: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    match Broker::try_start(directory.path(), sets) {
        Ok(_) => panic!("the broker must not start"),
        Err(failed) => failed.stderr,
    }
}

#[test]
fn settings_that_cannot_work_are_refused_with_the_remedy() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").expect("the file is written");
    let empty = empty.display();
    let with = |set: String| [set, "listeners.tls.a.bind=127.0.0.1:0".to_owned()];
    for (set, told) in [
        (
            format!("listeners.tls.a.certfile={empty}"),
            &["certfile", "keyfile is missing"][..],
        ),
        (
            "listeners.tls.a.cacertfile=/nonexistent.pem".to_owned(),
            &["cacertfile", "/nonexistent.pem", "cannot be read"],
        ),
        (
            "listeners.tls.a.client_certificate=required".to_owned(),
            &["client_certificate", "cacertfile"],
        ),
        (
            "listeners.tls.a.peer_cert_as_username=cn".to_owned(),
            &["peer_cert_as_username", "client_certificate"],
        ),
        (
            "listeners.tls.a.tls_version_min=1.1".to_owned(),
            &["tls_version_min", "`1.2`"],
        ),
        (
            "listeners.ws.a.path=mqtt".to_owned(),
            &["path", "begin it with `/`"],
        ),
    ] {
        let sets = with(set);
        let text = refused(&sets.each_ref().map(String::as_str));
        for part in told {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let text = refused(&[
        "listeners.tls.a.bind=127.0.0.1:0",
        &format!("listeners.tls.a.certfile={empty}"),
        &format!("listeners.tls.a.keyfile={empty}"),
    ]);
    assert!(
        text.contains("listeners.tls.a") && text.contains("no certificate"),
        "{text}"
    );
}
