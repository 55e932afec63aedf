//! The scenarios as plans.

use robustmq_protocol::QoS;

use crate::block::Template;
use crate::error::BenchError;
use crate::options::{Load, Options, Scenario};
use crate::plan::{ConnectionPlan, Extent, Plan, PublishPlan, Settings, SubscribePlan};
use crate::run::{Outcome, run};

/// Messages of `offline` and `retained` unless told otherwise.
const STORED_DEFAULT: u64 = 100_000;

/// Makes plans for the topics of one run of this program.
struct Planner<'a> {
    load: &'a Load,
    settings: &'a Settings,
    /// Nobody else's topics and client identifiers begin with it.
    root: String,
}

/// Runs a scenario; one outcome per part of it.
pub(crate) fn perform(options: &Options) -> Result<Vec<Outcome>, BenchError> {
    let settings = options.load.settings()?;
    let planner = Planner {
        load: &options.load,
        settings: &settings,
        root: format!("bench-{}", std::process::id()),
    };
    // Flows are counted in 32 bits.
    let most = [options.load.topics, options.scenario.publishers_max()];
    if most[0].checked_mul(most[1]).is_none() {
        let message = "too many topics: lower --topics or the number of publishers";
        return Err(BenchError::Options(message.to_owned()));
    }
    let one = |plan: Plan| Ok(vec![run(&settings, plan)?]);
    match options.scenario {
        Scenario::FanIn {
            publishers,
            subscribers,
        }
        | Scenario::FanOut {
            publishers,
            subscribers,
        } => one(planner.everything(publishers, subscribers)),
        Scenario::Pairs { pairs } => one(planner.pairs(pairs)),
        Scenario::Offline {
            publishers,
            subscribers,
        } => planner.offline(publishers, subscribers),
        Scenario::Retained {
            publishers,
            subscribers,
            keep,
        } => planner.retained(publishers, subscribers, keep),
        Scenario::Connect { connections } => one(planner.connect(connections)),
        Scenario::Idle {
            connections,
            subscribe,
        } => one(planner.idle(connections, subscribe)),
        Scenario::Mixed { pairs } => one(planner.mixed(pairs)),
    }
}

