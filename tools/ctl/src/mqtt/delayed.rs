//! `robust-ctl mqtt delayed`: messages that wait for their time.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::cursor::Meta;
use crate::api::{Api, ApiOptions, KeyFile, segment};
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{self, Format, Printer};

const EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt publish -t '$delayed/60/lamps/hall' -m off -q 1 -v   in a minute; says the id
  robust-ctl mqtt delayed list
  robust-ctl mqtt delayed cancel 3-1234-0";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum DelayedCommand {
    /// List the messages that wait, in the order in which they are due.
    #[command(after_help = EXAMPLES)]
    List(KeyFile),
    /// Show one message with its payload.
    Show(Id),
    /// Cancel a message: it is not published.
    Cancel(Id),
}

#[derive(Args)]
pub(crate) struct Id {
    /// Id of the message: the offset that its acknowledgement carried, or as `list` shows it.
    id: String,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Deserialize, Serialize)]
struct Message {
    msgid: String,
    node: String,
    publish_at: String,
    expected_at: String,
    delayed_interval: u64,
    delayed_remaining: u64,
    topic: String,
    qos: u8,
    retain: bool,
    from_clientid: String,
    payload_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Message>,
    meta: Meta,
}

const PATH: &str = "/mqtt/delayed/messages";

pub(super) fn run(
    command: &DelayedCommand,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    let path = |id: &str| format!("{PATH}/{}", segment(id));
    match command {
        DelayedCommand::List(key) => list(&Api::new(options, key)?, Printer::paged(format))?,
        DelayedCommand::Show(id) => {
            let api = Api::new(options, &id.key)?;
            let message: Message = api.object(&path(&id.id), &[])?;
            Printer::new(format).document(&message, || message.text())?;
        }
        DelayedCommand::Cancel(id) => {
            Api::new(options, &id.key)?.delete(&path(&id.id))?;
        }
    }
    Ok(Verdict::Fine)
}

fn list(api: &Api, mut printer: Printer) -> Result<(), CtlError> {
    let mut messages: Vec<Message> = Vec::new();
    for page in 1u64.. {
        let query = [("page", &*page.to_string()), ("limit", "1000")];
        let found: Page = api.object(PATH, &query)?;
        messages.extend(found.data);
        if !found.meta.hasnext {
            break;
        }
    }
    printer.list(&messages, |messages| {
        let row = |message: &Message| {
            vec![
                message.msgid.clone(),
                message.expected_at.clone(),
                format!("{} s", message.delayed_remaining),
                message.topic.clone(),
                message.qos.to_string(),
                message.from_clientid.clone(),
                message.payload_size.to_string(),
            ]
        };
        let header = ["id", "due", "in", "topic", "qos", "from", "bytes"];
        output::table(&header, &[2, 4, 6], messages.iter().map(row).collect())
    })?;
    printer.finish()
}

impl Message {
    fn text(&self) -> String {
        let payload = self.payload.as_deref().unwrap_or_default();
        let retain = if self.retain { ", retain" } else { "" };
        format!(
            "id         {}\ntopic      {}\nqos        {}{retain}\nfrom       {}\npublished  {}\ndue        {}, in {} s\npayload    {} bytes, base64: {payload}\n",
            self.msgid,
            self.topic,
            self.qos,
            self.from_clientid,
            self.publish_at,
            self.expected_at,
            self.delayed_remaining,
            self.payload_size,
        )
    }
}
