//! The broker as users start it: a process with a data directory, stopped in order or killed.
//!
//! **Invariants**
//! 1. Port 0 and a temp folder: tests run beside each other.
//! 2. When a test fails, everything the process wrote is shown; when it passes, no line was a WARN or an
//!    ERROR that the test did not announce.

mod options;
mod output;
mod peer;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use options::Options;
use output::Output;

/// How long a broker may take to start. Generous: the machine may be busy with other tests.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How long a broker may take to stop before a test calls it stuck.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two looks at a process.
const TICK: Duration = Duration::from_millis(2);

/// True where `ROBUSTMQ_TEST_BROKER=mosquitto` runs the protocol tests against mosquitto: what fails there
/// too is more likely a mistake of the test.
pub fn is_peer() -> bool {
    match std::env::var("ROBUSTMQ_TEST_BROKER").as_deref() {
        Err(_) | Ok("" | "robustmq") => false,
        Ok("mosquitto") => true,
        Ok(other) => panic!("ROBUSTMQ_TEST_BROKER={other}: say robustmq or mosquitto"),
    }
}

/// True where the test cannot be run against the peer; says why. Use as `if differs_on_peer("…") { return }`.
pub fn differs_on_peer(why: &str) -> bool {
    if is_peer() {
        eprintln!("not run against mosquitto: {why}");
    }
    is_peer()
}

/// The program under test.
///
/// # Panics
/// If it has not been built.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("ROBUSTMQ_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows where it is");
    let path = test
        .ancestors()
        .nth(2)
        .expect("tests lie in deps")
        .join("robustmq");
    assert!(
        path.exists(),
        "{} is missing: build it (make build), or name another one in ROBUSTMQ_BIN",
        path.display()
    );
    path
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Time from the signal to the end.
    pub took: Duration,
}

/// A running broker, killed when dropped.
#[derive(Debug)]
pub struct Broker {
    options: Options,
    data: Data,
    address: SocketAddr,
    child: Child,
    output: Output,
    announced: Vec<String>,
}

/// Where the data lies, and whether it goes with the test.
#[derive(Debug)]
enum Data {
    Temp(TempDir),
    Given(PathBuf),
}

impl Data {
    fn path(&self) -> &Path {
        match self {
            Self::Temp(folder) => folder.path(),
            Self::Given(path) => path,
        }
    }
}

/// A start that failed.
#[derive(Debug)]
pub struct NotStarted {
    /// Its exit status; `None` if it neither ended nor became ready.
    pub status: Option<ExitStatus>,
    /// All it wrote, standard output first.
    pub text: String,
}

impl Broker {
    /// Starts a broker with the options of most tests.
    pub fn start() -> Self {
        Self::start_with(Options::new())
    }

    /// Starts a broker and waits until it is ready.
    ///
    /// # Panics
    /// If it does not become ready.
    pub fn start_with(options: Options) -> Self {
        match Self::try_start(options) {
            Ok(broker) => broker,
            Err(not) => panic!("the broker did not start ({:?}):\n{}", not.status, not.text),
        }
    }

    /// Starts a broker that may refuse to.
    ///
    /// # Errors
    /// The end of the process, or its silence.
    pub fn try_start(options: Options) -> Result<Self, NotStarted> {
        let data = match &options.data_dir {
            Some(path) => Data::Given(path.clone()),
            None => Data::Temp(tempfile::tempdir().expect("a temp folder can be made")),
        };
        let (child, output, address) = launch(&options, data.path(), None)?;
        Ok(Self {
            options,
            data,
            address,
            child,
            output,
            announced: Vec::new(),
        })
    }

    /// Starts it again on the same data and port, after [`Self::kill_9`] or [`Self::stop`].
    ///
    /// # Panics
    /// If it does not become ready.
    pub fn restart(&mut self) {
        let again = launch(&self.options, self.data.path(), Some(self.address));
        match again {
            Ok((child, output, address)) => {
                self.check_log();
                (self.child, self.output, self.address) = (child, output, address);
            }
            Err(not) => panic!(
                "the broker did not start again ({:?}):\n{}",
                not.status, not.text
            ),
        }
    }

