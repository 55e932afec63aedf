//! Every key of `robustmq.toml` with its default.
//!
//! **Invariants**
//! 1. A key stands here only when something reads it (`cargo xtask check` looks for the reader).
//!
//! **Not here**: listeners ([`crate::listeners`]), checks over several keys ([`crate::validate`]).

use std::path::PathBuf;

use crate::literal::{ByteSize, TimeSpan};
use crate::policy::StoragePolicy;
use crate::rules::{AutoSubscribe, RewriteRule};
use crate::schema::{choice, section};

section! {
    /// Who this node is and where it keeps its data.
    pub struct Node {
        /// Number of this node, written into every frame of its log.
        id: u64 = 1, range 1..=4_294_967_295;
        /// Name of this node as people see it.
        name: String = "robustmq@127.0.0.1".to_owned();
        /// Directory for log and views; created at start if it is missing.
        data_dir: PathBuf = PathBuf::from("./data");
    }
}

choice! {
    /// From where clients without credentials may connect.
    pub enum Anonymous {
        /// Only from this machine; listeners must be bound to loopback addresses.
        Loopback = "loopback",
        /// From everywhere: any client that reaches a listener may publish and subscribe.
        Everywhere = "everywhere",
    }
}

section! {
    /// Who may connect. This version has no authenticators yet.
    pub struct Auth {
        /// Where anonymous clients may come from. `everywhere` opens the broker to every client that
        /// reaches a listener.
        anonymous: Anonymous = Anonymous::Loopback;
    }
}

section! {
    /// What the broker grants MQTT clients.
    pub struct Mqtt {
        /// Largest packet in either direction, fixed header included.
        max_packet_size: ByteSize = ByteSize::from_mb(1), range ByteSize::from_bytes(128)..=ByteSize::from_mb(256);
        /// Most levels of a topic name or filter.
        max_topic_levels: u16 = 128, range 1..=65_535;
        /// Topic aliases a client may use towards the broker; 0 switches them off.
        max_topic_alias: u16 = 65_535;
        /// Highest QoS granted.
        max_qos: u8 = 2, range 0..=2;
        /// False refuses retained messages.
        retain_available: bool = true;
        /// How long sessions of MQTT 3 clients with clean session 0 outlive their connection.
        session_expiry: Option<TimeSpan> = Some(TimeSpan::from_secs(2 * 3600)), none "infinity";
        /// Longest session expiry an MQTT 5 client gets.
        max_session_expiry: Option<TimeSpan> = None, none "infinity";
        /// Expiry of messages whose publisher names none.
        message_expiry: Option<TimeSpan> = None, none "none";
        /// QoS 1 and 2 messages on their way to a client that names no Receive Maximum.
        max_inflight: u16 = 32, range 1..=65_535;
        /// Receive Maximum announced to clients: QoS 1 and 2 publishes they may have unacknowledged.
        receive_maximum: u16 = 1024, range 1..=65_535;
        /// A client is gone after its keep alive times this without a packet.
        keepalive_multiplier: f64 = 1.5, range 1.0..=10.0;
        /// Keep alive the broker dictates to MQTT 5 clients, in whole seconds; `client` leaves theirs.
        server_keepalive: Option<TimeSpan> = None,
            range TimeSpan::from_secs(1)..=TimeSpan::from_secs(65_535), none "client";
        /// QoS 2 publishes of a session that may wait for their PUBREL; MQTT 5 clients may use their Receive
        /// Maximum in any case.
        max_await_rel: u16 = 100, range 1..=65_535;
        /// Time from the connection to the end of its CONNECT packet.
        idle_timeout: TimeSpan = TimeSpan::from_secs(15), range TimeSpan::from_millis(100)..=TimeSpan::from_secs(3600);
        /// PUBACK and PUBREC to MQTT 5 clients carry the record's offset as user property `x-offset`.
        receipt: bool = true;
        /// Longest client identifier, in bytes.
        max_client_id_len: u16 = 65_535, range 23..=65_535;
        /// Most subscriptions of one session.
        max_subscriptions: u32 = 100_000, range 1..=10_000_000;
        /// False refuses exclusive subscriptions, `$exclusive/{topic}` (0x8F).
        exclusive_subscription: bool = true;
        /// Rules that give topics other names, as `[[mqtt.rewrite]]` tables.
        rewrite: Vec<RewriteRule> = Vec::new();
        /// Subscriptions that every client gets when it connects, as `[[mqtt.auto_subscribe]]` tables.
        auto_subscribe: Vec<AutoSubscribe> = Vec::new();
    }
}

section! {
    /// Delayed publishing: `$delayed/{seconds}/{topic}`.
    pub struct Delayed {
        /// False refuses publishes to `$delayed/…`; what waits is published all the same.
        enable: bool = true;
        /// Most messages that wait for their time; 0 for no limit but the disk.
        max_delayed_messages: u32 = 0;
    }
}

choice! {
    /// Who of a group gets a message.
    pub enum SharedStrategy {
        /// One after the other.
        RoundRobin = "round_robin",
        /// Anybody.
        Random = "random",
        /// The same member as long as it is there.
        Sticky = "sticky",
        /// By the publisher's client identifier.
        HashClientid = "hash_clientid",
        /// By the topic name.
        HashTopic = "hash_topic",
        /// Anybody on the node that serves the group.
        Local = "local",
        /// Whoever has the fewest messages not acknowledged.
        LeastInflight = "least_inflight",
    }
}

