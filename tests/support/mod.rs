//! What the tests that run the real program share: a tracer, a bus to work on, messages, and an audit of what is left.

// Each test program compiles this module for itself and uses a part of it.
#![allow(dead_code)]

pub mod audit;
pub mod components;
pub mod trace;
pub mod workload;
pub mod workspace;
