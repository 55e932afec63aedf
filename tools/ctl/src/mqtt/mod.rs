//! `robust-ctl mqtt`: a client for the command line, with the letters that
//! mosquitto's and mqttx's tools have.

mod connection;
mod options;
mod publish;
mod subscribe;

use clap::Subcommand;

use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::Printer;

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

#[derive(Subcommand)]
pub(crate) enum MqttCommand {
    /// Publish messages.
    #[command(alias = "pub", after_help = PUBLISH_EXAMPLES, disable_help_flag = true)]
    Publish(publish::PublishArgs),
    /// Subscribe and print what comes, replays included.
    #[command(alias = "sub", after_help = SUBSCRIBE_EXAMPLES, disable_help_flag = true)]
    Subscribe(subscribe::SubscribeArgs),
}

pub(crate) fn run(command: MqttCommand, printer: &mut Printer) -> Result<Verdict, CtlError> {
    match command {
        MqttCommand::Publish(args) => publish::run(&args, printer),
        MqttCommand::Subscribe(args) => subscribe::run(&args, printer),
    }
}
