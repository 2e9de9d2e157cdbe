//! Dropping a message, as any other program does it: a hidden file, then one rename to a new name.

use std::path::{Path, PathBuf};

use postroom::bus::Disk;
use postroom::bus::disk::{Moved, Sync};
use postroom::message::{AgentId, Code, Given, Message};
use postroom::policy::Settings;
use uuid::Uuid;

use super::ext::place;
use super::workspace::Workspace;
use super::{Exit, Failure, text, units};

/// Checks a message's text as the service will, so that a bad one is refused where it is written.
pub fn check(written: String, workspace: &Workspace, settings: &Settings) -> Result<Message, Failure> {
    let max = settings.bus.max_message_bytes;
    if written.len() as u64 > max {
        let says = format!("too-large: the message has {} bytes, more than the {max} allowed", written.len());
        return Err(Failure::new(Exit::Refused, says).with_hint("the limit is bus.max_message_bytes in postroom.toml"));
    }
    let given = Given { file_identity: (0, 0), now_ms: units::now_ms() };
    let message = Message::parse(written, given)?;
    match is_taken(message.sender(), workspace)? {
        true => Err(not_its_name(message.sender())),
        false => Ok(message),
    }
}

/// Is it the service's own name or an extension's? A file in the drop cannot be from them, and none is delivered to an inbox of theirs.
pub fn is_taken(name: &AgentId, workspace: &Workspace) -> Result<bool, Failure> {
    let extension = place::at(&workspace.bus)?.folder.join(format!("{name}.wasm"));
    Ok(name.is_postroom() || extension.is_file())
}

fn not_its_name(sender: &AgentId) -> Failure {
    let code = Code::NotPermitted;
    let says = format!(
        "{code}: the name {sender} belongs to the service or an extension; no message can be dropped as theirs"
    );
    Failure::new(Exit::Refused, says).with_hint("use a name of your own: --from NAME")
}

/// Drops a checked message; returns its path in the bus. From then on it is accepted.
pub fn drop(disk: &Disk, message: &Message, sync: Sync) -> Result<PathBuf, Failure> {
    let name = Uuid::now_v7();
    let hidden = PathBuf::from(format!(".{name}.tmp"));
    let dropped = PathBuf::from(format!("{name}.json"));
    disk.create(&hidden, &[message.text().as_bytes(), b"\n"], sync)?;
    match disk.rename_new(&hidden, &dropped) {
        Ok(Moved::Done) => {}
        other => {
            // The hidden file is ours alone; if this fails too, `doctor` finds it.
            let _ = disk.remove_file(&hidden);
            let because = match other {
                Err(error) => return Err(error.into()),
                Ok(Moved::Taken) => "the name is taken",
                Ok(Moved::Done | Moved::Gone) => "the bus folder was moved or removed meanwhile",
            };
            let path = text::path(&disk.path().join(&dropped));
            return Err(Failure::new(Exit::Failure, format!("cannot drop the message as {path}: {because}")));
        }
    }
    if sync == Sync::Now {
        disk.sync_folder(Path::new("."))?;
    }
    Ok(dropped)
}
