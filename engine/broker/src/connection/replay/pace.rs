//! How fast history is replayed.

/// The rate of a replay, as `replay-rate` spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Rate {
    /// As fast as the client takes it.
    #[default]
    Max,
    /// So many times as fast as it was published; `original` is once.
    Times(f64),
    /// So many messages per second.
    PerSecond(f64),
}

impl Rate {
    /// Reads `max`, `original`, `x10`, `500/s`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let positive = |text: &str| {
            let value: f64 = text.parse().ok()?;
            (value.is_finite() && value > 0.0).then_some(value)
        };
        match text {
            "max" => Some(Self::Max),
            "original" => Some(Self::Times(1.0)),
            _ => match (text.strip_prefix('x'), text.strip_suffix("/s")) {
                (Some(factor), _) => positive(factor).map(Self::Times),
                (_, Some(count)) => positive(count).map(Self::PerSecond),
                _ => None,
            },
        }
    }
}

/// When the next message is due. Times are those of the monotonic clock, in
/// milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    rate: Rate,
    /// When the first message was sent, and its own time.
    begun: Option<(u64, u64)>,
    sent: u64,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            ..Self::default()
        }
    }

    /// When a message of this time may be sent; now, if that is past.
    pub(super) fn due_ms(&self, timestamp_ms: u64, now_ms: u64) -> u64 {
        let Some((begun_ms, first_ms)) = self.begun else {
            return now_ms;
        };
        let after_ms = match self.rate {
            Rate::Max => return now_ms,
            Rate::Times(factor) => timestamp_ms.saturating_sub(first_ms) as f64 / factor,
            Rate::PerSecond(count) => self.sent as f64 * 1000.0 / count,
        };
        // Beyond what the clock can say it saturates.
        begun_ms.saturating_add(after_ms as u64)
    }

    /// A message was sent.
    pub(super) fn sent(&mut self, timestamp_ms: u64, now_ms: u64) {
        self.begun.get_or_insert((now_ms, timestamp_ms));
        self.sent += 1;
    }
}

#[cfg(test)]
mod tests;
