//! Runs seeds until one fails, or all have run.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use robustmq_simulation::{Options, Outcome, run};

/// Simulates clusters under faults, one per seed.
#[derive(Parser)]
#[command(name = "robustmq-simulation")]
struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Faults per seed
    #[arg(long, default_value_t = 25)]
    steps: u64,
    /// Nodes; as the seed says if not given
    #[arg(long)]
    nodes: Option<u64>,
    /// Go on after a seed that fails
    #[arg(long)]
    keep_going: bool,
    /// Print what happens, with the product's own messages
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.verbose {
        let filter = tracing_subscriber::EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| "info,openraft=warn".into());
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .without_time()
            .init();
    }
    let options = Options {
        steps: arguments.steps,
        nodes: arguments.nodes,
        planted: None,
    };
    let begun = Instant::now();
    let (mut failed, mut acked, mut virtual_ms) = (Vec::new(), 0, 0);
    for seed in arguments.from..arguments.from + arguments.seeds {
        let outcome = run(seed, options);
        acked += outcome.figures.acked;
        virtual_ms += outcome.virtual_ms;
        let done = seed - arguments.from + 1;
        println!(
            "seed {seed}: {} nodes, {} of {} batches acknowledged, {} events, {:08x}, {} s virtual; {done} of {} seeds in {} s, {} failed",
            outcome.nodes,
            outcome.figures.acked,
            outcome.figures.sent,
            outcome.events,
            outcome.fingerprint,
            outcome.virtual_ms / 1000,
            arguments.seeds,
            begun.elapsed().as_secs(),
            failed.len() + usize::from(outcome.failure.is_some()),
        );
        // Nobody may be looking.
        let _ = std::io::stdout().flush();
        if outcome.failure.is_some() {
            report(&outcome, &arguments);
            failed.push(seed);
            if !arguments.keep_going {
                break;
            }
        }
    }
    println!(
        "{acked} acknowledged batches, {} s of virtual time, {} s; failed seeds: {failed:?}",
        virtual_ms / 1000,
        begun.elapsed().as_secs()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn report(outcome: &Outcome, arguments: &Arguments) {
    for line in &outcome.lines {
        println!("{line}");
    }
    let nodes = arguments.nodes.map(|nodes| format!(" --nodes {nodes}"));
    println!(
        "seed {} FAILED: {}\nagain: cargo run --release --workspace --bin robustmq-simulation -- --seeds 1 --from {} --steps {}{} --verbose",
        outcome.seed,
        outcome.failure.as_deref().unwrap_or_default(),
        outcome.seed,
        arguments.steps,
        nodes.unwrap_or_default(),
    );
}
