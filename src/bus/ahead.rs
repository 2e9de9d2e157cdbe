//! A file of the room that is made before there is anything to write into it.
//!
//! To make a file is the dearest single step between a lone message and its answer: a new inode and a new name in the room. When
//! nothing waits to be done, one is made and kept open; the next record's first effect is written into it, and the record says
//! so ([`Record::ahead`]). Until a record names it, it is a staged file of no record, which recovery removes.
//!
//! It is written to at most once, before the record that names it is in the log: so in a room that was taken over
//! meanwhile, it is either whole and named by the record that the successor reads, or nobody's. A file that has lost its name
//! (somebody clears away empty files) is not used: a staged file that is gone would count as published.

use std::fs::File;

use uuid::Uuid;

use super::disk::Disk;
use super::error::BusError;
use super::layout;
use super::record::Record;
use super::room::Room;

/// The file made ahead, if there is one. By default none is ever made.
#[derive(Debug, Default)]
pub struct Ahead {
    is_wanted: bool,
    file: Option<(Uuid, File)>,
    /// One that could be neither written nor removed.
    spoiled: Option<Uuid>,
}

impl Ahead {
    /// For a service that waits for messages.
    pub fn wanted() -> Ahead {
        Ahead { is_wanted: true, ..Ahead::default() }
    }

    /// Makes the file, if one is wanted and there is none.
    ///
    /// # Errors
    /// If the room is gone. Of what else prevents it nothing is said here: the file only saves time, and a message that
    /// cannot have its own made says why.
    pub fn make(&mut self, disk: &Disk, room: &Room) -> Result<(), BusError> {
        if !self.is_wanted || self.file.is_some() || self.remove_spoiled(disk, room).is_err() {
            return Ok(());
        }
        let id = Uuid::now_v7();
        match disk.create_open(&room.file(layout::ahead(&id))) {
            Ok(file) => self.file = Some((id, file)),
            Err(error) if error.is_not_found() => return Err(room.missing(disk, error)),
            Err(_) => {}
        }
        Ok(())
    }

    /// Writes the record's first effect into the file, and has the record say so. Nothing happens where there is no file, or the
    /// record has no effects or its first one waits in such a file already.
    pub(super) fn stage_first(&mut self, disk: &Disk, room: &Room, record: &mut Record, message: &[u8]) {
        let (None, Some(effect)) = (record.ahead, record.effects.first()) else { return };
        let Some((id, file)) = self.file.take() else { return };
        if disk.write_new(&file, &effect.slices(message)).is_ok_and(|links| links == 1) {
            record.ahead = Some(id);
            return;
        }
        // No record names it. The effect gets a file of its own, or tells what is wrong with the disk, or that the room is gone.
        self.spoiled = Some(id);
        let _ = self.remove_spoiled(disk, room);
    }

    /// Takes the file away, and makes no other.
    pub fn discard(&mut self, disk: &Disk, room: &Room) -> Result<(), BusError> {
        self.is_wanted = false;
        self.remove_spoiled(disk, room)?;
        self.spoiled = self.file.take().map(|(id, _)| id);
        self.remove_spoiled(disk, room)
    }

