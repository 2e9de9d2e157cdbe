//! One fault at every step of the real program, in turn, and an audit of the folder after each (SQLite's method).
//!
//! `kill` kills it, `stop` stops it with a stand-by beside it and wakes it later, `errors` makes a system call fail;
//! `lone` does the first two around one message that a service at rest is sent;
//! `counting` does both to a service with an extension that keeps a number and sends.
//! `retention` does all three while old days of the archive (`aged`) are packed and removed, and `letters` while dead letters are tried again
//! and removed; `set_aside` the first and the last while what is decided cannot be published. `install` kills the commands that change the set of extensions, and has their calls fail; `alone` has those of one message.
//! `harness` shows on a small stand-in program that the tracer does what the sweeps believe it does, and `auditor` that
//! the audit finds what is wrong.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod aged;
mod alone;
mod auditor;
mod cases;
mod counting;
mod errors;
mod harness;
mod install;
mod kill;
mod letters;
mod lone;
mod retention;
mod running;
mod set_aside;
mod stand_in;
mod stop;
#[path = "../support/mod.rs"]
mod support;
