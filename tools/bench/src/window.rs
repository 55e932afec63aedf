//! The packet identifiers of a publisher: which are on their way, since when.

/// What an identifier waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// PUBACK or PUBREC.
    Sent,
    /// PUBCOMP.
    Released,
}

/// An acknowledgement of nothing that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unexpected;

#[derive(Debug)]
pub(crate) struct Window {
    /// Identifiers that may be used, the next one last.
    free: Vec<u16>,
    /// By identifier minus 1.
    slots: Vec<(State, u64)>,
}

impl Window {
    /// For at most `size` messages on their way.
    pub(crate) fn new(size: u16) -> Self {
        Self {
            free: (1..=size).rev().collect(),
            slots: vec![(State::Free, 0); usize::from(size)],
        }
    }

    /// Fewer from now on, as the broker wishes; only while nothing is on its way.
    pub(crate) fn shrink(&mut self, size: u16) {
        if usize::from(size) < self.slots.len() && self.is_empty() {
            *self = Self::new(size);
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// An identifier for a message sent now; none while the window is full.
    pub(crate) fn open(&mut self, sent_ns: u64) -> Option<u16> {
        let id = self.free.pop()?;
        self.slots[usize::from(id) - 1] = (State::Sent, sent_ns);
        Some(id)
    }

    fn slot(&mut self, id: u16, state: State) -> Result<&mut (State, u64), Unexpected> {
        let place = usize::from(id).checked_sub(1).ok_or(Unexpected)?;
        let slot = self.slots.get_mut(place).ok_or(Unexpected)?;
        if slot.0 == state {
            Ok(slot)
        } else {
            Err(Unexpected)
        }
    }

    /// PUBACK, or a PUBREC that refuses: gives when the message was sent.
    pub(crate) fn complete(&mut self, id: u16) -> Result<u64, Unexpected> {
        self.close(id, State::Sent)
    }

    /// PUBREC.
    pub(crate) fn release(&mut self, id: u16) -> Result<(), Unexpected> {
        self.slot(id, State::Sent)?.0 = State::Released;
        Ok(())
    }

    /// PUBCOMP: gives when the message was sent.
    pub(crate) fn complete_released(&mut self, id: u16) -> Result<u64, Unexpected> {
        self.close(id, State::Released)
    }

    fn close(&mut self, id: u16, state: State) -> Result<u64, Unexpected> {
        let slot = self.slot(id, state)?;
        slot.0 = State::Free;
        let sent_ns = slot.1;
        self.free.push(id);
        Ok(sent_ns)
    }
}

#[cfg(test)]
mod tests;
