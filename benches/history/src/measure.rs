//! The measurements.

use std::fs::File;
use std::io::Read;
use std::net::Shutdown;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use robustmq_e2e::{Broker, Received};
use robustmq_protocol::QoS;

use crate::fill::{RARE_TOPIC, publish};
use crate::wire::{self, Count};

/// How long indexes may take.
const INDEX_PATIENCE: Duration = Duration::from_secs(120);

/// How long publishing is measured.
const SPAN: Duration = Duration::from_secs(5);

fn segments(broker: &Broker) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(broker.data().join("log")).expect("the log is there");
    let files = entries.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// Waits until all segments but the one that is written and the ones made ready
/// have their index: it is built behind the writing.
pub(crate) fn wait_for_indexes(broker: &Broker) {
    let ending = |path: &PathBuf, ending| path.extension().is_some_and(|found| found == ending);
    let start = Instant::now();
    loop {
        let files = segments(broker);
        let sealed = files.iter().filter(|path| ending(path, "seg")).count();
        let indexes = files.iter().filter(|path| ending(path, "idx")).count();
        if indexes + 1 >= sealed || start.elapsed() > INDEX_PATIENCE {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Asks the system to drop what it holds of the log's files.
pub(crate) fn forget_files(broker: &Broker) {
    use rustix::fs::{Advice, fadvise};
    for path in segments(broker) {
        let file = File::open(&path).expect("it can be read");
        // Only what is on disk can be dropped.
        file.sync_all().expect("it can be synced");
        fadvise(&file, 0, None, Advice::DontNeed).expect("the system takes advice");
    }
}

/// Bytes a process has read from files and sockets.
fn bytes_read(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.and_then(|count| count.parse().ok()).expect("a count")
}

pub(crate) struct Rare {
    pub(crate) ms: f64,
    pub(crate) read_mb: u64,
}

/// All messages of the rare topic, from SUBSCRIBE to the last one.
pub(crate) fn rare(broker: &Broker, count: usize) -> Rare {
    let mut client = wire::connect(broker, "rare");
    let before = bytes_read(broker.pid());
    let start = Instant::now();
    let filter = format!("$replay/earliest..latest/{RARE_TOPIC}");
    wire::subscribe(&mut client, &filter);
    wire::count(client.stream(), count as u64).expect("all of them come");
    Rare {
        ms: (start.elapsed().as_secs_f64() * 10_000.0).round() / 10.0,
        read_mb: (bytes_read(broker.pid()) - before) >> 20,
    }
}

fn mb_per_s(bytes: u64, since: Instant) -> u64 {
    (bytes as f64 / since.elapsed().as_secs_f64() / f64::from(1 << 20)) as u64
}

/// Reading the files of the log one after the other, for comparison.
pub(crate) fn files(broker: &Broker) -> u64 {
    let start = Instant::now();
    let mut total = 0;
    let mut buffer = vec![0; 1 << 20];
    for path in segments(broker) {
        let mut file = File::open(path).expect("it can be read");
        loop {
            match file.read(&mut buffer).expect("it can be read") {
                0 => break,
                count => total += count as u64,
            }
        }
    }
    mb_per_s(total, start)
}

pub(crate) struct Everything {
    pub(crate) mb_per_s: u64,
    pub(crate) hash: u64,
}

/// Everything that was filled in, from the beginning.
pub(crate) fn everything(broker: &Broker, messages: u64) -> Everything {
    let mut client = wire::connect(broker, "everything");
    let start = Instant::now();
    wire::subscribe(&mut client, "$replay/earliest..latest/#");
    let count: Count = wire::count(client.stream(), messages).expect("all of them come");
    Everything {
        mb_per_s: mb_per_s(count.bytes, start),
        hash: count.hash,
    }
}

#[derive(Default)]
pub(crate) struct Crowd {
    pub(crate) replays_mb_per_s: u64,
    pub(crate) memory_before_mb: u64,
    pub(crate) memory_peak_mb: u64,
    pub(crate) alone_per_s: u64,
    pub(crate) beside_per_s: u64,
    pub(crate) alone_p99_ms: f64,
    pub(crate) beside_p99_ms: f64,
}

/// Publishing alone, and then beside many replays of everything.
pub(crate) fn crowd(broker: &Broker, replays: usize, payload: usize) -> Crowd {
    let alone = publishing(broker, payload);
    let memory_before_mb = broker.resident_bytes() >> 20;
    let (stop, taken) = (AtomicBool::new(false), AtomicU64::new(0));
    let peak = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let mut streams = Vec::new();
        for number in 0..replays {
            let mut client = wire::connect(broker, &format!("replay-{number}"));
            wire::subscribe(&mut client, "$replay/earliest/#");
            streams.push(client.stream().try_clone().expect("a handle"));
            let (stop, taken) = (&stop, &taken);
            scope.spawn(move || {
                let mut buffer = vec![0; 64 << 10];
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = client.stream();
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(count) => taken.fetch_add(count as u64, Ordering::Relaxed),
                    };
                }
            });
        }
        let watch = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                peak.fetch_max(broker.resident_bytes() >> 20, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let start = Instant::now();
        let beside = publishing(broker, payload);
        let replays_mb_per_s = mb_per_s(taken.load(Ordering::Relaxed), start);
        stop.store(true, Ordering::Relaxed);
        for stream in &streams {
            // Those that wait for more are waked.
            let _ = stream.shutdown(Shutdown::Both);
        }
        watch.join().expect("it only looks");
        Crowd {
            replays_mb_per_s,
            memory_before_mb,
            memory_peak_mb: peak.load(Ordering::Relaxed),
            alone_per_s: alone.per_s,
            beside_per_s: beside.per_s,
            alone_p99_ms: alone.p99_ms,
            beside_p99_ms: beside.p99_ms,
        }
    })
}

struct Publishing {
    per_s: u64,
    p99_ms: f64,
}

/// One publisher that waits for every PUBACK.
fn publishing(broker: &Broker, payload: usize) -> Publishing {
    let mut client = wire::connect(broker, "publisher");
    let bytes = vec![7; payload];
    let mut waits: Vec<Duration> = Vec::new();
    let start = Instant::now();
    while start.elapsed() < SPAN {
        let sent = Instant::now();
        let packet = publish("live/one", &bytes, QoS::AtLeastOnce);
        client.send(&packet).expect("PUBLISH is sent");
        let answer = client.receive().expect("the broker answers");
        assert!(matches!(answer, Received::PubAck(..)), "{answer:?}");
        waits.push(sent.elapsed());
    }
    let seconds = start.elapsed().as_secs_f64();
    waits.sort_unstable();
    let p99 = waits[waits.len() * 99 / 100];
    Publishing {
        per_s: (waits.len() as f64 / seconds) as u64,
        p99_ms: (p99.as_secs_f64() * 10_000.0).round() / 10.0,
    }
}
