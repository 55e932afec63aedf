//! `robust-ctl mqtt explain`: why a message was or was not delivered.

use clap::{ArgGroup, Args};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Api, ApiOptions, KeyFile, segment};
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{Format, Printer};
use crate::units::time;

#[derive(Args)]
#[command(group(ArgGroup::new("reader").required(true)))]
pub(crate) struct ExplainArgs {
    /// Offset token of the message, as x-offset or `history read` say it.
    offset: String,
    /// For the session of this client.
    #[arg(long, value_name = "ID", group = "reader")]
    client: Option<String>,
    /// For this named cursor.
    #[arg(long, value_name = "NAME", group = "reader")]
    cursor: Option<String>,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Deserialize, Serialize)]
struct Explanation {
    offset: String,
    message: Value,
    reader: String,
    name: String,
    verdict: String,
    reason: String,
    text: String,
    passed_by: Option<u64>,
    behind: Option<u64>,
}

impl Explanation {
    fn text(&self) -> String {
        let verdict = self.verdict.replace('_', " ");
        let topic = self.message["topic"].as_str().unwrap_or("-");
        let by = self.passed_by.map(time);
        let by = by.map_or_else(String::new, |at| format!(" (by {at})"));
        format!(
            "{} on {topic}: {verdict}{by}\n{} {}: {}\n",
            self.offset, self.reader, self.name, self.text
        )
    }
}

pub(super) fn run(
    args: &ExplainArgs,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    let api = Api::new(options, &args.key)?;
    let path = format!("/messages/{}/explain", segment(&args.offset));
    let client = args.client.as_deref().map(|client| ("client", client));
    let cursor = args.cursor.as_deref().map(|cursor| ("cursor", cursor));
    let query: Vec<(&str, &str)> = client.into_iter().chain(cursor).collect();
    let explanation: Explanation = api.object(&path, &query)?;
    Printer::new(format).document(&explanation, || explanation.text())?;
    Ok(Verdict::Fine)
}
