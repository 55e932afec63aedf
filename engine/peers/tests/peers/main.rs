//! Nodes that talk to each other over real sockets.

mod asking;
mod bounds;
mod dialling;
mod losing;
mod nodes;
mod trust;
