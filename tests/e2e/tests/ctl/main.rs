//! `robust-ctl`, the real binary.

mod certificates;
mod history;
mod log;
mod mqtt;
