//! Server-sent events (the HTML standard, section 9.2).

use std::io::{self, BufRead, BufReader, Read};

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// What to resume behind.
    pub(crate) id: Option<String>,
    /// What it is.
    pub(crate) name: String,
    /// What it says.
    pub(crate) data: String,
}

/// A stream of events.
pub(crate) struct Events {
    reader: BufReader<Box<dyn Read>>,
}

impl Events {
    pub(super) fn new(reader: Box<dyn Read>) -> Self {
        Self {
            reader: BufReader::new(reader),
        }
    }

    /// The next event; none at the end of the stream. Comments are passed over.
    pub(crate) fn next_event(&mut self) -> io::Result<Option<Event>> {
        let mut event = Event::default();
        let mut line = String::new();
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let text = line.trim_end_matches(['\r', '\n']);
            if text.is_empty() {
                if event != Event::default() {
                    return Ok(Some(event));
                }
                continue;
            }
            let (field, value) = text.split_once(':').unwrap_or((text, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => event.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut event.name),
                "data" => {
                    if !event.data.is_empty() {
                        event.data.push('\n');
                    }
                    event.data.push_str(value);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
