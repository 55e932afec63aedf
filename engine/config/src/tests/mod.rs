//! Tests of the crate, by subject.
