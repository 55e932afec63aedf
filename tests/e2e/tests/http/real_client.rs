//! The interface with a client that knows nothing of it: Python's own library.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

/// Pages, lines, a table and events with nothing but the standard library.
const PROGRAM: &str = r#"
import base64, csv, io, json, os, urllib.error, urllib.request

base, key = os.environ["BASE"], os.environ["KEY"]
basic = "Basic " + base64.b64encode(key.encode()).decode()

def ask(path, **headers):
    request = urllib.request.Request(base + path, headers={"Authorization": basic, **headers})
    return urllib.request.urlopen(request, timeout=30)

page = json.load(ask("/api/v5/history/messages?limit=2"))
rest = json.load(ask("/api/v5/history/messages?cursor=" + page["meta"]["cursor"]))
payloads = [message["payload"] for message in page["data"] + rest["data"]]
rows = list(csv.DictReader(io.TextIOWrapper(ask("/api/v5/history/messages?format=csv"), newline="")))
assert [row["payload"] for row in rows] == payloads, rows

def events(count, last_id=None):
    headers = {"Last-Event-ID": last_id} if last_id else {}
    seen, event = [], {}
    for line in ask("/api/v5/history/tail?from=earliest", **headers):
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            event[name] = value
        elif event.get("event") == "message":
            seen.append(event)
            event = {}
            if len(seen) == count:
                return seen
        else:
            event = {}

first = events(2)
second = events(len(payloads) - 2, first[-1]["id"])
told = [json.loads(event["data"])["payload"] for event in first + second]
assert told == payloads, told

try:
    ask("/api/v5/cursors/none")
except urllib.error.HTTPError as error:
    assert error.code == 404 and json.load(error)["code"] == "NOT_FOUND"
print(",".join(payloads))
"#;

#[test]
fn pythons_library_reads_pages_tables_and_events() {
    let python = std::env::var_os("ROBUSTMQ_TEST_PYTHON")
        .expect("ROBUSTMQ_TEST_PYTHON names a Python: `make test` sets it");
    let broker = Broker::start(&[]);
    fill(&broker, 5);
    let mut child = Command::new(python)
        .arg("-")
        .env("BASE", format!("http://{}", broker.http()))
        .env("KEY", broker.api_key())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(PROGRAM.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0,1,2,3,4");
}
