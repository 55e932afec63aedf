//! A client that does exactly what a test tells it: nothing is acknowledged, answered or repeated by itself.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::packet::{
    self, Ack, AckKind, Connect, Packet, Props, Publish, Subscribe, Version, disconnect, hex, parse,
};

/// How long a client waits for what must come. Generous: the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How long a client listens before it says that nothing comes, after a ping has been answered.
pub const QUIET: Duration = Duration::from_millis(60);

/// What a client may hear.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A packet.
    Packet(Packet),
    /// The broker has closed the connection.
    Closed,
    /// Nothing in the time given.
    Nothing,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    version: Version,
    input: Vec<u8>,
    /// Packets that came before one that was waited for.
    early: VecDeque<Packet>,
    id: u16,
}

impl Client {
    /// A TCP connection on which nothing has been said; answers are read as `version`.
    ///
    /// # Panics
    /// If the broker does not accept.
    pub fn open(broker: &Broker, version: Version) -> Self {
        Self::open_at(broker.address(), version).expect("the broker accepts connections")
    }

    /// A TCP connection to an address.
    ///
    /// # Errors
    /// The connection is not accepted.
    pub fn open_at(address: SocketAddr, version: Version) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self::on(stream, version))
    }

    /// A client on a socket that is connected already.
    pub fn on(stream: TcpStream, version: Version) -> Self {
        Self {
            stream,
            version,
            input: Vec::new(),
            early: VecDeque::new(),
            id: 0,
        }
    }

    /// A client with a clean start.
    pub fn v5(broker: &Broker, client_id: &str) -> Self {
        Self::connect(broker, &Connect::v5(client_id)).0
    }

    /// A 3.1.1 client with a clean session.
    pub fn v311(broker: &Broker, client_id: &str) -> Self {
        Self::connect(broker, &Connect::v311(client_id)).0
    }

    /// Connects and expects to be accepted; also gives Session Present and the properties of CONNACK.
    ///
    /// # Panics
    /// If the connection is refused.
    pub fn connect(broker: &Broker, connect: &Connect) -> (Self, bool, Props) {
        let mut client = Self::open(broker, connect.version);
        client.send(&connect.bytes());
        match client.packet() {
            Packet::ConnAck {
                session_present,
                code: 0,
                props,
            } => (client, session_present, props),
            other => panic!("{connect:?} is not accepted: {other:?}"),
        }
    }

    /// Connects a lasting session and says whether it was present.
    pub fn lasting(broker: &Broker, version: Version, client_id: &str) -> (Self, bool) {
        let (client, present, _) = Self::connect(broker, &Connect::lasting(version, client_id));
        (client, present)
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The version it speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// A packet identifier this client has not used.
    pub fn next_id(&mut self) -> u16 {
        self.id = self.id.checked_add(1).unwrap_or(1);
        self.id
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// If the connection is closed.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the broker takes what is sent");
    }

    /// Sends bytes to a broker that may have closed the connection.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a PUBLISH.
    pub fn publish(&mut self, publish: &Publish) {
        self.send(&publish.bytes(self.version));
    }

    /// Sends an acknowledgement.
    pub fn ack(&mut self, kind: AckKind, id: u16) {
        self.send(&packet::ack(kind, id));
    }

    /// What comes within `patience`.
    ///
    /// # Panics
    /// If the broker sends what is no packet.
    pub fn hear(&mut self, patience: Duration) -> Heard {
        if let Some(packet) = self.early.pop_front() {
            return Heard::Packet(packet);
        }
        self.hear_next(patience)
    }

    fn hear_next(&mut self, patience: Duration) -> Heard {
        let end = Instant::now() + patience;
        loop {
            match parse(&self.input, self.version) {
                Ok(Some((packet, length))) => {
                    self.input.drain(..length);
                    return Heard::Packet(packet);
                }
                Ok(None) => {}
                Err(error) => panic!("the broker sent what is no packet: {error}"),
            }
            // A timeout of zero would mean none.
            let left = end
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            self.stream
                .set_read_timeout(Some(left))
                .expect("a timeout can be set");
            let mut chunk = [0; 65_536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Heard::Closed,
                Ok(count) => self.input.extend(&chunk[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if Instant::now() >= end {
                        return Heard::Nothing;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Heard::Closed,
            }
        }
    }

    /// The next packet, which must come.
    ///
    /// # Panics
    /// If none comes.
    pub fn packet(&mut self) -> Packet {
        match self.hear(PATIENCE) {
            Heard::Packet(packet) => packet,
            other => panic!(
                "waited for a packet: {other:?}, half of one: {}",
                hex(&self.input)
            ),
        }
    }

    /// The next PUBLISH, which must be the next packet.
    ///
    /// # Panics
    /// If something else comes.
    pub fn message(&mut self) -> Publish {
        match self.packet() {
            Packet::Publish(publish) => publish,
            other => panic!("waited for a message: {other:?}"),
        }
    }

    /// The next acknowledgement, which must be the next packet and of this kind.
    ///
    /// # Panics
    /// If something else comes.
    pub fn acked(&mut self, kind: AckKind) -> Ack {
        match self.packet() {
            Packet::Ack(ack) if ack.kind == kind => ack,
            other => panic!("waited for {kind:?}: {other:?}"),
        }
    }

    /// The first packet that fits; others that come before are kept for later.
    ///
    /// # Panics
    /// If none comes.
    pub fn wait_for<T>(&mut self, what: &str, fits: impl Fn(&Packet) -> Option<T>) -> T {
        if let Some((at, found)) = self
            .early
            .iter()
            .enumerate()
            .find_map(|(at, packet)| Some((at, fits(packet)?)))
        {
            self.early.remove(at);
            return found;
        }
        loop {
            match self.hear_next(PATIENCE) {
                Heard::Packet(packet) => match fits(&packet) {
                    Some(found) => return found,
                    None => self.early.push_back(packet),
                },
                other => panic!("waited for {what}: {other:?}, before it {:?}", self.early),
            }
        }
    }

    /// Subscribes and gives the reason codes; messages that come before SUBACK are kept for later.
    pub fn subscribe_with(&mut self, subscribe: &Subscribe) -> Vec<u8> {
        self.send(&subscribe.bytes(self.version));
        let id = subscribe.id;
        self.wait_for("SUBACK", |packet| match packet {
            Packet::SubAck { id: at, codes, .. } if *at == id => Some(codes.clone()),
            _ => None,
        })
    }

    /// Subscribes to one filter with options (before 5.0 a QoS), which must be granted as asked.
    ///
    /// # Panics
    /// If it is not.
    pub fn subscribe(&mut self, filter: &str, options: u8) {
        let id = self.next_id();
        let codes = self.subscribe_with(&Subscribe::new(id, filter, options));
        assert_eq!(codes, [options & 3], "SUBACK for {filter:?}");
    }

    /// Unsubscribes and gives the reason codes (none before 5.0).
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let id = self.next_id();
        self.send(&packet::unsubscribe(self.version, id, filters));
        self.wait_for("UNSUBACK", |packet| match packet {
            Packet::UnsubAck { id: at, codes, .. } if *at == id => Some(codes.clone()),
            _ => None,
        })
    }

    /// Publishes with QoS 1 and waits for PUBACK.
    pub fn publish_1(&mut self, topic: &str, payload: impl AsRef<[u8]>) -> Ack {
        let id = self.next_id();
        self.publish_through(Publish::new(topic, payload).qos(1, id))
    }

    /// Publishes with QoS 2 and goes through the whole handshake.
    pub fn publish_2(&mut self, topic: &str, payload: impl AsRef<[u8]>) -> Ack {
        let id = self.next_id();
        self.publish_through(Publish::new(topic, payload).qos(2, id))
    }

    /// Publishes and waits for the end of the handshake; messages to this client are kept for later. Gives
    /// PUBACK or PUBREC.
    ///
    /// # Panics
    /// If the acknowledgement does not come, or QoS is 0.
    pub fn publish_through(&mut self, publish: Publish) -> Ack {
        let id = publish.id;
        self.publish(&publish);
        let kind = if publish.qos == 1 {
            AckKind::PubAck
        } else {
            AckKind::PubRec
        };
        let ack = self.wait_for_ack(kind, id);
        if kind == AckKind::PubRec && ack.code < 0x80 {
            self.ack(AckKind::PubRel, id);
            self.wait_for_ack(AckKind::PubComp, id);
        }
        ack
    }

    /// Waits for an acknowledgement; other packets that come before are kept for later.
    pub fn wait_for_ack(&mut self, kind: AckKind, id: u16) -> Ack {
        self.wait_for("an acknowledgement", |packet| match packet {
            Packet::Ack(ack) if ack.kind == kind && ack.id == id => Some(ack.clone()),
            _ => None,
        })
    }

    /// Receives a message and acknowledges it through the whole handshake of its QoS.
    pub fn take(&mut self) -> Publish {
        let message = self.message();
        match message.qos {
            1 => self.ack(AckKind::PubAck, message.id),
            2 => {
                self.ack(AckKind::PubRec, message.id);
                self.wait_for_ack(AckKind::PubRel, message.id);
                self.ack(AckKind::PubComp, message.id);
            }
            _ => {}
        }
        message
    }

    /// Receives and acknowledges messages and gives their payloads as text.
    pub fn take_texts(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.take().text()).collect()
    }

    /// Sends PINGREQ and waits for PINGRESP; packets before it are kept for later.
    pub fn ping(&mut self) {
        self.send(&[0xc0, 0]);
        self.wait_for("PINGRESP", |packet| {
            matches!(packet, Packet::PingResp).then_some(())
        });
    }

    /// Expects that nothing has been or is being sent to this client: a ping is answered, and silence.
    ///
    /// # Panics
    /// If a packet comes.
    pub fn expect_silence(&mut self) {
        self.ping();
        let heard = self.hear(QUIET);
        assert_eq!(heard, Heard::Nothing, "nothing was to come");
    }

    /// Expects the end of the connection; `Some` reason code means that a DISCONNECT tells it before.
    ///
    /// # Panics
    /// If something else comes.
    pub fn expect_end(&mut self, code: Option<u8>) {
        if let Some(wanted) = code {
            match self.packet() {
                Packet::Disconnect { code, .. } if code == wanted => {}
                other => panic!("waited for DISCONNECT {wanted:#04x}: {other:?}"),
            }
        }
        assert_eq!(
            self.hear(PATIENCE),
            Heard::Closed,
            "the connection was to end"
        );
    }

    /// All bytes that come until the broker closes the connection, as they are: for answers whose version is
    /// in doubt.
    ///
    /// # Panics
    /// If it is not closed.
    pub fn bytes_to_end(&mut self) -> Vec<u8> {
        self.stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout can be set");
        let mut bytes = std::mem::take(&mut self.input);
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
            Err(error) => panic!("waited for the end: {error}, got {}", hex(&bytes)),
        }
    }

    /// Ends the connection with a DISCONNECT of reason code 0 and waits until the broker has closed it.
    pub fn disconnect(self) {
        self.disconnect_with(0, &Props::new());
    }

    /// Ends the connection with a DISCONNECT and waits until the broker has closed it.
    pub fn disconnect_with(mut self, code: u8, props: &Props) {
        self.send(&disconnect(self.version, code, props));
        while let Heard::Packet(_) = self.hear(PATIENCE) {}
    }

    /// Ends the connection without a DISCONNECT. What is on the way to this client is thrown away.
    pub fn cut(self) {
        drop(self);
    }
}
