use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

/// Longer than any test takes that passes.
const FOR_EVER: Duration = Duration::from_secs(600);

struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn run(connections_max: u32, head_patience: Duration) -> Running {
    let listener = HttpListener {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        max_connections: connections_max,
        ..HttpListener::default()
    };
    let mut bound = bind("test", &listener).expect("a free port");
    bound.head_patience = head_patience;
    let address = bound.address;
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/never", get(std::future::pending::<()>));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(serve(bound, router, stopped));
    Running {
        address,
        stop,
        task,
    }
}

/// Sends, and reads until the other side closes.
async fn said(stream: &mut TcpStream, text: &[u8]) -> String {
    stream.write_all(text).await.expect("it is sent");
    let mut answer = Vec::new();
    // A reset closes, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn ask(running: &Running, text: &[u8]) -> String {
    let mut stream = TcpStream::connect(running.address)
        .await
        .expect("it listens");
    said(&mut stream, text).await
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn who_does_not_come_to_the_point_loses_the_connection() {
    // Long enough for a busy machine to send a request in.
    let running = Arc::new(run(10, Duration::from_secs(1)));
    let mut asking = tokio::task::JoinSet::new();
    for (text, is_answered) in [
        (&b""[..], false),
        (b"G", false),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", false),
        (b"PRI * HTTP/2.0\r\n", false),
        // Answered, and then silent.
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
    ] {
        let running = Arc::clone(&running);
        asking.spawn(async move { (text, is_answered, ask(&running, text).await) });
    }
    for (text, is_answered, answer) in asking.join_all().await {
        let text = String::from_utf8_lossy(text);
        let is_good = answer.starts_with("HTTP/1.1 200 OK");
        assert_eq!(is_good, is_answered, "{text:?}: {answer}");
    }
}

#[tokio::test]
async fn a_place_is_for_one_and_free_again_afterwards() {
    let running = run(1, FOR_EVER);
    let mut first = TcpStream::connect(running.address)
        .await
        .expect("it listens");
    first
        .write_all(b"GET / HTTP/1.1\r\n")
        .await
        .expect("it is sent");
    let refused = ask(&running, b"").await;
    let (head, body) = refused.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{head}"
    );
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["code"], "SERVICE_UNAVAILABLE");
    let answer = said(&mut first, b"Host: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    drop(first);
    while !ask(&running, REQUEST).await.starts_with("HTTP/1.1 200 OK") {}
}

#[tokio::test]
async fn heads_have_a_size() {
    let running = run(10, Duration::from_secs(3));
    let many = "X: y\r\n".repeat(HEADERS_MAX + 1);
    // What one read brings may be a little more than the limit.
    let long = format!("X: {}\r\n", "y".repeat(4 * HEAD_BYTES_MAX));
    for fields in [many, long] {
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        let answer = ask(&running, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test]
async fn a_stop_waits_neither_for_the_idle_nor_for_ever() {
    let running = run(10, FOR_EVER);
    let idle = TcpStream::connect(running.address)
        .await
        .expect("it listens");
    let mut stuck = TcpStream::connect(running.address)
        .await
        .expect("it listens");
    let request = b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n";
    stuck.write_all(request).await.expect("it is sent");
    assert!(ask(&running, REQUEST).await.contains("200 OK"));
    running.stop.send(true).expect("it listens");
    let ended = tokio::time::timeout(CLOSE_PATIENCE * 5, running.task).await;
    ended.expect("it ends").expect("in order");
    assert!(TcpStream::connect(running.address).await.is_err());
    drop((idle, stuck));
}
