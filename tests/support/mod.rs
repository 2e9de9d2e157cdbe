//! What the tests that run the real program share: a tracer, a bus to work on, and an audit of what is left.

pub mod trace;
