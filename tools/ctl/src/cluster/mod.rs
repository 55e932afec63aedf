//! `robust-ctl cluster`: nodes among others.

mod certificates;

use clap::Subcommand;

use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::Printer;

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

#[derive(Subcommand)]
pub(crate) enum ClusterCommand {
    /// Make the certificates by which nodes know each other.
    #[command(after_help = CERTIFICATES_EXAMPLES)]
    Certificates(certificates::CertificatesArgs),
}

/// Runs a command on nodes among others.
pub(crate) fn run(command: &ClusterCommand, printer: &mut Printer) -> Result<Verdict, CtlError> {
    match command {
        ClusterCommand::Certificates(arguments) => certificates::run(arguments, printer),
    }
}
