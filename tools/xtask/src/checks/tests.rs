//! Every check fails on a bad example and is quiet on a good one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use robustmq_config::{KeyDoc, SectionDoc};

use super::{
    clauses, config_keys, dependencies, layers, licences, links, names, paths, sizes, words,
};
use crate::Finding;
use crate::workspace::{Dependency, File, Package, Workspace};

fn file(path: &str, text: impl Into<String>) -> File {
    File {
        path: path.to_owned(),
        text: text.into(),
    }
}

fn member(name: &str, ours: &[&str], others: &[&str]) -> Package {
    let by_path = |name: &&str| Dependency {
        name: (*name).to_owned(),
        path: Some(PathBuf::from(name)),
    };
    let external = |name: &&str| Dependency {
        name: (*name).to_owned(),
        path: None,
    };
    Package {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        license: Some("Apache-2.0".to_owned()),
        source: None,
        dependencies: ours
            .iter()
            .map(by_path)
            .chain(others.iter().map(external))
            .collect(),
    }
}

fn external(name: &str, license: Option<&str>) -> Package {
    Package {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        license: license.map(str::to_owned),
        source: Some("registry".to_owned()),
        dependencies: Vec::new(),
    }
}

fn messages(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|finding| format!("{}: {}\n", finding.place, finding.message))
        .collect()
}

fn lines(count: usize) -> String {
    "// line\n".repeat(count)
}

fn function(line_count: usize) -> String {
    format!(
        "fn long() {{\n{}}}\n",
        "    step();\n".repeat(line_count - 2)
    )
}

const LAYERS: &str =
    "[allowed]\nlow = []\nhigh = [\"low\"]\n[pure]\ncrates = [\"low\"]\nforbidden = [\"tokio\"]\n";

#[test]
fn layers_allow_only_listed_arrows_and_keep_pure_crates_pure() {
    let good = [
        member("low", &[], &["bytes"]),
        member("high", &["low"], &["tokio"]),
    ];
    assert_eq!(layers::check(LAYERS, &good), Ok(Vec::new()));
    for (packages, expected) in [
        (
            vec![member("low", &["high"], &[]), member("high", &[], &[])],
            "low: depends on `high`",
        ),
        (
            vec![member("low", &[], &["tokio"]), member("high", &[], &[])],
            "low: is pure",
        ),
        (
            vec![
                member("low", &[], &[]),
                member("high", &[], &[]),
                member("new", &[], &[]),
            ],
            "nothing for crate `new`",
        ),
        (vec![member("low", &[], &[])], "names `high`"),
    ] {
        let findings = layers::check(LAYERS, &packages).expect("the file is valid");
        assert!(
            messages(&findings).contains(expected),
            "{expected}: {findings:?}"
        );
    }
    assert!(layers::check("[allowd]\n", &good).is_err());
}

#[test]
fn every_manifest_shares_the_lints() {
    let workspace = |text: &str| Workspace {
        files: vec![file("a/Cargo.toml", text)],
        paths: BTreeSet::new(),
        packages: Vec::new(),
    };
    let good = "[package]\nname = \"a\"\n[lints]\nworkspace = true\n";
    assert_eq!(layers::check_lints(&workspace(good)), Ok(Vec::new()));
    let findings =
        layers::check_lints(&workspace("[package]\nname = \"a\"\n")).expect("valid TOML");
    assert_eq!(findings.len(), 1);
}

#[test]
fn long_files_and_functions_are_found() {
    let good = [file("a.rs", lines(500)), file("b.rs", function(70))];
    assert_eq!(sizes::check("", good.iter()), Ok(Vec::new()));
    let bad = [file("a.rs", lines(501)), file("b.rs", function(71))];
    let findings = sizes::check("", bad.iter()).expect("valid");
    assert!(
        messages(&findings).contains("a.rs: file has 501 lines"),
        "{findings:?}"
    );
    assert!(
        messages(&findings).contains("b.rs:1: `long` has 71 lines"),
        "{findings:?}"
    );
}

