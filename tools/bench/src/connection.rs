//! One connection: bytes in and out, without waiting.
//!
//! **Invariants**
//! 1. Packets are written whole, one behind the other: whichever of control
//!    packets and publishes was begun is written first.
//! 2. Acknowledgements of all that one read has brought leave with one write.

use std::io::{self, ErrorKind};
use std::net::TcpStream;

use robustmq_protocol::{ProtocolVersion, QoS};

use crate::clock::now_ns;
use crate::greeting::{self, Answer};
use crate::plan::ConnectionPlan;
use crate::sender::Sender;
use crate::sequence::Sequences;
use crate::stream::Stream;
use crate::tally::Tally;
use crate::wire::{self, Frame, Stamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// CONNECT is on its way.
    Greeting,
    /// SUBSCRIBE is on its way.
    Subscribing,
    Ready,
    /// DISCONNECT is on its way, and the broker is to close.
    Closing,
}

/// The time that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
}

impl Span {
    pub(crate) fn contains(&self, ns: u64) -> bool {
        (self.start_ns..self.end_ns).contains(&ns)
    }
}

/// Why a connection is over.
#[derive(Debug)]
pub(crate) enum Ended {
    Closed,
    Failed(String),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<wire::Broken> for Ended {
    fn from(broken: wire::Broken) -> Self {
        Self::Failed(broken.0.to_owned())
    }
}

pub(crate) struct Connection {
    stream: Stream,
    version: ProtocolVersion,
    pub(crate) state: State,
    began_ns: u64,
    hangs_up: bool,
    subscribe: Option<Vec<u8>>,
    wanted: QoS,
    /// The beginning of a packet that has not come whole.
    carry: Vec<u8>,
    control: Vec<u8>,
    control_at: usize,
    pub(crate) sender: Option<Sender>,
    pub(crate) receiver: Option<Sequences>,
    pub(crate) is_readable: bool,
    pub(crate) is_writable: bool,
    /// The broker sends no more: what is left is read to its end.
    pub(crate) is_ending: bool,
    pub(crate) is_queued: bool,
}

impl Connection {
    pub(crate) fn new(
        stream: Stream,
        version: ProtocolVersion,
        plan: &ConnectionPlan,
        [connect, subscribe]: [Option<Vec<u8>>; 2],
        sender: Option<Sender>,
    ) -> Self {
        let receives = plan.subscribe.as_ref();
        Self {
            stream,
            version,
            state: State::Greeting,
            began_ns: now_ns(),
            hangs_up: plan.hangs_up,
            subscribe,
            wanted: receives.map_or(QoS::AtMostOnce, |plan| plan.qos),
            carry: Vec::new(),
            control: connect.unwrap_or_default(),
            control_at: 0,
            sender,
            receiver: receives.map(|plan| Sequences::new(plan.flow_start, plan.flows)),
            is_readable: false,
            is_writable: true,
            is_ending: false,
            is_queued: false,
        }
    }

