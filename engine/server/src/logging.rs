//! The broker's own log lines, on standard error.

use robustmq_config::{Log, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// Installs the process-wide log as configured.
pub(crate) fn install(log: &Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // What is news to those who work on consensus is none to those who run it.
    let consensus = match log.level {
        LogLevel::Debug => LevelFilter::WARN,
        LogLevel::Trace => LevelFilter::TRACE,
        _ => LevelFilter::OFF,
    };
    let filter = EnvFilter::new(format!("{level},openraft={consensus}"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    match log.format {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.json().init(),
    }
}
