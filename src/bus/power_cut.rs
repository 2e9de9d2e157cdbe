//! Recovery where boot or mount are others than when a record was decided: what was renamed may not have stayed, so everything is
//! looked for and compared, and written again where it is missing.
//!
//! A power cut undoes renames that were not made durable, each for itself. The message may be back in the room under an earlier
//! attempt, back in `deferred/`, or back in the drop.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::error::BusError;
use super::folders::Folders;
use super::layout::{self, ClaimName, Ticket, WaitingName};
use super::publish;
use super::record::{Finish, Record, Target};
use super::recover::Remains;
use super::room::Room;
use super::state;

/// Is the message back where it was before it was claimed at all, though the record only put it off?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    Yes,
    No,
}

/// Makes true what one record says. `latest`: the last record of each message; an earlier one has nothing left to say.
pub(super) fn carry_out(
    disk: &Disk,
    room: &Room,
    remains: &Remains,
    latest: &HashMap<Ticket, usize>,
    index: usize,
    folders: &mut Folders,
) -> Result<Undone, BusError> {
    let record = &remains.records[index];
    if latest.get(&record.claim.ticket) != Some(&index) {
        return Ok(Undone::No);
    }
    let message = message_file(disk, remains, record, record.claim.attempt)?;
    publish_again(disk, room, remains, latest, index, message.as_deref())?;
    if let Some(path) = &message {
        publish::finish(disk, room, path, folders, &record.finish)?;
        return Ok(Undone::No);
    }
    is_undone(disk, remains, latest, index)
}

/// Is the message, which was put off, nowhere any more? This asks about one whose handling began again after that, too: its
/// claim can have been undone with all that followed.
pub(super) fn is_undone(
    disk: &Disk,
    remains: &Remains,
    latest: &HashMap<Ticket, usize>,
    index: usize,
) -> Result<Undone, BusError> {
    let record = &remains.records[index];
    let waits = matches!(record.finish, Finish::Deferred { .. } | Finish::Held { .. });
    let is_last = latest.get(&record.claim.ticket) == Some(&index);
    if !waits || !is_last || record.claim.ticket.part.is_some() {
        return Ok(Undone::No);
    }
    // Under a higher attempt, too: it was resumed, and that stayed.
    let is_there =
        disk.stat(&record.finish.path())?.is_some() || message_file(disk, remains, record, u32::MAX)?.is_some();
    Ok(if is_there { Undone::No } else { Undone::Yes })
}

/// Where the message's file is, if it is not where the record takes it: in a room, or waiting, under `last_attempt` or one
/// before.
fn message_file(
    disk: &Disk,
    remains: &Remains,
    record: &Record,
    last_attempt: u32,
) -> Result<Option<PathBuf>, BusError> {
    let is_it = |claim: &ClaimName| claim.ticket == record.claim.ticket && claim.attempt <= last_attempt;
    let in_room = remains.files.iter().find(|(name, _)| ClaimName::parse(name).is_some_and(|claim| is_it(&claim)));
    if let Some((_, path)) = in_room {
        return Ok(Some(path.clone()));
    }
    let end = record.finish.path();
    for folder in [layout::DEFERRED, layout::HELD] {
        let mut found = None;
        disk.for_each(folder.as_ref(), |name, _| {
            let path = Path::new(folder).join(name);
            let waiting = name.to_str().and_then(WaitingName::parse);
            if path != end && waiting.is_some_and(|waiting| is_it(&waiting.claim)) {
                found = Some(path);
            }
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn publish_again(
    disk: &Disk,
    room: &Room,
    remains: &Remains,
    latest: &HashMap<Ticket, usize>,
    index: usize,
    message: Option<&Path>,
) -> Result<(), BusError> {
    let record = &remains.records[index];
    let text = match message {
        _ if !record.refers_to_message() => Vec::new(),
        Some(path) => disk.read(path, u64::MAX)?.unwrap_or_default(),
        None => disk.read(&record.finish.path(), u64::MAX)?.unwrap_or_default(),
    };
    for (number, effect) in record.effects.iter().enumerate() {
        let staged = remains.path_of(room, &record.staged_name(number));
        // Without the message's text (its writer had not made it durable) what refers to it cannot be written again.
        let Some(content) = record.effect_bytes(number, &text) else { continue };
        let is_done = match &effect.to {
            Target::Room { name } => has_gone_its_way(disk, remains, latest, name, &content)?,
            Target::Agent { agent } => remains.registration_is_overtaken(index, agent),
            Target::AgentGone { agent } => {
                if !remains.registration_is_overtaken(index, agent) {
                    publish::remove(disk, room, &layout::agent_file(agent))?;
                }
                true
            }
            Target::State { version, .. } => state::version_at(disk, &effect.to.path(&room.path))? >= *version,
            Target::Inbox { .. } | Target::Why { .. } => false,
        };
        let fresh = room.file(record.staged_name(number));
        if is_done || staged != fresh {
            disk.remove_file(&staged)?;
        }
        if !is_done {
            publish::publish_by_content(disk, room, &fresh, effect, &content)?;
        }
    }
    Ok(())
}

/// A delivery of a split needs nothing more: it is decided and its file is where that says, or it lies whole in a room.
fn has_gone_its_way(
    disk: &Disk,
    remains: &Remains,
    latest: &HashMap<Ticket, usize>,
    name: &str,
    content: &[u8],
) -> Result<bool, BusError> {
    let Some(claim) = ClaimName::parse(name) else { return Ok(false) };
    if let Some(record) = latest.get(&claim.ticket).map(|index| &remains.records[*index]) {
        let is_final = matches!(record.finish, Finish::Archive { .. } | Finish::DeadLetter { .. });
        return Ok(is_final
            || disk.stat(&record.finish.path())?.is_some()
            || message_file(disk, remains, record, u32::MAX)?.is_some());
    }
    let is_it = |name: &str| ClaimName::parse(name).is_some_and(|other| other.ticket == claim.ticket);
    let Some((_, path)) = remains.files.iter().find(|(name, _)| is_it(name)) else { return Ok(false) };
    if disk.read(path, u64::MAX)?.is_some_and(|bytes| bytes == content) {
        return Ok(true);
    }
    // What the power cut left of it; the record has all of it.
    disk.remove_file(path)?;
    Ok(false)
}
