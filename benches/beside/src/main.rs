//! This broker beside others: the same work of `robust-bench` for each, in turn,
//! the broker on one core and the generator on another.
//!
//! Ratios are what counts: a machine that others use as well makes all of them
//! slower.

mod brokers;
mod document;
mod measure;
mod rows;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use brokers::Kind;
use document::{Circumstances, Measured};

const EXAMPLES: &str = "\
Examples:
  bench-beside                                        print the table
  bench-beside --only qos1 --only pairs --rounds 1    a quick look at two rows
  bench-beside --peer flashmq=127.0.0.1:2883          beside one that is running already
  bench-beside --write docs/benchmarks.md             what `make bench` does";

/// Measures this broker beside mosquitto and others.
#[derive(Parser)]
#[command(name = "bench-beside", after_help = EXAMPLES)]
struct Options {
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of a run that has no number of messages.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only this row; may be given several times.
    #[arg(long, value_parser = rows::ROWS.map(|row| row.name))]
    only: Vec<String>,
    /// Another broker that is running, pinned to the broker's core by whoever started it.
    #[arg(long, value_name = "NAME=HOST:PORT", value_parser = peer)]
    peer: Vec<Kind>,
    /// Without mosquitto.
    #[arg(long)]
    without_mosquitto: bool,
    /// Core of the brokers.
    #[arg(long, default_value_t = 0)]
    broker_core: usize,
    /// Core of the generator.
    #[arg(long, default_value_t = 1)]
    generator_core: usize,
    /// Write the section into this page instead of printing it.
    #[arg(long)]
    write: Option<PathBuf>,
}

fn peer(text: &str) -> Result<Kind, String> {
    let (name, place) = text.split_once('=').ok_or("write name=host:port")?;
    let mut addresses = place.to_socket_addrs().map_err(|error| error.to_string())?;
    let address: SocketAddr = addresses.next().ok_or("no address is known")?;
    Ok(Kind::Peer {
        name: name.to_owned(),
        address,
    })
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-beside: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let mosquitto = (!options.without_mosquitto).then_some(Kind::Mosquitto);
    let brokers: Vec<Kind> = std::iter::once(Kind::Ours)
        .chain(mosquitto)
        .chain(options.peer.iter().cloned())
        .collect();
    let mut measured = Vec::new();
    for row in document::chosen(&options.only) {
        measured.extend(row_beside(options, &brokers, row)?);
    }
    let how = Circumstances {
        brokers: &brokers,
        machine: document::machine(),
        rounds: options.rounds,
        seconds: options.seconds,
        cores: [options.broker_core, options.generator_core],
    };
    let section = document::section(&measured, &how);
    let Some(path) = &options.write else {
        println!("{section}");
        return Ok(());
    };
    let name = path.display();
    let page = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let page = document::replace(&page, &section);
    std::fs::write(path, page).map_err(|error| format!("{name}: {error}"))
}

/// All rounds of a row, the brokers in turn.
fn row_beside(
    options: &Options,
    brokers: &[Kind],
    row: rows::Row,
) -> Result<Vec<Measured>, String> {
    let figures = 0..row.figures.len();
    let mut measured: Vec<Measured> = figures
        .map(|figure| Measured {
            row,
            figure,
            samples: vec![Vec::new(); brokers.len()],
        })
        .collect();
    for round in 1..=options.rounds {
        for (place, broker) in brokers.iter().enumerate() {
            let name = broker.name();
            let at = |error: String| format!("{} of {name}: {error}", row.name);
            let running = broker.start(options.broker_core);
            let running = running.map_err(|error| at(error.to_string()))?;
            let core = options.generator_core;
            let samples = measure::measure(&row, options.seconds, &running, core).map_err(at)?;
            for (measured, sample) in measured.iter_mut().zip(samples) {
                let title = row.figures[measured.figure].title;
                eprintln!("round {round}, {name}: {title}: {:.3}", sample.value);
                measured.samples[place].push(sample);
            }
        }
    }
    Ok(measured)
}
