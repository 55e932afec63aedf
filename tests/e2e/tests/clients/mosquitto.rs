//! mosquitto_pub, mosquitto_sub and mosquitto_rr: with their letters, and what
//! they print.
//!
//! **Not here**: what their letters and output cannot show, such as session
//! present, no local, retain handling and the reason codes of an UNSUBACK.

mod every_version;
mod version_5;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use robustmq_e2e::Broker;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long an output may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The values of `-V`.
const VERSIONS: [&str; 3] = ["31", "311", "5"];

/// One of the programs, towards this broker.
fn program(name: &str, broker: &Broker, version: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(["-h", "127.0.0.1", "-p"]);
    command.arg(broker.address().port().to_string());
    command.args(["-V", version]);
    command.args(arguments);
    command
}

/// Runs it to its end, which must be a good one; gives its standard output.
fn run(mut command: Command, stdin: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{command:?} does not start ({error}): `make test` installs mosquitto's clients")
        });
    let mut pipe = child.stdin.take().expect("stdin is piped");
    // In a thread: what comes out must be read meanwhile.
    let stdin = stdin.to_vec();
    let writer = std::thread::spawn(move || pipe.write_all(&stdin));
    let output = child
        .wait_with_output()
        .expect("the process can be waited for");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    let written = writer.join().expect("the writer ends");
    written.expect("the program reads its input");
    output.stdout
}

/// `mosquitto_pub`, to its end.
fn publish(broker: &Broker, version: &str, arguments: &[&str]) {
    run(program("mosquitto_pub", broker, version, arguments), b"");
}

/// `mosquitto_pub` with QoS 1, to its end.
fn publish_text(broker: &Broker, topic: &str, payload: &str) {
    publish(broker, "5", &["-q", "1", "-t", topic, "-m", payload]);
}

/// The next messages that a `mosquitto_sub` with these arguments prints, which
/// then ends.
fn receive(broker: &Broker, version: &str, count: usize, arguments: &[&str]) -> Vec<Value> {
    let mut command = program("mosquitto_sub", broker, version, arguments);
    command.args(["-F", "%j", "-W", "60", "-C", &count.to_string()]);
    String::from_utf8(run(command, b""))
        .expect("the output is UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

/// The payloads of messages.
fn payloads(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(payload).collect()
}

/// The payload of a message.
fn payload(message: &Value) -> &str {
    message["payload"].as_str().expect("a text")
}

/// A `mosquitto_sub` that goes on. Killed when dropped.
struct Subscriber {
    child: Child,
    lines: Receiver<String>,
    waiting: VecDeque<String>,
}

impl Subscriber {
    /// Starts one and waits until its first subscription is granted.
    fn start(broker: &Broker, version: &str, arguments: &[&str]) -> Self {
        let arguments = [&["-d", "-F", "%j"], arguments].concat();
        let command = program("mosquitto_sub", broker, version, &arguments);
        // What it prints beside messages it keeps to itself for long.
        let mut child = Command::new("stdbuf")
            .arg("-oL")
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("stdbuf starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut subscriber = Self {
            child,
            lines,
            waiting: VecDeque::new(),
        };
        subscriber.line("Subscribed (mid: 1)");
        subscriber
    }

    /// The next line with this text; others wait.
    fn line(&mut self, text: &str) -> String {
        if let Some(place) = self.waiting.iter().position(|line| line.contains(text)) {
            return self.waiting.remove(place).expect("it was found");
        }
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("no `{text}` comes: {error}"));
            if line.contains(text) {
                return line;
            }
            self.waiting.push_back(line);
        }
    }

    /// The next message.
    fn message(&mut self) -> Value {
        serde_json::from_str(&self.line("{\"tst\":")).expect("a line is JSON")
    }

    /// Kills it without warning.
    fn kill(mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
    }

    /// Stops it: its connection stays open.
    fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("the process is stopped");
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("mosquitto_sub: {:#?}", self.waiting);
        }
    }
}
