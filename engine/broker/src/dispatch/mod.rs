//! From committed to delivered and acknowledged: one thread that takes batches
//! in log order, applies them to the views, matches their topics, hands
//! references to the sessions and completes the appends.
//!
//! Invariants
//! 1. A batch is matched once per distinct topic, not per message.
//! 2. Dispatch never waits for a session: one that is full lags.
//! 3. Views are applied before anybody hears that the batch is stored, so
//!    whoever was answered finds its effect.
//! 4. `dispatched` of a shard is raised only after the batch's deliveries have
//!    been queued.
//!
//! **Not here**: protocol encoding and windows (`connection`).

mod acknowledge;
mod command;
mod fan_out;
mod interest;
mod owners;
mod progress;
mod queue;
mod watchers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use robustmq_log::{AppendError, CommitSink, FatalLogError};
use robustmq_record::{Batch, Offset, ShardId};
use robustmq_views::{KvError, ViewError, Views};
use tokio::sync::oneshot;

pub(crate) use acknowledge::reason as append_failure_reason;
pub(crate) use command::{Attached, FilterOptions, Subscribed};
pub(crate) use fan_out::KIND_MESSAGE;
pub(crate) use interest::SubscriberId;
pub(crate) use progress::Progress;

use crate::cluster::NodeLog;
use crate::counters::Counters;
use crate::cursors::Cursors;
use crate::ledger::Ledger;
use crate::link::Link;
use crate::mailbox::{OutcomeSink, Waiters};
use crate::positions::Positions;
use crate::registry::Registry;
use crate::rules::Rules;
use command::Command;
use fan_out::FanOut;
use interest::Interest;
use queue::{Input, Queue};

/// How long the views wait for room on a full disk before they try again.
const APPLY_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What ends the process: called once, from the thread that noticed.
pub type OnFatal = Arc<dyn Fn(String) + Send + Sync>;

/// What dispatch needs from the rest.
pub(crate) struct DispatchSetup {
    /// Where every shard's dispatching starts: the end of what the log held
    /// and the views have applied.
    pub(crate) start: Positions,
    /// The views to keep up to date.
    pub(crate) views: Arc<Views>,
    /// The rules to keep up to date.
    pub(crate) rules: Arc<Rules>,
    /// Bytes of batches after which a session that has not taken its
    /// references must let go.
    pub(crate) hold_bytes_max: usize,
    /// What to do when the log or the views fail.
    pub(crate) on_fatal: OnFatal,
    /// Where to count.
    pub(crate) counters: Arc<Counters>,
    pub(crate) ledger: Arc<Ledger>,
    /// Who has connections here, and which node this is.
    pub(crate) registry: Arc<Registry>,
    pub(crate) cursors: Arc<Cursors>,
    pub(crate) node_id: u64,
    /// The log, which knows whether there are other nodes.
    pub(crate) log: Arc<NodeLog>,
}

/// The way to the dispatch thread; cheap to clone.
#[derive(Clone)]
pub(crate) struct Dispatch {
    queue: Arc<Queue>,
    progress: Arc<Progress>,
}

/// The thread behind a [`Dispatch`].
pub(crate) struct DispatchThread {
    handle: JoinHandle<()>,
    queue: Arc<Queue>,
}

impl DispatchThread {
    /// Does what is queued and ends.
    pub(crate) fn stop(self) {
        self.queue.stop();
        if self.handle.join().is_err() {
            tracing::error!("the dispatch thread panicked; see the message above");
        }
    }
}

