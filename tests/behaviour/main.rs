//! The bus format, sentence by sentence, on real folders with the real program. Each test reads like a shell session.

#![cfg(target_os = "linux")]

mod bounds;
/// Components that call what the service offers; the tests of extensions use more of it.
#[allow(dead_code)]
#[path = "../extension/host"]
mod calling {
    pub mod guest;
    pub mod interfaces;
}
mod contention;
mod control;
mod delivery;
mod dropping;
mod guests;
mod hostile;
mod letters;
mod long_logs;
mod messages;
#[allow(dead_code)]
#[path = "../extension/mock/mod.rs"]
mod mock;
mod nested;
mod new_sets;
mod order;
mod records;
mod retries;
mod session;
mod splits;
mod stopping;
mod stored;
// This program uses a part of it.
#[allow(unused_imports)]
#[path = "../support/mod.rs"]
mod support;
mod twice;
