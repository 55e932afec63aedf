//! `cluster certificates`: an authority and a certificate per node.

use std::path::{Path, PathBuf};

use clap::Args;
use robustmq_peers::certificates::{self, NodeFiles};
use serde::Serialize;

use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{self, Printer};

#[derive(Args)]
pub(crate) struct CertificatesArgs {
    /// Folder to write to; made if it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of a node, as in its node.id; may be given several times. One that has a certificate keeps it.
    #[arg(long = "node", value_name = "ID", required = true,
          value_parser = clap::value_parser!(u64).range(1..=4_294_967_295))]
    nodes: Vec<u64>,
    /// How long the certificates of nodes are good for.
    #[arg(long, default_value_t = 730, value_name = "DAYS",
          value_parser = clap::value_parser!(u32).range(1..=7_300))]
    days: u32,
    /// Make new certificates for the keys of nodes that have one already.
    #[arg(long)]
    renew: bool,
}

#[derive(Serialize)]
struct File {
    what: String,
    file: String,
    /// False for what was there and is kept.
    made: bool,
}

impl File {
    fn new(what: impl Into<String>, file: &Path, made: bool) -> Self {
        Self {
            what: what.into(),
            file: file.display().to_string(),
            made,
        }
    }
}

pub(super) fn run(
    arguments: &CertificatesArgs,
    printer: &mut Printer,
) -> Result<Verdict, CtlError> {
    let CertificatesArgs {
        out, nodes, days, ..
    } = arguments;
    let issued = match arguments.renew {
        true => certificates::renew(out, nodes, *days)?,
        false => certificates::issue(out, nodes, *days)?,
    };
    let is_new = issued.authority_is_new;
    let mut files = vec![
        File::new("authority", &issued.authority, is_new),
        File::new(
            "authority's key: keep it safe",
            &issued.authority_key,
            is_new,
        ),
    ];
    for NodeFiles {
        node,
        certificate,
        key,
        is_new,
        key_is_new,
    } in &issued.nodes
    {
        files.push(File::new(format!("node {node}"), certificate, *is_new));
        files.push(File::new(format!("key of node {node}"), key, *key_is_new));
    }
    printer.list(&files, table)?;
    Ok(Verdict::Fine)
}

fn table(files: &[File]) -> comfy_table::Table {
    let rows = files.iter().map(|file| {
        let state = if file.made { "made" } else { "kept" };
        vec![file.file.clone(), state.to_owned(), file.what.clone()]
    });
    output::table(&["file", "", "what"], &[], rows.collect())
}
