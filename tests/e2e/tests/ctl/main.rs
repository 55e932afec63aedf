//! `robust-ctl`, the real binary.

mod history;
mod log;
mod mqtt;
