//! Certificates: the broker's own, those of clients, changed ones.

use std::io;
use std::time::{Duration, Instant};

use robustmq_e2e::{Broker, Client, Connect, Received, Wire};
use robustmq_protocol::ReasonCode;

use crate::certificates::{Authority, Pair, client, client_of_versions, self_signed};
use crate::set;
use crate::wires::{self, PATIENCE, Quic, Tls};

fn with_clients(authority: &Authority, more: &[&str]) -> Broker {
    let mut sets = Vec::new();
    for kind in ["tls", "quic"] {
        let prefix = format!("listeners.{kind}.default");
        sets.push(format!("{prefix}.bind=127.0.0.1:0"));
        sets.push(set(
            &format!("{prefix}.cacertfile"),
            &authority.certificate(),
        ));
        sets.extend(more.iter().map(|more| format!("{prefix}.{more}")));
    }
    sets.push("log.level=debug".to_owned());
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    Broker::start(&sets)
}

/// A connection on which MQTT was answered, as one that shows this certificate.
fn connect(broker: &Broker, shown: Option<&Pair>, id: &str) -> io::Result<Client<Tls>> {
    let config = client(&self_signed(broker), shown);
    let wire = Tls::open(broker.listener("tls:default"), config)?;
    connected(Client::connect_over(wire, &Connect::new(id))?)
}

fn connect_quic(broker: &Broker, shown: Option<&Pair>, id: &str) -> io::Result<Client<Quic>> {
    let config = client(&self_signed(broker), shown);
    let wire = Quic::open(broker.listener("quic:default"), config)?;
    connected(Client::connect_over(wire, &Connect::new(id))?)
}

