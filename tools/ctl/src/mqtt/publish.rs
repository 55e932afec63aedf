//! `mqtt publish`.

use std::collections::HashSet;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::time::Instant;

use clap::{ArgGroup, Args};
use robustmq_protocol::codec::{Forwarded, Packet, Property, Publish, PublishProperties};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};
use serde::Serialize;

use super::connection::{Connection, Incoming, worded};
use super::options::{ANSWER_PATIENCE, ConnectOptions, qos, user_properties};
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{Format, Printer};

/// Publishes under way at a time.
const UNDER_WAY_MAX: usize = 32;

#[derive(Args)]
#[command(group = ArgGroup::new("payload").required(true))]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    connect: ConnectOptions,
    /// Topic.
    #[arg(long, short)]
    topic: String,
    /// Payload.
    #[arg(long, short, group = "payload")]
    message: Option<String>,
    /// The payload is what a file holds.
    #[arg(long, short, group = "payload", value_name = "FILE")]
    file: Option<PathBuf>,
    /// A message per line of standard input.
    #[arg(long = "stdin-line", short = 'l', group = "payload")]
    lines: bool,
    /// The payload is all of standard input.
    #[arg(long = "stdin-file", short = 's', group = "payload")]
    stdin: bool,
    /// An empty payload; with --retain it clears the retained message.
    #[arg(long = "null-message", short = 'n', group = "payload")]
    null: bool,
    /// Quality of service.
    #[arg(long, short, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Keep the message for those who subscribe later.
    #[arg(long, short)]
    retain: bool,
    /// User property, `name=value` (5.0); may be given several times.
    #[arg(long = "user-property", value_name = "NAME=VALUE")]
    user_properties: Vec<String>,
    /// Content type (5.0).
    #[arg(long)]
    content_type: Option<String>,
    /// Response topic (5.0).
    #[arg(long)]
    response_topic: Option<String>,
    /// Seconds after which the message is not delivered any more (5.0).
    #[arg(long)]
    message_expiry_interval: Option<u32>,
    /// Say of every message at which offset it is stored.
    #[arg(long, short)]
    verbose: bool,
}

/// What became of a message.
#[derive(Serialize)]
struct Receipt<'a> {
    topic: &'a str,
    reason: &'static str,
    /// Where it is stored, if the broker said so.
    offset: Option<String>,
}

pub(super) fn run(args: &PublishArgs, printer: &mut Printer) -> Result<Verdict, CtlError> {
    let properties = forwarded(args)?;
    let connection = Connection::open(&args.connect)?;
    let mut publisher = Publisher {
        connection,
        args,
        properties,
        under_way: HashSet::new(),
        next_id: PacketId::MIN,
        tells: args.verbose || printer.format() != Format::Table,
        printer,
    };
    if args.lines {
        for line in io::stdin().lock().split(b'\n') {
            publisher.publish(&line.map_err(stdin_error)?)?;
        }
    } else {
        publisher.publish(&payload(args)?)?;
    }
    publisher.finish()?;
    Ok(Verdict::Fine)
}

fn payload(args: &PublishArgs) -> Result<Vec<u8>, CtlError> {
    if let Some(message) = &args.message {
        return Ok(message.as_bytes().to_vec());
    }
    if let Some(path) = &args.file {
        return std::fs::read(path).map_err(|source| CtlError::Read {
            path: path.clone(),
            source,
        });
    }
    let mut payload = Vec::new();
    if args.stdin {
        io::stdin().read_to_end(&mut payload).map_err(stdin_error)?;
    }
    Ok(payload)
}

fn stdin_error(source: io::Error) -> CtlError {
    CtlError::Read {
        path: "standard input".into(),
        source,
    }
}

/// The properties of every message, in the form of the wire.
fn forwarded(args: &PublishArgs) -> Result<Vec<u8>, CtlError> {
    let mut block = Vec::new();
    let pairs = user_properties(&args.user_properties)?;
    let named = [
        args.content_type.as_deref().map(Property::ContentType),
        args.response_topic.as_deref().map(Property::ResponseTopic),
    ];
    let user = pairs
        .iter()
        .map(|(name, value)| Property::UserProperty(name, value));
    for property in named.into_iter().flatten().chain(user) {
        property
            .write_to(&mut block)
            .map_err(|error| CtlError::Protocol(error.to_string()))?;
    }
    Ok(block)
}

struct Publisher<'a> {
    connection: Connection,
    args: &'a PublishArgs,
    properties: Vec<u8>,
    under_way: HashSet<PacketId>,
    next_id: PacketId,
    /// Whether receipts are printed.
    tells: bool,
    printer: &'a mut Printer,
}

impl Publisher<'_> {
    fn publish(&mut self, payload: &[u8]) -> Result<(), CtlError> {
        while self.under_way.len() >= UNDER_WAY_MAX {
            self.settle()?;
        }
        let qos = qos(self.args.qos);
        let packet_id = (qos != QoS::AtMostOnce).then(|| self.free_id());
        let is_v5 = self.args.connect.protocol() == ProtocolVersion::V5;
        let properties = if is_v5 {
            PublishProperties {
                message_expiry: self.args.message_expiry_interval,
                forwarded: Forwarded::parse(&self.properties)
                    .map_err(|error| CtlError::Protocol(error.to_string()))?,
                ..PublishProperties::default()
            }
        } else {
            PublishProperties::default()
        };
        self.connection.send(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain: self.args.retain,
            topic: &self.args.topic,
            packet_id,
            properties,
            payload,
        }))?;
        self.under_way.extend(packet_id);
        Ok(())
    }

    fn free_id(&mut self) -> PacketId {
        loop {
            let packet_id = self.next_id;
            self.next_id = PacketId::new(packet_id.get().wrapping_add(1)).unwrap_or(PacketId::MIN);
            if !self.under_way.contains(&packet_id) {
                return packet_id;
            }
        }
    }

    /// Waits until one message is settled.
    fn settle(&mut self) -> Result<(), CtlError> {
        match self.connection.receive(Instant::now() + ANSWER_PATIENCE)? {
            Some(Incoming::Settled {
                packet_id,
                reason,
                text,
                offset,
            }) => {
                self.under_way.remove(&packet_id);
                if reason.is_error() {
                    return Err(CtlError::Refused(worded(reason, text.as_deref())));
                }
                self.tell(reason, offset)
            }
            Some(Incoming::Closed(reason)) => Err(CtlError::Closed {
                reason: reason.map_or("without a word", ReasonCode::name),
            }),
            Some(_) => Ok(()),
            None => Err(CtlError::Silent),
        }
    }

    fn tell(&mut self, reason: ReasonCode, offset: Option<String>) -> Result<(), CtlError> {
        if !self.tells {
            return Ok(());
        }
        let receipt = Receipt {
            topic: &self.args.topic,
            reason: reason.name(),
            offset,
        };
        let place = receipt.offset.as_deref().unwrap_or("an unknown offset");
        let nobody = match reason {
            ReasonCode::NoMatchingSubscribers => ", nobody is subscribed",
            _ => "",
        };
        let text = format!("{} stored at {place}{nobody}", receipt.topic);
        Ok(self.printer.element(&receipt, || text)?)
    }

    fn finish(mut self) -> Result<(), CtlError> {
        while !self.under_way.is_empty() {
            self.settle()?;
        }
        if self.tells {
            self.printer.finish_elements()?;
        }
        self.connection.disconnect()
    }
}
