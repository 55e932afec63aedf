//! What must hold for folding on any store: crashes and removed segments make
//! no difference.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use robustmq_record::{Batch, Offset, ShardId};

use super::{Chance, SampleLog, SampleRecord, Sampler, pairs};
use crate::memory::MemoryStore;
use crate::store::{KeyRange, KvError, KvRead, KvStore, Visit, WriteBatch};
use crate::views::Views;

/// A store that can be opened again after a crash.
pub trait CrashingStore {
    /// Opens the store as the last crash left it; at first, empty.
    fn open(&mut self) -> Arc<dyn KvStore>;

    /// The store's process dies: what is found at the next opening is the
    /// store as it was after some write, at the earliest the last flush.
    fn crash(&mut self, store: Arc<dyn KvStore>);
}

/// A memory store whose crash loses everything that was not flushed.
#[derive(Default)]
pub struct MemoryDisk {
    flushed: Arc<Mutex<Contents>>,
}

/// Keys and values.
type Contents = Vec<(Vec<u8>, Vec<u8>)>;

/// A memory store that copies itself when it is flushed.
struct Flushing {
    store: MemoryStore,
    flushed: Arc<Mutex<Contents>>,
}

impl KvRead for Flushing {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.store.get(key)
    }

    fn scan(&self, range: KeyRange, visit: &mut Visit<'_>) -> Result<(), KvError> {
        self.store.scan(range, visit)
    }
}

impl KvStore for Flushing {
    fn write(&self, batch: WriteBatch) -> Result<(), KvError> {
        self.store.write(batch)
    }

    fn snapshot(&self) -> Box<dyn KvRead> {
        self.store.snapshot()
    }

    fn flush(&self) -> Result<(), KvError> {
        let contents = pairs(&self.store, KeyRange::prefix([]));
        *self.flushed.lock().unwrap_or_else(PoisonError::into_inner) = contents;
        Ok(())
    }
}

impl CrashingStore for MemoryDisk {
    fn open(&mut self) -> Arc<dyn KvStore> {
        let mut batch = WriteBatch::new();
        let flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in flushed.iter() {
            batch.put(key.clone(), value.clone());
        }
        let store = MemoryStore::new();
        let written = store.write(batch);
        written.expect("a memory store takes writes");
        Arc::new(Flushing {
            store,
            flushed: Arc::clone(&self.flushed),
        })
    }

    fn crash(&mut self, store: Arc<dyn KvStore>) {
        drop(store);
    }
}

fn fold_all(batches: &[Arc<Batch>]) -> u64 {
    let views = new_views(Arc::new(MemoryStore::new()));
    for batch in batches {
        views.apply(batch).expect("a memory store takes writes");
    }
    digest(&views)
}

fn new_views(store: Arc<dyn KvStore>) -> Views {
    Views::new(store).expect("the store can be read")
}

fn digest(views: &Views) -> u64 {
    views.digest().expect("the store can be read")
}

/// Folds a made-up log with crashes in between, going on each time from the
/// position that is found, and compares with folding it in one go.
///
/// # Panics
/// When the outcome differs or the store fails.
pub fn check_crashes(seed: u64, disk: &mut dyn CrashingStore) {
    let mut sampler = Sampler::new(seed);
    let mut chance = Chance::new(!seed);
    let mut log = SampleLog::new();
    for _ in 0..6 {
        sampler.append_to(&mut log, 8);
        let store = disk.open();
        let views = new_views(Arc::clone(&store));
        for batch in log.batches() {
            // What is already applied is passed over.
            views.apply(batch).expect("the store takes writes");
            if chance.once_in(9) {
                views.flush().expect("the store can be flushed");
            }
        }
        let expected = fold_all(log.batches());
        assert_eq!(digest(&views), expected, "seed {seed}");
        drop(views);
        disk.crash(store);
    }
}

