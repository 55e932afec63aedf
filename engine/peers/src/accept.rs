//! Connections that come.
//!
//! **Invariants**
//! 1. Handshakes are bounded in number (`places`) and in time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::handshake::{self, Failed, TlsWire};
use crate::hello::{Hello, Purpose, Refusal};
use crate::peers::Inside;
use crate::places::Admitted;
use crate::stats::Counters;
use crate::visit;

/// Pause when the system has no more files or memory for a connection.
const FULL_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn run(inside: &Arc<Inside>, listener: TcpListener) {
    let mut stop = inside.stop.subscribe();
    loop {
        let came = tokio::select! {
            came = listener.accept() => came,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match came {
            Ok((stream, address)) => begin(inside, stream, address),
            Err(error) => {
                inside.warn_once(0, "", "no connection can be accepted", &error.to_string());
                tokio::time::sleep(FULL_PAUSE).await;
            }
        }
    }
}

fn begin(inside: &Arc<Inside>, stream: TcpStream, address: SocketAddr) {
    let Some(running) = inside.running() else {
        return;
    };
    let Some(admitted) = inside.handshakes.admit() else {
        Counters::add(&inside.counters.handshakes_dropped, 1);
        inside.warn_of_stranger(address, "too many handshakes are under way");
        return;
    };
    if admitted.has_displaced {
        Counters::add(&inside.counters.handshakes_dropped, 1);
    }
    let inside = Arc::clone(inside);
    inside.runtime.clone().spawn(async move {
        let _running = running;
        let Admitted {
            place, displaced, ..
        } = admitted;
        let end = Instant::now() + inside.limits.handshake_timeout;
        let mut stop = inside.stop.subscribe();
        let shaken = tokio::select! {
            shaken = tokio::time::timeout_at(end, shake(&inside, stream, address)) => shaken,
            _ = displaced => {
                inside.warn_of_stranger(address, "its handshake was slow and others came");
                return;
            }
            _ = stop.wait_for(|stop| *stop) => return,
        };
        drop(place);
        match shaken {
            Ok(Some((Accepted::Member(tenure), wire))) => tenure.hold(wire, false).await,
            Ok(Some((Accepted::Visit(visit), wire))) => visit.hold(wire).await,
            Ok(None) => {}
            Err(_) => {
                Counters::add(&inside.counters.refused, 1);
                inside.warn_of_stranger(address, "its handshake took too long");
            }
        }
    });
}

enum Accepted {
    Member(crate::link::Tenure),
    Visit(visit::Visit),
}

/// The whole handshake; `None` when it has failed, which is logged.
async fn shake(
    inside: &Arc<Inside>,
    stream: TcpStream,
    address: SocketAddr,
) -> Option<(Accepted, TlsWire)> {
    let failed = match greet(inside, stream).await {
        Ok((hello, wire)) => match settle(inside, &hello, wire).await {
            Ok(settled) => return Some(settled),
            Err(failed) => failed,
        },
        Err((failed, wire)) => {
            if let (Failed::Refuse(reason), Some(wire)) = (&failed, wire) {
                wire.refuse(&Refusal::For(reason.clone())).await;
            }
            failed
        }
    };
    match failed {
        Failed::Refuse(reason) | Failed::Untrusted(reason) => {
            Counters::add(&inside.counters.refused, 1);
            inside.warn_of_stranger(address, &reason);
        }
        Failed::Refused(Refusal::For(reason)) => {
            inside.warn_of_stranger(address, &format!("it refuses this node: {reason}"));
        }
        // Someone looked whether the port is open, or the other node used another connection.
        Failed::Refused(Refusal::Superseded) | Failed::Broken(_) => {
            tracing::debug!(%address, ?failed, "a connection between nodes did not come about");
        }
    }
    None
}

async fn greet(
    inside: &Arc<Inside>,
    stream: TcpStream,
) -> Result<(Hello, TlsWire), (Failed, Option<TlsWire>)> {
    let mut wire = handshake::accept(inside, stream)
        .await
        .map_err(|failed| (failed, None))?;
    match handshake::receive_hello(inside, &mut wire).await {
        Ok(hello) => Ok((hello, wire)),
        Err(failed) => Err((failed, Some(wire))),
    }
}

async fn settle(
    inside: &Arc<Inside>,
    hello: &Hello,
    wire: TlsWire,
) -> Result<(Accepted, TlsWire), Failed> {
    match hello.purpose {
        Purpose::Member => {
            let link = inside.link(hello.node_id);
            let (tenure, wire) = link.welcome(inside, wire, hello).await?;
            Ok((Accepted::Member(tenure), wire))
        }
        Purpose::Visit => {
            let (visit, wire) = visit::Visit::welcome(inside, wire, hello).await?;
            Ok((Accepted::Visit(visit), wire))
        }
    }
}
