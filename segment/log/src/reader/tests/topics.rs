//! Topics with what they hold.

use std::collections::BTreeMap;

use super::sample::{FILTERS, SHARD, Sample, filter};
use crate::{TopicFigures, TopicsPage, TopicsQuery};

fn expected(sample: &Sample, text: &str) -> Vec<TopicFigures> {
    let mut by_topic = BTreeMap::<String, TopicFigures>::new();
    for message in sample.messages(&filter(text)) {
        let figures = by_topic
            .entry(message.topic.clone())
            .or_insert_with(|| TopicFigures {
                topic: message.topic,
                messages: 0,
                bytes: 0,
                timestamp_ms_max: 0,
            });
        figures.messages += 1;
        figures.bytes += message.bytes;
        figures.timestamp_ms_max = figures.timestamp_ms_max.max(message.timestamp_ms);
    }
    by_topic.into_values().collect()
}

#[test]
fn they_are_those_that_a_read_of_everything_finds() {
    let mut compared = 0;
    for seed in 0..160 {
        let mut sample = Sample::new(seed);
        // An index goes on counting a batch that is damaged later.
        if sample.is_damaged() {
            continue;
        }
        for text in FILTERS {
            let expected = expected(&sample, text);
            let automaton = filter(text);
            let (mut found, mut after) = (Vec::new(), None::<String>);
            loop {
                let query = TopicsQuery {
                    filter: &automaton,
                    after: after.as_deref(),
                    topics_max: 1 + sample.chance.below(4) as usize,
                };
                let page = sample.bench.reader().topics(SHARD, query).expect("reads");
                assert!(page.topics.len() <= query.topics_max);
                found.extend(page.topics);
                if !page.more {
                    break;
                }
                after = found.last().map(|last| last.topic.clone());
            }
            assert_eq!(found, expected, "{}: {text}", sample.context);
            compared += found.len();
        }
    }
    assert!(compared > 1000, "{compared} topics compared");
}

#[test]
fn a_page_after_the_last_topic_is_empty() {
    let sample = Sample::new(0);
    let query = TopicsQuery {
        filter: &filter("#"),
        after: Some("zzz"),
        topics_max: 10,
    };
    let page = sample.bench.reader().topics(SHARD, query).expect("reads");
    assert_eq!(page, TopicsPage::default());
}