#[test]
fn exceptions_hold_up_to_their_bound_and_must_be_needed() {
    let exception = |lines_max: usize| {
        format!("[[file]]\npath = \"a.rs\"\nlines_max = {lines_max}\nreason = \"one table\"\n")
    };
    for (line_count, lines_max, expected) in [
        (540, 550, None),
        (551, 550, Some("allowed are 550")),
        (700, 900, Some("allowed are 600")),
        (499, 550, Some("remove it")),
    ] {
        let files = [file("a.rs", lines(line_count))];
        let findings = sizes::check(&exception(lines_max), files.iter()).expect("valid");
        match expected {
            None => assert_eq!(findings, []),
            Some(text) => assert!(messages(&findings).contains(text), "{findings:?}"),
        }
    }
    let named = "[[function]]\npath = \"a.rs\"\nname = \"long\"\nlines_max = 90\nreason = \" \"\n";
    let findings = sizes::check(named, [file("a.rs", function(80))].iter()).expect("valid");
    assert!(messages(&findings).contains("no reason"), "{findings:?}");
    assert!(sizes::check("[[files]]\n", [].iter()).is_err());
}

#[test]
fn unfinished_and_switched_off_code_is_found() {
    for bad in [
        "fn f() { todo!() }",
        "fn f() { unimplemented!(\"later\") }",
        "fn f() { dbg!(1); }",
        "#[test]\n#[ignore]\nfn f() {}",
        "#[ignore = \"slow\"]\nfn f() {}",
        "#[allow(dead_code)]\nfn f() {}",
        "#![expect(unused, dead_code)]",
        "mod tests {\n fn f() {}\n}",
        "#[cfg(test)]\nmod checks_of_this {\n fn f() {}\n}",
    ] {
        assert_eq!(words::check([file("a.rs", bad)].iter()).len(), 1, "{bad}");
    }
    for good in [
        "// todo!()\nfn f() { let todo = \"dbg!(1)\"; }",
        "#[cfg(test)]\nmod tests;\nfn f() {}",
        "mod texts { fn f() {} }",
        "#[cfg(test)]\nuse a::b;\nmod c { fn f() {} }",
    ] {
        assert_eq!(words::check([file("a.rs", good)].iter()), [], "{good}");
    }
}

#[test]
fn names_that_say_nothing_are_found() {
    let none: [File; 0] = [];
    assert_eq!(
        names::check(
            &[member("a-log", &[], &[])],
            [file("a/src/log.rs", "")].iter()
        ),
        []
    );
    assert_eq!(
        names::check(&[member("a-common", &[], &[])], none.iter()).len(),
        1
    );
    for path in [
        "a/src/utils.rs",
        "a/src/helpers/mod.rs",
        "shared/src/lib.rs",
    ] {
        assert_eq!(
            names::check(&[], [file(path, "")].iter()).len(),
            1,
            "{path}"
        );
    }
}

#[test]
fn folders_of_one_machine_are_found() {
    let absolute = |folder: &str, rest: &str| format!("data = \"/{folder}{rest}\"\n");
    for bad in [
        absolute("root", ""),
        absolute("work", "/x"),
        absolute("home", "/me"),
        absolute("work", "").replace('"', "`"),
    ] {
        assert_eq!(paths::check(&[file("a.md", bad.clone())]).len(), 1, "{bad}");
    }
    for good in [
        "/var/lib\n",
        "a/work/b",
        "/workspace",
        "./root",
        "$HOME/home/x",
    ] {
        assert_eq!(paths::check(&[file("a.md", good)]), [], "{good}");
    }
}

#[test]
fn licences_outside_the_list_are_found() {
    let list = "allowed = [\"MIT\", \"Apache-2.0\"]\n\
                [[exception]]\ncrate = \"odd\"\nlicence = \"MPL-2.0\"\nreason = \"not linked\"\n";
    let good = [
        external("a", Some("MIT OR GPL-3.0")),
        external("odd", Some("MPL-2.0")),
        member("ours", &[], &[]),
    ];
    assert_eq!(licences::check(list, &good), Ok(Vec::new()));
    for (bad, expected) in [
        (external("b", Some("GPL-3.0")), "`GPL-3.0`"),
        (external("b", Some("MPL-2.0")), "`MPL-2.0`"),
        (external("b", None), "names no licence"),
        (external("b", Some("MIT OR")), "not an SPDX"),
    ] {
        let packages = [external("odd", Some("MPL-2.0")), bad];
        let findings = licences::check(list, &packages).expect("valid");
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(messages(&findings).contains(expected), "{findings:?}");
    }
    let unused = licences::check(list, &[]).expect("valid");
    assert!(messages(&unused).contains("unused"));
}

