//! What a client asks for: a replay's filter, or a plain filter with user
//! properties.

use robustmq_protocol::codec::UserProperties;
use robustmq_protocol::topic::{
    CursorFilter, REPLAY_PREFIX, ReplayError, ReplayFilter, ReplayRange, SharedFilter,
};

use super::Rate;
use crate::subscription::SubscriptionOptions;

/// What a replay that was asked for with user properties is stored under. No
/// client can subscribe to it: the range comes first in `$replay/…`.
const BY_PROPERTIES_PREFIX: &str = "$replay-by-properties/";

/// A replay that a client asks for.
#[derive(Clone, Debug)]
pub(in crate::connection) struct Asked {
    /// The filter of the SUBSCRIBE.
    pub(in crate::connection) name: String,
    /// What it is stored under.
    pub(in crate::connection) stored: String,
    /// Which topics.
    pub(in crate::connection) filter: String,
    /// Which part of their history.
    pub(in crate::connection) range: ReplayRange,
    /// Payloads in JSON.
    pub(in crate::connection) json: bool,
    /// How fast.
    pub(in crate::connection) rate: Rate,
    /// QoS and the like.
    pub(in crate::connection) options: SubscriptionOptions,
    /// From the beginning, even where the session stands in the middle of it.
    pub(in crate::connection) restart: bool,
}

/// The user properties of a SUBSCRIBE that concern replays.
#[derive(Clone, Debug, Default)]
pub(in crate::connection) struct Wishes {
    from: Option<String>,
    to: Option<String>,
    last: Option<String>,
    rate: Option<String>,
    only: Option<String>,
    restart: bool,
}

impl Wishes {
    /// Picks them from all user properties; of several of one name the last counts.
    pub(in crate::connection) fn new(properties: &UserProperties<'_>) -> Self {
        let mut wishes = Self::default();
        for (name, value) in properties.iter() {
            let place = match name {
                "replay-from" => &mut wishes.from,
                "replay-to" => &mut wishes.to,
                "replay-last" => &mut wishes.last,
                "replay-rate" => &mut wishes.rate,
                "replay-mode" => &mut wishes.only,
                "replay-restart" => {
                    wishes.restart = value == "1";
                    continue;
                }
                _ => continue,
            };
            *place = Some(value.to_owned());
        }
        wishes
    }

    fn wants_replay(&self) -> bool {
        self.from.is_some() || self.last.is_some() || self.to.is_some()
    }

    fn range(&self) -> Result<ReplayRange, ReplayError> {
        let position = |text: &str| ReplayError::Position(text.to_owned());
        let last = self.last.as_ref().map(|count| format!("last:{count}"));
        if let (Some(_), Some(last)) = (&self.from, &self.last) {
            return Err(position(last));
        }
        let start = self
            .from
            .as_deref()
            .or(last.as_deref())
            .unwrap_or("earliest");
        let end = match (self.to.as_deref(), self.only.as_deref()) {
            (Some(to), _) => Some(to),
            (None, Some("only")) => Some("latest"),
            (None, None | Some("then-live")) => None,
            (None, Some(other)) => return Err(ReplayError::Mode(other.to_owned())),
        };
        ReplayRange::from_parts(start, end)
    }

    fn rate(&self) -> Result<Rate, ReplayError> {
        match self.rate.as_deref() {
            None => Ok(Rate::Max),
            Some(text) => Rate::parse(text).ok_or_else(|| ReplayError::Rate(text.to_owned())),
        }
    }

    /// The replay that a filter of the SUBSCRIBE stands for; none for a plain
    /// subscription.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::connection) fn asked(
        &self,
        name: &str,
        options: SubscriptionOptions,
    ) -> Result<Option<Asked>, ReplayError> {
        let rate = self.rate()?;
        let restart = self.restart;
        if ReplayFilter::is_replay(name) {
            let replay = ReplayFilter::parse(name)?;
            return Ok(Some(Asked {
                name: name.to_owned(),
                stored: name.to_owned(),
                filter: replay.filter.as_str().to_owned(),
                json: replay.json,
                range: replay.range,
                rate,
                options,
                restart,
            }));
        }
        if !self.wants_replay() {
            return Ok(None);
        }
        let range = self.range()?;
        Ok(Some(Asked {
            name: name.to_owned(),
            stored: self.stored(name),
            filter: name.to_owned(),
            json: false,
            range,
            rate,
            options,
            restart,
        }))
    }

    /// Spells the wishes as a filter that says the same.
    fn stored(&self, filter: &str) -> String {
        let last = self.last.as_ref().map(|count| format!("last:{count}"));
        let start = self
            .from
            .clone()
            .or(last)
            .unwrap_or_else(|| "earliest".to_owned());
        let end = match (&self.to, self.only.as_deref()) {
            (Some(to), _) => format!("..{to}"),
            (None, Some("only")) => "..latest".to_owned(),
            _ => String::new(),
        };
        format!("{BY_PROPERTIES_PREFIX}{start}{end}/{filter}")
    }
}

/// Whether a stored filter is that of a plain subscription, and no reader of
/// its own.
pub(crate) fn is_plain(stored: &str) -> bool {
    !is_replay(stored) && !CursorFilter::is_cursor(stored) && !SharedFilter::is_shared(stored)
}

/// A stored filter as its client spelled it.
pub(crate) fn spelled_name(stored: &str) -> String {
    let by_properties = stored.strip_prefix(BY_PROPERTIES_PREFIX);
    let filter = by_properties.and_then(|rest| rest.split_once('/'));
    filter.map_or(stored, |(_, filter)| filter).to_owned()
}

/// Whether a stored filter stands for a replay.
fn is_replay(stored: &str) -> bool {
    stored.starts_with(BY_PROPERTIES_PREFIX) || ReplayFilter::is_replay(stored)
}

/// The replay that a stored filter stands for; none for a plain subscription,
/// or for one that cannot be read any more.
pub(in crate::connection) fn spelled(stored: &str, options: SubscriptionOptions) -> Option<Asked> {
    let by_properties = stored.strip_prefix(BY_PROPERTIES_PREFIX);
    let full = match by_properties {
        Some(rest) => format!("{REPLAY_PREFIX}{rest}"),
        None => stored.to_owned(),
    };
    if !is_replay(stored) {
        return None;
    }
    let replay = ReplayFilter::parse(&full).ok()?;
    let filter = replay.filter.path().to_owned();
    Some(Asked {
        name: by_properties.map_or_else(|| stored.to_owned(), |_| filter.clone()),
        stored: stored.to_owned(),
        json: replay.json,
        range: replay.range,
        filter,
        rate: Rate::Max,
        options,
        restart: false,
    })
}
