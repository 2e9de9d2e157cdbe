//! postroom: the message bus that lives in a folder.
//!
//! Any tool drops a JSON file into `ai-communication/`; a service claims it with one rename, checks it, delivers it to an
//! agent's inbox or hands it to a handler, and a reply file appears. The folder is the state.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`message`] | what a message is: strict JSON, ids, fields, replies, what a handler may answer. Pure |
//! | [`policy`] | who may do what: settings, routing, replies, limits, retries. Pure |
//! | [`bus`] | where a message is: names, claims, the commit log, recovery. The only one that touches the bus folders |
//! | [`extension`] | WebAssembly components that handle messages, in a sandbox |
//! | [`control`] | the commands that the service answers itself |
//! | [`service`] | the line through all of them, takeover, retries, shutdown |

//!
//! A program that serves a bus itself needs four names:
//!
//! ```no_run
//! use postroom::{Config, Mode, Notice, Service};
//!
//! # fn main() -> Result<(), postroom::bus::BusError> {
//! let bus = std::path::Path::new("ai-communication");
//! postroom::bus::create(bus)?;
//! let service = Service::new(Config::new(bus), |notice: &Notice| eprintln!("{notice}"));
//! let stopper = service.stopper(); // for another thread, or a signal
//! service.run(Mode::UntilStopped)
//! # }
//! ```
//!
//! `examples/embed.rs` is the same with a message and its answer. Whoever only writes messages needs no library.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_macros))]

pub mod bus;
pub mod control;
pub mod extension;
pub mod message;
pub mod policy;
pub mod service;

pub use service::{Config, Mode, Notice, Service, Stopper};
