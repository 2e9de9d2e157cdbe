//! Which ids were seen: the memory against doing a thing twice, and of who was asked what.
//!
//! `.postroom/ids/<day>` holds one line a fact, appended; a small index in memory says where to look. What cannot be read now is an
//! error: "not seen" would be a lie. `line` is how a fact is written; `rebuild` makes the file of a day anew, from its journal, where it
//! was removed; `moved` remembers which days are in the file of another one.

mod line;
mod moved;
mod rebuild;

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskError, EntryKind, Moved};
use super::error::BusError;
use super::journal;
use super::layout::{self, Ticket};
use super::record::{AnswerNote, IdNote, IdState};
use super::room::Room;
use super::time;
use line::{FREE, Key, Line, RELEASED, USED};

/// What is known of one (sender, id).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub ticket: Ticket,
    /// Hex of the content digest.
    pub digest: String,
    pub recipients: Vec<String>,
    pub action: String,
    pub hops: u32,
    /// Its message is a dead letter: free again after the next checkpoint.
    pub released: bool,
}

#[derive(Debug)]
pub struct Ids {
    term: u64,
    keep_days: u32,
    /// Days that have a file, oldest first, and the open file of each. Of a day that was forgotten the place stays, without a
    /// name and a file.
    days: Vec<(String, Option<File>)>,
    /// Hash of a key to (index into `days`, offset of its line).
    index: HashMap<u64, (u32, u64)>,
    /// The same for messages by id alone: of all that have one id, the newest of each [`share`] of senders.
    named: HashMap<u64, (u32, u64)>,
    waiting: Vec<u8>,
    /// Where in `waiting` each line begins.
    pending: Vec<usize>,
    written: Written,
    torn: bool,
}

/// Lines that stand in a file and not all in the index.
#[derive(Debug, Default)]
struct Written {
    text: Vec<u8>,
    /// Where in `text` those begin that are not.
    starts: VecDeque<usize>,
    day: u32,
    /// Of the text in the file.
    offset: u64,
}

/// So many messages with one id are found by it. More senders than this use the same id only where ids are mere counters; then some
/// are not found, and a chain through them is counted as shorter than it is.
const SHARES: u64 = 8;

/// Which of the places for an id a sender's message has.
fn share(sender: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    sender.hash(&mut hasher);
    hasher.finish() % SHARES
}

fn name_hash(id: &str, share: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, share).hash(&mut hasher);
    hasher.finish()
}

impl Seen {
    fn of(line: &Line) -> Option<Seen> {
        Some(Seen {
            ticket: Ticket::parse(line.ticket)?,
            digest: line.digest.to_owned(),
            recipients: line.recipients.split(',').filter(|r| !r.is_empty()).map(str::to_owned).collect(),
            action: line.action.to_owned(),
            hops: line.hops.parse().unwrap_or(0),
            released: line.state == RELEASED,
        })
    }

    /// What [`Ids::seen`] will tell once this note is written.
    pub fn noted(ticket: Ticket, note: &IdNote) -> Seen {
        Seen {
            ticket,
            digest: note.digest.clone(),
            recipients: note.recipients.clone(),
            action: note.action.clone(),
            hops: note.hops,
            released: note.state == IdState::Released,
        }
    }
}

impl Ids {
    /// Reads what there is: whether a day is too old, [`Ids::forget_old`] decides, where the clock is trusted. Days without a file
    /// get one.
    pub fn load(disk: &Disk, room: &Room, keep_days: u32, now_ms: u64) -> Result<Ids, BusError> {
        rebuild::missing(disk, room, keep_days, now_ms)?;
        let mut ids = Ids {
            term: room.term,
            keep_days,
            days: Vec::new(),
            index: HashMap::new(),
            named: HashMap::new(),
            waiting: Vec::new(),
            pending: Vec::new(),
            written: Written::default(),
            torn: true,
        };
        for entry in disk.list(Path::new(layout::IDS))? {
            let Some(day) = entry.name.to_str() else { continue };
            // A folder or a link of that name was not made by a service.
            if time::is_day(day) && matches!(entry.kind, EntryKind::File | EntryKind::Unknown) {
                ids.load_day(disk, room, day)?;
            }
        }
        Ok(ids)
    }

