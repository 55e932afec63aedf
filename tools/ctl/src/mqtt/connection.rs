//! A connection that waits: the tools do one thing at a time.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use robustmq_protocol::codec::{
    self, Ack, Decoded, Disconnect, DisconnectProperties, Packet, Publish,
};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};

use super::options::{ANSWER_PATIENCE, ConnectOptions};
use crate::error::CtlError;

/// Largest packet that is taken: the protocol's own limit.
const PACKET_BYTES_MAX: u32 = codec::PACKET_SIZE_MAX;

/// How long the broker may take to close its side.
const FAREWELL: Duration = Duration::from_secs(1);

/// How much one read asks for.
const READ_BYTES: usize = 64 * 1024;

/// A message that arrived.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) content_type: Option<String>,
    pub(super) user_properties: Vec<(String, String)>,
}

/// What arrived, as far as the tools care.
#[derive(Debug)]
pub(super) enum Incoming {
    Message(Message),
    /// PUBACK, PUBCOMP or a refusing PUBREC: the publish is over. With the offset
    /// token, if one was told.
    Settled {
        packet_id: PacketId,
        reason: ReasonCode,
        text: Option<String>,
        offset: Option<String>,
    },
    SubAck {
        reasons: Vec<ReasonCode>,
        text: Option<String>,
    },
    /// The broker ended the connection, and said why if it could.
    Closed(Option<ReasonCode>),
}

/// A connection to a broker.
pub(super) struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    version: ProtocolVersion,
    keepalive: Option<Duration>,
    written: Instant,
    /// Offsets that PUBREC told, until the PUBCOMP.
    received: Vec<(PacketId, Option<String>)>,
    /// Messages of QoS 2 that were passed on and not released.
    unreleased: Vec<PacketId>,
    pub(super) session_present: bool,
}

impl Connection {
    /// Connects and waits for the broker's consent.
    pub(super) fn open(options: &ConnectOptions) -> Result<Self, CtlError> {
        let address = format!("{}:{}", options.host, options.port);
        let unreachable = |source| CtlError::Unreachable {
            address: address.clone(),
            source,
        };
        let stream = TcpStream::connect(&address).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let mut connection = Self {
            stream,
            input: Vec::new(),
            version: options.protocol(),
            keepalive: (options.keepalive > 0)
                .then(|| Duration::from_secs(options.keepalive.into())),
            written: Instant::now(),
            received: Vec::new(),
            unreleased: Vec::new(),
            session_present: false,
        };
        let client_id = options.client_id();
        connection.send(&Packet::Connect(options.packet(&client_id)))?;
        connection.await_connack()?;
        Ok(connection)
    }

    fn await_connack(&mut self) -> Result<(), CtlError> {
        let deadline = Instant::now() + ANSWER_PATIENCE;
        loop {
            match self.with_packet(Consent::new)? {
                Some(Consent::Accepted { session_present }) => {
                    self.session_present = session_present;
                    return Ok(());
                }
                Some(Consent::Refused(text)) => return Err(CtlError::Refused(text)),
                Some(Consent::Other) => return Err(CtlError::Protocol("no CONNACK".to_owned())),
                None if self.fill(deadline)? => {}
                None => return Err(CtlError::Silent),
            }
        }
    }

    /// Sends a packet.
    pub(super) fn send(&mut self, packet: &Packet<'_>) -> Result<(), CtlError> {
        let mut bytes = Vec::new();
        codec::encode(&mut bytes, self.version, packet)
            .map_err(|error| CtlError::Protocol(error.to_string()))?;
        self.stream.write_all(&bytes).map_err(CtlError::Lost)?;
        self.written = Instant::now();
        Ok(())
    }

    /// Says goodbye.
    pub(super) fn disconnect(mut self) -> Result<(), CtlError> {
        self.send(&Packet::Disconnect(Disconnect {
            reason: ReasonCode::Success,
            properties: DisconnectProperties::default(),
        }))?;
        // Closing with something unread resets the connection, and what the
        // broker has not read by then (the last acknowledgements) is lost.
        let ending = self
            .stream
            .shutdown(Shutdown::Write)
            .and_then(|()| self.stream.set_read_timeout(Some(FAREWELL)));
        if ending.is_ok() {
            // Whatever comes, and however it ends: everything has been said.
            let _ = io::copy(&mut self.stream, &mut io::sink());
        }
        Ok(())
    }

