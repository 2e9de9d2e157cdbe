//! Recovery where boot or mount are others than when a record was decided: each test lays down by hand what a power cut left (a room
//! of an earlier boot with its log, and the files as they came back), runs the real service once over it, and looks at the files.
//!
//! Nothing here is killed or timed; which states a kill can leave is for `tests/sweep`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postroom::bus::ids::Ids;
use postroom::bus::journal::Journal;
use postroom::bus::layout::{self, ClaimName, Ticket};
use postroom::bus::log::{Durability, Log, Note};
use postroom::bus::place::Place;
use postroom::bus::record::{Effect, Finish, IdNote, IdState, Piece, Record, Story, Target};
use postroom::bus::room::{Prepared, Room};
use postroom::bus::{self, Disk, recover, term};
use postroom::message::{Given, Message};
use postroom::policy::Settings;
use postroom::service::{Config, Mode, Service};

/// 2026-01-01, and a time that no test waits for.
const EARLIER_MS: u64 = 1_767_225_600_000;
const NEVER_MS: u64 = 9_999_999_999_999;

/// What the reply in the log says; no handler would say it.
const LOGGED: &str = r#"{"id":"r-1","sender":"postroom","recipient":"alice","action":"x","payload":"from the log"}"#;
const REPLY: &str = "inbox/alice/m-1.reply.json";

struct Bus {
    _folder: tempfile::TempDir,
    disk: Disk,
}

impl Bus {
    fn new() -> Bus {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(layout::BUS);
        bus::create(&path).expect("a bus");
        Bus { disk: bus::open(&path).expect("a bus"), _folder: folder }
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.disk.path().join(path)
    }

    fn put(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file in the bus")).expect("its folder");
        fs::write(path, text).expect("written");
    }

    #[track_caller]
    fn text(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The visible names in a folder, in order; none if it is not there.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name of ours"));
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    fn here(&self) -> Place {
        Place::here(&self.disk)
    }

    fn earlier_boot(&self) -> Place {
        Place { boot: "an-earlier-boot".into(), ..self.here() }
    }

    /// A room with a log of its own, whose owner ran there. It is dead when this is dropped.
    fn room(&self, term: u64, place: Place) -> OldRoom<'_> {
        let place = Arc::new(place);
        let prepared = Prepared::make(&self.disk, place.clone(), EARLIER_MS).expect("a room");
        let log = Log::create(&self.disk, &prepared.path(), Durability::Process, place, (today(), 0));
        let log = log.expect("a log");
        let room = prepared.enter(&self.disk, term).expect("a term").expect("the first of that term");
        OldRoom { bus: self, room, log }
    }

    fn earlier_room(&self) -> OldRoom<'_> {
        self.room(1, self.earlier_boot())
    }

    /// Works off everything that can be done now, and sees that no room is left over.
    #[track_caller]
    fn serve(&self) {
        let config =
            Config { bus: self.disk.path().to_owned(), settings: Settings::default(), force_file_system: true };
        Service::new(config, |_| {}).run(Mode::Once).expect("served");
        assert_eq!(self.names("processing"), [""; 0], "a room is left");
        assert_eq!(self.names("dead-letter"), [""; 0], "something was refused");
    }

    /// The reply to `m-1` is what the log says, there is no other, and the message is where it ends.
    #[track_caller]
    fn is_answered_once_from_the_log(&self, record: &Record) {
        assert_eq!(self.names("inbox/alice"), ["m-1.reply.json"]);
        assert_eq!(self.text(REPLY), LOGGED);
        assert_eq!(self.text(record.finish.path()), echo());
        assert_eq!(self.names("deferred"), [""; 0]);
    }
}

struct OldRoom<'a> {
    bus: &'a Bus,
    room: Room,
    log: Log,
}

