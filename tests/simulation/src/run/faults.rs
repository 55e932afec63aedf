//! Makes the events of a plan happen.

use std::sync::atomic::Ordering;
use std::time::Duration;

use robustmq_log::Disk;
use robustmq_log::sim::Faults;
use robustmq_record::ShardId;
use tokio::time::{sleep, timeout};

use super::cluster::Cluster;
use crate::network::Weather;
use crate::node::{SHARDS, SYNC_MS_MAX};
use crate::plan::Event;

/// Does something later.
fn after(ms: u64, then: impl FnOnce() + Send + 'static) {
    tokio::spawn(async move {
        sleep(Duration::from_millis(ms)).await;
        then();
    });
}

fn crash_at(call: u64) -> Faults {
    Faults {
        crash_at: Some(call),
        ..Faults::default()
    }
}

fn fail_sync_at(sync: u64) -> Faults {
    Faults {
        fail_sync_at: Some(sync),
        ..Faults::default()
    }
}

fn full_at_write(write: u64) -> Faults {
    Faults {
        full_at_write: Some(write),
        ..Faults::default()
    }
}

impl Cluster {
    /// A node that runs, by its place.
    fn at(&self, place: u64) -> Option<u64> {
        let nodes = self.nodes.lock();
        let count = nodes.running.len() as u64;
        let place = place.checked_rem(count)?;
        nodes.running.keys().nth(place as usize).copied()
    }

    /// Plans faults of a node's disk.
    fn plan(&self, place: u64, faults: Faults) {
        let Some(id) = self.at(place) else { return };
        if let Some(kept) = self.nodes.lock().kept.get(&id) {
            kept.log_disk.plan(faults);
        }
    }

    pub(super) fn happen(&self, event: Event) {
        self.world.trace.note(format_args!("{event:?}"));
        match event {
            Event::Kill { place, down_ms } => {
                if let Some(id) = self.at(place) {
                    self.kill(id, down_ms);
                }
            }
            Event::KillAll { down_ms } => {
                let all: Vec<u64> = self.nodes.lock().running.keys().copied().collect();
                for id in all {
                    self.kill(id, down_ms);
                }
            }
            Event::KillAtCall { place, call } => self.plan(place, crash_at(call)),
            Event::FailSync { place, sync } => self.plan(place, fail_sync_at(sync)),
            Event::FullAtWrite { place, write } => self.plan(place, full_at_write(write)),
            Event::Full { place, for_ms } => self.fill(place, for_ms),
            Event::SlowDisk {
                place,
                sync_ms_max,
                for_ms,
            } => self.slow_disk(place, sync_ms_max, for_ms),
            Event::Jump { place, by_ms } => {
                let Some(id) = self.at(place) else { return };
                if let Some(kept) = self.nodes.lock().kept.get(&id) {
                    kept.clock.jump(by_ms);
                }
            }
            Event::Partition {
                mask,
                one_sided,
                for_ms,
            } => self.part(mask, one_sided, for_ms),
            Event::CutWay { from, to, for_ms } => {
                if let (Some(from), Some(to)) = (self.at(from), self.at(to))
                    && from != to
                {
                    self.cut(vec![(from, to)], for_ms);
                }
            }
            Event::Storm {
                delay_ms_max,
                lost_permille,
                for_ms,
            } => {
                let network = self.world.network.clone();
                network.set_weather(Weather {
                    delay_ms_max,
                    lost_permille,
                });
                after(for_ms, move || network.set_weather(Weather::FAIR));
            }
            Event::Wipe { place } => {
                // One at a time: who loses more disks than a majority can spare
                // loses data, as promised.
                let id = self.at(place);
                if let Some(id) = id.filter(|_| self.nodes.lock().changing == 0) {
                    tokio::spawn(self.clone().replace(id));
                }
            }
            Event::Transfer { place } => self.transfer(place),
            Event::Demote { place } => {
                let id = self.at(place);
                if let Some(id) = id.filter(|_| self.nodes.lock().changing == 0) {
                    tokio::spawn(self.clone().demote(id));
                }
            }
        }
    }

    fn slow_disk(&self, place: u64, sync_ms_max: u64, for_ms: u64) {
        let Some(id) = self.at(place) else { return };
        let nodes = self.nodes.lock();
        let Some(kept) = nodes.kept.get(&id) else {
            return;
        };
        kept.sync_ms_max.store(sync_ms_max, Ordering::Relaxed);
        let slow = std::sync::Arc::clone(&kept.sync_ms_max);
        after(for_ms, move || slow.store(SYNC_MS_MAX, Ordering::Relaxed));
    }

    fn fill(&self, place: u64, for_ms: u64) {
        let Some(id) = self.at(place) else { return };
        let nodes = self.nodes.lock();
        let Some(kept) = nodes.kept.get(&id) else {
            return;
        };
        let used = kept
            .log_disk
            .list()
            .map_or(0, |files| files.iter().map(|file| file.len).sum::<u64>());
        let disk = kept.log_disk.clone();
        disk.plan(Faults {
            capacity_bytes: Some(used),
            ..Faults::default()
        });
        after(for_ms, move || disk.plan(Faults::default()));
    }

    fn part(&self, mask: u64, one_sided: bool, for_ms: u64) {
        let ids: Vec<u64> = self.nodes.lock().members.iter().copied().collect();
        let side = |place: usize| mask >> place & 1 == 1;
        let mut cuts = Vec::new();
        for (i, &from) in ids.iter().enumerate() {
            for (j, &to) in ids.iter().enumerate() {
                if side(i) != side(j) && (side(i) || !one_sided) {
                    cuts.push((from, to));
                }
            }
        }
        self.cut(cuts, for_ms);
    }

    fn cut(&self, cuts: Vec<(u64, u64)>, for_ms: u64) {
        let network = self.world.network.clone();
        for &(from, to) in &cuts {
            network.cut(from, to);
        }
        after(for_ms, move || {
            for (from, to) in cuts {
                network.mend(from, to);
            }
        });
    }

    fn transfer(&self, place: u64) {
        let Some(id) = self.at(place) else { return };
        let nodes = self.nodes.lock();
        for node in nodes.running.values() {
            for shard in (0..=SHARDS).map(ShardId) {
                let groups = std::sync::Arc::clone(&node.groups);
                if groups.leader(shard) == Some(node.id) && node.id != id {
                    tokio::spawn(async move {
                        // It may not lead any more: then nobody is asked.
                        let asked = groups.transfer(shard, id);
                        drop(timeout(Duration::from_secs(2), asked).await);
                    });
                }
            }
        }
    }

    /// Takes a node's vote, and gives it back.
    async fn demote(self, id: u64) {
        self.nodes.lock().changing += 1;
        let all: Vec<_> = {
            let nodes = self.nodes.lock();
            let others = nodes.running.values().filter(|node| node.id != id);
            others
                .map(|node| std::sync::Arc::clone(&node.groups))
                .collect()
        };
        for groups in all {
            for shard in (0..=SHARDS).map(ShardId) {
                // Only the leader can; it may be the node itself.
                let demoted = groups.demote(shard, id);
                drop(timeout(Duration::from_secs(2), demoted).await);
            }
        }
        self.change(id, None).await;
        self.nodes.lock().changing -= 1;
    }
}
