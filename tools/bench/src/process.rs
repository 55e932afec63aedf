//! What `/proc` tells of the broker's process, and how many files this one may
//! open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Ticks of processor time a second in `/proc`: the same on every Linux that
/// Rust runs on (USER_HZ).
const TICKS_PER_S: f64 = 100.0;

/// Seconds of processor time that a process has used, in user and kernel mode.
pub(crate) fn processor_s(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; behind it, user time is the 12th
    // field, kernel time the 13th.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map_while(|field| field.parse::<u64>().ok()).sum();
    Some(ticks as f64 / TICKS_PER_S)
}

/// Bytes of memory that a process has resident.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024)
}

/// Allows this process as many open files as the system lets it have.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where that is refused, opening says so.
    let _ = setrlimit(Resource::Nofile, most);
}
