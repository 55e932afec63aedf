//! MQTT over WebSocket: the messages of the client as one stream of bytes.
//! MQTT packets may be split and joined over messages and frames in any way.
//!
//! **Not here**: the HTTP request before it (`upgrade`), frames (the library).

pub(crate) mod upgrade;

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig, WebSocketContext};

use super::transport::Transport;
use crate::counters::Counters;

/// Most bytes of one message of ours.
const MESSAGE_BYTES: usize = 16 * 1024;

/// Buffer for reading; the library makes it at once.
const READ_BYTES: usize = 4 * 1024;

/// Largest messages taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageBounds {
    /// From who has not connected yet.
    pub(crate) before_connect: usize,
    /// From who has.
    pub(crate) after_connect: usize,
}

/// A WebSocket over another stream.
pub(crate) struct WebSocket<S> {
    stream: S,
    context: WebSocketContext,
    bounds: MessageBounds,
    counters: Arc<Counters>,
    /// What is left of the message that came last.
    message: Bytes,
    /// Nothing more will come.
    ended: bool,
    /// The library holds bytes that the stream did not take.
    queued: bool,
    /// Our close frame has been given to the library.
    closing: bool,
}

impl<S: Transport> WebSocket<S> {
    /// After the upgrade; `read` came behind it already.
    pub(crate) fn new(
        stream: S,
        read: Vec<u8>,
        bounds: MessageBounds,
        counters: Arc<Counters>,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(bounds.before_connect))
            .max_frame_size(Some(bounds.before_connect));
        Self {
            stream,
            context: WebSocketContext::from_partially_read(read, Role::Server, Some(config)),
            bounds,
            counters,
            message: Bytes::new(),
            ended: false,
            queued: false,
            closing: false,
        }
    }

    fn parts<'a, 'b>(
        &'a mut self,
        context: &'a mut Context<'b>,
    ) -> (&'a mut WebSocketContext, Waiting<'a, 'b, S>) {
        let stream = Waiting {
            stream: &mut self.stream,
            context,
        };
        (&mut self.context, stream)
    }

    /// Tells a client what it did wrong; the connection is of no use then.
    fn refuse(
        &mut self,
        context: &mut Context<'_>,
        code: CloseCode,
        text: &'static str,
    ) -> io::Error {
        self.counters.protocol_errors.add(1);
        self.ended = true;
        self.closing = true;
        let frame = CloseFrame {
            code,
            reason: text.into(),
        };
        let (socket, mut stream) = self.parts(context);
        // As far as it goes without waiting: it may not be listening.
        let _ = socket.close(&mut stream, Some(frame));
        tracing::info!(text, "a WebSocket client broke the protocol");
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (socket, mut stream) = self.parts(context);
        match socket.flush(&mut stream) {
            Ok(()) | Err(Error::ConnectionClosed) => {
                self.queued = false;
                Poll::Ready(Ok(()))
            }
            Err(error) => poll_error(error),
        }
    }
}

impl<S: Transport> Transport for WebSocket<S> {
    fn opened(&mut self) {
        let bytes_max = self.bounds.after_connect;
        self.context.set_config(|config| {
            config.max_message_size = Some(bytes_max);
            config.max_frame_size = Some(bytes_max);
        });
        self.stream.opened();
    }
}

impl<S: Transport> AsyncRead for WebSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.message.is_empty() {
                let count = this.message.len().min(into.remaining());
                into.put_slice(&this.message[..count]);
                this.message.advance(count);
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            let (socket, mut stream) = this.parts(context);
            let (code, text) = match socket.read(&mut stream) {
                Ok(Message::Binary(message)) => {
                    this.message = message;
                    continue;
                }
                // [MQTT-6.0.0-1]
                Ok(Message::Text(_)) => (CloseCode::Unsupported, "MQTT takes binary frames only"),
                // The library answers them when it is called again.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {
                    continue;
                }
                Err(
                    Error::ConnectionClosed
                    | Error::AlreadyClosed
                    | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                ) => {
                    this.ended = true;
                    continue;
                }
                Err(Error::Capacity(_)) => (CloseCode::Size, "the message is too large"),
                Err(Error::Protocol(_)) => (CloseCode::Protocol, "not a valid frame"),
                Err(Error::Utf8(_)) => (CloseCode::Unsupported, "MQTT takes binary frames only"),
                Err(error) => return poll_error(error),
            };
            return Poll::Ready(Err(this.refuse(context, code, text)));
        }
    }
}

impl<S: Transport> AsyncWrite for WebSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // One message at a time is held for a client that does not read.
        if this.queued {
            std::task::ready!(this.poll_sent(context))?;
        }
        let count = bytes.len().min(MESSAGE_BYTES);
        let message = Message::Binary(Bytes::copy_from_slice(&bytes[..count]));
        let (socket, mut stream) = this.parts(context);
        match socket.write(&mut stream, message) {
            Ok(()) => Poll::Ready(Ok(count)),
            // It was taken, but not all of it has left.
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                this.queued = true;
                Poll::Ready(Ok(count))
            }
            Err(error) => poll_error(error),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_sent(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closing {
            this.closing = true;
            let frame = CloseFrame {
                code: CloseCode::Normal,
                reason: "".into(),
            };
            let (socket, mut stream) = this.parts(context);
            match socket.close(&mut stream, Some(frame)) {
                Ok(()) | Err(Error::ConnectionClosed) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return poll_error(error),
            }
        }
        std::task::ready!(this.poll_sent(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

fn poll_error<T>(error: Error) -> Poll<io::Result<T>> {
    match error {
        Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        Error::Io(error) => Poll::Ready(Err(error)),
        error => Poll::Ready(Err(io::Error::other(error))),
    }
}

/// A stream as the library wants it: what would wait is an error, and the task
/// is woken when it is worth another try.
struct Waiting<'a, 'b, S> {
    stream: &'a mut S,
    context: &'a mut Context<'b>,
}

fn now<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl<S: Transport> Read for Waiting<'_, '_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut into = ReadBuf::new(into);
        now(Pin::new(&mut *self.stream).poll_read(self.context, &mut into))?;
        Ok(into.filled().len())
    }
}

impl<S: Transport> Write for Waiting<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now(Pin::new(&mut *self.stream).poll_write(self.context, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        now(Pin::new(&mut *self.stream).poll_flush(self.context))
    }
}
