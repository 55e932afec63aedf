//! Starting and stopping a broker.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::assembly::Assembled;
use crate::broker::{Broker, Setup, StartError};
use crate::net::{self, Doors, Listening};
use crate::{carry, delayed, startup, timers};

/// A running broker.
pub struct Running {
    assembled: Assembled,
    doors: Doors,
    stop: watch::Sender<bool>,
    upkeep: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts a broker: recovers the log, brings the views up to date, listens.
    ///
    /// # Errors
    /// See [`StartError`]; nothing keeps running then.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        let listeners = net::bind(&setup.config)?;
        let assembled = Assembled::new(setup).await?;
        let broker = Arc::clone(&assembled.broker);
        let sessions = startup::restore_sessions(&broker).await?;
        if sessions > 0 {
            tracing::info!(sessions, "sessions restored");
        }
        let (stop, stopped) = watch::channel(false);
        let doors = Doors::open(&broker, listeners, &stopped)?;
        let mut upkeep = vec![
            tokio::spawn(timers::run(Arc::clone(&broker), stopped.clone())),
            tokio::spawn(delayed::run(Arc::clone(&broker), stopped.clone())),
            tokio::spawn(carry::run(
                Arc::clone(&broker),
                Arc::clone(&assembled.log),
                stopped.clone(),
            )),
        ];
        if let Some(cluster) = broker.cluster() {
            upkeep.extend(cluster.run(&broker, &stopped));
        }
        Ok(Self {
            assembled,
            doors,
            stop,
            upkeep,
        })
    }

    /// Where it listens.
    pub fn listening(&self) -> &[Listening] {
        &self.doors.listening
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
            mut doors,
            stop,
            upkeep,
        } = self;
        // Receivers may be gone already; then there is nobody to tell.
        let _ = stop.send(true);
        doors.closed().await;
        assembled.broker.close_connections().await;
        doors.finish().await;
        for task in upkeep {
            let _ = task.await;
        }
        let cluster = assembled.broker.cluster().cloned();
        let finished = tokio::task::spawn_blocking(move || assembled.finish()).await;
        if finished.is_err() {
            tracing::error!("stopping did not end in order; see the message above");
        }
        if let Some(cluster) = cluster {
            cluster.stop().await;
        }
    }
}
