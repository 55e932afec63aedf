//! What is written for what is appended, and when a sync has more to do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use robustmq_record::{Codec, Compression};

use crate::disk::{Disk, DiskEntry, DiskFile, MemoryDisk};
use crate::testing::{Bench, History};

const SEGMENT_BYTES: u64 = 8 << 20;

/// Counts what is written, and syncs that come after the first write to a place.
#[derive(Default)]
struct Counts {
    written: AtomicU64,
    dear_syncs: AtomicU64,
}

impl Counts {
    fn take(&self) -> (u64, u64) {
        let written = self.written.swap(0, Ordering::Relaxed);
        (written, self.dear_syncs.swap(0, Ordering::Relaxed))
    }
}

struct CountingDisk {
    disk: MemoryDisk,
    counts: Arc<Counts>,
}

impl CountingDisk {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(CountingFile {
            file,
            counts: Arc::clone(&self.counts),
            written_end: AtomicU64::new(0),
            is_dear: AtomicBool::new(false),
        })
    }
}

impl Disk for CountingDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.create(name)?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn list(&self) -> io::Result<Vec<DiskEntry>> {
        self.disk.list()
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

struct CountingFile {
    file: Arc<dyn DiskFile>,
    counts: Arc<Counts>,
    written_end: AtomicU64,
    is_dear: AtomicBool,
}

impl DiskFile for CountingFile {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(position, buffer)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len() as u64;
        self.counts.written.fetch_add(len, Ordering::Relaxed);
        let before = self
            .written_end
            .fetch_max(position + len, Ordering::Relaxed);
        if position + len > before {
            self.is_dear.store(true, Ordering::Relaxed);
        }
        self.file.write_at(position, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        let dear = self.is_dear.swap(false, Ordering::Relaxed);
        self.counts
            .dear_syncs
            .fetch_add(u64::from(dear), Ordering::Relaxed);
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

/// Appends `rounds` times so many batches of so many bytes.
fn append(bench: &mut Bench, rounds: u64, [batches, bytes]: [u64; 2]) -> u64 {
    for _ in 0..rounds {
        for batch in 0..batches {
            bench.submit((batch % 3) as u32, vec![vec![7; bytes as usize]]);
        }
        bench.step();
        bench.background();
    }
    rounds * batches * bytes
}

#[test]
fn large_rounds_are_written_once_and_small_ones_find_their_place_written_before() {
    let counts = Arc::new(Counts::default());
    let disk = Arc::new(CountingDisk {
        disk: MemoryDisk::default(),
        counts: Arc::clone(&counts),
    });
    let history = Arc::new(History::default());
    let opened = Bench::open_with(disk, &history, |config| {
        config.segment_bytes = SEGMENT_BYTES;
        config.compression = Compression {
            codec: Codec::None,
            ..Compression::default()
        };
    });
    let mut bench = opened.expect("an empty log opens");
    bench.background();
    counts.take();

    // Small rounds: twice, but nearly all syncs have only the data to write.
    let small = [1, 4 << 10];
    let appended = append(&mut bench, 2_000, small);
    let (written, dear_syncs) = counts.take();
    assert!(written < appended * 5 / 2, "{written} bytes for {appended}");
    assert!(
        dear_syncs <= 2 * appended / SEGMENT_BYTES + 4,
        "{dear_syncs}"
    );

    // Large ones: once, as soon as the files that were made before are full.
    let large = [32, 64 << 10];
    append(&mut bench, 16, large);
    counts.take();
    let appended = append(&mut bench, 60, large);
    let (written, _) = counts.take();
    assert!(
        written * 100 <= appended * 115,
        "{written} bytes for {appended}"
    );

    // Small ones again, in files that were not filled.
    append(&mut bench, 40, small);
    counts.take();
    append(&mut bench, 200, small);
    let (_, dear_syncs) = counts.take();
    assert!(dear_syncs <= 4, "{dear_syncs} of 200");
}