impl OldRoom<'_> {
    fn put(&self, name: impl ToString, text: &str) {
        self.bus.put(self.room.file(name.to_string()), text);
    }

    fn decide(&mut self, record: &Record) {
        self.decide_about(record, "");
    }

    fn decide_about(&mut self, record: &Record, message: &str) {
        self.log.commit(&self.bus.disk, &self.room, &[(record, message.as_bytes())]).expect("decided");
    }

    fn began(&mut self, claim: &ClaimName) {
        self.log.note(&self.room, &Note::Started { claim: claim.to_string() }).expect("noted");
    }

    /// The id stands in the file of ids, too, as it was written before the power went.
    fn note_id(&self, record: &Record) {
        let mut ids = Ids::load(&self.bus.disk, &self.room, 30, now_ms()).expect("ids");
        ids.note(record.claim.ticket, record.id.as_ref().expect("a record with an id"));
        ids.flush(&self.bus.disk, now_ms()).expect("flushed");
    }

    fn record(&self, claim: &ClaimName, finish: Finish, effects: Vec<Effect>) -> Record {
        Record {
            term: self.room.term,
            place: self.room.place.clone(),
            claim: claim.clone(),
            finish,
            effects,
            id: None,
            answers: None,
            story: Story { outcome: "replied".into(), ..Story::default() },
        }
    }

    /// `m-1` is answered.
    fn replied(&self, claim: &ClaimName) -> Record {
        let record = self.record(claim, archived(claim), vec![Effect::whole(reply(), LOGGED.into())]);
        Record { id: Some(used()), ..record }
    }

    /// `m-1` waits as this attempt.
    fn deferred(&self, claim: &ClaimName, waits_as: &ClaimName) -> Record {
        let record = self.record(claim, Finish::Deferred { name: waits_as.waiting(NEVER_MS) }, Vec::new());
        Record { id: Some(used()), ..record }
    }
}

fn now_ms() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    u64::try_from(since.as_millis()).expect("a clock before the end of time")
}

/// The archive of an earlier day could be packed before the test looks at it.
fn today() -> String {
    bus::time::day(now_ms())
}

fn claim() -> ClaimName {
    ClaimName::first(Ticket::new(), "m.json".as_ref())
}

fn archived(claim: &ClaimName) -> Finish {
    Finish::Archive { day: today(), hour: "00".into(), name: claim.archived(Some("m-1")) }
}

fn reply() -> Target {
    Target::Inbox { agent: "alice".into(), stem: "m-1.reply".into(), number: 1 }
}

fn message(recipient: &str, action: &str, payload: &str) -> String {
    format!(
        r#"{{"id":"m-1","sender":"alice","recipient":{recipient},"action":"{action}","payload":{payload},"timestamp":1767225600000}}"#
    )
}

/// The message `m-1`.
fn echo() -> String {
    message(r#""postroom""#, "mcp.core.echo", r#""hello""#)
}

fn used() -> IdNote {
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

// Published replies.

#[test]
fn a_published_reply_that_is_missing_is_written_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
}

#[test]
fn a_published_reply_that_is_there_is_left_and_what_is_staged_goes() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    room.put(record.staged_name(0), LOGGED);
    bus.put(REPLY, LOGGED);
    let before = fs::metadata(bus.path(REPLY)).expect("there").ino();
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
    assert_eq!(fs::metadata(bus.path(REPLY)).expect("there").ino(), before, "written again");
}

#[test]
fn a_published_reply_that_was_cut_short_is_written_again() {
    for left in ["", &LOGGED[..LOGGED.len() / 2], &"\0".repeat(LOGGED.len())] {
        let bus = Bus::new();
        let mut room = bus.earlier_room();
        let claim = claim();
        let record = room.replied(&claim);
        room.decide(&record);
        room.put(&claim, &echo());
        bus.put(REPLY, left);
        drop(room);
        bus.serve();
        bus.is_answered_once_from_the_log(&record);
    }
}

#[test]
fn a_staged_reply_that_was_cut_short_is_not_published() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    room.put(record.staged_name(0), "");
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
}

