//! From CONNECT to CONNACK: the terms, the ownership of the session, and what
//! an earlier connection left.
//!
//! Order matters: the session is read only once it is ours and everything its
//! owner before stored has been applied.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use robustmq_protocol::codec::{ConnAck, ConnAckProperties, Connect, Packet};
use robustmq_protocol::session::connect::{
    self, ConnectAccepted, ConnectRequest, SESSION_NEVER_EXPIRES, ServerLimits, WillSummary,
};
use robustmq_protocol::session::inbound::{Inbound, InboundLimits};
use robustmq_protocol::session::keepalive::Keepalive;
use robustmq_protocol::session::outbound::{Outbound, OutboundLimits};
use robustmq_protocol::{ProtocolVersion, QoS, ReasonCode};
use robustmq_record::ShardId;
use robustmq_views::{SessionState, StateBody, Will};

use super::cursors::CursorUses;
use super::deliver::{ClientLimits, Sender};
use super::replay::Replays;
use super::resume;
use super::rules;
use super::session::{Ending, Session, Tenure};
use super::wire;
use crate::broker::Broker;
use crate::cursors;
use crate::dispatch::append_failure_reason;
use crate::link::Link;
use crate::net::Identity;
use crate::positions::Positions;
use crate::registry::Ownership;
use crate::rules::rewrite::Who;
use crate::shard_map::DEFAULT_NAMESPACE;
use crate::subscriptions::Subscriptions;
use crate::timers;

/// Bytes of topic names one client's aliases may hold.
const TOPIC_ALIAS_BYTES_MAX: usize = 1 << 20;

/// Topic aliases used towards one client.
const TOPIC_ALIAS_OUT_MAX: u16 = 32;

/// A CONNECT kept beyond the input buffer.
pub(super) struct ConnectOwned {
    version: ProtocolVersion,
    client_id: String,
    user_name: Option<String>,
    /// Maximum Packet Size of the client, which holds for a refusal too.
    packet_size_max: u32,
    accepted: Result<ConnectAccepted, connect::Refusal>,
    will: Option<Will>,
}

/// A CONNECT that is not accepted.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) version: ProtocolVersion,
    pub(super) reason: ReasonCode,
    pub(super) text: &'static str,
    /// Largest packet the client takes, as far as it could say so.
    pub(super) packet_size_max: u32,
}

impl ConnectOwned {
    /// Of a client that is who its certificate says, as far as it says so.
    pub(super) fn new(broker: &Broker, packet: &Connect<'_>, identity: &Identity) -> Self {
        let packet = &Connect {
            client_id: identity.client_id.as_deref().unwrap_or(packet.client_id),
            user_name: identity.username.as_deref().or(packet.user_name),
            ..*packet
        };
        let request = request(packet);
        let accepted = connect::accept(&request, &server_limits(broker));
        let will = packet.will.as_ref().map(|will| {
            let mut properties = Vec::new();
            will.forwarded.write_to(&mut properties);
            Will {
                topic: will.topic.to_owned(),
                qos: will.qos as u8,
                retain: will.retain,
                delay_s: will.delay_s.unwrap_or(0),
                message_expiry_s: will.message_expiry.or(broker.message_expiry_s),
                properties,
                payload: will.payload.to_vec(),
            }
        });
        Self {
            version: packet.version,
            client_id: packet.client_id.to_owned(),
            user_name: packet.user_name.map(str::to_owned),
            packet_size_max: packet.properties.packet_size_max.unwrap_or(u32::MAX),
            accepted,
            will,
        }
    }

    fn refuse(&self, reason: ReasonCode, text: &'static str) -> Refused {
        Refused {
            version: self.version,
            reason,
            text,
            packet_size_max: self.packet_size_max,
        }
    }
}

fn request<'a>(packet: &Connect<'a>) -> ConnectRequest<'a> {
    let properties = &packet.properties;
    ConnectRequest {
        version: packet.version,
        clean_start: packet.clean_start,
        client_id: packet.client_id,
        keep_alive_s: packet.keep_alive_s,
        session_expiry_s: properties.session_expiry_s,
        receive_max: properties.receive_max,
        packet_size_max: properties.packet_size_max,
        topic_alias_max: properties.topic_alias_max,
        request_problem_info: properties.request_problem_information,
        request_response_info: properties.request_response_information,
        will: packet.will.as_ref().map(|will| WillSummary {
            qos: will.qos,
            retain: will.retain,
        }),
        has_username: packet.user_name.is_some(),
        has_password: packet.password.is_some(),
        auth_method: properties.authentication_method,
        has_auth_data: properties.authentication_data.is_some(),
    }
}