impl Dispatch {
    /// A queue without a thread: what the log reports gathers until
    /// [`Dispatch::start`].
    pub(crate) fn new(shards: u32) -> Self {
        Self {
            queue: Arc::new(Queue::default()),
            progress: Arc::new(Progress::new(shards)),
        }
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(&self, setup: DispatchSetup) -> std::io::Result<DispatchThread> {
        for (shard, end) in setup.start.iter() {
            self.progress.raise(shard, end);
        }
        let worker = Worker {
            interest: Interest::default(),
            fan_out: FanOut::new(setup.hold_bytes_max),
            dispatched: setup.start,
            rules_version: setup.views.rules_version(),
            rules: setup.rules,
            views: setup.views,
            on_fatal: setup.on_fatal,
            counters: setup.counters,
            ledger: setup.ledger,
            registry: setup.registry,
            cursors: setup.cursors,
            node_id: setup.node_id,
            log: setup.log,
            progress: Arc::clone(&self.progress),
        };
        let queue = Arc::clone(&self.queue);
        let inputs = Arc::clone(&self.queue);
        let handle = std::thread::Builder::new()
            .name("dispatch".to_owned())
            .spawn(move || worker.run(&inputs))?;
        Ok(DispatchThread { handle, queue })
    }

    /// How far every shard has been dispatched.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Makes a session live; its known subscriptions are kept, others added.
    pub(crate) async fn attach(
        &self,
        link: Arc<Link>,
        subscriptions: Vec<FilterOptions>,
    ) -> Option<Attached> {
        self.ask(|reply| Command::Attach {
            link,
            subscriptions,
            reply,
        })
        .await
    }

    /// Adds subscriptions.
    pub(crate) async fn subscribe(
        &self,
        subscriber: SubscriberId,
        subscriptions: Vec<FilterOptions>,
        with_snapshot: bool,
    ) -> Option<Subscribed> {
        self.ask(|reply| Command::Subscribe {
            subscriber,
            subscriptions,
            with_snapshot,
            reply,
        })
        .await
    }

    /// Removes subscriptions.
    pub(crate) async fn unsubscribe(
        &self,
        subscriber: SubscriberId,
        filters: Vec<String>,
    ) -> Option<()> {
        self.ask(|reply| Command::Unsubscribe {
            subscriber,
            filters,
            reply,
        })
        .await
    }

    /// Wakes the session's connection from now on whenever a topic of `filters`
    /// gets a message; they take the place of those given before.
    pub(crate) fn watch(&self, subscriber: SubscriberId, filters: Vec<String>) {
        self.queue.push(Input::Command(Command::Watch {
            subscriber,
            filters,
        }));
    }

    /// Makes a lagging session live again.
    pub(crate) async fn rejoin(&self, subscriber: SubscriberId) -> Option<Positions> {
        self.ask(|reply| Command::Rejoin { subscriber, reply })
            .await
    }

    /// The connection ends; `keep` keeps the subscriptions (offline session).
    pub(crate) async fn detach(&self, subscriber: SubscriberId, keep: bool) -> Option<()> {
        self.ask(|reply| Command::Detach {
            subscriber,
            keep,
            reply,
        })
        .await
    }

    /// A watcher goes; nobody waits for that.
    pub(crate) fn leave(&self, subscriber: SubscriberId) {
        let (reply, _) = oneshot::channel();
        self.queue.push(Input::Command(Command::Detach {
            subscriber,
            keep: false,
            reply,
        }));
    }

    /// Makes an offline session's subscriptions known, at start.
    pub(crate) fn enter_offline(&self, client_id: String, subscriptions: Vec<FilterOptions>) {
        self.queue.push(Input::Command(Command::EnterOffline {
            client_id,
            subscriptions,
        }));
    }

    /// An offline session has ended.
    pub(crate) fn forget(&self, client_id: String) {
        self.queue
            .push(Input::Command(Command::Forget { client_id }));
    }

    /// Sends a command and waits for its answer; none when dispatch has ended.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Input::Command(command(reply)));
        answer.await.ok()
    }
}

impl CommitSink for Dispatch {
    fn committed(&self, batch: Arc<Batch>) {
        self.queue.push_batch(batch);
    }

    fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    fn settled(&self) {
        self.queue.ring();
    }

    fn failed(&self, error: FatalLogError) {
        self.queue.push(Input::Failed(error));
    }
}

impl OutcomeSink for Dispatch {
    fn outcome(&self, shard: ShardId, result: Result<Arc<Batch>, AppendError>, waiters: Waiters) {
        self.queue.push(Input::Ended(shard, result, waiters));
    }
}

struct Worker {
    interest: Interest,
    fan_out: FanOut,
    dispatched: Positions,
    views: Arc<Views>,
    rules: Arc<Rules>,
    /// Which state of the rules in the views is in force.
    rules_version: u64,
    on_fatal: OnFatal,
    counters: Arc<Counters>,
    ledger: Arc<Ledger>,
    registry: Arc<Registry>,
    cursors: Arc<Cursors>,
    node_id: u64,
    log: Arc<NodeLog>,
    progress: Arc<Progress>,
}

impl Worker {
    fn run(mut self, queue: &Queue) {
        let mut inputs = VecDeque::new();
        loop {
            queue.take(&mut inputs);
            for input in inputs.drain(..) {
                match input {
                    Input::Committed(batch) => self.handle_committed(&batch, queue),
                    Input::Ended(shard, result, waiters) => {
                        if result.is_err() {
                            self.ledger.failed(shard, waiters.messages);
                        }
                        acknowledge::acknowledge(&result, &self.fan_out, waiters);
                    }
                    Input::Command(command) => self.handle_command(command),
                    Input::Failed(error) => (self.on_fatal)(error.to_string()),
                    Input::Stop => {
                        queue.close();
                        return;
                    }
                }
            }
        }
    }

