//! `mqtt subscribe`.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use robustmq_protocol::codec::{
    Packet, RetainHandling, Subscribe, SubscribeFilter, SubscribeFilters, SubscriptionOptions,
    UserProperties,
};
use robustmq_protocol::{PacketId, ReasonCode};
use serde::Serialize;

use super::connection::{Connection, Incoming, Message, worded};
use super::options::{ANSWER_PATIENCE, ConnectOptions, borrowed, qos, user_properties};
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::Printer;

/// As good as never.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

#[derive(Args)]
pub(crate) struct SubscribeArgs {
    #[command(flatten)]
    connect: ConnectOptions,
    /// Topic filter; may be given several times.
    #[arg(long, short, required = true)]
    topic: Vec<String>,
    /// Highest quality of service.
    #[arg(long, short, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Print the topic before the payload.
    #[arg(long, short)]
    verbose: bool,
    /// End after so many messages.
    #[arg(long, short = 'C', value_name = "COUNT")]
    count: Option<u64>,
    /// End after so many seconds.
    #[arg(long, short = 'W', value_name = "SECONDS")]
    timeout: Option<u64>,
    /// End when the subscription is made: for sessions that are to outlive this command.
    #[arg(short = 'E')]
    exit_after_suback: bool,
    /// Leave out retained messages.
    #[arg(long, short = 'R')]
    no_retained: bool,
    /// Do not get what this client itself publishes (5.0).
    #[arg(long)]
    no_local: bool,
    /// User property of the SUBSCRIBE, `name=value` (5.0), for example replay-from=-1h.
    #[arg(long = "user-property", value_name = "NAME=VALUE")]
    user_properties: Vec<String>,
}

/// A message as JSON.
#[derive(Serialize)]
struct Printed<'a> {
    topic: &'a str,
    qos: u8,
    retain: bool,
    #[serde(skip_serializing_if = "is_false")]
    dup: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    /// Of a payload that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_b64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    user_properties: &'a [(String, String)],
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_false(value: &bool) -> bool {
    !*value
}

impl<'a> Printed<'a> {
    fn new(message: &'a Message) -> Self {
        let text = std::str::from_utf8(&message.payload).ok();
        Self {
            topic: &message.topic,
            qos: message.qos as u8,
            retain: message.retain,
            dup: message.dup,
            payload: text,
            payload_b64: text.is_none().then(|| STANDARD.encode(&message.payload)),
            content_type: message.content_type.as_deref(),
            user_properties: &message.user_properties,
        }
    }
}

pub(super) fn run(args: &SubscribeArgs, printer: &mut Printer) -> Result<Verdict, CtlError> {
    let wishes = user_properties(&args.user_properties)?;
    let mut connection = Connection::open(&args.connect)?;
    let patience = args.timeout.map_or(FOR_EVER, Duration::from_secs);
    let deadline = Instant::now() + patience;
    subscribe(&mut connection, args, &wishes)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut subscribed = false;
    while left > 0 && !(subscribed && args.exit_after_suback) {
        let until = if subscribed {
            deadline
        } else {
            deadline.min(Instant::now() + ANSWER_PATIENCE)
        };
        match connection.receive(until)? {
            None if subscribed => break,
            None => return Err(CtlError::Silent),
            Some(Incoming::SubAck { reasons, text }) => {
                check_granted(args, &reasons, text.as_deref())?;
                subscribed = true;
            }
            Some(Incoming::Message(message)) => {
                if args.no_retained && message.retain {
                    continue;
                }
                left -= 1;
                print(&message, args.verbose, printer)?;
            }
            Some(Incoming::Closed(reason)) => {
                printer.finish_elements()?;
                return Err(CtlError::Closed {
                    reason: reason.map_or("without a word", ReasonCode::name),
                });
            }
            Some(Incoming::Settled { .. }) => {}
        }
    }
    printer.finish_elements()?;
    connection.disconnect()?;
    Ok(Verdict::Fine)
}

fn subscribe(
    connection: &mut Connection,
    args: &SubscribeArgs,
    wishes: &[(String, String)],
) -> Result<(), CtlError> {
    let options = SubscriptionOptions {
        qos: qos(args.qos),
        no_local: args.no_local,
        retain_as_published: false,
        retain_handling: if args.no_retained {
            RetainHandling::DoNotSend
        } else {
            RetainHandling::Send
        },
    };
    let filters: Vec<SubscribeFilter<'_>> = args
        .topic
        .iter()
        .map(|filter| SubscribeFilter { filter, options })
        .collect();
    let pairs = borrowed(wishes);
    connection.send(&Packet::Subscribe(Subscribe {
        packet_id: PacketId::MIN,
        subscription_id: None,
        user_properties: UserProperties::from(pairs.as_slice()),
        filters: SubscribeFilters::from(filters.as_slice()),
    }))
}

/// An error if the broker refuses any of the filters.
fn check_granted(
    args: &SubscribeArgs,
    reasons: &[ReasonCode],
    text: Option<&str>,
) -> Result<(), CtlError> {
    let refused = args
        .topic
        .iter()
        .zip(reasons)
        .find(|(_, reason)| reason.is_error());
    match (refused, text) {
        (Some((filter, reason)), text) => Err(CtlError::Refused(format!(
            "{filter}: {}",
            worded(*reason, text)
        ))),
        (None, Some(text)) => {
            eprintln!("robust-ctl: {text}");
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

fn print(message: &Message, verbose: bool, printer: &mut Printer) -> Result<(), CtlError> {
    let mut line = Vec::with_capacity(message.topic.len() + message.payload.len() + 1);
    if verbose {
        line.extend_from_slice(message.topic.as_bytes());
        line.push(b' ');
    }
    line.extend_from_slice(&message.payload);
    printer.bytes(&Printed::new(message), &line)?;
    Ok(())
}
