//! A thread with its connections: one epoll, edge-triggered, and a list of the
//! connections that have something to do.
//!
//! **Invariants**
//! 1. Nothing waits but `epoll`, and that only while no connection has anything
//!    to do; `--gather` apart.
//! 2. A connection that is served reads once, fills one block and writes once;
//!    then it is another's turn.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use robustmq_protocol::ProtocolVersion;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::{now_ns, timespec};
use crate::connection::{Connection, Ended, Span, State};
use crate::error::BenchError;
use crate::greeting;
use crate::plan::{ConnectionPlan, Settings};
use crate::sender::{Pace, Sender, Stop};
use crate::stream::Stream;
use crate::tally::{Gauges, Tally};

/// Bytes that one read takes at most, unless a packet is larger.
const READ_BYTES: usize = 256 << 10;

/// How often a thread with nothing to do looks whether the phase has changed.
const TICK_NS: u64 = 2_000_000;

/// Events that one call brings.
const EVENTS: usize = 256;

/// The timer's place among the connections.
const TIMER: u64 = u64::MAX;

/// What all threads do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Phase {
    Open,
    Publish,
    Close,
}

/// What the threads of a run share.
pub(crate) struct Course {
    pub(crate) settings: Settings,
    /// All publishers of the run.
    pub(crate) publishers: usize,
    phase: AtomicU8,
    /// When publishing begins, when measuring does, and when both end.
    pub(crate) publish_ns: AtomicU64,
    pub(crate) start_ns: AtomicU64,
    pub(crate) end_ns: AtomicU64,
}

impl Course {
    pub(crate) fn new(settings: Settings, publishers: usize) -> Self {
        Self {
            settings,
            publishers,
            phase: AtomicU8::new(Phase::Open as u8),
            publish_ns: AtomicU64::new(0),
            start_ns: AtomicU64::new(0),
            end_ns: AtomicU64::new(u64::MAX),
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Publish,
            _ => Phase::Close,
        }
    }

    fn span(&self) -> Span {
        Span {
            start_ns: self.start_ns.load(Ordering::Relaxed),
            end_ns: self.end_ns.load(Ordering::Relaxed),
        }
    }
}

pub(crate) struct Worker<'a> {
    course: &'a Course,
    gauges: &'a Gauges,
    epoll: OwnedFd,
    timer: OwnedFd,
    plans: VecDeque<(usize, ConnectionPlan)>,
    connections: Vec<Option<Connection>>,
    /// Publishers of this thread: place, and which of all publishers it is.
    pacers: Vec<(usize, usize)>,
    opening: usize,
    busy: u64,
    queue: Vec<usize>,
    due: BinaryHeap<Reverse<(u64, usize)>>,
    buffer: Vec<u8>,
    /// How long arriving bytes are left to gather.
    gather: Duration,
    span: Span,
    pub(crate) tally: Tally,
}

