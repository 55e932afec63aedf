//! The WebSocket upgrade and frames, made by hand.

use std::io::{Read, Write};
use std::net::TcpStream;

use robustmq_e2e::{Broker, Client, Connect};

use crate::wires::{self, PATIENCE};

/// MQTT 3.1.1, client identifier `c`.
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";
const PINGREQ: &[u8] = b"\xC0\x00";
const PINGRESP: &[u8] = b"\xD0\x00";
const DISCONNECT: &[u8] = b"\xE0\x00";

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

fn broker() -> Broker {
    Broker::start(&["listeners.ws.default.bind=127.0.0.1:0"])
}

fn request(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// A frame with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// A socket that was upgraded by hand.
struct Raw(TcpStream);

impl Raw {
    fn connect(broker: &Broker) -> Self {
        let stream = TcpStream::connect(broker.listener("ws:default")).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self(stream)
    }

    fn upgraded(broker: &Broker) -> Self {
        let mut raw = Self::connect(broker);
        let head = raw.ask(&request("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n"));
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the broker reads");
    }

    /// Sends a request; gives the head of the answer.
    fn ask(&mut self, request: &str) -> String {
        self.send(request.as_bytes());
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        String::from_utf8(head).expect("text")
    }

    /// The next frame: its first byte and its payload.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).expect("a frame");
        assert!(head[1] < 126, "short and without a mask");
        let mut payload = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut payload).expect("its payload");
        (head[0], payload)
    }

    /// What the broker sends until these bytes of MQTT are there.
    fn expect(&mut self, bytes: &[u8]) {
        let mut seen = Vec::new();
        while seen.len() < bytes.len() {
            let (first, payload) = self.frame();
            assert_eq!(first, FINAL | BINARY);
            seen.extend(payload);
        }
        assert_eq!(seen, bytes);
    }

    /// The code of the close frame that comes next; nothing comes behind it.
    fn closed(&mut self) -> u16 {
        let (first, payload) = self.frame();
        assert_eq!(first, FINAL | CLOSE);
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        let mut rest = Vec::new();
        // Reset or not: it is over.
        let _ = self.0.read_to_end(&mut rest);
        assert_eq!(rest, b"");
        code
    }
}

#[test]
fn packets_may_be_split_over_messages_frames_and_reads_in_any_way() {
    let broker = broker();
    let packets = [CONNECT, PINGREQ, PINGREQ].concat();
    let answers = [CONNACK, PINGRESP, PINGRESP].concat();
    // Every byte a message of its own.
    let messages: Vec<u8> = packets
        .iter()
        .flat_map(|byte| frame(FINAL | BINARY, &[*byte]))
        .collect();
    // Every byte a frame of one message, with empty ones and a ping between.
    let mut fragments = frame(BINARY, &[]);
    for byte in &packets {
        fragments.extend(frame(CONTINUATION, &[*byte]));
        fragments.extend(frame(CONTINUATION, &[]));
    }
    fragments.extend(frame(FINAL | CONTINUATION, &[]));
    let together = frame(FINAL | BINARY, &packets);
    for bytes in [&messages, &fragments, &together] {
        let mut raw = Raw::upgraded(&broker);
        for byte in bytes {
            raw.send(&[*byte]);
        }
        raw.expect(&answers);
        let mut raw = Raw::upgraded(&broker);
        raw.send(bytes);
        raw.expect(&answers);
    }
}

#[test]
fn a_ping_is_answered_also_between_fragments() {
    let broker = broker();
    let mut raw = Raw::upgraded(&broker);
    let (start, end) = CONNECT.split_at(5);
    raw.send(&frame(BINARY, start));
    raw.send(&frame(FINAL | PING, b"are you there"));
    assert_eq!(raw.frame(), (FINAL | PONG, b"are you there".to_vec()));
    raw.send(&frame(FINAL | PONG, b"unasked"));
    raw.send(&frame(FINAL | CONTINUATION, end));
    raw.expect(CONNACK);
}

#[test]
fn frames_that_must_not_be_end_the_connection_with_the_reason() {
    const PROTOCOL_ERROR: u16 = 1002;
    const UNSUPPORTED: u16 = 1003;
    let broker = broker();
    let unmasked = [&[FINAL | BINARY, CONNECT.len() as u8], CONNECT].concat();
    for (bytes, code) in [
        (frame(FINAL | TEXT, CONNECT), UNSUPPORTED),
        (frame(FINAL | TEXT, b"\xff\xff"), UNSUPPORTED),
        (unmasked, PROTOCOL_ERROR),
        (frame(FINAL | CONTINUATION, CONNECT), PROTOCOL_ERROR),
        (frame(FINAL | 3, CONNECT), PROTOCOL_ERROR),
        (frame(FINAL | 0x40 | BINARY, CONNECT), PROTOCOL_ERROR),
        (frame(PING, b""), PROTOCOL_ERROR),
    ] {
        let mut raw = Raw::upgraded(&broker);
        raw.send(&bytes);
        assert_eq!(raw.closed(), code, "{bytes:?}");
        // Likewise when the client is known.
        let mut raw = Raw::upgraded(&broker);
        raw.send(&frame(FINAL | BINARY, CONNECT));
        raw.expect(CONNACK);
        raw.send(&bytes);
        assert_eq!(raw.closed(), code, "{bytes:?}");
    }
}

