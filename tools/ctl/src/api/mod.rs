//! Asking a broker over HTTP.

mod events;
mod key;

use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

pub(crate) use events::{Event, Events};

use crate::error::CtlError;

/// How long a connection may take to be made.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How long a stream of events may be silent: the broker gives a sign of life
/// every 15 seconds, so this is a connection that is dead and does not know it.
const EVENTS_PATIENCE: Duration = Duration::from_secs(45);

/// Bytes of an answer that is held as a whole.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Which broker, and with which key.
#[derive(Args)]
pub(crate) struct ApiOptions {
    /// The broker's HTTP interface.
    #[arg(
        long,
        value_name = "URL",
        env = "ROBUSTMQ_SERVER",
        default_value = "http://127.0.0.1:18083",
        global = true
    )]
    server: String,
    /// A key for it; without one the `api-key` file in the data directory is used, where it can be read.
    #[arg(
        long,
        value_name = "NAME:SECRET",
        env = "ROBUSTMQ_API_KEY",
        hide_env_values = true,
        global = true
    )]
    api_key: Option<String>,
}

/// Where the broker's own key may lie.
#[derive(Args)]
pub(crate) struct KeyFile {
    /// Data directory of a broker on this machine, for its key.
    #[arg(
        long,
        value_name = "DIR",
        env = "ROBUSTMQ__NODE__DATA_DIR",
        default_value = "./data"
    )]
    data_dir: PathBuf,
}

/// A broker that can be asked.
pub(crate) struct Api {
    agent: Agent,
    server: String,
    authorization: String,
}

/// An answer that may be too long to be held.
pub(crate) struct Stream {
    /// The range begins before the oldest message that is kept.
    pub(crate) is_cut: bool,
    pub(crate) reader: BufReader<Box<dyn Read>>,
}

/// What the broker says when it refuses.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl ApiOptions {
    /// Whether an error may pass. A broker that was killed leaves a key behind
    /// that opens nothing any more, and one that was stopped leaves none: the next
    /// one makes a new one. A key that was given stays wrong.
    pub(crate) fn may_pass(&self, error: &CtlError) -> bool {
        let is_of_the_key = matches!(
            error,
            CtlError::NoKey { .. } | CtlError::Answered { status: 401, .. }
        );
        error.is_passing() || (is_of_the_key && self.api_key.is_none())
    }
}

impl Api {
    /// Finds a key; nobody is asked yet.
    pub(crate) fn new(options: &ApiOptions, file: &KeyFile) -> Result<Self, CtlError> {
        let server = options.server.trim_end_matches('/').to_owned();
        if !server.starts_with("http://") {
            return Err(CtlError::Server { server });
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A proxy for the web is no way to a broker, and would see the key.
            .proxy(None)
            .timeout_connect(Some(CONNECT_PATIENCE))
            .build();
        Ok(Self {
            agent: config.into(),
            server,
            authorization: key::authorization(options.api_key.as_deref(), &file.data_dir)?,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v5{path}", self.server)
    }

    fn sent(&self, sent: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, CtlError> {
        let unreachable = |error: ureq::Error| CtlError::NoServer {
            server: self.server.clone(),
            reason: error.to_string(),
        };
        let response = sent.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(refusal(status, response))
    }

    fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        last_id: Option<&str>,
        patience: Option<Duration>,
    ) -> Result<Response<Body>, CtlError> {
        let mut request = self
            .agent
            .get(self.url(path))
            .header("Authorization", &self.authorization)
            .query_pairs(query.iter().copied());
        if let Some(id) = last_id {
            request = request.header("Last-Event-ID", id);
        }
        let request = request.config().timeout_per_read(patience).build();
        self.sent(request.call())
    }

    /// Asks for an object.
    pub(crate) fn object<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, CtlError> {
        read(self.get(path, query, None, None)?)
    }

    /// Asks for something to be done.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CtlError> {
        let request = self
            .agent
            .post(self.url(path))
            .header("Authorization", &self.authorization)
            .header("Content-Type", "application/json");
        let body = serde_json::to_vec(body).map_err(io::Error::other)?;
        read(self.sent(request.send(&body))?)
    }

    /// Puts something in the place of what there is.
    pub(crate) fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CtlError> {
        let request = self
            .agent
            .put(self.url(path))
            .header("Authorization", &self.authorization)
            .header("Content-Type", "application/json");
        let body = serde_json::to_vec(body).map_err(io::Error::other)?;
        read(self.sent(request.send(&body))?)
    }

    /// Has something deleted.
    pub(crate) fn delete(&self, path: &str) -> Result<(), CtlError> {
        let request = self
            .agent
            .delete(self.url(path))
            .header("Authorization", &self.authorization);
        self.sent(request.call()).map(|_| ())
    }

    /// Asks for something that may be too long to be held.
    pub(crate) fn stream(&self, path: &str, query: &[(&str, &str)]) -> Result<Stream, CtlError> {
        let response = self.get(path, query, None, None)?;
        let cut = response.headers().get("x-cut");
        Ok(Stream {
            is_cut: cut.is_some_and(|cut| cut == "true"),
            reader: BufReader::new(Box::new(response.into_body().into_reader())),
        })
    }

    /// Follows events, behind the one of an id.
    pub(crate) fn events(
        &self,
        path: &str,
        query: &[(&str, &str)],
        last_id: Option<&str>,
    ) -> Result<Events, CtlError> {
        let response = self.get(path, query, last_id, Some(EVENTS_PATIENCE))?;
        Ok(Events::new(Box::new(response.into_body().into_reader())))
    }
}

fn refusal(status: StatusCode, mut response: Response<Body>) -> CtlError {
    let body = response.body_mut().read_to_string().unwrap_or_default();
    let message = serde_json::from_str::<Refusal>(&body).map(|refusal| refusal.message);
    CtlError::Answered {
        status: status.as_u16(),
        message: message.unwrap_or_else(|_| format!("{status}: is that a RobustMQ broker?")),
    }
}

fn read<T: DeserializeOwned>(mut response: Response<Body>) -> Result<T, CtlError> {
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let body = body.read_to_vec().map_err(|error| CtlError::Broken {
        reason: error.to_string(),
    })?;
    serde_json::from_slice(&body).map_err(|error| CtlError::Broken {
        reason: error.to_string(),
    })
}

/// A name as one segment of a path (RFC 3986).
pub(crate) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