fn server_limits(broker: &Broker) -> ServerLimits {
    let mqtt = &broker.config.mqtt;
    let seconds = |span: Option<robustmq_config::TimeSpan>| {
        span.map_or(SESSION_NEVER_EXPIRES, |span| {
            u32::try_from(span.duration().as_secs()).unwrap_or(SESSION_NEVER_EXPIRES)
        })
    };
    ServerLimits {
        session_expiry_v3_s: seconds(mqtt.session_expiry),
        session_expiry_max_s: seconds(mqtt.max_session_expiry),
        keep_alive_max_s: mqtt.server_keepalive.map_or(0, |span| {
            u16::try_from(span.duration().as_secs()).unwrap_or(u16::MAX)
        }),
        inflight_default: mqtt.max_inflight,
        inflight_max: u16::MAX,
        receive_max: mqtt.receive_maximum,
        packet_size_max: broker.limits.packet_size_max,
        topic_alias_in_max: mqtt.max_topic_alias,
        topic_alias_out_max: TOPIC_ALIAS_OUT_MAX,
        qos_max: QoS::try_from(mqtt.max_qos).unwrap_or(QoS::ExactlyOnce),
        retain_available: mqtt.retain_available,
        client_id_bytes_max: usize::from(mqtt.max_client_id_len),
        auth_methods: Vec::new(),
    }
}

/// Opens the session and writes CONNACK.
pub(super) async fn open(
    broker: &Arc<Broker>,
    peer: SocketAddr,
    mut connect: ConnectOwned,
    output: &mut Vec<u8>,
) -> Result<Box<Session>, Refused> {
    let accepted = match &connect.accepted {
        Ok(accepted) => accepted.clone(),
        Err(refusal) => return Err(connect.refuse(refusal.reason, refusal.text)),
    };
    if !broker.admits_anonymous(peer) {
        let text = "anonymous clients only from loopback";
        return Err(connect.refuse(ReasonCode::NotAuthorized, text));
    }
    if cursors::cursor_name(&connect.client_id).is_some() {
        let text = "client identifiers that begin with $cursor/ are the broker's";
        return Err(connect.refuse(ReasonCode::ClientIdentifierNotValid, text));
    }
    let epoch = broker.next_epoch();
    let assigned = accepted
        .assign_client_id
        .then(|| format!("auto-{epoch:016x}"));
    let client_id = assigned.as_deref().unwrap_or(&connect.client_id);
    let who = Who {
        client_id,
        user_name: connect.user_name.as_deref(),
    };
    if let Some(will) = &mut connect.will
        && let Err(text) = rules::admit_will(broker, will, who)
    {
        return Err(connect.refuse(ReasonCode::TopicNameInvalid, text));
    }
    let client_id = assigned.as_deref().unwrap_or(&connect.client_id);
    let link = Arc::new(Link::new(client_id, broker.limits.link));
    let reason = ReasonCode::SessionTakenOver;
    let ownership = broker.registry.claim(&link, reason).await;
    if !broker.is_member() {
        // Openings need not be in the log, and come before those of any other node.
        link.note_opened();
    }
    let (tenure, before) = begin(broker, &connect, &accepted, client_id, epoch).await?;
    let version = connect.version;
    let user_name = connect.user_name.clone();
    let packet_size_max = connect.packet_size_max;
    let mut session = session(broker, connect, &accepted, tenure, link, ownership);
    let present = before.is_some();
    if let Some(state) = before {
        let text = "the session cannot be resumed";
        // Boxed: most clients bring no session back.
        Box::pin(resume::resume(&mut session, &state))
            .await
            .map_err(|reason| Refused {
                version,
                reason,
                text,
                packet_size_max,
            })?;
    }
    write_connack(&session, &accepted, present, assigned.as_deref(), output);
    if output.is_empty() {
        // It does not fit the client's Maximum Packet Size: nothing can be said.
        session.end(Ending::Lost);
    } else {
        session.auto_subscribe(peer).await;
    }
    tracing::debug!(client_id = session.client_id(), user_name, %peer, ?version, present, "client connected");
    Ok(session)
}

