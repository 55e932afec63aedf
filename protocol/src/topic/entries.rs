//! The subscribers of one filter: mostly one, sometimes very many.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Up to here a subscriber is found by looking at all.
const SCANNED_MAX: usize = 16;

/// Values by key. Small where there is one of them, in one piece of memory for
/// the one who visits all where there are many.
#[derive(Debug, Default)]
pub(super) enum Entries<K, V> {
    #[default]
    None,
    One(K, V),
    Many(Box<Many<K, V>>),
}

impl<K: Eq + Hash, V> Entries<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn for_each(&self, visit: &mut impl FnMut(&K, &V)) {
        match self {
            Self::None => {}
            Self::One(key, value) => visit(key, value),
            Self::Many(many) => many.list.iter().for_each(|(key, value)| visit(key, value)),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::One(known, value) if known == key => Some(value),
            Self::Many(many) => many.find(key).map(|at| &many.list[at].1),
            _ => None,
        }
    }

    /// Adds or replaces; gives back what was replaced.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::One(known, old) if *known == key => return Some(std::mem::replace(old, value)),
            Self::Many(many) => return many.insert(key, value),
            Self::None | Self::One(..) => {}
        }
        *self = match std::mem::take(self) {
            Self::One(first_key, first_value) => Self::Many(Box::new(Many {
                list: vec![(first_key, first_value), (key, value)],
                index: None,
            })),
            _ => Self::One(key, value),
        };
        None
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            Self::One(known, _) if known == key => match std::mem::take(self) {
                Self::One(_, value) => Some(value),
                _ => None,
            },
            Self::Many(many) => {
                let removed = many.remove(key)?;
                if many.list.len() == 1 {
                    *self = many
                        .list
                        .pop()
                        .map_or(Self::None, |(key, value)| Self::One(key, value));
                }
                Some(removed)
            }
            _ => None,
        }
    }
}

/// Two subscribers or more.
#[derive(Debug)]
pub(super) struct Many<K, V> {
    list: Vec<(K, V)>,
    /// Places in `list` by key; there when the list is longer than is scanned.
    index: Option<Index>,
}

impl<K: Eq + Hash, V> Many<K, V> {
    fn find(&self, key: &K) -> Option<usize> {
        match &self.index {
            None => self.list.iter().position(|(known, _)| known == key),
            Some(index) => index.find(&self.list, key),
        }
    }

    fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(at) = self.find(&key) {
            return Some(std::mem::replace(&mut self.list[at].1, value));
        }
        let place =
            u32::try_from(self.list.len()).expect("fewer than 2^32 subscribers of a filter");
        self.list.push((key, value));
        match &mut self.index {
            Some(index) => index.add(&self.list, place),
            None if self.list.len() > SCANNED_MAX => {
                let mut index = Index::default();
                (0..=place).for_each(|place| index.add(&self.list, place));
                self.index = Some(index);
            }
            None => {}
        }
        None
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key)?;
        if let Some(index) = &mut self.index {
            index.forget(&self.list, at);
        }
        let (_, value) = self.list.swap_remove(at);
        // Half of what starts the index, so that one subscriber that comes and
        // goes does not build it over and over.
        if self.list.len() <= SCANNED_MAX / 2 {
            self.index = None;
        }
        if self.list.len() < self.list.capacity() / 4 {
            self.list.shrink_to_fit();
            if let Some(index) = &mut self.index {
                index.shrink(&self.list);
            }
        }
        Some(value)
    }
}

/// Where each key stands in a list.
#[derive(Debug, Default)]
struct Index {
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Index {
    fn find<K: Eq + Hash, V>(&self, list: &[(K, V)], key: &K) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        let place = self
            .places
            .find(hash, |place| list[*place as usize].0 == *key)?;
        Some(*place as usize)
    }

    fn add<K: Hash, V>(&mut self, list: &[(K, V)], place: u32) {
        let hash = |place: &u32| self.hasher.hash_one(&list[*place as usize].0);
        self.places.insert_unique(hash(&place), place, hash);
    }

    /// Takes out the place `at` before a `swap_remove`: the last element gets
    /// its place.
    fn forget<K: Hash, V>(&mut self, list: &[(K, V)], at: usize) {
        let last = list.len() - 1;
        let removed = self.hasher.hash_one(&list[at].0);
        if let Ok(entry) = self
            .places
            .find_entry(removed, |place| *place as usize == at)
        {
            entry.remove();
        }
        let moved = self.hasher.hash_one(&list[last].0);
        if let Some(place) = self.places.find_mut(moved, |place| *place as usize == last) {
            *place = at as u32;
        }
    }

    fn shrink<K: Hash, V>(&mut self, list: &[(K, V)]) {
        self.places
            .shrink_to_fit(|place| self.hasher.hash_one(&list[*place as usize].0));
    }
}

#[cfg(test)]
mod tests;
