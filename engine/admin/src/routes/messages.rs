//! Messages of the history: pages, or the whole range as it is read.

use std::io::Write;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use robustmq_broker::history::{HistoryMessage, HistoryReader, MessageBody, Query};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{CursorMeta, LIMIT_MAX, LIMIT_USUAL};
use crate::App;
use crate::error::ApiError;
use crate::query::{Params, limit};

/// Messages read at a time where all are wanted.
const STREAMED_AT_A_TIME: usize = 4096;

/// How messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// One JSON object with the page and what it says about itself.
    #[default]
    Json,
    /// One JSON object per line.
    Ndjson,
    /// RFC 4180, with a line of names.
    Csv,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MessagesQuery {
    /// Topic Filter; without it all topics.
    filter: Option<String>,
    /// First message: `earliest` (default), `-24h`, `2026-11-22T10:00:00Z`, `ts:MS`, `o:TOKEN`,
    /// `last:N` (of each topic), `at:TIME`.
    from: Option<String>,
    /// Before which message to end; `latest` (default) or as above.
    to: Option<String>,
    /// Most messages: 1 to 10000, 100 by default; `ndjson` and `csv` without it give all.
    limit: Option<usize>,
    /// What the page before said: the range goes on behind it.
    cursor: Option<String>,
    /// `json` (default), `ndjson` or `csv`.
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessagesPage {
    #[schema(value_type = Vec<MessageBody<'static>>)]
    data: Vec<Box<RawValue>>,
    meta: CursorMeta,
    /// The range begins before the oldest message that is kept.
    cut: bool,
    /// Ranges of the log that were to be read and are gone.
    missing: u64,
    /// Messages left out because their Message Expiry Interval has passed.
    expired: u64,
}

/// Messages of a range, in the order of their time.
#[utoipa::path(get, path = "/history/messages", tag = "history", params(MessagesQuery), responses(
    (status = 200, description = "Messages; as ndjson or csv the headers x-cut, x-hasnext and x-cursor say what cut and meta say", body = MessagesPage),
    (status = 400, description = "A filter or a position is wrong", body = ApiError),
))]
pub(super) async fn messages(
    State(app): State<App>,
    Params(query): Params<MessagesQuery>,
) -> Result<Response, ApiError> {
    let format = query.format.unwrap_or_default();
    let mut reader = open(&app, &query).await?;
    if format != Format::Json && query.limit.is_none() {
        return Ok(whole(reader, format));
    }
    let limit = limit(query.limit, LIMIT_USUAL, LIMIT_MAX)?;
    let page = read_page(&mut reader, limit).await?;
    match format {
        Format::Json => Ok(Json(page.into_json(limit)?).into_response()),
        Format::Ndjson | Format::Csv => Ok(page.into_lines(format)),
    }
}

async fn open(app: &App, query: &MessagesQuery) -> Result<HistoryReader, ApiError> {
    let Some(cursor) = &query.cursor else {
        let text =
            |given: &Option<String>, usual: &str| given.as_deref().unwrap_or(usual).to_owned();
        let query = Query {
            filter: text(&query.filter, "#"),
            from: text(&query.from, "earliest"),
            to: Some(text(&query.to, "latest")),
        };
        return Ok(HistoryReader::open(&app.broker, &query).await?);
    };
    if query.from.is_some() || query.to.is_some() {
        return Err(ApiError::bad_request(
            "a cursor goes on with its own range: leave out from and to",
        ));
    }
    let reader = HistoryReader::resume(&app.broker, cursor).await?;
    match &query.filter {
        Some(filter) if filter != reader.filter() => Err(ApiError::bad_request(format!(
            "the cursor is of the filter `{}`: give that one, or none",
            reader.filter()
        ))),
        _ => Ok(reader),
    }
}

struct Page {
    messages: Vec<HistoryMessage>,
    cursor: Option<String>,
    is_cut: bool,
    missing: u64,
    expired: u64,
}

/// Reads one message more than wanted, to know whether there are more.
async fn read_page(reader: &mut HistoryReader, limit: usize) -> Result<Page, ApiError> {
    let found = reader.next(limit + 1).await?;
    let mut messages = found.messages;
    let is_over = messages.len() > limit;
    messages.truncate(limit);
    let cursor = match messages.last() {
        Some(last) if is_over => Some(reader.bookmark_behind(last)),
        // Few large messages fill a page, too.
        _ if !found.at_end => Some(reader.bookmark_here()),
        _ => None,
    };
    Ok(Page {
        messages,
        cursor,
        is_cut: reader.is_cut(),
        missing: found.missing,
        expired: found.expired,
    })
}

