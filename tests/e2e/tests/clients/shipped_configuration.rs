//! The sample configuration, as a user would start with it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_shipped_configuration_serves_clients() {
    let crate_directory = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the test");
    let file = PathBuf::from(crate_directory).join("../../config/robustmq.toml");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut broker = Command::new(robustmq_e2e::binary("robustmq"))
        .arg("start")
        .arg("--config")
        .arg(file)
        .arg("--set")
        .arg(format!(
            "node.data_dir={}",
            directory.path().join("data").display()
        ))
        .args(["--set", "listeners.tcp.default.bind=127.0.0.1:0"])
        .args(["--set", "listeners.tls.default.bind=127.0.0.1:0"])
        .args(["--set", "listeners.ws.default.bind=127.0.0.1:0"])
        .args(["--set", "listeners.wss.default.bind=127.0.0.1:0"])
        .args(["--set", "listeners.quic.default.bind=127.0.0.1:0"])
        .args(["--set", "listeners.http.default.bind=127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary `robustmq` starts: build it first");
    let stdout = BufReader::new(broker.stdout.take().expect("stdout is piped"));
    let _broker = Process(broker);
    let mut lines = stdout.lines().map_while(Result::ok);
    let port = lines
        .find_map(|line| {
            Some(
                line.strip_prefix("listening tcp:default mqtt://127.0.0.1:")?
                    .to_owned(),
            )
        })
        .expect("it says where it listens");
    assert!(lines.any(|line| line == "ready"));

    let at = ["-h", "127.0.0.1", "-p", &port];
    let mosquitto = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(at).args(arguments).output();
        let output = output.expect("`make test` installs mosquitto's clients");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("the output is UTF-8")
    };
    mosquitto(
        "mosquitto_sub",
        &["-c", "-i", "reader", "-q", "1", "-t", "hello/#", "-E"],
    );
    mosquitto(
        "mosquitto_pub",
        &["-q", "1", "-t", "hello/world", "-m", "it works"],
    );
    let arguments = ["-c", "-i", "reader", "-q", "1", "-t", "hello/#"];
    let arguments = [&arguments[..], &["-v", "-C", "1", "-W", "60"]].concat();
    assert_eq!(
        mosquitto("mosquitto_sub", &arguments),
        "hello/world it works\n"
    );
}
