//! The history as it goes on: server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use futures_util::stream;
use robustmq_broker::history::{HistoryReader, Query};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use utoipa::IntoParams;

use crate::App;
use crate::error::ApiError;
use crate::query::Params;

/// Messages made into events at a time.
const AT_A_TIME: usize = 256;

/// A comment is sent when nothing else was for so long.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TailQuery {
    /// Topic Filter; without it all topics.
    filter: Option<String>,
    /// First message: `latest` (default) or any position of `/history/messages`.
    from: Option<String>,
    /// As the header Last-Event-ID, which comes first.
    last_event_id: Option<String>,
}

/// A stream of events under way.
struct Tail {
    reader: HistoryReader,
    events: VecDeque<Event>,
    has_caught_up: bool,
    has_ended: bool,
    stop: watch::Receiver<bool>,
}

/// Messages from a place on, and then those that are published.
#[utoipa::path(get, path = "/history/tail", tag = "history", params(TailQuery,
    ("Last-Event-ID" = Option<String>, Header, description = "The id of an event: goes on right behind it"),
), responses(
    (status = 200, description = "Events `message` (a Message), `caught-up`, `gap` ({missing}), `error` ({message})", content_type = "text/event-stream"),
    (status = 400, description = "A filter, a position or an id is wrong", body = ApiError),
))]
pub(super) async fn tail(
    State(app): State<App>,
    headers: HeaderMap,
    Params(query): Params<TailQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let last = headers.get("last-event-id");
    let last = last
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let reader = match last.or(query.last_event_id) {
        Some(bookmark) => HistoryReader::resume(&app.broker, &bookmark).await?,
        None => {
            let query = Query {
                filter: query.filter.unwrap_or_else(|| "#".to_owned()),
                from: query.from.unwrap_or_else(|| "latest".to_owned()),
                to: None,
            };
            HistoryReader::open(&app.broker, &query).await?
        }
    };
    let tail = Tail {
        reader,
        events: VecDeque::new(),
        has_caught_up: false,
        has_ended: false,
        stop: app.stop,
    };
    let events = stream::unfold(tail, |mut tail| async move {
        let event = tail.next().await?;
        Some((Ok(event), tail))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

impl Tail {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.has_ended || *self.stop.borrow() {
                return None;
            }
            self.read().await;
        }
    }

    /// Reads on, or waits until there may be more.
    async fn read(&mut self) {
        let page = match self.reader.next(AT_A_TIME).await {
            Ok(page) => page,
            Err(error) => return self.fail(&ApiError::from(error)),
        };
        if page.missing > 0 {
            let gap = json!({ "missing": page.missing }).to_string();
            self.events
                .push_back(Event::default().event("gap").data(gap));
        }
        for message in &page.messages {
            let text = String::from_utf8_lossy(&message.to_json()).into_owned();
            let id = self.reader.bookmark_behind(message);
            let event = Event::default().event("message").id(id).data(text);
            self.events.push_back(event);
        }
        if page.at_end && !self.has_caught_up {
            self.has_caught_up = true;
            let event = Event::default().event("caught-up");
            self.events
                .push_back(event.id(self.reader.bookmark_here()).data("{}"));
        }
        if self.events.is_empty() && page.at_end {
            let waited = tokio::select! {
                waited = self.reader.wait() => waited,
                _ = self.stop.changed() => Ok(()),
            };
            if let Err(error) = waited {
                self.fail(&ApiError::from(error));
            }
        }
    }

    fn fail(&mut self, error: &ApiError) {
        let text = json!({ "message": error.message() }).to_string();
        self.events
            .push_back(Event::default().event("error").data(text));
        self.has_ended = true;
    }
}
