//! The one connection of this node with another one.
//!
//! Both may dial at the same time. The node with the lower number decides
//! which connection is used; it does so under one lock, and tells the other
//! with [`crate::frame::FrameType::Use`] or in its welcome. A node numbers its
//! greetings, so that the deciding node can tell a dial begun before a
//! connection was known from one made because that connection is dead. For
//! this the other node does not greet while a connection that came to it waits
//! for the decision.
//!
//! **Invariants**
//! 1. At most one connection is used.
//! 2. Requests that wait for a connection go over whichever comes about.
//! 3. A connection that ends takes what was sent and queued on it along, each
//!    with an error: nothing is sent twice, nothing overtakes what was lost.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::connection;
use crate::error::CallError;
use crate::exchange::{End, Exchange};
use crate::frame::FrameType;
use crate::handshake::{self, Failed, TlsWire};
use crate::hello::{Hello, Purpose, Refusal};
use crate::peers::Inside;
use crate::request::{Answer, Request};
use crate::stats::{Counters, PeerState};

/// Where the connection stands.
#[derive(Debug)]
enum Stage {
    Idle,
    Dialing {
        attempt: u64,
        task: AbortHandle,
    },
    Up {
        run: u64,
        attempt: u64,
        since: Instant,
    },
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// Of the connection, or of the one that is being dialled.
    exchange: Option<Arc<Exchange>>,
    /// Connections that came and wait for the other node's decision.
    undecided: u32,
    failures: u32,
    retry_at: Option<Instant>,
    last_error: Option<String>,
    dial_next: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    node: u64,
    state: Mutex<State>,
    decided: Notify,
}

impl Link {
    pub(crate) fn new(node: u64) -> Self {
        let state = State {
            stage: Stage::Idle,
            exchange: None,
            undecided: 0,
            failures: 0,
            retry_at: None,
            last_error: None,
            dial_next: 0,
        };
        Self {
            node,
            state: Mutex::new(state),
            decided: Notify::new(),
        }
    }

    /// Queues a request, and dials if need be.
    pub(crate) fn send(
        self: &Arc<Self>,
        inside: &Arc<Inside>,
        address: &str,
        request: Request,
    ) -> Result<(Arc<Exchange>, u64, Answer), CallError> {
        let exchange = {
            let mut state = self.state.lock();
            match &state.exchange {
                Some(exchange) => Arc::clone(exchange),
                None => self.dial(&mut state, inside, address)?,
            }
        };
        let queued = exchange.push(request);
        if queued
            .as_ref()
            .is_err_and(|error| *error == CallError::Busy)
        {
            Counters::add(&inside.counters.busy, 1);
        }
        let (id, answer) = queued?;
        Ok((exchange, id, answer))
    }

    fn dial(
        self: &Arc<Self>,
        state: &mut State,
        inside: &Arc<Inside>,
        address: &str,
    ) -> Result<Arc<Exchange>, CallError> {
        let Some(running) = inside.running() else {
            return Err(CallError::Shutdown);
        };
        if state.retry_at.is_some_and(|at| Instant::now() < at) {
            let reason = state.last_error.clone().unwrap_or_default();
            return Err(CallError::Unreachable(reason));
        }
        let exchange = Arc::new(Exchange::new(&inside.limits));
        let attempt = state.dial_next;
        state.dial_next += 1;
        let (link, inside) = (Arc::clone(self), Arc::clone(inside));
        let runtime = inside.runtime.clone();
        let address = address.to_owned();
        let task = runtime.spawn(async move {
            let _running = running;
            link.run_dial(&inside, &address, attempt).await;
        });
        let task = task.abort_handle();
        state.stage = Stage::Dialing { attempt, task };
        state.exchange = Some(Arc::clone(&exchange));
        Ok(exchange)
    }

    async fn run_dial(self: &Arc<Self>, inside: &Arc<Inside>, address: &str, dial: u64) {
        let timeout = inside.limits.connect_timeout + inside.limits.handshake_timeout;
        let greeted = tokio::time::timeout(timeout, self.greet(inside, address, dial)).await;
        let failed = match greeted {
            Ok(Ok((wire, hello))) => {
                let Some(tenure) = self.take_up(inside, &hello, Origin::Dialled(dial)) else {
                    return;
                };
                let running = inside.running();
                let is_decision = inside.node_id < self.node;
                // A task of its own: this one may be ended by another connection.
                inside.runtime.spawn(async move {
                    let _running = running;
                    tenure.hold(wire, is_decision).await;
                });
                return;
            }
            Ok(Err(failed)) => failed,
            Err(_) => Failed::Broken(format!("{address}: no handshake within {timeout:?}")),
        };
        let reason = match failed {
            Failed::Refused(Refusal::Superseded) => {
                // The other connection takes the requests over, and ends this task, any moment.
                tokio::time::sleep(inside.limits.handshake_timeout).await;
                "the connection that the other node uses did not come about".to_owned()
            }
            Failed::Refused(Refusal::For(reason)) => {
                inside.warn_once(self.node, address, "a node refuses this one", &reason);
                format!("node {} refuses this one: {reason}", self.node)
            }
            Failed::Refuse(reason) | Failed::Untrusted(reason) => {
                Counters::add(&inside.counters.refused, 1);
                inside.warn_once(self.node, address, "a node is refused", &reason);
                reason
            }
            Failed::Broken(reason) => {
                inside.warn_once(self.node, address, "a node cannot be reached", &reason);
                reason
            }
        };
        self.dial_failed(inside, dial, reason);
    }