    /// Reads once, and handles what has come.
    pub(crate) fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        span: Span,
        tally: &mut Tally,
    ) -> Result<(), Ended> {
        let carried = self.carry.len();
        if carried * 2 > buffer.len() && buffer.len() < 2 * wire::PACKET_BYTES_MAX {
            buffer.resize(buffer.len() * 2, 0);
        }
        buffer[..carried].copy_from_slice(&self.carry);
        let space = buffer.len() - carried;
        let count = match self.stream.read(&mut buffer[carried..]) {
            Ok(0) => return Err(Ended::Closed),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_readable = false;
                // A handshake may go on, now that it was answered.
                self.is_writable |= self.stream.keeps();
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // Less than there was room for: the next edge of epoll tells of more.
        self.is_readable = count == space || self.is_ending || self.stream.keeps();
        // The handshake may have been waiting for this.
        self.is_writable |= self.stream.keeps();
        let arrived = &buffer[..carried + count];
        let used = self.handle_input(arrived, span, tally)?;
        self.carry.clear();
        self.carry.extend_from_slice(&arrived[used..]);
        Ok(())
    }

    fn handle_input(
        &mut self,
        bytes: &[u8],
        span: Span,
        tally: &mut Tally,
    ) -> Result<usize, Ended> {
        // One look at the clock for all that one read has brought.
        let now = now_ns();
        let is_measured = span.contains(now);
        let mut used = 0;
        let (received, acknowledged) = (tally.received, tally.acknowledged);
        while let Some(Frame { body_start, end }) = wire::frame(&bytes[used..])? {
            let packet = &bytes[used..used + end];
            let body = &packet[body_start..];
            match packet[0] >> 4 {
                wire::PUBLISH => self.handle_publish(packet[0], body, (now, span), tally)?,
                wire::PUBREL => {
                    let (id, _) = wire::acknowledgement(body).ok_or(TOO_SHORT)?;
                    wire::push_acknowledgement(&mut self.control, wire::PUBCOMP, id);
                }
                kind @ (wire::PUBACK | wire::PUBREC | wire::PUBCOMP) => {
                    self.handle_acknowledgement(kind, body, (now, span), tally)?;
                }
                wire::PINGRESP => {}
                _ => self.handle_answer(packet, now, tally)?,
            }
            used += end;
        }
        if tally.received > received {
            tally.arrival_ns = now;
        }
        if tally.acknowledged > acknowledged {
            tally.acknowledged_ns = now;
        }
        if is_measured {
            tally.measured.received += tally.received - received;
            tally.measured.acknowledged += tally.acknowledged - acknowledged;
        }
        Ok(used)
    }

    fn handle_publish(
        &mut self,
        first: u8,
        body: &[u8],
        (now, span): (u64, Span),
        tally: &mut Tally,
    ) -> Result<(), Ended> {
        let is_v5 = self.version == ProtocolVersion::V5;
        let message = wire::incoming(first, body, is_v5).ok_or(TOO_SHORT)?;
        tally.received += 1;
        match (&mut self.receiver, Stamp::read(message.payload)) {
            (Some(receiver), Some(stamp)) => {
                receiver.take(stamp.flow, stamp.number);
                if stamp.sent_ns >= span.start_ns {
                    tally.latency.record(now.saturating_sub(stamp.sent_ns));
                }
            }
            _ => tally.foreign += 1,
        }
        match message.qos {
            0 => {}
            1 => wire::push_acknowledgement(&mut self.control, wire::PUBACK, message.packet_id),
            _ => wire::push_acknowledgement(&mut self.control, wire::PUBREC, message.packet_id),
        }
        Ok(())
    }

    fn handle_acknowledgement(
        &mut self,
        kind: u8,
        body: &[u8],
        (now, span): (u64, Span),
        tally: &mut Tally,
    ) -> Result<(), Ended> {
        let (id, reason) = wire::acknowledgement(body).ok_or(TOO_SHORT)?;
        let sender = self.sender.as_mut().ok_or(UNEXPECTED)?;
        let window = sender.window.as_mut().ok_or(UNEXPECTED)?;
        let is_refused = reason >= 0x80;
        let sent = match (kind, sender.is_qos2) {
            (wire::PUBACK, false) => window.complete(id),
            (wire::PUBREC, true) if is_refused => window.complete(id),
            (wire::PUBREC, true) => {
                window.release(id).map_err(|_| UNEXPECTED)?;
                wire::push_acknowledgement(&mut self.control, wire::PUBREL, id);
                return Ok(());
            }
            (wire::PUBCOMP, true) => window.complete_released(id),
            _ => return Err(UNEXPECTED.into()),
        };
        let sent_ns = sent.map_err(|_| UNEXPECTED)?;
        if is_refused {
            tally.refused += 1;
            // Nobody gets what the broker has not taken.
            tally.expected -= sender.audience;
            return Ok(());
        }
        tally.acknowledged += 1;
        if sent_ns >= span.start_ns {
            tally.acknowledgement.record(now.saturating_sub(sent_ns));
        }
        Ok(())
    }

    fn handle_answer(&mut self, packet: &[u8], now: u64, tally: &mut Tally) -> Result<(), Ended> {
        let answer = greeting::answer(self.version, packet, self.wanted);
        match (self.state, packet[0] >> 4, answer) {
            (State::Greeting, wire::CONNACK, Answer::Accepted { receive_max }) => {
                self.limit_window(receive_max, tally);
                match self.subscribe.take() {
                    Some(packet) => {
                        self.control.extend_from_slice(&packet);
                        self.state = State::Subscribing;
                    }
                    None => self.become_ready(now, tally),
                }
                Ok(())
            }
            (State::Subscribing, wire::SUBACK, Answer::Granted) => {
                self.become_ready(now, tally);
                Ok(())
            }
            (_, _, Answer::Refused(reason)) => Err(Ended::Failed(format!(
                "the broker refuses: {}",
                reason.name()
            ))),
            _ => Err(UNEXPECTED.into()),
        }
    }

    fn limit_window(&mut self, receive_max: Option<u16>, tally: &mut Tally) {
        let window = self
            .sender
            .as_mut()
            .and_then(|sender| sender.window.as_mut());
        let (Some(window), Some(granted)) = (window, receive_max) else {
            return;
        };
        if usize::from(granted) < window.size() {
            window.shrink(granted);
            let least = tally.window_granted.unwrap_or(granted);
            tally.window_granted = Some(least.min(granted));
        }
    }

    fn become_ready(&mut self, now: u64, tally: &mut Tally) {
        tally.opened += 1;
        tally.opened_ns = now;
        tally.opening.record(now.saturating_sub(self.began_ns));
        self.state = State::Ready;
        if self.hangs_up {
            self.hang_up();
        }
    }

    /// Says DISCONNECT.
    pub(crate) fn hang_up(&mut self) {
        if let (State::Ready, Ok(packet)) = (self.state, greeting::disconnect()) {
            self.control.extend_from_slice(&packet);
            self.state = State::Closing;
        }
    }

    /// Something waits to be written.
    pub(crate) fn has_output(&self) -> bool {
        let block = self.sender.as_ref().map(|sender| sender.block.pending());
        self.control_at < self.control.len()
            || block.is_some_and(|bytes| !bytes.is_empty())
            || self.stream.wants_write()
    }

    /// Writes once what waits.
    pub(crate) fn write(&mut self) -> Result<(), Ended> {
        let control = &self.control[self.control_at..];
        let sender = self.sender.as_ref();
        let publishes = sender.map_or(&[][..], |sender| sender.block.pending());
        let publishes_first = sender.is_some_and(|sender| sender.block.is_within_packet());
        let [first, second] = match publishes_first {
            true => [publishes, control],
            false => [control, publishes],
        };
        let (first_len, all) = (first.len(), first.len() + second.len());
        let written = self.stream.write([first, second]);
        let count = match written {
            Ok(count) => count,
            Err(error) => match error.kind() {
                // Also before the connection is there.
                ErrorKind::WouldBlock | ErrorKind::NotConnected => {
                    self.is_writable = false;
                    return Ok(());
                }
                ErrorKind::Interrupted => return Ok(()),
                _ => return Err(error.into()),
            },
        };
        // TLS takes a piece at a time; only what it cannot pass on waits for an edge.
        let took_all = count == all || self.stream.keeps();
        self.is_writable = took_all && !self.stream.wants_write();
        let parts = [count.min(first_len), count.saturating_sub(first_len)];
        let [publishes, control] = match publishes_first {
            true => parts,
            false => [parts[1], parts[0]],
        };
        if let Some(sender) = &mut self.sender {
            sender.block.consume(publishes);
        }
        self.control_at += control;
        if self.control_at == self.control.len() {
            self.control.clear();
            self.control_at = 0;
        }
        Ok(())
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.socket()
    }
}

const TOO_SHORT: wire::Broken = wire::Broken("a packet ends too early");
const UNEXPECTED: wire::Broken = wire::Broken("the broker sends a packet that answers nothing");
