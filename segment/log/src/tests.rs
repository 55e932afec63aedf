//! The log as a whole, run step by step on simulated disks and with its threads
//! on real ones.

mod basics;
mod commands;
mod crash;
mod faults;
pub(crate) mod flips;
mod threads;
mod writes;