    fn remove_spoiled(&mut self, disk: &Disk, room: &Room) -> Result<(), BusError> {
        if let Some(id) = &self.spoiled {
            disk.remove_file(&room.file(layout::ahead(id)))?;
            self.spoiled = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::super::disk::Sync;
    use super::super::layout::ClaimName;
    use super::super::place::Place;
    use super::super::publish;
    use super::super::record::{Effect, Finish, Story, Target};
    use super::super::room::Prepared;
    use super::*;

    struct Bus {
        _top: tempfile::TempDir,
        disk: Disk,
        room: Room,
    }

    fn bus() -> Bus {
        let top = tempfile::tempdir().expect("a folder");
        let disk = Disk::open(top.path()).expect("opened");
        for folder in ["processing", "inbox", "inbox/alice"] {
            disk.make_folder(Path::new(folder)).expect("made");
        }
        let prepared = Prepared::make(&disk, Arc::new(Place::here(&disk)), 0).expect("a room");
        let room = prepared.enter(&disk, 1).expect("entered").expect("its own");
        Bus { _top: top, disk, room }
    }

    impl Bus {
        fn staged(&self) -> Vec<String> {
            let names = self.disk.list(&self.room.path).expect("listed").into_iter();
            let names = names.map(|entry| entry.name.to_string_lossy().into_owned());
            let mut staged: Vec<String> = names.filter(|name| layout::is_staged(name)).collect();
            staged.sort();
            staged
        }

        fn stage(&self, ahead: &mut Ahead, record: &mut Record) {
            publish::stage(&self.disk, &self.room, ahead, record, b"").expect("staged");
        }

        fn staged_text(&self, record: &Record, effect: usize) -> Vec<u8> {
            let path = self.room.file(record.staged_name(effect));
            self.disk.read(&path, 100).expect("read").expect("there")
        }
    }

    fn record(bus: &Bus, texts: &[&str]) -> Record {
        let effect = |(number, text): (usize, &&str)| {
            let to = Target::Inbox { agent: "alice".into(), stem: format!("m-{number}.reply"), number: 1 };
            Effect::whole(to, text.as_bytes().to_vec())
        };
        Record {
            term: 1,
            place: bus.room.place.clone(),
            claim: ClaimName::sent(0, "m-1"),
            finish: Finish::DeadLetter { name: "m-1.json".into() },
            effects: texts.iter().enumerate().map(effect).collect(),
            ahead: None,
            id: None,
            answers: None,
            story: Story::default(),
        }
    }

    #[test]
    fn the_first_effect_takes_the_file_and_the_others_make_theirs() {
        let bus = bus();
        let mut ahead = Ahead::wanted();
        ahead.make(&bus.disk, &bus.room).expect("made");
        ahead.make(&bus.disk, &bus.room).expect("it is there");
        let [made] = bus.staged().try_into().expect("one file");
        let (mut first, mut second) = (record(&bus, &["one", "two"]), record(&bus, &["three"]));
        bus.stage(&mut ahead, &mut first);
        bus.stage(&mut ahead, &mut second);
        assert_eq!((first.staged_name(0), second.ahead), (made, None));
        assert_eq!(bus.staged().len(), 3);
        let texts = [(&first, 0), (&first, 1), (&second, 0)].map(|(record, effect)| bus.staged_text(record, effect));
        assert_eq!(texts, [&b"one"[..], b"two", b"three"]);
        // After an error further on, the whole batch is staged again: what stands in the file stays there.
        ahead.make(&bus.disk, &bus.room).expect("made");
        let name = first.staged_name(0);
        bus.stage(&mut ahead, &mut first);
        assert_eq!((first.staged_name(0), bus.staged_text(&first, 0), bus.staged().len()), (name, b"one".to_vec(), 4));
    }

    #[test]
    fn a_record_without_effects_leaves_the_file_to_the_next() {
        let bus = bus();
        let mut ahead = Ahead::wanted();
        ahead.make(&bus.disk, &bus.room).expect("made");
        let (mut none, mut one) = (record(&bus, &[]), record(&bus, &["one"]));
        bus.stage(&mut ahead, &mut none);
        bus.stage(&mut ahead, &mut one);
        assert_eq!((none.ahead, one.ahead.is_some()), (None, true));
    }

    /// A file made ahead that can only be read, and its path.
    fn unwritable(bus: &Bus) -> (Ahead, PathBuf) {
        let id = Uuid::now_v7();
        let path = bus.room.file(layout::ahead(&id));
        bus.disk.create(&path, &[], Sync::Later).expect("made");
        let path = bus.disk.path().join(path);
        let for_reading = File::open(&path).expect("opened");
        (Ahead { file: Some((id, for_reading)), ..Ahead::wanted() }, path)
    }

    #[test]
    fn a_file_that_cannot_be_written_is_given_up() {
        let bus = bus();
        let (mut ahead, _) = unwritable(&bus);
        let mut record = record(&bus, &["one"]);
        bus.stage(&mut ahead, &mut record);
        assert_eq!((record.ahead, bus.staged()), (None, vec![record.staged_name(0)]));
        assert_eq!(bus.staged_text(&record, 0), b"one");
    }

    #[test]
    fn a_file_that_cannot_be_removed_either_is_removed_before_the_next_is_made() {
        let bus = bus();
        let (mut ahead, path) = unwritable(&bus);
        // In its place stands what is not removed as a file is.
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir(&path).expect("made");
        let mut record = record(&bus, &["one"]);
        bus.stage(&mut ahead, &mut record);
        ahead.make(&bus.disk, &bus.room).expect("put off");
        assert_eq!(bus.staged().len(), 2, "what is left, and the effect's own file");
        std::fs::remove_dir(&path).expect("removed");
        std::fs::write(&path, "half").expect("it is a file again");
        ahead.make(&bus.disk, &bus.room).expect("made");
        assert!(!path.exists() && bus.staged().len() == 2, "{:?}", bus.staged());
        ahead.discard(&bus.disk, &bus.room).expect("removed");
        assert_eq!(bus.staged(), [record.staged_name(0)]);
    }

    #[test]
    fn a_file_that_has_lost_its_name_is_not_used() {
        let bus = bus();
        let mut ahead = Ahead::wanted();
        ahead.make(&bus.disk, &bus.room).expect("made");
        let [made] = bus.staged().try_into().expect("one file");
        std::fs::remove_file(bus.disk.path().join(bus.room.file(made))).expect("cleared away");
        let mut record = record(&bus, &["one"]);
        bus.stage(&mut ahead, &mut record);
        assert_eq!((record.ahead, bus.staged_text(&record, 0)), (None, b"one".to_vec()));
    }

    #[test]
    fn none_is_made_where_none_is_wanted_nor_after_it_was_taken_away() {
        let bus = bus();
        let mut never = Ahead::default();
        never.make(&bus.disk, &bus.room).expect("nothing to do");
        let mut ahead = Ahead::wanted();
        ahead.make(&bus.disk, &bus.room).expect("made");
        assert_eq!(bus.staged().len(), 1);
        ahead.discard(&bus.disk, &bus.room).expect("removed");
        ahead.make(&bus.disk, &bus.room).expect("nothing to do");
        assert_eq!(bus.staged(), [""; 0]);
    }

    #[test]
    fn a_room_that_is_gone_is_told() {
        let bus = bus();
        let away = bus.disk.path().join("elsewhere");
        std::fs::rename(bus.disk.path().join(&bus.room.path), away).expect("taken over");
        let made = Ahead::wanted().make(&bus.disk, &bus.room);
        assert!(matches!(made, Err(BusError::RoomGone)), "{made:?}");
    }
}
