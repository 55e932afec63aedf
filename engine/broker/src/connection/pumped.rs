//! What is to be done after sending what could be sent.

/// What pumping came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// Nothing more can be sent until something happens.
    Wait,
    /// More may be there at once.
    Again,
    /// The backlog must be read.
    Read,
    /// The backlog is read: rejoin dispatch.
    Rejoin,
    /// Replays must read the log.
    ReadReplays,
    /// Named cursors must read the log.
    ReadCursors,
}

impl Pumped {
    /// Of two things to do the one that others wait for.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Wait, other) | (Self::Again, other @ Self::ReadCursors) => other,
            (this, _) => this,
        }
    }
}
