//! `history topics`: what topics there are.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::api::{Api, ApiOptions, KeyFile};
use crate::error::CtlError;
use crate::output::{self, Printer};
use crate::units::{bytes, time};

/// Topics asked for at a time.
const PAGE: &str = "1000";

#[derive(Args)]
pub(crate) struct TopicsArgs {
    /// Topic filter.
    #[arg(long = "topic", short, value_name = "FILTER", default_value = "#")]
    topic: String,
    /// List at most so many topics.
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Debug, Deserialize, Serialize)]
struct Topic {
    topic: String,
    messages: u64,
    bytes: u64,
    last_timestamp: u64,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Topic>,
    meta: Meta,
}

#[derive(Deserialize)]
pub(super) struct Meta {
    pub(super) cursor: Option<String>,
}

pub(super) fn run(
    args: &TopicsArgs,
    api: &ApiOptions,
    mut printer: Printer,
) -> Result<(), CtlError> {
    let api = Api::new(api, &args.key)?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let mut topics: Vec<Topic> = Vec::new();
    let mut cursor: Option<String> = None;
    while topics.len() < limit {
        let mut query = vec![("filter", args.topic.as_str()), ("limit", PAGE)];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page: Page = api.object("/history/topics", &query)?;
        topics.extend(page.data);
        cursor = page.meta.cursor;
        if cursor.is_none() {
            break;
        }
    }
    topics.truncate(limit);
    printer.list(&topics, |topics| {
        let row = |topic: &Topic| {
            vec![
                topic.topic.clone(),
                topic.messages.to_string(),
                bytes(topic.bytes),
                time(topic.last_timestamp),
            ]
        };
        let header = ["topic", "messages", "payloads", "last"];
        output::table(&header, &[1, 2], topics.iter().map(row).collect())
    })?;
    printer.finish()
}
