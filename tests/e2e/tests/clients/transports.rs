//! The same clients over TLS, WebSocket and WebSocket over TLS.

use std::process::Command;

use robustmq_e2e::Broker;
use serde_json::json;

use crate::driver::{Driver, Library};
use crate::login::{Login, V3_1_1, V5};

/// How a client reaches the broker.
#[derive(Clone, Copy, Debug)]
enum Way {
    Tls,
    Ws,
    Wss,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

fn broker() -> Broker {
    Broker::start(&[
        "listeners.tls.default.bind=127.0.0.1:0",
        "listeners.ws.default.bind=127.0.0.1:0",
        "listeners.wss.default.bind=127.0.0.1:0",
    ])
}

/// The certificate that the broker made itself.
fn certificate(broker: &Broker) -> String {
    let path = broker.data().join("tls/self-signed.crt");
    path.to_str().expect("the path is UTF-8").to_owned()
}

/// Logs in this way: the port is that of the way's listener.
fn over(way: Way, broker: &Broker, login: Login) -> Login {
    let address = broker.listener(&format!("{}:default", way.name()));
    login
        .with("transport", way.name())
        .with("port", address.port())
        .with("ca", certificate(broker))
}

fn payload(number: usize) -> Vec<u8> {
    [number.to_string().into_bytes(), vec![0xFE; number * 997]].concat()
}

/// Messages of every QoS and of growing size, between two clients.
fn converse(library: Library, way: Way) {
    let broker = broker();
    let mut driver = library.drive(&broker);
    for version in [V3_1_1, V5] {
        for name in ["from", "to"] {
            let login = Login::clean(version, name);
            driver.connect(name, &over(way, &broker, login));
        }
        driver.subscribe("to", "t");
        for number in 0..30 {
            let qos = json!({"qos": number % 3});
            driver.publish_with("from", "t", &payload(number), &qos);
            assert_eq!(driver.message("to").payload, payload(number));
        }
        leave(&mut driver);
    }
}

fn leave(driver: &mut Driver) {
    for name in ["from", "to"] {
        driver.disconnect(name);
    }
}

#[test]
fn paho_over_tls() {
    converse(Library::Paho, Way::Tls);
}

#[test]
fn paho_over_websocket() {
    converse(Library::Paho, Way::Ws);
}

#[test]
fn paho_over_websocket_over_tls() {
    converse(Library::Paho, Way::Wss);
}

#[test]
fn mqtt_js_over_tls() {
    converse(Library::MqttJs, Way::Tls);
}

#[test]
fn mqtt_js_over_websocket() {
    converse(Library::MqttJs, Way::Ws);
}

#[test]
fn mqtt_js_over_websocket_over_tls() {
    converse(Library::MqttJs, Way::Wss);
}

/// A `mosquitto_pub` or `mosquitto_sub`, to its end.
fn mosquitto(program: &str, port: u16, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(["-h", "localhost", "-p", &port.to_string(), "-q", "1"])
        .args(arguments)
        .output()
        .expect("`make test` installs mosquitto's clients");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is UTF-8");
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

#[test]
fn mosquitto_over_tls() {
    let broker = broker();
    let port = broker.listener("tls:default").port();
    let ca = certificate(&broker);
    let session = ["--cafile", &ca, "-c", "-i", "s", "-t", "t/#"];
    mosquitto("mosquitto_sub", port, &[&session[..], &["-E"]].concat()).expect("a subscription");
    for version in ["31", "311", "5"] {
        let message = ["--cafile", &ca, "-V", version, "-t", "t/1", "-m", version];
        mosquitto("mosquitto_pub", port, &message).expect("an acknowledgement");
    }
    let wait = [&session[..], &["-C", "3", "-W", "60", "-v"]].concat();
    let received = mosquitto("mosquitto_sub", port, &wait);
    assert_eq!(received.as_deref(), Ok("t/1 31\nt/1 311\nt/1 5\n"));
    for version in ["tlsv1.2", "tlsv1.3"] {
        let more = ["--cafile", &ca, "--tls-version", version];
        let message = [&more[..], &["-t", "t", "-m", "x"]].concat();
        mosquitto("mosquitto_pub", port, &message).expect("both versions are spoken");
    }
}

/// Without the certificate a client that checks is not fooled.
#[test]
fn mosquitto_does_not_trust_a_stranger() {
    let broker = broker();
    let port = broker.listener("tls:default").port();
    let system = "/etc/ssl/certs";
    let message = ["--capath", system, "-t", "t", "-m", "x"];
    mosquitto("mosquitto_pub", port, &message).expect_err("the certificate is unknown to it");
}