    async fn greet(
        &self,
        inside: &Arc<Inside>,
        address: &str,
        dial: u64,
    ) -> Result<(TlsWire, Hello), Failed> {
        let mut wire = handshake::connect(inside, address, Some(self.node)).await?;
        let attempt = self.attempt_when_decided(inside, dial).await?;
        let hello = inside.hello(Purpose::Member, attempt, false);
        wire.send(FrameType::Hello, 0, &hello).await?;
        let welcome = handshake::receive_welcome(inside, &mut wire, Some(self.node)).await;
        let hello = match welcome {
            Err(Failed::Refuse(reason)) => {
                wire.refuse(&Refusal::For(reason.clone())).await;
                return Err(Failed::Refuse(reason));
            }
            welcome => welcome?,
        };
        // The other node decides, and has to have decided.
        if self.node < inside.node_id && !hello.is_used {
            return Err(Failed::Broken("it greets without a decision".to_owned()));
        }
        Ok((wire, hello))
    }

    /// The number of a greeting, drawn when no connection waits for a decision
    /// and none was decided for.
    async fn attempt_when_decided(&self, inside: &Inside, dial: u64) -> Result<u64, Failed> {
        loop {
            let decided = self.decided.notified();
            tokio::pin!(decided);
            decided.as_mut().enable();
            {
                let state = self.state.lock();
                // This task may be running on although it was ended.
                if !state.is_dialing(dial) {
                    return Err(Failed::Refused(Refusal::Superseded));
                }
                if state.undecided == 0 {
                    return Ok(inside.attempt());
                }
            }
            decided.await;
        }
    }

    fn dial_failed(&self, inside: &Inside, dial: u64, reason: String) {
        let mut state = self.state.lock();
        if !state.is_dialing(dial) {
            return;
        }
        Counters::add(&inside.counters.dials_failed, 1);
        state.stage = Stage::Idle;
        state.pause(inside);
        state.last_error = Some(reason.clone());
        let exchange = state.exchange.take();
        drop(state);
        if let Some(exchange) = exchange {
            exchange.finish(End::Lost(reason));
        }
    }

    /// A connection that came, after its greeting.
    pub(crate) async fn welcome(
        self: &Arc<Self>,
        inside: &Arc<Inside>,
        mut wire: TlsWire,
        hello: &Hello,
    ) -> Result<(Tenure, TlsWire), Failed> {
        if inside.node_id < self.node {
            // This node decides.
            let Some(tenure) = self.take_up(inside, hello, Origin::Came) else {
                wire.refuse(&Refusal::Superseded).await;
                return Err(Failed::Refused(Refusal::Superseded));
            };
            let welcome = inside.hello(Purpose::Member, inside.attempt(), true);
            wire.send(FrameType::Welcome, 0, &welcome).await?;
            return Ok((tenure, wire));
        }
        let undecided = Undecided::new(self);
        let attempt = inside.attempt();
        let welcome = inside.hello(Purpose::Member, attempt, false);
        wire.send(FrameType::Welcome, 0, &welcome).await?;
        handshake::receive_use(&mut wire).await?;
        let tenure = self.take_up(inside, hello, Origin::Came);
        drop(undecided);
        let tenure = tenure.ok_or(Failed::Refused(Refusal::Superseded))?;
        Ok((tenure, wire))
    }

