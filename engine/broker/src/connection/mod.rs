//! A client's connection: one task that owns the socket and the session's
//! protocol state, and the only loop of the broker that waits for a client.
//!
//! Invariants
//! 1. A packet is handled only after everything before it has been.
//! 2. What the link holds is taken only when it can be sent or put back.
//! 3. Whatever ends the connection, its session is stored before it is given
//!    back (`closing`).

mod acks;
mod closing;
mod cursors;
mod deliver;
mod dress;
mod handshake;
mod input;
mod io;
mod pumped;
mod replay;
mod resume;
mod retained;
mod rules;
mod session;
mod share_groups;
mod state_log;
mod subscribe;
mod wire;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use robustmq_protocol::codec::{self, Decoded, Packet};
use robustmq_protocol::session::keepalive::Timeout;
use robustmq_protocol::{ProtocolVersion, ReasonCode};
use tokio::time::{Instant, Sleep};

pub(crate) use replay::{is_plain, spelled_name};

use crate::broker::Broker;
use crate::net::{Identity, Place, Transport};
use handshake::{ConnectOwned, Refused};
use input::Barrier;
use io::Io;
use pumped::Pumped;
use session::{Ending, Session};

/// How long a refused client is given to take its CONNACK.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// What a listener knows about a connection.
pub(crate) struct Arrival {
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// Who it is by its certificate.
    pub(crate) identity: Identity,
    /// How long it may take to say CONNECT.
    pub(crate) idle_timeout: Duration,
    /// Held until then.
    pub(crate) place: Place,
}

/// A client that has said CONNECT.
pub(crate) struct Greeted<S> {
    io: Io<S>,
    connect: ConnectOwned,
    peer: SocketAddr,
}

/// Hears what a client says first. `None` where it was no CONNECT, or none came;
/// the connection is closed then.
pub(crate) async fn greet<S: Transport>(
    broker: &Arc<Broker>,
    stream: S,
    arrival: Arrival,
) -> Option<Box<Greeted<S>>> {
    let Arrival {
        peer,
        identity,
        idle_timeout,
        mut place,
    } = arrival;
    let mut io = Io::new(stream);
    let connect = read_connect(broker, &mut io, peer, &identity, idle_timeout);
    let connect = place.hold(connect).await.unwrap_or_else(|| {
        tracing::info!(%peer, "no CONNECT when others came; connection closed");
        None
    });
    drop(place);
    match connect {
        Some(connect) => Some(Box::new(Greeted { io, connect, peer })),
        None => {
            io.close(REFUSAL_PATIENCE).await;
            None
        }
    }
}

/// Serves one connection from its CONNECT to its end. What came before it is
/// gone by now: an idle connection is to cost little memory.
pub(crate) async fn serve<S: Transport>(broker: Arc<Broker>, greeted: Box<Greeted<S>>) {
    let Greeted {
        mut io,
        connect,
        peer,
    } = *greeted;
    // Boxed, so that an idle connection holds no room for what comes before and
    // after it.
    let opening = Box::pin(handshake::open(&broker, peer, connect, &mut io.output));
    match opening.await {
        Ok(mut session) => {
            io.opened();
            run(&mut session, &mut io).await;
            Box::pin(session.close(io)).await;
        }
        Err(refused) => Box::pin(refuse(io, peer, &refused)).await,
    }
}

async fn refuse<S: Transport>(mut io: Io<S>, peer: SocketAddr, refused: &Refused) {
    tracing::info!(%peer, reason = refused.reason.name(), text = refused.text, "connection refused");
    handshake::write_refusal(refused, &mut io.output);
    io.close(REFUSAL_PATIENCE).await;
}

