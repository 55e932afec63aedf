//! The requests and answers of one connection: queues, windows, who waits.
//!
//! An exchange begins when the first request to a node is queued, perhaps
//! before there is a connection, and ends with the connection.
//!
//! **Invariants**
//! 1. Every request that was taken gets exactly one outcome.
//! 2. What is queued is bounded, and what is in flight never exceeds what the
//!    other node granted.
//! 3. A lane carries one body after the other, in the order of the calls.
//!
//! **Not here**: sockets (`connection`), who connects (`link`).

use std::collections::VecDeque;

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::error::CallError;
use crate::frame::{CHUNK_BYTES_MAX, FrameType, Header, Lane};
use crate::hello::{Hello, text_bytes};
use crate::limits::PeerLimits;
use crate::request::{Answer, Request};

/// Bytes that are written together.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// How an exchange came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection is gone, or there never was one.
    Lost(String),
    /// This node has done.
    Shutdown,
}

/// One who waits for an answer.
#[derive(Debug)]
struct Waiting {
    outcome: oneshot::Sender<Result<Bytes, CallError>>,
    lane: Lane,
    bytes: usize,
    is_sent: bool,
}

/// A body on its way out.
#[derive(Debug)]
struct Outgoing {
    frame_type: FrameType,
    id: u64,
    kind: u16,
    body: Bytes,
    written: usize,
}

/// Requests that have no answer yet.
#[derive(Clone, Copy, Debug, Default)]
struct InFlight {
    count: u32,
    bytes: u64,
}

impl InFlight {
    /// Adds one if it fits. A single one always does.
    fn try_add(&mut self, bytes: usize, max: &Self) -> bool {
        let reached = self.bytes + bytes as u64;
        if self.count > 0 && (self.count >= max.count || reached > max.bytes) {
            return false;
        }
        self.count += 1;
        self.bytes = reached;
        true
    }

    fn remove(&mut self, bytes: usize) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }
}

#[derive(Debug)]
struct Inner {
    end: Option<End>,
    id_next: u64,
    waiting: HashMap<u64, Waiting>,
    queued_count: usize,
    queued_bytes: usize,
    requests: [VecDeque<Outgoing>; 3],
    answers: [VecDeque<Outgoing>; 3],
    answer_bytes: usize,
    /// Ours, with the other node.
    asked: [InFlight; 3],
    granted: InFlight,
    body_bytes_max: usize,
    /// Theirs, with us.
    serving: [InFlight; 3],
    /// Whose turn it is among the lanes that take turns.
    turn: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Exchange {
    inner: Mutex<Inner>,
    limits: PeerLimits,
    /// There is something to write, or an end.
    to_write: Notify,
    /// Answers have left.
    answers_left: Notify,
}

/// A chunk to write.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) header: Header,
    pub(crate) chunk: Bytes,
}

impl Exchange {
    pub(crate) fn new(limits: &PeerLimits) -> Self {
        let inner = Inner {
            end: None,
            id_next: 0,
            waiting: HashMap::new(),
            queued_count: 0,
            queued_bytes: 0,
            requests: Default::default(),
            answers: Default::default(),
            answer_bytes: 0,
            asked: Default::default(),
            granted: InFlight::default(),
            body_bytes_max: limits.body_bytes_max,
            serving: Default::default(),
            turn: 0,
        };
        Self {
            inner: Mutex::new(inner),
            limits: limits.clone(),
            to_write: Notify::new(),
            answers_left: Notify::new(),
        }
    }

    /// There is a connection, with what the other node grants.
    pub(crate) fn attach(&self, other: &Hello) {
        let mut refused = Vec::new();
        let mut inner = self.inner.lock();
        inner.granted = InFlight {
            count: other.in_flight_max.max(1),
            bytes: other.in_flight_bytes_max,
        };
        inner.body_bytes_max = self
            .limits
            .body_bytes_max
            .min(other.body_bytes_max as usize);
        // What was queued before the other node's limit was known.
        let Inner {
            waiting,
            body_bytes_max,
            ..
        } = &mut *inner;
        let too_large = waiting.extract_if(|_, waiting| waiting.bytes > *body_bytes_max);
        refused.extend(too_large.map(|(_, waiting)| waiting));
        drop(inner);
        for waiting in refused {
            let _ = waiting.outcome.send(Err(CallError::TooLarge));
        }
    }

