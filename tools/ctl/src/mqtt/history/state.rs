//! `history state`: what every topic last said.

use clap::Args;
use serde::Deserialize;

use super::message::Message;
use super::topics::Meta;
use crate::api::{Api, ApiOptions, KeyFile};
use crate::error::CtlError;
use crate::output::Printer;

/// Topics asked for at a time.
const PAGE: &str = "1000";

#[derive(Args)]
pub(crate) struct StateArgs {
    /// Topic filter.
    #[arg(long = "topic", short, value_name = "FILTER", default_value = "#")]
    topic: String,
    /// As of when: -1h, 2026-11-22T10:00:00Z, ts:MS; now if not given.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Message>,
    meta: Meta,
}

pub(super) fn run(
    args: &StateArgs,
    api: &ApiOptions,
    mut printer: Printer,
) -> Result<(), CtlError> {
    let api = Api::new(api, &args.key)?;
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("filter", args.topic.as_str()), ("limit", PAGE)];
        // Now is when the broker's clock says so: with a moment of ours, a clock that
        // is behind would hide what was published last.
        query.extend(args.at.as_deref().map(|at| ("at", at)));
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page: Page = api.object("/history/state", &query)?;
        for message in &page.data {
            message.print(&mut printer)?;
        }
        cursor = page.meta.cursor;
        if cursor.is_none() {
            break;
        }
    }
    printer.finish_elements()?;
    printer.finish()
}
