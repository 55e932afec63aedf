//! `robust-ctl mqtt auto-subscribe`: what every client is subscribed to when it
//! connects.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use crate::api::{Api, ApiOptions, KeyFile, segment};
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{self, Format, Printer};

const CREATE_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt auto-subscribe create -t 'clients/${clientid}/inbox' -q 1
  robust-ctl mqtt auto-subscribe create -t 'news/#' --retain-handling 1 --no-local";

#[derive(Subcommand)]
pub(crate) enum AutoSubscribeCommand {
    /// List the automatic subscriptions.
    List(KeyFile),
    /// Make one, or change that of the same topic; clients get it when they connect next.
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// Remove one that was made at run time; clients keep what they have.
    Delete(Named),
}

#[derive(Args)]
pub(crate) struct Named {
    /// Its topic, as `list` shows it.
    topic: String,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Args)]
pub(crate) struct CreateArgs {
    /// Topic filter; ${clientid}, ${username} and ${host} are the client's.
    #[arg(long, short, value_name = "FILTER")]
    topic: String,
    /// Highest QoS of what is delivered.
    #[arg(long, short, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Keep a client's own messages from it.
    #[arg(long)]
    no_local: bool,
    /// Keep the RETAIN flag as it was published.
    #[arg(long)]
    retain_as_published: bool,
    /// Send retained messages 0 at every connect, 1 if the subscription is new, 2 never.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    retain_handling: u8,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Deserialize, Serialize)]
struct Definition {
    topic: String,
    qos: u8,
    nl: u8,
    rap: u8,
    rh: u8,
}

#[derive(Deserialize, Serialize)]
struct Automatic {
    source: String,
    #[serde(flatten)]
    definition: Definition,
}

const PATH: &str = "/mqtt/auto_subscribe";

pub(super) fn run(
    command: &AutoSubscribeCommand,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    match command {
        AutoSubscribeCommand::List(key) => {
            let all: Vec<Automatic> = Api::new(options, key)?.object(PATH, &[])?;
            let mut printer = Printer::paged(format);
            printer.list(&all, |all| {
                let header = [
                    "topic",
                    "source",
                    "qos",
                    "no local",
                    "retain as published",
                    "retain handling",
                ];
                let rows = all.iter().map(Automatic::row).collect();
                output::table(&header, &[2, 3, 4, 5], rows)
            })?;
            printer.finish()?;
        }
        AutoSubscribeCommand::Create(args) => {
            let definition = Definition {
                topic: args.topic.clone(),
                qos: args.qos,
                nl: u8::from(args.no_local),
                rap: u8::from(args.retain_as_published),
                rh: args.retain_handling,
            };
            let made: Automatic = Api::new(options, &args.key)?.post(PATH, &definition)?;
            Printer::new(format).document(&made, || {
                format!(
                    "clients that connect are subscribed to {}\n",
                    made.definition.topic
                )
            })?;
        }
        AutoSubscribeCommand::Delete(named) => {
            let path = format!("{PATH}/{}", segment(&named.topic));
            Api::new(options, &named.key)?.delete(&path)?;
        }
    }
    Ok(Verdict::Fine)
}

impl Automatic {
    fn row(&self) -> Vec<String> {
        let Definition {
            topic,
            qos,
            nl,
            rap,
            rh,
        } = &self.definition;
        let yes_no = |flag: &u8| if *flag == 1 { "yes" } else { "no" }.to_owned();
        vec![
            topic.clone(),
            self.source.clone(),
            qos.to_string(),
            yes_no(nl),
            yes_no(rap),
            rh.to_string(),
        ]
    }
}
