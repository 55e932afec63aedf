//! Where things lie in the store: one byte per view, then the namespace, then
//! names and big-endian numbers, so that scans come in the order wanted. The
//! table is in `docs/formats/views.md`.
//!
//! A namespace holds no U+0000 (batches are checked for that), a name at the
//! end of a key stands as it is, a name followed by something has its length in
//! front.

use robustmq_record::{Offset, ShardId};

use crate::delayed::DelayedMessage;
use crate::store::KeyRange;

/// Version of the layout of keys and values. A store written with another one
/// is thrown away and folded anew.
pub const VIEW_FORMAT_VERSION: u32 = 1;

/// Up to where a shard has been folded.
pub(crate) const APPLIED: u8 = b'a';
/// Where the folding of a shard began whose log had lost its beginning.
pub(crate) const REBUILD: u8 = b'b';
/// Session cores.
pub(crate) const CORE: u8 = b's';
/// Sessions' cursors and in-flight windows.
pub(crate) const DELIVERY: u8 = b'd';
/// Sessions' subscriptions.
pub(crate) const SUBSCRIPTION: u8 = b'u';
/// Wills and session ends by time.
pub(crate) const TIMER: u8 = b't';
/// Retained messages.
pub(crate) const RETAINED: u8 = b'r';
/// Retained messages that expire, by time.
pub(crate) const EXPIRING: u8 = b'e';
/// QoS 2 publishes that are not released.
pub(crate) const INBOUND: u8 = b'i';
/// Messages that wait for their time, by where they were stored.
pub(crate) const DELAYED: u8 = b'l';
/// The same by the time they are due.
pub(crate) const DUE: u8 = b'f';
/// Rules by family and name.
pub(crate) const RULE: u8 = b'k';
/// Retained and delayed messages, rules and sessions by the offset they depend on.
pub(crate) const SOURCE: u8 = b'o';
/// While a shard is rebuilt: what was touched and is not there.
pub(crate) const TOUCHED: u8 = b'x';
/// While a shard is rebuilt: what is said about sessions whose copy follows.
pub(crate) const HELD: u8 = b'y';

fn in_namespace(view: u8, namespace: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    key.push(view);
    key.extend_from_slice(namespace.as_bytes());
    key.push(0);
    key
}

fn push_sized(key: &mut Vec<u8>, name: &str) {
    // A name in a batch is shorter than a batch, and that is below 4 GiB.
    key.extend_from_slice(&(name.len() as u32).to_be_bytes());
    key.extend_from_slice(name.as_bytes());
}

/// All keys of a view in a namespace.
pub(crate) fn view(view: u8, namespace: &str) -> KeyRange {
    KeyRange::prefix(in_namespace(view, namespace))
}

pub(crate) fn of_shard(view: u8, shard: ShardId) -> Vec<u8> {
    let mut key = vec![view];
    key.extend_from_slice(&shard.0.to_be_bytes());
    key
}

pub(crate) fn core(namespace: &str, client_id: &str) -> Vec<u8> {
    named(CORE, namespace, client_id)
}

pub(crate) fn delivery(namespace: &str, client_id: &str) -> Vec<u8> {
    named(DELIVERY, namespace, client_id)
}

pub(crate) fn retained(namespace: &str, topic: &str) -> Vec<u8> {
    named(RETAINED, namespace, topic)
}

pub(crate) fn rule(namespace: &str, family: &str, name: &str) -> Vec<u8> {
    let mut key = of_family(namespace, family);
    key.extend_from_slice(name.as_bytes());
    key
}

/// The prefix of a family's rules. A family's name holds no U+0000: it is the
/// engine's own.
pub(crate) fn of_family(namespace: &str, family: &str) -> Vec<u8> {
    let mut key = named(RULE, namespace, family);
    key.push(0);
    key
}

/// Family and name at the end of a rule's key.
pub(crate) fn take_rule(name: &str) -> Option<(&str, &str)> {
    name.split_once('\0')
}

fn named(view: u8, namespace: &str, name: &str) -> Vec<u8> {
    let mut key = in_namespace(view, namespace);
    key.extend_from_slice(name.as_bytes());
    key
}

/// The prefix of everything of one client in a view of several entries per
/// client.
pub(crate) fn of_client(view: u8, namespace: &str, client_id: &str) -> Vec<u8> {
    let mut key = in_namespace(view, namespace);
    push_sized(&mut key, client_id);
    key
}

pub(crate) fn subscription(namespace: &str, client_id: &str, filter: &str) -> Vec<u8> {
    let mut key = of_client(SUBSCRIPTION, namespace, client_id);
    key.extend_from_slice(filter.as_bytes());
    key
}

pub(crate) fn inbound(namespace: &str, client_id: &str, shard: ShardId, packet_id: u16) -> Vec<u8> {
    let mut key = of_client(INBOUND, namespace, client_id);
    key.extend_from_slice(&shard.0.to_be_bytes());
    key.extend_from_slice(&packet_id.to_be_bytes());
    key
}

