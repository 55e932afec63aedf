//! `history tail`: follows the history, over broken connections too.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::read::message;
use crate::api::{Api, ApiOptions, Event, Events, KeyFile};
use crate::error::CtlError;
use crate::output::{Format, Printer};

/// Pauses before the first and the last attempts to connect again.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct TailArgs {
    /// Topic filter.
    #[arg(long = "topic", short, value_name = "FILTER", default_value = "#")]
    topic: String,
    /// First message: latest (what is published from now on), or any position of `read`.
    #[arg(
        long,
        value_name = "POSITION",
        default_value = "latest",
        allow_hyphen_values = true
    )]
    from: String,
    /// End after so many messages.
    #[arg(long, short = 'n', value_name = "COUNT")]
    count: Option<usize>,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Deserialize)]
struct Gap {
    missing: u64,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
}

/// A stream that is taken up again where it broke.
struct Tail<'a> {
    args: &'a TailArgs,
    options: &'a ApiOptions,
    last_id: Option<String>,
}

impl Tail<'_> {
    fn open(&self) -> Result<Events, CtlError> {
        // The key of a broker that was started again is a new one.
        let api = Api::new(self.options, &self.args.key)?;
        let query = [
            ("filter", self.args.topic.as_str()),
            ("from", &self.args.from),
        ];
        api.events("/history/tail", &query, self.last_id.as_deref())
    }

    /// Connects again, for as long as it may help.
    fn reopen(&self, reason: &str) -> Result<Events, CtlError> {
        eprintln!("robust-ctl: {reason}; connecting again");
        let mut pause = RETRY_FIRST;
        loop {
            std::thread::sleep(pause);
            match self.open() {
                Ok(events) => return Ok(events),
                Err(error) if self.options.may_pass(&error) => {
                    pause = (pause * 2).min(RETRY_LAST);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

pub(super) fn run(
    args: &TailArgs,
    options: &ApiOptions,
    printer: &mut Printer,
) -> Result<(), CtlError> {
    let format = printer.format();
    if matches!(format, Format::Json | Format::Csv) {
        return Err(CtlError::Format {
            command: "history tail",
            formats: "table, ndjson or raw",
        });
    }
    let mut tail = Tail {
        args,
        options,
        last_id: None,
    };
    let mut events = tail.open()?;
    let mut left = args.count.unwrap_or(usize::MAX);
    while left > 0 {
        let event = match events.next_event() {
            Ok(Some(event)) => event,
            Ok(None) => {
                events = tail.reopen("the broker ended the stream")?;
                continue;
            }
            Err(error) => {
                events = tail.reopen(&format!("the connection broke ({error})"))?;
                continue;
            }
        };
        if event.id.is_some() {
            tail.last_id.clone_from(&event.id);
        }
        if event.name == "message" {
            message(&event.data)?.print(printer)?;
            printer.flush()?;
            left -= 1;
        } else {
            tell(&event)?;
        }
    }
    Ok(())
}

/// What is no message, for people.
fn tell(event: &Event) -> Result<(), CtlError> {
    match event.name.as_str() {
        "gap" => {
            let missing = serde_json::from_str::<Gap>(&event.data).map(|gap| gap.missing);
            let missing = missing.unwrap_or(1);
            eprintln!("robust-ctl: {missing} ranges of the log are gone, by retention or damage");
        }
        "error" => {
            let failure = serde_json::from_str::<Failure>(&event.data);
            let message = failure.map_or_else(|_| event.data.clone(), |failure| failure.message);
            return Err(CtlError::Refused(message));
        }
        _ => {}
    }
    Ok(())
}
