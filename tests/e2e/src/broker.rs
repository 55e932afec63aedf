//! The broker as a process.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a broker may take to start or stop before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Any free port of loopback.
const ANY_PORT: &str = "127.0.0.1:0";

/// Kinds of listeners that are off unless a test sets a key of theirs.
const OTHER_KINDS: [&str; 4] = ["tls", "ws", "wss", "quic"];

/// A broker that did not start.
#[derive(Debug)]
pub struct Failed {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// How the process is started; nothing unusual by default.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// A program with arguments that becomes the broker: it is given the
    /// broker's command line and executes it. `{}` stands for the folder in
    /// which the data directory is made.
    pub wrapper: Vec<String>,
    /// More arguments of `robustmq start`.
    pub arguments: Vec<String>,
    /// Variables of the environment.
    pub environment: Vec<(String, OsString)>,
}

impl Launch {
    fn command(&self, directory: &Path) -> Command {
        let program = binary("robustmq");
        let mut words = self
            .wrapper
            .iter()
            .map(|word| word.replace("{}", &directory.display().to_string()));
        let mut command = match words.next() {
            None => Command::new(program),
            Some(wrapper) => {
                let mut command = Command::new(wrapper);
                command.args(words).arg(program);
                command
            }
        };
        command.envs(self.environment.iter().cloned());
        command
    }
}

/// A running broker with its data directory. Killed when dropped.
pub struct Broker {
    directory: Arc<TempDir>,
    launch: Launch,
    sets: Vec<String>,
    child: Child,
    address: SocketAddr,
    http: SocketAddr,
    listening: Vec<String>,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker on a new data directory and a free port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(sets: &[&str]) -> Self {
        Self::start_in(Launch::default(), sets)
    }

