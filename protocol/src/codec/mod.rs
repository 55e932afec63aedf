//! MQTT packets as bytes: 3.1, 3.1.1 and 5.0, both directions.
//!
//! **Invariants**
//! 1. Decoding allocates nothing: packets borrow from the input, lists are
//!    checked pieces of it.
//! 2. Bytes from a peer never panic and never choose an allocation size.
//! 3. What is decoded and encoded again says the same.
//! 4. An encoder computes the exact size first; on an error nothing is written.
//!
//! **Not here**: what a session makes of the packets, limits negotiated in
//! CONNECT, the syntax of wildcards (`topic`), sockets.

mod decode;
mod direction;
mod encode;
mod error;
mod forwarded;
mod header;
mod lists;
mod packet;
mod property;
mod reason;
mod wire;

pub use decode::{Decoded, connect_version, decode};
pub use encode::{
    ACK_WITH_BYTES_MAX, PublishOut, encode, encode_ack, encode_ack_with, encode_disconnect,
    encode_pingresp, encode_publish, encode_trimmed, encode_within, packet_size, publish_size,
};
pub use error::{DecodeError, EncodeError};
pub use forwarded::Forwarded;
pub use header::{FixedHeader, PACKET_SIZE_MAX, PacketKind, peek};
pub use lists::{
    ReasonCodes, ReasonCodesIter, RetainHandling, SubscribeFilter, SubscribeFilters,
    SubscribeFiltersIter, SubscriptionIds, SubscriptionIdsIter, SubscriptionOptions,
    UnsubscribeFilters, UnsubscribeFiltersIter, UserProperties, UserPropertiesIter,
};
pub use packet::{
    Ack, AckProperties, Auth, AuthProperties, ConnAck, ConnAckProperties, Connect,
    ConnectProperties, Disconnect, DisconnectProperties, Packet, Publish, PublishProperties,
    SubAck, Subscribe, UnsubAck, Unsubscribe, Will,
};
pub use property::Property;
pub use reason::{reason_allowed, v3_return_code};

#[cfg(test)]
mod tests;