#[test]
fn dependencies_without_a_reason_and_reasons_without_a_dependency_are_found() {
    let packages = [
        member("ours", &["other"], &["bytes"]),
        external("deep", Some("MIT")),
    ];
    let head = "| crate | why |\n| --- | --- |\n";
    assert_eq!(
        dependencies::check(&format!("{head}| `bytes` | slices |\n"), &packages),
        []
    );
    for (text, expected) in [
        (head.to_owned(), "no row for `bytes` (used by ours)"),
        (format!("{head}| `bytes` | |\n"), "empty cell"),
        (
            format!("{head}| `bytes` | x |\n| `gone` | y |\n"),
            "`gone` is no direct dependency",
        ),
    ] {
        let findings = dependencies::check(&text, &packages);
        assert!(messages(&findings).contains(expected), "{findings:?}");
    }
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let other = file("docs/b.md", "# B\n## The *second* part, really\n");
    let check = |text: &str| {
        let files = [file("docs/a.md", text), other.clone()];
        let ancestors = |file: &File| {
            Path::new(&file.path)
                .ancestors()
                .filter_map(Path::to_str)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let paths: BTreeSet<String> = files
            .iter()
            .flat_map(ancestors)
            .chain(["LICENSE".to_owned()])
            .collect();
        links::check(&files, &paths).len()
    };
    for good in [
        "[b](b.md) and [b](./b.md#the-second-part-really)",
        "[licence](../LICENSE) [folder](../docs) [here](#top)\n# Top",
        "[web](https://example.org/x.md) `[no](link.md)`",
        "```\n[no](link.md)\n```",
    ] {
        assert_eq!(check(good), 0, "{good}");
    }
    for bad in [
        "[c](c.md)",
        "[b](b.md#third)",
        "[up](../../x.md)",
        "see\n\n[`c`](c.md)",
    ] {
        assert_eq!(check(bad), 1, "{bad}");
    }
}

#[test]
fn configuration_keys_that_nothing_reads_are_found() {
    let key = |name| KeyDoc {
        name,
        text: &[" x"],
        default: "1".to_owned(),
        accepts: "x".to_owned(),
    };
    let sections = [
        SectionDoc {
            path: "mqtt",
            is_list: false,
            required: Vec::new(),
            text: &[" x"],
            keys: vec![key("max_qos")],
        },
        SectionDoc {
            path: "storage",
            is_list: false,
            required: Vec::new(),
            text: &[" x"],
            keys: vec![key("retention_time")],
        },
    ];
    let reader = "let q = config.mqtt.max_qos; let r = storage.retention_default();";
    assert_eq!(
        config_keys::check(&sections, [file("engine/broker/src/a.rs", reader)].iter()),
        []
    );
    for (path, text) in [
        ("engine/broker/src/a.rs", "config.max_qos_more; // .max_qos"),
        ("engine/config/src/a.rs", reader),
        ("engine/broker/src/a/tests.rs", reader),
    ] {
        assert_eq!(
            config_keys::check(&sections, [file(path, text)].iter()).len(),
            2,
            "{path}"
        );
    }
}

#[test]
fn statements_without_a_true_row_are_found() {
    let page = "# Conformance\n\n## MQTT 5.0\n\nRows without a test yet: 1.\n\n\
        | 1.5.4-1 | text | `mqtt5_1_5_4_1_there` |\n\
        | 1.5.4-2 | text | `mqtt5_1_5_4_2_gone` |\n\
        | 1.5.4-3 | text | |\n\
        | 1.5.5-1 | text | later |\n\
        | 1.5.7-1 | text | no test yet: of both halves |\n\
        | 2.1.3-1 | text | no test yet: of the flags |\n\
        | 2.1.3-2 | text | client: it sends |\n";
    let tests = file(
        "t.rs",
        "#[test]\nfn mqtt5_1_5_4_1_there() {}\n#[test]\nfn mqtt5_1_5_4_3_unlisted() {}\n\
         fn mqtt5_1_5_4_2_gone() {}\n",
    );
    let found = clauses::check(page, std::iter::once(&tests));
    let messages: Vec<String> = found.iter().map(|finding| format!("{finding:?}")).collect();
    let says = |text: &str| messages.iter().any(|message| message.contains(text));
    for text in [
        "there is no test `mqtt5_1_5_4_2_gone`",
        "a row has three columns",
        "name a test, or begin the reason",
        "has no statement 2.1.3-2",
        "MQTT 5.0 has to say `Rows without a test yet: 2.`",
        "MQTT 5.0 misses statement 3.1.0-1",
        "MQTT 3.1.1 misses statement 3.1.0-1",
        "`mqtt5_1_5_4_3_unlisted` is called after",
    ] {
        assert!(says(text), "{text}: {messages:#?}");
    }
    assert!(!says("1.5.4-1"), "{messages:#?}");
}
