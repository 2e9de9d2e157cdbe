//! How long the archive is kept: a day's folder is packed into `archive/<day>.jsonl.zst` after some days, and that is removed
//! after more.
//!
//! A packed day has the journal's lines as they were, then one line for each archived message: `{"v":1,"step":"file","name":
//! "<HH>/<file>","text":"..."}`. It is written in the room, made durable, and only then does its folder go; every step
//! outside the room is a rename from or into it, so a service that was replaced changes nothing. A folder that has anything which
//! is not packed stays, or comes back, whenever the service dies.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;
use serde::Serialize;
use uuid::Uuid;

use super::disk::{self, Disk, DiskError, Entry, EntryKind, Moved};
use super::error::BusError;
use super::room::Room;
use super::view::is_foreign;
use super::{journal, layout, time};

/// zstd's own default: a tenth of the size at some hundred MB/s.
const LEVEL: i32 = 3;
/// The ending of a packed day.
const PACKED: &str = ".jsonl.zst";
/// In the room, before the day of a folder that was taken there from the archive.
const TAKEN: &str = "packed-";
/// In a room: what was taken there to be removed.
const GONE: &str = "gone-";
/// In the room and then beside it: what somebody else had put among our files.
const FOUND: &str = "found-";

/// The n-th packed file of a day, from 1: `<day>.jsonl.zst`, then `<day>~<n>.jsonl.zst`.
fn packed_name(day: &str, number: u32) -> String {
    match number {
        1 => format!("{day}{PACKED}"),
        n => format!("{day}~{n}{PACKED}"),
    }
}

/// The day and the number of a packed file in the archive. `None`: it has another name, so it is not ours.
pub fn packed_day(name: &str) -> Option<(&str, u32)> {
    let stem = name.strip_suffix(PACKED)?;
    let (day, number) = match stem.split_once('~') {
        Some((day, digits)) => (day, digits.parse().ok()?),
        None => (stem, 1),
    };
    (time::is_day(day) && packed_name(day, number) == name).then_some((day, number))
}

#[derive(Serialize)]
struct FileLine<'a> {
    v: u32,
    step: &'a str,
    name: &'a str,
    text: &'a str,
}

/// The days of which there is something in the archive, the last first.
pub fn newest_days(disk: &Disk) -> Result<Vec<String>, BusError> {
    let entries = disk.list(Path::new(layout::ARCHIVE))?;
    let names = entries.iter().filter_map(|entry| entry.name.to_str());
    let days = names.map(|name| packed_day(name).map_or(name, |(day, _)| day)).filter(|day| time::is_day(day));
    let mut days: Vec<String> = days.map(str::to_owned).collect();
    days.sort_unstable_by(|one, other| other.cmp(one));
    days.dedup();
    Ok(days)
}

/// The oldest day folder that is at least `days` old and can be packed. With 0 no day ever is.
pub fn day_to_pack(disk: &Disk, days: u32, now_ms: u64) -> Result<Option<String>, BusError> {
    let today = time::day(now_ms);
    for entry in disk.list(Path::new(layout::ARCHIVE))? {
        let Some(day) = entry.name.to_str().filter(|day| is_old(day, &today, days)) else { continue };
        // One that cannot be packed must not keep those behind it from being packed; `doctor` tells of it.
        if entry.kind == EntryKind::Folder && obstacle(disk, day)?.is_none() {
            return Ok(Some(day.to_owned()));
        }
    }
    Ok(None)
}

