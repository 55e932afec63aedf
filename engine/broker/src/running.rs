//! Starting and stopping a broker.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::broker::{Assembled, Broker, Setup, StartError};
use crate::net::tcp;
use crate::{carry, startup, timers};

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The listener's name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
}

/// A running broker.
pub struct Running {
    assembled: Assembled,
    listening: Vec<Listening>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    upkeep: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts a broker: recovers the log, brings the views up to date, listens.
    ///
    /// # Errors
    /// See [`StartError`]; nothing keeps running then.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        let listeners = bind(&setup)?;
        let assembled = Assembled::new(setup)?;
        let broker = Arc::clone(&assembled.broker);
        let sessions = startup::restore_sessions(&broker).await?;
        if sessions > 0 {
            tracing::info!(sessions, "sessions restored");
        }
        let (stop, stopped) = watch::channel(false);
        let mut listening = Vec::new();
        let mut tasks = Vec::new();
        for bound in listeners {
            listening.push(Listening {
                name: bound.name.clone(),
                address: bound.address,
            });
            let serve = tcp::serve(Arc::clone(&broker), bound, stopped.clone());
            tasks.push(tokio::spawn(serve));
        }
        let upkeep = vec![
            tokio::spawn(timers::run(Arc::clone(&broker), stopped.clone())),
            tokio::spawn(carry::run(
                Arc::clone(&broker),
                Arc::clone(&assembled.log),
                stopped,
            )),
        ];
        Ok(Self {
            assembled,
            listening,
            stop,
            tasks,
            upkeep,
        })
    }

    /// Where it listens.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.assembled.broker
    }

    /// Stops in order: no new connections, connections told and closed, what is
    /// queued written and synced, views flushed.
    pub async fn stop(self) {
        let Self {
            assembled,
            stop,
            tasks,
            upkeep,
            ..
        } = self;
        // Receivers may be gone already; then there is nobody to tell.
        let _ = stop.send(true);
        for task in tasks {
            let _ = task.await;
        }
        assembled.broker.close_connections().await;
        for task in upkeep {
            let _ = task.await;
        }
        let finished = tokio::task::spawn_blocking(move || assembled.finish()).await;
        if finished.is_err() {
            tracing::error!("stopping did not end in order; see the message above");
        }
    }
}

fn bind(setup: &Setup) -> Result<Vec<tcp::Bound>, StartError> {
    let mut bound = Vec::new();
    for (name, listener) in &setup.config.listeners.tcp {
        if !listener.enabled {
            continue;
        }
        let connections_max = listener.max_connections as usize;
        let socket =
            tcp::bind(name, listener.bind, connections_max).map_err(|source| StartError::Bind {
                name: name.clone(),
                address: listener.bind,
                source,
            })?;
        bound.push(socket);
    }
    Ok(bound)
}
