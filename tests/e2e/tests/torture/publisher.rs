//! A publisher that keeps its side of the protocol over any number of broken
//! connections.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use robustmq_e2e::{Client, Connect, Received};
use robustmq_protocol::codec::{Ack, Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};

use crate::{Choices, Run};

/// Publishes under way.
const WINDOW: usize = 8;

/// What one publisher has had acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Numbers acknowledged with PUBACK.
    pub(crate) qos1: Vec<u64>,
    /// Numbers whose exchange is complete.
    pub(crate) qos2: Vec<u64>,
    /// The last retained number acknowledged.
    pub(crate) retained_last: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Qos1,
    Qos2,
    Retained,
}

struct Pending {
    packet_id: PacketId,
    kind: Kind,
    number: u64,
    sent: bool,
    received: bool,
}

pub(crate) struct Publisher {
    number: u32,
    address: SocketAddr,
    choices: Choices,
    pending: VecDeque<Pending>,
    next_id: u16,
    next_numbers: [u64; 3],
    published: Published,
}

pub(crate) fn topic(publisher: u32, qos: QoS) -> String {
    format!("t/{publisher}/{}", qos as u8)
}

pub(crate) fn retained_topic(publisher: u32) -> String {
    format!("r/{publisher}")
}

pub(crate) fn packet<'a>(
    topic: &'a str,
    qos: QoS,
    packet_id: u16,
    dup: bool,
    payload: &'a [u8],
) -> Publish<'a> {
    Publish {
        dup,
        qos,
        retain: false,
        topic,
        packet_id: PacketId::new(packet_id),
        properties: PublishProperties::default(),
        payload,
    }
}

impl Publisher {
    pub(crate) fn new(number: u32, address: SocketAddr, choices: Choices) -> Self {
        Self {
            number,
            address,
            choices,
            pending: VecDeque::new(),
            next_id: 0,
            next_numbers: [0; 3],
            published: Published::default(),
        }
    }

    pub(crate) fn run(mut self, run: &Run) -> Published {
        let client_id = format!("pub-{}", self.number);
        let mut first = true;
        while !(run.finish.load(Ordering::Acquire) && self.pending.is_empty()) {
            let connected = Client::connect(self.address, &Connect::persistent(&client_id));
            let Ok((mut client, answer)) = connected else {
                continue;
            };
            let Received::ConnAck(present, ReasonCode::Success, _) = answer else {
                continue;
            };
            assert!(present || first, "the session of {client_id} is gone");
            first = false;
            // Broken by the next kill: what is pending is sent again.
            let _ = self.serve(&mut client, run);
        }
        self.published
    }

    fn serve(&mut self, client: &mut Client, run: &Run) -> io::Result<()> {
        for pending in &mut self.pending {
            if pending.received {
                client.send(&Packet::PubRel(Ack::new(
                    pending.packet_id,
                    ReasonCode::Success,
                )))?;
            } else {
                let dup = pending.sent;
                send(client, self.number, pending, dup)?;
                pending.sent = true;
            }
        }
        loop {
            let finishing = run.finish.load(Ordering::Acquire);
            if finishing && self.pending.is_empty() {
                return Ok(());
            }
            while !finishing && self.pending.len() < WINDOW {
                let mut pending = self.next();
                let result = send(client, self.number, &pending, false);
                pending.sent = true;
                self.pending.push_back(pending);
                result?;
            }
            match client.poll(Duration::from_secs(30))? {
                Some(Received::PubAck(packet_id, reason, _)) => {
                    assert!(!reason.is_error(), "{reason:?}");
                    self.done(packet_id, run);
                }
                Some(Received::PubRec(packet_id, reason, _)) => {
                    assert!(!reason.is_error(), "{reason:?}");
                    for pending in self.pending.iter_mut().filter(|p| p.packet_id == packet_id) {
                        pending.received = true;
                    }
                    client.send(&Packet::PubRel(Ack::new(packet_id, ReasonCode::Success)))?;
                }
                Some(Received::PubComp(packet_id, _)) => self.done(packet_id, run),
                Some(Received::Closed) => return Err(io::ErrorKind::ConnectionReset.into()),
                Some(other) => panic!("a publisher got {other:?}"),
                None => panic!("the broker is silent"),
            }
        }
    }

    fn next(&mut self) -> Pending {
        let kind = match self.choices.below(5) {
            0 => Kind::Retained,
            1 | 2 => Kind::Qos2,
            _ => Kind::Qos1,
        };
        // One retained message under way: then the last acknowledged is the last.
        let busy = self
            .pending
            .iter()
            .any(|pending| pending.kind == Kind::Retained);
        let kind = if kind == Kind::Retained && busy {
            Kind::Qos1
        } else {
            kind
        };
        let packet_id = loop {
            self.next_id = self.next_id.wrapping_add(1);
            let Some(packet_id) = PacketId::new(self.next_id) else {
                continue;
            };
            if !self
                .pending
                .iter()
                .any(|pending| pending.packet_id == packet_id)
            {
                break packet_id;
            }
        };
        let number = self.next_numbers[kind as usize];
        self.next_numbers[kind as usize] += 1;
        Pending {
            packet_id,
            kind,
            number,
            sent: false,
            received: false,
        }
    }

    fn done(&mut self, packet_id: PacketId, run: &Run) {
        let place = self
            .pending
            .iter()
            .position(|pending| pending.packet_id == packet_id);
        let Some(pending) = place.and_then(|place| self.pending.remove(place)) else {
            return;
        };
        match pending.kind {
            Kind::Qos1 => self.published.qos1.push(pending.number),
            Kind::Qos2 => self.published.qos2.push(pending.number),
            Kind::Retained => self.published.retained_last = Some(pending.number),
        }
        run.acked.fetch_add(1, Ordering::AcqRel);
    }
}

fn send(client: &mut Client, publisher: u32, pending: &Pending, dup: bool) -> io::Result<()> {
    let (topic, qos) = match pending.kind {
        Kind::Qos1 => (topic(publisher, QoS::AtLeastOnce), QoS::AtLeastOnce),
        Kind::Qos2 => (topic(publisher, QoS::ExactlyOnce), QoS::ExactlyOnce),
        Kind::Retained => (retained_topic(publisher), QoS::AtLeastOnce),
    };
    let payload = pending.number.to_string();
    let retain = pending.kind == Kind::Retained;
    let publish = packet(
        &topic,
        qos,
        pending.packet_id.get(),
        dup,
        payload.as_bytes(),
    );
    client.publish(&Publish { retain, ..publish })
}
