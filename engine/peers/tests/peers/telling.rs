//! What both sides log about a refusal.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use crate::nodes::{Authority, ECHO, Node, limits, until};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn with(&self, part: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock()).into_owned();
        let lines = text.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn both_sides_say_why_a_node_is_refused_and_say_it_once() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    // Everything runs on this thread, so that other tests keep their own lines.
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let authority = Authority::new(&[1, 2]);
        let (one, two) = (
            Node::start(&authority, 1).await,
            Node::start(&authority, 2).await,
        );
        *two.members.cluster_id.lock() = Some("two".to_owned());
        for _ in 0..5 {
            assert!(two.ask(&one, ECHO, "let me in").await.is_err());
            tokio::time::sleep(limits().backoff_max).await;
        }
        until("it is refused again and again", || {
            one.peers.stats().refused >= 3
        })
        .await;
    });
    let why = "node 2 belongs to cluster two, node 1 to cluster one: check cluster.discovery";
    let there = lines.with("a node refuses this one");
    let here = lines.with("a connection to the port between nodes is refused");
    assert_eq!((there.len(), here.len()), (1, 1), "{there:?} {here:?}");
    for line in [&there[0], &here[0]] {
        assert!(line.contains("WARN") && line.contains(why), "{line}");
    }
}