    fn load_day(&mut self, disk: &Disk, room: &Room, day: &str) -> Result<(), BusError> {
        let path = path_of(day);
        let opened = disk.open_append(&path)?;
        let file = opened.try_clone().map_err(|e| DiskError::new("open", &path, e))?;
        let number = self.days.len() as u32;
        self.days.push((day.to_owned(), Some(opened)));
        let mut reader = std::io::BufReader::with_capacity(1 << 20, file);
        let mut line = Vec::new();
        let mut offset = 0;
        let mut lines = 0_u64;
        loop {
            line.clear();
            if lines.is_multiple_of(4096) {
                room.beat_if_due(disk)?;
            }
            lines += 1;
            let read = std::io::BufRead::read_until(&mut reader, b'\n', &mut line)
                .map_err(|e| DiskError::new("read", &path, e))?;
            if read == 0 {
                return Ok(());
            }
            if let Some(parsed) =
                line.strip_suffix(b"\n").and_then(|l| std::str::from_utf8(l).ok()).and_then(Line::parse)
            {
                self.enter(&parsed, number, offset)?;
            }
            offset += read as u64;
        }
    }

    /// Puts a fact into the index. Another key with the same hash moves on to the next salt. A line that frees an id is about what its own
    /// ticket has noted, and nothing else: a service that does not know yet that it was replaced may append it late.
    fn enter(&mut self, line: &Line, day: u32, offset: u64) -> Result<(), DiskError> {
        let key = line.key();
        if let (Key::Message { sender, id }, USED) = (&key, line.state) {
            self.named.insert(name_hash(id, share(sender)), (day, offset));
        }
        for salt in 0.. {
            let hash = key.hash(salt);
            let Some(at) = self.index.get(&hash).copied() else {
                if line.state != FREE {
                    self.index.insert(hash, (day, offset));
                }
                return Ok(());
            };
            let text = self.read_line(at)?;
            let there = text.as_deref().and_then(Line::parse);
            if there.as_ref().is_some_and(|there| !there.is_about(&key)) {
                continue;
            }
            if line.state != FREE {
                self.index.insert(hash, (day, offset));
            } else if there.is_none_or(|there| there.ticket == line.ticket) {
                self.index.remove(&hash);
            }
            return Ok(());
        }
        Ok(())
    }

