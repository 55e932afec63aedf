//! Topic rewrite: what names of clients become.
//!
//! Of the rules whose filter matches a name the last one decides, and if its
//! pattern does not match, the name stays: earlier rules are not asked. Of a
//! filter with a prefix (`$share/g/`, `$queue/`, `$replay/…/`, …) the part
//! behind it is rewritten.
//!
//! **Invariants**
//! 1. A client's identifier or user name cannot widen a filter: one with `+` or
//!    `#` in it makes a name that is refused.
//! 2. A name is matched in time linear in its length.
//!
//! **Not here**: what a client may do, which is decided on the name it used.

use std::borrow::Cow;

use robustmq_config::{CompiledRewrite, Piece, REWRITES_MAX, RewriteAction, RewriteRule};
use robustmq_protocol::topic::{self, Filter, validate_topic_name};
use robustmq_views::Rule;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RuleSource, family, lock, of_the_file, read, refused, removed, set};
use crate::broker::Broker;
use crate::history::HistoryError;

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Names that clients publish to.
    Publish,
    /// Filters that clients subscribe to and unsubscribe from.
    Subscribe,
    /// Both.
    All,
}

impl From<RewriteAction> for Action {
    fn from(action: RewriteAction) -> Self {
        match action {
            RewriteAction::Publish => Self::Publish,
            RewriteAction::Subscribe => Self::Subscribe,
            RewriteAction::All => Self::All,
        }
    }
}

impl From<Action> for RewriteAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Publish => Self::Publish,
            Action::Subscribe => Self::Subscribe,
            Action::All => Self::All,
        }
    }
}

/// A rule as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RewriteDefinition {
    /// Which names it is about.
    pub action: Action,
    /// Topic filter of the names it is about.
    pub source_topic: String,
    /// What they become: `$1` to `$N`, `${clientid}`, `${username}`.
    pub dest_topic: String,
    /// Regular expression that a name must match besides.
    pub re: String,
}

impl From<&RewriteRule> for RewriteDefinition {
    fn from(rule: &RewriteRule) -> Self {
        Self {
            action: rule.action.into(),
            source_topic: rule.source_topic.clone(),
            dest_topic: rule.dest_topic.clone(),
            re: rule.re.clone(),
        }
    }
}

impl RewriteDefinition {
    fn compile(&self) -> Result<CompiledRewrite, HistoryError> {
        let rule = RewriteRule {
            action: self.action.into(),
            source_topic: self.source_topic.clone(),
            dest_topic: self.dest_topic.clone(),
            re: self.re.clone(),
        };
        rule.compile().map_err(|fault| refused(&fault))
    }
}

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RewriteInfo {
    /// What it is called, for removing it.
    pub id: String,
    /// Where it comes from.
    pub source: RuleSource,
    /// What it says.
    #[serde(flatten)]
    pub definition: RewriteDefinition,
}

/// Whose name it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Who<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) user_name: Option<&'a str>,
}

/// A name that came out of a rule and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

#[derive(Debug)]
struct Rewrite {
    info: RewriteInfo,
    compiled: CompiledRewrite,
}

/// All rules, in their order: those of the file, then those made at run time in
/// the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Rewrites {
    rules: Vec<Rewrite>,
}

impl Rewrites {
    pub(super) fn new<'a>(
        configured: &[RewriteRule],
        stored: impl Iterator<Item = &'a Rule>,
    ) -> Self {
        let mut rules = Vec::new();
        for (index, rule) in configured.iter().enumerate() {
            let info = RewriteInfo {
                id: format!("file:{}", index + 1),
                source: RuleSource::File,
                definition: rule.into(),
            };
            // The configuration has been checked.
            rules.extend(rule.compile().map(|compiled| Rewrite { info, compiled }));
        }
        let mut made: Vec<(u64, Rewrite)> = stored.filter_map(made).collect();
        made.sort_by_key(|(number, _)| *number);
        rules.extend(made.into_iter().map(|(_, rule)| rule));
        Self { rules }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rule that decides about a name.
    fn deciding(&self, action: Action, name: &str) -> Option<&Rewrite> {
        self.rules.iter().rev().find(|rule| {
            let definition = &rule.info.definition;
            let is_about = definition.action == Action::All || definition.action == action;
            is_about && topic::matches(&definition.source_topic, name)
        })
    }

    fn apply(&self, action: Action, name: &str, who: Who<'_>) -> Option<(String, bool)> {
        let rule = self.deciding(action, name)?;
        let captures = rule.compiled.pattern.captures(name)?;
        let mut is_wild = false;
        let filled = rule.compiled.dest.fill(|piece| {
            let of_client = match piece {
                Piece::Group(number) => {
                    return Some(captures.get(*number).map_or("", |group| group.as_str()));
                }
                Piece::ClientId => Some(who.client_id),
                Piece::UserName => who.user_name.filter(|name| !name.is_empty()),
                Piece::Text(_) | Piece::Host => None,
            };
            is_wild |= of_client.is_some_and(topic::has_wildcard);
            of_client
        });
        Some((filled, is_wild))
    }

    /// What a Topic Name that a client publishes to becomes; none if it stays.
    pub(crate) fn name(&self, name: &str, who: Who<'_>) -> Result<Option<String>, Invalid> {
        let Some((filled, _)) = self.apply(Action::Publish, name, who) else {
            return Ok(None);
        };
        validate_topic_name(&filled).map_err(|_| Invalid)?;
        Ok(Some(filled))
    }

    /// What a Topic Filter that a client names becomes; none if it stays.
    pub(crate) fn filter(&self, filter: &str, who: Who<'_>) -> Result<Option<String>, Invalid> {
        let (prefix, inner) = filter.split_at(prefix_len(filter));
        let Some((filled, is_wild)) = self.apply(Action::Subscribe, inner, who) else {
            return Ok(None);
        };
        let filled = format!("{prefix}{filled}");
        if is_wild || Filter::parse(&filled).is_err() {
            return Err(Invalid);
        }
        Ok(Some(filled))
    }
}

