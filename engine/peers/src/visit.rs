//! Questions to an address whose node is not known yet, over a connection that
//! serves for nothing else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::connection;
use crate::error::CallError;
use crate::exchange::{End, Exchange};
use crate::frame::FrameType;
use crate::handshake::{self, Failed, TlsWire};
use crate::hello::{Hello, Purpose, Refusal};
use crate::peers::Inside;
use crate::request::Request;

/// How long one stays at most.
const VISIT_MAX: Duration = Duration::from_secs(600);

/// One who visits this node.
pub(crate) struct Visit {
    inside: Arc<Inside>,
    node: u64,
    exchange: Arc<Exchange>,
    _place: OwnedSemaphorePermit,
}

impl Visit {
    pub(crate) async fn welcome(
        inside: &Arc<Inside>,
        mut wire: TlsWire,
        hello: &Hello,
    ) -> Result<(Self, TlsWire), Failed> {
        let Ok(place) = Arc::clone(&inside.visits).try_acquire_owned() else {
            let reason = format!("too many ask node {} at once: try again", inside.node_id);
            wire.refuse(&Refusal::For(reason.clone())).await;
            return Err(Failed::Refuse(reason));
        };
        let welcome = inside.hello(Purpose::Visit, inside.attempt(), true);
        wire.send(FrameType::Welcome, 0, &welcome).await?;
        let visit = Self {
            inside: Arc::clone(inside),
            node: hello.node_id,
            exchange: attached(inside, hello),
            _place: place,
        };
        Ok((visit, wire))
    }

    /// Works until the connection ends.
    pub(crate) async fn hold(self, wire: TlsWire) {
        let mut stop = self.inside.stop.subscribe();
        let driven = connection::drive(wire, self.node, &self.exchange, &self.inside);
        tokio::select! {
            reason = driven => {
                tracing::debug!(node = self.node, reason, "a node that asked has gone");
            }
            () = tokio::time::sleep(VISIT_MAX) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.exchange.finish(End::Shutdown);
    }
}

fn attached(inside: &Inside, hello: &Hello) -> Arc<Exchange> {
    let exchange = Exchange::new(&inside.limits);
    exchange.attach(hello);
    Arc::new(exchange)
}

/// Dials, asks and hangs up.
pub(crate) async fn call(
    inside: &Arc<Inside>,
    address: &str,
    request: Request,
    timeout: Duration,
) -> Result<(Hello, Bytes), CallError> {
    if inside.running().is_none() {
        return Err(CallError::Shutdown);
    }
    let end = tokio::time::Instant::now() + timeout;
    let unreachable = |reason| Err(CallError::Unreachable(reason));
    let (hello, wire) = match tokio::time::timeout_at(end, greet(inside, address)).await {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(Failed::Refused(refusal))) => {
            return unreachable(format!("{address} refuses this node: {refusal}"));
        }
        Ok(Err(Failed::Refuse(reason) | Failed::Untrusted(reason) | Failed::Broken(reason))) => {
            return unreachable(reason);
        }
        Err(_) => return unreachable(format!("{address}: no connection within {timeout:?}")),
    };
    let exchange = attached(inside, &hello);
    let (_, answer) = exchange.push(request)?;
    let asked = async {
        let mut stop = inside.stop.subscribe();
        let driven = connection::drive(wire, hello.node_id, &exchange, inside);
        tokio::pin!(driven);
        let outcome = tokio::select! {
            outcome = answer => outcome,
            _ = &mut driven => return Err(CallError::Lost),
            _ = stop.wait_for(|stop| *stop) => Err(CallError::Shutdown),
        };
        exchange.finish(End::Shutdown);
        driven.await;
        outcome
    };
    match tokio::time::timeout_at(end, asked).await {
        Ok(outcome) => outcome.map(|body| (hello, body)),
        Err(_) => {
            exchange.finish(End::Shutdown);
            Err(CallError::TimedOut)
        }
    }
}

async fn greet(inside: &Arc<Inside>, address: &str) -> Result<(Hello, TlsWire), Failed> {
    let mut wire = handshake::connect(inside, address, None).await?;
    let hello = inside.hello(Purpose::Visit, inside.attempt(), false);
    wire.send(FrameType::Hello, 0, &hello).await?;
    match handshake::receive_welcome(inside, &mut wire, None).await {
        Ok(hello) => Ok((hello, wire)),
        Err(Failed::Refuse(reason)) => {
            wire.refuse(&Refusal::For(reason.clone())).await;
            Err(Failed::Refuse(reason))
        }
        Err(failed) => Err(failed),
    }
}