    /// Starts a broker in an unusual way.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_in(launch: Launch, sets: &[&str]) -> Self {
        let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let sets = sets.iter().map(|set| (*set).to_owned()).collect();
        Self::launch(directory, launch, sets, [ANY_PORT; 2]).unwrap_or_else(|failed| {
            panic!(
                "the broker did not start ({}): {}",
                failed.status, failed.stderr
            )
        })
    }

    /// Tries to start a broker on a given data directory.
    ///
    /// # Errors
    /// [`Failed`] when it ends before it is ready.
    pub fn try_start(data: &Path, sets: &[&str]) -> Result<Self, Failed> {
        let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let mut sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        sets.push(format!("node.data_dir={}", data.display()));
        Self::launch(directory, Launch::default(), sets, [ANY_PORT; 2])
    }

    fn launch(
        directory: Arc<TempDir>,
        launch: Launch,
        sets: Vec<String>,
        [mqtt, http]: [&str; 2],
    ) -> Result<Self, Failed> {
        let data = directory.path().join("data");
        let mut command = launch.command(directory.path());
        command.arg("start").args(&launch.arguments);
        let data = format!("node.data_dir={}", data.display());
        let sets_before = std::iter::once(data).chain(listener_sets(&sets, [mqtt, http]));
        for set in sets_before.chain(sets.iter().cloned()) {
            command.arg("--set").arg(set);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .expect("the binary `robustmq` starts: build it first");
        let stderr = Arc::new(Mutex::new(String::new()));
        let reader = collect(
            child.stderr.take().expect("stderr is piped"),
            Arc::clone(&stderr),
        );
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut listening = Vec::new();
        for line in stdout.lines().map_while(Result::ok) {
            if let Some(found) = line.strip_prefix("listening ") {
                listening.push(found.to_owned());
            }
            if line == "ready" {
                break;
            }
        }
        let address = address_of(&listening, "tcp:default");
        match address.zip(address_of(&listening, "http:default")) {
            Some((address, http)) => Ok(Self {
                directory,
                launch,
                sets,
                child,
                address,
                http,
                listening,
                stderr,
                reader: Some(reader),
            }),
            None => {
                let status = child.wait().expect("the process can be waited for");
                reader.join().expect("the log is read");
                let stderr = text(&stderr);
                Err(Failed { status, stderr })
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a listener of a kind other than TCP listens, by kind and name:
    /// `tls:default`.
    ///
    /// # Panics
    /// When there is none.
    pub fn listener(&self, name: &str) -> SocketAddr {
        address_of(&self.listening, name)
            .unwrap_or_else(|| panic!("no {name}: {:?}", self.listening))
    }

    /// Where its HTTP interface listens.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Name and secret of the key that it made at its start.
    ///
    /// # Panics
    /// When there is none.
    pub fn api_key(&self) -> String {
        let file = self.data().join("api-key");
        let key = std::fs::read_to_string(file).expect("a broker makes a key");
        key.trim().to_owned()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder of its data directory, as the process itself sees it: what
    /// is mounted there for it alone included.
    pub fn folder(&self) -> PathBuf {
        let inside = self.directory.path().strip_prefix("/").expect("absolute");
        PathBuf::from(format!("/proc/{}/root", self.pid())).join(inside)
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// What has been read of its log so far. It comes through a pipe: what it
    /// has just logged may be missing, unless it has been stopped or waited for.
    pub fn log(&self) -> String {
        text(&self.stderr)
    }

    /// Flips a bit in the first place where the bytes stand in a segment of the
    /// log.
    ///
    /// # Panics
    /// When they stand nowhere.
    pub fn flip_bit(&self, needle: &[u8]) {
        let log = self.data().join("log");
        for entry in std::fs::read_dir(log).expect("the log can be listed") {
            let path = entry.expect("an entry").path();
            let mut bytes = std::fs::read(&path).unwrap_or_default();
            let mut windows = bytes.windows(needle.len());
            if let Some(place) = windows.position(|window| window == needle) {
                bytes[place] ^= 1;
                std::fs::write(&path, bytes).expect("the segment is written");
                return;
            }
        }
        panic!("the bytes are in no segment");
    }

    /// Resident memory, bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process runs");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("there is VmRSS");
        let kilobytes = line.split_whitespace().nth(1).expect("VmRSS has a value");
        kilobytes.parse::<u64>().expect("VmRSS is a number") * 1024
    }

    /// Kills it without warning and starts it again on the same data and port.
    ///
    /// # Panics
    /// When it does not start again.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
    }

    /// Starts it again after its end, on the same data and port.
    ///
    /// # Panics
    /// When it does not start again.
    pub fn restart(&mut self) {
        let (mqtt, http) = (self.address.to_string(), self.http.to_string());
        let log = self.log();
        let again = Self::launch(
            Arc::clone(&self.directory),
            self.launch.clone(),
            self.sets.clone(),
            [&mqtt, &http],
        );
        *self = again.unwrap_or_else(|failed| {
            panic!(
                "the broker did not start again ({}): {}\nbefore:\n{log}",
                failed.status, failed.stderr
            )
        });
    }

    /// Gives another value to a key, from the next start on.
    pub fn set(&mut self, key: &str, value: &str) {
        let prefix = format!("{key}=");
        self.sets.retain(|set| !set.starts_with(&prefix));
        self.sets.push(format!("{prefix}{value}"));
    }

    /// Asks it to stop (SIGINT) and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("the process gets the signal");
        let start = Instant::now();
        let status = self.wait();
        (status, start.elapsed())
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .expect("the process can be waited for")
            {
                if let Some(reader) = self.reader.take() {
                    reader.join().expect("the log is read");
                }
                return status;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "the broker does not end:\n{}",
                self.log()
            );
            std::thread::yield_now();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the broker's log:\n{}", self.log());
        }
    }
}

/// The addresses of the listeners that every test has; the others are off unless
/// a test sets a key of theirs.
fn listener_sets(sets: &[String], [mqtt, http]: [&str; 2]) -> Vec<String> {
    let mut all = vec![
        format!("listeners.tcp.default.bind={mqtt}"),
        format!("listeners.http.default.bind={http}"),
    ];
    for kind in OTHER_KINDS {
        let prefix = format!("listeners.{kind}.");
        if !sets.iter().any(|set| set.starts_with(&prefix)) {
            all.push(format!("{prefix}default.enabled=false"));
        }
    }
    all
}

/// From lines such as `ws:default ws://127.0.0.1:8083/mqtt`.
fn address_of(listening: &[String], name: &str) -> Option<SocketAddr> {
    listening.iter().find_map(|line| {
        let (_, url) = line.strip_prefix(name)?.trim_start().split_once("://")?;
        url.split('/').next()?.parse().ok()
    })
}

fn text(shared: &Mutex<String>) -> String {
    shared
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

fn collect(mut from: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0u8; 4096];
        while let Ok(count) = from.read(&mut buffer) {
            if count == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            into.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_str(&text);
        }
    })
}

/// A binary of this workspace: beside the own executable, or above it where that
/// is a test's; the broker
/// also as `ROBUSTMQ_BIN` says.
///
/// # Panics
/// Without a target directory around the test.
pub fn binary(name: &str) -> PathBuf {
    if let ("robustmq", Some(path)) = (name, std::env::var_os("ROBUSTMQ_BIN")) {
        return path.into();
    }
    let test = std::env::current_exe().expect("the test knows its path");
    let beside = test.parent().expect("the target directory");
    let above = beside.parent().expect("the target directory");
    let found = [beside, above].map(|directory| directory.join(name));
    let [beside, above] = found;
    if beside.is_file() { beside } else { above }
}