#[test]
fn messages_are_bounded_more_narrowly_before_connect() {
    const TOO_LARGE: u16 = 1009;
    let broker = Broker::start(&[
        "listeners.ws.default.bind=127.0.0.1:0",
        "limits.connect_bytes_max=4KB",
    ]);
    let mut raw = Raw::upgraded(&broker);
    // Its length alone is too much.
    raw.send(&frame(FINAL | BINARY, &[0; 5_000])[..14]);
    assert_eq!(raw.closed(), TOO_LARGE);
    let mut raw = Raw::upgraded(&broker);
    // The last of these fragments is too much.
    let mut fragments = frame(BINARY, &CONNECT[..3]);
    for _ in 0..41 {
        fragments.extend(frame(CONTINUATION, &[0; 100]));
    }
    raw.send(&fragments);
    assert_eq!(raw.closed(), TOO_LARGE);
    let mut raw = Raw::upgraded(&broker);
    raw.send(&frame(FINAL | BINARY, CONNECT));
    raw.expect(CONNACK);
    let pings: Vec<u8> = PINGREQ.repeat(5_000);
    raw.send(&frame(FINAL | BINARY, &pings));
    let mut first = [0];
    raw.0.read_exact(&mut first).expect("answers come");
    assert_eq!(first, [FINAL | BINARY]);
    let mut raw = Raw::upgraded(&broker);
    raw.send(&frame(FINAL | BINARY, CONNECT));
    raw.expect(CONNACK);
    raw.send(&frame(FINAL | BINARY, &[0; 3 << 20])[..14]);
    assert_eq!(raw.closed(), TOO_LARGE);
}

#[test]
fn the_subprotocol_is_one_of_mqtts() {
    let broker = broker();
    for (offers, chosen) in [
        ("Sec-WebSocket-Protocol: mqtt\r\n", "mqtt"),
        ("Sec-WebSocket-Protocol: mqttv3.1\r\n", "mqttv3.1"),
        (
            "Sec-WebSocket-Protocol: chat, mqttv3.1 ,mqtt\r\n",
            "mqttv3.1",
        ),
        (
            "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: mqtt\r\n",
            "mqtt",
        ),
    ] {
        let head = Raw::connect(&broker).ask(&request("/mqtt", offers));
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let line = format!("sec-websocket-protocol: {chosen}\r\n");
        assert!(head.to_ascii_lowercase().contains(&line), "{head}");
    }
    for offers in ["", "Sec-WebSocket-Protocol: mqtt5\r\n"] {
        let head = Raw::connect(&broker).ask(&request("/mqtt", offers));
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    }
}

#[test]
fn other_requests_are_refused() {
    let broker = broker();
    let good = request("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n");
    let endless = format!("X-Endless: {}\r\n", "x".repeat(9_000));
    for (request, status) in [
        (good.replace("/mqtt", "/"), 404),
        (good.replace("/mqtt", "/mqtt/"), 404),
        (good.replace("GET", "POST"), 400),
        (good.replace("Version: 13", "Version: 8"), 400),
        (good.replace("Upgrade: websocket\r\n", ""), 400),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 404),
        ("\x10\x0d\x00\x04MQTT\r\n\r\n".to_owned(), 400),
        (request("/mqtt", &endless), 431),
    ] {
        let mut raw = Raw::connect(&broker);
        let head = raw.ask(&request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        let mut rest = Vec::new();
        // Reset or not: it is over.
        let _ = raw.0.read_to_end(&mut rest);
    }
    let head = Raw::connect(&broker).ask(&good.replace("/mqtt", "/mqtt?token=x"));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[test]
fn another_path_may_be_configured() {
    let broker = Broker::start(&[
        "listeners.ws.default.bind=127.0.0.1:0",
        "listeners.ws.default.path=/broker/mqtt",
    ]);
    let offer = "Sec-WebSocket-Protocol: mqtt\r\n";
    let head = Raw::connect(&broker).ask(&request("/broker/mqtt", offer));
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let head = Raw::connect(&broker).ask(&request("/mqtt", offer));
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}

#[test]
fn both_sides_say_goodbye_with_close_frames() {
    const NORMAL: u16 = 1000;
    let broker = broker();
    let mut raw = Raw::upgraded(&broker);
    raw.send(&frame(FINAL | BINARY, CONNECT));
    raw.expect(CONNACK);
    raw.send(&frame(FINAL | BINARY, DISCONNECT));
    assert_eq!(raw.closed(), NORMAL);
    let mut raw = Raw::upgraded(&broker);
    raw.send(&frame(FINAL | BINARY, CONNECT));
    raw.expect(CONNACK);
    raw.send(&frame(FINAL | CLOSE, &NORMAL.to_be_bytes()));
    assert_eq!(raw.closed(), NORMAL);
}

#[test]
fn a_connection_that_sent_much_keeps_working() {
    let broker = broker();
    let (mut client, _) = Client::accepted_over(wires::ws(&broker), &Connect::new("c"));
    for _ in 0..10_000 {
        client.send_bytes(PINGREQ).expect("PINGREQ is sent");
        assert!(client.receive().is_ok());
    }
}