/// A rule of the log with its number.
fn made(rule: &Rule) -> Option<(u64, Rewrite)> {
    let number = rule.name.parse().ok()?;
    let definition: RewriteDefinition = read(rule)?;
    match definition.compile() {
        Ok(compiled) => {
            let info = RewriteInfo {
                id: rule.name.clone(),
                source: RuleSource::Runtime,
                definition,
            };
            Some((number, Rewrite { info, compiled }))
        }
        Err(error) => {
            tracing::error!(name = rule.name, %error, "a rule of the log cannot be used and is not in force");
            None
        }
    }
}

/// How much of a filter stands for a feature of the broker and stays.
fn prefix_len(filter: &str) -> usize {
    let mut len = 0;
    loop {
        let rest = &filter[len..];
        let levels = if rest.starts_with("$queue/") || rest.starts_with("$exclusive/") {
            1
        } else if ["$share/", "$replay/", "$replay-json/", "$cursor/"]
            .iter()
            .any(|prefix| rest.starts_with(prefix))
        {
            2
        } else {
            return len;
        };
        match rest.match_indices('/').nth(levels - 1) {
            Some((at, _)) => len += at + 1,
            None => return len,
        }
    }
}

/// The rules in force, in their order.
pub fn list(broker: &Broker) -> Vec<RewriteInfo> {
    let book = broker.rules.current();
    let rules = book.rewrites.rules.iter();
    rules.map(|rule| rule.info.clone()).collect()
}

/// The number behind all there are.
fn next_number(known: &[RewriteInfo]) -> u64 {
    let numbers = known.iter().filter_map(|rule| rule.id.parse::<u64>().ok());
    numbers.max().unwrap_or(0) + 1
}

fn check_count(count: usize) -> Result<(), HistoryError> {
    if count > REWRITES_MAX {
        return Err(HistoryError::Conflict(format!(
            "there may be {REWRITES_MAX} rules at most, those of the configuration file included"
        )));
    }
    Ok(())
}

/// Makes a rule, behind all there are.
///
/// # Errors
/// [`HistoryError`].
pub async fn create(
    broker: &Broker,
    definition: RewriteDefinition,
) -> Result<RewriteInfo, HistoryError> {
    definition.compile()?;
    let _lock = lock(broker).await;
    let known = list(broker);
    check_count(known.len() + 1)?;
    let id = next_number(&known).to_string();
    let changes = vec![set(id.clone(), &definition)];
    super::change(broker, family::TOPIC_REWRITE, changes).await?;
    Ok(RewriteInfo {
        id,
        source: RuleSource::Runtime,
        definition,
    })
}

/// Removes a rule that was made at run time.
///
/// # Errors
/// [`HistoryError`].
pub async fn delete(broker: &Broker, id: &str) -> Result<(), HistoryError> {
    let _lock = lock(broker).await;
    let rule = list(broker).into_iter().find(|rule| rule.id == id);
    match rule.map(|rule| rule.source) {
        Some(RuleSource::Runtime) => {
            super::change(broker, family::TOPIC_REWRITE, vec![removed(id)]).await
        }
        Some(RuleSource::File) => Err(of_the_file(&format!("rule `{id}`"), "mqtt.rewrite")),
        None => Err(HistoryError::NotFound(format!("there is no rule `{id}`"))),
    }
}

