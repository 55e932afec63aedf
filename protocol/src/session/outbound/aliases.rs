//! Topic aliases towards the client: a small cache of topic names, its place
//! numbers being the aliases.
//!
//! **Invariants**: an alias is 1..=`alias_max` [MQTT-3.1.2-26]; none is used
//! before a PUBLISH announced it; ≤ `alias_max` names of at most
//! [`TOPIC_BYTES_MAX`] bytes are kept. Which topics get one depends on the
//! calls alone, so a run can be repeated.
//!
//! Sets of four with the least used going first: a lookup costs one hash and
//! at most four comparisons however many aliases there are. A topic that is in
//! use is only pushed out after it was missed a few times, so a stream of
//! topics seen once does not wash out those seen often.

/// Longer topic names get no alias.
pub(super) const TOPIC_BYTES_MAX: usize = 4096;
/// Shorter names cost less on the wire than the alias property.
const TOPIC_BYTES_MIN: usize = 4;
/// Places among which a topic name competes.
const WAYS: usize = 4;
/// Misses a much used topic outlives.
const CREDIT_MAX: u8 = 3;

/// How to name a topic in a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasUse {
    /// Send the Topic Name, no alias.
    None,
    /// Send the Topic Name and this alias, which stands for it from then on.
    Announce(u16),
    /// Send an empty Topic Name and this alias.
    Use(u16),
}

#[derive(Clone, Debug, Default)]
struct Place {
    topic: Option<Box<str>>,
    credit: u8,
}

#[derive(Debug)]
pub(super) struct OutboundAliases {
    alias_max: u16,
    /// Alias i + 1 is place i. Empty until the first topic comes, so that an
    /// idle connection pays nothing.
    places: Vec<Place>,
}

impl OutboundAliases {
    pub(super) fn new(alias_max: u16) -> Self {
        Self {
            alias_max,
            places: Vec::new(),
        }
    }

    pub(super) fn alias_for(&mut self, topic: &str) -> AliasUse {
        let wanted = (TOPIC_BYTES_MIN..=TOPIC_BYTES_MAX).contains(&topic.len());
        if self.alias_max == 0 || !wanted {
            return AliasUse::None;
        }
        if self.places.is_empty() {
            let count = usize::from(self.alias_max);
            self.places.resize(count, Place::default());
        }
        let start = self.set_start(topic);
        let end = (start + WAYS).min(self.places.len());
        let set = &mut self.places[start..end];
        let known = |place: &Place| place.topic.as_deref() == Some(topic);
        if let Some(way) = set.iter().position(known) {
            set[way].credit = (set[way].credit + 1).min(CREDIT_MAX);
            return AliasUse::Use(alias_of(start + way));
        }
        let free = set.iter().position(|place| place.topic.is_none());
        let weakest = || (0..set.len()).min_by_key(|&way| set[way].credit);
        let Some(way) = free.or_else(weakest) else {
            return AliasUse::None;
        };
        let place = &mut set[way];
        if place.topic.is_some() && place.credit > 0 {
            place.credit -= 1;
            return AliasUse::None;
        }
        place.topic = Some(topic.into());
        AliasUse::Announce(alias_of(start + way))
    }

    pub(super) fn forget(&mut self, alias: u16) {
        let index = usize::from(alias).checked_sub(1);
        if let Some(place) = index.and_then(|index| self.places.get_mut(index)) {
            *place = Place::default();
        }
    }

    /// First place of the set a topic belongs to.
    fn set_start(&self, topic: &str) -> usize {
        let sets = self.places.len().div_ceil(WAYS) as u64;
        let set = hash(topic.as_bytes()) % sets;
        usize::try_from(set).expect("less than the number of places") * WAYS
    }
}

fn alias_of(place: usize) -> u16 {
    u16::try_from(place + 1).expect("there are at most 65 535 places")
}

/// FNV-1a: the same in every process, and nobody gains by collisions here.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^ (hash >> 32)
}
