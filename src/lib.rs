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

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_macros))]

pub mod bus;
pub mod control;
pub mod extension;
pub mod message;
pub mod policy;
pub mod service;

pub use service::Service;
