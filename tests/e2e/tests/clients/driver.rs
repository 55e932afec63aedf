//! A client of somebody else's in a process of its own, told what to do in JSON.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// How long an event may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whose client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    Paho,
    MqttJs,
}

impl Library {
    pub(crate) const ALL: [Self; 2] = [Self::Paho, Self::MqttJs];

    fn command(self) -> Command {
        let scripts = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
        let scripts = PathBuf::from(scripts).join("clients");
        match self {
            Self::Paho => {
                let mut command = Command::new(variable("ROBUSTMQ_TEST_PYTHON"));
                command.arg(scripts.join("paho_driver.py"));
                command
            }
            Self::MqttJs => {
                let mut command = Command::new("node");
                command.env("NODE_PATH", variable("ROBUSTMQ_TEST_NODE_PATH"));
                command.arg(scripts.join("mqtt_js_driver.cjs"));
                command
            }
        }
    }
}

/// Where a client library is, as `make test` says.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests with `make test`, or install the clients with `scripts/bootstrap test FOLDER` and set it as the Makefile does")
    })
}

/// A client. Killed when dropped.
pub(crate) struct Driver {
    library: Library,
    version: u8,
    child: Child,
    stdin: ChildStdin,
    events: Receiver<Value>,
    /// Events that came while another was waited for.
    passed: VecDeque<Value>,
}

impl Driver {
    /// A client that is not connected.
    pub(crate) fn start(library: Library, version: u8) -> Self {
        let mut child = library
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{library:?} does not start: {error}"));
        let stdout = child.stdout.take().expect("stdout is piped");
        let stdin = child.stdin.take().expect("stdin is piped");
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("an event is JSON");
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        Self {
            library,
            version,
            child,
            stdin,
            events,
            passed: VecDeque::new(),
        }
    }

    /// A connected client; `more` is added to the command.
    pub(crate) fn connected(
        library: Library,
        version: u8,
        port: u16,
        client_id: &str,
        more: &Value,
    ) -> (Self, Value) {
        let mut driver = Self::start(library, version);
        let event = driver.connect(port, client_id, more);
        assert_eq!(event["code"], 0, "{library:?} {version}: {event}");
        (driver, event)
    }

    /// Connects and waits for the answer.
    pub(crate) fn connect(&mut self, port: u16, client_id: &str, more: &Value) -> Value {
        let mut command = json!({
            "do": "connect", "port": port, "version": self.version, "client_id": client_id,
        });
        merge(&mut command, more);
        self.send(&command);
        self.expect("connected")
    }

    pub(crate) fn send(&mut self, command: &Value) {
        writeln!(self.stdin, "{command}").expect("the client takes commands");
    }

    /// Subscribes; the codes of the SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8, more: &Value) -> Value {
        let mut command = json!({"do": "subscribe", "filter": filter, "qos": qos});
        merge(&mut command, more);
        self.send(&command);
        self.expect("subscribed")["codes"].clone()
    }

    /// Publishes and waits until the client is satisfied.
    pub(crate) fn publish(&mut self, topic: &str, payload: &str, qos: u8, more: &Value) -> Value {
        let mut command = json!({"do": "publish", "topic": topic, "payload": payload, "qos": qos});
        merge(&mut command, more);
        self.send(&command);
        self.expect("published")
    }

    /// Ends the connection in order, and the process with it.
    pub(crate) fn disconnect(mut self) {
        self.send(&json!({"do": "disconnect"}));
        self.expect("disconnected");
    }

    /// The next event of a kind; others are kept for later.
    pub(crate) fn expect(&mut self, name: &str) -> Value {
        if let Some(place) = self.passed.iter().position(|event| event["event"] == name) {
            return self.passed.remove(place).expect("the place was found");
        }
        let start = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(start.elapsed());
            match self.events.recv_timeout(left) {
                Ok(event) if event["event"] == name => return event,
                Ok(event) => self.passed.push_back(event),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!(
                    "{:?} {}: no event `{name}`; others: {:?}",
                    self.library, self.version, self.passed
                ),
            }
        }
    }

    /// The next message: topic, payload as text, and the event.
    pub(crate) fn message(&mut self) -> (String, String, Value) {
        let event = self.expect("message");
        let topic = event["topic"].as_str().expect("a topic").to_owned();
        (topic, payload(&event), event)
    }

    /// The payloads of the next messages.
    pub(crate) fn payloads(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.message().1).collect()
    }

    /// Stops the client's process: it holds its connection and says nothing.
    pub(crate) fn stop(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).expect("the process can be stopped");
    }

    /// Kills the client without warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the process can be killed");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn merge(command: &mut Value, more: &Value) {
    let fields = command.as_object_mut().expect("a command is an object");
    for (name, value) in more.as_object().into_iter().flatten() {
        fields.insert(name.clone(), value.clone());
    }
}

fn payload(event: &Value) -> String {
    let encoded = event["payload_b64"].as_str().expect("a payload");
    let bytes = STANDARD.decode(encoded).expect("base64");
    String::from_utf8(bytes).expect("payloads are text")
}
