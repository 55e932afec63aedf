//! Counters for Prometheus: the ledger, and what else is counted.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::App;
use crate::error::ApiError;

/// What a line of the ledger is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Shard {
    shard: u32,
}

type ByShard = Family<Shard, Counter>;
type GaugeByShard = Family<Shard, Gauge>;

/// `/metrics`, as OpenMetrics text.
pub(super) async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let mut registry = Registry::with_prefix("robustmq");
    register_ledger(&mut registry, &app);
    register_groups(&mut registry, &app);
    let counters = app.broker.counters().all();
    for (name, count) in counters.into_iter().chain(app.broker.log_counters()) {
        let counter = Counter::<u64>::default();
        counter.inc_by(count);
        registry.register(name, "see docs/http.md", counter);
    }
    let delayed = Gauge::<i64>::default();
    delayed.set(app.broker.delayed_count().try_into().unwrap_or(i64::MAX));
    registry.register(
        "delayed_count",
        "Messages that wait for their time",
        delayed,
    );
    let shared = Gauge::<i64>::default();
    let count = app.broker.shared_groups_count();
    shared.set(count.try_into().unwrap_or(i64::MAX));
    registry.register(
        "shared_groups_count",
        "Groups of shared subscriptions with connected members",
        shared,
    );
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text))
}

/// Where the groups of a cluster's node stand.
fn register_groups(registry: &mut Registry, app: &App) {
    let Some(cluster) = app.broker.cluster() else {
        return;
    };
    let gauges = [(); 4].map(|()| GaugeByShard::default());
    let [term, leader, appended, applied] = &gauges;
    for group in cluster.groups_here() {
        let shard = Shard {
            shard: group.shard.0,
        };
        let set = |gauge: &GaugeByShard, value: u64| {
            gauge
                .get_or_create(&shard)
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(term, group.term);
        set(leader, group.leader.unwrap_or(0));
        set(appended, group.appended);
        set(applied, group.applied);
    }
    let names = [
        "group_term",
        "group_leader",
        "group_appended",
        "group_applied",
    ];
    for (name, gauge) in names.into_iter().zip(gauges) {
        registry.register(name, "see docs/http.md", gauge);
    }
}

fn register_ledger(registry: &mut Registry, app: &App) {
    let [accepted, rejected, stored] = [(); 3].map(|()| ByShard::default());
    for entry in app.broker.ledger() {
        let shard = Shard { shard: entry.shard };
        accepted.get_or_create(&shard).inc_by(entry.accepted);
        rejected.get_or_create(&shard).inc_by(entry.rejected);
        stored.get_or_create(&shard).inc_by(entry.stored);
    }
    registry.register(
        "ledger_accepted",
        "Messages taken from publishers",
        accepted,
    );
    registry.register("ledger_rejected", "Of these, those not stored", rejected);
    registry.register("ledger_stored", "Of these, those durable by policy", stored);
    let counters = app.broker.counters();
    let [expired, truncated] = [
        counters.deliveries_expired.get(),
        counters.records_retired.get(),
    ]
    .map(|count| {
        let counter = Counter::<u64>::default();
        counter.inc_by(count);
        counter
    });
    registry.register(
        "ledger_expired",
        "Times a message was not sent because its Message Expiry Interval had passed",
        expired,
    );
    registry.register(
        "ledger_truncated",
        "Messages that retention removed",
        truncated,
    );
}
