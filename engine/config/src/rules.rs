//! Rules about topics that are lists of tables: `[[mqtt.rewrite]]` and `[[mqtt.auto_subscribe]]`.
//!
//! The broker checks rules that are made at run time by the same functions.

use regex::{Regex, RegexBuilder};

use crate::policy::is_filter;
use crate::schema::{choice, section};
use crate::setting::{Fault, Literal, invalid};
use crate::tables::ListedSection;
use crate::template::{Piece, Template};

/// Most rules for rewriting topics, those made at run time included: each is tried on every name.
pub const REWRITES_MAX: usize = 100;

/// Most automatic subscriptions, those made at run time included.
pub const AUTO_SUBSCRIPTIONS_MAX: usize = 20;

/// Longest pattern of a rule in bytes.
const PATTERN_BYTES_MAX: usize = 1_024;

/// Bytes of memory that one compiled pattern may take.
const PATTERN_SIZE_MAX: usize = 1 << 20;

/// Longest topic a rule may be about.
const TOPIC_BYTES_MAX: usize = 65_535;

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFault {
    /// Which part of it.
    pub key: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

fn fault<T>(
    key: &'static str,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Result<T, RuleFault> {
    Err(RuleFault {
        key,
        problem: problem.into(),
        remedy: remedy.into(),
    })
}

choice! {
    /// What names a rule for rewriting is about.
    pub enum RewriteAction {
        /// Names that clients publish to.
        Publish = "publish",
        /// Filters that clients subscribe to and unsubscribe from.
        Subscribe = "subscribe",
        /// Both.
        All = "all",
    }
}

section! {
    /// A rule that gives topics of clients other names. Of several rules whose filter matches, the last one decides.
    pub struct RewriteRule {
        /// Which names it is about.
        action: RewriteAction = RewriteAction::All;
        /// Topic filter of the names it is about. Required.
        source_topic: String = String::new();
        /// What they become: `$1` to `$N` are what the groups of `re` matched, `${clientid}` and `${username}`
        /// the client. Required.
        dest_topic: String = String::new();
        /// Regular expression that a name must match besides. Required.
        re: String = String::new();
    }
}

/// A rule ready for use.
#[derive(Debug, Clone)]
pub struct CompiledRewrite {
    /// What a name must match besides the filter.
    pub pattern: Regex,
    /// What it becomes.
    pub dest: Template,
}

impl RewriteRule {
    /// Checks the rule and makes it ready for use.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(&self) -> Result<CompiledRewrite, RuleFault> {
        if self.source_topic.is_empty() || !is_filter(&self.source_topic) {
            return fault("source_topic", "not a topic filter", FILTER_REMEDY);
        }
        if self.re.len() > PATTERN_BYTES_MAX {
            let problem = format!("longer than {PATTERN_BYTES_MAX} bytes");
            return fault("re", problem, "give a shorter pattern");
        }
        let pattern = RegexBuilder::new(&self.re)
            .size_limit(PATTERN_SIZE_MAX)
            .dfa_size_limit(PATTERN_SIZE_MAX)
            .build();
        let pattern = match pattern {
            Ok(pattern) => pattern,
            Err(error) => {
                // The last line says what is wrong, those before it show where.
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim().to_owned();
                let remedy =
                    "write it as the regex crate for Rust understands it: re = \"^x/(.+)$\"";
                return fault("re", format!("not a regular expression: {reason}"), remedy);
            }
        };
        let dest = Template::parse(&self.dest_topic);
        let dest = match dest {
            Ok(dest) => dest,
            Err(unknown) => {
                let problem = format!("`{unknown}` is no placeholder");
                return fault(
                    "dest_topic",
                    problem,
                    "use $1 to $N, ${clientid}, ${username}",
                );
            }
        };
        if self.dest_topic.is_empty() || self.dest_topic.len() > TOPIC_BYTES_MAX {
            return fault("dest_topic", "not a topic", "say what the names become");
        }
        let groups = pattern.captures_len() - 1;
        for piece in dest.pieces() {
            match piece {
                Piece::Group(number) if *number == 0 || *number > groups => {
                    let problem = format!("there is no ${number}: `re` has {groups} groups");
                    let remedy =
                        "put what is to be taken over in parentheses in `re`; the first is $1";
                    return fault("dest_topic", problem, remedy);
                }
                Piece::Host => {
                    let problem = "`${host}` is no placeholder here";
                    return fault(
                        "dest_topic",
                        problem,
                        "use $1 to $N, ${clientid}, ${username}",
                    );
                }
                _ => {}
            }
        }
        Ok(CompiledRewrite { pattern, dest })
    }
}

