//! What is measured: the runs of `robust-bench` and the figures taken from them.

use serde_json::Value;

/// How a figure is read and whether more of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Thousands a second: this field.
    Rate(&'static str),
    /// Milliseconds: this percentile of the acknowledgements.
    Acknowledgement(&'static str),
    /// Bytes of resident memory that the connections have added, for each.
    BytesPerConnection,
}

impl Kind {
    pub(crate) fn more_is_better(self) -> bool {
        matches!(self, Self::Rate(_))
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Rate(_) => "thousand/s",
            Self::Acknowledgement(_) => "ms",
            Self::BytesPerConnection => "B",
        }
    }

    pub(crate) fn read(self, part: &Value) -> Option<f64> {
        match self {
            Self::Rate(field) => Some(part[field].as_f64()? / 1e3),
            Self::Acknowledgement(share) => Some(part["acknowledgement_us"][share].as_f64()? / 1e3),
            Self::BytesPerConnection => {
                let broker = &part["broker"];
                let before = broker["resident_bytes_before"].as_f64()?;
                let after = broker["resident_bytes_after"].as_f64()?;
                Some((after - before).max(0.0) / part["connections"].as_f64()?)
            }
        }
    }
}

/// One figure of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    /// The part of the run it is of.
    pub(crate) part: &'static str,
    pub(crate) kind: Kind,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// For `--only`.
    pub(crate) name: &'static str,
    /// Arguments of `robust-bench`.
    pub(crate) arguments: &'static str,
    /// It lasts as long as `--seconds` says.
    pub(crate) is_timed: bool,
    pub(crate) figures: &'static [Figure],
}

const DELIVERED: Kind = Kind::Rate("delivered_per_s");
const PUBLISHED: Kind = Kind::Rate("published_per_s");

const fn run(title: &'static str, kind: Kind) -> Figure {
    Figure {
        title,
        part: "run",
        kind,
    }
}

/// As fast as possible: the time sockets are left alone, so that what is
/// measured is a broker that works and not one that wakes the generator.
macro_rules! flood {
    ($arguments:literal) => {
        concat!($arguments, " --gather 100us")
    };
}

pub(crate) const ROWS: [Row; 14] = [
    Row {
        name: "qos0",
        arguments: flood!("fan-in --qos 0"),
        is_timed: true,
        figures: &[run("8 → 1, QoS 0, 64 B", DELIVERED)],
    },
    Row {
        name: "qos1",
        arguments: flood!("fan-in --qos 1"),
        is_timed: true,
        figures: &[run("8 → 1, QoS 1, 64 B", DELIVERED)],
    },
    Row {
        name: "qos1-1k",
        arguments: flood!("fan-in --qos 1 --payload 1024"),
        is_timed: true,
        figures: &[run("8 → 1, QoS 1, 1 KiB", DELIVERED)],
    },
    Row {
        name: "qos2",
        arguments: flood!("fan-in --qos 2"),
        is_timed: true,
        figures: &[run("8 → 1, QoS 2, 64 B", DELIVERED)],
    },
    Row {
        // By number: a broker that queues without limit is otherwise still
        // delivering long after the time is over.
        name: "fan-out-qos0",
        arguments: flood!("fan-out --qos 0 --messages 50000"),
        is_timed: false,
        figures: &[run("1 → 100, QoS 0, 64 B", DELIVERED)],
    },
    Row {
        name: "fan-out-qos1",
        arguments: flood!("fan-out --qos 1"),
        is_timed: true,
        figures: &[run("1 → 100, QoS 1, 64 B", DELIVERED)],
    },
    Row {
        name: "pairs",
        arguments: flood!("pairs --pairs 50 --qos 1"),
        is_timed: true,
        figures: &[run("50 pairs, QoS 1, 64 B", DELIVERED)],
    },
    Row {
        name: "offline",
        arguments: flood!("offline --qos 1 --messages 200000"),
        is_timed: false,
        figures: &[
            Figure {
                title: "store for an absent session, QoS 1",
                part: "store",
                kind: PUBLISHED,
            },
            Figure {
                title: "drain it, QoS 1",
                part: "drain",
                kind: Kind::Rate("received_per_s"),
            },
        ],
    },
    Row {
        name: "retained",
        arguments: flood!("retained --qos 1 --messages 50000"),
        is_timed: false,
        figures: &[
            Figure {
                title: "set retained messages, QoS 1",
                part: "set",
                kind: PUBLISHED,
            },
            Figure {
                title: "fetch them by one wildcard, QoS 1",
                part: "fetch",
                kind: Kind::Rate("received_per_s"),
            },
        ],
    },
    Row {
        name: "connect",
        arguments: "connect --connections 20000",
        is_timed: false,
        figures: &[Figure {
            title: "connects",
            part: "connect",
            kind: Kind::Rate("opened_per_s"),
        }],
    },
    Row {
        name: "idle",
        arguments: "idle --connections 10000",
        is_timed: true,
        figures: &[Figure {
            title: "memory per idle connection (10 000)",
            part: "idle",
            kind: Kind::BytesPerConnection,
        }],
    },
    Row {
        name: "one-by-one",
        arguments: "fan-in --publishers 1 --qos 1 --window 1",
        is_timed: true,
        figures: &[run("one publisher that waits for each PUBACK", PUBLISHED)],
    },
    Row {
        name: "latency-1k",
        arguments: "fan-in --qos 1 --rate 1000",
        is_timed: true,
        figures: &[
            run(
                "PUBACK at 1 000 messages/s, p50",
                Kind::Acknowledgement("p50"),
            ),
            run("the same, p99", Kind::Acknowledgement("p99")),
        ],
    },
    Row {
        name: "latency-10k",
        arguments: "fan-in --qos 1 --rate 10000",
        is_timed: true,
        figures: &[
            run(
                "PUBACK at 10 000 messages/s, p50",
                Kind::Acknowledgement("p50"),
            ),
            run("the same, p99", Kind::Acknowledgement("p99")),
        ],
    },
];
