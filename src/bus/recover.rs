//! After a takeover: carries out what dead services had decided, and takes in what they had not.
//!
//! The order is that of the commit protocol, "Recovery, by state": the logs of all rooms first, the own log made durable, only
//! then anything removed or published. An undecided claim is renamed into the own room with its ticket and attempt (one more
//! if its handling had begun), so its place in the order and its count of attempts are kept. All of it can be interrupted and
//! done again.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::disk::{Disk, Moved};
use super::error::BusError;
use super::folders::Folders;
use super::ids::Ids;
use super::journal::Journal;
use super::layout::{self, ClaimName, Ticket};
use super::log::{Durability, Log, Note};
use super::power_cut;
use super::publish;
use super::record::{IdNote, IdState, Record};
use super::remains::{Remains, is_staged_file};
use super::room::Room;
use super::told::Told;
use super::unfinished::{Outcome, SetAside, Turn, Unfinished};

/// A claim that recovery found undecided, now in the own room.
#[derive(Clone, Debug)]
pub struct Adopted {
    pub name: ClaimName,
    /// Its handling had begun when its service died: perhaps it was the reason. These run one at a time.
    pub suspect: bool,
}

/// What recovery did.
#[derive(Debug, Default)]
pub struct Recovered {
    /// In the order of their tickets, which is the order of their first claims.
    pub adopted: Vec<Adopted>,
    /// What is decided and cannot be carried out now, in the order of decision.
    pub unfinished: Vec<Unfinished>,
    pub records: usize,
    pub rooms: usize,
    /// Things of our own that could not be understood, and where they were moved.
    pub moved_aside: Vec<PathBuf>,
}

/// Works off everything in the rooms that were taken over. Nothing may be claimed before this has succeeded. `day`: which it is now.
pub fn recover(
    disk: &Disk,
    room: &Room,
    log: &mut Log,
    journal: &mut Journal,
    ids: &mut Ids,
    durability: Durability,
    day: &str,
) -> Result<Recovered, BusError> {
    let mut recovered = Recovered::default();
    loop {
        let mut remains = Remains::read(disk, room)?;
        if remains.rooms.is_empty() {
            return Ok(recovered);
        }
        recovered.rooms += remains.rooms.len();
        recovered.records += remains.records.len();
        let told = told(disk, room, &remains)?;
        write_down(disk, room, log, &mut remains, &told)?;
        for path in &remains.rooms {
            disk.remove_file(&path.join(layout::ROOM_NEW_LOG))?;
            move_damaged_log(disk, room, path, &remains.damaged, &mut recovered)?;
            disk.remove_file(&path.join(layout::ROOM_LOG))?;
            // A log that a power cut brings back may hold what its hung owner appended after it was read here
            // (tests/model: deleted_log_comes_back).
            if durability == Durability::Full {
                disk.sync_folder(path)?;
            }
        }
        let set_aside = carry_out(disk, room, &remains, &told, journal, ids, day)?;
        recovered.moved_aside.extend_from_slice(&set_aside.doubles);
        recovered.unfinished.extend(set_aside.unfinished(&remains.records));
        if durability == Durability::Full && !recovered.unfinished.is_empty() {
            // Before the rooms go in which it lay: the log may refer to a message's file.
            disk.sync_folder(&room.path)?;
        }
        journal.flush(disk)?;
        ids.flush(disk, day)?;
        adopt(disk, room, &remains, &mut recovered)?;
        for path in &remains.rooms {
            remove_room(disk, path, &mut recovered)?;
        }
    }
}

/// Makes the own log say all that the old ones do.
fn write_down(disk: &Disk, room: &Room, log: &mut Log, remains: &mut Remains, told: &Told) -> Result<(), BusError> {
    for records in remains.records.chunks_mut(256) {
        room.beat_if_due(disk)?;
        let batch: Vec<(&Record, &[u8])> = records.iter().map(|record| (record, &[][..])).collect();
        log.commit(disk, room, &batch)?;
        for record in records.iter_mut().filter(|record| record.place.same_mount(&room.place)) {
            // What is still here will be needed to carry it out.
            let is_here = remains.files.contains_key(&record.claim.to_string());
            if told.has(record) && !is_here {
                forget_texts(record);
            }
        }
    }
    // Which handlings had begun is known from the old logs alone, too.
    for claim in remains.begun.values() {
        log.note(room, &Note::Started { claim: claim.to_string() })?;
    }
    Ok(())
}

