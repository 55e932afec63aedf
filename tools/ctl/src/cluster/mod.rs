//! `robust-ctl cluster`: nodes among others.

mod certificates;
mod nodes;

use clap::Subcommand;

use crate::api::ApiOptions;
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{Format, Printer};

const CERTIFICATES_EXAMPLES: &str = "\
Examples:
  robust-ctl cluster certificates --out certs --node 1 --node 2 --node 3   an authority and three nodes
  robust-ctl cluster certificates --out certs --node 4       one more, signed by the authority in certs
  robust-ctl cluster certificates --out certs --node 4 --renew --days 90   a new certificate for its key

Copy ca.pem, node-4.pem and node-4-key.pem to node 4 and name them in its configuration:
  [cluster]
  ca = \"/etc/robustmq/ca.pem\"
  certificate = \"/etc/robustmq/node-4.pem\"
  key = \"/etc/robustmq/node-4-key.pem\"
A running node uses renewed files for its next connections. ca-key.pem stays where it is safe: whoever has it can make
a node of the cluster. Your own authority is used if its ca.pem and ca-key.pem are in the folder.";

const STATUS_EXAMPLES: &str = "\
Examples:
  robust-ctl cluster status
  robust-ctl cluster status --server http://10.0.0.2:18083 --api-key NAME:SECRET -o json

Exits with 1 when a node is down or a shard has no leader.";

const JOIN_EXAMPLES: &str = "\
Examples:
  robust-ctl cluster join 10.0.0.1:7083                          the node on this machine joins
  robust-ctl --server http://10.0.0.3:18083 cluster join 10.0.0.1:7083     the node on 10.0.0.3 does

The joining node needs cluster.enabled = true, certificates of the same authority, a node.id of its own and
an empty data directory. The cluster goes on meanwhile; so does a node that was alone and is joined first.";

const LEAVE_EXAMPLES: &str = "\
Examples:
  robust-ctl cluster leave 3       node 3 leaves; then it can be stopped
  robust-ctl cluster leave 2       also for one that is lost: asked of any other node";

#[derive(Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show the nodes and the shards, as one node sees them.
    #[command(after_help = STATUS_EXAMPLES)]
    Status(nodes::StatusArgs),
    /// Have a node join the cluster of another one.
    #[command(after_help = JOIN_EXAMPLES)]
    Join(nodes::JoinArgs),
    /// Take a node out of the cluster.
    #[command(after_help = LEAVE_EXAMPLES)]
    Leave(nodes::LeaveArgs),
    /// Spread the leaders of the shards over the nodes that are there.
    Rebalance(nodes::RebalanceArgs),
    /// Make the certificates by which nodes know each other.
    #[command(after_help = CERTIFICATES_EXAMPLES)]
    Certificates(certificates::CertificatesArgs),
}

/// Runs a command on nodes among others.
pub(crate) fn run(
    command: &ClusterCommand,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    match command {
        ClusterCommand::Certificates(arguments) => {
            certificates::run(arguments, &mut Printer::new(format))
        }
        ClusterCommand::Status(arguments) => nodes::status(arguments, options, format),
        ClusterCommand::Join(arguments) => nodes::join(arguments, options, format),
        ClusterCommand::Leave(arguments) => nodes::leave(arguments, options, format),
        ClusterCommand::Rebalance(arguments) => nodes::rebalance(arguments, options, format),
    }
}
