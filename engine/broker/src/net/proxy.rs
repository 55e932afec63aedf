//! The header of the PROXY protocol, versions 1 and 2, that a proxy writes
//! before anything of its client.
//!
//! Read so that no byte after it is taken: they belong to the next layer.

use std::io;
use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How version 2 begins; version 1 is never shorter than this either.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2: signature, version and command, family, length of the rest.
const BINARY_START: usize = 16;

/// Longest header of version 2 that is read; what proxies add to addresses
/// fits many times.
const BINARY_BYTES_MAX: usize = 4096;

/// Longest header of version 1, as its specification says.
const TEXT_BYTES_MAX: usize = 107;

/// Reads the header. Gives the address of the client, or `None` where the proxy
/// speaks for itself or does not know.
pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        header.resize(BINARY_START, 0);
        stream.read_exact(&mut header[SIGNATURE.len()..]).await?;
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if BINARY_START + rest > BINARY_BYTES_MAX {
            return Err(invalid("its header is too long"));
        }
        header.resize(BINARY_START + rest, 0);
        stream.read_exact(&mut header[BINARY_START..]).await?;
    } else {
        if !header.starts_with(b"PROXY ") {
            return Err(invalid("it does not begin with a header"));
        }
        while !header.ends_with(b"\r\n") {
            if header.len() == TEXT_BYTES_MAX {
                return Err(invalid("its header is too long"));
            }
            header.push(stream.read_u8().await?);
        }
    }
    source(&header)
}

fn source(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    let socket = |address, port| Ok(Some(SocketAddr::new(address, port)));
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            v1::Addresses::Tcp4(found) => socket(found.source_address.into(), found.source_port),
            v1::Addresses::Tcp6(found) => socket(found.source_address.into(), found.source_port),
            v1::Addresses::Unknown => Ok(None),
        },
        HeaderResult::V2(Ok(header)) if header.command == v2::Command::Local => Ok(None),
        HeaderResult::V2(Ok(header)) => match header.addresses {
            v2::Addresses::IPv4(found) => socket(found.source_address.into(), found.source_port),
            v2::Addresses::IPv6(found) => socket(found.source_address.into(), found.source_port),
            v2::Addresses::Unix(_) | v2::Addresses::Unspecified => Ok(None),
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => {
            Err(invalid("its header cannot be understood"))
        }
    }
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("PROXY protocol: {text}"),
    )
}

#[cfg(test)]
mod tests;
