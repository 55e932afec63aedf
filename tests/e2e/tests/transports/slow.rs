//! Clients that connect slowly or only half, and those who must not suffer
//! from them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use robustmq_e2e::{Broker, Client, Connect, Http, Wire};

use crate::certificates::{client, self_signed};
use crate::wires::{self, PATIENCE, Quic};

/// More than there are places.
const SLOW: usize = 12;

/// Every kind of listener, with few places, each of which can be lost after a
/// second.
fn narrow(kinds: &[&str]) -> Broker {
    let mut sets = Vec::new();
    for kind in kinds {
        for set in [
            "bind=127.0.0.1:0",
            "max_handshakes=3",
            "handshake_timeout=4s",
        ] {
            sets.push(format!("listeners.{kind}.default.{set}"));
        }
    }
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    Broker::start(&sets)
}

/// Connections that say this and then nothing.
fn half(address: SocketAddr, said: &[u8]) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(said).expect("it is sent");
        stream
    };
    (0..SLOW).map(open).collect()
}

/// A client that does as it should gets in all the same.
fn gets_in<W: Wire>(wire: impl FnOnce() -> W) {
    let start = Instant::now();
    let (_client, _) = Client::accepted_over(wire(), &Connect::new("quick"));
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

/// All of them are cut off in the end.
fn cut_off(slow: Vec<TcpStream>) {
    for mut stream in slow {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            let timed_out = error.kind() == std::io::ErrorKind::WouldBlock;
            assert!(!timed_out, "a slow client is still connected");
        }
    }
}

#[test]
fn silent_clients_do_not_keep_others_from_tcp() {
    let broker = narrow(&["tcp"]);
    let slow = half(broker.address(), b"\x10\x20\x00\x04MQ");
    gets_in(|| TcpStream::connect(broker.address()).expect("a connection"));
    drop(slow);
}

#[test]
fn half_a_tls_handshake_does_not_keep_others_out() {
    let broker = narrow(&["tls"]);
    let address = broker.listener("tls:default");
    // The beginning of a ClientHello that announces more.
    let mut slow = half(address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    slow.extend(half(address, b""));
    gets_in(|| wires::tls(&broker));
    cut_off(slow);
    assert!(counted(&broker, "robustmq_handshakes_displaced") > 0);
    assert!(counted(&broker, "robustmq_handshakes_failed") > 0);
}

fn counted(broker: &Broker, name: &str) -> u64 {
    let http = Http::new(broker.http(), Some(&broker.api_key()));
    let answer = http.get("/metrics");
    let text = answer.text();
    let mut values = text.lines().filter(|line| line.starts_with(name));
    let value = values.next().and_then(|line| line.rsplit(' ').next());
    let value = value.and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no {name}: {text}"))
}

#[test]
fn half_an_upgrade_does_not_keep_others_out() {
    let broker = narrow(&["ws"]);
    let address = broker.listener("ws:default");
    let slow = half(address, b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: ");
    gets_in(|| wires::ws(&broker));
    cut_off(slow);
}

#[test]
fn half_a_websocket_over_tls_does_not_keep_others_out() {
    let broker = narrow(&["wss"]);
    let config = client(&self_signed(&broker), None);
    let address = broker.listener("wss:default");
    let open = |_| wires::Tls::open(address, config.clone());
    // Some of them have lost their place already.
    let slow: Vec<_> = (0..SLOW).map(open).collect();
    gets_in(|| wires::wss(&broker));
    drop(slow);
}

#[test]
fn quic_connections_without_a_stream_do_not_keep_others_out() {
    let broker = narrow(&["quic"]);
    let config = client(&self_signed(&broker), None);
    let address = broker.listener("quic:default");
    let open = |_| Quic::connect(address, config.clone(), b"mqtt");
    let slow: Vec<_> = (0..SLOW).map(open).collect();
    gets_in(|| wires::quic(&broker));
    drop(slow);
}

#[test]
fn a_client_that_sends_byte_by_byte_has_the_same_time_as_others() {
    let broker = Broker::start(&[
        "listeners.tls.default.bind=127.0.0.1:0",
        "listeners.tls.default.handshake_timeout=500ms",
        "listeners.ws.default.bind=127.0.0.1:0",
        "listeners.ws.default.handshake_timeout=500ms",
    ]);
    for name in ["tls:default", "ws:default"] {
        let mut stream = TcpStream::connect(broker.listener(name)).expect("a connection");
        let start = Instant::now();
        // A record that never ends; a head that never ends.
        let bytes = [&b"\x16\x03\x01\x3f\xff"[..], b"GET /mqtt HTTP/1.1\r\nA: "];
        let bytes = bytes[usize::from(name == "ws:default")];
        let endless = bytes.iter().chain(std::iter::repeat(&b'a'));
        for byte in endless {
            if stream.write_all(&[*byte]).is_err() {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{name}: it may go on for ever");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn each_listener_has_its_own_time_for_connect() {
    let broker = Broker::start(&[
        "listeners.tls.default.bind=127.0.0.1:0",
        "listeners.tls.default.idle_timeout=300ms",
    ]);
    let mut wire = wires::tls(&broker);
    let mut rest = Vec::new();
    wire.set_patience(PATIENCE).expect("a socket");
    wire.read_to_end(&mut rest).expect("an orderly end");
    assert_eq!(rest, b"");
}
