//! What goes wrong, and when: all of it from the seed.

use robustmq_views::testing::Chance;

/// Something that happens to the cluster. Nodes are named by their place among
/// those that there are at the time.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A machine stops, and starts again later.
    Kill { place: u64, down_ms: u64 },
    /// All machines stop at once.
    KillAll { down_ms: u64 },
    /// A machine stops within one of the next calls to its disk.
    KillAtCall { place: u64, call: u64 },
    /// One of the next syncs fails.
    FailSync { place: u64, sync: u64 },
    /// One of the next writes finds no room.
    FullAtWrite { place: u64, write: u64 },
    /// The disk stays full for a while.
    Full { place: u64, for_ms: u64 },
    /// The disk is slow for a while.
    SlowDisk {
        place: u64,
        sync_ms_max: u64,
        for_ms: u64,
    },
    /// The clock jumps.
    Jump { place: u64, by_ms: i64 },
    /// One side does not hear the other, or neither does.
    Partition {
        mask: u64,
        one_sided: bool,
        for_ms: u64,
    },
    /// One way between two nodes is cut.
    CutWay { from: u64, to: u64, for_ms: u64 },
    /// Messages are slow and get lost.
    Storm {
        delay_ms_max: u64,
        lost_permille: u64,
        for_ms: u64,
    },
    /// A node loses all that it has; another one takes its place.
    Wipe { place: u64 },
    /// Another node is asked to lead.
    Transfer { place: u64 },
    /// A node loses its vote and gets it again.
    Demote { place: u64 },
}

/// What happens in a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Nodes at the beginning.
    pub nodes: u64,
    pub(crate) events: Vec<(u64, Event)>,
}

impl Plan {
    /// The plan of a seed: `nodes` as it says unless given.
    #[must_use]
    pub fn of(seed: u64, nodes: Option<u64>, steps: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x706c_616e);
        let drawn = if chance.once_in(3) { 5 } else { 3 };
        let mut events = Vec::new();
        for _ in 0..steps {
            let pause_ms = 50 + chance.below(1_500);
            events.push((pause_ms, Event::draw(&mut chance)));
        }
        Self {
            nodes: nodes.unwrap_or(drawn),
            events,
        }
    }
}

impl Event {
    fn draw(chance: &mut Chance) -> Self {
        let place = chance.below(60);
        let for_ms = 100 + chance.below(3_000);
        match chance.below(24) {
            0..=2 => Self::Kill {
                place,
                down_ms: for_ms,
            },
            3 => Self::KillAll { down_ms: for_ms },
            4..=6 => Self::KillAtCall {
                place,
                call: 1 + chance.below(40),
            },
            7 => Self::FailSync {
                place,
                sync: 1 + chance.below(10),
            },
            8 => Self::FullAtWrite {
                place,
                write: 1 + chance.below(10),
            },
            9 => Self::Full { place, for_ms },
            10 | 11 => Self::SlowDisk {
                place,
                sync_ms_max: 20 + chance.below(400),
                for_ms,
            },
            12 => Self::Jump {
                place,
                by_ms: chance.below(7_200_000) as i64 - 3_600_000,
            },
            13..=15 => Self::Partition {
                mask: chance.below(32),
                one_sided: chance.once_in(2),
                for_ms,
            },
            16 | 17 => Self::CutWay {
                from: place,
                to: chance.below(60),
                for_ms,
            },
            18..=20 => Self::Storm {
                delay_ms_max: 5 + chance.below(300),
                lost_permille: chance.below(300),
                for_ms,
            },
            21 => Self::Wipe { place },
            22 => Self::Transfer { place },
            _ => Self::Demote { place },
        }
    }
}
