//! `robust-ctl mqtt session`: lasting sessions.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::cursor::{Go, Meta, Position, lag, places};
use crate::api::{Api, ApiOptions, KeyFile, segment};
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{self, Format, Printer};
use crate::units::time;

const REWIND_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt session rewind kitchen --to -1h --dry-run     how many messages that would be
  robust-ctl mqtt session rewind kitchen --to -1h
  robust-ctl mqtt session rewind kitchen --shift -100

A connected client is disconnected (0x98) and goes on from there when it comes back.";

#[derive(Subcommand)]
pub(crate) enum SessionCommand {
    /// List the lasting sessions.
    List(KeyFile),
    /// Show one session: its subscriptions, where it stands, how far it lags.
    Show(Named),
    /// Move a session, or with --dry-run only say what that would do.
    #[command(after_help = REWIND_EXAMPLES)]
    Rewind(RewindArgs),
    /// End a session; a connected client is disconnected.
    Delete(Named),
}

#[derive(Args)]
pub(crate) struct Named {
    /// Client identifier.
    client: String,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Args)]
pub(crate) struct RewindArgs {
    /// Client identifier.
    client: String,
    #[command(flatten)]
    go: Go,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Deserialize, Serialize)]
struct Session {
    clientid: String,
    connected: bool,
    expiry_s: Option<u32>,
    connected_at: u64,
    disconnected_at: Option<u64>,
    subscriptions: u64,
    inflight: u64,
}

#[derive(Deserialize, Serialize)]
struct Subscription {
    filter: String,
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
}

#[derive(Deserialize, Serialize)]
struct Details {
    #[serde(flatten)]
    session: Session,
    subscription_list: Vec<Subscription>,
    positions: Vec<Position>,
    lag_messages: u64,
    lag_is_more: bool,
    lag_seconds: f64,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Session>,
    meta: Meta,
}

pub(super) fn run(
    command: &SessionCommand,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    let path = |client: &str| format!("/sessions/{}", segment(client));
    match command {
        SessionCommand::List(key) => list(&Api::new(options, key)?, Printer::paged(format))?,
        SessionCommand::Show(named) => {
            let api = Api::new(options, &named.key)?;
            let details: Details = api.object(&path(&named.client), &[])?;
            Printer::new(format).document(&details, || details.text())?;
        }
        SessionCommand::Rewind(args) => {
            let api = Api::new(options, &args.key)?;
            let path = format!("{}/rewind", path(&args.client));
            args.go.run(&api, &path, &mut Printer::new(format))?;
        }
        SessionCommand::Delete(named) => {
            Api::new(options, &named.key)?.delete(&path(&named.client))?;
        }
    }
    Ok(Verdict::Fine)
}

impl Session {
    fn status(&self) -> String {
        match self.disconnected_at {
            None => "connected".to_owned(),
            Some(at) => format!("offline since {}", time(at)),
        }
    }

    fn expiry(&self) -> String {
        self.expiry_s
            .map_or_else(|| "never".to_owned(), |seconds| format!("{seconds} s"))
    }
}

impl Details {
    fn text(&self) -> String {
        let session = &self.session;
        let filters = self.subscription_list.iter();
        let filters: Vec<String> = filters
            .map(|one| format!("{} (q{})", one.filter, one.qos))
            .collect();
        format!(
            "client         {}\nstatus         {}\nexpires after  {}\nin flight      {}\nlag            {}\nsubscriptions  {}\npositions      {}\n",
            session.clientid,
            session.status(),
            session.expiry(),
            session.inflight,
            lag(self.lag_messages, self.lag_is_more, self.lag_seconds),
            filters.join("\n               "),
            places(&self.positions),
        )
    }
}

fn list(api: &Api, mut printer: Printer) -> Result<(), CtlError> {
    let mut sessions: Vec<Session> = Vec::new();
    for page in 1u64.. {
        let query = [("page", page.to_string())];
        let query = [(query[0].0, query[0].1.as_str()), ("limit", "1000")];
        let found: Page = api.object("/sessions", &query)?;
        sessions.extend(found.data);
        if !found.meta.hasnext {
            break;
        }
    }
    printer.list(&sessions, |sessions| {
        let row = |session: &Session| {
            vec![
                session.clientid.clone(),
                session.status(),
                session.expiry(),
                session.subscriptions.to_string(),
                session.inflight.to_string(),
            ]
        };
        let header = [
            "client",
            "status",
            "expires after",
            "subscriptions",
            "in flight",
        ];
        output::table(&header, &[3, 4], sessions.iter().map(row).collect())
    })?;
    printer.finish()
}