/// Folds a made-up log while its beginning is removed again and again, what is
/// live being carried forward before; now and then the views are deleted and
/// folded anew from what is left. Compares with views that were never deleted.
///
/// # Panics
/// When the outcome differs or the store fails.
pub fn check_removal(seed: u64, new_store: &mut dyn FnMut() -> Arc<dyn KvStore>) {
    let mut run = Removal {
        seed,
        sampler: Sampler::new(seed),
        chance: Chance::new(!seed),
        log: SampleLog::new(),
        starts: Sampler::shards()
            .map(|shard| (shard, Offset::new(1, 0)))
            .collect(),
        live: new_views(new_store()),
        witness: new_views(Arc::new(MemoryStore::new())),
    };
    for (shard, start) in &run.starts {
        for views in [&run.live, &run.witness] {
            views.begin(*shard, *start).expect("the store takes writes");
        }
    }
    for _ in 0..8 {
        run.grow();
        let shard = run.sampler.shard();
        run.remove_some(shard);
        run.rebuild(&mut *new_store);
    }
}

struct Removal {
    seed: u64,
    sampler: Sampler,
    chance: Chance,
    log: SampleLog,
    starts: Vec<(ShardId, Offset)>,
    /// Folded anew now and then.
    live: Views,
    /// Never deleted.
    witness: Views,
}

impl Removal {
    fn apply(&self, batch: &Batch) {
        for views in [&self.live, &self.witness] {
            views.apply(batch).expect("the store takes writes");
        }
    }

    fn grow(&mut self) {
        let batches = 1 + self.chance.below(8);
        for batch in self.sampler.append_to(&mut self.log, batches) {
            self.apply(&batch);
        }
    }

    fn remove_some(&mut self, shard: ShardId) {
        let (_, start) = self.starts[shard.0 as usize];
        let end = self.log.end(shard);
        let indexes = end.index() - start.index();
        let up_to = Offset::new(start.index() + self.chance.below(indexes + 1), 0);
        let limit = 1 + self.chance.below(5) as usize;
        let mut disturbances = self.chance.below(4);
        loop {
            let carried = self.live.carry_forward(shard, up_to, limit);
            let carried = carried.expect("everything is applied");
            if carried.is_empty() {
                break;
            }
            // What happens between making copies and appending them.
            if disturbances > 0 {
                disturbances -= 1;
                self.grow();
            }
            let records: Vec<SampleRecord> = carried.iter().map(SampleRecord::from).collect();
            let batch = self.log.append(shard, &records);
            self.apply(&batch);
        }
        self.log.remove_before(shard, up_to);
        self.starts[shard.0 as usize].1 = up_to;
    }

    /// Folds what is left of the log from nothing.
    fn rebuild(&mut self, new_store: &mut dyn FnMut() -> Arc<dyn KvStore>) {
        let views = new_views(new_store());
        for (shard, start) in &self.starts {
            views.begin(*shard, *start).expect("the store takes writes");
        }
        let halfway = self.chance.below(1 + self.log.batches().len() as u64) as usize;
        let (first, rest) = self.log.batches().split_at(halfway);
        views.apply_all(first).expect("the store takes writes");
        views.apply_all(rest).expect("the store takes writes");
        let seed = self.seed;
        let expected = self.settled(&self.witness);
        assert_eq!(self.settled(&self.live), expected, "seed {seed}: going on");
        assert_eq!(self.settled(&views), expected, "seed {seed}: rebuilt");
        if self.chance.once_in(2) {
            if self.chance.once_in(2) {
                for (shard, _) in &self.starts {
                    views.caught_up(*shard).expect("the store takes writes");
                }
            }
            self.live = views;
        }
    }

    /// The digest once what has expired is gone: a copy of an expired message
    /// may be in the log after the message has left the views.
    fn settled(&self, views: &Views) -> u64 {
        let expired = views.expire_retained(self.sampler.now_ms());
        expired.expect("the store takes writes");
        digest(views)
    }
}