impl<'a> Worker<'a> {
    /// The number of a plan says which of all publishers it is.
    pub(crate) fn new(
        course: &'a Course,
        gauges: &'a Gauges,
        plans: VecDeque<(usize, ConnectionPlan)>,
    ) -> Result<Self, BenchError> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let wanted = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), wanted)?;
        Ok(Self {
            course,
            gauges,
            epoll,
            timer,
            connections: Vec::with_capacity(plans.len()),
            plans,
            pacers: Vec::new(),
            opening: 0,
            busy: 0,
            queue: Vec::new(),
            due: BinaryHeap::new(),
            buffer: vec![0; READ_BYTES],
            gather: Duration::from_nanos(course.settings.gather_ns),
            span: course.span(),
            tally: Tally::default(),
        })
    }

    /// Works until the phase is [`Phase::Close`] and every connection is closed.
    pub(crate) fn run(&mut self) -> Result<(), BenchError> {
        let mut phase = Phase::Open;
        let mut events = Vec::with_capacity(EVENTS);
        let mut close_by_ns = u64::MAX;
        loop {
            self.open_more()?;
            let current = self.course.phase();
            if current != phase {
                phase = current;
                self.span = self.course.span();
                match phase {
                    Phase::Open => {}
                    Phase::Publish => self.begin_publishing(),
                    Phase::Close => {
                        close_by_ns = now_ns() + self.course.settings.patience_ns;
                        self.hang_up();
                    }
                }
            }
            self.schedule_due();
            for place in std::mem::take(&mut self.queue) {
                self.serve(place, phase);
            }
            self.gauges.show(&self.tally, self.busy);
            if phase == Phase::Close {
                let open = self.connections.iter().any(Option::is_some);
                if !open || now_ns() > close_by_ns {
                    break;
                }
            }
            self.wait(&mut events)?;
        }
        Ok(())
    }

    /// Begins to open connections, as many as may be opening at a time.
    fn open_more(&mut self) -> Result<(), BenchError> {
        while self.opening < self.course.settings.opening_max {
            let Some((publisher, plan)) = self.plans.pop_front() else {
                break;
            };
            let place = self.connections.len();
            let connection = self.open(&plan)?;
            if connection.sender.is_some() {
                self.pacers.push((place, publisher));
                self.busy += 1;
            }
            let wanted = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            let data = EventData::new_u64(place as u64);
            epoll::add(&self.epoll, connection.socket(), data, wanted)?;
            self.connections.push(Some(connection));
            self.opening += 1;
            self.enqueue(place);
        }
        Ok(())
    }

    fn open(&self, plan: &ConnectionPlan) -> Result<Connection, BenchError> {
        let settings = &self.course.settings;
        let domain = Domain::for_address(settings.address);
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&settings.address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error.into()),
        }
        let subscribe = match &plan.subscribe {
            Some(plan) => greeting::subscribe(settings.version, plan)?,
            None => None,
        };
        let sender = match &plan.publish {
            Some(plan) => Some(Sender::new(settings, plan, self.course.publishers)?),
            None => None,
        };
        let connect = greeting::connect(settings, plan)?;
        let version: ProtocolVersion = settings.version;
        let packets = [Some(connect), subscribe];
        Ok(Connection::new(
            Stream::new(TcpStream::from(socket), settings.tls.as_ref())?,
            version,
            plan,
            packets,
            sender,
        ))
    }

    fn enqueue(&mut self, place: usize) {
        if let Some(Some(connection)) = self.connections.get_mut(place)
            && !connection.is_queued
        {
            connection.is_queued = true;
            self.queue.push(place);
        }
    }

    fn begin_publishing(&mut self) {
        for (place, publisher) in std::mem::take(&mut self.pacers) {
            let pace = self.pace(publisher);
            if let Some(sender) = self.sender(place) {
                sender.pace = pace;
            }
            self.enqueue(place);
        }
    }

    /// The pace of a publisher: their first messages are spread over a period.
    fn pace(&self, publisher: usize) -> Option<Pace> {
        let rate = self.course.settings.rate?;
        let offset_ns = publisher as f64 / rate * 1e9;
        Some(Pace {
            start_ns: self.course.publish_ns.load(Ordering::Relaxed) + offset_ns as u64,
            period_ns: self.course.publishers as f64 / rate * 1e9,
        })
    }

    fn hang_up(&mut self) {
        for place in 0..self.connections.len() {
            if let Some(connection) = &mut self.connections[place] {
                connection.hang_up();
            }
            self.enqueue(place);
        }
    }

    /// Publishers whose next message is due.
    fn schedule_due(&mut self) {
        if self.due.is_empty() {
            return;
        }
        let now = now_ns();
        while let Some(Reverse((due_ns, place))) = self.due.peek().copied() {
            if due_ns > now {
                break;
            }
            self.due.pop();
            if let Some(sender) = self.sender(place) {
                sender.is_scheduled = false;
            }
            self.enqueue(place);
        }
    }

    fn sender(&mut self, place: usize) -> Option<&mut Sender> {
        self.connections.get_mut(place)?.as_mut()?.sender.as_mut()
    }

    fn serve(&mut self, place: usize, phase: Phase) {
        let Some(Some(mut connection)) = self.connections.get_mut(place).map(Option::take) else {
            return;
        };
        connection.is_queued = false;
        match self.exchange(&mut connection, place, phase) {
            Ok(again) => {
                if again {
                    connection.is_queued = true;
                    self.queue.push(place);
                }
                self.connections[place] = Some(connection);
            }
            Err(ended) => self.retire(connection, ended),
        }
    }

    /// Reads, fills and writes; true if there is more to do at once.
    fn exchange(
        &mut self,
        connection: &mut Connection,
        place: usize,
        phase: Phase,
    ) -> Result<bool, Ended> {
        let was_opening = is_opening(connection);
        if connection.is_readable {
            connection.read(&mut self.buffer, self.span, &mut self.tally)?;
            if was_opening && !is_opening(connection) {
                self.opening -= 1;
            }
        }
        let mut has_more = false;
        if phase == Phase::Publish && connection.sender.is_some() {
            has_more = self.publish(connection, place);
        }
        if connection.is_writable && connection.has_output() {
            connection.write()?;
        }
        self.note_done(connection);
        let can_write = connection.is_writable && (has_more || connection.has_output());
        Ok(connection.is_readable || can_write)
    }

    /// Fills the block; true if there is more to fill when it has been written.
    fn publish(&mut self, connection: &mut Connection, place: usize) -> bool {
        let Some(sender) = &mut connection.sender else {
            return false;
        };
        if sender.is_at_end {
            return false;
        }
        let now = now_ns();
        let sent = sender.sent;
        let stop = sender.fill(now, self.span.end_ns);
        let added = sender.sent - sent;
        if added > 0 {
            self.tally.sent += added;
            self.tally.sent_ns = now;
            self.tally.expected += added * sender.audience;
            if self.span.contains(now) {
                self.tally.measured.sent += added;
            }
        }
        match stop {
            Stop::Full => true,
            Stop::NotDue(due_ns) if !sender.is_scheduled => {
                sender.is_scheduled = true;
                self.due.push(Reverse((due_ns, place)));
                false
            }
            Stop::NotDue(_) | Stop::Window | Stop::End => false,
        }
    }

    /// A publisher that has nothing left to do is no longer counted as busy.
    fn note_done(&mut self, connection: &mut Connection) {
        if let Some(sender) = &mut connection.sender
            && !sender.is_counted_done
            && sender.is_done()
        {
            sender.is_counted_done = true;
            self.busy -= 1;
        }
    }

    fn retire(&mut self, connection: Connection, ended: Ended) {
        if is_opening(&connection) {
            self.opening -= 1;
        }
        let is_planned = connection.state == State::Closing;
        match ended {
            Ended::Closed if is_planned => {}
            Ended::Closed => self.tally.fail("the broker closes a connection"),
            Ended::Failed(why) => self.tally.fail(why),
        }
        if let Some(sender) = &connection.sender
            && !sender.is_counted_done
        {
            self.busy -= 1;
        }
        self.count(&connection);
    }

    fn count(&mut self, connection: &Connection) {
        if let Some(receiver) = &connection.receiver {
            self.tally.distinct += receiver.distinct();
            self.tally.duplicates += receiver.duplicates;
            self.tally.disordered += receiver.disordered;
            self.tally.foreign += receiver.foreign;
        }
    }

    /// Counts what connections have received that the broker has not closed.
    pub(crate) fn finish(mut self) -> Tally {
        for connection in std::mem::take(&mut self.connections).into_iter().flatten() {
            self.count(&connection);
        }
        self.tally
    }

    /// Waits until there is something to do; not at all if there is already.
    fn wait(&mut self, events: &mut Vec<Event>) -> Result<(), BenchError> {
        let timeout_ns = if self.queue.is_empty() { TICK_NS } else { 0 };
        if let (Some(Reverse((due_ns, _))), true) = (self.due.peek(), self.queue.is_empty()) {
            // Epoll alone counts in milliseconds.
            let at = Itimerspec {
                it_interval: timespec(0),
                it_value: timespec(*due_ns),
            };
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &at)?;
        }
        events.clear();
        if !self.gather.is_zero() {
            std::thread::sleep(self.gather);
        }
        let timeout = timespec(timeout_ns);
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.iter() {
            let Event { flags, data } = *event;
            if data.u64() == TIMER {
                continue;
            }
            let place = data.u64() as usize;
            if let Some(Some(connection)) = self.connections.get_mut(place) {
                let ending = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
                connection.is_ending |= flags.intersects(ending);
                connection.is_readable |= flags.contains(EventFlags::IN) || connection.is_ending;
                connection.is_writable |= flags.contains(EventFlags::OUT);
            }
            self.enqueue(place);
        }
        Ok(())
    }
}

fn is_opening(connection: &Connection) -> bool {
    matches!(connection.state, State::Greeting | State::Subscribing)
}
