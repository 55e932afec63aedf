//! A blocking MQTT client that does what it is told and nothing else: no
//! acknowledgement, no reconnect, no queue of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use robustmq_protocol::codec::{
    self, Ack, Connect as ConnectPacket, ConnectProperties, Decoded, Disconnect,
    DisconnectProperties, Packet, Publish, RetainHandling, Subscribe, SubscribeFilter,
    SubscribeFilters, SubscriptionOptions, Unsubscribe, UnsubscribeFilters, UserProperties,
};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};

/// Largest packet a test expects.
const PACKET_SIZE_MAX: u32 = 4 << 20;

/// How long an answer may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How to connect.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    /// Client Identifier.
    pub client_id: &'a str,
    /// Protocol version.
    pub version: ProtocolVersion,
    /// Clean Start.
    pub clean_start: bool,
    /// Properties (5.0).
    pub properties: ConnectProperties<'a>,
    /// Keep Alive, seconds.
    pub keep_alive_s: u16,
    /// Will Message.
    pub will: Option<codec::Will<'a>>,
}

impl<'a> Connect<'a> {
    /// A clean start of 5.0.
    pub fn new(client_id: &'a str) -> Self {
        Self {
            client_id,
            version: ProtocolVersion::V5,
            clean_start: true,
            properties: ConnectProperties::default(),
            keep_alive_s: 0,
            will: None,
        }
    }

    /// A session that outlives its connection by an hour.
    pub fn persistent(client_id: &'a str) -> Self {
        let properties = ConnectProperties {
            session_expiry_s: Some(3600),
            ..ConnectProperties::default()
        };
        Self {
            clean_start: false,
            properties,
            ..Self::new(client_id)
        }
    }
}

/// A PUBLISH that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Topic Name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// DUP.
    pub dup: bool,
    /// Packet Identifier.
    pub packet_id: Option<PacketId>,
    /// Subscription Identifiers.
    pub identifiers: Vec<u32>,
    /// What is left of the Message Expiry Interval.
    pub message_expiry: Option<u32>,
    /// User properties in order.
    pub user_properties: Vec<(String, String)>,
}

/// What arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// CONNACK: session present, reason, assigned client identifier.
    ConnAck(bool, ReasonCode, Option<String>),
    /// PUBLISH.
    Publish(Message),
    /// PUBACK: identifier, reason, user properties.
    PubAck(PacketId, ReasonCode, Vec<(String, String)>),
    /// PUBREC: likewise.
    PubRec(PacketId, ReasonCode, Vec<(String, String)>),
    /// PUBREL.
    PubRel(PacketId, ReasonCode),
    /// PUBCOMP.
    PubComp(PacketId, ReasonCode),
    /// SUBACK: reasons.
    SubAck(Vec<ReasonCode>),
    /// UNSUBACK: reasons.
    UnsubAck(Vec<ReasonCode>),
    /// PINGRESP.
    PingResp,
    /// DISCONNECT: reason.
    Disconnect(ReasonCode),
    /// The connection is closed.
    Closed,
}

/// What a client speaks MQTT over.
pub trait Wire: Read + Write {
    /// How long a read may take from here on.
    ///
    /// # Errors
    /// What the system says.
    fn set_patience(&mut self, patience: Duration) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

/// A connection.
pub struct Client<W = TcpStream> {
    stream: W,
    input: Vec<u8>,
    version: ProtocolVersion,
}

impl Client {
    /// A TCP connection without CONNECT.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(tcp(address)?))
    }

