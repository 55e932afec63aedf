//! `robust-ctl cluster certificates`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use robustmq_e2e::binary;
use serde_json::Value;

fn certificates(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("robust-ctl"));
    command
        .args(["cluster", "certificates", "--out"])
        .arg(folder);
    command
        .args(arguments)
        .output()
        .expect("robust-ctl starts: build it first")
}

fn listed(output: &Output) -> Vec<(String, bool)> {
    assert!(output.status.success(), "{output:?}");
    let files: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let files = files.as_array().expect("a list").iter();
    let listed = files.map(|file| {
        let path = file["file"].as_str().expect("a path");
        let name = Path::new(path).file_name().expect("a name");
        (
            name.to_string_lossy().into_owned(),
            file["made"].as_bool().expect("a flag"),
        )
    });
    listed.collect()
}

/// What OpenSSL, a judge of its own, says of a file.
fn openssl(arguments: &[&str]) -> Option<String> {
    let output = Command::new("openssl").args(arguments).output().ok()?;
    let (out, errors) = (output.stdout, output.stderr);
    Some(String::from_utf8_lossy(&out).into_owned() + &String::from_utf8_lossy(&errors))
}

#[test]
fn certificates_are_made_once_and_renewed_on_demand() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let out = folder.path().join("certs");
    let made = |name: &str| (name.to_owned(), true);
    let kept = |name: &str| (name.to_owned(), false);
    let first = certificates(&out, &["--node", "1", "--node", "2", "-o", "json"]);
    let all = [
        "ca.pem",
        "ca-key.pem",
        "node-1.pem",
        "node-1-key.pem",
        "node-2.pem",
        "node-2-key.pem",
    ];
    assert_eq!(listed(&first), all.map(made));
    for key in ["ca-key.pem", "node-1-key.pem", "node-2-key.pem"] {
        let mode = fs::metadata(out.join(key))
            .expect("the key")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let second = certificates(
        &out,
        &["--node", "1", "--renew", "--node", "3", "-o", "json"],
    );
    let all = [
        kept("ca.pem"),
        kept("ca-key.pem"),
        made("node-1.pem"),
        kept("node-1-key.pem"),
        made("node-3.pem"),
        made("node-3-key.pem"),
    ];
    assert_eq!(listed(&second), all);
    let (ca, node) = (out.join("ca.pem"), out.join("node-3.pem"));
    let (ca, node) = (ca.to_str().expect("text"), node.to_str().expect("text"));
    if let Some(verdict) = openssl(&["verify", "-x509_strict", "-CAfile", ca, node]) {
        assert!(verdict.contains("node-3.pem: OK"), "{verdict}");
        let names = openssl(&["x509", "-in", node, "-noout", "-ext", "subjectAltName"]);
        let names = names.expect("it was there a moment ago");
        assert!(names.contains("DNS:node-3.robustmq.internal"), "{names}");
        assert!(names.contains("DNS:cluster.robustmq.internal"), "{names}");
    }
}

#[test]
fn what_cannot_be_done_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let none = certificates(folder.path(), &[]);
    assert_eq!(none.status.code(), Some(2));
    let zero = certificates(folder.path(), &["--node", "0"]);
    assert_eq!(zero.status.code(), Some(2));
    assert!(
        fs::read_dir(folder.path())
            .expect("the folder")
            .next()
            .is_none()
    );
    assert!(
        certificates(folder.path(), &["--node", "1"])
            .status
            .success()
    );
    fs::remove_file(folder.path().join("ca-key.pem")).expect("removed");
    let half = certificates(folder.path(), &["--node", "2"]);
    assert_eq!(half.status.code(), Some(2));
    let said = String::from_utf8_lossy(&half.stderr).into_owned();
    assert!(
        said.contains("ca-key.pem is not: bring the missing one back"),
        "{said}"
    );
    let help = certificates(folder.path(), &["--help"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"));
}
