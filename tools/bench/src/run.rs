//! One run: threads that open, publish and close, and what comes of it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::thread::{self, ScopedJoinHandle};

use crate::clock::{now_ns, processor_ns};
use crate::error::BenchError;
use crate::live::{Counts, LOOK, Live};
use crate::plan::{Extent, Plan, Settings};
use crate::process;
use crate::tally::{Gauges, Tally};
use crate::worker::{Course, Phase, Worker};

/// Publishing begins so much after it was decided, so that every thread has
/// heard of it.
const LEAD_NS: u64 = 20_000_000;

/// After the last message it expects, a run stays so long to see duplicates.
const AFTERWARDS_NS: u64 = 50_000_000;

/// How often the broker's memory is looked at.
const WATCH_NS: u64 = 50_000_000;

/// What has come of a run.
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) tally: Tally,
    /// Messages that were to arrive.
    pub(crate) expected: u64,
    /// Length of the time in which the rates were counted.
    pub(crate) seconds: f64,
    /// Messages a second that were acknowledged; with QoS 0, that were sent.
    pub(crate) published_per_s: f64,
    pub(crate) received_per_s: f64,
    /// The same from the first message sent to the last one received, whenever
    /// that came: what the broker sustains, queues emptied.
    pub(crate) delivered_per_s: f64,
    pub(crate) opened_per_s: f64,
    /// Processor time of this process, and the time in which it was used.
    pub(crate) own_processor_s: f64,
    pub(crate) own_seconds: f64,
    pub(crate) broker: Option<Watched>,
}

/// The broker's process during a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watched {
    pub(crate) processor_s: f64,
    pub(crate) resident_before: u64,
    pub(crate) resident_after: u64,
    pub(crate) resident_peak: u64,
}

/// Times at which a run passes from one part to the next.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    began_ns: u64,
    publish_ns: u64,
    done_ns: u64,
    processor_start_ns: u64,
    processor_end_ns: u64,
}

pub(crate) fn run(settings: &Settings, plan: Plan) -> Result<Outcome, BenchError> {
    let course = Course::new(settings.clone(), plan.publishers());
    let threads = settings.threads.clamp(1, plan.connections.len().max(1));
    let gauges: Vec<Gauges> = (0..threads).map(|_| Gauges::default()).collect();
    let mut shares: Vec<VecDeque<_>> = vec![VecDeque::new(); threads];
    let (name, extent) = (plan.name, plan.extent);
    let connections = plan.connections.len();
    let expected = plan.expected;
    let hold_ns = plan.hold_ns;
    let mut publisher = 0;
    for (number, connection) in plan.connections.into_iter().enumerate() {
        let is_publisher = connection.publish.is_some();
        shares[number % threads].push_back((publisher, connection));
        publisher += usize::from(is_publisher);
    }
    let mut conductor = Conductor {
        course: &course,
        gauges: &gauges,
        live: Live::new(),
        name,
        connections,
        expected,
        watch: Watch::new(settings.broker_pid),
        times: Times::default(),
    };
    let tallies = thread::scope(|scope| {
        let workers = shares.into_iter().zip(&gauges).map(|(share, gauges)| {
            let course = &course;
            scope.spawn(move || -> Result<Tally, BenchError> {
                let mut worker = Worker::new(course, gauges, share)?;
                worker.run()?;
                Ok(worker.finish())
            })
        });
        let workers: Vec<_> = workers.collect();
        conductor.conduct(extent, hold_ns, &workers);
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(tally) => tally,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect::<Result<Vec<Tally>, BenchError>>()
    })?;
    conductor.live.finish();
    let mut tally = Tally::default();
    tallies.into_iter().for_each(|one| tally.merge(one));
    let failed = (connections as u64).saturating_sub(tally.opened);
    if failed > 0 {
        return Err(BenchError::NotConnected {
            failed,
            all: connections,
            first: tally.first_error.unwrap_or_else(|| "no answer".to_owned()),
        });
    }
    let (times, broker) = (conductor.times, conductor.watch.finish());
    Ok(outcome(name, extent, expected, tally, times, broker))
}

fn outcome(
    name: &'static str,
    extent: Extent,
    expected: u64,
    tally: Tally,
    times: Times,
    broker: Option<Watched>,
) -> Outcome {
    let has_acknowledgements = tally.acknowledged > 0;
    let since = |end_ns: u64, start_ns: u64| end_ns.saturating_sub(start_ns).max(1) as f64 / 1e9;
    let (seconds, published_per_s, received_per_s) = match extent {
        Extent::Time { duration_ns, .. } => {
            let seconds = duration_ns as f64 / 1e9;
            let published = match has_acknowledgements {
                true => tally.measured.acknowledged,
                false => tally.measured.sent,
            };
            let received = tally.measured.received as f64;
            (seconds, published as f64 / seconds, received / seconds)
        }
        Extent::Messages => {
            let (published, end_ns) = match has_acknowledgements {
                true => (tally.acknowledged, tally.acknowledged_ns),
                false => (tally.sent, tally.sent_ns),
            };
            let publishing = since(end_ns, times.publish_ns);
            let arriving = since(tally.arrival_ns, times.publish_ns);
            (
                publishing.max(arriving),
                published as f64 / publishing,
                tally.received as f64 / arriving,
            )
        }
        Extent::Nothing => {
            let end_ns = tally.arrival_ns.max(tally.opened_ns);
            let seconds = since(end_ns, times.began_ns);
            (seconds, 0.0, tally.received as f64 / seconds)
        }
    };
    let arriving = since(tally.arrival_ns, times.publish_ns);
    let had_arrivals = f64::from(u8::from(tally.received > 0));
    Outcome {
        name,
        delivered_per_s: tally.received as f64 / arriving * had_arrivals,
        expected: tally.expected + expected,
        seconds,
        published_per_s,
        received_per_s: received_per_s * had_arrivals,
        opened_per_s: tally.opened as f64 / since(tally.opened_ns, times.began_ns),
        own_processor_s: since(times.processor_end_ns, times.processor_start_ns),
        own_seconds: since(times.done_ns, times.publish_ns),
        broker,
        tally,
    }
}