    /// Connects; gives the CONNACK too.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn connect(address: SocketAddr, connect: &Connect<'_>) -> io::Result<(Self, Received)> {
        Self::connect_over(tcp(address)?, connect)
    }

    /// Connects and expects to be accepted; says whether a session is present.
    ///
    /// # Panics
    /// When it is not.
    pub fn accepted(address: SocketAddr, connect: &Connect<'_>) -> (Self, bool) {
        Self::accepted_over(tcp(address).expect("the broker listens"), connect)
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl<W: Wire> Client<W> {
    fn over(stream: W) -> Self {
        Self {
            stream,
            input: Vec::new(),
            version: ProtocolVersion::V5,
        }
    }

    /// Connects over a stream that was opened in a special way.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn connect_over(stream: W, connect: &Connect<'_>) -> io::Result<(Self, Received)> {
        let mut client = Self::over(stream);
        client.version = connect.version;
        client.send(&Packet::Connect(ConnectPacket {
            version: connect.version,
            clean_start: connect.clean_start,
            keep_alive_s: connect.keep_alive_s,
            client_id: connect.client_id,
            properties: connect.properties,
            will: connect.will,
            user_name: None,
            password: None,
        }))?;
        let answer = client.receive()?;
        Ok((client, answer))
    }

    /// Connects over such a stream and expects to be accepted; says whether a
    /// session is present.
    ///
    /// # Panics
    /// When it is not.
    pub fn accepted_over(stream: W, connect: &Connect<'_>) -> (Self, bool) {
        let answer = Self::connect_over(stream, connect);
        let (client, answer) = answer.expect("the broker answers");
        match answer {
            Received::ConnAck(present, ReasonCode::Success, _) => (client, present),
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        codec::encode(&mut bytes, self.version, packet).map_err(io::Error::other)?;
        self.send_bytes(&bytes)
    }

    /// The socket, for tests that write to it in their own way.
    pub fn stream(&self) -> &W {
        &self.stream
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Publishes without waiting for anything.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn publish(&mut self, publish: &Publish<'_>) -> io::Result<()> {
        self.send(&Packet::Publish(*publish))
    }

    /// Subscribes and waits for SUBACK; messages that come before are dropped.
    ///
    /// # Panics
    /// When there is none.
    pub fn subscribe(&mut self, filter: &str, qos: QoS) -> Vec<ReasonCode> {
        let options = SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        self.subscribe_with(&[SubscribeFilter { filter, options }], None)
    }

    /// Subscribes with all options.
    ///
    /// # Panics
    /// When there is no SUBACK.
    pub fn subscribe_with(
        &mut self,
        filters: &[SubscribeFilter<'_>],
        subscription_id: Option<u32>,
    ) -> Vec<ReasonCode> {
        self.send_subscribe(filters, subscription_id, UserProperties::default())
    }

    /// Subscribes with user properties.
    ///
    /// # Panics
    /// When there is no SUBACK.
    pub fn subscribe_wishing(
        &mut self,
        filter: &str,
        qos: QoS,
        wishes: &[(&str, &str)],
    ) -> Vec<ReasonCode> {
        let options = SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let filters = [SubscribeFilter { filter, options }];
        self.send_subscribe(&filters, None, UserProperties::from(wishes))
    }

    fn send_subscribe(
        &mut self,
        filters: &[SubscribeFilter<'_>],
        subscription_id: Option<u32>,
        user_properties: UserProperties<'_>,
    ) -> Vec<ReasonCode> {
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: PacketId::MAX,
            subscription_id,
            user_properties,
            filters: SubscribeFilters::from(filters),
        }))
        .expect("SUBSCRIBE is sent");
        loop {
            match self.receive().expect("the broker answers") {
                Received::SubAck(reasons) => return reasons,
                Received::Publish(_) => {}
                other => panic!("no SUBACK: {other:?}"),
            }
        }
    }

    /// Unsubscribes and waits for UNSUBACK.
    ///
    /// # Panics
    /// When there is none.
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Vec<ReasonCode> {
        self.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id: PacketId::MAX,
            user_properties: UserProperties::default(),
            filters: UnsubscribeFilters::from(filters),
        }))
        .expect("UNSUBSCRIBE is sent");
        match self.receive().expect("the broker answers") {
            Received::UnsubAck(reasons) => reasons,
            other => panic!("no UNSUBACK: {other:?}"),
        }
    }

    /// Sends an acknowledgement.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn ack(
        &mut self,
        kind: fn(Ack<'static>) -> Packet<'static>,
        packet_id: PacketId,
    ) -> io::Result<()> {
        self.send(&kind(Ack::new(packet_id, ReasonCode::Success)))
    }

    /// Says DISCONNECT.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn disconnect(mut self, reason: ReasonCode) -> io::Result<()> {
        let properties = DisconnectProperties::default();
        self.send(&Packet::Disconnect(Disconnect { reason, properties }))
    }

    /// The next packet; `Closed` at the end of the connection.
    ///
    /// # Errors
    /// When nothing comes in time, or what comes is no packet.
    pub fn receive(&mut self) -> io::Result<Received> {
        match self.poll(PATIENCE)? {
            Some(received) => Ok(received),
            None => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }

    /// The next packet, if one comes within `patience`.
    ///
    /// # Errors
    /// When what comes is no packet.
    pub fn poll(&mut self, patience: Duration) -> io::Result<Option<Received>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some((received, len)) = self.decode()? {
                self.input.drain(..len);
                return Ok(Some(received));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_patience(left)?;
            let mut buffer = [0u8; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Some(Received::Closed)),
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                            | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(Some(Received::Closed));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn decode(&self) -> io::Result<Option<(Received, usize)>> {
        match codec::decode(&self.input, self.version, PACKET_SIZE_MAX) {
            Ok(Decoded::Incomplete { .. }) => Ok(None),
            Ok(Decoded::Packet { packet, len }) => Ok(Some((received(&packet), len))),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

fn received(packet: &Packet<'_>) -> Received {
    let properties = |ack: &Ack<'_>| owned(ack.properties.user_properties.iter());
    match packet {
        Packet::ConnAck(connack) => Received::ConnAck(
            connack.session_present,
            connack.reason,
            connack.properties.assigned_client_id.map(str::to_owned),
        ),
        Packet::Publish(publish) => Received::Publish(message(publish)),
        Packet::PubAck(ack) => Received::PubAck(ack.packet_id, ack.reason, properties(ack)),
        Packet::PubRec(ack) => Received::PubRec(ack.packet_id, ack.reason, properties(ack)),
        Packet::PubRel(ack) => Received::PubRel(ack.packet_id, ack.reason),
        Packet::PubComp(ack) => Received::PubComp(ack.packet_id, ack.reason),
        Packet::SubAck(ack) => Received::SubAck(ack.reasons.iter().collect()),
        Packet::UnsubAck(ack) => Received::UnsubAck(ack.reasons.iter().collect()),
        Packet::PingResp => Received::PingResp,
        Packet::Disconnect(disconnect) => Received::Disconnect(disconnect.reason),
        other => panic!("a broker does not send {other:?}"),
    }
}

fn message(publish: &Publish<'_>) -> Message {
    Message {
        topic: publish.topic.to_owned(),
        payload: publish.payload.to_vec(),
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        packet_id: publish.packet_id,
        identifiers: publish.properties.subscription_ids.iter().collect(),
        message_expiry: publish.properties.message_expiry,
        user_properties: owned(publish.properties.forwarded.user_properties()),
    }
}

fn owned<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