    /// Makes a connection the one that is used. `None` if it is not to be.
    fn take_up(
        self: &Arc<Self>,
        inside: &Arc<Inside>,
        hello: &Hello,
        origin: Origin,
    ) -> Option<Tenure> {
        let mut state = self.state.lock();
        // Under the lock that a shutdown takes afterwards.
        let _running = inside.running()?;
        let decides = inside.node_id < self.node;
        let (adopted, replaced) = match (&state.stage, origin) {
            (Stage::Dialing { attempt, .. }, Origin::Dialled(dial)) if *attempt == dial => {
                (state.exchange.take(), None)
            }
            // Another connection was taken up while this one was made.
            (_, Origin::Dialled(_)) => return None,
            (Stage::Dialing { task, .. }, Origin::Came) => {
                task.abort();
                (state.exchange.take(), None)
            }
            (Stage::Up { run, attempt, .. }, Origin::Came) => {
                // Greeted before the one that is used, and thus not instead of it.
                if decides && *run == hello.run && hello.attempt < *attempt {
                    return None;
                }
                (None, state.exchange.take())
            }
            (Stage::Idle, Origin::Came) => (None, None),
        };
        let exchange = adopted.unwrap_or_else(|| Arc::new(Exchange::new(&inside.limits)));
        state.stage = Stage::Up {
            run: hello.run,
            attempt: hello.attempt,
            since: Instant::now(),
        };
        state.exchange = Some(Arc::clone(&exchange));
        state.last_error = None;
        drop(state);
        if let Some(replaced) = replaced {
            replaced.finish(End::Lost("another connection replaced it".to_owned()));
        }
        exchange.attach(hello);
        Counters::add(&inside.counters.connections, 1);
        tracing::info!(
            node = self.node,
            address = hello.address,
            "connected to a node"
        );
        Some(Tenure {
            link: Arc::clone(self),
            inside: Arc::clone(inside),
            exchange,
            reason: None,
        })
    }

    /// A connection has ended.
    fn ended(&self, inside: &Inside, exchange: &Arc<Exchange>, reason: String) {
        let mut state = self.state.lock();
        let is_used = state
            .exchange
            .as_ref()
            .is_some_and(|used| Arc::ptr_eq(used, exchange));
        if is_used {
            let lived = match state.stage {
                Stage::Up { since, .. } => since.elapsed(),
                _ => Duration::ZERO,
            };
            state.stage = Stage::Idle;
            state.exchange = None;
            state.last_error = Some(reason.clone());
            if lived >= inside.limits.backoff_max {
                state.failures = 0;
                state.retry_at = None;
            } else {
                // One that does not hold is no better than one that fails.
                state.pause(inside);
            }
            if inside.running().is_some() {
                Counters::add(&inside.counters.connections_lost, 1);
                tracing::info!(
                    node = self.node,
                    reason,
                    "the connection to a node has ended"
                );
            }
        }
        drop(state);
        exchange.finish(End::Lost(reason));
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.state.lock().stage, Stage::Up { .. })
    }

    /// Ends what there is; everyone who waits hears of it.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if let Stage::Dialing { task, .. } = &state.stage {
            task.abort();
        }
        state.stage = Stage::Idle;
        let exchange = state.exchange.take();
        drop(state);
        if let Some(exchange) = exchange {
            exchange.finish(End::Shutdown);
        }
    }

    pub(crate) fn look(&self) -> PeerState {
        let state = self.state.lock();
        let (queued, in_flight) = state.exchange.as_ref().map_or((0, 0), |one| one.counts());
        PeerState {
            node: self.node,
            is_connected: matches!(state.stage, Stage::Up { .. }),
            queued,
            in_flight,
            last_error: state.last_error.clone(),
        }
    }
}

impl State {
    fn is_dialing(&self, dial: u64) -> bool {
        matches!(self.stage, Stage::Dialing { attempt, .. } if attempt == dial)
    }

    /// No dial for a while: twice as long each time, and never in step with
    /// other nodes.
    fn pause(&mut self, inside: &Inside) {
        let limits = &inside.limits;
        let pause = limits.backoff_min * 2_u32.pow(self.failures.min(16));
        let pause = pause.min(limits.backoff_max);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(Instant::now() + pause.mul_f64(inside.chance(0.5, 1.0)));
    }
}

/// Where a connection is from.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// Dialled here, by this dial of the link.
    Dialled(u64),
    Came,
}

/// A connection that came and waits for the other node's decision.
struct Undecided<'a>(&'a Link);

impl<'a> Undecided<'a> {
    fn new(link: &'a Link) -> Self {
        link.state.lock().undecided += 1;
        Self(link)
    }
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        self.0.state.lock().undecided -= 1;
        self.0.decided.notify_waiters();
    }
}

/// A connection in use. Going away, however that comes about, it ends its
/// exchange.
pub(crate) struct Tenure {
    link: Arc<Link>,
    inside: Arc<Inside>,
    exchange: Arc<Exchange>,
    reason: Option<String>,
}

impl Tenure {
    /// Works until the connection ends.
    pub(crate) async fn hold(mut self, mut wire: TlsWire, is_decision: bool) {
        if is_decision && let Err(error) = wire.send(FrameType::Use, 0, &[]).await {
            self.reason = Some(format!("it cannot be written to: {error}"));
            return;
        }
        let node = self.link.node;
        let reason = connection::drive(wire, node, &self.exchange, &self.inside).await;
        self.reason = Some(reason);
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        let reason = self.reason.take();
        let reason = reason.unwrap_or_else(|| "it failed; the log says more".to_owned());
        self.link.ended(&self.inside, &self.exchange, reason);
    }
}
