//! A plain HTTP/1.1 client: one connection per request, bodies in chunks or of
//! known length, server-sent events.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where to ask, and with which key.
#[derive(Clone, Debug)]
pub struct Http {
    address: SocketAddr,
    key: Option<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

impl Http {
    /// Asks at `address` with a key `name:secret`, or none.
    pub fn new(address: SocketAddr, key: Option<&str>) -> Self {
        Self {
            address,
            key: key.map(str::to_owned),
        }
    }

    /// Asks for a path.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    /// Sends a JSON body.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        let fields = [("Content-Type", "application/json")];
        self.ask("POST", path, &fields, &body.to_string())
    }

    /// Makes any request.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        self.try_ask(method, path, fields, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Makes any request.
    ///
    /// # Errors
    /// When the connection breaks or what comes back is no HTTP.
    pub fn try_ask(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Answer> {
        let (mut answer, mut stream) = self.begin(method, path, fields, body)?;
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = read_chunk(&mut stream)? {
                answer.body.extend(chunk);
            }
        } else {
            stream.read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    fn begin(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> io::Result<(Answer, BufReader<TcpStream>)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: broker\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        if let Some(key) = &self.key {
            head += &format!("Authorization: Basic {}\r\n", STANDARD.encode(key));
        }
        for (name, value) in fields {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
        let mut stream = BufReader::new(stream);
        let first = read_line(&mut stream)?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {first}")))?;
        let mut headers = Vec::new();
        loop {
            let line = read_line(&mut stream)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        Ok((answer, stream))
    }

    /// Follows server-sent events.
    ///
    /// # Panics
    /// When there are none.
    pub fn events(&self, path: &str, last_id: Option<&str>) -> Events {
        let id = last_id.map(|id| ("Last-Event-ID", id));
        let fields: Vec<(&str, &str)> = id.into_iter().collect();
        let (answer, stream) = self
            .begin("GET", path, &fields, "")
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(answer.status, 200, "{path}");
        Events {
            stream,
            text: String::new(),
        }
    }
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: String,
}

/// A stream of server-sent events.
#[derive(Debug)]
pub struct Events {
    stream: BufReader<TcpStream>,
    text: String,
}

impl Events {
    /// The next event; none at the end.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes in time.
    pub fn next_event(&mut self) -> io::Result<Option<Event>> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let event = parse_event(&block);
                // Comments keep the connection alive.
                if !event.name.is_empty() {
                    return Ok(Some(event));
                }
                continue;
            }
            match read_chunk(&mut self.stream)? {
                Some(chunk) => self.text += &String::from_utf8_lossy(&chunk),
                None => return Ok(None),
            }
        }
    }
}

fn parse_event(block: &str) -> Event {
    let mut event = Event::default();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => event.id = Some(value.to_owned()),
            "event" => event.name = value.to_owned(),
            "data" => event.data += value,
            _ => {}
        }
    }
    event
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// The next chunk; none at the end.
fn read_chunk(stream: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let size = read_line(stream)?;
    let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
    let mut chunk = vec![0; size + 2];
    stream.read_exact(&mut chunk)?;
    chunk.truncate(size);
    Ok((size > 0).then_some(chunk))
}