const FILTER_REMEDY: &str =
    "`+` stands for one whole level, `#` only for the rest at the end: a/+/b, a/#";

impl ListedSection for RewriteRule {
    const PATH: &'static str = "mqtt.rewrite";
    const EXAMPLE: &'static str =
        "{ action = \"all\", source_topic = \"x/#\", dest_topic = \"y/$1\", re = \"^x/(.+)$\" }";
    const REQUIRED: &'static [(&'static str, &'static str)] = &[
        (
            "source_topic",
            "say which names it is about: source_topic = \"x/#\"",
        ),
        ("dest_topic", "say what they become: dest_topic = \"y/$1\""),
        ("re", "give the pattern they must match: re = \"^x/(.+)$\""),
    ];

    fn check(&self, key: &str, literal: &Literal) -> Result<(), Vec<Fault>> {
        match key {
            "source_topic" if !is_filter(&self.source_topic) => {
                Err(invalid(literal, "not a topic filter", FILTER_REMEDY))
            }
            _ => Ok(()),
        }
    }
}

section! {
    /// A subscription that every client gets when it connects.
    pub struct AutoSubscribe {
        /// Topic filter; `${clientid}`, `${username}` and `${host}` are the client's. Required.
        topic: String = String::new();
        /// Highest QoS of what is delivered.
        qos: u8 = 0, range 0..=2;
        /// True keeps a client's own messages from it.
        no_local: bool = false;
        /// True keeps the RETAIN flag as it was published.
        retain_as_published: bool = false;
        /// When retained messages are sent: 0 at every connect, 1 if the subscription is new, 2 never.
        retain_handling: u8 = 0, range 0..=2;
    }
}

impl AutoSubscribe {
    /// Checks the subscription and makes its topic ready for use.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(&self) -> Result<Template, RuleFault> {
        let template = match Template::parse(&self.topic) {
            Ok(template) => template,
            Err(unknown) => {
                let problem = format!("`{unknown}` is no placeholder");
                return fault("topic", problem, "use ${clientid}, ${username}, ${host}");
            }
        };
        if template
            .pieces()
            .iter()
            .any(|piece| matches!(piece, Piece::Group(_)))
        {
            let remedy = "use ${clientid}, ${username}, ${host}";
            return fault(
                "topic",
                "there is no pattern that $1 could come from",
                remedy,
            );
        }
        let filled = template.fill(|_| Some("x"));
        let (is_shared, filter) = match filled.strip_prefix("$share/") {
            Some(shared) => (
                true,
                shared.split_once('/').map_or("", |(_, filter)| filter),
            ),
            None => (false, &*filled),
        };
        if filter.is_empty() || !is_filter(filter) {
            return fault("topic", "not a topic filter", FILTER_REMEDY);
        }
        if is_shared && self.no_local {
            let remedy = "set no_local = false";
            return fault("no_local", "shared subscriptions cannot have it", remedy);
        }
        Ok(template)
    }
}

impl ListedSection for AutoSubscribe {
    const PATH: &'static str = "mqtt.auto_subscribe";
    const EXAMPLE: &'static str = "{ topic = \"clients/${clientid}/inbox\", qos = 1 }";
    const REQUIRED: &'static [(&'static str, &'static str)] = &[(
        "topic",
        "say what clients are subscribed to: topic = \"clients/${clientid}/inbox\"",
    )];

    fn check(&self, _: &str, _: &Literal) -> Result<(), Vec<Fault>> {
        Ok(())
    }
}
