//! Nodes that talk to each other over real sockets.

mod asking;
mod bounds;
mod dialling;
mod forged;
mod losing;
mod nodes;
mod telling;
mod trust;
