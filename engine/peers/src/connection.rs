//! One connection at work: frames in, frames out, signs of life.
//!
//! **Invariants**
//! 1. The reader never waits for a handler, so answers and signs of life are
//!    never stuck behind requests.
//! 2. A link on which nothing has come for `silence_max` is dead.
//!
//! **Not here**: how a connection comes about (`handshake`).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_rustls::TlsStream;

use crate::error::CallError;
use crate::exchange::{End, Exchange};
use crate::frame::{Assembler, FrameType, Header, Lane, Message, decode};
use crate::handshake::Wire;
use crate::hello::{readable, text_bytes};
use crate::peers::Inside;
use crate::request::Request;
use crate::stats::Counters;

/// Room for input.
const INPUT_BYTES: usize = 128 * 1024;

/// Time for the last words.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Works until the connection or the exchange ends; says why.
pub(crate) async fn drive(
    wire: Wire<TlsStream<TcpStream>>,
    from: u64,
    exchange: &Arc<Exchange>,
    inside: &Arc<Inside>,
) -> String {
    let (read, write) = tokio::io::split(wire.stream);
    let mut reader = Reader {
        from,
        exchange,
        inside,
        assembler: Assembler::default(),
    };
    let reading = reader.run(read, wire.input);
    let writing = write_frames(write, exchange, inside);
    tokio::pin!(writing);
    let reason = tokio::select! {
        reason = reading => reason,
        reason = &mut writing => return reason,
    };
    // The writer says farewell, if it still can.
    exchange.finish(End::Lost(reason.clone()));
    let _ = tokio::time::timeout(FAREWELL_TIMEOUT, writing).await;
    reason
}

async fn write_frames(
    mut write: impl AsyncWrite + Unpin,
    exchange: &Exchange,
    inside: &Inside,
) -> String {
    match try_write_frames(&mut write, exchange, inside).await {
        Ok(reason) => reason,
        Err(error) => format!("it cannot be written to: {error}"),
    }
}

async fn try_write_frames(
    write: &mut (impl AsyncWrite + Unpin),
    exchange: &Exchange,
    inside: &Inside,
) -> io::Result<String> {
    let mut pieces = Vec::new();
    let mut out = BytesMut::new();
    let mut signs = tokio::time::interval(inside.limits.ping_interval);
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if let Some(end) = exchange.take_batch(&mut pieces) {
            let reason = match end {
                End::Lost(reason) => reason,
                End::Shutdown => "the node shuts down or has done".to_owned(),
            };
            let body = text_bytes(&reason);
            Header::plain(FrameType::Farewell, 0, body.len() as u32).encode(&mut out);
            out.extend_from_slice(&body);
            let last_words = async {
                write.write_all(&out).await?;
                write.shutdown().await
            };
            return match tokio::time::timeout(FAREWELL_TIMEOUT, last_words).await {
                Ok(Err(error)) => Err(error),
                _ => Ok(reason),
            };
        }
        let mut frames = pieces.len();
        if pieces.is_empty() {
            tokio::select! {
                () = exchange.to_write() => continue,
                _ = signs.tick() => Header::plain(FrameType::Ping, 0, 0).encode(&mut out),
            }
            frames = 1;
        }
        for piece in pieces.drain(..) {
            piece.header.encode(&mut out);
            out.extend_from_slice(&piece.chunk);
        }
        write.write_all(&out).await?;
        write.flush().await?;
        Counters::add(&inside.counters.frames_out, frames);
        Counters::add(&inside.counters.bytes_out, out.len());
        Counters::add(&inside.counters.writes, 1);
        out.clear();
    }
}

struct Reader<'a> {
    from: u64,
    exchange: &'a Arc<Exchange>,
    inside: &'a Arc<Inside>,
    assembler: Assembler,
}

impl Reader<'_> {
    async fn run(&mut self, mut read: impl AsyncRead + Unpin, mut input: BytesMut) -> String {
        let silence_max = self.inside.limits.silence_max;
        let mut heard_at = Instant::now();
        let alarm = tokio::time::sleep_until(heard_at + silence_max);
        tokio::pin!(alarm);
        loop {
            if let Err(reason) = self.take_frames(&mut input) {
                return reason;
            }
            input.reserve(INPUT_BYTES);
            tokio::select! {
                // What has come counts, also when this process slept over it.
                biased;
                came = read.read_buf(&mut input) => match came {
                    Ok(0) => return "the other node closed it".to_owned(),
                    Ok(bytes) => {
                        heard_at = Instant::now();
                        Counters::add(&self.inside.counters.bytes_in, bytes);
                    }
                    Err(error) => return format!("it cannot be read from: {error}"),
                },
                () = &mut alarm => {
                    let dead_at = heard_at + silence_max;
                    if Instant::now() >= dead_at {
                        return format!("nothing came over it for {silence_max:?}");
                    }
                    alarm.as_mut().reset(dead_at);
                }
            }
        }
    }

    fn take_frames(&mut self, input: &mut BytesMut) -> Result<(), String> {
        let max = self.inside.limits.body_bytes_max;
        let mut frames = 0;
        while let Some(frame) = decode(input, max).map_err(|error| error.to_string())? {
            frames += 1;
            let message = self.assembler.push(frame);
            if let Some(message) = message.map_err(|error| error.to_string())? {
                self.take(message)?;
            }
        }
        Counters::add(&self.inside.counters.frames_in, frames);
        Ok(())
    }

    fn take(&self, message: Message) -> Result<(), String> {
        let Message { header, body } = message;
        match header.frame_type {
            FrameType::Request => return self.serve(header, body),
            FrameType::Answer => {
                self.exchange.complete(header.id, Ok(body));
            }
            FrameType::Failure => {
                let refused = CallError::Refused(readable(&body));
                self.exchange.complete(header.id, Err(refused));
            }
            FrameType::Ping => {}
            FrameType::Farewell => {
                return Err(format!("the other node ended it: {}", readable(&body)));
            }
            other => return Err(format!("a frame out of place: {other:?}")),
        }
        Ok(())
    }

    fn serve(&self, header: Header, body: Bytes) -> Result<(), String> {
        let Header { id, kind, lane, .. } = header;
        let reply = Reply {
            exchange: Arc::clone(self.exchange),
            id,
            lane,
            request_bytes: body.len(),
            outcome: None,
        };
        if !self.exchange.begin(lane, body.len()) {
            return Err("more requests came than were granted".to_owned());
        }
        let request = Request { kind, body, lane };
        let answering = self.inside.handler.handle(self.from, request);
        self.inside.runtime.spawn(async move {
            let mut reply = reply;
            if lane != Lane::Urgent {
                reply.exchange.room_for_answers().await;
            }
            reply.outcome = Some(answering.await);
        });
        Ok(())
    }
}

/// Answers when it goes, so that also a handler that fell over has answered.
struct Reply {
    exchange: Arc<Exchange>,
    id: u64,
    lane: Lane,
    request_bytes: usize,
    outcome: Option<Result<Bytes, String>>,
}

impl Drop for Reply {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| {
            Err("the node failed while it answered; its log says more".to_owned())
        });
        self.exchange
            .answer(self.id, self.lane, self.request_bytes, outcome);
    }
}
