//! All subscriptions, matched against one Topic Name.
//!
//! Filters without wildcard are in a hash map: one lookup, however many there
//! are. Those with wildcards form a trie of levels whose edges are all in one
//! hash map, keyed by parent and level, so that nothing is nested and neither
//! matching nor dropping recurses.
//!
//! Invariants
//! 1. Every node but the root has subscribers or children.
//! 2. A node's number is never used again.

use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};
use smallvec::SmallVec;

use super::entries::Entries;
use super::has_wildcard;

/// Subscriptions by Topic Filter and subscriber.
///
/// Filters are given without `$share/{ShareName}/` and must be valid. The cost
/// of matching depends on the levels of the name and on the filters that match
/// it or a beginning of it, not on the others.
#[derive(Debug)]
pub struct SubscriptionTree<K, V> {
    exact: HashMap<Box<str>, Entries<K, V>>,
    root: Node<K, V>,
    nodes: HashMap<Edge, Node<K, V>>,
    id_end: u64,
    count: usize,
}

#[derive(Debug)]
struct Node<K, V> {
    id: u64,
    /// Subscribers whose filter ends here.
    here: Entries<K, V>,
    /// Subscribers whose filter ends here with `/#`.
    below: Entries<K, V>,
    /// Children other than `+`.
    named_children: u32,
    plus_child: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Edge {
    parent: u64,
    level: Box<str>,
}

/// An edge to be looked up.
#[derive(Clone, Copy)]
struct EdgeRef<'a> {
    parent: u64,
    level: &'a str,
}

impl Hash for EdgeRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.parent);
        state.write(self.level.as_bytes());
    }
}

impl Hash for Edge {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let edge = EdgeRef {
            parent: self.parent,
            level: &self.level,
        };
        edge.hash(state);
    }
}

impl Equivalent<Edge> for EdgeRef<'_> {
    fn equivalent(&self, key: &Edge) -> bool {
        self.parent == key.parent && self.level == &*key.level
    }
}

const PLUS: &str = "+";
const ROOT_ID: u64 = 0;

/// Where a filter's subscribers are: the levels down to a node, and whether
/// `#` follows.
fn split_multi_level(filter: &str) -> (Option<&str>, bool) {
    if filter == "#" {
        return (None, true);
    }
    match filter.strip_suffix("/#") {
        Some(levels) => (Some(levels), true),
        None => (Some(filter), false),
    }
}

fn levels_of(path: Option<&str>) -> impl Iterator<Item = &str> {
    path.into_iter().flat_map(|path| path.split('/'))
}

impl<K, V> Default for SubscriptionTree<K, V> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            root: Node::new(ROOT_ID),
            nodes: HashMap::new(),
            id_end: ROOT_ID + 1,
            count: 0,
        }
    }
}

impl<K: Eq + Hash, V> SubscriptionTree<K, V> {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Subscriptions there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a subscription or replaces that of the same filter and subscriber;
    /// gives back what was replaced.
    pub fn insert(&mut self, filter: &str, key: K, value: V) -> Option<V> {
        let replaced = match has_wildcard(filter) {
            false => {
                let entries = self.exact.entry(filter.into()).or_default();
                entries.insert(key, value)
            }
            true => self.entries_mut(filter).insert(key, value),
        };
        self.count += usize::from(replaced.is_none());
        replaced
    }

    /// Removes a subscription and gives it back; memory it leaves empty is
    /// given back too.
    pub fn remove(&mut self, filter: &str, key: &K) -> Option<V> {
        let removed = match has_wildcard(filter) {
            false => self.remove_exact(filter, key),
            true => self.remove_wildcard(filter, key),
        }?;
        self.count -= 1;
        Some(removed)
    }

    /// The subscription of a filter and subscriber.
    pub fn get(&self, filter: &str, key: &K) -> Option<&V> {
        if !has_wildcard(filter) {
            return self.exact.get(filter)?.get(key);
        }
        let (path, multi_level) = split_multi_level(filter);
        let mut node = &self.root;
        for level in levels_of(path) {
            node = self.child(node.id, level)?;
        }
        node.entries(multi_level).get(key)
    }

    /// Shows every subscription whose filter matches a Topic Name, which must
    /// be valid; in no particular order. A subscriber is shown once for each of
    /// its matching filters.
    pub fn matches(&self, topic: &str, visit: &mut impl FnMut(&K, &V)) {
        if let Some(entries) = self.exact.get(topic) {
            entries.for_each(visit);
        }
        // Nodes reached, each with the part of the name still to be matched.
        let mut reached = SmallVec::<[_; 16]>::new();
        reached.push((&self.root, Some(topic)));
        while let Some((node, rest)) = reached.pop() {
            // [MQTT-4.7.2-1]
            let wildcards = node.id != ROOT_ID || !topic.starts_with('$');
            if wildcards {
                node.below.for_each(visit);
            }
            let Some(rest) = rest else {
                node.here.for_each(visit);
                continue;
            };
            let (level, rest) = match rest.split_once('/') {
                Some((level, rest)) => (level, Some(rest)),
                None => (rest, None),
            };
            if node.plus_child && wildcards {
                reached.extend(self.child(node.id, PLUS).map(|child| (child, rest)));
            }
            if node.named_children > 0 {
                reached.extend(self.child(node.id, level).map(|child| (child, rest)));
            }
        }
    }

