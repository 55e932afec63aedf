//! What a publish costs the broker, by what else there is.

use robustmq_e2e::{Broker, Client, Connect};
use robustmq_protocol::QoS;

use crate::Scale;
use crate::load::{bench, processor_s, start};
use crate::report::{Line, grouped};

/// Subscriptions of one client.
const FILTERS_PER_CLIENT: u64 = 10_000;

/// Runs of which the cheapest counts: what others take from the machine only adds.
const ROUNDS: usize = 3;

/// Without compression, which finds more in fewer topics.
const SETS: [&str; 1] = ["storage.compression=none"];

fn cheapest(broker: &Broker, arguments: &str) -> Result<f64, String> {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let parts = bench(broker, arguments)?;
        if parts["run"]["lost"].as_u64() != Some(0) {
            return Err(format!("messages were lost: {parts}"));
        }
        least = least.min(processor_s(&parts["run"])?);
    }
    Ok(least)
}

/// A third of them exact, a third with a wildcard in front, a third behind.
fn filter(number: u64) -> String {
    match number % 3 {
        0 => format!("elsewhere/{number}/value"),
        1 => format!("+/{number}/elsewhere"),
        _ => format!("elsewhere/{number}/#"),
    }
}

fn subscribe(broker: &Broker, filters: u64) -> Vec<Client> {
    let clients = filters.div_ceil(FILTERS_PER_CLIENT);
    let client = |number: u64| {
        let name = format!("elsewhere-{number}");
        let (mut client, _) = Client::accepted(broker.address(), &Connect::new(&name));
        let first = number * FILTERS_PER_CLIENT;
        for filter_number in first..filters.min(first + FILTERS_PER_CLIENT) {
            let granted = client.subscribe(&filter(filter_number), QoS::AtMostOnce);
            assert!(granted.iter().all(|code| !code.is_error()), "{granted:?}");
        }
        client
    };
    (0..clients).map(client).collect()
}

/// A publish beside subscriptions that do not match it.
pub(crate) fn subscriptions(scale: Scale) -> Result<Vec<Line>, String> {
    let messages = scale.of(1_000_000).max(50_000);
    let mut lines = Vec::new();
    for count in [1, 1_000, 100_000].map(|count| scale.of(count)) {
        let broker = start(&SETS);
        let held = subscribe(&broker, count);
        let arguments = format!("fan-in --topics 100 --messages {messages}");
        let cost = cheapest(&broker, &arguments)?;
        drop(held);
        let what = format!(
            "processor time of a QoS 0 message beside {} subscriptions that do not match",
            grouped(count)
        );
        lines.push(Line::new(what, format!("{cost:.2} µs")).target("the same"));
    }
    Ok(lines)
}

/// A publish to one topic, or to one of very many.
pub(crate) fn topics(scale: Scale) -> Result<Vec<Line>, String> {
    let messages = scale.of(2_000_000).max(50_000);
    let mut lines = Vec::new();
    for each in [1, 125, 12_500, 125_000].map(|count| scale.of(count)) {
        let broker = start(&SETS);
        let arguments = format!("fan-in --topics {each} --messages {messages}");
        let cost = cheapest(&broker, &arguments)?;
        let count = grouped(each * 8);
        let what = format!("processor time of a QoS 0 message to one of {count} topics");
        lines.push(Line::new(what, format!("{cost:.2} µs")).target("the same"));
    }
    Ok(lines)
}

/// Retained messages, all of them fetched by one wildcard.
pub(crate) fn retained(scale: Scale) -> Result<Vec<Line>, String> {
    let messages = scale.of(1_000_000);
    let broker = start(&[]);
    let parts = bench(
        &broker,
        &format!("retained --qos 1 --messages {messages} --keep"),
    )?;
    let number = |part: &str, field: &str| {
        let value = parts[part][field].as_f64();
        value.ok_or_else(|| format!("robust-bench does not say {field} of {part}: {parts}"))
    };
    let what = format!(
        "{} retained messages fetched by one wildcard, QoS 1",
        grouped(messages)
    );
    let figure = format!(
        "{} received, {} lost, {} twice; {:.0} thousand/s (set: {:.0} thousand/s); the broker's memory at most {:.0} MiB",
        grouped(number("fetch", "received")? as u64),
        number("fetch", "lost")?,
        number("fetch", "duplicates")?,
        number("fetch", "received_per_s")? / 1e3,
        number("set", "published_per_s")? / 1e3,
        parts["fetch"]["broker"]["resident_bytes_peak"]
            .as_f64()
            .unwrap_or(0.0)
            / f64::from(1 << 20),
    );
    Ok(vec![
        Line::new(what, figure).target("all of them, without a gap"),
    ])
}
