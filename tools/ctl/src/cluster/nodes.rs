//! `cluster status`, `join`, `leave`, `rebalance`.

use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::api::{Api, ApiOptions, KeyFile};
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{self, Format, Printer};

/// How often is looked how far a change has come.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Args)]
pub(crate) struct JoinArgs {
    /// Where a node of the cluster is reached by other nodes: its cluster.bind or cluster.advertise.
    #[arg(value_name = "HOST:PORT")]
    address: String,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Args)]
pub(crate) struct LeaveArgs {
    /// Number of the node that leaves, as in its node.id.
    node: u64,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Args)]
pub(crate) struct RebalanceArgs {
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Args)]
struct Wait {
    /// Do not wait until all shards have followed.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for that, seconds.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    timeout: u64,
}

#[derive(Deserialize, Serialize)]
struct Node {
    id: u64,
    address: String,
    state: String,
    role: String,
    leads: usize,
    lag_batches: Option<u64>,
}

#[derive(Deserialize, Serialize)]
struct Shard {
    name: String,
    term: u64,
    leader: Option<u64>,
    voters: Vec<u64>,
    learners: Vec<u64>,
    appended: u64,
    applied: u64,
}

#[derive(Deserialize, Serialize)]
struct Status {
    cluster_id: String,
    node_id: u64,
    is_member: bool,
    nodes: Vec<Node>,
    shards: Vec<Shard>,
}

#[derive(Serialize)]
struct Join<'a> {
    address: &'a str,
}

#[derive(Serialize)]
struct Leave {
    node: u64,
}

#[derive(Serialize)]
struct Nothing {}

pub(super) fn status(
    args: &StatusArgs,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    let api = Api::new(options, &args.key)?;
    let status: Status = api.object("/cluster", &[])?;
    let is_well = status.is_well();
    print(&status, format)?;
    Ok(if is_well {
        Verdict::Fine
    } else {
        Verdict::Wrong
    })
}

pub(super) fn join(
    args: &JoinArgs,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    let api = Api::new(options, &args.key)?;
    let address = &args.address;
    let status: Status = api.post("/cluster/join", &Join { address })?;
    let node = status.node_id;
    let status = args.wait.until(&api, status, |status| {
        status.followed(|shard| shard.voters.contains(&node) || shard.learners.contains(&node))
    })?;
    print(&status, format)?;
    Ok(Verdict::Fine)
}

pub(super) fn leave(
    args: &LeaveArgs,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    let api = Api::new(options, &args.key)?;
    let node = args.node;
    let status: Status = api.post("/cluster/leave", &Leave { node })?;
    // A node that has left hears no more of the others.
    let status = if status.node_id == node {
        status
    } else {
        args.wait.until(&api, status, |status| {
            status
                .followed(|shard| !shard.voters.contains(&node) && !shard.learners.contains(&node))
        })?
    };
    print(&status, format)?;
    Ok(Verdict::Fine)
}

pub(super) fn rebalance(
    args: &RebalanceArgs,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    let api = Api::new(options, &args.key)?;
    let status: Status = api.post("/cluster/rebalance", &Nothing {})?;
    print(&status, format)?;
    Ok(Verdict::Fine)
}

impl Wait {
    /// Looks again until all shards have followed; on a terminal one sees how
    /// many have.
    fn until(
        &self,
        api: &Api,
        mut status: Status,
        followed: impl Fn(&Status) -> usize,
    ) -> Result<Status, CtlError> {
        if self.no_wait {
            return Ok(status);
        }
        let start = Instant::now();
        let bar = ProgressBar::new(status.shards.len() as u64);
        bar.set_style(style());
        loop {
            let (done, all) = (followed(&status), status.shards.len());
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            if done == all && all > 0 {
                break;
            }
            if start.elapsed().as_secs() >= self.timeout {
                return Err(CtlError::TooLong {
                    what: "the shards to follow",
                    seconds: self.timeout,
                });
            }
            std::thread::sleep(LOOK_EVERY);
            status = api.object("/cluster", &[])?;
        }
        bar.finish_and_clear();
        Ok(status)
    }
}

impl Status {
    /// Shards of which something is true.
    fn followed(&self, is_so: impl Fn(&Shard) -> bool) -> usize {
        self.shards.iter().filter(|shard| is_so(shard)).count()
    }

    /// Every node is there and every shard is led.
    fn is_well(&self) -> bool {
        let all_up = self.nodes.iter().all(|node| node.state == "up");
        all_up && self.shards.iter().all(|shard| shard.leader.is_some())
    }

    fn text(&self) -> String {
        let part = if self.is_member {
            "part of"
        } else {
            "alone in"
        };
        let mut text = format!(
            "node {} is {part} cluster {}\n\n",
            self.node_id, self.cluster_id
        );
        let nodes = self.nodes.iter().map(|node| {
            vec![
                node.id.to_string(),
                node.address.clone(),
                node.state.clone(),
                node.role.clone(),
                node.leads.to_string(),
                node.lag_batches
                    .map_or_else(|| "?".to_owned(), |lag| lag.to_string()),
            ]
        });
        let header = ["node", "address", "state", "role", "leads", "lag (batches)"];
        let table = output::table(&header, &[4, 5], nodes.collect());
        text.push_str(&format!("{table}\n"));
        if self.shards.is_empty() {
            return text;
        }
        let shards = self.shards.iter().map(|shard| {
            vec![
                shard.name.clone(),
                shard
                    .leader
                    .map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
                shard.term.to_string(),
                numbers(&shard.voters),
                numbers(&shard.learners),
                shard.appended.to_string(),
                shard.applied.to_string(),
            ]
        });
        let header = [
            "shard", "leader", "term", "voters", "learners", "appended", "applied",
        ];
        let table = output::table(&header, &[2, 5, 6], shards.collect());
        text.push_str(&format!("\n{table}\n"));
        text
    }
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} shards have followed");
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn numbers(nodes: &[u64]) -> String {
    let nodes: Vec<String> = nodes.iter().map(u64::to_string).collect();
    nodes.join(" ")
}

fn print(status: &Status, format: Format) -> Result<(), CtlError> {
    Ok(Printer::new(format).document(status, || status.text())?)
}
