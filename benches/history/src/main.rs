//! How fast the past is read, and what that costs the present.
//!
//! Starts a broker, fills its log, and measures: the messages of one rare topic,
//! everything from the beginning (beside plain reading of the same files), two
//! readings of the same range, and a hundred replays beside a publisher.
//! Figures are of this machine; compare within one run.

mod fill;
mod measure;
mod wire;

use std::process::ExitCode;

use clap::Parser;
use robustmq_e2e::Broker;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  bench-history --size 1GB           a quick look
  bench-history --size 10GB --json   the figures of docs/benchmarks.md";

/// Measures reading of history.
#[derive(Parser)]
#[command(name = "bench-history", after_help = EXAMPLES)]
struct Options {
    /// How much to put into the log: a number with MB or GB.
    #[arg(long, default_value = "1GB")]
    size: String,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 1024)]
    payload: usize,
    /// Replays beside a publisher.
    #[arg(long, default_value_t = 100)]
    replays: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Messages on the rare topic.
const RARE: usize = 1_000;

fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Some(size) = bytes(&options.size) else {
        eprintln!("`{}` is no size: write 500MB, 10GB", options.size);
        return ExitCode::from(2);
    };
    let results = run(&options, size);
    if options.json {
        println!("{results:#}");
    } else {
        for (name, value) in results.as_object().into_iter().flatten() {
            println!("{name:<34} {value}");
        }
    }
    match results["identical"] == true {
        true => ExitCode::SUCCESS,
        false => {
            eprintln!("two replays of the same range differ");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, size: u64) -> Value {
    let sets = [
        "storage.retention_time=unlimited",
        "storage.compression=none",
    ];
    let mut broker = Broker::start(&sets);
    eprintln!("filling {} …", options.size);
    let filled = fill::fill(&broker, size, options.payload, RARE);
    measure::wait_for_indexes(&broker);
    // Nothing of it is to be in the broker's memory.
    broker.stop();
    measure::forget_files(&broker);
    broker.restart();
    eprintln!("reading the rare topic …");
    let cold = measure::rare(&broker, RARE);
    let warm = measure::rare(&broker, RARE);
    measure::forget_files(&broker);
    eprintln!("reading everything …");
    let files = measure::files(&broker);
    measure::forget_files(&broker);
    let first = measure::everything(&broker, filled.messages);
    let second = measure::everything(&broker, filled.messages);
    eprintln!("{} replays beside a publisher …", options.replays);
    let crowd = measure::crowd(&broker, options.replays, options.payload);
    json!({
        "log_mb": filled.log_bytes >> 20,
        "messages": filled.messages,
        "fill_mb_per_s": filled.mb_per_s,
        "rare_cold_ms": cold.ms,
        "rare_cold_broker_read_mb": cold.read_mb,
        "rare_warm_ms": warm.ms,
        "files_mb_per_s": files,
        "everything_mb_per_s": first.mb_per_s,
        "everything_again_mb_per_s": second.mb_per_s,
        "identical": first.hash == second.hash,
        "replays": options.replays,
        "replays_mb_per_s": crowd.replays_mb_per_s,
        "memory_before_mb": crowd.memory_before_mb,
        "memory_peak_mb": crowd.memory_peak_mb,
        "publish_alone_per_s": crowd.alone_per_s,
        "publish_beside_per_s": crowd.beside_per_s,
        "puback_alone_p99_ms": crowd.alone_p99_ms,
        "puback_beside_p99_ms": crowd.beside_p99_ms,
    })
}
