//! Upkeep of log and views: views flushed, expired retained messages dropped,
//! old segments removed after what is live in them was carried forward.

use std::sync::Arc;
use std::time::Duration;

use robustmq_config::{Retention, TimeSpan};
use robustmq_log::{CarryForward, RetentionBounds, RetentionPolicies};
use robustmq_record::{Offset, ShardId};
use robustmq_views::{KvError, ViewError};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::broker::Broker;
use crate::cluster::NodeLog;

/// How often views are flushed: bounds how much of the log the next start
/// applies again.
const FLUSH_EVERY: Duration = Duration::from_secs(30);

/// Live entries appended again at a time.
const CARRIED_AT_A_TIME: usize = 256;

/// Keeps house until told to stop.
pub(crate) async fn run(broker: Arc<Broker>, log: Arc<NodeLog>, mut stop: watch::Receiver<bool>) {
    let every = broker.config.storage.retention_check_interval.duration();
    let mut flush = tokio::time::interval(FLUSH_EVERY);
    let mut check = tokio::time::interval(every);
    flush.tick().await;
    check.tick().await;
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            _ = flush.tick() => flush_views(&broker).await,
            _ = check.tick() => retire(&broker, &log).await,
        }
    }
}

async fn flush_views(broker: &Arc<Broker>) {
    let views = Arc::clone(&broker.views);
    let now_ms = broker.clock.wall_ms();
    let flushed = tokio::task::spawn_blocking(move || {
        let expired = views.expire_retained(now_ms)?;
        views.flush()?;
        Ok::<u64, robustmq_views::ViewError>(expired)
    })
    .await;
    match flushed {
        Ok(Ok(0)) => {}
        Ok(Ok(expired)) => tracing::debug!(expired, "retained messages expired"),
        Ok(Err(ViewError::Store(KvError::Full(_)))) => {
            tracing::debug!("the views are flushed when there is room on the disk");
        }
        // Not lost: the next start applies more of the log again.
        Ok(Err(error)) => tracing::warn!(%error, "the views could not be flushed"),
        Err(error) => tracing::error!(%error, "flushing the views failed"),
    }
}

async fn retire(broker: &Arc<Broker>, log: &Arc<NodeLog>) {
    let carrier = Carrier {
        broker: Arc::clone(broker),
        runtime: Handle::current(),
    };
    let disk = Arc::clone(log.disk());
    let policies = policies(&broker.config.storage);
    let now_ms = broker.clock.wall_ms();
    let retired =
        tokio::task::spawn_blocking(move || disk.retire(&policies, now_ms, &carrier)).await;
    match retired {
        Ok(Ok(report)) if report.segments > 0 => {
            broker.counters.records_retired.add(report.records);
            tracing::info!(
                segments = report.segments,
                records = report.records,
                bytes = report.bytes,
                "segments beyond retention removed"
            );
            note_retired(broker, log).await;
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "old segments could not be removed"),
        Err(error) => tracing::error!(%error, "looking for old segments failed"),
    }
}

/// Groups hear of what is gone: nodes that lack it get a snapshot instead.
async fn note_retired(broker: &Broker, log: &NodeLog) {
    let Some(groups) = log.groups() else {
        return;
    };
    for shard in broker.shard_map.shards() {
        if let Err(error) = groups.retired(shard).await {
            tracing::warn!(%error, "a group could not be told what is gone");
        }
    }
}

fn policies(storage: &robustmq_config::Storage) -> RetentionPolicies {
    RetentionPolicies {
        by_filter: storage
            .retention_by_filter()
            .map(|(filter, retention)| (filter.to_owned(), bounds(&retention)))
            .collect(),
        default: bounds(&storage.retention_default()),
    }
}

fn bounds(retention: &Retention) -> RetentionBounds {
    let milliseconds = |span: TimeSpan| span.duration().as_millis() as u64;
    RetentionBounds {
        time_ms: retention.time.map(milliseconds),
        bytes: retention.bytes.map(|bytes| bytes.bytes()),
        records: retention.messages,
    }
}

/// Appends live state again whose records are about to be removed.
struct Carrier {
    broker: Arc<Broker>,
    runtime: Handle,
}

impl CarryForward for Carrier {
    fn carry_forward(&self, shard: ShardId, end: Offset) -> bool {
        loop {
            let live = match self
                .broker
                .views
                .carry_forward(shard, end, CARRIED_AT_A_TIME)
            {
                Ok(live) => live,
                Err(error) => {
                    tracing::warn!(shard = shard.0, %error, "live state could not be read; the segment stays");
                    return false;
                }
            };
            if live.is_empty() {
                return true;
            }
            if !self.broker.leads(shard) {
                // Whoever leads carries it forward; the segment goes then.
                return false;
            }
            for carried in &live {
                let record = carried.record(self.broker.clock.wall_ms());
                let appended = self
                    .runtime
                    .block_on(self.broker.mailboxes.append_and_wait(shard, &record));
                if let Err(error) = appended {
                    tracing::warn!(shard = shard.0, %error, "live state could not be carried forward; the segment stays");
                    return false;
                }
            }
        }
    }
}
