//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use robustmq_config::{Config, ConfigErrors, LoadOptions};

use crate::start;

/// The configuration is wrong, or the start failed for a reason the user can mend.
const EXIT_USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  robustmq                                    start on embedded defaults, data in ./data
  robustmq start --config robustmq.toml       start with a configuration file
  robustmq start --set listeners.tcp.default.bind=127.0.0.1:1884
  ROBUSTMQ__NODE__DATA_DIR=/srv/mq robustmq   override a key by the environment
  robustmq check-config --config robustmq.toml";

const HASH_EXAMPLES: &str = "\
Example:
  openssl rand -base64 24 | tee secret | robustmq hash-secret

  [[api.key]]
  name = \"grafana\"
  secret_hash = \"$argon2id$…\"
  role = \"viewer\"";

/// RobustMQ MQTT: a durable MQTT broker on a segment log.
#[derive(Parser)]
#[command(name = "robustmq", version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    sources: Sources,
}

#[derive(Subcommand)]
enum Command {
    /// Start the broker (what `robustmq` alone does).
    #[command(after_help = EXAMPLES)]
    Start,
    /// Check the configuration and print what it comes to.
    CheckConfig,
    /// Hash a secret, read from standard input, for `secret_hash` of an `[[api.key]]`.
    #[command(after_help = HASH_EXAMPLES)]
    HashSecret,
    /// Print the version.
    Version,
}

#[derive(Args)]
struct Sources {
    /// Configuration file.
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Override one key; may be given several times.
    #[arg(long, value_name = "SECTION.KEY=VALUE", global = true)]
    set: Vec<String>,
}

/// Runs what the command line asks for.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Start) {
        Command::Version => {
            println!("robustmq {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Command::HashSecret => hash_secret(),
        Command::CheckConfig => match load(cli.sources) {
            Ok(_) => {
                println!("the configuration is valid");
                ExitCode::SUCCESS
            }
            Err(errors) => refuse(&errors),
        },
        Command::Start => match load(cli.sources) {
            Ok(config) => start::run(&config),
            Err(errors) => refuse(&errors),
        },
    }
}

/// One line of standard input, hashed.
fn hash_secret() -> ExitCode {
    let mut secret = String::new();
    let hashed = std::io::stdin()
        .read_line(&mut secret)
        .map_err(|error| format!("standard input cannot be read: {error}"))
        .and_then(|_| match secret.trim_end_matches(['\r', '\n']) {
            "" => Err("there is no secret on standard input".to_owned()),
            secret => robustmq_admin::hash_secret(secret),
        });
    match hashed {
        Ok(hash) => {
            println!("{hash}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn load(sources: Sources) -> Result<Config, ConfigErrors> {
    Config::load(LoadOptions::with_process_env(sources.config, sources.set))
}

fn refuse(errors: &ConfigErrors) -> ExitCode {
    eprintln!("{errors}");
    ExitCode::from(EXIT_USAGE)
}