/// Waits for CONNECT, up to the idle timeout. Where there is none, what is to be
/// said about it stands in the output.
async fn read_connect<S: Transport>(
    broker: &Arc<Broker>,
    io: &mut Io<S>,
    peer: SocketAddr,
    identity: &Identity,
    idle_timeout: Duration,
) -> Option<ConnectOwned> {
    let timer = tokio::time::sleep(idle_timeout);
    tokio::pin!(timer);
    loop {
        let wakeup = io.wait(None, true, Some(timer.as_mut())).await;
        let packet_size_max = broker.limits.connect_size_max;
        match codec::decode(io.input(), ProtocolVersion::V5, packet_size_max) {
            Ok(Decoded::Packet {
                packet: Packet::Connect(connect),
                len,
            }) => {
                let owned = ConnectOwned::new(broker, &connect, identity);
                io.consume(len);
                return Some(owned);
            }
            Ok(Decoded::Packet { .. }) => {
                // [MQTT-3.1.0-1]: nothing is said to who does not say CONNECT.
                broker.counters.protocol_errors.add(1);
                tracing::info!(%peer, "the first packet is not CONNECT; connection closed");
                return None;
            }
            Ok(Decoded::Incomplete { .. }) => {}
            Err(error) => {
                broker.counters.protocol_errors.add(1);
                tracing::info!(%peer, %error, "CONNECT cannot be understood; connection closed");
                refuse_malformed(io, &error);
                return None;
            }
        }
        if wakeup.closed {
            return None;
        }
        if wakeup.timer {
            tracing::info!(%peer, "no CONNECT in time; connection closed");
            return None;
        }
    }
}

/// A client whose version is known (or whose version is the fault) is told what
/// is wrong with its CONNECT; anything else is no MQTT and gets no answer.
fn refuse_malformed<S: Transport>(io: &mut Io<S>, error: &codec::DecodeError) {
    let known = codec::connect_version(io.input());
    let unsupported = error.reason == ReasonCode::UnsupportedProtocolVersion;
    let Some(version) = known.or_else(|| unsupported.then(|| nearest_version(io.input()))) else {
        return;
    };
    let refused = Refused {
        version,
        reason: error.reason,
        text: error.text,
        // A CONNECT that cannot be read has not said.
        packet_size_max: u32::MAX,
    };
    handshake::write_refusal(&refused, &mut io.output);
}

/// The form of CONNACK that a client of an unknown version may understand: that
/// of 3.1.1 if its level is below 5 [MQTT-3.1.2-2] or its name is that of 3.1.
fn nearest_version(input: &[u8]) -> ProtocolVersion {
    let is_v3 = || {
        let header = codec::peek(input, ProtocolVersion::V5, u32::MAX).ok()??;
        let body = input.get(header.body_start..)?;
        let name_len = usize::from(u16::from_be_bytes(*body.first_chunk()?));
        let name = body.get(2..2 + name_len)?;
        Some(name == b"MQIsdp" || *body.get(2 + name_len)? < 5)
    };
    match is_v3() {
        Some(true) => ProtocolVersion::V4,
        _ => ProtocolVersion::V5,
    }
}

/// Serves an open session until it ends.
async fn run<S: Transport>(session: &mut Session, io: &mut Io<S>) {
    let timer = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(timer);
    let flush_every = session
        .broker
        .config
        .storage
        .cursor_flush_interval
        .duration();
    let mut flush_at = Instant::now() + flush_every;
    loop {
        let mut again = deliver(session, io).await;
        if session.ordered_end.is_some() {
            // The client may have said goodbye, or acknowledged something.
            io.read_now().await;
        }
        again |= handle_input(session, io).await;
        if let Some(reason) = session.ordered_end {
            while handle_input(session, io).await {}
            session.end(Ending::server(reason, "ordered by the server"));
        }
        session.flush_state();
        session.write_acks(&mut io.output);
        if session.ending.is_some() {
            return;
        }
        if again {
            tokio::task::yield_now().await;
        }
        if Instant::now() >= flush_at {
            session.store_cursor();
            flush_at = Instant::now() + flush_every;
        }
        let read = session.stalled.is_none() && session.takes_input(io.output_len());
        arm(timer.as_mut(), session, flush_at);
        if again && io.output_len() == 0 {
            continue;
        }
        let link = Arc::clone(&session.link);
        // What arrived before the end counts, though nobody waits for the answer.
        let has_more = again || session.holds_back();
        if io.is_closed() && has_more {
            if !again {
                link.woken().await;
            }
            continue;
        }
        io.shrink();
        let wakeup = io.wait(Some(&link), read, Some(timer.as_mut())).await;
        if wakeup.readable {
            if io.has_more_to_read() {
                // Who publishes without a pause leaves room for who reads.
                tokio::task::yield_now().await;
            }
            session
                .keepalive
                .handle_activity(session.broker.clock.monotonic_ms());
        }
        if wakeup.closed && !wakeup.readable && !has_more && !io.read_now().await {
            session.end(Ending::Lost);
            return;
        }
        if wakeup.timer {
            check_keepalive(session);
        }
    }
}

