//! Frames: what travels between two nodes.
//!
//! The layout stands in docs/formats/peers.md.
//!
//! **Invariants**
//! 1. A length off the wire is checked against a limit before anything is done
//!    with it.
//! 2. Every frame of a longer body brings it forward: no empty chunks.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of a frame before its chunk.
pub const HEADER_BYTES: usize = 20;

/// Longest chunk.
pub const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// What is reserved for a body before any of it has come.
const RESERVED_BYTES_MAX: usize = 1024 * 1024;

/// Bodies shorter than this are copied out of the input, so that one of them
/// that is kept does not keep all of it.
const COPIED_BYTES_MAX: usize = 1024;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameType {
    /// Who dials, and what it wants.
    Hello = 1,
    /// Who answers the dial.
    Welcome = 2,
    /// No: the body says why, the kind is that of the [`crate::Refusal`].
    Refusal = 3,
    /// The deciding node uses this connection.
    Use = 4,
    /// Asks.
    Request = 5,
    /// Answers.
    Answer = 6,
    /// Answers with a refusal; the body is its text.
    Failure = 7,
    /// Shows that the link is alive.
    Ping = 8,
    /// The last frame; the body says why.
    Farewell = 9,
}

impl FrameType {
    fn read(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Hello,
            2 => Self::Welcome,
            3 => Self::Refusal,
            4 => Self::Use,
            5 => Self::Request,
            6 => Self::Answer,
            7 => Self::Failure,
            8 => Self::Ping,
            9 => Self::Farewell,
            _ => return None,
        })
    }
}

/// How requests share a connection. Each lane has its own queue and its own
/// allowance of unanswered requests; within a lane requests arrive in the order
/// in which they were sent, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Lane {
    /// Before all others: heartbeats, votes. Keep these small.
    Urgent = 0,
    /// Ordinary traffic.
    #[default]
    Ordered = 1,
    /// Large transfers: their chunks take turns with the ordinary traffic.
    Bulk = 2,
}

impl Lane {
    /// All of them, by their number.
    pub(crate) const ALL: [Self; 3] = [Self::Urgent, Self::Ordered, Self::Bulk];

    fn read(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// A frame without its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the chunk.
    pub chunk_bytes: u32,
    /// Bytes of the whole body.
    pub body_bytes: u32,
    /// Number of the request.
    pub id: u64,
    /// Kind of the request.
    pub kind: u16,
    /// What the frame is for.
    pub frame_type: FrameType,
    /// Lane of the body.
    pub lane: Lane,
}

impl Header {
    /// Of a frame that needs no more than its type and a body in one chunk.
    pub(crate) fn plain(frame_type: FrameType, kind: u16, body_bytes: u32) -> Self {
        Self {
            chunk_bytes: body_bytes,
            body_bytes,
            id: 0,
            kind,
            frame_type,
            lane: Lane::Urgent,
        }
    }

    /// Appends it as laid out above.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.chunk_bytes);
        out.put_u32_le(self.body_bytes);
        out.put_u64_le(self.id);
        out.put_u16_le(self.kind);
        out.put_u8(self.frame_type as u8);
        out.put_u8(self.lane as u8);
    }
}

/// A frame of which all has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// Its chunk.
    pub chunk: Bytes,
}

