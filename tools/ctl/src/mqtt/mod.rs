//! `robust-ctl mqtt`: a client for the command line, with the letters that
//! mosquitto's and mqttx's tools have.

mod auto_subscribe;
mod connection;
mod cursor;
mod delayed;
mod explain;
mod history;
mod options;
mod publish;
mod session;
mod share_groups;
mod subscribe;
mod topic_rewrite;

use clap::Subcommand;

use crate::api::ApiOptions;
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{Format, Printer};

const PUBLISH_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt publish -t orders/1 -m 'one coffee' -q 1
  robust-ctl mqtt publish -t orders/1 -m 'one coffee' -q 1 -v        say at which offset it is stored
  sensors | robust-ctl mqtt publish -t sensors/a -l -q 1             a message per line";

const SUBSCRIBE_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt subscribe -t 'sensors/#' -v
  robust-ctl mqtt subscribe -t '$replay/-1h/sensors/#' -v            the last hour, then live
  robust-ctl mqtt subscribe -t '$replay/earliest..latest/#' -W 2 -o ndjson > all.ndjson
  robust-ctl mqtt subscribe -t 'orders/#' -i kitchen -c -q 1         a session that outlives this command";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt explain 3-1234-0 --client kitchen
  robust-ctl mqtt explain 3-1234-0 --cursor orders";

#[derive(Subcommand)]
pub(crate) enum MqttCommand {
    /// Publish messages.
    #[command(alias = "pub", after_help = PUBLISH_EXAMPLES, disable_help_flag = true)]
    Publish(publish::PublishArgs),
    /// Subscribe and print what comes, replays included.
    #[command(alias = "sub", after_help = SUBSCRIBE_EXAMPLES, disable_help_flag = true)]
    Subscribe(subscribe::SubscribeArgs),
    /// Read what the log holds: any topic, from any time or offset.
    #[command(subcommand)]
    History(history::HistoryCommand),
    /// Look at named cursors, move and delete them.
    #[command(subcommand)]
    Cursor(cursor::CursorCommand),
    /// Look at lasting sessions, rewind and delete them.
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Rules that give topics of clients other names.
    #[command(subcommand)]
    TopicRewrite(topic_rewrite::TopicRewriteCommand),
    /// What every client is subscribed to when it connects.
    #[command(subcommand)]
    AutoSubscribe(auto_subscribe::AutoSubscribeCommand),
    /// Groups of shared subscriptions, and how they share.
    #[command(subcommand)]
    Shared(share_groups::SharedCommand),
    /// Messages that wait for their time: look at them, cancel them.
    #[command(subcommand)]
    Delayed(delayed::DelayedCommand),
    /// Say whether, when and why a message was or was not delivered.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(explain::ExplainArgs),
}

impl MqttCommand {
    /// Whether it prints messages, which can be written as CSV or as they are.
    pub(crate) fn has_messages(&self) -> bool {
        matches!(self, Self::History(_))
    }
}

pub(crate) fn run(
    command: &MqttCommand,
    api: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    match command {
        MqttCommand::Publish(args) => publish::run(args, &mut Printer::new(format)),
        MqttCommand::Subscribe(args) => subscribe::run(args, &mut Printer::new(format)),
        MqttCommand::History(command) => history::run(command, api, format),
        MqttCommand::Cursor(command) => cursor::run(command, api, format),
        MqttCommand::Session(command) => session::run(command, api, format),
        MqttCommand::TopicRewrite(command) => topic_rewrite::run(command, api, format),
        MqttCommand::AutoSubscribe(command) => auto_subscribe::run(command, api, format),
        MqttCommand::Shared(command) => share_groups::run(command, api, format),
        MqttCommand::Delayed(command) => delayed::run(command, api, format),
        MqttCommand::Explain(args) => explain::run(args, api, format),
    }
}
