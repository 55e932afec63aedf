//! The configuration of a broker: `robustmq.toml`, environment and command line to one typed value.
//!
//! **Invariants**
//! 1. A broker without any source runs: every key has a default.
//! 2. Later sources win: defaults < file < environment < `--set`.
//! 3. An unknown key or a bad value in any source is an error, also where a later source overrides it, and
//!    all errors are reported together.
//! 4. One declaration per key ([`section!`](schema)) drives parsing, defaults, reference and sample.
//!
//! **Not here**: changing values at run time.

mod api;
mod cluster;
mod error;
mod file;
mod listeners;
mod literal;
mod load;
mod policy;
mod reference;
mod rules;
mod schema;
mod sections;
mod setting;
mod suggest;
mod tables;
mod template;
mod validate;

#[cfg(test)]
mod tests;

pub use api::{Api, ApiKey, LOCAL_KEY, Role};
pub use cluster::{Cluster, Places};
pub use error::{ConfigError, ConfigErrors, Origin};
pub use listeners::{
    CertificateName, ClientCertificate, HttpListener, ListenerLimits, Listeners, QuicListener,
    TcpListener, TlsKeys, TlsListener, TlsVersion, WsListener, WssListener,
};
pub use literal::{ByteSize, LiteralError, TimeSpan};
pub use load::{ENVIRONMENT_PREFIX, LoadOptions};
pub use policy::{Retain, Retention, StoragePolicy};
pub use reference::{SectionDoc, reference_markdown, sample_toml, sections};
pub use rules::{
    AUTO_SUBSCRIPTIONS_MAX, AutoSubscribe, CompiledRewrite, REWRITES_MAX, RewriteAction,
    RewriteRule, RuleFault,
};
pub use schema::KeyDoc;
pub use sections::{
    Anonymous, Auth, Compression, Delayed, Durability, Engine, Limits, Log, LogFormat, LogLevel,
    Mqtt, Node, SharedStrategy, SharedSubscriptions, Storage,
};
pub use template::{Piece, Template};

/// Name of the listener that exists when no source configures any.
pub const DEFAULT_LISTENER: &str = "default";

/// Everything that can be configured, checked and complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[node]`
    pub node: Node,
    /// `[listeners]`
    pub listeners: Listeners,
    /// `[auth]`
    pub auth: Auth,
    /// `[api]`
    pub api: Api,
    /// `[mqtt]`
    pub mqtt: Mqtt,
    /// `[delayed]`
    pub delayed: Delayed,
    /// `[shared_subscription]`
    pub shared_subscription: SharedSubscriptions,
    /// `[limits]`
    pub limits: Limits,
    /// `[storage]`
    pub storage: Storage,
    /// `[cluster]`
    pub cluster: Cluster,
    /// `[log]`
    pub log: Log,
}

impl Default for Config {
    /// What a broker without any source runs on; passes every check.
    fn default() -> Self {
        let mut config = Config::without_listeners();
        config.listeners.add_defaults();
        config
    }
}

impl Config {
    /// The defaults of all sections whose tables have fixed names.
    fn without_listeners() -> Self {
        Config {
            node: Node::default(),
            listeners: Listeners::default(),
            auth: Auth::default(),
            api: Api::default(),
            mqtt: Mqtt::default(),
            delayed: Delayed::default(),
            shared_subscription: SharedSubscriptions::default(),
            limits: Limits::default(),
            storage: Storage::default(),
            cluster: Cluster::default(),
            log: Log::default(),
        }
    }

    /// Reads all sources.
    ///
    /// # Errors
    /// All problems of all sources at once, each with its place, the key, the value and the remedy.
    pub fn load(options: LoadOptions) -> Result<Config, ConfigErrors> {
        load::load(options)
    }
}
