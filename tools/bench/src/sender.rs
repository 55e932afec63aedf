//! The publishing side of a connection.

use robustmq_protocol::QoS;
use robustmq_protocol::codec::EncodeError;

use crate::block::{BLOCK_BYTES, Block};
use crate::plan::{PublishPlan, Settings};
use crate::window::Window;
use crate::wire::Stamp;

/// Memory of the blocks of all publishers together.
const BLOCKS_BYTES_MAX: usize = 32 << 20;

/// When messages are to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) start_ns: u64,
    pub(crate) period_ns: f64,
}

impl Pace {
    fn due_ns(&self, number: u64) -> u64 {
        self.start_ns + (number as f64 * self.period_ns) as u64
    }
}

/// Why no more messages were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The block is full: when it is written, there is more.
    Full,
    /// An acknowledgement must come first.
    Window,
    /// The next message is due then.
    NotDue(u64),
    /// Everything was sent.
    End,
}

pub(crate) struct Sender {
    pub(crate) block: Block,
    /// None with QoS 0.
    pub(crate) window: Option<Window>,
    pub(crate) is_qos2: bool,
    flow_start: u32,
    topics: u32,
    pub(crate) sent: u64,
    messages_max: u64,
    pub(crate) audience: u64,
    /// Waits in the worker's list of what is due.
    pub(crate) is_scheduled: bool,
    /// Everything was sent.
    pub(crate) is_at_end: bool,
    /// It has been noted that nothing is left to do.
    pub(crate) is_counted_done: bool,
    pub(crate) pace: Option<Pace>,
}

impl Sender {
    pub(crate) fn new(
        settings: &Settings,
        plan: &PublishPlan,
        publishers: usize,
    ) -> Result<Self, EncodeError> {
        let template = &plan.template;
        let has_window = template.qos > QoS::AtMostOnce;
        let bytes_max = (BLOCKS_BYTES_MAX / publishers.max(1)).min(BLOCK_BYTES);
        let mut packets_max = bytes_max / template.payload_bytes.max(Stamp::LEN);
        if has_window {
            packets_max = packets_max.min(usize::from(settings.window));
        }
        Ok(Self {
            block: Block::new(template, packets_max, u64::from(plan.flow_start) * 77 + 1)?,
            window: has_window.then(|| Window::new(settings.window)),
            is_qos2: template.qos == QoS::ExactlyOnce,
            flow_start: plan.flow_start,
            topics: template.topics,
            sent: 0,
            messages_max: plan.messages_max,
            audience: plan.audience,
            is_scheduled: false,
            is_at_end: false,
            is_counted_done: false,
            pace: None,
        })
    }

    /// Adds what may be sent now.
    pub(crate) fn fill(&mut self, now_ns: u64, end_ns: u64) -> Stop {
        while !self.block.is_full() {
            let due_ns = self.pace.map_or(now_ns, |pace| pace.due_ns(self.sent));
            if self.sent >= self.messages_max || due_ns >= end_ns {
                self.is_at_end = true;
                return Stop::End;
            }
            if due_ns > now_ns {
                return Stop::NotDue(due_ns);
            }
            let id = match &mut self.window {
                None => 0,
                Some(window) => match window.open(due_ns) {
                    Some(id) => id,
                    None => return Stop::Window,
                },
            };
            let (topic, number) = match self.topics {
                1 => (0, self.sent),
                topics => {
                    let topics = u64::from(topics);
                    ((self.sent % topics) as u32, self.sent / topics)
                }
            };
            let stamp = Stamp {
                flow: self.flow_start + topic,
                number,
                sent_ns: due_ns,
            };
            self.block.push(stamp, id, topic);
            self.sent += 1;
        }
        Stop::Full
    }

    /// Nothing is left to be sent or to be acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.is_at_end
            && self.block.pending().is_empty()
            && self.window.as_ref().is_none_or(Window::is_empty)
    }
}
