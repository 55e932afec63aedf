//! `robust-bench`: loads any MQTT broker and measures it.
//!
//! Built so that the broker is what is measured: threads with epoll, publishes
//! that are encoded once, large reads and writes, acknowledgements in one write
//! per read. It says how much of a core it has used itself; near 100 % the
//! figures are those of this program.
//!
//! **Not here**: starting brokers and comparing them (`benches/beside`).

mod block;
mod clock;
mod connection;
mod error;
mod greeting;
mod histogram;
mod live;
mod options;
mod plan;
mod process;
mod report;
mod run;
mod scenario;
mod sender;
mod sequence;
mod stream;
mod tally;
mod window;
mod wire;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    process::raise_open_files();
    match scenario::perform(&options) {
        Ok(outcomes) => {
            if options.load.json {
                println!("{:#}", report::document(&options, &outcomes));
            } else {
                println!("{}", report::table(&outcomes));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("robust-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