section! {
    /// Shared subscriptions: `$share/{group}/{filter}` and `$queue/{filter}`.
    pub struct SharedSubscriptions {
        /// False refuses them (0x9E).
        enable: bool = true;
        /// Who of a group gets a message. Groups may be given a strategy of their own at run time.
        strategy: SharedStrategy = SharedStrategy::RoundRobin;
    }
}

section! {
    /// Bounds of memory. A full queue pushes back on the socket that feeds it; nothing is dropped.
    pub struct Limits {
        /// Most connections over all listeners. The default leaves 2 000 of 20 000 open files to the log
        /// and the views.
        connections_max: u32 = 18_000, range 1..=10_000_000;
        /// Largest CONNECT, fixed header included, as far as `mqtt.max_packet_size` allows it: what a client
        /// may have the broker hold before it is known. WebSocket messages before CONNECT are bounded by it too.
        connect_bytes_max: ByteSize = ByteSize::from_kb(512), range ByteSize::from_bytes(128)..=ByteSize::from_mb(256);
        /// Bytes of publishes that wait for the log, per shard.
        mailbox_bytes_max: ByteSize = ByteSize::from_mb(8), range ByteSize::from_kb(64)..=ByteSize::from_mb(1024);
        /// Messages in memory for one session before it lags and reads from the log instead.
        session_queue_messages_max: u32 = 1_000, range 1..=1_000_000;
        /// Bytes in memory for one session before it lags and reads from the log instead.
        session_queue_bytes_max: ByteSize = ByteSize::from_mb(1), range ByteSize::from_kb(4)..=ByteSize::from_mb(1024);
        /// Bytes written towards one connection that its socket has not taken yet.
        write_buffer_bytes_max: ByteSize = ByteSize::from_kb(64), range ByteSize::from_kb(4)..=ByteSize::from_mb(256);
        /// Most named cursors. They stay until they are deleted.
        cursors_max: u32 = 10_000, range 1..=1_000_000;
        /// Publishes of one connection that may wait for the log before its socket is no longer read.
        pending_acks_max: u32 = 4_096, range 1..=65_535;
    }
}

choice! {
    /// Where records are stored.
    pub enum Engine {
        /// In the segment log under `node.data_dir`.
        Segment = "segment",
    }
    later "memory", "rocksdb", "mysql", "s3";
}

choice! {
    /// What a publish must have survived before its acknowledgement.
    pub enum Durability {
        /// Synced on a majority of the nodes; on a single node synced to its disk.
        Quorum = "quorum",
        /// Synced to the leader's disk.
        Leader = "leader",
    }
    later "interval", "none";
}

choice! {
    /// How batches are compressed on disk.
    pub enum Compression {
        /// Not at all.
        None = "none",
        /// Fast.
        Lz4 = "lz4",
        /// Smaller, slower.
        Zstd = "zstd",
    }
}

section! {
    /// The log.
    pub struct Storage {
        /// Where records are stored.
        engine: Engine = Engine::Segment;
        /// What a publish has survived before its PUBACK or PUBREC: `quorum` = synced on a majority of the
        /// nodes, `leader` = synced on one. On a single node both mean: synced to its disk.
        durability: Durability = Durability::Quorum;
        /// Size of a segment file.
        segment_size: ByteSize = ByteSize::from_mb(64), range ByteSize::from_mb(1)..=ByteSize::from_mb(1024);
        /// Recent batches kept in memory for all readers together.
        tail_cache_size: ByteSize = ByteSize::from_mb(64), range ByteSize::from_mb(1)..=ByteSize::from_mb(65_536);
        /// Compression of batches of 4KB and more; smaller ones are stored as they are.
        compression: Compression = Compression::Lz4;
        /// Number of totally ordered logs that topics are spread over. It belongs to the data directory:
        /// a directory made with another number cannot be opened.
        shards: u32 = 8, range 1..=64;
        /// How long records are kept at least; they go with their whole segment, within a quarter of that
        /// time. A week outlives a long weekend of a consumer, and a broker on defaults does not fill its
        /// disk for ever.
        retention_time: Option<TimeSpan> = Some(TimeSpan::from_secs(7 * 86_400)),
            range TimeSpan::from_secs(1)..=TimeSpan::from_secs(36_500 * 86_400), none "unlimited";
        /// How many bytes of records are kept.
        retention_bytes: Option<ByteSize> = None, none "unlimited";
        /// How many records are kept.
        retention_messages: Option<u64> = None, none "unlimited";
        /// How often segments are examined for removal.
        retention_check_interval: TimeSpan = TimeSpan::from_secs(60), range TimeSpan::from_millis(100)..=TimeSpan::from_secs(86_400);
        /// How often positions of sessions are stored. A crash repeats at most what was acknowledged since.
        cursor_flush_interval: TimeSpan = TimeSpan::from_secs(2), range TimeSpan::from_millis(10)..=TimeSpan::from_secs(3600);
        /// Retention per topic filter, as `[[storage.policy]]` tables; the first filter that matches a
        /// topic decides, the keys above hold for all other topics.
        policy: Vec<StoragePolicy> = Vec::new();
    }
}

choice! {
    /// How much is logged.
    pub enum LogLevel {
        /// A human must act.
        Error = "error",
        /// Unexpected, but the broker went on.
        Warn = "warn",
        /// What happens to the broker and its clients.
        Info = "info",
        /// For looking for a cause.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choice! {
    /// How a log line looks.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

section! {
    /// The broker's own log lines, on standard error.
    pub struct Log {
        /// Least important level that is written.
        level: LogLevel = LogLevel::Info;
        /// Shape of a line.
        format: LogFormat = LogFormat::Text;
    }
}
