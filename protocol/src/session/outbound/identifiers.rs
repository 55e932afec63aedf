//! The next free packet identifier.
//!
//! Identifiers are given out in a circle. `run` counts how many from `next` on
//! are known to be free: in-use identifiers only ever go away or are added at
//! `next`, so the in-flight set is looked through once per run (as a rule once
//! in 65 535 deliveries), not once per delivery.

use crate::types::PacketId;

#[derive(Debug)]
pub(super) struct Identifiers {
    next: PacketId,
    run: u16,
}

impl Identifiers {
    pub(super) fn new() -> Self {
        Self {
            next: PacketId::MIN,
            run: u16::MAX,
        }
    }

    /// Goes on after `packet_id`; what is in use may have changed.
    pub(super) fn resume_after(&mut self, packet_id: PacketId) {
        self.next = following(packet_id);
        self.run = 0;
    }

    /// The next identifier not `in_use`; None if all are.
    pub(super) fn take(&mut self, in_use: impl Iterator<Item = PacketId>) -> Option<PacketId> {
        if self.run == 0 {
            self.find_run(in_use)?;
        }
        let packet_id = self.next;
        self.run -= 1;
        self.next = following(packet_id);
        Some(packet_id)
    }

    /// Moves `next` past those in use and sets `run` up to the one after.
    fn find_run(&mut self, in_use: impl Iterator<Item = PacketId>) -> Option<()> {
        let mut distances: Vec<u16> = in_use.map(|id| distance(self.next, id)).collect();
        distances.sort_unstable();
        let mut free = 0_u16;
        for distance in distances {
            if distance > free {
                self.run = distance - free;
                self.next = ahead(self.next, free);
                return Some(());
            }
            free = distance + 1;
        }
        self.run = u16::MAX - free;
        self.next = ahead(self.next, free);
        (self.run > 0).then_some(())
    }
}

/// The identifier `distance` steps on.
fn ahead(from: PacketId, distance: u16) -> PacketId {
    let sum = u32::from(from.get()) - 1 + u32::from(distance);
    let value = u16::try_from(sum % u32::from(u16::MAX) + 1).expect("at most 65 535");
    PacketId::new(value).expect("at least 1")
}

fn following(packet_id: PacketId) -> PacketId {
    packet_id.checked_add(1).unwrap_or(PacketId::MIN)
}

/// Steps from one identifier to another in the circle of 65 535.
fn distance(from: PacketId, to: PacketId) -> u16 {
    let (from, to) = (from.get(), to.get());
    if to >= from {
        to - from
    } else {
        u16::MAX - from + to
    }
}
