//! From a record to what everybody sees: stage, then (after the commit) publish and finish.
//!
//! Each effect waits in the room as a file of its own; one rename without replacing makes it visible and uses it up. So an
//! effect is published at most once, and a staged file that is gone says that it was. All of it can be done again by
//! whoever finds the record.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::ahead::Ahead;
use super::disk::{self, Disk, DiskError, Moved, Sync};
use super::error::BusError;
use super::folders::Folders;
use super::layout::{self, ClaimName};
use super::record::{Effect, Finish, Record, Target};
use super::room::Room;
use super::state;

pub(super) fn make_with_parents(disk: &Disk, path: &Path) -> Result<(), BusError> {
    let mut made = PathBuf::new();
    for part in path {
        made.push(part);
        disk.make_folder(&made)?;
    }
    Ok(())
}

/// Writes a record's effects into the room, the first into the file made ahead if there is one. `message` is the text of
/// the claimed file.
pub fn stage(disk: &Disk, room: &Room, ahead: &mut Ahead, record: &mut Record, message: &[u8]) -> Result<(), BusError> {
    ahead.stage_first(disk, room, record, message);
    // The first stands in that file then, also where an earlier try to stage this record has got so far.
    let first = usize::from(record.ahead.is_some());
    for (index, effect) in record.effects.iter().enumerate().skip(first) {
        let path = room.file(record.staged_name(index));
        let pieces = effect.slices(message);
        match disk.create(&path, &pieces, Sync::Later) {
            Ok(()) => {}
            Err(error) if error.is_not_found() => return Err(room.missing(disk, error)),
            // Left by an attempt to stage that failed half-way; nothing can have been decided about it.
            Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists => {
                disk.remove_file(&path)?;
                disk.create(&path, &pieces, Sync::Later)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes a claimed file durable whose content the log only refers to. Where it is must be durable too ([`Disk::sync_folder`] of
/// the room): back in the drop after a power cut, it would not be found.
pub fn sync_claim(disk: &Disk, room: &Room, claim: &ClaimName) -> Result<(), BusError> {
    let path = room.file(claim.file_name());
    let absent = || DiskError::new("open", &path, rustix::io::Errno::NOENT);
    let fd = disk.open_beneath(&path, OFlags::RDONLY)?.ok_or_else(|| room.missing(disk, absent()))?;
    rustix::fs::fdatasync(&fd).map_err(|e| DiskError::new("sync", &path, e).into())
}

/// Publishes every effect of a decided record that is still staged in `from` (the own room, or one under recovery).
pub fn publish(
    disk: &Disk,
    room: &Room,
    from: &dyn Fn(&str) -> PathBuf,
    folders: &mut Folders,
    record: &Record,
) -> Result<(), BusError> {
    // Almost always it is the very same one.
    let is_of_here = Arc::ptr_eq(&record.place, &room.place) || record.place.same_mount(&room.place);
    for (index, effect) in record.effects.iter().enumerate() {
        let staged = from(&record.staged_name(index));
        let known = if is_of_here { Ok(()) } else { forget_if_there(disk, room, &staged, &effect.to) };
        known
            .and_then(|()| publish_one(disk, room, &staged, folders, &effect.to))
            .or_else(|error| unless_used_up(disk, room, &staged, error))?;
    }
    Ok(())
}

fn publish_one(
    disk: &Disk,
    room: &Room,
    staged: &Path,
    folders: &mut Folders,
    target: &Target,
) -> Result<(), BusError> {
    match target {
        Target::Inbox { .. } => publish_into(disk, room, staged, folders, target)?,
        Target::Room { .. } | Target::Why { .. } => {
            let to = target.path(&room.path);
            // Taken: the same name under the same ticket can only be this very effect, published before a power cut.
            if disk.rename_new(staged, &to)? == Moved::Gone {
                still_here(disk, room, staged, &to)?;
            }
        }
        Target::Agent { agent } => {
            let to = layout::agent_file(agent);
            if disk.rename_over(staged, &to)? == Moved::Gone {
                still_here(disk, room, staged, &to)?;
            }
        }
        Target::AgentGone { agent } => end_registration(disk, room, staged, agent)?,
        Target::State { version, .. } => {
            state::publish(disk, room, staged, &target.path(&room.path), *version)?;
        }
    }
    Ok(())
}

/// What is used up was published, whatever its folder has become since: an inbox that is no folder any more says nothing about
/// what its agent has taken out of it.
fn unless_used_up(disk: &Disk, room: &Room, staged: &Path, error: BusError) -> Result<(), BusError> {
    if !error.is_transient() || disk.stat(staged)?.is_some() {
        return Err(error);
    }
    if room.exists(disk)? { Ok(()) } else { Err(BusError::RoomGone) }
}

/// What was staged again after a power cut (see [`super::unfinished`]) may have been published before it: that is known by its content
/// alone, once its folder can be looked at.
fn forget_if_there(disk: &Disk, room: &Room, staged: &Path, target: &Target) -> Result<(), BusError> {
    if !matches!(target, Target::Inbox { .. } | Target::Why { .. }) {
        return Ok(());
    }
    let Some(content) = disk.read(staged, u64::MAX)? else { return Ok(()) };
    let first = target;
    let mut target = Some(first.clone());
    while let Some(here) = target {
        let path = here.path(&room.path);
        match there(disk, &path, &content)? {
            There::Same => {
                disk.remove_file(staged)?;
                return Ok(());
            }
            There::CutShort => return remove(disk, room, &path),
            There::Missing => return Ok(()),
            There::Other => target = here.next_number(first),
        }
    }
    Ok(())
}

/// Something was not found. The room is gone, or the effect is used up: then all is well. If the staged file is there, its
/// target's folder is not: that is an error to be tried again.
fn still_here(disk: &Disk, room: &Room, staged: &Path, to: &Path) -> Result<(), BusError> {
    if !room.exists(disk)? {
        return Err(BusError::RoomGone);
    }
    if disk.stat(staged)?.is_some() {
        if let Some(folder) = to.parent() {
            make_with_parents(disk, folder)?;
        }
        return match disk.rename_new(staged, to)? {
            Moved::Done | Moved::Taken => Ok(()),
            Moved::Gone => Err(DiskError::new("rename to", to, rustix::io::Errno::NOENT).into()),
        };
    }
    Ok(())
}

fn publish_into(
    disk: &Disk,
    room: &Room,
    staged: &Path,
    folders: &mut Folders,
    target: &Target,
) -> Result<(), BusError> {
    let Target::Inbox { agent, .. } = target else { return Ok(()) };
    let folder = layout::inbox(agent);
    let first = target;
    let mut target = first.clone();
    let mut looked_again = false;
    loop {
        match folders.rename_into(disk, staged, &folder, &target.file_name())? {
            Moved::Done => return Ok(()),
            Moved::Taken => match target.next_number(first) {
                Some(next) => target = next,
                // Whoever has filled the inbox so may empty it: it is tried again.
                None => return Err(DiskError::new("rename into", &folder, rustix::io::Errno::EXIST).into()),
            },
            Moved::Gone => {
                if !room.exists(disk)? {
                    return Err(BusError::RoomGone);
                }
                if disk.stat(staged)?.is_none() {
                    return Ok(());
                }
                // The inbox was removed and perhaps made again since it was opened: now it is opened anew.
                if std::mem::replace(&mut looked_again, true) {
                    return Err(DiskError::new("rename into", &folder, rustix::io::Errno::NOENT).into());
                }
            }
        }
    }
}

/// Removes a file outside the room, by way of the room, so that a service that was replaced removes nothing.
pub fn remove(disk: &Disk, room: &Room, path: &Path) -> Result<(), BusError> {
    let gone = room.file(format!("gone-{}", uuid::Uuid::now_v7()));
    match disk.rename_new(path, &gone)? {
        Moved::Done => disk.remove_file(&gone)?,
        Moved::Taken | Moved::Gone if room.exists(disk)? => false,
        Moved::Taken | Moved::Gone => return Err(BusError::RoomGone),
    };
    Ok(())
}

/// Ends a registration: its file goes into the room and is removed, then the token that says it is still to be done.
fn end_registration(disk: &Disk, room: &Room, token: &Path, agent: &str) -> Result<(), BusError> {
    if disk.stat(token)?.is_none() {
        return still_here(disk, room, token, token);
    }
    let gone = room.file(format!("gone-{agent}.json"));
    disk.rename_over(&layout::agent_file(agent), &gone)?;
    disk.remove_file(&gone)?;
    disk.remove_file(token)?;
    Ok(())
}

/// Takes the message itself to where it ends. `claimed`: where its file is now. Not there: it was done before.
pub fn finish(
    disk: &Disk,
    room: &Room,
    claimed: &Path,
    folders: &mut Folders,
    finish: &Finish,
) -> Result<(), BusError> {
    rename_to_its_end(disk, room, claimed, folders, finish).or_else(|error| unless_used_up(disk, room, claimed, error))
}

fn rename_to_its_end(
    disk: &Disk,
    room: &Room,
    claimed: &Path,
    folders: &mut Folders,
    finish: &Finish,
) -> Result<(), BusError> {
    let (folder, first) = finish.place();
    let mut name = first.to_owned();
    let mut number = 1;
    let mut looked_again = false;
    loop {
        match folders.rename_into(disk, claimed, &folder, &name)? {
            Moved::Done => return Ok(()),
            // Only somebody who meddles can have that name; both files are kept.
            Moved::Taken => {
                number += 1;
                name = format!("{}~{number}.json", first.trim_end_matches(".json"));
            }
            Moved::Gone => {
                if !room.exists(disk)? {
                    return Err(BusError::RoomGone);
                }
                if disk.stat(claimed)?.is_none() {
                    return Ok(());
                }
                if std::mem::replace(&mut looked_again, true) {
                    return Err(DiskError::new("rename into", &folder, rustix::io::Errno::NOENT).into());
                }
            }
        }
    }
}

/// After a power cut, or from elsewhere: makes sure that an effect's content is at its final path, written again from the
/// record if it is missing or was cut short. Another's file of that name is left, and the next number taken.
pub fn publish_by_content(
    disk: &Disk,
    room: &Room,
    staged: &Path,
    effect: &Effect,
    content: &[u8],
) -> Result<(), BusError> {
    let mut target = effect.to.clone();
    loop {
        let path = target.path(&room.path);
        match there(disk, &path, content)? {
            There::Same => {
                disk.remove_file(staged)?;
                return Ok(());
            }
            There::Missing => {}
            There::CutShort => remove(disk, room, &path)?,
            There::Other => match target.next_number(&effect.to) {
                Some(next) => {
                    target = next;
                    continue;
                }
                None => match target {
                    // Replaced: by the caller's look at what came later, this is not that.
                    Target::Agent { .. } | Target::State { .. } => {}
                    // The name is the ticket's own, so this is its own later state.
                    Target::Inbox { .. } | Target::Room { .. } | Target::Why { .. } | Target::AgentGone { .. } => {
                        return Ok(());
                    }
                },
            },
        }
        disk.remove_file(staged)?;
        disk.create(staged, &[content], Sync::Now)?;
        if let Some(folder) = path.parent() {
            make_with_parents(disk, folder)?;
        }
        let moved = match target {
            Target::Agent { .. } | Target::State { .. } => disk.rename_over(staged, &path)?,
            Target::Inbox { .. } | Target::Room { .. } | Target::Why { .. } | Target::AgentGone { .. } => {
                disk.rename_new(staged, &path)?
            }
        };
        match moved {
            Moved::Done => return Ok(()),
            // Somebody put a file there since: look again.
            Moved::Taken => {}
            Moved::Gone => return Err(room.missing(disk, DiskError::new("rename to", &path, rustix::io::Errno::NOENT))),
        }
    }
}

enum There {
    Same,
    Missing,
    /// What a power cut left of it: empty, or not JSON.
    CutShort,
    Other,
}

fn there(disk: &Disk, path: &Path, content: &[u8]) -> Result<There, BusError> {
    let Some(stat) = disk.stat(path)? else { return Ok(There::Missing) };
    if !disk::is_regular(&stat) {
        return Ok(There::Other);
    }
    let Some(found) = disk.read(path, u64::MAX)? else { return Ok(There::Missing) };
    Ok(if found == content {
        There::Same
    } else if serde_json::from_slice::<serde::de::IgnoredAny>(&found).is_err() {
        There::CutShort
    } else {
        There::Other
    })
}
