//! From bytes to a batch: everything is checked once, here.

use bytes::Bytes;

use super::{Batch, BatchParts, Dictionary, HEADER_LEN, Header};
use crate::builder::RECORDS_MAX;
use crate::error::FormatError;
use crate::frame::RAW_LEN_MAX;
use crate::ids::{Offset, ShardId, Term};
use crate::names::Names;
use crate::record::RawRecord;
use crate::wire::Input;

/// The shortest record: length, flags, topic, client, timestamp.
const RECORD_LEN_MIN: usize = 5;

/// What the records of a body say together.
struct Records {
    positions: Vec<u32>,
    slots: Option<Vec<u16>>,
    has_state: bool,
    timestamp_ms_min: u64,
    timestamp_ms_max: u64,
}

impl Batch {
    /// Takes a body apart and validates all of it: lengths, numbers of names,
    /// UTF-8, order of slots, flags.
    ///
    /// # Errors
    /// The first broken rule. Memory used is bounded by the size of `body`.
    pub fn parse(shard: ShardId, index: u64, term: Term, body: Bytes) -> Result<Self, FormatError> {
        let header = Header::read(&body)?;
        let whole = Input::new("batch header", &body);
        if !(1..=Offset::INDEX_MAX).contains(&index) {
            return Err(whole.error("Raft index is outside 1 to 2^48 - 1"));
        }
        if body.len() > RAW_LEN_MAX {
            return Err(whole.error("body is too long"));
        }
        let end = header.dictionary_position as usize;
        if end < HEADER_LEN || end > body.len() {
            return Err(whole.error("dictionary lies outside the body"));
        }
        let dictionary = read_dictionary(&body, end, header.count as usize)?;
        let records = read_records(&body[..end], &header, &dictionary)?;
        if records.has_state != header.has_state {
            return Err(whole.error("state flag does not fit the records"));
        }
        Ok(Self::new(BatchParts {
            shard,
            index,
            term,
            positions: records.positions,
            slots: records.slots,
            dictionary,
            has_state: records.has_state,
            timestamp_base_ms: header.timestamp_base_ms,
            timestamp_ms_min: records.timestamp_ms_min,
            timestamp_ms_max: records.timestamp_ms_max,
            body,
        }))
    }
}

fn read_dictionary(
    body: &[u8],
    position: usize,
    records: usize,
) -> Result<Dictionary, FormatError> {
    let mut input = Input::at("dictionary", body, position);
    let (namespaces, topics, clients) = (input.count(2)?, input.count(2)?, input.count(2)?);
    if namespaces.max(topics).max(clients) > records {
        return Err(input.error("more names than records"));
    }
    // The entries of the namespace table belong to no namespace and say 0.
    let mut dictionary = Dictionary {
        namespaces: Names::read_table(&mut input, namespaces, 1)?,
        topics: Names::read_table(&mut input, topics, namespaces)?,
        clients: Names::read_table(&mut input, clients, namespaces)?,
    };
    dictionary.namespaces.read_text(&mut input)?;
    dictionary.topics.read_text(&mut input)?;
    dictionary.clients.read_text(&mut input)?;
    input.finish()?;
    for id in 0..namespaces {
        if dictionary.namespaces.get(id as u32).1.contains('\0') {
            return Err(input.error("namespace holds U+0000"));
        }
    }
    Ok(dictionary)
}

fn read_records(
    bytes: &[u8],
    header: &Header,
    dictionary: &Dictionary,
) -> Result<Records, FormatError> {
    let mut input = Input::at("record", bytes, HEADER_LEN);
    let count = header.count as usize;
    if count == 0 || count > RECORDS_MAX || count * RECORD_LEN_MIN > input.remaining() {
        return Err(input.error("count is above what the bytes can hold, or zero"));
    }
    let mut records = Records {
        positions: Vec::with_capacity(count),
        slots: header.compacted.then(|| Vec::with_capacity(count)),
        has_state: false,
        timestamp_ms_min: u64::MAX,
        timestamp_ms_max: 0,
    };
    for _ in 0..count {
        records.positions.push(input.position() as u32);
        let raw = RawRecord::read(&mut input, header.compacted)?;
        if records.positions.len() == 1 && raw.timestamp_delta != 0 {
            return Err(input.error("timestamp base is not the first record's"));
        }
        if raw.topic_id as usize >= dictionary.topics.count() {
            return Err(input.error("topic is not in the dictionary"));
        }
        if raw.client_id as usize >= dictionary.clients.count() {
            return Err(input.error("client is not in the dictionary"));
        }
        if let (Some(slots), Some(slot)) = (&mut records.slots, raw.slot) {
            if slots.last().is_some_and(|&before| before >= slot) {
                return Err(input.error("slots do not increase"));
            }
            slots.push(slot);
        }
        let timestamp_ms = header.timestamp_base_ms.wrapping_add(raw.timestamp_delta);
        records.has_state |= raw.is_state();
        records.timestamp_ms_min = records.timestamp_ms_min.min(timestamp_ms);
        records.timestamp_ms_max = records.timestamp_ms_max.max(timestamp_ms);
    }
    input.finish()?;
    Ok(records)
}
