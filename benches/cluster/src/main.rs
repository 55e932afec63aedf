//! What three nodes cost beside one, on the same machine in the same run:
//! throughput, acknowledgements, failover, catching up, and doing nothing.
//!
//! All nodes and the generator share the machine's cores, so a cluster is at a
//! disadvantage that it would not have on three machines.

mod document;
mod failover;
mod load;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use robustmq_e2e::Cluster;

use document::Row;

const EXAMPLES: &str = "\
Examples:
  bench-cluster --seconds 2 --rounds 1              a quick look
  bench-cluster --write docs/benchmarks.md          what stands there";

/// Measures three nodes beside one.
#[derive(Parser)]
#[command(name = "bench-cluster", after_help = EXAMPLES)]
struct Options {
    /// Seconds of a run.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Rounds; one node and three take turns.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Messages of 1 KiB that a node misses before it catches up.
    #[arg(long, default_value_t = 300_000)]
    missed: u32,
    /// Kills of a leader.
    #[arg(long, default_value_t = 5)]
    kills: u32,
    /// Put the table into this file, between its markers.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let mut rows = load::beside(options.seconds, options.rounds)?;
    rows.push(idle()?);
    eprintln!("killing leaders");
    rows.push(failover::measure(options.kills));
    eprintln!("catching up");
    rows.push(catch_up(options.missed)?);
    let how = document::Circumstances {
        seconds: options.seconds,
        rounds: options.rounds,
        missed: options.missed,
        kills: options.kills,
    };
    let section = document::section(&rows, &how);
    println!("{section}");
    if let Some(path) = &options.write {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let page = std::fs::read_to_string(path).map_err(failed)?;
        std::fs::write(path, document::replace(&page, &section)).map_err(failed)?;
    }
    Ok(())
}

/// Processor time of nodes that have nothing to do, per second and node.
fn idle() -> Result<Row, String> {
    const WATCHED: Duration = Duration::from_secs(10);
    eprintln!("doing nothing");
    let measure = |nodes: usize| -> Result<f64, String> {
        let cluster = load::nodes(nodes);
        let pids: Vec<u32> = (0..nodes).map(|node| cluster.node(node).pid()).collect();
        let sum = || -> Result<f64, String> { pids.iter().map(|pid| processor_s(*pid)).sum() };
        let (before, start) = (sum()?, Instant::now());
        std::thread::sleep(WATCHED);
        let spent = sum()? - before;
        Ok(spent * 1e3 / start.elapsed().as_secs_f64() / nodes as f64)
    };
    Ok(Row {
        title: "processor time of a node that has nothing to do, ms/s".to_owned(),
        one: Some(measure(1)?),
        three: Some(measure(3)?),
    })
}

/// Processor seconds that a process has used.
fn processor_s(pid: u32) -> Result<f64, String> {
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    let stat = stat.map_err(|error| format!("/proc/{pid}/stat: {error}"))?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let field = |place: usize| fields.split_whitespace().nth(place)?.parse::<f64>().ok();
    let both = field(11).zip(field(12));
    let (user, system) = both.ok_or("the process says no times")?;
    Ok((user + system) / TICKS_PER_S)
}

/// How fast a node gets what came while it was away.
fn catch_up(missed: u32) -> Result<Row, String> {
    let mut cluster = Cluster::start(3, &[]);
    cluster.node_mut(2).stop();
    load::store(&cluster, missed)?;
    let start = Instant::now();
    cluster.node_mut(2).restart();
    cluster.wait_until("the node has what it missed", |cluster| {
        let status = cluster.status(0);
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        nodes.len() == 3
            && nodes
                .iter()
                .all(|node| node["state"] == "up" && node["lag_batches"] == 0)
    });
    let bytes = f64::from(missed) * 1024.0;
    Ok(Row {
        title: "catching up with what was missed, its start included, MB/s".to_owned(),
        one: None,
        three: Some(bytes / 1e6 / start.elapsed().as_secs_f64()),
    })
}
