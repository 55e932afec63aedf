//! One table of a batch's dictionary: distinct names, numbered as they came.
//!
//! The text is kept as one string, so that a name is a slice that needs no
//! second look at its UTF-8.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::error::FormatError;
use crate::wire::{Input, put_varint, varint_len};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    namespace: u32,
    /// Where the name ends in the text; it starts where the one before ends.
    end: u32,
}

/// Names with the namespace each belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    text: String,
    entries: Vec<Entry>,
}

impl Names {
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// The name's namespace and text; `id` must be below [`Names::count`].
    pub(crate) fn get(&self, id: u32) -> (u32, &str) {
        let id = id as usize;
        let entry = self.entries[id];
        let start = if id == 0 {
            0
        } else {
            self.entries[id - 1].end as usize
        };
        (entry.namespace, &self.text[start..entry.end as usize])
    }

    fn push(&mut self, namespace: u32, name: &str) -> u32 {
        let id = self.entries.len() as u32;
        self.text.push_str(name);
        self.entries.push(Entry {
            namespace,
            end: self.text.len() as u32,
        });
        id
    }

    /// Appends the table without its text: per name its namespace and length.
    pub(crate) fn write_table(&self, out: &mut Vec<u8>) {
        let mut start = 0;
        for entry in &self.entries {
            put_varint(out, u64::from(entry.namespace));
            put_varint(out, u64::from(entry.end - start));
            start = entry.end;
        }
    }

    /// Appends the text.
    pub(crate) fn write_text(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text.as_bytes());
    }

    /// Reads a table of `count` names whose namespaces are below `namespaces`;
    /// [`Names::read_text`] must follow for each table in the same order.
    pub(crate) fn read_table(
        input: &mut Input<'_>,
        count: usize,
        namespaces: usize,
    ) -> Result<Self, FormatError> {
        if count.saturating_mul(2) > input.remaining() {
            return Err(input.error("count is above what the bytes can hold"));
        }
        let mut entries = Vec::with_capacity(count);
        let mut end = 0u32;
        for _ in 0..count {
            let namespace = input.varint32()?;
            if namespace as usize >= namespaces {
                return Err(input.error("namespace is not in the dictionary"));
            }
            let len = input.varint32()?;
            end = end
                .checked_add(len)
                .ok_or_else(|| input.error("names are too long"))?;
            entries.push(Entry { namespace, end });
        }
        Ok(Self {
            text: String::new(),
            entries,
        })
    }

    /// Reads the text of the table's names.
    pub(crate) fn read_text(&mut self, input: &mut Input<'_>) -> Result<(), FormatError> {
        let len = self.entries.last().map_or(0, |entry| entry.end);
        let bytes = input.sized(u64::from(len))?;
        let text = std::str::from_utf8(bytes).map_err(|_| input.error("name is not UTF-8"))?;
        if self
            .entries
            .iter()
            .any(|entry| !text.is_char_boundary(entry.end as usize))
        {
            return Err(input.error("name is not UTF-8"));
        }
        self.text = text.to_owned();
        Ok(())
    }
}

/// Finds or adds names while a batch is built.
#[derive(Debug, Default)]
pub(crate) struct NameBuilder {
    names: Names,
    ids: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The name asked for before: connections come in runs.
    recent: u32,
    /// Encoded bytes of the table and its text.
    size: usize,
}

/// Where a name is, or what it takes to add it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lookup {
    Found(u32),
    Missing {
        hash: u64,
        /// Encoded bytes that adding it would take.
        size: usize,
    },
}

impl Lookup {
    /// The id that the name has, or gets when it is added next.
    pub(crate) fn id_to_be(self, names: &NameBuilder) -> u32 {
        match self {
            Self::Found(id) => id,
            Self::Missing { .. } => names.names.count() as u32,
        }
    }

    /// Encoded bytes that the name adds to its table.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Found(_) => 0,
            Self::Missing { size, .. } => size,
        }
    }
}

impl NameBuilder {
    pub(crate) fn into_names(self) -> Names {
        self.names
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Looks a name up; hashes it only when it is not the one before.
    pub(crate) fn find(&mut self, namespace: u32, name: &str) -> Lookup {
        let names = &self.names;
        let recent = (self.recent as usize) < names.count();
        if recent && names.get(self.recent) == (namespace, name) {
            return Lookup::Found(self.recent);
        }
        let hash = self.hasher.hash_one((namespace, name));
        match self
            .ids
            .find(hash, |&id| names.get(id) == (namespace, name))
        {
            Some(&id) => {
                self.recent = id;
                Lookup::Found(id)
            }
            None => Lookup::Missing {
                hash,
                size: varint_len(u64::from(namespace)) + varint_len(name.len() as u64) + name.len(),
            },
        }
    }

    /// The id of the name that `lookup` was made for, adding it when missing.
    pub(crate) fn resolve(&mut self, lookup: Lookup, namespace: u32, name: &str) -> u32 {
        match lookup {
            Lookup::Found(id) => id,
            Lookup::Missing { hash, size } => {
                let id = self.names.push(namespace, name);
                let (names, hasher) = (&self.names, &self.hasher);
                self.ids
                    .insert_unique(hash, id, |&other| hasher.hash_one(names.get(other)));
                self.recent = id;
                self.size += size;
                id
            }
        }
    }
}