/// What keeps a day from being packed: its journal is no file that we may read, or a folder of it is closed to us.
pub fn obstacle(disk: &Disk, day: &str) -> Result<Option<PathBuf>, BusError> {
    let folder = Path::new(layout::ARCHIVE).join(day);
    if !disk.may_fill(&folder)? {
        return Ok(Some(folder));
    }
    for entry in disk.list(&folder)? {
        let path = folder.join(&entry.name);
        if entry.name == layout::JOURNAL {
            if !is_readable(disk, &path)? {
                return Ok(Some(path));
            }
        } else if entry.kind == EntryKind::Folder && !disk.may_fill(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn is_readable(disk: &Disk, path: &Path) -> Result<bool, BusError> {
    match disk.open_beneath(path, OFlags::RDONLY) {
        Ok(_) => Ok(disk.stat(path)?.is_none_or(|stat| disk::is_regular(&stat))),
        Err(error) if is_foreign(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Is it at least `days` old? Nothing is where `days` is 0, and what is named otherwise is no day of ours.
fn is_old(day: &str, today: &str, days: u32) -> bool {
    days > 0 && time::is_day(day) && time::days_between(day, today).is_some_and(|age| age >= i64::from(days))
}

/// Packs one day. `stop` ends it early: then nothing has changed but a file in the room, which is removed.
pub fn pack(disk: &Disk, room: &Room, day: &str, stop: &AtomicBool) -> Result<(), BusError> {
    let made = room.file(format!("gone-packing-{day}"));
    disk.remove_file(&made)?;
    let packed = match write_packed(disk, &made, day, stop) {
        Ok(Some(packed)) => packed,
        stopped => {
            disk.remove_file(&made)?;
            return stopped.map(drop);
        }
    };
    put_in_place(disk, room, &made, day)?;
    disk.sync_folder(Path::new(layout::ARCHIVE))?;
    remove_day(disk, &room.path, day, &packed)
}

fn put_in_place(disk: &Disk, room: &Room, made: &Path, day: &str) -> Result<(), BusError> {
    let mut number = 1;
    loop {
        let path = Path::new(layout::ARCHIVE).join(packed_name(day, number));
        match disk.rename_new(made, &path)? {
            Moved::Done => return Ok(()),
            // Packed before a crash that kept its folder: both are kept, readers ignore repeats.
            Moved::Taken => number += 1,
            // Somebody may have removed the archive meanwhile.
            Moved::Gone => return Err(room.missing(disk, DiskError::new("rename to", &path, rustix::io::Errno::NOENT))),
        }
    }
}

/// What of a day is in its packed file. Counted, because a day may have a million messages.
#[derive(Debug, Default, PartialEq, Eq)]
struct Packed {
    journal_bytes: u64,
    /// Each hour's folder, and how many messages of it are packed.
    hours: BTreeMap<OsString, usize>,
    /// What is no part of an archive, as paths in the day's folder.
    strangers: Vec<PathBuf>,
}

/// Removes the folder of a day that is packed. What came into it meanwhile (the clock was set back, say) must not go with it: then the
/// folder stays and is packed with the next look, and what is then packed twice readers ignore.
fn remove_day(disk: &Disk, room: &Path, day: &str, packed: &Packed) -> Result<(), BusError> {
    let folder = Path::new(layout::ARCHIVE).join(day);
    for stranger in &packed.strangers {
        move_aside(disk, room, &folder.join(stranger))?;
    }
    if !has_only(disk, &folder, packed)? {
        return Ok(());
    }
    // Recovery gives back what has this name, and removes what has the other: only what nobody can add to any more gets that.
    let (taken, gone) = (taken(room, day), room.join(format!("gone-day-{day}")));
    disk.rename_new(&folder, &taken)?;
    if !has_only(disk, &taken, packed)? {
        return give_back(disk, &taken, day);
    }
    disk.rename_new(&taken, &gone)?;
    remove_tree(disk, &gone)
}

/// Is all that is in the folder of a day in its packed file?
fn has_only(disk: &Disk, folder: &Path, packed: &Packed) -> Result<bool, BusError> {
    for entry in disk.list(folder)? {
        let path = folder.join(&entry.name);
        let is_packed = if entry.kind == EntryKind::Folder {
            packed.hours.get(&entry.name) == Some(&disk.list(&path)?.len())
        } else {
            entry.name == layout::JOURNAL
                && disk.stat(&path)?.is_none_or(|stat| stat.st_size as u64 == packed.journal_bytes)
        };
        if !is_packed {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Through the room, so that a service that was replaced moves nothing. What stays there, recovery moves on.
fn move_aside(disk: &Disk, room: &Path, stranger: &Path) -> Result<(), BusError> {
    let name = format!("{FOUND}{}", Uuid::now_v7());
    disk.rename_new(stranger, &room.join(&name))?;
    disk.rename_new(&room.join(&name), &Path::new(layout::PRIVATE).join(&name))?;
    Ok(())
}

/// Where the folder of a day is in the room until it is sure that all of it is packed.
fn taken(room: &Path, day: &str) -> PathBuf {
    room.join(format!("{TAKEN}{day}"))
}

/// The day whose folder has this name in a room.
fn day_taken(name: &str) -> Option<&str> {
    name.strip_prefix(TAKEN).filter(|day| time::is_day(day))
}

/// Puts the folder of a day back from a room into the archive. All of it, though most may be packed: readers ignore repeats.
fn give_back(disk: &Disk, taken: &Path, day: &str) -> Result<(), BusError> {
    put_back(disk, taken, &Path::new(layout::ARCHIVE).join(day))
}

/// Into a folder that was made anew meanwhile it goes piece by piece. What is there twice under one name is moved aside.
fn put_back(disk: &Disk, from: &Path, to: &Path) -> Result<(), BusError> {
    if disk.rename_new(from, to)? != Moved::Taken {
        return Ok(());
    }
    let is_folder = |path| disk.stat(path).map(|stat| stat.is_some_and(|stat| disk::is_folder(&stat)));
    if is_folder(from)? && is_folder(to)? {
        for entry in disk.list(from)? {
            put_back(disk, &from.join(&entry.name), &to.join(&entry.name))?;
        }
        disk.remove_folder(from)?;
    } else {
        disk.rename_new(from, &Path::new(layout::PRIVATE).join(format!("{FOUND}{}", Uuid::now_v7())))?;
    }
    Ok(())
}

/// Ends what was begun with one entry of a room: what was to be removed goes, an answer that was not given too (its request is there), and
/// a day that was taken is given back. `false`: it is nothing of that kind.
pub fn end_begun(disk: &Disk, room: &Path, entry: &Entry) -> Result<bool, BusError> {
    let (name, path) = (entry.name.to_string_lossy(), room.join(&entry.name));
    let is_answer = name.starts_with(layout::ROOM_ANSWER) && entry.kind == EntryKind::File;
    if name.starts_with(GONE) || is_answer {
        remove_tree_or_file(disk, &path, entry.kind)?;
    } else if let Some(day) = day_taken(&name) {
        give_back(disk, &path, day)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// The same with all that a step which failed has left in the own room, and what was to be moved aside is. Not while a day is being packed.
pub fn end_all_begun(disk: &Disk, room: &Path) -> Result<(), BusError> {
    for entry in disk.list(room)? {
        if !end_begun(disk, room, &entry)? && entry.name.to_string_lossy().starts_with(FOUND) {
            disk.rename_new(&room.join(&entry.name), &Path::new(layout::PRIVATE).join(&entry.name))?;
        }
    }
    Ok(())
}

/// `None`: stopped before the end.
fn write_packed(disk: &Disk, made: &Path, day: &str, stop: &AtomicBool) -> Result<Option<Packed>, BusError> {
    let mut told = Packed::default();
    let failed = |e: io::Error| BusError::from(DiskError::new("write", made, e));
    let mut packed = zstd::Encoder::new(disk.create_open(made)?, LEVEL).map_err(failed)?;
    let folder = Path::new(layout::ARCHIVE).join(day);
    told.journal_bytes = write_journal(disk, &journal::journal_path(day), &mut packed, &failed)?;
    for hour in disk.list(&folder)? {
        if hour.kind != EntryKind::Folder {
            told.strangers.extend((hour.name != layout::JOURNAL).then(|| PathBuf::from(hour.name)));
            continue;
        }
        let mut messages = 0;
        for entry in disk.list(&folder.join(&hour.name))? {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let inner = Path::new(&hour.name).join(&entry.name);
            let bytes = match disk.read(&folder.join(&inner), u64::MAX) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) if is_foreign(&error) => {
                    told.strangers.push(inner);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let (name, text) = (inner.to_string_lossy(), String::from_utf8_lossy(&bytes));
            let line = FileLine { v: journal::VERSION, step: "file", name: &name, text: &text };
            serde_json::to_writer(&mut packed, &line).map_err(|e| failed(e.into()))?;
            packed.write_all(b"\n").map_err(failed)?;
            messages += 1;
        }
        told.hours.insert(hour.name, messages);
    }
    let file = packed.finish().map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(Some(told))
}

/// The lines of a journal, the last one with its newline. How many bytes the journal has.
fn write_journal(
    disk: &Disk,
    path: &Path,
    packed: &mut impl Write,
    failed: &impl Fn(io::Error) -> BusError,
) -> Result<u64, BusError> {
    let Some(fd) = disk.open_beneath(path, OFlags::RDONLY)? else { return Ok(0) };
    let mut journal = BufReader::with_capacity(1 << 16, File::from(fd));
    let (mut bytes, mut last) = (0, b'\n');
    loop {
        let block = match journal.fill_buf() {
            Ok(block) => block,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(DiskError::new("read", disk.path().join(path), error).into()),
        };
        let Some(end) = block.last() else { break };
        last = *end;
        packed.write_all(block).map_err(failed)?;
        let read = block.len();
        journal.consume(read);
        bytes += read as u64;
    }
    if last != b'\n' {
        packed.write_all(b"\n").map_err(failed)?;
    }
    Ok(bytes)
}

/// Removes packed days that are too old. With 0 none ever is.
pub fn remove_old(disk: &Disk, room: &Path, days: u32, now_ms: u64) -> Result<(), BusError> {
    let today = time::day(now_ms);
    for entry in disk.list(Path::new(layout::ARCHIVE))? {
        let Some(name) = entry.name.to_str() else { continue };
        // Somebody else's file is not ours to remove, whatever day its name begins with.
        let Some((day, _)) = packed_day(name).filter(|_| entry.kind != EntryKind::Folder) else { continue };
        if is_old(day, &today, days) {
            let gone = room.join(format!("gone-{name}"));
            if disk.rename_new(&Path::new(layout::ARCHIVE).join(name), &gone)? == Moved::Done {
                disk.remove_file(&gone)?;
            }
        }
    }
    Ok(())
}

/// Removes what a service had taken into its room to remove it.
fn remove_tree_or_file(disk: &Disk, path: &Path, kind: EntryKind) -> Result<(), BusError> {
    match kind {
        EntryKind::Folder => remove_tree(disk, path),
        EntryKind::File | EntryKind::Other | EntryKind::Unknown => Ok(disk.remove_file(path).map(drop)?),
    }
}

/// Removes a folder of our own in the room with all that is in it.
pub fn remove_tree(disk: &Disk, path: &Path) -> Result<(), BusError> {
    let mut folders: Vec<PathBuf> = vec![path.to_owned()];
    let mut next = 0;
    while next < folders.len() {
        let folder = folders[next].clone();
        for entry in disk.list(&folder)? {
            let inner = folder.join(&entry.name);
            if entry.kind == EntryKind::Folder {
                folders.push(inner);
            } else {
                disk.remove_file(&inner)?;
            }
        }
        next += 1;
    }
    for folder in folders.iter().rev() {
        disk.remove_folder(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::place::Place;
    use super::super::room::Prepared;
    use super::*;

    #[test]
    fn the_names_of_packed_days() {
        assert_eq!(packed_day("2024-10-27.jsonl.zst"), Some(("2024-10-27", 1)));
        assert_eq!(packed_day("2024-10-27~12.jsonl.zst"), Some(("2024-10-27", 12)));
        for end in ["~1", "~02", "~+2", "~", "~2~3", "~x", "-2"] {
            let foreign = format!("2024-10-27{end}.jsonl.zst");
            assert_eq!(packed_day(&foreign), None, "{foreign}");
        }
        for foreign in ["2024-10-27", "notes~2.jsonl.zst", "20241027.jsonl.zst", "2024-10-27-notes.jsonl.zst"] {
            assert_eq!(packed_day(foreign), None, "{foreign}");
        }
    }

    const DAY: &str = "2024-10-27";

    /// A bus with an archived day, and a room.
    fn archived() -> (tempfile::TempDir, Disk, Room) {
        let top = tempfile::tempdir().expect("a folder");
        for folder in ["processing", ".postroom", "archive/2024-10-27/13"] {
            std::fs::create_dir_all(top.path().join(folder)).expect("made");
        }
        for (name, text) in [("journal.jsonl", "{}\n"), ("13/a.json", "a"), ("notes.txt", "mine")] {
            std::fs::write(top.path().join("archive").join(DAY).join(name), text).expect("written");
        }
        let disk = Disk::open(top.path()).expect("opened");
        let prepared = Prepared::make(&disk, Arc::new(Place::here(&disk)), 0).expect("made");
        let room = prepared.enter(&disk, 1).expect("entered").expect("the first of this term");
        (top, disk, room)
    }

    /// What was begun and not ended.
    fn begun(disk: &Disk, room: &Room) -> usize {
        let names = disk.list(&room.path).expect("listed").into_iter().map(|entry| entry.name);
        names.filter(|name| [GONE, TAKEN, FOUND].iter().any(|start| name.to_string_lossy().starts_with(start))).count()
    }

    #[test]
    fn an_archive_that_was_removed_is_not_a_room_that_is_gone() {
        let (top, disk, room) = archived();
        let made = room.file("gone-packing-2024-10-27");
        std::fs::write(top.path().join(&made), "").expect("written");
        std::fs::rename(top.path().join("archive"), top.path().join("elsewhere")).expect("moved");
        let told = put_in_place(&disk, &room, &made, DAY).expect_err("no archive");
        assert!(matches!(told, BusError::Disk(_)), "{told}");
        std::fs::rename(top.path().join("processing"), top.path().join("taken")).expect("moved");
        let told = put_in_place(&disk, &room, &made, DAY).expect_err("no room");
        assert!(matches!(told, BusError::RoomGone), "{told}");
    }

    #[test]
    fn a_packed_day_that_got_more_meanwhile_is_kept() {
        type Change = fn(&Path);
        let more: [(&str, Change); 3] = [
            ("a message", |day| std::fs::write(day.join("13/b.json"), "b").expect("written")),
            ("a line", |day| std::fs::write(day.join("journal.jsonl"), "{}\n{}\n").expect("written")),
            ("an hour", |day| std::fs::create_dir(day.join("14")).expect("made")),
        ];
        for (what, comes) in more {
            let (top, disk, room) = archived();
            let folder = top.path().join("archive").join(DAY);
            let made = room.file("gone-made");
            let packed =
                write_packed(&disk, &made, DAY, &AtomicBool::new(false)).expect("packed").expect("not stopped");
            comes(&folder);
            remove_day(&disk, &room.path, DAY, &packed).expect("looked");
            assert!(folder.join("13/a.json").exists() && !folder.join("notes.txt").exists(), "{what}");
            assert_eq!(begun(&disk, &room), 1, "{what}: only what was packed");
            // As it is now, it is packed whole.
            disk.remove_file(&made).expect("removed");
            pack(&disk, &room, DAY, &AtomicBool::new(false)).expect("packed");
            let left: Vec<_> = disk.list(Path::new("archive")).expect("listed").into_iter().map(|it| it.name).collect();
            assert_eq!(left, ["2024-10-27.jsonl.zst"], "{what}");
            assert_eq!(disk.list(Path::new(".postroom")).expect("listed").len(), 1, "{what}: the notes");
        }
    }

    /// It came after the last look at the folder in its place.
    #[test]
    fn a_day_in_the_room_that_has_more_than_is_packed_is_given_back() {
        let (top, disk, room) = archived();
        let (taken, folder) = (taken(&room.path, DAY), Path::new("archive").join(DAY));
        disk.rename_new(&folder, &taken).expect("renamed");
        assert!(!has_only(&disk, &taken, &Packed::default()).expect("looked"));
        end_all_begun(&disk, &room.path).expect("given back");
        assert!(top.path().join(folder).join("13/a.json").exists());
        assert_eq!(begun(&disk, &room), 0);
    }

    #[test]
    fn what_cannot_be_read_is_named_as_such() {
        let (top, disk, room) = archived();
        let journal = top.path().join("archive").join(DAY).join("journal.jsonl");
        std::fs::remove_file(&journal).expect("removed");
        std::fs::create_dir(&journal).expect("made");
        let error = pack(&disk, &room, DAY, &AtomicBool::new(false)).expect_err("not packed").to_string();
        assert!(error.starts_with(&format!("cannot read {}", journal.display())), "{error}");
        assert_eq!(obstacle(&disk, DAY).expect("looked"), Some(journal::journal_path(DAY)));
    }

    #[test]
    fn only_what_a_service_has_packed_is_removed() {
        let top = tempfile::tempdir().expect("a folder");
        for folder in ["archive", "room", "archive/2024-10-28.jsonl.zst", "archive/20241027"] {
            std::fs::create_dir(top.path().join(folder)).expect("made");
        }
        for name in ["2024-10-27.jsonl.zst", "2024-10-27~2.jsonl.zst", "2024-10-27-notes.jsonl.zst"] {
            std::fs::write(top.path().join("archive").join(name), "").expect("written");
        }
        let disk = Disk::open(top.path()).expect("opened");
        let now_ms = 1_800_000_000_000;
        assert_eq!(newest_days(&disk).expect("listed")[0], "2024-10-28");
        assert_eq!(day_to_pack(&disk, 1, now_ms).expect("listed"), None);
        remove_old(&disk, Path::new("room"), 1, now_ms).expect("removed");
        let mut left: Vec<_> =
            disk.list(Path::new("archive")).expect("listed").into_iter().map(|entry| entry.name).collect();
        left.sort();
        assert_eq!(left, ["2024-10-27-notes.jsonl.zst", "2024-10-28.jsonl.zst", "20241027"]);
    }
}