/// Takes what the link has and sends what can be sent; true if there is more
/// to do at once.
async fn deliver<S: Transport>(session: &mut Session, io: &mut Io<S>) -> bool {
    let mut taken = session.link.take(session.takes_live());
    session.handle_taken(&mut taken, &mut io.output);
    let pumped = session.pump(&mut io.output, &mut taken.deliveries);
    session.link.put_back(taken.deliveries);
    match pumped {
        Pumped::Wait => false,
        Pumped::Again => true,
        Pumped::Read => {
            Box::pin(session.read_backlog()).await;
            true
        }
        Pumped::Rejoin => {
            Box::pin(session.rejoin()).await;
            true
        }
        Pumped::ReadReplays => {
            Box::pin(session.read_replays()).await;
            true
        }
        Pumped::ReadCursors => {
            Box::pin(session.read_cursors()).await;
            true
        }
    }
}

/// Handles what has arrived; true if there may be more to handle at once.
async fn handle_input<S: Transport>(session: &mut Session, io: &mut Io<S>) -> bool {
    if session.ending.is_some() || io.input().is_empty() {
        return false;
    }
    let (input, output) = io.split();
    let window_before = session.sender.outbound.window_free();
    let handled = session.handle_input(input, output);
    io.consume(handled.consumed);
    match handled.barrier {
        // Acknowledgements made room for deliveries that were held back.
        None => session.sender.outbound.window_free() > window_before,
        Some(barrier) => {
            // Acknowledgements of what came before go first.
            session.write_acks(&mut io.output);
            // Boxed, so that a connection only has room for it while it lasts.
            match barrier {
                Barrier::Subscribe(request) => {
                    Box::pin(session.subscribe(request, &mut io.output)).await;
                }
                Barrier::Unsubscribe(request) => {
                    Box::pin(session.unsubscribe(request, &mut io.output)).await;
                }
            }
            true
        }
    }
}

fn check_keepalive(session: &mut Session) {
    let now_ms = session.broker.clock.monotonic_ms();
    if let Some(Timeout::KeepAlive) = session.keepalive.handle_timeout(now_ms) {
        session.end(Ending::server(
            ReasonCode::KeepAliveTimeout,
            "nothing came within one and a half times the keep alive",
        ));
    }
}

/// Sets the timer for what is due next.
fn arm(timer: Pin<&mut Sleep>, session: &Session, flush_at: Instant) {
    let now_ms = session.broker.clock.monotonic_ms();
    let keepalive = session
        .keepalive
        .poll_timeout()
        .map(|due_ms| Instant::now() + Duration::from_millis(due_ms.saturating_sub(now_ms)));
    let flush = session.cursor_dirty.then_some(flush_at);
    let replay = session
        .replays
        .due_ms()
        .map(|due_ms| Instant::now() + Duration::from_millis(due_ms.saturating_sub(now_ms)));
    let due = [keepalive, flush, replay].into_iter().flatten().min();
    // Nothing due: far away is as good as never.
    timer.reset(due.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400)));
}