pub(crate) fn timer(namespace: &str, at_ms: u64, kind: u8, client_id: &str) -> Vec<u8> {
    let mut key = timed(TIMER, namespace, at_ms);
    key.push(kind);
    key.extend_from_slice(client_id.as_bytes());
    key
}

pub(crate) fn expiring(namespace: &str, at_ms: u64, topic: &str) -> Vec<u8> {
    let mut key = timed(EXPIRING, namespace, at_ms);
    key.extend_from_slice(topic.as_bytes());
    key
}

/// All keys of a view by time that come before everything at `at_ms`.
pub(crate) fn before(view_byte: u8, namespace: &str, at_ms: u64) -> KeyRange {
    view(view_byte, namespace).up_to(timed(view_byte, namespace, at_ms))
}

fn timed(view: u8, namespace: &str, at_ms: u64) -> Vec<u8> {
    let mut key = in_namespace(view, namespace);
    key.extend_from_slice(&at_ms.to_be_bytes());
    key
}

pub(crate) fn delayed(namespace: &str, (shard, offset): (ShardId, Offset)) -> Vec<u8> {
    let mut key = in_namespace(DELAYED, namespace);
    push_place(&mut key, shard, offset);
    key
}

/// Those due at one time lie in the order of their publishing.
pub(crate) fn due(namespace: &str, message: &DelayedMessage) -> Vec<u8> {
    let mut key = timed(DUE, namespace, message.due_ms);
    key.extend_from_slice(&message.published_ms.to_be_bytes());
    push_place(&mut key, message.shard, message.offset);
    key
}

fn push_place(key: &mut Vec<u8>, shard: ShardId, offset: Offset) {
    key.extend_from_slice(&shard.0.to_be_bytes());
    key.extend_from_slice(&offset.0.to_be_bytes());
}

/// Shard and offset at the end of a key.
pub(crate) fn take_place(bytes: &[u8]) -> Option<(ShardId, Offset)> {
    let (shard, rest) = bytes.split_first_chunk::<4>()?;
    let offset = u64::from_be_bytes(rest.try_into().ok()?);
    Some((ShardId(u32::from_be_bytes(*shard)), Offset(offset)))
}

/// Where the entry with key `entry` is noted under the offset it depends on.
pub(crate) fn source(shard: ShardId, source: Offset, entry: &[u8]) -> Vec<u8> {
    let mut key = sources_from(shard, source);
    key.extend_from_slice(entry);
    key
}

/// The first key of what depends on an offset.
pub(crate) fn sources_from(shard: ShardId, source: Offset) -> Vec<u8> {
    let mut key = of_shard(SOURCE, shard);
    key.extend_from_slice(&source.0.to_be_bytes());
    key
}

/// Where it is noted that the entry with key `entry` was touched.
pub(crate) fn touched(shard: ShardId, entry: &[u8]) -> Vec<u8> {
    let mut key = of_shard(TOUCHED, shard);
    key.extend_from_slice(entry);
    key
}

/// The prefix of what is held of one session.
pub(crate) fn held(shard: ShardId, namespace: &str, client_id: &str) -> Vec<u8> {
    let mut key = of_shard(HELD, shard);
    key.extend_from_slice(&of_client(HELD, namespace, client_id));
    key
}

/// Where a record about a session is held; [`Offset::ZERO`] for where it began.
pub(crate) fn held_at(prefix: &[u8], at: Offset) -> Vec<u8> {
    [prefix, &at.0.to_be_bytes()].concat()
}

/// The entry's key of a [`source`] key.
pub(crate) fn entry_of_source(key: &[u8]) -> Option<&[u8]> {
    key.get(1 + 4 + 8..)
}

/// View, namespace and what follows, of an entry's key.
pub(crate) fn split(key: &[u8]) -> Option<(u8, &str, &[u8])> {
    let (view, rest) = key.split_first()?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let namespace = std::str::from_utf8(&rest[..end]).ok()?;
    Some((*view, namespace, &rest[end + 1..]))
}

/// The name at the end of a key.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// A big-endian number at the front, and what follows.
pub(crate) fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

/// A name with its length in front, and what follows.
pub(crate) fn take_sized(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let len = u32::from_be_bytes(*len) as usize;
    Some((text(rest.get(..len)?)?, &rest[len..]))
}

/// Shard and packet identifier at the end of an inbound key.
pub(crate) fn take_inbound(bytes: &[u8]) -> Option<(ShardId, u16)> {
    let (shard, rest) = bytes.split_first_chunk::<4>()?;
    let packet_id = rest.try_into().ok()?;
    Some((
        ShardId(u32::from_be_bytes(*shard)),
        u16::from_be_bytes(packet_id),
    ))
}