    /// Queues a request; its number and its answer.
    pub(crate) fn push(&self, request: Request) -> Result<(u64, Answer), CallError> {
        let bytes = request.body.len();
        let mut inner = self.inner.lock();
        match &inner.end {
            Some(End::Lost(reason)) => return Err(CallError::Unreachable(reason.clone())),
            Some(End::Shutdown) => return Err(CallError::Shutdown),
            None => {}
        }
        if bytes > inner.body_bytes_max {
            return Err(CallError::TooLarge);
        }
        let is_full = inner.queued_count >= self.limits.queued_max
            || inner.queued_bytes + bytes > self.limits.queued_bytes_max;
        if is_full && inner.queued_count > 0 {
            return Err(CallError::Busy);
        }
        let id = inner.id_next;
        inner.id_next += 1;
        let (outcome, answer) = oneshot::channel();
        let waiting = Waiting {
            outcome,
            lane: request.lane,
            bytes,
            is_sent: false,
        };
        inner.waiting.insert(id, waiting);
        inner.queued_count += 1;
        inner.queued_bytes += bytes;
        inner.requests[request.lane.index()].push_back(Outgoing {
            frame_type: FrameType::Request,
            id,
            kind: request.kind,
            body: request.body,
            written: 0,
        });
        drop(inner);
        self.to_write.notify_one();
        Ok((id, Answer::new(answer)))
    }

    /// Takes a request back if nothing of it was sent.
    pub(crate) fn withdraw(&self, id: u64) -> bool {
        let mut inner = self.inner.lock();
        let is_queued = inner.waiting.get(&id).is_some_and(|found| !found.is_sent);
        if is_queued {
            // Its place in the queue is passed over.
            inner.waiting.remove(&id);
        }
        is_queued
    }

    /// Takes what is to be written next; how it came to an end if it did.
    pub(crate) fn take_batch(&self, pieces: &mut Vec<Piece>) -> Option<End> {
        let mut inner = self.inner.lock();
        if inner.end.is_some() {
            return inner.end.clone();
        }
        let had_answers = inner.answer_bytes;
        let mut bytes = 0;
        while bytes < BATCH_BYTES_MAX {
            let Some(piece) = inner.next_piece() else {
                break;
            };
            bytes += crate::frame::HEADER_BYTES + piece.chunk.len();
            pieces.push(piece);
        }
        let answers_left = inner.answer_bytes < had_answers;
        drop(inner);
        if answers_left {
            self.answers_left.notify_waiters();
        }
        None
    }

    /// Something to write may have come.
    pub(crate) async fn to_write(&self) {
        self.to_write.notified().await;
    }

    /// An answer came. False if nobody ever asked for it.
    pub(crate) fn complete(&self, id: u64, outcome: Result<Bytes, CallError>) -> bool {
        let mut inner = self.inner.lock();
        let Some(waiting) = inner.waiting.remove(&id) else {
            return false;
        };
        let lane = waiting.lane.index();
        inner.asked[lane].remove(waiting.bytes);
        let is_queued = !inner.requests[lane].is_empty();
        drop(inner);
        if is_queued {
            self.to_write.notify_one();
        }
        let _ = waiting.outcome.send(outcome);
        true
    }

    /// A request came. False if the other node was not to send it yet.
    pub(crate) fn begin(&self, lane: Lane, bytes: usize) -> bool {
        let granted = InFlight {
            count: self.limits.in_flight_max.max(1),
            bytes: self.limits.in_flight_bytes_max,
        };
        self.inner.lock().serving[lane.index()].try_add(bytes, &granted)
    }

    /// Waits until answering makes sense: while many answers wait to leave, no
    /// further ones are made.
    pub(crate) async fn room_for_answers(&self) {
        loop {
            let left = self.answers_left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.has_room_for_answers() {
                return;
            }
            left.await;
        }
    }

    fn has_room_for_answers(&self) -> bool {
        let inner = self.inner.lock();
        inner.end.is_some() || inner.answer_bytes <= self.limits.answer_bytes_max
    }

