use super::{Circumstances, Measured, chosen, replace, section};
use crate::brokers::Kind;
use crate::measure::Sample;

fn measured(name: &str, values: [f64; 2]) -> Measured {
    let row = chosen(&[name.to_owned()])
        .next()
        .expect("there is such a row");
    let samples = values.map(|value| {
        vec![Sample {
            value,
            ..Sample::default()
        }]
    });
    Measured {
        row,
        figure: 0,
        samples: samples.into(),
    }
}

#[test]
fn ratios_above_one_are_in_our_favour() {
    assert_eq!(measured("qos1", [300.0, 150.0]).ratio(1), Some(2.0));
    assert_eq!(measured("latency-1k", [1.0, 2.0]).ratio(1), Some(2.0));
    assert_eq!(measured("qos1", [300.0, 0.0]).ratio(1), None);
}

#[test]
fn a_section_takes_the_place_of_the_one_before() {
    let page = "# Benchmarks\n\n## History\n\nfigures\n";
    let once = replace(page, "one\n");
    assert!(once.starts_with(page.trim_end()) && once.contains("## Beside mosquitto"));
    let behind = once + "\n## More\n";
    let twice = replace(&behind, "two");
    assert!(twice.contains("two") && !twice.contains("one\n"));
    assert!(twice.ends_with("\n## More\n") && twice.starts_with(page.trim_end()));
}

#[test]
fn a_section_has_a_row_for_every_figure() {
    let how = Circumstances {
        brokers: &[Kind::Ours, Kind::Mosquitto],
        machine: "a machine".to_owned(),
        rounds: 3,
        seconds: 5,
        cores: [0, 1],
    };
    let all = [
        measured("qos1", [300.0, 150.0]),
        measured("idle", [512.0, 4_096.0]),
    ];
    let text = section(&all, &how);
    assert!(
        text.contains("| 8 → 1, QoS 1, 64 B | thousand/s | 300 | 150 | 2.00 |"),
        "{text}"
    );
    assert!(text.contains("| B | 512 | 4096 | 8.00 |"), "{text}");
    assert!(
        text.contains("fan-in --qos 1 --gather 100us --duration 5s\n"),
        "{text}"
    );
}