impl Planner<'_> {
    fn connection(&self, kind: &str, number: u32) -> ConnectionPlan {
        ConnectionPlan {
            client_id: format!("{}-{kind}{number}", self.root),
            is_clean: true,
            publish: None,
            subscribe: None,
            hangs_up: false,
        }
    }

    fn publisher(&self, number: u32, publishers: u32, audience: u64) -> ConnectionPlan {
        let load = self.load;
        let publishers_count = u64::from(publishers);
        // What does not divide evenly goes to the first of them.
        let share = |all: u64| {
            all / publishers_count + u64::from(u64::from(number) < all % publishers_count)
        };
        ConnectionPlan {
            publish: Some(PublishPlan {
                template: Template {
                    version: self.settings.version,
                    qos: load.qos(),
                    retain: false,
                    topic: format!("{}/{number}", self.root),
                    topics: load.topics,
                    payload_bytes: load.payload as usize,
                },
                flow_start: number * load.topics,
                messages_max: load.messages.map_or(u64::MAX, share),
                audience,
            }),
            ..self.connection("p", number)
        }
    }

    /// A subscriber of all publishers, or of one.
    fn subscriber(&self, number: u32, of: Option<u32>, publishers: u32) -> ConnectionPlan {
        let topics = self.load.topics;
        let (filter, flow_start, flows) = match of {
            None => (format!("{}/#", self.root), 0, publishers * topics),
            Some(one) => (format!("{}/{one}/#", self.root), one * topics, topics),
        };
        ConnectionPlan {
            subscribe: Some(SubscribePlan {
                filter: Some(filter),
                qos: self.load.qos(),
                flow_start,
                flows,
            }),
            ..self.connection("s", number)
        }
    }

    fn plan(&self, name: &'static str, connections: Vec<ConnectionPlan>) -> Plan {
        Plan {
            name,
            connections,
            extent: self.load.extent(),
            expected: 0,
            hold_ns: 0,
        }
    }

    /// Without publishing.
    fn quiet(&self, name: &'static str, connections: Vec<ConnectionPlan>) -> Plan {
        Plan {
            extent: Extent::Nothing,
            ..self.plan(name, connections)
        }
    }

    fn everything(&self, publishers: u32, subscribers: u32) -> Plan {
        let all = (0..subscribers).map(|number| self.subscriber(number, None, publishers));
        let audience = u64::from(subscribers);
        let from = (0..publishers).map(|number| self.publisher(number, publishers, audience));
        self.plan("run", all.chain(from).collect())
    }

    fn pairs(&self, pairs: u32) -> Plan {
        let of_one = (0..pairs).map(|number| self.subscriber(number, Some(number), pairs));
        let from = (0..pairs).map(|number| self.publisher(number, pairs, 1));
        self.plan("run", of_one.chain(from).collect())
    }

    fn mixed(&self, pairs: u32) -> Plan {
        let mut plan = self.pairs(pairs);
        for connection in &mut plan.connections {
            if let Some(publish) = &mut connection.publish {
                let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
                let number = publish.flow_start / self.load.topics;
                publish.template.qos = levels[number as usize % levels.len()];
                publish.audience = 2;
            }
            if let Some(subscribe) = &mut connection.subscribe {
                subscribe.qos = QoS::ExactlyOnce;
            }
        }
        let mut all = self.subscriber(pairs, None, pairs);
        if let Some(subscribe) = &mut all.subscribe {
            subscribe.qos = QoS::ExactlyOnce;
        }
        plan.connections.insert(0, all);
        plan
    }

    fn offline(&self, publishers: u32, subscribers: u32) -> Result<Vec<Outcome>, BenchError> {
        let messages = self.load.messages.unwrap_or(STORED_DEFAULT);
        let load = self.load.with_messages(messages);
        let planner = Planner {
            load: &load,
            settings: self.settings,
            root: self.root.clone(),
        };
        let away = (0..subscribers).map(|number| ConnectionPlan {
            is_clean: false,
            hangs_up: true,
            ..planner.subscriber(number, None, publishers)
        });
        let away: Vec<_> = away.collect();
        run(self.settings, planner.quiet("subscribe", away.clone()))?;
        let from = (0..publishers).map(|number| planner.publisher(number, publishers, 0));
        let store = run(self.settings, planner.plan("store", from.collect()))?;
        let back = away.iter().cloned().map(|plan| ConnectionPlan {
            hangs_up: false,
            subscribe: plan.subscribe.map(|subscribe| SubscribePlan {
                filter: None,
                ..subscribe
            }),
            ..plan
        });
        let drain = Plan {
            expected: store.tally.sent * u64::from(subscribers),
            ..planner.quiet("drain", back.collect())
        };
        let drain = run(self.settings, drain)?;
        // A clean start ends the sessions.
        let end = away.into_iter().map(|plan| ConnectionPlan {
            is_clean: true,
            subscribe: None,
            ..plan
        });
        run(self.settings, planner.quiet("end", end.collect()))?;
        Ok(vec![store, drain])
    }

    fn retained(
        &self,
        publishers: u32,
        subscribers: u32,
        keep: bool,
    ) -> Result<Vec<Outcome>, BenchError> {
        let messages = self.load.messages.unwrap_or(STORED_DEFAULT);
        let publishers = publishers.max(1);
        let topics = messages.div_ceil(u64::from(publishers));
        let mut load = self.load.with_messages(messages);
        load.topics = u32::try_from(topics)
            .ok()
            .filter(|topics| topics.checked_mul(publishers).is_some())
            .ok_or_else(|| BenchError::Options("--messages: too many topics".to_owned()))?;
        let planner = Planner {
            load: &load,
            settings: self.settings,
            root: self.root.clone(),
        };
        let publish = |is_empty: bool| {
            let from = (0..publishers).map(|number| {
                let mut plan = planner.publisher(number, publishers, 0);
                if let Some(publish) = &mut plan.publish {
                    publish.template.retain = true;
                    if is_empty {
                        publish.template.payload_bytes = 0;
                    }
                }
                plan
            });
            from.collect::<Vec<_>>()
        };
        let set = run(self.settings, planner.plan("set", publish(false)))?;
        let to = (0..subscribers).map(|number| planner.subscriber(number, None, publishers));
        let fetch = Plan {
            expected: set.tally.sent * u64::from(subscribers),
            ..planner.quiet("fetch", to.collect())
        };
        let fetch = run(self.settings, fetch)?;
        if !keep {
            run(self.settings, planner.plan("clear", publish(true)))?;
        }
        Ok(vec![set, fetch])
    }

    fn connect(&self, connections: u32) -> Plan {
        let plans = (0..connections).map(|number| ConnectionPlan {
            hangs_up: true,
            ..self.connection("c", number)
        });
        self.quiet("connect", plans.collect())
    }

    fn idle(&self, connections: u32, subscribe: bool) -> Plan {
        let plans = (0..connections).map(|number| match subscribe {
            true => self.subscriber(number, Some(number), connections),
            false => self.connection("c", number),
        });
        Plan {
            hold_ns: self.load.duration_ns(),
            ..self.quiet("idle", plans.collect())
        }
    }
}