    /// Queues the answer to a request of `request_bytes`.
    pub(crate) fn answer(
        &self,
        id: u64,
        lane: Lane,
        request_bytes: usize,
        outcome: Result<Bytes, String>,
    ) {
        let mut inner = self.inner.lock();
        inner.serving[lane.index()].remove(request_bytes);
        if inner.end.is_some() {
            return;
        }
        let (frame_type, body) = match outcome {
            Ok(body) if body.len() <= inner.body_bytes_max => (FrameType::Answer, body),
            Ok(body) => {
                let reason = format!(
                    "the answer has {} bytes; the most is {}",
                    body.len(),
                    inner.body_bytes_max
                );
                (FrameType::Failure, text_bytes(&reason))
            }
            Err(reason) => (FrameType::Failure, text_bytes(&reason)),
        };
        let lane = match lane {
            // Others wait behind it.
            Lane::Ordered if body.len() > CHUNK_BYTES_MAX => Lane::Bulk,
            lane => lane,
        };
        inner.answer_bytes += body.len();
        inner.answers[lane.index()].push_back(Outgoing {
            frame_type,
            id,
            kind: 0,
            body,
            written: 0,
        });
        drop(inner);
        self.to_write.notify_one();
    }

    /// Ends it: everyone who waits hears of it. Only the first end counts.
    pub(crate) fn finish(&self, end: End) {
        let mut inner = self.inner.lock();
        if inner.end.is_some() {
            return;
        }
        inner.end = Some(end.clone());
        let waiting = std::mem::take(&mut inner.waiting);
        inner.requests = Default::default();
        inner.answers = Default::default();
        (inner.queued_count, inner.queued_bytes, inner.answer_bytes) = (0, 0, 0);
        drop(inner);
        self.to_write.notify_one();
        self.answers_left.notify_waiters();
        let mut waiting: Vec<_> = waiting.into_iter().collect();
        waiting.sort_unstable_by_key(|(id, _)| *id);
        for (_, waiting) in waiting {
            let error = match &end {
                End::Lost(_) if waiting.is_sent => CallError::Lost,
                End::Lost(reason) => CallError::Unreachable(reason.clone()),
                End::Shutdown => CallError::Shutdown,
            };
            let _ = waiting.outcome.send(Err(error));
        }
    }

    /// Requests that wait to be sent, and that have no answer yet.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        let asked = inner.asked.iter().map(|lane| lane.count as usize).sum();
        (inner.queued_count, asked)
    }
}

impl Inner {
    /// The next chunk: urgent ones first, the other lanes in turn.
    fn next_piece(&mut self) -> Option<Piece> {
        let urgent = Lane::Urgent;
        if let Some(piece) = self
            .next_answer(urgent)
            .or_else(|| self.next_request(urgent))
        {
            return Some(piece);
        }
        for _ in 0..4 {
            self.turn = (self.turn + 1) % 4;
            let piece = match self.turn {
                0 => self.next_answer(Lane::Ordered),
                1 => self.next_request(Lane::Ordered),
                2 => self.next_answer(Lane::Bulk),
                _ => self.next_request(Lane::Bulk),
            };
            if piece.is_some() {
                return piece;
            }
        }
        None
    }

    fn next_answer(&mut self, lane: Lane) -> Option<Piece> {
        let queue = &mut self.answers[lane.index()];
        let piece = queue.front_mut()?.next_chunk(lane);
        self.answer_bytes -= piece.chunk.len();
        if queue.front().is_some_and(Outgoing::is_written) {
            queue.pop_front();
        }
        Some(piece)
    }

    fn next_request(&mut self, lane: Lane) -> Option<Piece> {
        let queue = &mut self.requests[lane.index()];
        loop {
            let first = queue.front_mut()?;
            let bytes = first.body.len();
            if first.written == 0 {
                let Some(waiting) = self.waiting.get_mut(&first.id) else {
                    // Withdrawn.
                    self.queued_count -= 1;
                    self.queued_bytes -= bytes;
                    queue.pop_front();
                    continue;
                };
                if !self.asked[lane.index()].try_add(bytes, &self.granted) {
                    return None;
                }
                waiting.is_sent = true;
                self.queued_count -= 1;
                self.queued_bytes -= bytes;
            }
            let piece = first.next_chunk(lane);
            if first.is_written() {
                queue.pop_front();
            }
            return Some(piece);
        }
    }
}

impl Outgoing {
    fn next_chunk(&mut self, lane: Lane) -> Piece {
        let end = self.body.len().min(self.written + CHUNK_BYTES_MAX);
        let chunk = self.body.slice(self.written..end);
        self.written = end;
        let header = Header {
            chunk_bytes: chunk.len() as u32,
            body_bytes: self.body.len() as u32,
            id: self.id,
            kind: self.kind,
            frame_type: self.frame_type,
            lane,
        };
        Piece { header, chunk }
    }

    fn is_written(&self) -> bool {
        self.written == self.body.len()
    }
}

#[cfg(test)]
mod tests;
