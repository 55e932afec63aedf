//! Clients of a library in another language, driven through its script in
//! `clients/`: commands in, events out, one JSON value a line.
//!
//! **Not here**: what is tested (`scenarios`).

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use robustmq_e2e::Broker;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::login::Login;

/// How long an event may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client library with a script that drives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    /// paho-mqtt, in Python.
    Paho,
    /// mqtt.js, in Node.
    MqttJs,
}

impl Library {
    /// Starts a process for any number of clients of one broker.
    pub(crate) fn drive(self, broker: &Broker) -> Driver {
        let mut command = match self {
            Self::Paho => {
                let mut command = Command::new(required("ROBUSTMQ_TEST_PYTHON"));
                command.arg(script("paho_driver.py"));
                command
            }
            Self::MqttJs => {
                let mut command = Command::new("node");
                command.env("NODE_PATH", required("ROBUSTMQ_TEST_NODE_PATH"));
                command.arg(script("mqtt_js_driver.mjs"));
                command
            }
        };
        Driver::start(&mut command, broker.address().port())
    }
}

/// A variable that says where a client is installed.
fn required(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => panic!(
            "{variable} is not set: run the tests with `make test`, or install the clients with \
             `scripts/bootstrap test FOLDER` and set ROBUSTMQ_TEST_PYTHON=FOLDER/python/bin/python \
             and ROBUSTMQ_TEST_NODE_PATH=FOLDER/node/node_modules"
        ),
    }
}

/// Found when the test runs: a build may be shared by several checkouts.
fn script(name: &str) -> PathBuf {
    let crate_directory = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the test");
    PathBuf::from(crate_directory).join("clients").join(name)
}

/// What a client received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    /// As it stood in the packet: empty behind a topic alias.
    pub(crate) wire_topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u64,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) mid: u64,
    pub(crate) properties: Value,
}

impl Message {
    fn from_event(event: &Value) -> Self {
        let text = |name: &str| event[name].as_str().expect("a text").to_owned();
        Self {
            topic: text("topic"),
            wire_topic: text("wire_topic"),
            payload: bytes(&text("payload")),
            qos: event["qos"].as_u64().expect("a number"),
            retain: event["retain"].as_bool().expect("a flag"),
            dup: event["dup"].as_bool().expect("a flag"),
            mid: event["mid"].as_u64().expect("a number"),
            properties: event["properties"].clone(),
        }
    }

    /// The payload, where it is text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("the payload is UTF-8")
    }
}

/// The bytes of a text whose characters are bytes.
fn bytes(text: &str) -> Vec<u8> {
    let byte = |character| u8::try_from(u32::from(character)).expect("a byte");
    text.chars().map(byte).collect()
}

/// A text whose characters are these bytes.
pub(crate) fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// A process with clients in it. Killed when dropped.
pub(crate) struct Driver {
    child: Child,
    stdin: ChildStdin,
    port: u16,
    events: Receiver<String>,
    /// Events that nobody has asked for yet.
    waiting: VecDeque<Value>,
    /// What went in and came out lately, for a test that fails.
    history: VecDeque<String>,
    sentinels: u32,
}

