//! What ends a command early.

use std::io;
use std::path::PathBuf;

/// A command that could not be done. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CtlError {
    /// The data directory cannot be looked at.
    #[error(transparent)]
    DataDir(#[from] robustmq_log::DataDirError),
    /// A file of the log could not be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A segment that is not there.
    #[error("there is no segment {id}: `robust-ctl log segments` lists those that are there")]
    NoSegment {
        /// Its number.
        id: u64,
    },
    /// An argument that is no topic filter.
    #[error("`{filter}` is no topic filter: {reason}")]
    Filter {
        /// What was given.
        filter: String,
        /// Why not.
        reason: String,
    },
    /// A user property without a value.
    #[error("`{text}` is no user property: write NAME=VALUE")]
    UserProperty {
        /// What was given.
        text: String,
    },
    /// The broker cannot be reached.
    #[error("no broker at {address}: {source}. Start one, or name it with -h HOST -p PORT")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The broker said no.
    #[error("the broker refused: {0}")]
    Refused(String),
    /// The broker ended the connection.
    #[error("the broker closed the connection: {reason}")]
    Closed {
        /// Its reason code.
        reason: &'static str,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Lost(io::Error),
    /// The broker does not answer.
    #[error("the broker does not answer")]
    Silent,
    /// What one side said is no MQTT.
    #[error("that is no MQTT: {0}")]
    Protocol(String),
    /// The server of an address that cannot be asked.
    #[error("`{server}` is no address of an HTTP interface: write http://HOST:18083")]
    Server {
        /// What was given.
        server: String,
    },
    /// Something that was begun takes too long to be waited for.
    #[error("{seconds} s were not enough for {what}: it goes on; see `robust-ctl cluster status`")]
    TooLong {
        /// What was waited for.
        what: &'static str,
        /// How long.
        seconds: u64,
    },
    /// The HTTP interface cannot be reached.
    #[error("no broker at {server}: {reason}. Start one, or name it with --server URL")]
    NoServer {
        /// Where it was looked for.
        server: String,
        /// What happened.
        reason: String,
    },
    /// The HTTP interface said no.
    #[error("the broker refused: {message}")]
    Answered {
        /// The HTTP status.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// There is no key to ask with.
    #[error(
        "no key for the HTTP interface: {path} cannot be read ({source}). Give --api-key NAME:SECRET or ROBUSTMQ_API_KEY, or --data-dir of a broker on this machine"
    )]
    NoKey {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key that is none.
    #[error("that is no key: write NAME:SECRET")]
    Key,
    /// An answer that cannot be read.
    #[error("the broker's answer cannot be read: {reason}")]
    Broken {
        /// What is wrong with it.
        reason: String,
    },
    /// A format that the command does not have.
    #[error("{command} prints {formats}")]
    Format {
        /// Which command.
        command: &'static str,
        /// What it has.
        formats: &'static str,
    },
    /// A file that is not to be overwritten.
    #[error("{path} is there already: --force replaces it")]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// A file that cannot be written.
    #[error("{path} cannot be written: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Certificates of nodes could not be made.
    #[error(transparent)]
    Certificates(#[from] robustmq_peers::certificates::CertificatesError),
    /// The output could not be written.
    #[error("the output cannot be written: {0}")]
    Write(#[from] io::Error),
}

impl CtlError {
    /// Whether the same may be done a little later: nobody was there, or had time.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::NoServer { .. } | Self::Broken { .. } => true,
            Self::Answered { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }

    /// Whoever read the output has had enough: no fault.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
