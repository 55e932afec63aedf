//! `robust-ctl`, the real binary.

mod log;
mod mqtt;