impl Driver {
    fn start(command: &mut Command, port: u16) -> Self {
        // Standard error is the test's own: a driver writes there only when
        // something is wrong.
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            stdin,
            port,
            events,
            waiting: VecDeque::new(),
            history: VecDeque::new(),
            sentinels: 0,
        }
    }

    fn note(&mut self, direction: &str, line: &str) {
        if self.history.len() == 60 {
            self.history.pop_front();
        }
        let short: String = line.chars().take(400).collect();
        self.history.push_back(format!("{direction} {short}"));
    }

    /// Sends a command.
    pub(crate) fn tell(&mut self, order: &Value) {
        let line = order.to_string();
        self.note(">", &line);
        writeln!(self.stdin, "{line}").expect("the driver reads");
    }

    /// The next event of this kind of this client; the others wait.
    pub(crate) fn wait(&mut self, client: &str, kind: &str) -> Value {
        let wanted = |event: &Value| event["client"] == client && event["event"] == kind;
        if let Some(place) = self.waiting.iter().position(wanted) {
            return self.waiting.remove(place).expect("it was found");
        }
        loop {
            let line = match self.events.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => panic!("{client}: no {kind} event comes"),
                Err(RecvTimeoutError::Disconnected) => panic!("{client}: the driver has ended"),
            };
            self.note("<", &line);
            let event: Value = serde_json::from_str(&line).expect("a line is JSON");
            assert_ne!(event["event"], "failed", "{event}");
            if wanted(&event) {
                return event;
            }
            self.waiting.push_back(event);
        }
    }

    /// Whether an event of this kind of this client came while others were
    /// waited for.
    pub(crate) fn is_waiting(&self, client: &str, kind: &str) -> bool {
        let wanted = |event: &Value| event["client"] == client && event["event"] == kind;
        self.waiting.iter().any(wanted)
    }

    /// Connects a client and gives the `connected` event.
    pub(crate) fn connect(&mut self, client: &str, login: &Login) -> Value {
        self.tell(&login.order(client, self.port));
        self.wait(client, "connected")
    }

    /// Subscribes to one filter, which must be granted, with the given options.
    pub(crate) fn subscribe_with(&mut self, client: &str, filter: &str, options: &Value) {
        let mut given = json!({"filter": filter, "qos": 2});
        let mut order = json!({"do": "subscribe", "client": client});
        for (name, value) in options.as_object().expect("named options") {
            let place = if name == "properties" {
                &mut order
            } else {
                &mut given
            };
            place[name.as_str()] = value.clone();
        }
        let qos = given["qos"].clone();
        order["filters"] = json!([given]);
        self.tell(&order);
        let subscribed = self.wait(client, "subscribed");
        assert_eq!(subscribed["reasons"], json!([qos]), "{subscribed}");
    }

    /// Subscribes to one filter with QoS 2, which must be granted.
    pub(crate) fn subscribe(&mut self, client: &str, filter: &str) {
        self.subscribe_with(client, filter, &json!({}));
    }

    /// Unsubscribes from one filter and gives the `unsubscribed` event.
    pub(crate) fn unsubscribe(&mut self, client: &str, filter: &str) -> Value {
        self.tell(&json!({"do": "unsubscribe", "client": client, "filters": [filter]}));
        self.wait(client, "unsubscribed")
    }

    /// Publishes with the given options, waits until it is sent or
    /// acknowledged and gives the `published` event.
    pub(crate) fn publish_with(
        &mut self,
        client: &str,
        topic: &str,
        payload: &[u8],
        options: &Value,
    ) -> Value {
        let mut order = json!({"do": "publish", "client": client, "topic": topic, "qos": 1});
        order["payload"] = json!(latin_1(payload));
        for (name, value) in options.as_object().expect("named options") {
            order[name.as_str()] = value.clone();
        }
        self.tell(&order);
        self.wait(client, "published")
    }

    /// Publishes with QoS 1 and waits until it is acknowledged.
    pub(crate) fn publish(&mut self, client: &str, topic: &str, payload: &str) {
        self.publish_with(client, topic, payload.as_bytes(), &json!({}));
    }

    /// The next message of this client.
    pub(crate) fn message(&mut self, client: &str) -> Message {
        Message::from_event(&self.wait(client, "message"))
    }

    /// The next messages of this client, as their texts; then no other one is
    /// on its way.
    pub(crate) fn texts(&mut self, client: &str, count: usize) -> Vec<String> {
        let texts = (0..count)
            .map(|_| self.message(client).text().to_owned())
            .collect();
        self.nothing(client);
        texts
    }

    /// No message is on its way to this client: one that it now sends to
    /// itself is the next that arrives.
    pub(crate) fn nothing(&mut self, client: &str) {
        self.sentinels += 1;
        let topic = format!("sentinel/{}/{client}/{}", self.child.id(), self.sentinels);
        self.subscribe(client, &topic);
        self.publish(client, &topic, "sentinel");
        let message = self.message(client);
        assert_eq!(message.topic, topic, "nothing was to come: {message:?}");
    }

    /// Disconnects a client in order.
    pub(crate) fn disconnect(&mut self, client: &str) {
        self.disconnect_with(client, 0);
    }

    /// Disconnects a client with this reason code.
    pub(crate) fn disconnect_with(&mut self, client: &str, reason: u8) {
        self.tell(&json!({"do": "disconnect", "client": client, "reason": reason}));
        self.wait(client, "left");
    }

    /// Kills the process with all its clients.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
    }

    /// Stops the process with all its clients: their connections stay open.
    pub(crate) fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("the process is stopped");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for line in &self.history {
                eprintln!("{line}");
            }
        }
    }
}