#[test]
fn anothers_file_of_that_name_is_left_and_the_reply_takes_the_next_number() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    bus.put(REPLY, r#"{"of":"another"}"#);
    drop(room);
    bus.serve();
    assert_eq!(bus.names("inbox/alice"), ["m-1.reply.json", "m-1.reply~2.json"]);
    assert_eq!(bus.text(REPLY), r#"{"of":"another"}"#);
    assert_eq!(bus.text("inbox/alice/m-1.reply~2.json"), LOGGED);
}

#[test]
fn an_answered_message_that_is_back_in_the_drop_is_not_answered_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let record = room.replied(&claim());
    room.decide(&record);
    bus.put("m.json", &echo());
    drop(room);
    bus.serve();
    assert_eq!(bus.names("inbox/alice"), ["m-1.reply.json"]);
    assert_eq!(bus.text(REPLY), LOGGED);
    assert!(!bus.path("m.json").exists());
}

#[test]
fn a_large_reply_is_rebuilt_from_the_messages_file_wherever_that_is() {
    let payload = format!(r#""{}""#, "large ".repeat(4000));
    let text = message(r#""postroom""#, "mcp.core.echo", &payload);
    let start = text.find(&payload).expect("the payload is in it");
    let (head, tail) = (r#"{"payload":"#, "}");
    let body =
        vec![Piece::Bytes(head.into()), Piece::OfMessage { start, len: payload.len() }, Piece::Bytes(tail.into())];
    for is_finished in [false, true] {
        let bus = Bus::new();
        let mut room = bus.earlier_room();
        let claim = claim();
        let record = room.record(&claim, archived(&claim), vec![Effect { to: reply(), body: body.clone() }]);
        assert!(record.refers_to_message());
        room.decide_about(&record, &text);
        let back = if is_finished { record.finish.path() } else { room.room.file(claim.to_string()) };
        bus.put(back, &text);
        drop(room);
        bus.serve();
        assert_eq!(bus.text(REPLY), format!("{head}{payload}{tail}"), "finished: {is_finished}");
        assert_eq!(bus.text(record.finish.path()), text);
    }
}

// Messages that had been put off.

#[test]
fn a_deferred_message_that_is_back_in_the_drop_is_handled_and_answered_once() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.deferred(&claim, &claim.next_attempt());
    room.decide(&record);
    room.note_id(&record);
    bus.put("m.json", &echo());
    drop(room);
    bus.serve();
    assert!(bus.text(REPLY).contains(r#""payload":"hello""#));
    let first = bus.text(REPLY);
    bus.put("again.json", &echo());
    bus.serve();
    assert_eq!(bus.names("inbox/alice"), ["m-1.reply.json"]);
    assert_eq!(bus.text(REPLY), first);
}

#[test]
fn a_message_that_was_deferred_twice_and_is_back_in_the_drop_is_handled() {
    for is_noted in [false, true] {
        let bus = Bus::new();
        let mut room = bus.earlier_room();
        let first = claim();
        let second = first.next_attempt();
        for (claim, waits_as) in [(&first, &second), (&second, &second.next_attempt())] {
            let record = room.deferred(claim, waits_as);
            room.decide(&record);
            if is_noted {
                room.note_id(&record);
            }
        }
        bus.put("m.json", &echo());
        drop(room);
        bus.serve();
        assert_eq!(bus.names("inbox/alice"), ["m-1.reply.json"], "the id is in the file of ids: {is_noted}");
    }
}

#[test]
fn a_message_that_waited_and_was_begun_and_is_back_in_the_drop_is_handled() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.deferred(&claim, &claim);
    room.decide(&record);
    room.note_id(&record);
    room.began(&claim);
    bus.put("m.json", &echo());
    drop(room);
    bus.serve();
    assert!(bus.text(REPLY).contains(r#""payload":"hello""#));
}

#[test]
fn a_deferred_message_that_is_back_in_the_room_waits_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.deferred(&claim, &claim.next_attempt());
    room.decide(&record);
    room.put(&claim, &echo());
    drop(room);
    bus.serve();
    assert_eq!(bus.names("deferred").len(), 1);
    assert_eq!(bus.names("inbox/alice"), [""; 0]);
}

/// Its file is in the room as the second attempt: the id stays taken, or a copy in the drop would be handled beside it.
#[test]
fn a_resumed_message_that_is_still_in_the_room_keeps_its_id() {
    for waits_as in [ClaimName::next_attempt, ClaimName::clone] {
        let bus = Bus::new();
        let mut old = bus.earlier_room();
        let first = claim();
        let record = old.deferred(&first, &waits_as(&first));
        old.decide(&record);
        old.note_id(&record);
        // Waiting did not count it up; that its service died did.
        old.began(&waits_as(&first));
        old.put(first.next_attempt(), &echo());
        drop(old);
        let OldRoom { room, mut log, .. } = bus.room(2, bus.here());
        term::take_others(&bus.disk, &room).expect("taken over");
        let mut journal = Journal::new("first".into(), room.term);
        let mut ids = Ids::load(&bus.disk, &room, 30, now_ms()).expect("ids");
        recover::recover(&bus.disk, &room, &mut log, &mut journal, &mut ids, Durability::Process, now_ms())
            .expect("recovered");
        let seen = ids.seen("alice", "m-1").map(|seen| seen.ticket);
        assert_eq!(seen, Some(first.ticket), "it waited as {}", waits_as(&first));
    }
}

/// It was put off as `waits_as`, resumed, and answered as that attempt; `back` puts its file back, and it is not answered again.
#[track_caller]
fn resumed_and_answered(waits_as: impl Fn(&ClaimName) -> ClaimName, back: impl Fn(&OldRoom, &ClaimName, &ClaimName)) {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let first = claim();
    let second = waits_as(&first);
    let deferral = room.deferred(&first, &second);
    room.decide(&deferral);
    let answer = room.replied(&second);
    room.decide(&answer);
    back(&room, &first, &second);
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&answer);
}

#[test]
fn an_answered_retry_that_is_back_in_deferred_is_finished() {
    resumed_and_answered(ClaimName::next_attempt, |room, _, second| {
        room.bus.put(Path::new(layout::DEFERRED).join(second.waiting(1)), &echo());
    });
}

#[test]
fn an_answered_retry_that_is_back_in_the_room_as_its_first_attempt_is_finished() {
    resumed_and_answered(ClaimName::next_attempt, |room, first, _| room.put(first, &echo()));
}

#[test]
fn an_answered_message_that_had_waited_and_is_back_in_deferred_is_finished() {
    resumed_and_answered(ClaimName::clone, |room, _, second| {
        room.bus.put(Path::new(layout::DEFERRED).join(second.waiting(NEVER_MS)), &echo());
    });
}

#[test]
fn an_answered_message_that_had_waited_and_is_back_in_the_room_is_finished() {
    resumed_and_answered(ClaimName::clone, |room, _, second| room.put(second, &echo()));
}

// Deliveries of a split.

/// `m-1` to two agents was split.
struct Split {
    record: Record,
    text: String,
    deliveries: [ClaimName; 2],
}

fn split(room: &mut OldRoom) -> Split {
    for agent in ["agent-b", "agent-c"] {
        fs::create_dir_all(room.bus.path(layout::inbox(agent))).expect("an inbox");
    }
    let text = message(r#"["agent-b","agent-c"]"#, "notes.add", "1");
    let claim = claim();
    let deliveries = [claim.part(1, "agent-b"), claim.part(2, "agent-c")];
    let copy = |delivery: &ClaimName| Effect {
        to: Target::Room { name: delivery.to_string() },
        body: vec![Piece::OfMessage { start: 0, len: text.len() }],
    };
    let record = room.record(&claim, archived(&claim), deliveries.iter().map(copy).collect());
    room.decide_about(&record, &text);
    room.bus.put(record.finish.path(), &text);
    Split { record, text, deliveries }
}

#[test]
fn deliveries_that_are_missing_or_empty_are_written_again_and_delivered() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let split = split(&mut room);
    room.put(&split.deliveries[1], "");
    drop(room);
    bus.serve();
    for agent in ["agent-b", "agent-c"] {
        assert_eq!(bus.names(&format!("inbox/{agent}")), ["m-1.json"], "{agent}");
        assert!(bus.text(format!("inbox/{agent}/m-1.json")).contains("notes.add"));
    }
    assert_eq!(bus.text(split.record.finish.path()), split.text);
}

#[test]
fn a_delivery_that_was_decided_is_not_made_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let split = split(&mut room);
    let delivered = Target::Inbox { agent: "agent-b".into(), stem: "m-1".into(), number: 1 };
    let effects = vec![Effect::whole(delivered, LOGGED.into())];
    let own = room.record(&split.deliveries[0], archived(&split.deliveries[0]), effects);
    room.decide(&own);
    drop(room);
    bus.serve();
    assert_eq!(bus.names("inbox/agent-b"), ["m-1.json"]);
    assert_eq!(bus.text("inbox/agent-b/m-1.json"), LOGGED);
    assert_eq!(bus.names("inbox/agent-c"), ["m-1.json"]);
}

#[test]
fn a_delivery_that_waits_is_not_made_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let split = split(&mut room);
    let waiting = split.deliveries[0].next_attempt().waiting(NEVER_MS);
    let own = room.record(&split.deliveries[0], Finish::Deferred { name: waiting.clone() }, Vec::new());
    room.decide(&own);
    bus.put(own.finish.path(), &split.text);
    drop(room);
    bus.serve();
    assert_eq!(bus.names("inbox/agent-b"), [""; 0]);
    assert_eq!(bus.names("inbox/agent-c"), ["m-1.json"]);
    let parts = |name: &String| layout::WaitingName::parse(name).map(|waiting| waiting.claim);
    let waits: Vec<_> = bus.names("deferred").iter().filter_map(parts).collect();
    assert_eq!(waits, [split.deliveries[0].next_attempt()]);
}

#[test]
fn a_delivery_that_was_resumed_is_not_made_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let split = split(&mut room);
    let second = split.deliveries[0].next_attempt();
    let own = room.record(&split.deliveries[0], Finish::Deferred { name: second.waiting(NEVER_MS) }, Vec::new());
    room.decide(&own);
    room.put(&second, &split.text);
    drop(room);
    bus.serve();
    for agent in ["agent-b", "agent-c"] {
        assert_eq!(bus.names(&format!("inbox/{agent}")), ["m-1.json"], "{agent}");
    }
    let journal = bus.text(format!("archive/{}/{}", today(), layout::JOURNAL));
    let delivered = |line: &&str| line.contains(r#""step":"delivered""#) && line.contains(&second.ticket.to_string());
    assert_eq!(journal.lines().filter(delivered).count(), 1, "{journal}");
}

#[test]
fn a_delivery_that_waited_and_whose_file_is_gone_is_made_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let split = split(&mut room);
    let waiting = split.deliveries[0].next_attempt().waiting(NEVER_MS);
    let own = room.record(&split.deliveries[0], Finish::Deferred { name: waiting }, Vec::new());
    room.decide(&own);
    drop(room);
    bus.serve();
    for agent in ["agent-b", "agent-c"] {
        assert_eq!(bus.names(&format!("inbox/{agent}")), ["m-1.json"], "{agent}");
    }
}

