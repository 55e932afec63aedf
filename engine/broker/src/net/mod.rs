//! Listeners: where connections come in.

pub(crate) mod tcp;
