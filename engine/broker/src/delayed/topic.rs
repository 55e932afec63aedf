//! `$delayed/{seconds}/{topic}`.

/// What such a name begins with.
const PREFIX: &str = "$delayed/";

/// The longest delay; a number above it is a time, seconds since the Unix epoch.
const DELAY_S_MAX: u64 = 42_949_669;

/// When and where a message is to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delayed<'a> {
    /// The topic behind the prefix.
    pub(crate) topic: &'a str,
    /// When, milliseconds since the Unix epoch.
    pub(crate) due_ms: u64,
}

/// Whether a name asks for a delay.
pub(crate) fn is_delayed(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Takes a name apart. A time that has passed is now.
///
/// # Errors
/// What is wrong with it, for people.
pub(crate) fn parse(name: &str, now_ms: u64) -> Result<Delayed<'_>, &'static str> {
    let parts = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('/'));
    let Some((seconds, topic)) = parts else {
        return Err("write $delayed/{seconds}/{topic}");
    };
    if topic.is_empty() {
        return Err("there is no topic behind $delayed/{seconds}/");
    }
    if seconds.is_empty() || !seconds.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the delay is no number of seconds");
    }
    let Ok(seconds) = seconds.parse::<u64>() else {
        return Err(TOO_FAR);
    };
    if seconds <= DELAY_S_MAX {
        let due_ms = now_ms.saturating_add(seconds * 1000);
        return Ok(Delayed { topic, due_ms });
    }
    let due_ms = seconds.saturating_mul(1000);
    if due_ms.saturating_sub(now_ms) > DELAY_S_MAX * 1000 {
        return Err(TOO_FAR);
    }
    let due_ms = due_ms.max(now_ms);
    Ok(Delayed { topic, due_ms })
}

const TOO_FAR: &str =
    "that is more than 42949669 seconds away; larger numbers are times, in seconds since 1970";
