//! Bytes from a peer, as hostile as chance makes them.

mod codec;
mod filters;
mod operations;