/// Writes the opening into the log where it must outlive the connection.
/// Returns the session to go on with, if there is one.
async fn begin(
    broker: &Arc<Broker>,
    connect: &ConnectOwned,
    accepted: &ConnectAccepted,
    client_id: &str,
    epoch: u64,
) -> Result<(Tenure, Option<SessionState>), Refused> {
    let unreadable =
        |()| connect.refuse(ReasonCode::ServerUnavailable, "the session cannot be read");
    if let Some(cluster) = broker.cluster().filter(|cluster| cluster.is_member()) {
        let shard = broker.shard_map.session(DEFAULT_NAMESPACE, client_id);
        if !cluster.catch_up(broker, vec![shard]).await {
            let reason = "the session's shard has no leader at present";
            return Err(connect.refuse(ReasonCode::ServerUnavailable, reason));
        }
    }
    let mut state = stored(broker, client_id).map_err(unreadable)?;
    if let (Some(cluster), Some(before)) = (broker.cluster(), &state)
        && cluster.is_owned_elsewhere(before)
    {
        cluster.release(broker, before).await;
        state = stored(broker, client_id).map_err(unreadable)?;
    }
    let now_ms = broker.clock.wall_ms();
    let alive = state.as_ref().filter(|state| !has_expired(state, now_ms));
    let present = connect::session_present(accepted.clean_start, alive.is_some());
    let mut tenure = Tenure {
        epoch,
        expiry_s: accepted.session_expiry_s,
        logged: false,
    };
    if let Some(state) = &state {
        if epoch <= state.epoch {
            tenure.epoch = broker.epoch_after(state.epoch);
        }
        if !present {
            end_before(broker, state).await;
            broker.registry.exclusive.release_all(&state.client_id);
        }
    }
    // Other nodes must hear of an opening: the same client may be connected there.
    let must_be_known = tenure.expiry_s > 0 || connect.will.is_some() || broker.is_member();
    if state.is_some() || must_be_known {
        let body = StateBody::SessionOpened {
            epoch: tenure.epoch,
            clean_start: !present,
            version: connect.version as u8,
            expiry_s: tenure.expiry_s,
            will: connect.will.clone(),
            at_ms: now_ms,
        };
        broker
            .append_state(client_id, &body)
            .await
            .map_err(|error| {
                connect.refuse(
                    append_failure_reason(&error),
                    "the session cannot be stored",
                )
            })?;
        tenure.logged = true;
    }
    Ok((tenure, state.filter(|_| present)))
}

/// A session with nothing in it yet.
fn session(
    broker: &Arc<Broker>,
    connect: ConnectOwned,
    accepted: &ConnectAccepted,
    tenure: Tenure,
    link: Arc<Link>,
    ownership: Ownership,
) -> Box<Session> {
    let mut keepalive = Keepalive::new(broker.clock.monotonic_ms(), 0);
    let multiplier = broker.config.mqtt.keepalive_multiplier;
    keepalive.connected(
        broker.clock.monotonic_ms(),
        accepted.keep_alive_s,
        multiplier,
    );
    Box::new(Session {
        broker: Arc::clone(broker),
        _ownership: ownership,
        version: connect.version,
        user_name: connect.user_name.map(String::into_boxed_str),
        problem_info: accepted.problem_info,
        tenure,
        inbound: Inbound::new(inbound_limits(broker, connect.version), Vec::new()),
        keepalive,
        sender: sender(connect.version, accepted, tenure.expiry_s > 0),
        subscriptions: Subscriptions::default(),
        subscriber: None,
        catch_up: None,
        retained: VecDeque::new(),
        replays: Replays::default(),
        cursors: CursorUses::default(),
        resend: HashMap::new(),
        assigned_end: Positions::default(),
        stalled: None,
        inbound_shards: HashMap::new(),
        unreleased: VecDeque::new(),
        unreceived: Vec::new(),
        receiving: VecDeque::new(),
        completed: Vec::new(),
        group: 0,
        cursor_dirty: false,
        refusal_texts: Vec::new(),
        ending: None,
        ordered_end: None,
        will: connect.will,
        link,
    })
}

fn stored(broker: &Broker, client_id: &str) -> Result<Option<SessionState>, ()> {
    broker.views.session(client_id).map_err(|error| {
        tracing::error!(client_id, %error, "a session could not be read");
    })
}

/// Whether an offline session's time is over, though its timer has not fired.
fn has_expired(state: &SessionState, now_ms: u64) -> bool {
    !state.connected
        && state.expiry_s != SESSION_NEVER_EXPIRES
        && state
            .closed_at_ms
            .saturating_add(u64::from(state.expiry_s) * 1000)
            <= now_ms
}