/// Takes a whole list in place of the rules there are. Those of the file must
/// stand first in it, since they stay.
///
/// # Errors
/// [`HistoryError`].
pub async fn replace(
    broker: &Broker,
    definitions: Vec<RewriteDefinition>,
) -> Result<Vec<RewriteInfo>, HistoryError> {
    for definition in &definitions {
        definition.compile()?;
    }
    check_count(definitions.len())?;
    let _lock = lock(broker).await;
    let known = list(broker);
    let fixed = known
        .iter()
        .take_while(|rule| rule.source == RuleSource::File);
    let mut wanted = definitions.into_iter();
    for rule in fixed {
        if wanted.next().as_ref() != Some(&rule.definition) {
            let what = format!("rule `{}`", rule.id);
            return Err(of_the_file(&what, "mqtt.rewrite"));
        }
    }
    let next = next_number(&known);
    let gone = known
        .iter()
        .filter(|rule| rule.source == RuleSource::Runtime)
        .map(|rule| removed(&rule.id));
    let made = wanted
        .enumerate()
        .map(|(index, definition)| set((next + index as u64).to_string(), &definition));
    let changes = gone.chain(made).collect();
    super::change(broker, family::TOPIC_REWRITE, changes).await?;
    Ok(list(broker))
}

/// A name to try.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The name, or the filter.
    pub topic: String,
    /// What a client would do with it; publish or subscribe.
    pub action: Action,
    /// The client that would do it.
    #[serde(default)]
    pub clientid: String,
    /// Its user name.
    pub username: Option<String>,
}

/// What a name becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tried {
    /// The name as it was given.
    pub topic: String,
    /// What it becomes; the same if no rule changes it.
    pub result: String,
    /// Whether a client that uses it gets its way: false where what it becomes
    /// is no topic.
    pub valid: bool,
    /// The rule that decides.
    pub rule: Option<RewriteInfo>,
    /// Whether the pattern of that rule matches.
    pub matched: bool,
}

/// Says what a name becomes.
///
/// # Errors
/// When it cannot be used for the action.
pub fn try_out(broker: &Broker, trial: &Trial) -> Result<Tried, HistoryError> {
    let asked = |error| HistoryError::Asked(format!("`{}`: {error}", trial.topic));
    let who = Who {
        client_id: &trial.clientid,
        user_name: trial.username.as_deref(),
    };
    let rewrites = &broker.rules.current().rewrites;
    let (prefix, becomes) = match trial.action {
        Action::Publish => {
            validate_topic_name(&trial.topic).map_err(asked)?;
            let becomes = published(rewrites, &trial.topic, who);
            (published_prefix_len(&trial.topic), becomes)
        }
        Action::Subscribe => {
            Filter::parse(&trial.topic).map_err(asked)?;
            let becomes = rewrites.filter(&trial.topic, who);
            let becomes = becomes.map(|name| name.map_or(Cow::Borrowed(&*trial.topic), Cow::Owned));
            (prefix_len(&trial.topic), becomes)
        }
        Action::All => {
            let text = "action: say publish or subscribe";
            return Err(HistoryError::Asked(text.to_owned()));
        }
    };
    let (prefix, inner) = trial.topic.split_at(prefix);
    let filled = rewrites.apply(trial.action, inner, who);
    let matched = filled.is_some();
    let valid = becomes.is_ok();
    let result = match (becomes, filled) {
        (Ok(name), _) => name.into_owned(),
        (Err(Invalid), Some((filled, _))) => format!("{prefix}{filled}"),
        (Err(Invalid), None) => trial.topic.clone(),
    };
    let rule = rewrites.deciding(trial.action, inner);
    Ok(Tried {
        topic: trial.topic.clone(),
        result,
        valid,
        rule: rule.map(|rule| rule.info.clone()),
        matched,
    })
}

/// How much of a name that is published to stays: `$delayed/{seconds}/`.
pub(crate) fn published_prefix_len(name: &str) -> usize {
    let Some(rest) = name.strip_prefix("$delayed/") else {
        return 0;
    };
    rest.find('/')
        .map_or(0, |at| name.len() - rest.len() + at + 1)
}

/// What a name that a client publishes to becomes. The name stays borrowed if it
/// stays as it is.
pub(crate) fn published<'a>(
    rewrites: &Rewrites,
    name: &'a str,
    who: Who<'_>,
) -> Result<Cow<'a, str>, Invalid> {
    let (prefix, inner) = name.split_at(published_prefix_len(name));
    Ok(match rewrites.name(inner, who)? {
        Some(becomes) if prefix.is_empty() => Cow::Owned(becomes),
        Some(becomes) => Cow::Owned(format!("{prefix}{becomes}")),
        None => Cow::Borrowed(name),
    })
}
