//! What is asked, and what comes of it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::error::CallError;
use crate::frame::Lane;

/// What is asked of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked; the meaning is the handler's.
    pub kind: u16,
    /// Its content.
    pub body: Bytes,
    /// How it shares the connection.
    pub lane: Lane,
}

impl Request {
    /// On the ordinary lane.
    #[must_use]
    pub fn new(kind: u16, body: Bytes) -> Self {
        Self {
            kind,
            body,
            lane: Lane::Ordered,
        }
    }

    /// On another lane.
    #[must_use]
    pub fn on(self, lane: Lane) -> Self {
        Self { lane, ..self }
    }
}

/// The outcome of a request, to come. Nobody needs to wait for it.
#[derive(Debug)]
pub struct Answer(oneshot::Receiver<Result<Bytes, CallError>>);

impl Answer {
    pub(crate) fn new(outcome: oneshot::Receiver<Result<Bytes, CallError>>) -> Self {
        Self(outcome)
    }
}

impl Future for Answer {
    type Output = Result<Bytes, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = Pin::new(&mut self.0).poll(context);
        outcome.map(|outcome| outcome.unwrap_or(Err(CallError::Lost)))
    }
}