/// A journal that cannot be read tells nothing: then lines are written twice, which readers ignore.
fn told(disk: &Disk, room: &Room, remains: &Remains) -> Result<Told, BusError> {
    if remains.records.is_empty() {
        return Ok(Told::default());
    }
    match Told::since(disk, &|| room.beat_if_due(disk), &remains.begins) {
        Err(BusError::RoomGone) => Err(BusError::RoomGone),
        told => Ok(told.unwrap_or_default()),
    }
}

fn move_damaged_log(
    disk: &Disk,
    room: &Room,
    path: &Path,
    damaged: &[PathBuf],
    recovered: &mut Recovered,
) -> Result<(), BusError> {
    if !damaged.iter().any(|d| d == path) {
        return Ok(());
    }
    let aside = Path::new(layout::PRIVATE).join(format!("damaged-log-{}", Uuid::now_v7()));
    if disk.rename_new(&path.join(layout::ROOM_LOG), &aside)? == Moved::Gone && !room.exists(disk)? {
        return Err(BusError::RoomGone);
    }
    recovered.moved_aside.push(aside);
    Ok(())
}

/// What it would publish is there as files, and the journal tells it already: in a full log such texts are a third of all.
fn forget_texts(record: &mut Record) {
    for effect in &mut record.effects {
        effect.body = Vec::new();
    }
}

/// What the records say of each sender and id.
type Noted<'a> = BTreeMap<(&'a str, &'a str), (Ticket, &'a IdNote)>;

/// Publishes and finishes what was decided, and notes the ids, also of what is set aside.
fn carry_out(
    disk: &Disk,
    room: &Room,
    remains: &Remains,
    told: &Told,
    journal: &mut Journal,
    ids: &mut Ids,
    day: &str,
) -> Result<SetAside, BusError> {
    let (mut folders, mut set_aside) = (Folders::default(), SetAside::default());
    // What is said last of an id counts: a message may have been put off, given up and tried again in one log.
    let mut noted = Noted::new();
    for (index, record) in remains.records.iter().enumerate() {
        room.beat_if_due(disk)?;
        let is_done = match carry_out_one(disk, room, remains, index, &mut folders, &mut set_aside)? {
            Some(Outcome::Done) => true,
            Some(Outcome::SetAside(staged)) => {
                set_aside.add(index, record, staged);
                false
            }
            Some(Outcome::Undone) => {
                forget(ids, &mut noted, record)?;
                continue;
            }
            None => continue,
        };
        if let Some(note) = &record.id {
            noted.insert((&note.sender, &note.id), (record.claim.ticket, note));
        }
        if let Some(note) = &record.answers
            && ids.answer_of(&note.sender, &note.id, &note.responder)?.is_none()
        {
            ids.note_answer(record.claim.ticket, note);
        }
        if is_done && !told.has(record) {
            let message = disk.read(&record.finish.path(), u64::MAX).ok().flatten().unwrap_or_default();
            journal.finished(disk, day, record, &message);
        }
    }
    note_ids(ids, noted)?;
    Ok(set_aside)
}

/// `None`: what the record says is over. An error of what is outside the room sets the record aside, every other one ends recovery.
fn carry_out_one(
    disk: &Disk,
    room: &Room,
    remains: &Remains,
    index: usize,
    folders: &mut Folders,
    set_aside: &mut SetAside,
) -> Result<Option<Outcome>, BusError> {
    let record = &remains.records[index];
    let stayed = record.place.same_mount(&room.place);
    if remains.is_resumed(record) {
        let is_undone = !stayed && power_cut::is_undone(disk, remains, index)?;
        return Ok(is_undone.then_some(Outcome::Undone));
    }
    if !stayed {
        return power_cut::carry_out(disk, room, remains, index, folders, set_aside).map(Some);
    }
    let done = match set_aside.turn_of(record) {
        Turn::Later => return set_aside.take_in(disk, room, remains, record).map(Some),
        Turn::Now => publish::publish(disk, room, &|staged| remains.path_of(room, staged), folders, record),
    };
    let claimed = remains.path_of(room, &record.claim.to_string());
    match done.and_then(|()| publish::finish(disk, room, &claimed, folders, &record.finish)) {
        Ok(()) => Ok(Some(Outcome::Done)),
        Err(error) if error.is_transient() => set_aside.take_in(disk, room, remains, record).map(Some),
        Err(error) => Err(error),
    }
}

