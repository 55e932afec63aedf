//! mosquitto in the place of our broker.
//!
//! It cannot take port 0, so a free port is looked for; and it knows only some of our configuration.

use std::fmt::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::output::Output;
use super::{Launched, NotStarted, Options, START_PATIENCE, TICK, give_up};

/// Our keys and mosquitto's.
const KEYS: [(&str, &str); 6] = [
    ("mqtt.max_packet_size", "max_packet_size"),
    ("mqtt.receive_maximum", "max_inflight_messages"),
    ("mqtt.max_inflight", "max_inflight_messages"),
    ("mqtt.max_topic_alias", "max_topic_alias"),
    ("mqtt.max_qos", "max_qos"),
    ("mqtt.retain_available", "retain_available"),
];

pub(super) fn launch(
    options: &Options,
    data: &Path,
    address: Option<SocketAddr>,
) -> Result<Launched, NotStarted> {
    let address = address.unwrap_or_else(|| {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        free.expect("a port is free")
    });
    let file = data.join("mosquitto.conf");
    std::fs::write(&file, configuration(options, data, address)).expect("the temp folder is ours");
    let mut command = Command::new("mosquitto");
    command
        .arg("-c")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .expect("mosquitto is installed (apt-get install mosquitto)");
    let output = Output::capture(&mut child);
    let end = Instant::now() + START_PATIENCE;
    while TcpStream::connect(address).is_err() {
        let ended = child
            .try_wait()
            .expect("a child can be waited for")
            .is_some();
        if ended || Instant::now() >= end {
            return Err(give_up(child, output));
        }
        std::thread::sleep(TICK);
    }
    Ok((child, output, address))
}

fn configuration(options: &Options, data: &Path, address: SocketAddr) -> String {
    let mut text = format!(
        "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n\
         user root\npersistence true\npersistence_location {}/\n",
        address.port(),
        data.display()
    );
    for (ours, theirs) in KEYS {
        if let Some(value) = options.get(ours) {
            let value = value.replace("KB", "000").replace("MB", "000000");
            writeln!(text, "{theirs} {value}").expect("writing to a string does not fail");
        }
    }
    text
}
