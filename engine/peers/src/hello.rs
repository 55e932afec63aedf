//! What two nodes say to each other before anything else.
//!
//! The one who dials sends a [`Hello`]; the other one answers with its own
//! (*welcome*) or with a refusal. Both check what they got. The form of this
//! exchange is the same in all versions: fields are only ever added at the end.
//!
//! The layout stands in docs/formats/peers.md.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Oldest version of the protocol that is spoken here.
pub(crate) const VERSION_MIN: u16 = 1;

/// Newest version of the protocol that is spoken here.
pub(crate) const VERSION_MAX: u16 = 1;

const MAGIC: &[u8; 4] = b"RMQP";

const FIXED_BYTES: usize = 66;

/// Longest text in it.
const TEXT_BYTES_MAX: usize = 512;

/// Longest message of the exchange.
pub(crate) const HELLO_BYTES_MAX: usize = 4096;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// The one connection of a pair of nodes.
    Member = 0,
    /// Questions of a node that is not known yet, or that asks an address.
    Visit = 1,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Number of the node; its certificate was made for it.
    pub node_id: u64,
    /// The cluster it belongs to; `None` while it belongs to none.
    pub cluster_id: Option<String>,
    /// Incarnation of its data directory.
    pub incarnation: u128,
    /// Where it says that others reach it.
    pub address: String,
    /// What it runs, for people.
    pub software: String,
    /// What the connection is for.
    pub purpose: Purpose,
    pub(crate) versions: (u16, u16),
    pub(crate) run: u64,
    pub(crate) attempt: u64,
    pub(crate) is_used: bool,
    pub(crate) body_bytes_max: u32,
    pub(crate) in_flight_max: u32,
    pub(crate) in_flight_bytes_max: u64,
}

/// It cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no greeting of a RobustMQ node")]
pub struct NoHello;

impl Hello {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(FIXED_BYTES + 128);
        out.put_slice(MAGIC);
        out.put_u16_le(self.versions.0);
        out.put_u16_le(self.versions.1);
        out.put_u64_le(self.node_id);
        out.put_u128_le(self.incarnation);
        out.put_u64_le(self.run);
        out.put_u64_le(self.attempt);
        out.put_u8(self.purpose as u8);
        out.put_u8(u8::from(self.is_used));
        out.put_u32_le(self.body_bytes_max);
        out.put_u32_le(self.in_flight_max);
        out.put_u64_le(self.in_flight_bytes_max);
        let cluster_id = self.cluster_id.as_deref().unwrap_or_default();
        for text in [cluster_id, &self.address, &self.software] {
            let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
            out.put_u16_le(text.len() as u16);
            out.put_slice(text.as_bytes());
        }
        out.freeze()
    }

    /// Reads what [`Self::encode`] wrote, or a later version of it.
    ///
    /// # Errors
    /// [`NoHello`] for anything else.
    pub fn decode(mut input: &[u8]) -> Result<Self, NoHello> {
        if input.len() < FIXED_BYTES || !input.starts_with(MAGIC) {
            return Err(NoHello);
        }
        input.advance(MAGIC.len());
        let versions = (input.get_u16_le(), input.get_u16_le());
        let node_id = input.get_u64_le();
        let incarnation = input.get_u128_le();
        let (run, attempt) = (input.get_u64_le(), input.get_u64_le());
        let purpose = match input.get_u8() {
            0 => Purpose::Member,
            1 => Purpose::Visit,
            _ => return Err(NoHello),
        };
        let is_used = input.get_u8() == 1;
        let body_bytes_max = input.get_u32_le();
        let in_flight_max = input.get_u32_le();
        let in_flight_bytes_max = input.get_u64_le();
        let cluster_id = text(&mut input)?;
        let address = text(&mut input)?;
        let software = text(&mut input)?;
        Ok(Self {
            node_id,
            cluster_id: (!cluster_id.is_empty()).then_some(cluster_id),
            incarnation,
            address,
            software,
            purpose,
            versions,
            run,
            attempt,
            is_used,
            body_bytes_max,
            in_flight_max,
            in_flight_bytes_max,
        })
    }

    /// The newest version that both speak, if there is one.
    pub(crate) fn common_version(&self) -> Option<u16> {
        let newest = self.versions.1.min(VERSION_MAX);
        (newest >= self.versions.0.max(VERSION_MIN)).then_some(newest)
    }
}

fn text(input: &mut &[u8]) -> Result<String, NoHello> {
    if input.len() < 2 {
        return Err(NoHello);
    }
    let bytes = usize::from(input.get_u16_le());
    if bytes > TEXT_BYTES_MAX || bytes > input.len() {
        return Err(NoHello);
    }
    let (text, rest) = input.split_at(bytes);
    *input = rest;
    let text = std::str::from_utf8(text).map_err(|_| NoHello)?;
    // It ends up in log lines.
    match text.contains(char::is_control) {
        true => Err(NoHello),
        false => Ok(text.to_owned()),
    }
}

/// Why a node is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// For this reason, which tells people what to do.
    For(String),
    /// There is a connection already that the other node will notice soon.
    Superseded,
}

const KIND_SUPERSEDED: u16 = 1;

impl Refusal {
    pub(crate) fn encode(&self) -> (u16, Bytes) {
        match self {
            Self::For(reason) => (0, text_bytes(reason)),
            Self::Superseded => (KIND_SUPERSEDED, Bytes::new()),
        }
    }

    pub(crate) fn decode(kind: u16, body: &[u8]) -> Self {
        match kind {
            KIND_SUPERSEDED => Self::Superseded,
            _ => Self::For(readable(body)),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(reason) => f.write_str(reason),
            Self::Superseded => f.write_str("there is another connection already"),
        }
    }
}

/// Longest text for people.
pub(crate) const REASON_BYTES_MAX: usize = 1024;

/// A text for people as bytes, cut to its limit.
pub(crate) fn text_bytes(text: &str) -> Bytes {
    let end = text.floor_char_boundary(REASON_BYTES_MAX);
    Bytes::copy_from_slice(&text.as_bytes()[..end])
}

/// A text of the other side as it may stand in a log line.
pub(crate) fn readable(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(REASON_BYTES_MAX)];
    String::from_utf8_lossy(bytes).replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
