//! The buffers between a socket and the protocol, and the one place where a
//! connection waits.
//!
//! Invariants
//! 1. The input buffer holds at most one packet of the allowed size plus one
//!    read; the output buffer at most its limit plus one packet.
//! 2. While the output buffer is over its limit the socket is not read: a
//!    client that does not take its answers is not listened to.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::Sleep;

use crate::link::Link;
use crate::net::Transport;

/// How much one read asks for.
const READ_BYTES: usize = 64 * 1024;

/// Input capacity kept while idle; above it the buffer is given back.
const IDLE_BYTES_MAX: usize = 256;

/// Why the wait ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wakeup {
    /// Bytes arrived.
    pub(super) readable: bool,
    /// Bytes left, so there may be room again.
    pub(super) written: bool,
    /// The link has news.
    pub(super) link: bool,
    /// The timer ran out.
    pub(super) timer: bool,
    /// The peer has closed, or the socket failed.
    pub(super) closed: bool,
}

/// A stream with its buffers.
pub(super) struct Io<S> {
    stream: S,
    input: Vec<u8>,
    input_start: usize,
    /// What is to be written.
    pub(super) output: Vec<u8>,
    /// The stream was given bytes that it may not have passed on yet.
    unflushed: bool,
    closed: bool,
}

impl<S: Transport> Io<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            input: Vec::new(),
            input_start: 0,
            output: Vec::new(),
            unflushed: false,
            closed: false,
        }
    }

    /// Tells the stream that the client is no stranger any more.
    pub(super) fn opened(&mut self) {
        self.stream.opened();
    }

    /// What has arrived and was not consumed yet.
    pub(super) fn input(&self) -> &[u8] {
        &self.input[self.input_start..]
    }

    /// Input and output at once, for handlers that read the one while they
    /// write the other.
    pub(super) fn split(&mut self) -> (&[u8], &mut Vec<u8>) {
        (&self.input[self.input_start..], &mut self.output)
    }

    /// Whether the last read took as much as one may, so that there is more.
    pub(super) fn has_more_to_read(&self) -> bool {
        self.input().len() >= READ_BYTES
    }

    /// Marks the first `count` bytes of the input as done with.
    pub(super) fn consume(&mut self, count: usize) {
        self.input_start += count;
        assert!(
            self.input_start <= self.input.len(),
            "consumed more than there was"
        );
        if self.input_start == self.input.len() {
            self.input.clear();
            self.input_start = 0;
        }
    }

    /// Whether the client has closed the connection, or it broke.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Bytes waiting to be written.
    pub(super) fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Gives buffers back that grew for a burst, before a long wait.
    pub(super) fn shrink(&mut self) {
        if self.input.is_empty() && self.input.capacity() > IDLE_BYTES_MAX {
            self.input = Vec::new();
        }
        if self.output.is_empty() && self.output.capacity() > IDLE_BYTES_MAX {
            self.output = Vec::new();
        }
    }

    /// Waits until something happens: bytes can be written (if there are any),
    /// bytes arrive (if `read`), the link is woken, or the timer runs out.
    pub(super) async fn wait(
        &mut self,
        link: Option<&Link>,
        read: bool,
        timer: Option<Pin<&mut Sleep>>,
    ) -> Wakeup {
        let mut timer = timer;
        poll_fn(|context| {
            let mut wakeup = Wakeup::default();
            if self.closed {
                wakeup.closed = true;
                return Poll::Ready(wakeup);
            }
            let mut written = 0;
            while written < self.output.len() {
                let pending = &self.output[written..];
                match Pin::new(&mut self.stream).poll_write(context, pending) {
                    Poll::Ready(Ok(0) | Err(_)) => self.closed = true,
                    Poll::Ready(Ok(count)) => {
                        written += count;
                        wakeup.written = true;
                        continue;
                    }
                    Poll::Pending => {}
                }
                break;
            }
            self.output.drain(..written);
            self.unflushed |= wakeup.written;
            if self.unflushed && self.output.is_empty() {
                match Pin::new(&mut self.stream).poll_flush(context) {
                    Poll::Ready(Ok(())) => self.unflushed = false,
                    Poll::Ready(Err(_)) => self.closed = true,
                    // The stream wakes this task when it can go on.
                    Poll::Pending => {}
                }
            }
            // Also when it could not be written to: what came before counts.
            if read {
                wakeup.readable = self.poll_read(context);
            }
            wakeup.link = link.is_some_and(|link| link.poll_woken(context));
            wakeup.timer = timer
                .as_mut()
                .is_some_and(|timer| timer.as_mut().poll_elapsed(context));
            wakeup.closed = self.closed && !wakeup.readable;
            if wakeup == Wakeup::default() {
                Poll::Pending
            } else {
                Poll::Ready(wakeup)
            }
        })
        .await
    }

    /// Takes what has arrived, without waiting for more; whether there was any.
    pub(super) async fn read_now(&mut self) -> bool {
        poll_fn(|context| Poll::Ready(self.poll_read(context))).await
    }

    fn poll_read(&mut self, context: &mut std::task::Context<'_>) -> bool {
        if self.input_start > 0 {
            self.input.drain(..self.input_start);
            self.input_start = 0;
        }
        let len = self.input.len();
        // Grown only when the socket has something: an idle connection owns no
        // input buffer.
        let mut chunk = [MaybeUninit::uninit(); READ_CHUNK];
        let mut read_any = false;
        while self.input.len() < len + READ_BYTES {
            let mut buffer = ReadBuf::uninit(&mut chunk);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    self.closed = true;
                    break;
                }
                Poll::Ready(Ok(())) => {
                    self.input.extend_from_slice(buffer.filled());
                    read_any = true;
                }
                Poll::Ready(Err(_)) => {
                    self.closed = true;
                    break;
                }
                Poll::Pending => break,
            }
        }
        read_any
    }

    /// Writes what is left and closes the stream, giving up after `patience`.
    pub(super) async fn close(mut self, patience: Duration) {
        let finish = async {
            use tokio::io::AsyncWriteExt;
            if !self.closed {
                self.stream.write_all(&self.output).await?;
                self.stream.shutdown().await?;
            }
            Ok::<(), std::io::Error>(())
        };
        // The client may be gone already; there is nobody to tell.
        let _ = tokio::time::timeout(patience, finish).await;
    }
}

/// Bytes moved from the socket at a time; on the stack, so that waiting costs
/// no memory.
const READ_CHUNK: usize = 16 * 1024;

trait PollElapsed {
    fn poll_elapsed(self, context: &mut std::task::Context<'_>) -> bool;
}

impl PollElapsed for Pin<&mut Sleep> {
    fn poll_elapsed(self, context: &mut std::task::Context<'_>) -> bool {
        use std::future::Future;
        self.poll(context).is_ready()
    }
}