fn note_ids(ids: &mut Ids, noted: Noted) -> Result<(), BusError> {
    for ((sender, id), (ticket, note)) in noted {
        let is_released = note.state == IdState::Released;
        let seen = ids.seen(sender, id)?;
        if seen.is_none_or(|seen| seen.ticket.uuid != ticket.uuid || seen.released != is_released) {
            ids.note(ticket, note);
        }
    }
    Ok(())
}

/// The message is back in the drop, as if it had never been claimed: no record of it, and no line in the file of ids, may make
/// a duplicate of it. Where another ticket has the id by now, it stays that one's.
fn forget<'a>(ids: &mut Ids, noted: &mut Noted<'a>, record: &'a Record) -> Result<(), BusError> {
    let Some(note) = &record.id else { return Ok(()) };
    let (ticket, key) = (record.claim.ticket, (note.sender.as_str(), note.id.as_str()));
    if noted.get(&key).is_some_and(|(of, _)| of.uuid == ticket.uuid) {
        noted.remove(&key);
    }
    if ids.seen(key.0, key.1)?.is_some_and(|seen| seen.ticket.uuid == ticket.uuid) {
        ids.free(ticket, key.0, key.1);
    }
    Ok(())
}

/// Removes staged files of no record, and renames undecided claims into the own room.
fn adopt(disk: &Disk, room: &Room, remains: &Remains, recovered: &mut Recovered) -> Result<(), BusError> {
    let decided: HashSet<(Ticket, u32)> = remains
        .records
        .iter()
        .filter(|record| !remains.is_resumed(record))
        .map(|record| (record.claim.ticket, record.claim.attempt))
        .collect();
    for (name, path) in &remains.files {
        room.beat_if_due(disk)?;
        let Some(claim) = ClaimName::parse(name) else {
            disk.remove_file(path)?;
            continue;
        };
        if decided.contains(&(claim.ticket, claim.attempt)) {
            continue;
        }
        let suspect = remains.begun.contains_key(&(claim.ticket, claim.attempt));
        let own = if suspect { claim.next_attempt() } else { claim };
        match disk.rename_new(path, &room.file(own.to_string()))? {
            Moved::Done => recovered.adopted.push(Adopted { name: own, suspect }),
            // One ticket in two rooms cannot be; if it is, neither is lost.
            Moved::Taken => recovered.moved_aside.push(move_aside(disk, path)?),
            Moved::Gone if room.exists(disk)? => {}
            Moved::Gone => return Err(BusError::RoomGone),
        }
    }
    recovered.adopted.sort_by_key(|adopted| adopted.name.ticket);
    Ok(())
}

/// Removes an old room once it is empty. What does not belong there is moved aside, not deleted.
fn remove_room(disk: &Disk, path: &Path, recovered: &mut Recovered) -> Result<(), BusError> {
    for name in [layout::ROOM_LINE, layout::ROOM_LOCK] {
        disk.remove_file(&path.join(name))?;
    }
    for entry in disk.list(path)? {
        let name = entry.name.to_string_lossy();
        let is_ours = is_staged_file(&name, entry.kind) || ClaimName::parse(&name).is_some();
        if is_ours || name.starts_with(layout::ROOM_OLD) {
            // Appeared since the listing, or nested and not yet empty: the next round takes it.
            continue;
        }
        if !super::retention::end_begun(disk, path, &entry)? {
            recovered.moved_aside.push(move_aside(disk, &path.join(&entry.name))?);
        }
    }
    if disk.remove_folder(path)?
        && let Some(outer) = path.parent()
    {
        disk.remove_folder(outer)?;
    }
    Ok(())
}

/// Where it is now.
pub(super) fn move_aside(disk: &Disk, path: &Path) -> Result<PathBuf, BusError> {
    let aside = Path::new(layout::PRIVATE).join(format!("found-{}", Uuid::now_v7()));
    disk.rename_new(path, &aside)?;
    Ok(aside)
}
