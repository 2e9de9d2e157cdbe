//! A bus, the rooms of dead services on it, and what stands in their logs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postroom::bus::ids::Ids;
use postroom::bus::layout::{self, ClaimName, Ticket};
use postroom::bus::log::{Durability, Log, Note};
use postroom::bus::place::Place;
use postroom::bus::record::{Effect, Finish, IdNote, IdState, Record, Story, Target};
use postroom::bus::room::{Prepared, Room};
use postroom::bus::{self, Disk};
use postroom::message::{Given, Message};
use postroom::policy::Settings;
use postroom::service::{Config, Mode, Service};

/// 2026-01-01, and a time that no test waits for.
pub const EARLIER_MS: u64 = 1_767_225_600_000;
pub const NEVER_MS: u64 = 9_999_999_999_999;

/// What the reply in the log says; no handler would say it.
pub const LOGGED: &str =
    r#"{"id":"r-1","sender":"postroom","recipient":"alice","action":"x","payload":"from the log"}"#;
pub const REPLY: &str = "inbox/alice/m-1.reply.json";

pub struct Bus {
    _folder: tempfile::TempDir,
    pub disk: Disk,
}

impl Bus {
    pub fn new() -> Bus {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(layout::BUS);
        bus::create(&path).expect("a bus");
        Bus { disk: bus::open(&path).expect("a bus"), _folder: folder }
    }

    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.disk.path().join(path)
    }

    pub fn put(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file in the bus")).expect("its folder");
        fs::write(path, text).expect("written");
    }

    #[track_caller]
    pub fn text(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The visible names in a folder, in order; none if it is not there.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name of ours"));
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    /// How many lines of today's journal tell this step of the record's message.
    pub fn journal_lines(&self, record: &Record, step: &str) -> usize {
        let (ticket, step) = (record.claim.ticket.to_string(), format!("\"step\":\"{step}\""));
        let journal = self.text(Path::new(layout::ARCHIVE).join(today()).join(layout::JOURNAL));
        journal.lines().filter(|line| line.contains(&step) && line.contains(&ticket)).count()
    }

    pub fn here(&self) -> Place {
        Place::here(&self.disk)
    }

    pub fn earlier_boot(&self) -> Place {
        Place { boot: "an-earlier-boot".into(), ..self.here() }
    }

    /// A room with a log of its own, whose owner ran there. It is dead when this is dropped.
    pub fn room(&self, term: u64, place: Place) -> OldRoom<'_> {
        let place = Arc::new(place);
        let prepared = Prepared::make(&self.disk, place.clone(), EARLIER_MS).expect("a room");
        let log = Log::create(&self.disk, &prepared.path(), Durability::Process, place, (today(), 0));
        let log = log.expect("a log");
        let room = prepared.enter(&self.disk, term).expect("a term").expect("the first of that term");
        OldRoom { bus: self, room, log }
    }

    pub fn earlier_room(&self) -> OldRoom<'_> {
        self.room(1, self.earlier_boot())
    }

    /// Works off everything that can be done now, and sees that no room is left over.
    #[track_caller]
    pub fn serve(&self) {
        let config = Config {
            bus: self.disk.path().to_owned(),
            settings: Settings::default(),
            settings_file: None,
            force_file_system: true,
        };
        Service::new(config, |_| {}).run(Mode::Once).expect("served");
        assert_eq!(self.names("processing"), [""; 0], "a room is left");
        assert_eq!(self.names("dead-letter"), [""; 0], "something was refused");
    }

    /// The reply to `m-1` is what the log says, there is no other, and the message is where it ends.
    #[track_caller]
    pub fn is_answered_once_from_the_log(&self, record: &Record) {
        assert_eq!(self.names("inbox/alice"), ["m-1.reply.json"]);
        assert_eq!(self.text(REPLY), LOGGED);
        assert_eq!(self.text(record.finish.path()), echo());
        assert_eq!(self.names("deferred"), [""; 0]);
    }
}

pub struct OldRoom<'a> {
    pub bus: &'a Bus,
    pub room: Room,
    pub log: Log,
}

impl OldRoom<'_> {
    pub fn put(&self, name: impl ToString, text: &str) {
        self.bus.put(self.room.file(name.to_string()), text);
    }

    pub fn decide(&mut self, record: &Record) {
        self.decide_about(record, "");
    }

    pub fn decide_about(&mut self, record: &Record, message: &str) {
        self.log.commit(&self.bus.disk, &self.room, &[(record, message.as_bytes())]).expect("decided");
    }

    pub fn began(&mut self, claim: &ClaimName) {
        self.log.note(&self.room, &Note::Started { claim: claim.to_string() }).expect("noted");
    }

    /// The id stands in the file of ids, too, as it was written before the power went.
    pub fn note_id(&self, record: &Record) {
        let mut ids = Ids::load(&self.bus.disk, &self.room, 30, 0).expect("ids");
        ids.note(record.claim.ticket, record.id.as_ref().expect("a record with an id"));
        ids.flush(&self.bus.disk, &postroom::bus::time::day(now_ms())).expect("flushed");
    }

    pub fn record(&self, claim: &ClaimName, finish: Finish, effects: Vec<Effect>) -> Record {
        Record {
            term: self.room.term,
            place: self.room.place.clone(),
            claim: claim.clone(),
            finish,
            effects,
            ahead: None,
            id: None,
            answers: None,
            story: Story { outcome: "replied".into(), ..Story::default() },
        }
    }

    /// `m-1` is answered.
    pub fn replied(&self, claim: &ClaimName) -> Record {
        let record = self.record(claim, archived(claim), vec![Effect::whole(reply(), LOGGED.into())]);
        Record { id: Some(used()), ..record }
    }

    /// `m-1` waits as this attempt.
    pub fn deferred(&self, claim: &ClaimName, waits_as: &ClaimName) -> Record {
        let record = self.record(claim, Finish::Deferred { name: waits_as.waiting(NEVER_MS) }, Vec::new());
        Record { id: Some(used()), ..record }
    }
}

pub fn now_ms() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    u64::try_from(since.as_millis()).expect("a clock before the end of time")
}

/// The archive of an earlier day could be packed before the test looks at it.
pub fn today() -> String {
    bus::time::day(now_ms())
}

pub fn claim() -> ClaimName {
    ClaimName::first(Ticket::new(), "m.json".as_ref())
}

pub fn archived(claim: &ClaimName) -> Finish {
    Finish::Archive { day: today(), hour: "00".into(), name: claim.archived(Some("m-1")) }
}

pub fn reply() -> Target {
    Target::Inbox { agent: "alice".into(), stem: "m-1.reply".into(), number: 1 }
}

pub fn message(recipient: &str, action: &str, payload: &str) -> String {
    format!(
        r#"{{"id":"m-1","sender":"alice","recipient":{recipient},"action":"{action}","payload":{payload},"timestamp":1767225600000}}"#
    )
}

/// The message `m-1`.
pub fn echo() -> String {
    message(r#""postroom""#, "mcp.core.echo", r#""hello""#)
}

pub fn used() -> IdNote {
    let given = Given { file_identity: (0, 0), now_ms: 0 };
    let message = Message::parse(echo().into_bytes(), given).expect("a good message");
    IdNote {
        state: IdState::Used,
        sender: "alice".into(),
        id: "m-1".into(),
        digest: message.content_digest().to_string(),
        recipients: vec!["postroom".into()],
        action: "mcp.core.echo".into(),
        hops: 0,
    }
}