    fn child(&self, parent: u64, level: &str) -> Option<&Node<K, V>> {
        self.nodes.get(&EdgeRef { parent, level })
    }

    /// The subscribers of a filter with wildcard; makes the nodes it needs.
    fn entries_mut(&mut self, filter: &str) -> &mut Entries<K, V> {
        let (path, multi_level) = split_multi_level(filter);
        let mut parent = ROOT_ID;
        let mut last = None;
        for level in levels_of(path) {
            let edge = EdgeRef { parent, level };
            let next = match self.nodes.get(&edge) {
                Some(node) => node.id,
                None => self.add_child(last, edge),
            };
            last = Some(edge);
            parent = next;
        }
        self.node_mut(last).entries_mut(multi_level)
    }

    /// The node an edge leads to; the root if there is none.
    fn node_mut(&mut self, edge: Option<EdgeRef<'_>>) -> &mut Node<K, V> {
        match edge {
            None => &mut self.root,
            Some(edge) => self
                .nodes
                .get_mut(&edge)
                .expect("the edge was just found or made"),
        }
    }

    fn add_child(&mut self, parent: Option<EdgeRef<'_>>, edge: EdgeRef<'_>) -> u64 {
        let id = self.id_end;
        self.id_end += 1;
        self.node_mut(parent).count_child(edge.level, true);
        let key = Edge {
            parent: edge.parent,
            level: edge.level.into(),
        };
        self.nodes.insert(key, Node::new(id));
        id
    }

    fn remove_exact(&mut self, filter: &str, key: &K) -> Option<V> {
        let entries = self.exact.get_mut(filter)?;
        let removed = entries.remove(key)?;
        if entries.is_empty() {
            self.exact.remove(filter);
            shrink(&mut self.exact);
        }
        Some(removed)
    }

    fn remove_wildcard(&mut self, filter: &str, key: &K) -> Option<V> {
        let (path, multi_level) = split_multi_level(filter);
        let mut edges: SmallVec<[EdgeRef<'_>; 16]> = SmallVec::new();
        let mut parent = ROOT_ID;
        for level in levels_of(path) {
            let edge = EdgeRef { parent, level };
            parent = self.nodes.get(&edge)?.id;
            edges.push(edge);
        }
        let last = edges.last().copied();
        let removed = self.node_mut(last).entries_mut(multi_level).remove(key)?;
        while let Some(edge) = edges.pop() {
            if !self.nodes.get(&edge).is_some_and(Node::is_empty) {
                break;
            }
            self.nodes.remove(&edge);
            let parent = edges.last().copied();
            self.node_mut(parent).count_child(edge.level, false);
        }
        shrink(&mut self.nodes);
        Some(removed)
    }

    /// Nodes there are, without the root.
    #[cfg(test)]
    pub(super) fn node_count(&self) -> usize {
        self.nodes.len() + self.exact.len()
    }

    /// Places the hash maps have.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.nodes.capacity() + self.exact.capacity()
    }
}

/// Gives memory back once three quarters of it are unused.
fn shrink<A: Eq + Hash, B>(map: &mut HashMap<A, B>) {
    if map.len() < map.capacity() / 4 {
        map.shrink_to(map.len() * 2);
    }
}

impl<K, V> Node<K, V> {
    fn new(id: u64) -> Self {
        Self {
            id,
            here: Entries::default(),
            below: Entries::default(),
            named_children: 0,
            plus_child: false,
        }
    }

    fn count_child(&mut self, level: &str, added: bool) {
        match (level == PLUS, added) {
            (true, added) => self.plus_child = added,
            (false, true) => self.named_children += 1,
            (false, false) => self.named_children -= 1,
        }
    }
}

impl<K: Eq + Hash, V> Node<K, V> {
    fn entries(&self, multi_level: bool) -> &Entries<K, V> {
        if multi_level { &self.below } else { &self.here }
    }

    fn entries_mut(&mut self, multi_level: bool) -> &mut Entries<K, V> {
        if multi_level {
            &mut self.below
        } else {
            &mut self.here
        }
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty()
            && self.below.is_empty()
            && self.named_children == 0
            && !self.plus_child
    }
}