    /// What comes next; none when the deadline is over. Answers what the
    /// protocol wants answered, and keeps the connection alive.
    pub(super) fn receive(&mut self, deadline: Instant) -> Result<Option<Incoming>, CtlError> {
        loop {
            if let Some(event) = self.take()? {
                match event {
                    Event::Tell(incoming) => return Ok(Some(incoming)),
                    Event::Answer(incoming, answer, packet_id) => {
                        self.send(&answer.packet(packet_id))?;
                        match incoming {
                            Some(incoming) => return Ok(Some(incoming)),
                            None => continue,
                        }
                    }
                    Event::Nothing => continue,
                }
            }
            let ping_at = self.keepalive.map(|every| self.written + every / 2);
            if ping_at.is_some_and(|at| at <= Instant::now()) {
                self.send(&Packet::PingReq)?;
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            let until = ping_at.map_or(deadline, |at| at.min(deadline));
            if !self.fill(until)? && self.input.is_empty() && self.is_closed()? {
                return Ok(Some(Incoming::Closed(None)));
            }
        }
    }

    /// Takes one packet off the input.
    fn take(&mut self) -> Result<Option<Event>, CtlError> {
        let mut received = std::mem::take(&mut self.received);
        let mut unreleased = std::mem::take(&mut self.unreleased);
        let event = self.with_packet(|packet| event(packet, &mut received, &mut unreleased));
        self.received = received;
        self.unreleased = unreleased;
        event
    }

    /// Decodes the first packet of the input, if it is whole, and drops it.
    fn with_packet<T>(
        &mut self,
        take: impl FnOnce(&Packet<'_>) -> T,
    ) -> Result<Option<T>, CtlError> {
        let protocol = |error: codec::DecodeError| CtlError::Protocol(error.to_string());
        let decoded = codec::decode(&self.input, self.version, PACKET_BYTES_MAX);
        let (taken, len) = match decoded.map_err(protocol)? {
            Decoded::Incomplete { .. } => return Ok(None),
            Decoded::Packet { packet, len } => (take(&packet), len),
        };
        self.input.drain(..len);
        Ok(Some(taken))
    }

    /// Reads what there is, waiting until the deadline for something; false
    /// when nothing came.
    fn fill(&mut self, deadline: Instant) -> Result<bool, CtlError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let patience = left.max(Duration::from_millis(1));
        self.stream
            .set_read_timeout(Some(patience))
            .map_err(CtlError::Lost)?;
        let mut buffer = vec![0; READ_BYTES];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.input.extend_from_slice(&buffer[..count]);
                Ok(count > 0)
            }
            Err(error) if is_patience(&error) => Ok(false),
            Err(error) => Err(CtlError::Lost(error)),
        }
    }

    fn is_closed(&self) -> Result<bool, CtlError> {
        let mut byte = [0];
        self.stream
            .set_read_timeout(Some(Duration::from_millis(1)))
            .map_err(CtlError::Lost)?;
        match self.stream.peek(&mut byte) {
            Ok(count) => Ok(count == 0),
            Err(error) if is_patience(&error) => Ok(false),
            Err(_) => Ok(true),
        }
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// What a broker says to CONNECT.
enum Consent {
    Accepted { session_present: bool },
    Refused(String),
    Other,
}

impl Consent {
    fn new(packet: &Packet<'_>) -> Self {
        match packet {
            Packet::ConnAck(answer) if answer.reason.is_error() => {
                Self::Refused(worded(answer.reason, answer.properties.reason_string))
            }
            Packet::ConnAck(answer) => Self::Accepted {
                session_present: answer.session_present,
            },
            _ => Self::Other,
        }
    }
}

/// A reason code's name, with what else was said.
pub(super) fn worded(reason: ReasonCode, text: Option<&str>) -> String {
    match text {
        Some(text) => format!("{}: {text}", reason.name()),
        None => reason.name().to_owned(),
    }
}

/// What a packet comes to.
enum Event {
    Tell(Incoming),
    /// Answered first, then told, if there is something to tell.
    Answer(Option<Incoming>, Answer, PacketId),
    Nothing,
}

/// Which packet answers.
#[derive(Clone, Copy)]
enum Answer {
    /// PUBACK.
    Acknowledge,
    /// PUBREC.
    Record,
    /// PUBREL.
    Release,
    /// PUBCOMP.
    Complete,
}

impl Answer {
    fn packet(self, packet_id: PacketId) -> Packet<'static> {
        let ack = Ack::new(packet_id, ReasonCode::Success);
        match self {
            Self::Acknowledge => Packet::PubAck(ack),
            Self::Record => Packet::PubRec(ack),
            Self::Release => Packet::PubRel(ack),
            Self::Complete => Packet::PubComp(ack),
        }
    }
}

