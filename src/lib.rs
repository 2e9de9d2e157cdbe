//! postroom: the message bus that lives in a folder.
//!
//! Any tool drops a JSON file into `ai-communication/`; a service claims it with one rename, checks it, delivers it to an
//! agent's inbox or hands it to a handler, and a reply file appears. The folder is the state.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`message`] | what a message is: strict JSON, ids, fields, replies, what a handler may answer. Pure |
//! | [`extension`] | WebAssembly components that handle messages, in a sandbox |

pub mod extension;
pub mod message;