// Registrations.

/// The first registration was decided in an earlier boot, what came after it in this one, where nothing is written again: so
/// whatever the first one did would stay.
fn registered_and_then(later: Target, there: Option<&str>) {
    let bus = Bus::new();
    let register = |room: &mut OldRoom, to: Target, text: &str| {
        let record = room.record(&claim(), archived(&claim()), vec![Effect::whole(to, text.into())]);
        room.decide(&record);
    };
    let alice = Target::Agent { agent: "alice".into() };
    let mut room = bus.earlier_room();
    register(&mut room, alice, r#"{"name":"alice","version":"1.0.0"}"#);
    drop(room);
    let mut room = bus.room(2, bus.here());
    register(&mut room, later, there.unwrap_or_default());
    drop(room);
    let file = layout::agent_file("alice");
    there.into_iter().for_each(|text| bus.put(&file, text));
    bus.serve();
    assert_eq!(fs::read_to_string(bus.path(&file)).ok().as_deref(), there);
}

#[test]
fn a_registration_that_was_replaced_later_is_not_put_back() {
    registered_and_then(Target::Agent { agent: "alice".into() }, Some(r#"{"name":"alice","version":"2.0.0"}"#));
}

#[test]
fn a_registration_that_was_ended_later_is_not_put_back() {
    registered_and_then(Target::AgentGone { agent: "alice".into() }, None);
}

#[test]
fn a_registration_that_is_missing_or_an_older_one_is_put_back() {
    for left in [None, Some(r#"{"name":"alice","version":"1.0.0"}"#)] {
        let bus = Bus::new();
        let file = layout::agent_file("alice");
        let text = r#"{"name":"alice","version":"2.0.0"}"#;
        left.into_iter().for_each(|left| bus.put(&file, left));
        let mut room = bus.earlier_room();
        let effects = vec![Effect::whole(Target::Agent { agent: "alice".into() }, text.into())];
        let record = room.record(&claim(), archived(&claim()), effects);
        room.decide(&record);
        drop(room);
        bus.serve();
        assert_eq!(bus.text(&file), text);
    }
}

// Whose boot it was.

/// Interleaving 7 of the commit protocol, *copied-record-forgets-its-boot*: the first recoverer copies the record into its own
/// log, of this boot, and goes no further; the next one must still know that the record is of an earlier boot.
#[test]
fn a_copied_record_keeps_the_boot_in_which_it_was_decided() {
    let bus = Bus::new();
    let mut old = bus.earlier_room();
    let claim = claim();
    let record = old.replied(&claim);
    old.decide(&record);
    old.put(&claim, &echo());
    drop(old);
    // A file in the place of the inbox ends the first recovery after it has copied.
    bus.put("inbox/alice", "in the way");
    let OldRoom { room, mut log, .. } = bus.room(2, bus.here());
    term::take_others(&bus.disk, &room).expect("taken over");
    let mut journal = Journal::new("first".into(), room.term);
    let mut ids = Ids::load(&bus.disk, &room, 30, now_ms()).expect("ids");
    recover::recover(&bus.disk, &room, &mut log, &mut journal, &mut ids, Durability::Process, now_ms())
        .expect_err("there is no inbox");
    let copied = bus::log::read(&bus.disk, &room.path).expect("its log").records;
    assert_eq!(copied, std::slice::from_ref(&record));
    drop((room, log));
    fs::remove_file(bus.path("inbox/alice")).expect("removed");
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
}

#[test]
fn in_the_same_boot_and_mount_a_reply_that_was_taken_is_not_written_again() {
    let bus = Bus::new();
    let here = bus.here();
    // A system that does not tell the mount's unique id trusts nothing, and writes it again.
    let is_trusted = here.same_mount(&here);
    let mut room = bus.room(1, here);
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    drop(room);
    bus.serve();
    let expected: &[&str] = if is_trusted { &[] } else { &["m-1.reply.json"] };
    assert_eq!(bus.names("inbox/alice"), expected);
    assert_eq!(bus.text(record.finish.path()), echo());
}

#[test]
fn on_another_mount_of_the_same_boot_a_missing_reply_is_written_again() {
    let bus = Bus::new();
    let mut room = bus.room(1, Place { mount: "an-earlier-mount".into(), ..bus.here() });
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
}

/// As a power cut leaves it that undid the rename of the room to its term, too.
#[test]
fn a_room_that_is_back_under_its_prepared_name_is_recovered() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    let prepared = layout::prepared_folder(room.room.uuid);
    fs::rename(bus.path(layout::term_folder(1)), bus.path(prepared)).expect("renamed back");
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
}
