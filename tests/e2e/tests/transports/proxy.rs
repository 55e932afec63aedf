//! Listeners behind a proxy.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use robustmq_e2e::{Broker, Client, Connect, Received};
use robustmq_protocol::ReasonCode;

use crate::wires::{PATIENCE, Ws};

const TEXT: &[u8] = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 1883\r\n";
const BINARY: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x7f\x00\x00\x01\x12\x67\x07\x5b";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

fn broker(more: &[&str]) -> Broker {
    let sets = [
        "listeners.tcp.default.proxy_protocol=true",
        "listeners.ws.default.bind=127.0.0.1:0",
        "listeners.ws.default.proxy_protocol=true",
        "log.level=debug",
    ];
    Broker::start(&[&sets, more].concat())
}

fn open(address: SocketAddr, header: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(header).expect("it is sent");
    stream
}

fn answer(address: SocketAddr, header: &[u8]) -> io::Result<Received> {
    let connect = Connect::new("c");
    Client::connect_over(open(address, header), &connect).map(|(_, answer)| answer)
}

#[test]
fn the_address_that_the_proxy_names_is_the_clients() {
    // Not from this machine, says the proxy: then nobody anonymous.
    let strict = broker(&[]);
    let denied = Some(Received::ConnAck(false, ReasonCode::NotAuthorized, None));
    assert_eq!(answer(strict.address(), TEXT).ok(), denied);
    assert_eq!(answer(strict.address(), BINARY).ok(), denied);
    let accepted = Some(Received::ConnAck(false, ReasonCode::Success, None));
    assert_eq!(answer(strict.address(), LOCAL).ok(), accepted);

    let mut open_to_all = broker(&["auth.anonymous=everywhere"]);
    assert_eq!(answer(open_to_all.address(), TEXT).ok(), accepted);
    assert_eq!(answer(open_to_all.address(), BINARY).ok(), accepted);
    let address = open_to_all.listener("ws:default");
    let wire = Ws::open(open(address, BINARY), address);
    Client::accepted_over(wire, &Connect::new("over-ws"));
    open_to_all.stop();
    let log = open_to_all.log();
    assert!(log.matches("peer=192.0.2.7:4711").count() >= 3, "{log}");
}

#[test]
fn connections_without_the_header_are_closed() {
    let broker = broker(&[]);
    for header in [&b""[..], b"PROXY TCP4 nonsense\r\n", &BINARY[..13]] {
        assert!(
            !matches!(answer(broker.address(), header), Ok(Received::ConnAck(..))),
            "{header:?}"
        );
    }
    let mut stream = open(broker.address(), b"GET / HTTP/1.1\r\n\r\n");
    let mut rest = Vec::new();
    // Reset or not: nothing is said.
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
}
