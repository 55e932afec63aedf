//! Brokers that are nodes of one cluster.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::broker::{Broker, Launch, binary};
use crate::http::Http;

/// How long a cluster may take for anything.
const PATIENCE: Duration = Duration::from_secs(90);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Nodes of one cluster; the first one has number 1.
pub struct Cluster {
    certificates: TempDir,
    sets: Vec<String>,
    nodes: Vec<Broker>,
    places: Vec<SocketAddr>,
}

/// A port that is free at present, for an address that has to stay.
///
/// # Panics
/// When there is none.
pub fn free_place() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    listener.local_addr().expect("it is bound")
}

fn start(launch: Launch, sets: &[String]) -> Broker {
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    Broker::start_in(launch, &sets)
}

/// Makes certificates as a user does.
fn certify(directory: &Path, node: usize) {
    let mut ctl = Command::new(binary("robust-ctl"));
    ctl.args(["cluster", "certificates", "--out"])
        .arg(directory)
        .args(["--node", &node.to_string()]);
    let output = ctl.output().expect("robust-ctl starts: build it first");
    assert!(output.status.success(), "{output:?}");
}

impl Cluster {
    /// Nodes that have joined the first one, and lead as many shards each.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn start(nodes: usize, sets: &[&str]) -> Self {
        Self::alone(sets).grown_to(nodes)
    }

    fn grown_to(mut self, nodes: usize) -> Self {
        let cluster = &mut self;
        for _ in 1..nodes {
            cluster.grow();
        }
        cluster.ctl(0, &["rebalance"]);
        cluster.wait_until("shards are spread", |cluster| {
            let status = cluster.status(0);
            let led = |node: usize| {
                let shards = status["shards"].as_array().into_iter().flatten();
                shards.filter(|shard| shard["leader"] == node).count()
            };
            (1..=nodes).all(|node| led(node) > 0)
        });
        self
    }

    /// A node that may become one of several.
    pub fn alone(sets: &[&str]) -> Self {
        let mut cluster = Self::empty(sets);
        cluster.add();
        cluster
    }

    fn empty(sets: &[&str]) -> Self {
        Self {
            certificates: tempfile::tempdir().expect("a temporary directory"),
            sets: sets.iter().map(|set| (*set).to_owned()).collect(),
            nodes: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Nodes that are started at once and find each other as `cluster.discovery`
    /// says, each reached at its place.
    ///
    /// # Panics
    /// When one does not start.
    pub fn discovering(places: &[SocketAddr], discovery: &[String], sets: &[&str]) -> Self {
        let mut cluster = Self::empty(sets);
        cluster
            .sets
            .push(format!("cluster.discovery={}", discovery.join(",")));
        let nodes = places.iter().zip(1..);
        let prepared: Vec<_> = nodes
            .map(|(place, number)| cluster.prepare(number, *place))
            .collect();
        cluster.places = places.to_vec();
        cluster.nodes = std::thread::scope(|scope| {
            let starting: Vec<_> = prepared
                .into_iter()
                .map(|(launch, sets)| scope.spawn(move || start(launch, &sets)))
                .collect();
            let nodes = starting.into_iter();
            nodes
                .map(|node| node.join().expect("a node starts"))
                .collect()
        });
        cluster
    }

    /// Starts one more node, which is alone.
    pub fn add(&mut self) -> usize {
        let number = self.nodes.len() + 1;
        let place = free_place();
        let (launch, sets) = self.prepare(number, place);
        self.nodes.push(start(launch, &sets));
        self.places.push(place);
        number - 1
    }

    /// Certificates of a node, and how it is started.
    fn prepare(&self, number: usize, place: SocketAddr) -> (Launch, Vec<String>) {
        certify(self.certificates.path(), number);
        let mut sets = self.sets.clone();
        let file = |name: String| self.certificates.path().join(name).display().to_string();
        sets.extend([
            "cluster.enabled=true".to_owned(),
            format!("node.id={number}"),
            format!("cluster.bind={place}"),
            format!("cluster.ca={}", file("ca.pem".to_owned())),
            format!("cluster.certificate={}", file(format!("node-{number}.pem"))),
            format!("cluster.key={}", file(format!("node-{number}-key.pem"))),
        ]);
        (Launch::default(), sets)
    }

    /// Starts one more node and has it join.
    ///
    /// # Panics
    /// When it cannot.
    pub fn grow(&mut self) {
        let node = self.add();
        let first = self.places[0].to_string();
        let joined = self.ctl(node, &["join", &first]);
        assert!(joined.status.success(), "{joined:?}");
        self.wait_until("the node votes", |cluster| {
            let status = cluster.status(node);
            let shards = status["shards"].as_array().cloned().unwrap_or_default();
            let votes = |shard: &Value| {
                let voters = shard["voters"].as_array().into_iter().flatten();
                voters.into_iter().any(|voter| *voter == node + 1)
            };
            !shards.is_empty() && shards.iter().all(votes)
        });
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node, the first one being 0.
    pub fn node(&self, node: usize) -> &Broker {
        &self.nodes[node]
    }

    /// A node, to be killed or started.
    pub fn node_mut(&mut self, node: usize) -> &mut Broker {
        &mut self.nodes[node]
    }

    /// Where the nodes listen for MQTT.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Broker::address).collect()
    }

    /// Where a node is reached by other nodes.
    pub fn place(&self, node: usize) -> SocketAddr {
        self.places[node]
    }

    /// Where the certificates lie.
    pub fn certificates(&self) -> PathBuf {
        self.certificates.path().to_owned()
    }

    /// Has a node reached elsewhere by the others, from its next start on.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn move_node(&mut self, node: usize) {
        let place = free_place();
        self.nodes[node].set("cluster.bind", &place.to_string());
        self.places[node] = place;
    }

    /// All nodes.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Broker> {
        self.nodes.iter_mut()
    }

    /// Runs `robust-ctl cluster` on a node.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn ctl(&self, node: usize, arguments: &[&str]) -> Output {
        let broker = &self.nodes[node];
        let mut ctl = Command::new(binary("robust-ctl"));
        ctl.arg("--server")
            .arg(format!("http://{}", broker.http()))
            .args(["--api-key", &broker.api_key(), "cluster"])
            .args(arguments);
        ctl.output().expect("robust-ctl starts: build it first")
    }

    /// Where the cluster stands, as a node sees it.
    pub fn status(&self, node: usize) -> Value {
        let broker = &self.nodes[node];
        let http = Http::new(broker.http(), Some(&broker.api_key()));
        http.get("/api/v5/cluster").json()
    }

    /// Who leads a shard, as a node sees it, the first node being 0.
    pub fn leader(&self, node: usize, shard: &str) -> Option<usize> {
        let status = self.status(node);
        let mut shards = status["shards"].as_array().into_iter().flatten();
        let found = shards.find(|one| one["name"] == shard)?;
        found["leader"].as_u64().map(|leader| leader as usize - 1)
    }

    /// Stops a node's process without ending it, or lets it go on.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, node: usize, signal: Signal) {
        let pid = i32::try_from(self.nodes[node].pid()).expect("a process");
        let pid = Pid::from_raw(pid).expect("a process");
        kill_process(pid, signal).expect("the process gets the signal");
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < PATIENCE, "{what}: {}", self.logs());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// What all nodes have logged since they were started.
    pub fn logs(&self) -> String {
        let logs = self.nodes.iter().enumerate();
        let logs = logs.map(|(node, broker)| format!("\nnode {}:\n{}", node + 1, broker.log()));
        logs.collect()
    }
}
