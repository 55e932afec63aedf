//! `robust-ctl mqtt shared`: groups of shared subscriptions.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::cursor::Meta;
use crate::api::{Api, ApiOptions, KeyFile};
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{self, Format, Printer};

const EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt subscribe -t '$share/workers/jobs/#' -q 1 -c -i worker-1   a member that lasts
  robust-ctl mqtt shared list
  robust-ctl mqtt shared strategy sticky --group workers";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum SharedCommand {
    /// List the groups, who is in them and how far they are.
    #[command(after_help = EXAMPLES)]
    List(KeyFile),
    /// Change who of a group gets a message.
    #[command(after_help = EXAMPLES)]
    Strategy(StrategyArgs),
}

#[derive(Args)]
pub(crate) struct StrategyArgs {
    /// `round_robin`, `random`, `sticky`, `hash_clientid`, `hash_topic`, `local` or `least_inflight`.
    strategy: String,
    /// Only for this group.
    #[arg(long)]
    group: Option<String>,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Deserialize, Serialize)]
struct Group {
    group: String,
    filter: String,
    strategy: String,
    node: Option<u64>,
    members: Vec<String>,
    in_flight: u64,
    lag_messages: u64,
    lag_is_more: bool,
    lag_seconds: f64,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Group>,
    meta: Meta,
}

#[derive(Deserialize, Serialize)]
struct Settings {
    strategy: String,
    groups: BTreeMap<String, String>,
}

const PATH: &str = "/mqtt/shared_subscriptions";

pub(super) fn run(
    command: &SharedCommand,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    match command {
        SharedCommand::List(key) => list(&Api::new(options, key)?, Printer::paged(format))?,
        SharedCommand::Strategy(args) => {
            let api = Api::new(options, &args.key)?;
            let mut settings: Settings = api.object(PATH, &[])?;
            match &args.group {
                Some(group) => {
                    settings.groups.insert(group.clone(), args.strategy.clone());
                }
                None => settings.strategy = args.strategy.clone(),
            }
            let changed: Settings = api.put(PATH, &settings)?;
            Printer::new(format).document(&changed, || changed.text())?;
        }
    }
    Ok(Verdict::Fine)
}

fn list(api: &Api, mut printer: Printer) -> Result<(), CtlError> {
    let mut groups: Vec<Group> = Vec::new();
    for page in 1u64.. {
        let query = [("page", &*page.to_string()), ("limit", "1000")];
        let found: Page = api.object(&format!("{PATH}/groups"), &query)?;
        groups.extend(found.data);
        if !found.meta.hasnext {
            break;
        }
    }
    printer.list(&groups, |groups| {
        let row = |group: &Group| {
            let more = if group.lag_is_more { "+" } else { "" };
            vec![
                group.group.clone(),
                group.filter.clone(),
                group.strategy.clone(),
                group.members.join(" "),
                group.in_flight.to_string(),
                format!("{}{more}", group.lag_messages),
            ]
        };
        let header = [
            "group",
            "filter",
            "strategy",
            "members",
            "in flight",
            "waiting",
        ];
        output::table(&header, &[4, 5], groups.iter().map(row).collect())
    })?;
    printer.finish()
}

impl Settings {
    fn text(&self) -> String {
        let own = self.groups.iter();
        let own: String = own
            .map(|(group, strategy)| format!("{group}: {strategy}\n"))
            .collect();
        format!("strategy: {}\n{own}", self.strategy)
    }
}