impl Page {
    fn into_json(self, limit: usize) -> Result<MessagesPage, ApiError> {
        let raw = |message: &HistoryMessage| {
            let text = String::from_utf8_lossy(&message.to_json()).into_owned();
            RawValue::from_string(text)
        };
        let data: Result<Vec<Box<RawValue>>, _> = self.messages.iter().map(raw).collect();
        let data = data.map_err(|error| ApiError::bad_request(error.to_string()))?;
        Ok(MessagesPage {
            meta: CursorMeta {
                limit,
                count: data.len(),
                hasnext: self.cursor.is_some(),
                cursor: self.cursor,
            },
            data,
            cut: self.is_cut,
            missing: self.missing,
            expired: self.expired,
        })
    }

    fn into_lines(self, format: Format) -> Response {
        let mut lines = begin(format);
        write_lines(&mut lines, &self.messages, format);
        let mut response = typed(Body::from(lines), format, self.is_cut);
        let headers = response.headers_mut();
        headers.insert("x-hasnext", flag(self.cursor.is_some()));
        let cursor = self
            .cursor
            .and_then(|cursor| HeaderValue::try_from(cursor).ok());
        if let Some(cursor) = cursor {
            headers.insert("x-cursor", cursor);
        }
        response
    }
}

/// Everything, read as fast as the client takes it.
fn whole(reader: HistoryReader, format: Format) -> Response {
    let is_cut = reader.is_cut();
    let first = Some((reader, begin(format)));
    let lines = stream::try_unfold(first, move |state| async move {
        let Some((mut reader, mut lines)) = state else {
            return Ok(None);
        };
        // A broken connection is all a client can be told now.
        let page = reader.next(STREAMED_AT_A_TIME).await?;
        write_lines(&mut lines, &page.messages, format);
        let next = (!page.at_end).then_some((reader, Vec::new()));
        Ok::<_, robustmq_broker::history::HistoryError>(Some((lines, next)))
    });
    typed(Body::from_stream(lines), format, is_cut)
}

fn flag(is_so: bool) -> HeaderValue {
    HeaderValue::from_static(if is_so { "true" } else { "false" })
}

/// Lines with their type, and with what is known before the first of them.
fn typed(body: Body, format: Format, is_cut: bool) -> Response {
    let kind = match format {
        Format::Json | Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8",
    };
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let cut = (HeaderName::from_static("x-cut"), flag(is_cut));
    ([kind, cut], body).into_response()
}

/// What comes before the first line.
fn begin(format: Format) -> Vec<u8> {
    match format {
        Format::Csv => {
            b"offset,timestamp,topic,qos,retain,clientid,payload,payload_b64,properties\r\n"
                .to_vec()
        }
        Format::Json | Format::Ndjson => Vec::new(),
    }
}

fn write_lines(out: &mut Vec<u8>, messages: &[HistoryMessage], format: Format) {
    for message in messages {
        if format == Format::Csv {
            write_csv(out, message);
        } else {
            out.extend(message.to_json());
            out.push(b'\n');
        }
    }
}

fn write_csv(out: &mut Vec<u8>, message: &HistoryMessage) {
    let text = std::str::from_utf8(message.payload()).ok();
    let encoded = text.is_none().then(|| STANDARD.encode(message.payload()));
    let properties = message.properties();
    let properties = match properties.is_empty() {
        true => String::new(),
        false => serde_json::Value::Object(properties).to_string(),
    };
    // Writing to memory does not fail.
    let _ = write!(out, "{},{},", message.token(), message.timestamp_ms());
    write_field(out, message.topic());
    let _ = write!(out, ",{},{},", message.qos(), message.retain());
    for field in [
        message.client_id(),
        text.unwrap_or_default(),
        &encoded.unwrap_or_default(),
    ] {
        write_field(out, field);
        out.push(b',');
    }
    write_field(out, &properties);
    out.extend(b"\r\n");
}

/// RFC 4180: in quotes where something in it would part fields or lines.
fn write_field(out: &mut Vec<u8>, field: &str) {
    if !field.contains(['"', ',', '\r', '\n']) {
        out.extend(field.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend(field.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests;
