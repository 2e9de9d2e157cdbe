//! Recovery where boot or mount are others than when a record was decided: what was renamed may not have stayed, so everything is
//! looked for and compared, and written again where it is missing.
//!
//! A power cut undoes renames that were not made durable, each for itself. The message may be back in the room under an earlier
//! attempt, back in `deferred/`, or back in the drop.

use std::path::{Path, PathBuf};

use super::disk::{Disk, Sync};
use super::error::BusError;
use super::folders::Folders;
use super::layout::{self, ClaimName};
use super::publish;
use super::record::{Finish, Target};
use super::remains::Remains;
use super::room::Room;
use super::state;
use super::unfinished::{Outcome, SetAside, Turn};

/// Makes true what one record says. If that is not the last one of its message, it has nothing left to say.
pub(super) fn carry_out(
    disk: &Disk,
    room: &Room,
    remains: &Remains,
    index: usize,
    folders: &mut Folders,
    set_aside: &mut SetAside,
) -> Result<Outcome, BusError> {
    let record = &remains.records[index];
    if !remains.is_last(index) {
        return Ok(Outcome::Done);
    }
    let message = remains.message_file(record, record.claim.attempt);
    let turn = set_aside.turn_of(record);
    let staged = publish_again(disk, room, remains, index, message, turn)?;
    let Some(path) = message else {
        return Ok(match staged.as_slice() {
            [_, ..] => Outcome::SetAside(staged),
            [] if is_undone(disk, remains, index)? => Outcome::Undone,
            [] => Outcome::Done,
        });
    };
    if staged.is_empty() && turn == Turn::Now {
        match publish::finish(disk, room, path, folders, &record.finish) {
            Ok(()) => return Ok(Outcome::Done),
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error),
        }
    }
    set_aside.bring_home(disk, room, path, &record.claim.file_name())?;
    Ok(Outcome::SetAside(staged))
}

/// Is the message, which was put off, nowhere any more? Then it is back where it was before it was claimed at all. This asks about one
/// whose handling began again after that, too: its claim can have been undone with all that followed.
pub(super) fn is_undone(disk: &Disk, remains: &Remains, index: usize) -> Result<bool, BusError> {
    let record = &remains.records[index];
    let waits = matches!(record.finish, Finish::Deferred { .. } | Finish::Held { .. });
    if !waits || !remains.is_last(index) || record.claim.ticket.part.is_some() {
        return Ok(false);
    }
    // Under a higher attempt, too: it was resumed, and that stayed.
    let is_there = remains.message_file(record, u32::MAX).is_some() || disk.stat(&record.finish.path())?.is_some();
    Ok(!is_there)
}

/// Which of the effects cannot be published now: these are staged in the own room.
fn publish_again(
    disk: &Disk,
    room: &Room,
    remains: &Remains,
    index: usize,
    message: Option<&Path>,
    turn: Turn,
) -> Result<Vec<usize>, BusError> {
    let record = &remains.records[index];
    let text = match message {
        _ if !record.refers_to_message() => Vec::new(),
        Some(path) => disk.read(path, u64::MAX)?.unwrap_or_default(),
        None => disk.read(&record.finish.path(), u64::MAX)?.unwrap_or_default(),
    };
    let mut left = Vec::new();
    for (number, effect) in record.effects.iter().enumerate() {
        // A split has as many as there are agents, and each is made durable.
        room.beat_if_due(disk)?;
        // Without the message's text (its writer had not made it durable) what refers to it cannot be written again.
        let Some(content) = record.effect_bytes(number, &text) else { continue };
        // Whether a message has gone its way can be known here alone; staged until later, it could be handled twice.
        let may_wait = !matches!(effect.to, Target::Room { .. });
        let waits = match turn {
            Turn::Later if may_wait => true,
            Turn::Later | Turn::Now => match publish_one_again(disk, room, remains, index, number, &content) {
                Ok(()) => false,
                Err(error) if may_wait && error.is_transient() => true,
                Err(error) => return Err(error),
            },
        };
        if waits {
            stage_again(disk, room, remains, &record.staged_name(number), &content)?;
            left.push(number);
        }
    }
    Ok(left)
}

fn publish_one_again(
    disk: &Disk,
    room: &Room,
    remains: &Remains,
    index: usize,
    number: usize,
    content: &[u8],
) -> Result<(), BusError> {
    let record = &remains.records[index];
    let effect = &record.effects[number];
    let is_done = is_done(disk, room, remains, index, &effect.to, content)?;
    let (staged, fresh) = staged_again(room, remains, &record.staged_name(number));
    if is_done || staged != fresh {
        disk.remove_file(&staged)?;
    }
    if is_done { Ok(()) } else { publish::publish_by_content(disk, room, &fresh, effect, content) }
}

/// Unsynced: after another power cut it is made of the record again.
fn stage_again(disk: &Disk, room: &Room, remains: &Remains, name: &str, content: &[u8]) -> Result<(), BusError> {
    let (staged, fresh) = staged_again(room, remains, name);
    disk.remove_file(&staged)?;
    disk.remove_file(&fresh)?;
    disk.create(&fresh, &[content], Sync::Later).map_err(|error| room.missing(disk, error))
}

/// Where an effect was staged, and where it is staged now.
fn staged_again(room: &Room, remains: &Remains, name: &str) -> (PathBuf, PathBuf) {
    (remains.path_of(room, name), room.file(name))
}

/// Is nothing to be published of this effect?
fn is_done(
    disk: &Disk,
    room: &Room,
    remains: &Remains,
    index: usize,
    target: &Target,
    content: &[u8],
) -> Result<bool, BusError> {
    Ok(match target {
        Target::Room { name } => has_gone_its_way(disk, remains, name, content)?,
        Target::Agent { agent } => remains.registration_is_overtaken(index, agent),
        Target::AgentGone { agent } => {
            if !remains.registration_is_overtaken(index, agent) {
                publish::remove(disk, room, &layout::agent_file(agent))?;
            }
            true
        }
        Target::State { version, .. } => state::version_at(disk, &target.path(&room.path))? >= *version,
        Target::Inbox { .. } | Target::Why { .. } => false,
    })
}

/// A delivery of a split needs nothing more: it is decided and its file is where that says, or it lies whole in a room.
fn has_gone_its_way(disk: &Disk, remains: &Remains, name: &str, content: &[u8]) -> Result<bool, BusError> {
    let Some(claim) = ClaimName::parse(name) else { return Ok(false) };
    if let Some(record) = remains.last_of(claim.ticket) {
        let is_final = matches!(record.finish, Finish::Archive { .. } | Finish::DeadLetter { .. });
        return Ok(is_final
            || remains.message_file(record, u32::MAX).is_some()
            || disk.stat(&record.finish.path())?.is_some());
    }
    let Some(path) = remains.claimed(claim.ticket) else { return Ok(false) };
    if disk.read(path, u64::MAX)?.is_some_and(|bytes| bytes == content) {
        return Ok(true);
    }
    // What the power cut left of it; the record has all of it.
    disk.remove_file(path)?;
    Ok(false)
}