    /// Changes an option for the next [`Self::restart`].
    pub fn set(&mut self, key: &str, value: &str) {
        self.options = self.options.clone().set(key, value);
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes.
    pub fn rss_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("the broker runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.expect("the kernel tells resident memory") * 1024
    }

    /// Says that a log line with `text` may be a WARN or an ERROR.
    pub fn announce(&mut self, text: &str) {
        self.announced.push(text.to_owned());
    }

    /// Everything the process wrote since it was started last, standard output first.
    pub fn text(&self) -> String {
        self.output.text()
    }

    /// Waits until the process has written `text`.
    ///
    /// # Panics
    /// If it does not in time.
    pub fn wait_for_text(&self, text: &str) {
        assert!(
            self.output
                .wait_for(STOP_PATIENCE, |line| line.contains(text))
                .is_some(),
            "the broker never wrote {text:?}"
        );
    }

    /// Ends the process without a warning.
    pub fn kill_9(&mut self) {
        self.child.kill().expect("the broker can be killed");
        self.child.wait().expect("a killed process ends");
        self.output.finish();
    }

    /// Sends ctrl-C and waits for the end.
    ///
    /// # Panics
    /// If it takes too long.
    pub fn stop(&mut self) -> Ended {
        self.signal(Signal::INT);
        self.wait_for_end()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has an id"), signal).expect("the broker takes signals");
    }

    /// Waits until the process ends by itself.
    ///
    /// # Panics
    /// If it takes too long.
    pub fn wait_for_end(&mut self) -> Ended {
        let start = Instant::now();
        let status = wait(&mut self.child, STOP_PATIENCE).expect("the broker ends");
        self.output.finish();
        Ended {
            status,
            took: start.elapsed(),
        }
    }

    /// Fails if a line was a WARN or an ERROR that the test did not announce.
    fn check_log(&self) {
        let bad = self.output.complaints(&self.announced);
        assert!(
            bad.is_empty(),
            "the broker complained without the test expecting it: {bad:#?}"
        );
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        self.output.finish();
        if std::thread::panicking() {
            eprintln!("--- the broker wrote:\n{}---", self.output.text());
        } else {
            self.check_log();
        }
    }
}

/// Runs the program with arguments and waits for its end: for what is refused before a broker runs.
///
/// # Panics
/// If it goes on running.
pub fn run_program(arguments: &[&str]) -> NotStarted {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut output = Output::capture(&mut child);
    let status = wait(&mut child, STOP_PATIENCE);
    if status.is_none() {
        child.kill().expect("the program can be killed");
        child.wait().expect("a killed process ends");
    }
    output.finish();
    NotStarted {
        status,
        text: output.text(),
    }
}

type Launched = (Child, Output, SocketAddr);

fn launch(
    options: &Options,
    data: &Path,
    address: Option<SocketAddr>,
) -> Result<Launched, NotStarted> {
    if is_peer() {
        return peer::launch(options, data, address);
    }
    let bind = address.map_or("127.0.0.1:0".to_owned(), |address| address.to_string());
    let mut command = options.command(&program());
    command
        .arg("start")
        .arg("--set")
        .arg(format!("node.data_dir={}", data.display()))
        .arg("--set")
        .arg(format!("listeners.tcp.default.bind={bind}"))
        .args(["--set", "listeners.http.default.enabled=false"]);
    for kind in ["tls", "ws", "wss", "quic"] {
        command
            .arg("--set")
            .arg(format!("listeners.{kind}.default.enabled=false"));
    }
    for (key, value) in &options.sets {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let output = Output::capture(&mut child);
    let found = output
        .wait_for(START_PATIENCE, |line| line == "ready")
        .and_then(|()| {
            output.find(|line| {
                line.strip_prefix("listening tcp:default mqtt://")?
                    .parse()
                    .ok()
            })
        });
    match found {
        Some(address) => Ok((child, output, address)),
        None => Err(give_up(child, output)),
    }
}

fn give_up(mut child: Child, mut output: Output) -> NotStarted {
    let status = wait(&mut child, Duration::from_secs(1));
    let _ended = child.kill();
    let _ended = child.wait();
    output.finish();
    NotStarted {
        status,
        text: output.text(),
    }
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(TICK);
    }
}