    fn read_line(&self, (day, offset): (u32, u64)) -> Result<Option<String>, DiskError> {
        let Some((name, Some(file))) = self.days.get(day as usize) else { return Ok(None) };
        let mut text = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            let read = file
                .read_at(&mut chunk, offset + text.len() as u64)
                .map_err(|e| DiskError::new("read", path_of(name), e))?;
            if let Some(end) = chunk[..read].iter().position(|b| *b == b'\n') {
                text.extend_from_slice(&chunk[..end]);
                return Ok(String::from_utf8(text).ok());
            }
            text.extend_from_slice(&chunk[..read]);
            if read == 0 {
                // The file was cut: nothing more is to be had.
                return Ok(None);
            }
        }
    }

    fn find(&self, key: &Key) -> Result<Option<String>, DiskError> {
        for salt in 0.. {
            let Some(at) = self.index.get(&key.hash(salt)) else { break };
            let Some(text) = self.read_line(*at)? else { break };
            if Line::parse(&text).is_some_and(|line| line.is_about(key)) {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// What is known of this message.
    pub fn seen(&self, sender: &str, id: &str) -> Result<Option<Seen>, BusError> {
        let text = self.find(&Key::Message { sender, id })?;
        Ok(text.as_deref().and_then(Line::parse).as_ref().and_then(Seen::of))
    }

    /// What is known of the messages with this id, whoever sent them (of very many the newest).
    pub fn named(&self, id: &str) -> Result<Vec<Seen>, BusError> {
        let mut found = Vec::new();
        for share in 0..SHARES {
            let Some(at) = self.named.get(&name_hash(id, share)) else { continue };
            let text = self.read_line(*at)?;
            let line = text.as_deref().and_then(Line::parse).filter(|line| line.id == id);
            found.extend(line.as_ref().and_then(Seen::of));
        }
        Ok(found)
    }

    /// The ticket of `responder`'s answer to this message, if there was one.
    pub fn answer_of(&self, sender: &str, id: &str, responder: &str) -> Result<Option<Ticket>, BusError> {
        let text = self.find(&Key::Answer { sender, id, responder })?;
        Ok(text.as_deref().and_then(Line::parse).and_then(|line| Ticket::parse(line.ticket)))
    }

    /// Notes the id of a finished message. Becomes visible with [`Ids::flush`].
    pub fn note(&mut self, ticket: Ticket, note: &IdNote) {
        self.pending.push(self.waiting.len());
        line::write_note(&mut self.waiting, self.term, ticket, note);
    }

    /// Notes that a message was answered by one of its recipients.
    pub fn note_answer(&mut self, ticket: Ticket, note: &AnswerNote) {
        self.pending.push(self.waiting.len());
        line::write_answer(&mut self.waiting, self.term, ticket, note);
    }

    /// Makes a released id free for another message.
    pub fn free(&mut self, ticket: Ticket, sender: &str, id: &str) {
        self.pending.push(self.waiting.len());
        line::write_free(&mut self.waiting, self.term, ticket, sender, id);
    }

    /// Writes what waits to the file of `day`, or of a later one that there is, with one write of whole lines; and enters it into the
    /// index. After an error it can be called again.
    pub fn flush(&mut self, disk: &Disk, day: &str) -> Result<(), BusError> {
        self.enter_written()?;
        if self.waiting.is_empty() {
            return Ok(());
        }
        // Files are read in the order of their days: what is said last must stand in the last one.
        let newest = self.days.iter().map(|(day, _)| day.as_str()).max().unwrap_or_default();
        let day = newest.max(day).to_owned();
        let path = path_of(&day);
        let number = match self.days.iter().position(|(there, _)| *there == day) {
            Some(number) => number,
            None => {
                // What is said of this day from now on is in its own file.
                moved::forget(disk, &day)?;
                self.days.push((day, Some(disk.open_append(&path)?)));
                self.torn = true;
                self.days.len() - 1
            }
        };
        let Some(file) = &self.days[number].1 else { return Ok(()) };
        let failed = |e| DiskError::new("append to", &path, e);
        if self.torn && !journal::ends_with_newline(file).map_err(failed)? {
            (&*file).write_all(b"\n").map_err(failed)?;
        }
        self.torn = true;
        (&*file).write_all(&self.waiting).map_err(failed)?;
        self.torn = false;
        // Where this write ended, whatever a service that was replaced has appended meanwhile.
        let end = (&*file).stream_position().map_err(failed)?.saturating_sub(self.waiting.len() as u64);
        let text = std::mem::take(&mut self.waiting);
        let starts = std::mem::take(&mut self.pending).into();
        self.written = Written { text, starts, day: number as u32, offset: end };
        self.enter_written()
    }

    fn enter_written(&mut self) -> Result<(), BusError> {
        let Written { text, mut starts, day, offset } = std::mem::take(&mut self.written);
        while let Some(start) = starts.front().copied() {
            let line = text[start..].split(|b| *b == b'\n').next().unwrap_or_default();
            if let Some(line) = std::str::from_utf8(line).ok().and_then(Line::parse)
                && let Err(error) = self.enter(&line, day, offset + start as u64)
            {
                self.written = Written { text, starts, day, offset };
                return Err(error.into());
            }
            starts.pop_front();
        }
        Ok(())
    }

    pub fn is_flushed(&self) -> bool {
        self.waiting.is_empty() && self.written.starts.is_empty()
    }

    /// How many facts are known.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Removes the files of days that are too old, and with them what they said. One that a clock has made that was ahead, as is known now,
    /// gets the name of today, if none has it: what is remembered is remembered for so many days, and not until then.
    pub fn forget_old(&mut self, disk: &Disk, now_ms: u64) -> Result<(), BusError> {
        let today = time::day(now_ms);
        let mut old = Vec::new();
        for entry in disk.list(Path::new(layout::IDS))? {
            let Some(name) = entry.name.to_str() else { continue };
            let day = moved_day(name).unwrap_or(name);
            match time::days_between(day, &today) {
                Some(age) if age > i64::from(self.keep_days) => old.push(name.to_owned()),
                Some(..0) if day == name => self.rename_day(disk, day, &today)?,
                Some(_) | None => {}
            }
        }
        for name in &old {
            disk.remove_file(&path_of(name))?;
            if let Some(number) = self.days.iter().position(|(day, _)| day == name) {
                for index in [&mut self.index, &mut self.named] {
                    index.retain(|_, (at, _)| *at != number as u32);
                }
                self.days[number] = (String::new(), None);
            }
        }
        Ok(())
    }

    fn rename_day(&mut self, disk: &Disk, day: &str, today: &str) -> Result<(), BusError> {
        if disk.stat(&path_of(today))?.is_some() {
            return Ok(());
        }
        moved::remember(disk, day, today)?;
        match disk.rename_new(&path_of(day), &path_of(today))? {
            Moved::Done => {
                self.days.iter_mut().filter(|(name, _)| name == day).for_each(|entry| today.clone_into(&mut entry.0));
                Ok(())
            }
            Moved::Taken | Moved::Gone => moved::forget(disk, day),
        }
    }
}

/// The day that a file of this name says the ids of are in the file of another.
pub fn moved_day(name: &str) -> Option<&str> {
    moved::day_of(name)
}

fn path_of(day: &str) -> PathBuf {
    Path::new(layout::IDS).join(day)
}
