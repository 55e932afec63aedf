//! A persistent subscriber that comes and goes, and what it has received.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use robustmq_e2e::{Client, Connect, Message, Received};
use robustmq_protocol::codec::Packet;
use robustmq_protocol::{PacketId, QoS, ReasonCode};

use crate::publisher::{self, Published};
use crate::{Choices, Run, SETTLE};

pub(crate) struct Subscriber {
    client_id: String,
    address: SocketAddr,
    choices: Choices,
    /// QoS 2 messages received and not released.
    unreleased: HashSet<PacketId>,
    received: ReceivedAll,
}

/// Payloads by topic, in the order they were handed to the application.
#[derive(Default)]
pub(crate) struct ReceivedAll {
    client_id: String,
    by_topic: BTreeMap<String, Vec<String>>,
    ends: HashSet<String>,
}

impl Subscriber {
    pub(crate) fn new(number: u32, address: SocketAddr, choices: Choices) -> Self {
        let client_id = format!("sub-{number}");
        let (mut client, present) = Client::accepted(address, &Connect::persistent(&client_id));
        assert!(!present);
        assert_eq!(
            client.subscribe("t/#", QoS::ExactlyOnce),
            [ReasonCode::GrantedQoS2]
        );
        let received = ReceivedAll {
            client_id: client_id.clone(),
            ..ReceivedAll::default()
        };
        Self {
            client_id,
            address,
            choices,
            unreleased: HashSet::new(),
            received,
        }
    }

    pub(crate) fn run(mut self, run: &Run) -> ReceivedAll {
        let topics = crate::PUBLISHERS as usize * 2;
        let mut ending: Option<Instant> = None;
        loop {
            if run.end.load(Ordering::Acquire) {
                let since = *ending.get_or_insert_with(Instant::now);
                if self.received.ends.len() == topics {
                    return self.received;
                }
                let got: Vec<(&String, usize)> = self
                    .received
                    .by_topic
                    .iter()
                    .map(|(topic, all)| (topic, all.len()))
                    .collect();
                assert!(
                    since.elapsed() < SETTLE,
                    "{} waits for the end: {got:?}",
                    self.client_id
                );
            }
            let connected = Client::connect(self.address, &Connect::persistent(&self.client_id));
            let Ok((mut client, answer)) = connected else {
                continue;
            };
            let Received::ConnAck(present, ReasonCode::Success, _) = answer else {
                continue;
            };
            assert!(present, "the session of {} is gone", self.client_id);
            let messages = 1 + self.choices.below(300);
            // Broken by the next kill, or ended on purpose: it comes back.
            let _ = self.serve(&mut client, messages, run);
        }
    }

    fn serve(&mut self, client: &mut Client, messages: u64, run: &Run) -> io::Result<()> {
        let mut left = messages;
        while left > 0 {
            match client.poll(Duration::from_millis(200))? {
                None if run.end.load(Ordering::Acquire) => return Ok(()),
                None => {}
                Some(Received::Closed) => return Err(io::ErrorKind::ConnectionReset.into()),
                Some(Received::Publish(message)) => {
                    left -= 1;
                    self.take(client, message)?;
                }
                Some(Received::PubRel(packet_id, _)) => {
                    self.unreleased.remove(&packet_id);
                    client.ack(Packet::PubComp, packet_id)?;
                }
                Some(other) => panic!("a subscriber got {other:?}"),
            }
        }
        Ok(())
    }

    fn take(&mut self, client: &mut Client, message: Message) -> io::Result<()> {
        match (message.qos, message.packet_id) {
            (QoS::AtLeastOnce, Some(packet_id)) => {
                self.received.add(message);
                client.ack(Packet::PubAck, packet_id)
            }
            (QoS::ExactlyOnce, Some(packet_id)) => {
                if self.unreleased.insert(packet_id) {
                    self.received.add(message);
                }
                client.ack(Packet::PubRec, packet_id)
            }
            other => panic!("not what was published: {other:?}"),
        }
    }
}

impl ReceivedAll {
    fn add(&mut self, message: Message) {
        let payload = String::from_utf8(message.payload).expect("payloads are text");
        if payload == "end" {
            self.ends.insert(message.topic);
        } else {
            self.by_topic
                .entry(message.topic)
                .or_default()
                .push(payload);
        }
    }

    /// The oracle.
    pub(crate) fn check(&self, published: &[Published]) {
        for (number, sent) in published.iter().enumerate() {
            let at_least = self.numbers(number as u32, QoS::AtLeastOnce);
            self.check_complete(
                &at_least,
                &sent.qos1,
                &publisher::topic(number as u32, QoS::AtLeastOnce),
            );
            let mut seen = HashSet::new();
            let firsts: Vec<u64> = at_least
                .into_iter()
                .filter(|value| seen.insert(*value))
                .collect();
            self.check_order(&firsts, number);
            let exactly = self.numbers(number as u32, QoS::ExactlyOnce);
            self.check_complete(
                &exactly,
                &sent.qos2,
                &publisher::topic(number as u32, QoS::ExactlyOnce),
            );
            let distinct: HashSet<&u64> = exactly.iter().collect();
            assert_eq!(
                distinct.len(),
                exactly.len(),
                "{}: QoS 2 of publisher {number} arrived twice",
                self.client_id
            );
            self.check_order(&exactly, number);
        }
    }

    fn numbers(&self, publisher: u32, qos: QoS) -> Vec<u64> {
        let topic = publisher::topic(publisher, qos);
        let all = self.by_topic.get(&topic).map_or(&[][..], Vec::as_slice);
        all.iter()
            .map(|payload| payload.parse().expect("payloads are numbers"))
            .collect()
    }

    fn check_complete(&self, got: &[u64], acked: &[u64], topic: &str) {
        let received = got;
        let got: HashSet<&u64> = got.iter().collect();
        let lost: Vec<&u64> = acked
            .iter()
            .filter(|number| !got.contains(number))
            .collect();
        assert!(
            lost.is_empty(),
            "{}: {topic}: acknowledged but lost: {lost:?}; around them: {:?}",
            self.client_id,
            around(received, &lost)
        );
    }

    fn check_order(&self, numbers: &[u64], publisher: usize) {
        let wrong = numbers.windows(2).find(|pair| pair[0] >= pair[1]);
        assert!(
            wrong.is_none(),
            "{}: publisher {publisher}: out of order at {wrong:?}",
            self.client_id
        );
    }
}

/// What was received around the first that was lost.
fn around<'a>(received: &'a [u64], lost: &[&u64]) -> &'a [u64] {
    let first = lost.first().map_or(0, |first| **first);
    let place = received
        .iter()
        .position(|number| *number > first)
        .unwrap_or(received.len());
    &received[place.saturating_sub(5)..received.len().min(place + 5)]
}