/// What came is not what this version speaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A type or lane that does not exist.
    #[error("a frame of unknown type {frame_type} or lane {lane}")]
    Unknown {
        /// The type's number.
        frame_type: u8,
        /// The lane's number.
        lane: u8,
    },
    /// Longer than agreed.
    #[error("{what} of {bytes} bytes; the most is {max}")]
    TooLong {
        /// Chunk or body.
        what: &'static str,
        /// What was announced.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A chunk that does not fit to what came before it.
    #[error("a chunk out of place: {0}")]
    Misplaced(&'static str),
}

/// Takes the next frame out of `input`; `None` while it is not complete.
///
/// # Errors
/// [`FrameError`]; the connection is of no use then.
pub fn decode(input: &mut BytesMut, body_bytes_max: usize) -> Result<Option<Frame>, FrameError> {
    if input.len() < HEADER_BYTES {
        return Ok(None);
    }
    let mut head = &input[..HEADER_BYTES];
    let chunk_bytes = head.get_u32_le();
    let body_bytes = head.get_u32_le();
    let (id, kind) = (head.get_u64_le(), head.get_u16_le());
    let (type_number, lane_number) = (head.get_u8(), head.get_u8());
    let (Some(frame_type), Some(lane)) = (FrameType::read(type_number), Lane::read(lane_number))
    else {
        return Err(FrameError::Unknown {
            frame_type: type_number,
            lane: lane_number,
        });
    };
    let too_long = |what, bytes: u32, max| FrameError::TooLong {
        what,
        bytes: bytes as usize,
        max,
    };
    if body_bytes as usize > body_bytes_max {
        return Err(too_long("a body", body_bytes, body_bytes_max));
    }
    if chunk_bytes as usize > CHUNK_BYTES_MAX {
        return Err(too_long("a chunk", chunk_bytes, CHUNK_BYTES_MAX));
    }
    if chunk_bytes > body_bytes || (chunk_bytes == 0 && body_bytes > 0) {
        return Err(FrameError::Misplaced("its length does not fit its body"));
    }
    if input.len() < HEADER_BYTES + chunk_bytes as usize {
        return Ok(None);
    }
    input.advance(HEADER_BYTES);
    let chunk = input.split_to(chunk_bytes as usize);
    let chunk = match chunk.len() {
        ..COPIED_BYTES_MAX => Bytes::copy_from_slice(&chunk),
        _ => chunk.freeze(),
    };
    let header = Header {
        chunk_bytes,
        body_bytes,
        id,
        kind,
        frame_type,
        lane,
    };
    Ok(Some(Frame { header, chunk }))
}

/// A body of which all has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The header of its last frame.
    pub header: Header,
    /// All of it.
    pub body: Bytes,
}

/// A body that has come in part.
#[derive(Debug)]
struct Partial {
    header: Header,
    body: BytesMut,
}

/// Puts chunks together: at most one body per lane and direction at a time.
#[derive(Debug, Default)]
pub struct Assembler {
    requests: [Option<Partial>; 3],
    answers: [Option<Partial>; 3],
}

impl Assembler {
    /// Takes a frame; a body when it was the last of one.
    ///
    /// # Errors
    /// [`FrameError::Misplaced`]; the connection is of no use then.
    pub fn push(&mut self, frame: Frame) -> Result<Option<Message>, FrameError> {
        let Frame { header, chunk } = frame;
        let lane = header.lane.index();
        let slot = match header.frame_type {
            FrameType::Request => &mut self.requests[lane],
            FrameType::Answer | FrameType::Failure => &mut self.answers[lane],
            _ if header.chunk_bytes == header.body_bytes => {
                return Ok(Some(Message {
                    header,
                    body: chunk,
                }));
            }
            _ => return Err(FrameError::Misplaced("this type comes in one frame")),
        };
        let Some(partial) = slot else {
            if header.chunk_bytes == header.body_bytes {
                return Ok(Some(Message {
                    header,
                    body: chunk,
                }));
            }
            let reserved = (header.body_bytes as usize).min(RESERVED_BYTES_MAX);
            let mut body = BytesMut::with_capacity(reserved);
            body.extend_from_slice(&chunk);
            *slot = Some(Partial { header, body });
            return Ok(None);
        };
        let expected = Header {
            chunk_bytes: header.chunk_bytes,
            ..partial.header
        };
        if header != expected {
            return Err(FrameError::Misplaced(
                "another body of its lane is not complete",
            ));
        }
        let reached = partial.body.len() + chunk.len();
        if reached > header.body_bytes as usize {
            return Err(FrameError::Misplaced("it goes over the end of its body"));
        }
        partial.body.extend_from_slice(&chunk);
        if reached < header.body_bytes as usize {
            return Ok(None);
        }
        let complete = slot.take().map(|partial| Message {
            header,
            body: partial.body.freeze(),
        });
        Ok(complete)
    }
}

#[cfg(test)]
mod tests;
