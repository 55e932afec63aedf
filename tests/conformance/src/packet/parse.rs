//! Packets that a server sends, checked strictly: what is not exactly as the specification says is an error.

use super::{Props, Publish, Value, Version, hex};

/// Which of the four acknowledgements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckKind {
    /// PUBACK
    PubAck,
    /// PUBREC
    PubRec,
    /// PUBREL
    PubRel,
    /// PUBCOMP
    PubComp,
}

impl AckKind {
    /// The first byte of the packet.
    pub fn first_byte(self) -> u8 {
        match self {
            Self::PubAck => 0x40,
            Self::PubRec => 0x50,
            Self::PubRel => 0x62,
            Self::PubComp => 0x70,
        }
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Which of them.
    pub kind: AckKind,
    /// Packet Identifier.
    pub id: u16,
    /// Reason Code; 0 where the packet leaves it out.
    pub code: u8,
    /// Properties.
    pub props: Props,
}

/// A packet that a server sends.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Packet {
    ConnAck {
        session_present: bool,
        code: u8,
        props: Props,
    },
    Publish(Publish),
    Ack(Ack),
    SubAck {
        id: u16,
        props: Props,
        codes: Vec<u8>,
    },
    UnsubAck {
        id: u16,
        props: Props,
        codes: Vec<u8>,
    },
    PingResp,
    Disconnect {
        code: u8,
        props: Props,
    },
    Auth {
        code: u8,
        props: Props,
    },
}

/// The first packet in `bytes` and its length; `None` if there is more to come.
///
/// # Errors
/// What is wrong with the packet.
pub fn parse(bytes: &[u8], version: Version) -> Result<Option<(Packet, usize)>, String> {
    let Some((length, start)) = remaining_length(bytes)? else {
        return Ok(None);
    };
    let end = start + length;
    if bytes.len() < end {
        return Ok(None);
    }
    let mut body = Body {
        bytes: &bytes[start..end],
    };
    let packet = packet(bytes[0], &mut body, version)
        .and_then(|packet| {
            if body.bytes.is_empty() {
                Ok(packet)
            } else {
                Err("bytes left over".to_owned())
            }
        })
        .map_err(|error| format!("{error} in {}", hex(&bytes[..end])))?;
    Ok(Some((packet, end)))
}

fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let mut length = 0;
    for at in 1..=4 {
        let Some(byte) = bytes.get(at) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            return if at > 1 && *byte == 0 {
                Err("length not minimal".to_owned())
            } else {
                Ok(Some((length, at + 1)))
            };
        }
    }
    Err("length of more than four bytes".to_owned())
}

fn packet(first: u8, body: &mut Body<'_>, version: Version) -> Result<Packet, String> {
    let is_v5 = version == Version::V5;
    match first {
        0x20 => {
            let flags = body.byte()?;
            if flags > 1 {
                return Err("reserved CONNACK flags".to_owned());
            }
            let code = body.byte()?;
            let props = if is_v5 { body.props()? } else { Props::new() };
            Ok(Packet::ConnAck {
                session_present: flags == 1,
                code,
                props,
            })
        }
        0x30..=0x3f => publish(first, body, is_v5).map(Packet::Publish),
        0x40 => ack(AckKind::PubAck, body, is_v5),
        0x50 => ack(AckKind::PubRec, body, is_v5),
        0x62 => ack(AckKind::PubRel, body, is_v5),
        0x70 => ack(AckKind::PubComp, body, is_v5),
        0x90 => {
            let id = body.two()?;
            let props = if is_v5 { body.props()? } else { Props::new() };
            Ok(Packet::SubAck {
                id,
                props,
                codes: body.rest(),
            })
        }
        0xb0 => {
            let id = body.two()?;
            let props = if is_v5 { body.props()? } else { Props::new() };
            Ok(Packet::UnsubAck {
                id,
                props,
                codes: body.rest(),
            })
        }
        0xd0 => Ok(Packet::PingResp),
        0xe0 if is_v5 => {
            let (code, props) = body.code_and_props()?;
            Ok(Packet::Disconnect { code, props })
        }
        0xf0 if is_v5 => {
            let (code, props) = body.code_and_props()?;
            Ok(Packet::Auth { code, props })
        }
        _ => Err("no packet of a server".to_owned()),
    }
}

fn publish(first: u8, body: &mut Body<'_>, is_v5: bool) -> Result<Publish, String> {
    let qos = first >> 1 & 3;
    let dup = first & 8 != 0;
    if qos == 3 || (dup && qos == 0) {
        return Err("PUBLISH flags".to_owned());
    }
    let topic = body.text()?;
    let id = if qos > 0 { body.two()? } else { 0 };
    if qos > 0 && id == 0 {
        return Err("packet identifier 0".to_owned());
    }
    let props = if is_v5 { body.props()? } else { Props::new() };
    Ok(Publish {
        dup,
        qos,
        retain: first & 1 != 0,
        topic,
        id,
        props,
        payload: body.rest(),
    })
}

fn ack(kind: AckKind, body: &mut Body<'_>, is_v5: bool) -> Result<Packet, String> {
    let id = body.two()?;
    let (code, props) = if is_v5 {
        body.code_and_props()?
    } else {
        (0, Props::new())
    };
    Ok(Packet::Ack(Ack {
        kind,
        id,
        code,
        props,
    }))
}

struct Body<'a> {
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or("packet too short")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes).to_vec()
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn two(&mut self) -> Result<u16, String> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn four(&mut self) -> Result<u32, String> {
        Ok(u32::from(self.two()?) << 16 | u32::from(self.two()?))
    }

    fn variable(&mut self) -> Result<u32, String> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("variable integer of more than four bytes".to_owned())
    }

    fn binary(&mut self) -> Result<Vec<u8>, String> {
        let length = self.two()?;
        Ok(self.take(usize::from(length))?.to_vec())
    }

    fn text(&mut self) -> Result<String, String> {
        String::from_utf8(self.binary()?).map_err(|_| "a string is not UTF-8".to_owned())
    }

    fn code_and_props(&mut self) -> Result<(u8, Props), String> {
        if self.bytes.is_empty() {
            return Ok((0, Props::new()));
        }
        let code = self.byte()?;
        let props = if self.bytes.is_empty() {
            Props::new()
        } else {
            self.props()?
        };
        Ok((code, props))
    }

    fn props(&mut self) -> Result<Props, String> {
        let length = self.variable()? as usize;
        let mut block = Body {
            bytes: self.take(length)?,
        };
        let mut props = Props::new();
        while !block.bytes.is_empty() {
            let id = block.byte()?;
            let value = match id {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => Value::Byte(block.byte()?),
                0x13 | 0x21 | 0x22 | 0x23 => Value::Two(block.two()?),
                0x02 | 0x11 | 0x18 | 0x27 => Value::Four(block.four()?),
                0x0b => Value::Variable(block.variable()?),
                0x09 | 0x16 => Value::Binary(block.binary()?),
                0x03 | 0x08 | 0x12 | 0x15 | 0x1a | 0x1c | 0x1f => Value::Text(block.text()?),
                0x26 => Value::Pair(block.text()?, block.text()?),
                _ => return Err(format!("unknown property {id:#04x}")),
            };
            if !matches!(id, 0x26 | 0x0b) && props.get(id).is_some() {
                return Err(format!("property {id:#04x} twice"));
            }
            props = props.with(id, value);
        }
        Ok(props)
    }
}