fn connected<W: Wire>((client, answer): (Client<W>, Received)) -> io::Result<Client<W>> {
    match answer {
        Received::ConnAck(_, ReasonCode::Success, _) => Ok(client),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

#[test]
fn the_brokers_own_certificate_is_made_once_and_said() {
    let mut broker = Broker::start(&["listeners.tls.default.bind=127.0.0.1:0"]);
    let made = std::fs::read(self_signed(&broker)).expect("it is there");
    let key = broker.data().join("tls/self-signed.key");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(key).expect("it is there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    broker.stop();
    assert!(
        broker.log().contains("self-signed certificate"),
        "{}",
        broker.log()
    );
    broker.restart();
    let again = std::fs::read(self_signed(&broker)).expect("it is there");
    assert!(made == again, "it was made again");
    Client::accepted_over(wires::tls(&broker), &Connect::new("c"));
}

#[test]
fn a_required_client_certificate_must_be_one_of_the_authoritys() {
    let authority = Authority::new("authority");
    let broker = with_clients(&authority, &["client_certificate=required"]);
    let good = authority.client("meter");
    let another = Authority::new("another");
    let stranger = another.client("stranger");
    connect(&broker, Some(&good), "c").expect("a good certificate");
    connect_quic(&broker, Some(&good), "c").expect("a good certificate");
    for shown in [None, Some(&stranger)] {
        assert!(connect(&broker, shown, "c").is_err());
        assert!(connect_quic(&broker, shown, "c").is_err());
    }
}

#[test]
fn an_optional_client_certificate_may_be_absent_but_not_bad() {
    let authority = Authority::new("authority");
    let broker = with_clients(
        &authority,
        &["client_certificate=optional", "peer_cert_as_clientid=cn"],
    );
    connect(&broker, None, "c").expect("none is needed");
    connect(&broker, Some(&authority.client("meter")), "c").expect("a good one");
    let another = Authority::new("another");
    let stranger = another.client("stranger");
    assert!(connect(&broker, Some(&stranger), "c").is_err());
}

#[test]
fn a_certificate_names_the_client() {
    let authority = Authority::new("authority");
    let mut broker = with_clients(
        &authority,
        &[
            "client_certificate=required",
            "peer_cert_as_username=dn",
            "peer_cert_as_clientid=cn",
        ],
    );
    let meter = authority.client("meter-7");
    let mut first = connect(&broker, Some(&meter), "one").expect("it may connect");
    // Whatever they call themselves, they are the same client.
    let mut second = connect_quic(&broker, Some(&meter), "two").expect("it may connect");
    let taken = Received::Disconnect(ReasonCode::SessionTakenOver);
    assert_eq!(first.receive().ok(), Some(taken.clone()));
    let (_third, _) = Client::accepted(broker.address(), &Connect::new("meter-7"));
    assert_eq!(second.receive().ok(), Some(taken));
    broker.stop();
    let log = broker.log();
    assert!(log.contains("user_name=\"CN=meter-7\""), "{log}");
}

#[test]
fn versions_below_the_least_are_refused() {
    let broker = Broker::start(&[
        "listeners.tls.any.bind=127.0.0.1:0",
        "listeners.tls.new.bind=127.0.0.1:0",
        "listeners.tls.new.tls_version_min=1.3",
    ]);
    let open = |name: &str, version| {
        let config = client_of_versions(&self_signed(&broker), None, &[version]);
        Tls::open(broker.listener(name), config)
    };
    assert!(open("tls:any", &rustls::version::TLS12).is_ok());
    assert!(open("tls:any", &rustls::version::TLS13).is_ok());
    assert!(open("tls:new", &rustls::version::TLS12).is_err());
    assert!(open("tls:new", &rustls::version::TLS13).is_ok());
}

/// Tries until it succeeds.
fn eventually<T>(what: &str, attempt: impl Fn() -> io::Result<T>) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(found) => return found,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{what}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn changed_certificates_are_taken_over_without_a_restart() {
    let authorities = [Authority::new("before"), Authority::new("after")];
    let [before, after] = &authorities;
    let files = tempfile::tempdir().expect("a temporary directory");
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| files.path().join(name));
    let install = |pair: &Pair| {
        // As a careful program would, and in an order in which they do not fit
        // together for a while.
        for (from, to) in [(&pair.certificate, &chain), (&pair.key, &key)] {
            let unfinished = to.with_extension("unfinished");
            std::fs::copy(from, &unfinished).expect("a copy");
            std::fs::rename(&unfinished, to).expect("it takes its place");
        }
    };
    install(&before.server("broker"));
    let mut sets = Vec::new();
    for kind in ["tls", "quic"] {
        let prefix = format!("listeners.{kind}.default");
        sets.push(format!("{prefix}.bind=127.0.0.1:0"));
        sets.push(format!("{prefix}.cert_check_interval=50ms"));
        sets.push(set(&format!("{prefix}.certfile"), &chain));
        sets.push(set(&format!("{prefix}.keyfile"), &key));
    }
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let mut broker = Broker::start(&sets);
    let open = |trusted: &Authority| {
        let config = client(&trusted.certificate(), None);
        Tls::open(broker.listener("tls:default"), config)
    };
    let open_quic = |trusted: &Authority| {
        let config = client(&trusted.certificate(), None);
        Quic::open(broker.listener("quic:default"), config)
    };
    let (mut old, _) = Client::accepted_over(open(before).expect("the first"), &Connect::new("c"));
    assert!(open(after).is_err());
    install(&after.server("broker"));
    eventually("the new certificate is used", || open(after));
    eventually("by QUIC too", || open_quic(after));
    assert!(open(before).is_err());
    // Files of no use change nothing.
    std::fs::write(&key, "nonsense").expect("the file is written");
    eventually("the broker complains", || {
        let complained = broker.log().contains("cannot be used");
        complained
            .then_some(())
            .ok_or(io::ErrorKind::NotFound.into())
    });
    open(after).expect("the one before is still used");
    // Who was connected before stays connected.
    old.send_bytes(&[0xC0, 0x00]).expect("PINGREQ is sent");
    assert_eq!(old.receive().ok(), Some(Received::PingResp));
    broker.stop();
}
