//! One line that shows a run while it goes on, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock::now_ns;

pub(crate) struct Live {
    bar: ProgressBar,
    shown_ns: u64,
    shown: Counts,
}

/// Counts of all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) received: u64,
    pub(crate) expected: u64,
    pub(crate) settled: u64,
    pub(crate) opened: u64,
    pub(crate) busy: u64,
}

/// How often the line changes.
const EVERY_NS: u64 = 250_000_000;

impl Live {
    pub(crate) fn new() -> Self {
        // Indicatif keeps quiet where standard error is no terminal.
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            shown_ns: now_ns(),
            shown: Counts::default(),
        }
    }

    pub(crate) fn show(&mut self, name: &str, counts: Counts) {
        let now = now_ns();
        let passed = now.saturating_sub(self.shown_ns);
        if passed < EVERY_NS {
            return;
        }
        let per_s = |now: u64, before: u64| {
            (now.saturating_sub(before)) as f64 / (passed as f64 / 1e9) / 1e3
        };
        let (last, missing) = (self.shown, counts.expected.saturating_sub(counts.received));
        self.bar.set_message(format!(
            "{name}: {} connections · sent {:.1}k/s · acknowledged {:.1}k/s · received {:.1}k/s · on the way {missing}",
            counts.opened,
            per_s(counts.sent, last.sent),
            per_s(counts.acknowledged, last.acknowledged),
            per_s(counts.received, last.received),
        ));
        self.bar.tick();
        (self.shown_ns, self.shown) = (now, counts);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// How often the threads are looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(2);
