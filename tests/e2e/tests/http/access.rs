//! Who may ask, and how refusals look.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use robustmq_e2e::binary;

use super::*;

fn refused(answer: &robustmq_e2e::Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["code"], code, "{body}");
    let fields: Vec<&String> = body.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["code", "message"]);
    body["message"].as_str().expect("a sentence").to_owned()
}

#[test]
fn nothing_but_the_health_is_told_without_a_key() {
    let broker = Broker::start(&[]);
    let nobody = Http::new(broker.http(), None);
    assert_eq!(nobody.get("/api/v5/status").json()["status"], "running");
    let described = nobody.get("/api-docs/openapi.json").json();
    let paths = described["paths"].as_object().expect("paths");
    let mut guarded = vec![("/metrics".to_owned(), "GET".to_owned())];
    for (path, operations) in paths.iter().filter(|(path, _)| *path != "/api/v5/status") {
        // Whatever stands for a part of the path.
        let parts = path.split('/').map(|part| match part.starts_with('{') {
            true => "x",
            false => part,
        });
        let path = parts.collect::<Vec<_>>().join("/");
        let operations = operations.as_object().expect("operations").keys();
        guarded.extend(operations.map(|method| (path.clone(), method.to_ascii_uppercase())));
    }
    for (path, method) in guarded {
        let answer = nobody.ask(&method, &path, &[], "");
        refused(&answer, 401, "UNAUTHORIZED");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, Some("Basic realm=\"robustmq\""), "{path}");
        let wrong = Http::new(broker.http(), Some("local:guess"));
        refused(&wrong.ask(&method, &path, &[], ""), 401, "UNAUTHORIZED");
    }
    assert!(nobody.get("/api-docs").text().contains("<title>"));
}

fn hashed(secret: &str) -> String {
    let mut child = Command::new(binary("robustmq"))
        .arg("hash-secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    writeln!(stdin, "{secret}").expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

#[test]
fn configured_keys_may_what_their_role_says() {
    let keys = format!(
        "api.key=[{{ name = \"viewer\", secret_hash = \"{}\" }}, {{ name = \"app\", secret_hash = \"{}\", role = \"publisher\" }}]",
        hashed("look"),
        hashed("say")
    );
    let broker = Broker::start(&[&keys]);
    let viewer = Http::new(broker.http(), Some("viewer:look"));
    assert_eq!(viewer.get("/api/v5/cursors").status, 200);
    let answer = viewer.ask("DELETE", "/api/v5/cursors/x", &[], "");
    refused(&answer, 403, "FORBIDDEN");
    let publisher = Http::new(broker.http(), Some("app:say"));
    refused(&publisher.get("/api/v5/cursors"), 403, "FORBIDDEN");
    let wrong = Http::new(broker.http(), Some("viewer:say"));
    refused(&wrong.get("/api/v5/cursors"), 401, "UNAUTHORIZED");
}

#[test]
fn refusals_have_one_shape_and_say_what_is_wrong() {
    let broker = Broker::start(&[]);
    let http = http(&broker);
    let message = |path: &str, status, code| refused(&http.get(path), status, code);
    message("/api/v5/nothing", 404, "NOT_FOUND");
    message("/elsewhere", 404, "NOT_FOUND");
    message("/api/v5/cursors/none", 404, "NOT_FOUND");
    message("/api/v5/sessions/none", 404, "NOT_FOUND");
    for (query, part) in [
        ("filtre=a", "filtre"),
        ("filter=a%23", "a#"),
        ("from=soon", "soon"),
        ("limit=0", "limit=0"),
        ("limit=many", "limit"),
        ("cursor=x", "no cursor"),
        ("format=parquet", "format"),
    ] {
        let path = format!("/api/v5/history/messages?{query}");
        let text = message(&path, 400, "BAD_REQUEST");
        assert!(text.contains(part), "{query}: {text}");
    }
    let answer = http.ask("PUT", "/api/v5/cursors", &[], "");
    refused(&answer, 405, "METHOD_NOT_ALLOWED");
    let answer = http.ask("POST", "/api/v5/cursors/x/seek", &[], "{}");
    refused(&answer, 400, "BAD_REQUEST");
}

#[test]
fn a_taken_port_stops_the_start_with_a_remedy() {
    let broker = Broker::start(&[]);
    let directory = tempfile::tempdir().expect("a directory");
    let set = format!("listeners.http.default.bind={}", broker.http());
    let failed = Broker::try_start(&directory.path().join("data"), &[&set]);
    let Err(failed) = failed else {
        panic!("it started on a taken port");
    };
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        failed.stderr.contains("listeners.http.default.bind"),
        "{}",
        failed.stderr
    );
}

#[test]
fn the_end_of_the_broker_ends_streams_and_takes_the_key_away() {
    let mut broker = Broker::start(&[]);
    let mut events = http(&broker).events("/api/v5/history/tail", None);
    let first = events.next_event().expect("an event").expect("an event");
    assert_eq!(first.name, "caught-up");
    let (status, time) = broker.stop();
    assert!(
        status.success() && time < Duration::from_secs(5),
        "{time:?}"
    );
    assert!(matches!(events.next_event(), Ok(None) | Err(_)));
    assert!(!broker.data().join("api-key").exists());
}

#[test]
fn hostile_requests_cost_only_their_connection() {
    let broker = Broker::start(&[]);
    for bytes in [
        &b"\x00\x01\x02\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v5/cursors/x/seek HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    ] {
        let mut stream = std::net::TcpStream::connect(broker.http()).expect("it listens");
        stream.write_all(bytes).expect("it is sent");
        stream.shutdown(std::net::Shutdown::Write).expect("it ends");
        // Whatever it says, it ends.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(http(&broker).get("/api/v5/status").status, 200);
}