fn event(
    packet: &Packet<'_>,
    received: &mut Vec<(PacketId, Option<String>)>,
    unreleased: &mut Vec<PacketId>,
) -> Event {
    match packet {
        Packet::Publish(publish) => arrived(publish, unreleased),
        Packet::PubAck(ack) => Event::Tell(settled(ack, offset(ack))),
        Packet::PubRec(ack) if ack.reason.is_error() => Event::Tell(settled(ack, None)),
        Packet::PubRec(ack) => {
            received.push((ack.packet_id, offset(ack)));
            Event::Answer(None, Answer::Release, ack.packet_id)
        }
        Packet::PubComp(ack) => {
            let place = received.iter().position(|(id, _)| *id == ack.packet_id);
            let offset = place.and_then(|place| received.swap_remove(place).1);
            Event::Tell(settled(ack, offset))
        }
        Packet::PubRel(ack) => {
            unreleased.retain(|id| *id != ack.packet_id);
            Event::Answer(None, Answer::Complete, ack.packet_id)
        }
        Packet::SubAck(answer) => Event::Tell(Incoming::SubAck {
            reasons: answer.reasons.iter().collect(),
            text: answer.properties.reason_string.map(str::to_owned),
        }),
        Packet::Disconnect(said) => Event::Tell(Incoming::Closed(Some(said.reason))),
        _ => Event::Nothing,
    }
}

/// A QoS 2 message that was passed on already is only answered.
fn arrived(publish: &Publish<'_>, unreleased: &mut Vec<PacketId>) -> Event {
    let told = Incoming::Message(message(publish));
    match (publish.qos, publish.packet_id) {
        (QoS::AtLeastOnce, Some(packet_id)) => {
            Event::Answer(Some(told), Answer::Acknowledge, packet_id)
        }
        (QoS::ExactlyOnce, Some(packet_id)) => {
            let is_new = !unreleased.contains(&packet_id);
            if is_new {
                unreleased.push(packet_id);
            }
            Event::Answer(is_new.then_some(told), Answer::Record, packet_id)
        }
        _ => Event::Tell(told),
    }
}

fn settled(ack: &Ack<'_>, offset: Option<String>) -> Incoming {
    Incoming::Settled {
        packet_id: ack.packet_id,
        reason: ack.reason,
        text: ack.properties.reason_string.map(str::to_owned),
        offset,
    }
}

/// The receipt: where the message is stored.
fn offset(ack: &Ack<'_>) -> Option<String> {
    let mut pairs = ack.properties.user_properties.iter();
    pairs
        .find(|(name, _)| *name == "x-offset")
        .map(|(_, value)| value.to_owned())
}

fn message(publish: &Publish<'_>) -> Message {
    let forwarded = &publish.properties.forwarded;
    let pairs = forwarded.user_properties();
    Message {
        topic: publish.topic.to_owned(),
        payload: publish.payload.to_vec(),
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        content_type: forwarded.content_type().map(str::to_owned),
        user_properties: pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    }
}
