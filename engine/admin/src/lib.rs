//! The HTTP interface of a broker: REST under `/api/v5`, its description under
//! `/api-docs`, metrics under `/metrics`.
//!
//! **Invariants**
//! 1. Nothing but the health of the broker and the description of the
//!    interface is told without a key, loopback included.
//! 2. Every refusal is a JSON object `{code, message}` with the fitting HTTP
//!    status.
//! 3. A client that reads slowly holds one page, not a queue.
//!
//! **Not here**: what the answers say (`robustmq-broker`).

mod auth;
mod error;
mod listener;
mod openapi;
mod query;
mod routes;

use std::sync::Arc;

use robustmq_broker::Broker;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use auth::{Keys, KeysError, hash_secret};
pub use listener::{BindError, Bound, bind};

/// What handlers need.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) broker: Arc<Broker>,
    pub(crate) node: Arc<Node>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// What the health of the broker says about it.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: &'static str,
    /// When it started.
    pub since: std::time::Instant,
}

/// A running interface.
pub struct Admin {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Admin {
    /// Serves on what was bound.
    pub fn start(broker: &Arc<Broker>, node: Node, keys: Keys, bound: Vec<Bound>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let app = App {
            broker: Arc::clone(broker),
            node: Arc::new(node),
            keys: Arc::new(keys),
            stop: stopped.clone(),
        };
        let router = routes::router(app);
        let mut tasks = JoinSet::new();
        for bound in bound {
            tasks.spawn(listener::serve(bound, router.clone(), stopped.clone()));
        }
        Self { stop, tasks }
    }

    /// Ends streams, finishes what is being answered, and takes nothing new.
    pub async fn stop(self) {
        // Receivers may be gone already; then there is nobody to tell.
        let _ = self.stop.send(true);
        self.tasks.join_all().await;
    }
}
