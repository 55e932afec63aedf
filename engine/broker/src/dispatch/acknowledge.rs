//! The one place where *durable* becomes *acknowledged*.

use std::sync::Arc;

use robustmq_log::AppendError;
use robustmq_protocol::ReasonCode;
use robustmq_record::{Batch, Offset};

use super::fan_out::FanOut;
use crate::link::{Completion, Link, Outcome};
use crate::mailbox::{Waiter, Waiters};

/// Tells everybody who waits for a batch how it ended. Called after the batch
/// was synced (or refused), applied to the views and dispatched; nothing else
/// in the broker reports an append as stored.
pub(super) fn acknowledge(
    result: &Result<Arc<Batch>, AppendError>,
    fan_out: &FanOut,
    waiters: Waiters,
) {
    let uniform = fan_out.matched_uniformly();
    let outcome = |slot: u16| match result {
        Ok(batch) => Outcome::Stored {
            shard: batch.shard(),
            offset: Offset::new(batch.index(), slot),
            matched: uniform.unwrap_or_else(|| {
                batch
                    .record(slot)
                    .is_some_and(|record| fan_out.matched(record.topic_id() as usize))
            }),
        },
        Err(error) => Outcome::Rejected(reason(error)),
    };
    let mut run: Option<(u32, Vec<Completion>)> = None;
    for waiter in waiters.waiters {
        match waiter {
            Waiter::Task(sender) => {
                // The waiting task may have been dropped with its connection.
                let _ = sender.send(result.as_ref().map(|_| ()).map_err(Clone::clone));
            }
            Waiter::Link { link, ticket, slot } => {
                let completion = Completion {
                    ticket,
                    outcome: outcome(slot),
                };
                match &mut run {
                    Some((current, completions)) if *current == link => {
                        completions.push(completion);
                    }
                    _ => {
                        report(run.replace((link, vec![completion])), &waiters.links);
                    }
                }
            }
        }
    }
    report(run, &waiters.links);
}

fn report(run: Option<(u32, Vec<Completion>)>, links: &[Arc<Link>]) {
    if let Some((link, completions)) = run {
        links[link as usize].complete(completions);
    }
}

/// What a client is told when the log does not take its message.
pub(crate) fn reason(error: &AppendError) -> ReasonCode {
    match error {
        AppendError::DiskFull => ReasonCode::QuotaExceeded,
        AppendError::Shutdown => ReasonCode::ServerShuttingDown,
        _ => ReasonCode::UnspecifiedError,
    }
}
