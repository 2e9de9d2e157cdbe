//! `postroom send`: drops a message and returns.

use std::path::PathBuf;

use postroom::bus::layout;
use serde::Serialize;

use super::letter::{self, Letter};
use super::print::Format;
use super::workspace::sync;
use super::{Exit, Failure, Global, drop, print};

/// Drop a message and print its id
///
/// The service need not be running. The reply, if there is one, comes to the sender's inbox as <id>.reply.json.
#[derive(Debug, clap::Args)]
pub struct Send {
    #[command(flatten)]
    letter: Letter,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    id: String,
    sender: String,
    recipients: Vec<String>,
    action: String,
    /// Relative to the bus.
    dropped_as: PathBuf,
    /// Where the one reply will be, if there is one recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_at: Option<PathBuf>,
}

impl Send {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let workspace = global.workspace()?;
        let settings = workspace.settings()?;
        let message = drop::check(self.letter.write()?, &workspace, &settings)?;
        let dropped_as = drop::drop(&workspace.disk()?, &message, sync(&settings))?;
        let recipients = letter::words(message.recipient());
        let reply_at = (recipients.len() == 1 && recipients[0] != "*")
            .then(|| layout::inbox(message.sender().as_str()).join(layout::reply_name(message.id().as_str(), None, 1)));
        match global.format() {
            Format::Text => print::line(message.id().as_str())?,
            Format::Json => print::json(&Sent {
                id: message.id().to_string(),
                sender: message.sender().to_string(),
                recipients,
                action: message.action().to_string(),
                dropped_as,
                reply_at,
            })?,
        }
        Ok(Exit::Ok)
    }
}
