//! Appends to one node overlap, in order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use openraft::BasicNode;
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendError};
use openraft::vote::leader_id_std::LeaderId;
use parking_lot::Mutex;
use robustmq_record::Term;
use tokio::sync::oneshot;

use super::SHARD;
use crate::network::Network;
use crate::transport::{CallFailed, Transport};
use crate::types::log_id;
use crate::{RaftVote, Types, wire};

/// Another node that answers when it is told to.
#[derive(Default)]
struct Slow {
    asked: Mutex<Vec<(Bytes, Option<oneshot::Sender<Bytes>>)>>,
}

impl Transport for Slow {
    fn call(
        &self,
        _node: u64,
        _address: &str,
        _kind: u16,
        body: Bytes,
        _timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallFailed>> {
        let (answered, answer) = oneshot::channel();
        self.asked.lock().push((body, Some(answered)));
        async move {
            answer
                .await
                .map_err(|_| CallFailed::Lost("gone".to_owned()))
        }
        .boxed()
    }
}

impl Slow {
    fn answer(&self, place: usize, answer: &AppendEntriesResponse<Types>) {
        let answered = self.asked.lock()[place].1.take();
        let sent = answered.map(|answered| answered.send(wire::write_append_answer(answer)));
        assert!(matches!(sent, Some(Ok(()))), "it is waited for");
    }
}

fn request(index: u64) -> AppendEntriesRequest<Types> {
    AppendEntriesRequest {
        vote: RaftVote {
            leader_id: LeaderId {
                term: 1,
                voted_for: 1,
            },
            committed: true,
        },
        prev_log_id: Some(log_id(Term(1), index)),
        entries: Vec::new(),
        leader_commit: None,
    }
}

#[tokio::test]
async fn the_next_appends_are_sent_before_the_first_is_answered() {
    let slow = Arc::new(Slow::default());
    let mut network = Network {
        group: SHARD,
        transport: Arc::clone(&slow) as Arc<dyn Transport>,
    };
    let mut way = network.new_client(2, &BasicNode::new("two")).await;
    let requests = stream::iter((1..=20).map(request));
    let option = RPCOption::new(Duration::from_secs(1));
    let results = way.stream_append(requests, option).await;
    let mut results = results.expect("it begins");
    assert!(results.next().now_or_never().is_none(), "no answer yet");
    let sent = slow.asked.lock().len();
    assert!((2..20).contains(&sent), "{sent} are under way");
    for (place, (body, _)) in slow.asked.lock().iter().enumerate() {
        let sent = wire::read_append(body.clone()).expect("it can be read");
        let expected = request(place as u64 + 1).prev_log_id;
        assert_eq!(sent.prev_log_id, expected, "in order");
    }
    slow.answer(1, &AppendEntriesResponse::Success);
    assert!(
        results.next().now_or_never().is_none(),
        "the first counts first"
    );
    slow.answer(0, &AppendEntriesResponse::Success);
    for index in 1..=2 {
        let result = results.next().await.expect("a result").expect("answered");
        assert_eq!(result, Ok(Some(log_id(Term(1), index))));
    }
    slow.answer(3, &AppendEntriesResponse::Success);
    slow.answer(2, &AppendEntriesResponse::Conflict);
    let result = results.next().await.expect("a result").expect("answered");
    let expected = StreamAppendError::Conflict(log_id(Term(1), 3));
    assert_eq!(result, Err(expected));
    assert!(
        results.next().await.is_none(),
        "what follows does not count"
    );
}

#[tokio::test]
async fn whoever_says_that_nothing_does_not_match_is_not_believed() {
    let slow = Arc::new(Slow::default());
    let mut network = Network {
        group: SHARD,
        transport: Arc::clone(&slow) as Arc<dyn Transport>,
    };
    let mut way = network.new_client(2, &BasicNode::new("two")).await;
    let first = AppendEntriesRequest {
        prev_log_id: None,
        ..request(1)
    };
    let option = RPCOption::new(Duration::from_secs(1));
    let results = way.stream_append(stream::iter([first]), option).await;
    let mut results = results.expect("it begins");
    assert!(results.next().now_or_never().is_none());
    slow.answer(0, &AppendEntriesResponse::Conflict);
    assert!(results.next().await.expect("a result").is_err());
}