/// The session before ends here: its will is due [MQTT-3.1.3-9], dispatch
/// forgets its subscriptions, and its open QoS 2 identifiers are released.
async fn end_before(broker: &Arc<Broker>, state: &SessionState) {
    timers::publish_will(broker, state).await;
    broker.dispatch.forget(state.client_id.clone());
    let open = match broker.views.inbound_qos2(&state.client_id) {
        Ok(open) => open,
        Err(error) => {
            tracing::error!(client_id = state.client_id, %error, "open exchanges could not be read");
            return;
        }
    };
    for (packet_id, shard, _) in open {
        resume::release(broker, &state.client_id, packet_id, shard).await;
    }
}

fn inbound_limits(broker: &Broker, version: ProtocolVersion) -> InboundLimits {
    let mqtt = &broker.config.mqtt;
    let qos2_open_max = match version {
        // Receive Maximum is a promise: whoever keeps to it is not refused.
        ProtocolVersion::V5 => mqtt.max_await_rel.max(mqtt.receive_maximum),
        _ => mqtt.max_await_rel,
    };
    InboundLimits {
        version,
        receive_max: mqtt.receive_maximum,
        topic_alias_max: mqtt.max_topic_alias,
        topic_alias_bytes_max: TOPIC_ALIAS_BYTES_MAX,
        qos_max: QoS::try_from(mqtt.max_qos).unwrap_or(QoS::ExactlyOnce),
        retain_available: mqtt.retain_available,
        qos2_open_max: usize::from(qos2_open_max),
        pending_max: broker.config.limits.pending_acks_max as usize,
    }
}

/// The receiving half of a resumed session, which knows the QoS 2 identifiers
/// that are stored and not released.
pub(super) fn inbound(
    session: &Session,
    open: &[(robustmq_protocol::PacketId, ShardId)],
) -> Inbound {
    let limits = inbound_limits(&session.broker, session.version);
    Inbound::new(limits, open.iter().map(|(packet_id, _)| *packet_id))
}

fn sender(version: ProtocolVersion, accepted: &ConnectAccepted, persistent: bool) -> Sender {
    Sender {
        limits: ClientLimits {
            version,
            packet_size_max: accepted.packet_size_out_max,
        },
        outbound: Outbound::new(OutboundLimits {
            version,
            receive_max: accepted.window_max,
            window_max: accepted.window_max,
            topic_alias_max: accepted.topic_alias_out_max,
            packet_size_max: accepted.packet_size_out_max,
        }),
        persistent,
        unassigned: Vec::new(),
        assigning: VecDeque::new(),
    }
}

fn write_connack(
    session: &Session,
    accepted: &ConnectAccepted,
    session_present: bool,
    assigned: Option<&str>,
    output: &mut Vec<u8>,
) {
    let told = &accepted.connack;
    let response = accepted
        .response_info
        .then(|| format!("response/{}/", session.client_id()));
    let properties = if session.version == ProtocolVersion::V5 {
        ConnAckProperties {
            session_expiry_s: told.session_expiry_s,
            receive_max: told.receive_max,
            qos_max: told.qos_max,
            retain_available: told.retain_available,
            packet_size_max: told.packet_size_max,
            topic_alias_max: told.topic_alias_max,
            server_keep_alive_s: told.server_keep_alive_s,
            assigned_client_id: assigned,
            shared_subscription_available: Some(session.broker.config.shared_subscription.enable),
            response_information: response.as_deref(),
            ..ConnAckProperties::default()
        }
    } else {
        ConnAckProperties::default()
    };
    let packet = ConnAck {
        session_present,
        reason: ReasonCode::Success,
        properties,
    };
    session.write(output, &Packet::ConnAck(packet));
}

/// Writes the CONNACK of a refusal, where the version has one for it.
pub(super) fn write_refusal(refused: &Refused, output: &mut Vec<u8>) {
    let is_v5 = refused.version == ProtocolVersion::V5;
    if !is_v5 && connect::return_code_v3(refused.reason).is_none() {
        return;
    }
    let properties = ConnAckProperties {
        reason_string: is_v5.then_some(refused.text),
        ..ConnAckProperties::default()
    };
    let packet = ConnAck {
        session_present: false,
        reason: refused.reason,
        properties,
    };
    // [MQTT-3.2.2-19] the text is left out where it would be too long.
    wire::write(
        output,
        refused.version,
        &Packet::ConnAck(packet),
        refused.packet_size_max,
    );
}