    /// Applies a batch to the views; as long as the disk is full, again and
    /// again: the batch is stored, and nobody has been told of it.
    fn apply(&self, batch: &Batch, queue: &Queue) -> Result<(), ViewError> {
        let mut told = false;
        loop {
            match self.views.apply(batch) {
                Err(ViewError::Store(KvError::Full(error))) if !queue.is_stopping() => {
                    if !told {
                        tracing::error!(error, "the views wait for room on the disk");
                    }
                    told = true;
                    std::thread::sleep(APPLY_AGAIN_AFTER);
                }
                applied => return applied,
            }
        }
    }

    fn handle_committed(&mut self, batch: &Arc<Batch>, queue: &Queue) {
        let shard = batch.shard();
        let first = batch.first_offset();
        let next = Offset::new(batch.index() + 1, 0);
        assert!(
            first >= self.dispatched.get(shard),
            "batches of a shard are committed in order: {first:?} after {:?}",
            self.dispatched.get(shard)
        );
        if let Err(error) = self.apply(batch, queue) {
            (self.on_fatal)(format!("the views could not be updated: {error}"));
            return;
        }
        let rules_version = self.views.rules_version();
        if rules_version != self.rules_version {
            self.rules_version = rules_version;
            self.rules.reload(&self.views);
        }
        self.ledger.committed(batch);
        if batch.has_state() && self.log.groups().is_some() {
            self.end_what_others_own(batch);
        }
        self.fan_out
            .dispatch(batch, &mut self.interest, &self.dispatched, &self.counters);
        self.dispatched.set(shard, next);
        self.progress.raise(shard, next);
        // They look at the progress.
        self.interest
            .wake_watchers(batch.topics().map(|(_, _, topic)| topic));
    }

    fn handle_command(&mut self, command: Command) {
        // A reply nobody waits for any more belongs to a connection that ended
        // meanwhile; its own clean-up follows.
        match command {
            Command::Attach {
                link,
                subscriptions,
                reply,
            } => {
                let _ = reply.send(self.attach(&link, subscriptions));
            }
            Command::Subscribe {
                subscriber,
                subscriptions,
                with_snapshot,
                reply,
            } => {
                let _ = reply.send(self.subscribe(subscriber, subscriptions, with_snapshot));
            }
            Command::Unsubscribe {
                subscriber,
                filters,
                reply,
            } => {
                for filter in filters {
                    self.interest.unsubscribe(subscriber, &filter);
                }
                let _ = reply.send(());
            }
            Command::Watch {
                subscriber,
                filters,
            } => {
                // What was dispatched before is behind whoever looks now.
                self.interest.watch(subscriber, filters);
                if let Some(link) = self.interest.link(subscriber) {
                    link.nudge();
                }
            }
            Command::Rejoin { subscriber, reply } => {
                self.interest.set_live(subscriber);
                let _ = reply.send(self.dispatched.clone());
            }
            Command::Detach {
                subscriber,
                keep,
                reply,
            } => {
                if keep {
                    self.interest.park(subscriber);
                } else {
                    self.interest.remove(subscriber);
                }
                let _ = reply.send(());
            }
            Command::EnterOffline {
                client_id,
                subscriptions,
            } => {
                let subscriber = self.interest.enter(&client_id, None);
                self.replace_subscriptions(subscriber, subscriptions);
            }
            Command::Forget { client_id } => self.interest.remove_offline(&client_id),
        }
    }

    fn attach(&mut self, link: &Arc<Link>, subscriptions: Vec<FilterOptions>) -> Attached {
        let subscriber = self
            .interest
            .enter(link.client_id(), Some(Arc::clone(link)));
        self.replace_subscriptions(subscriber, subscriptions);
        self.interest.set_live(subscriber);
        Attached {
            subscriber,
            live_from: self.dispatched.clone(),
        }
    }

    fn subscribe(
        &mut self,
        subscriber: SubscriberId,
        subscriptions: Vec<FilterOptions>,
        with_snapshot: bool,
    ) -> Subscribed {
        for (filter, options) in subscriptions {
            self.interest.subscribe(subscriber, &filter, options);
        }
        let live_from = self.dispatched.clone();
        let snapshot = with_snapshot.then(|| self.views.snapshot());
        Subscribed {
            live_from,
            snapshot,
        }
    }

    fn replace_subscriptions(&mut self, subscriber: SubscriberId, wanted: Vec<FilterOptions>) {
        let stale: Vec<Box<str>> = self
            .interest
            .filters(subscriber)
            .iter()
            .filter(|known| !wanted.iter().any(|(filter, _)| **filter == ***known))
            .cloned()
            .collect();
        for filter in stale {
            self.interest.unsubscribe(subscriber, &filter);
        }
        for (filter, options) in wanted {
            if !self
                .interest
                .filters(subscriber)
                .iter()
                .any(|known| **known == *filter)
            {
                self.interest.subscribe(subscriber, &filter, options);
            }
        }
    }
}
