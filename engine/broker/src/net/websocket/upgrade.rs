//! The HTTP request that turns a connection into a WebSocket.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, Response, create_response, write_response};
use tungstenite::http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_PROTOCOL};
use tungstenite::http::{HeaderValue, StatusCode};

use crate::net::transport::Transport;

/// Largest request head.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// How the end of a request head looks.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Subprotocols served: the registered one, and that of MQTT 3.1.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Why a request is refused.
type Refusal = (StatusCode, &'static str);

/// Reads and answers the request. Gives what came behind it already.
///
/// # Errors
/// When it is refused, which the client has been told then, or the connection
/// is lost.
pub(crate) async fn accept<S: Transport>(stream: &mut S, path: &str) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let answered = read_head(stream, &mut head).await?.and_then(|end| {
        let response = answer(&head[..end], path)?;
        Ok((end, response))
    });
    let (end, response) = match answered {
        Ok(answered) => answered,
        Err(refusal) => return Err(refuse(stream, refusal).await),
    };
    let mut out = Vec::new();
    write_response(&mut out, &response).map_err(io::Error::other)?;
    stream.write_all(&out).await?;
    stream.flush().await?;
    Ok(head.split_off(end))
}

/// Reads until the head is whole; gives where it ends.
async fn read_head<S: Transport>(
    stream: &mut S,
    head: &mut Vec<u8>,
) -> io::Result<Result<usize, Refusal>> {
    loop {
        // The end may have begun in what came before.
        let unseen = head.len().saturating_sub(HEAD_END.len() - 1);
        if stream.read_buf(head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let new = &head[unseen..];
        let found = new.windows(HEAD_END.len()).position(|at| at == HEAD_END);
        match found.map(|at| unseen + at + HEAD_END.len()) {
            Some(end) if end <= HEAD_BYTES_MAX => return Ok(Ok(end)),
            None if head.len() <= HEAD_BYTES_MAX => {}
            _ => {
                let text = "the request head is too large";
                return Ok(Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text)));
            }
        }
    }
}

fn answer(head: &[u8], path: &str) -> Result<Response, Refusal> {
    const NO_UPGRADE: Refusal = (
        StatusCode::BAD_REQUEST,
        "this is not a WebSocket request of version 13",
    );
    let request = match Request::try_parse(head) {
        Ok(Some((_, request))) => request,
        Ok(None) | Err(_) => return Err(NO_UPGRADE),
    };
    if request.uri().path() != path {
        return Err((StatusCode::NOT_FOUND, "MQTT is served under another path"));
    }
    let mut response = create_response(&request).map_err(|_| NO_UPGRADE)?;
    let subprotocol = subprotocol(&request).ok_or((
        StatusCode::BAD_REQUEST,
        "offer the subprotocol mqtt or mqttv3.1 (Sec-WebSocket-Protocol)",
    ))?;
    let value = HeaderValue::from_static(subprotocol);
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
    Ok(response)
}

/// The first subprotocol of the client's that is served [MQTT-6.0.0-3].
fn subprotocol(request: &Request) -> Option<&'static str> {
    let offers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    offers
        .filter_map(|offer| offer.to_str().ok())
        .flat_map(|offer| offer.split(','))
        .find_map(|offer| {
            let served = SUBPROTOCOLS.iter();
            served.copied().find(|served| *served == offer.trim())
        })
}

async fn refuse<S: Transport>(stream: &mut S, (status, text): Refusal) -> io::Error {
    let mut response = tungstenite::http::Response::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len() + 1));
    let mut out = Vec::new();
    let told = async {
        write_response(&mut out, &response).map_err(io::Error::other)?;
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
        stream.write_all(&out).await?;
        stream.shutdown().await
    };
    // Whether it could be told or not: it is refused.
    let _ = told.await;
    io::Error::new(io::ErrorKind::InvalidData, text)
}
