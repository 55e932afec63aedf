//! As little MQTT as counting needs: packets are told apart by their length.

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::net::TcpStream;

use robustmq_e2e::{Broker, Client, Connect};
use robustmq_protocol::codec::SubscribeFilter;
use robustmq_protocol::{ProtocolVersion, QoS};

/// Bytes taken from the socket at a time.
const READ_BYTES: usize = 1 << 20;

/// A connection of 3.1.1, where a PUBLISH of QoS 0 is topic and payload.
pub(crate) fn connect(broker: &Broker, client_id: &str) -> Client {
    let connect = Connect {
        version: ProtocolVersion::V4,
        ..Connect::new(client_id)
    };
    Client::accepted(broker.address(), &connect).0
}

/// Subscribes without waiting for the SUBACK, which is counted as a packet.
pub(crate) fn subscribe(client: &mut Client, filter: &str) {
    use robustmq_protocol::PacketId;
    use robustmq_protocol::codec::{
        Packet, RetainHandling, Subscribe, SubscribeFilters, SubscriptionOptions, UserProperties,
    };
    let options = SubscriptionOptions {
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let filters = [SubscribeFilter { filter, options }];
    let packet = Packet::Subscribe(Subscribe {
        packet_id: PacketId::MIN,
        subscription_id: None,
        user_properties: UserProperties::default(),
        filters: SubscribeFilters::from(filters.as_slice()),
    });
    client.send(&packet).expect("SUBSCRIBE is sent");
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) hash: u64,
}

/// Reads until `messages` PUBLISH packets have come; the hash is over all of
/// their bytes in their order.
pub(crate) fn count(stream: &TcpStream, messages: u64) -> io::Result<Count> {
    let mut stream = stream;
    let mut hasher = DefaultHasher::new();
    let mut count = Count::default();
    let mut buffer = vec![0; READ_BYTES];
    let (mut start, mut end) = (0, 0);
    while count.messages < messages {
        while let Some(len) = packet_len(&buffer[start..end]) {
            if start + len > end {
                break;
            }
            let packet = &buffer[start..start + len];
            if packet[0] >> 4 == 3 {
                count.messages += 1;
                count.bytes += len as u64;
                hasher.write(packet);
            }
            start += len;
        }
        if count.messages >= messages {
            break;
        }
        buffer.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        let read = stream.read(&mut buffer[end..])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        end += read;
    }
    count.hash = hasher.finish();
    Ok(count)
}

/// Bytes of the packet that begins here, as far as that is known.
fn packet_len(bytes: &[u8]) -> Option<usize> {
    let mut len = 0usize;
    for (place, byte) in bytes.get(1..)?.iter().take(4).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(len + place + 2);
        }
    }
    None
}