struct Conductor<'a> {
    course: &'a Course,
    gauges: &'a [Gauges],
    live: Live,
    name: &'static str,
    connections: usize,
    expected: u64,
    watch: Watch,
    times: Times,
}

impl Conductor<'_> {
    fn conduct(
        &mut self,
        extent: Extent,
        hold_ns: u64,
        workers: &[ScopedJoinHandle<'_, Result<Tally, BenchError>>],
    ) {
        self.times.began_ns = now_ns();
        self.begin();
        let all = self.connections as u64;
        let alive = || workers.iter().all(|worker| !worker.is_finished());
        self.look_until(0, |counts| counts.settled >= all || !alive());
        let is_open = self.counts().opened >= all;
        if extent != Extent::Nothing && is_open {
            self.publish(extent);
        }
        let end_ns = match extent {
            Extent::Time { .. } => self.course.end_ns.load(Ordering::Relaxed),
            Extent::Messages | Extent::Nothing => 0,
        };
        if is_open {
            self.look_until(end_ns, |counts| {
                (counts.busy == 0 && counts.received >= counts.expected) || !alive()
            });
        }
        self.times.done_ns = now_ns();
        self.times.processor_end_ns = processor_ns();
        self.watch.mark_end();
        let until = self.times.done_ns + hold_ns.max(AFTERWARDS_NS);
        while now_ns() < until && alive() {
            thread::sleep(LOOK);
            self.live.show(self.name, self.counts());
            self.watch.look();
        }
        self.course.enter(Phase::Close);
    }

    /// From here on processor time counts.
    fn begin(&mut self) {
        self.times.publish_ns = now_ns();
        self.times.processor_start_ns = processor_ns();
        self.watch.mark_start();
    }

    fn publish(&mut self, extent: Extent) {
        self.begin();
        let publish_ns = now_ns() + LEAD_NS;
        self.times.publish_ns = publish_ns;
        let (start_ns, end_ns) = match extent {
            Extent::Time {
                warmup_ns,
                duration_ns,
            } => {
                let start_ns = publish_ns + warmup_ns;
                (start_ns, start_ns + duration_ns)
            }
            Extent::Messages | Extent::Nothing => (publish_ns, u64::MAX),
        };
        self.course.publish_ns.store(publish_ns, Ordering::Relaxed);
        self.course.start_ns.store(start_ns, Ordering::Relaxed);
        self.course.end_ns.store(end_ns, Ordering::Relaxed);
        thread::sleep(std::time::Duration::from_nanos(
            publish_ns.saturating_sub(now_ns()),
        ));
        self.course.enter(Phase::Publish);
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts {
            expected: self.expected,
            ..Counts::default()
        };
        for gauges in self.gauges {
            counts.busy += gauges.busy.load(Ordering::Acquire);
            counts.sent += gauges.sent.load(Ordering::Relaxed);
            counts.acknowledged += gauges.acknowledged.load(Ordering::Relaxed);
            counts.received += gauges.received.load(Ordering::Relaxed);
            counts.expected += gauges.expected.load(Ordering::Relaxed);
            counts.settled += gauges.settled.load(Ordering::Relaxed);
            counts.opened += gauges.opened.load(Ordering::Relaxed);
        }
        counts
    }

    /// Looks on until it is done, or until nothing has happened for too long
    /// after `end_ns`.
    fn look_until(&mut self, end_ns: u64, done: impl Fn(&Counts) -> bool) {
        let (mut last, mut changed_ns) = (Counts::default(), now_ns());
        loop {
            let (counts, now) = (self.counts(), now_ns());
            self.live.show(self.name, counts);
            self.watch.look();
            if done(&counts) {
                return;
            }
            if counts != last {
                (last, changed_ns) = (counts, now);
            }
            let quiet_ns = now.saturating_sub(changed_ns.max(end_ns));
            if now > end_ns && quiet_ns > self.course.settings.patience_ns {
                return;
            }
            thread::sleep(LOOK);
        }
    }
}

/// Looks at the broker's process.
struct Watch {
    pid: Option<u32>,
    looked_ns: u64,
    start_s: f64,
    watched: Watched,
}

impl Watch {
    fn new(pid: Option<u32>) -> Self {
        let resident = pid.and_then(process::resident_bytes).unwrap_or(0);
        Self {
            pid,
            looked_ns: 0,
            start_s: 0.0,
            watched: Watched {
                resident_before: resident,
                ..Watched::default()
            },
        }
    }

    fn processor_s(&self) -> f64 {
        self.pid.and_then(process::processor_s).unwrap_or(0.0)
    }

    fn mark_start(&mut self) {
        self.start_s = self.processor_s();
    }

    fn mark_end(&mut self) {
        self.watched.processor_s = self.processor_s() - self.start_s;
    }

    fn look(&mut self) {
        let now = now_ns();
        if now.saturating_sub(self.looked_ns) < WATCH_NS {
            return;
        }
        self.looked_ns = now;
        if let Some(resident) = self.pid.and_then(process::resident_bytes) {
            self.watched.resident_after = resident;
            self.watched.resident_peak = self.watched.resident_peak.max(resident);
        }
    }

    fn finish(self) -> Option<Watched> {
        self.pid.map(|_| self.watched)
    }
}
