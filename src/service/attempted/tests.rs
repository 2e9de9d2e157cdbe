//! A service on a real bus whose extensions do what the test says: their handlers run, but what counts is what the test hands in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value as Json;

use super::*;
use crate::bus::{self, create, layout};
use crate::extension::{self, ExtensionHost};
use crate::message::MessageId;
use crate::policy::Settings;
use crate::service::installed::{Installed, Places};
use crate::service::wake::Wakes;
use crate::service::{Core, Mode, standby};

/// The extensions `one` and `two`, compiled once for all tests, and what runs them.
fn host() -> (tokio::runtime::Handle, Arc<ExtensionHost>) {
    static HOST: OnceLock<(tokio::runtime::Runtime, Arc<ExtensionHost>)> = OnceLock::new();
    let (runtime, host) = HOST.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let prebuilt = Path::new(env!("CARGO_MANIFEST_DIR")).join("extensions/prebuilt/ext-sum.wasm");
        for name in ["one.wasm", "two.wasm"] {
            std::fs::copy(&prebuilt, folder.path().join(name)).expect("copied");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
        let runtime = runtime.expect("a runtime");
        let loaded = runtime.block_on(ExtensionHost::load(folder.path(), &extension::Configuration::default()));
        (runtime, Arc::new(loaded.expect("loaded").0))
    });
    (runtime.handle().clone(), host.clone())
}

struct Bus {
    _folder: tempfile::TempDir,
    path: PathBuf,
    core: Core,
    wakes: std::cell::RefCell<Wakes>,
}

impl Bus {
    fn new() -> Bus {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bus");
        create::create(&path).expect("made");
        let (wake, wakes) = Wakes::new();
        let mut settings = Settings::default();
        settings.retry.first_ms = 1;
        settings.retry.max_ms = 1;
        settings.extensions.concurrency = 8;
        let places = Places { folder: folder.path().join("none"), settings: None, base: folder.path().to_owned() };
        let configuration = extension::Configuration::from_settings(&settings, folder.path());
        let core = Core {
            disk: Arc::new(bus::open(&path).expect("opened")),
            settings,
            say: Arc::new(|_| {}),
            installed: Installed::new(places, configuration, Duration::ZERO, wake.clone()),
            stopped: Arc::new(AtomicBool::new(false)),
            wake,
        };
        std::fs::create_dir(path.join("inbox/alice")).expect("made");
        Bus { _folder: folder, path, core, wakes: wakes.into() }
    }

    /// The next service of this bus, which takes over whatever the one before left.
    fn serve(&self) -> Active<'_> {
        let (runtime, host) = host();
        let entered = standby::wait(&self.core, &mut self.wakes.borrow_mut(), Mode::Once).expect("a room");
        let (room, log) = entered.expect("nobody else is active");
        let mut active = Active::begin(&self.core, room, log).expect("active");
        active.lanes =
            crate::service::lanes::Lanes::new(host, Some(runtime), active.state.clone(), self.core.wake.clone());
        active
    }

    fn drop(&self, id: &str, recipient: &str) {
        let text = message("alice", id, &format!("\"{recipient}\""), "");
        std::fs::write(self.path.join(format!("{id}.json")), text).expect("dropped");
    }

    fn json(&self, path: &str) -> Json {
        let text = std::fs::read_to_string(self.path.join(path)).unwrap_or_else(|why| panic!("{path}: {why}"));
        serde_json::from_str(&text).expect("JSON")
    }

    fn ls(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path.join(folder)).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Code and recipient of each dead letter.
    fn dead(&self) -> Vec<(String, String)> {
        let whys = self.ls("dead-letter").into_iter().filter(|name| name.ends_with(".why.json"));
        let text = |why: &Json, field: &str| why[field].as_str().unwrap_or_default().to_owned();
        whys.map(|name| self.json(&format!("dead-letter/{name}")))
            .map(|why| (text(&why, "code"), text(&why, "recipient")))
            .collect()
    }

    /// The journal's lines of this step.
    fn journal(&self, step: &str) -> Vec<Json> {
        let day = self.ls("archive").pop().expect("a day");
        let text = std::fs::read_to_string(self.path.join(format!("archive/{day}/journal.jsonl"))).expect("a journal");
        let lines = text.lines().map(|line| serde_json::from_str::<Json>(line).expect("a line"));
        lines.filter(|line| line["step"] == step).collect()
    }

    fn value(&self, key: &str) -> Option<Value> {
        let name = layout::state_name(key);
        let bytes = std::fs::read(self.path.join(".postroom/state/one").join(name)).ok()?;
        Value::decode(&bytes)
    }
}

fn message(sender: &str, id: &str, recipient: &str, more: &str) -> String {
    format!(
        r#"{{"id":"{id}","sender":"{sender}","recipient":{recipient},"action":"do.it","payload":{{"a":1,"b":2}},"timestamp":1763683200000{more}}}"#
    )
}

fn sent(sender: &str, id: &str, recipient: &str, more: &str) -> extension::Sent {
    let text = JsonText::trusted(message(sender, id, recipient, more));
    extension::Sent { id: MessageId::parse(id).expect("an id"), sender: sender.into(), text }
}

fn key(key: &str) -> StateKey {
    StateKey { extension: "one".into(), key: key.into() }
}

fn replies() -> Attempted {
    let handled = Handled::Reply(Payload::Text(JsonText::trusted("1")));
    Attempted { handled, effects: Effects::default(), log: Vec::new() }
}

fn sends(sent: impl IntoIterator<Item = extension::Sent>) -> Attempted {
    let effects = Effects { sent: sent.into_iter().collect(), ..Effects::default() };
    Attempted { effects, ..replies() }
}

fn fails(retry: Retry) -> Attempted {
    let failure = Failure { code: Code::HandlerFailed, message: "no".into(), details: None, retry };
    Attempted { handled: Handled::Failed(failure), effects: Effects::default(), log: Vec::new() }
}

impl Active<'_> {
    /// Rounds until nothing is left to be claimed.
    fn work(&mut self) {
        for _ in 0..50 {
            self.scan_now();
            self.turn(Now::get()).expect("a turn");
        }
    }

    /// The message that an extension has in hand: its id, its sender and its hops, in the order of acceptance.
    fn in_hand(&self) -> Vec<(String, String, u32)> {
        let mut jobs: Vec<&Job> = self.lanes.running_claims().collect();
        jobs.sort_by_key(|job| job.claimed.claim.name.ticket);
        let told = |job: &&Job| {
            let message = &job.claimed.message;
            (message.id().to_string(), message.sender().to_string(), job.hops)
        };
        jobs.iter().map(told).collect()
    }

    /// The handler of this message ends so.
    fn end(&mut self, id: &str, attempted: Attempted) {
        self.end_with(id, attempted, Vec::new());
    }

    fn end_with(&mut self, id: &str, attempted: Attempted, changes: Vec<Change>) {
        let job = self.lanes.running_claims().find(|job| job.claimed.message.id().as_str() == id);
        let ticket =
            job.unwrap_or_else(|| panic!("{id} is not in hand: {:?}", self.in_hand())).claimed.claim.name.ticket;
        let left = Left { attempted, changes, took: Duration::ZERO, described: "one 1.0.0".into(), host: host().1 };
        self.ended(Ended { ticket, left });
    }
}

#[test]
fn what_a_handler_sends_is_delivered_from_it_one_hop_further() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    assert_eq!(active.in_hand(), [("m-1".into(), "alice".into(), 0)]);
    active.end("m-1", sends([sent("one", "s-1", "\"alice\"", ""), sent("one", "s-2", r#"["alice","two"]"#, "")]));
    active.work();
    assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json", "s-1.json", "s-2.json"]);
    let delivered = bus.json("inbox/alice/s-1.json");
    assert_eq!((&delivered["sender"], &delivered["delivery"]["hops"]), (&"one".into(), &1.into()));
    assert_eq!(bus.json("inbox/alice/s-2.json")["delivery"]["hops"], 1);
    assert_eq!(active.in_hand(), [("s-2".into(), "one".into(), 1)]);
    let told = bus.journal("sent");
    let finished = bus.journal("finished");
    let from = &finished.iter().find(|line| line["id"] == "m-1").expect("a line")["ticket"];
    assert_eq!(
        told.iter().map(|line| (&line["id"], &line["from"])).collect::<Vec<_>>(),
        [(&Json::from("s-1"), from), (&Json::from("s-2"), from)]
    );
}

#[test]
fn a_dropped_file_cannot_come_from_an_extension() {
    let bus = Bus::new();
    let mut active = bus.serve();
    std::fs::write(bus.path.join("@1~x.json"), message("one", "f-1", "\"alice\"", "")).expect("dropped");
    active.work();
    assert_eq!(bus.dead(), [("not-permitted".to_owned(), "alice".to_owned())]);
}

#[test]
fn an_extension_that_asked_gets_the_answer_as_a_message_and_answers_it_no_more() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    let asked = ["\"two\"", "\"postroom\"", "\"nobody\""].into_iter().zip(["s-1", "s-2", "s-3"]);
    active.end("m-1", sends(asked.map(|(to, id)| sent("one", id, to, ""))));
    active.work();
    active.end("s-1", replies());
    active.work();
    // The answer of `two`, the refusal of `postroom` (it has no such action), and that nobody is called `nobody`.
    let answers = active.in_hand();
    let from: Vec<(&str, u32)> = answers.iter().map(|(_, sender, hops)| (sender.as_str(), *hops)).collect();
    assert_eq!(from, [("postroom", 2), ("postroom", 2), ("two", 2)]);
    for (id, ..) in &answers {
        active.end(id, replies());
    }
    active.work();
    assert_eq!(active.in_hand(), []);
    assert_eq!(bus.ls("inbox"), ["alice"]);
    assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json"]);
    let handled = bus.journal("handled");
    assert_eq!(handled.len(), 3, "{handled:?}");
}

#[test]
fn an_agent_answers_an_extension_once() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    active.end("m-1", sends([sent("one", "s-1", "\"alice\"", "")]));
    active.work();
    for id in ["a-1", "a-2"] {
        let answer = message("alice", id, "\"one\"", r#","inReplyTo":"s-1""#);
        std::fs::write(bus.path.join(format!("{id}.json")), answer).expect("dropped");
        active.work();
    }
    assert_eq!(active.in_hand(), [("a-1".into(), "alice".into(), 2)]);
    active.end("a-1", replies());
    active.work();
    std::fs::write(bus.path.join("a-3.json"), message("alice", "a-3", "\"one\"", r#","inReplyTo":"s-1""#))
        .expect("dropped");
    active.work();
    assert_eq!(active.in_hand(), []);
    assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json", "s-1.json"], "an answer gets none");
    assert_eq!(bus.journal("duplicate").len(), 2);
}

#[test]
fn two_extensions_that_send_to_each_other_end_as_a_loop() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-0", "one");
    active.work();
    let mut round = 0;
    while let Some((id, ..)) = active.in_hand().first().cloned() {
        round += 1;
        assert!(round < 100, "it does not end");
        let (from, to) = if round % 2 == 1 { ("one", "\"two\"") } else { ("two", "\"one\"") };
        // No answers in between: each of those would be a branch of its own.
        active.end(
            &id,
            Attempted {
                handled: replies().handled,
                ..sends([sent(from, &format!("m-{round}"), to, r#","inReplyTo":"x""#)])
            },
        );
        active.work();
    }
    assert_eq!(round, 17);
    assert_eq!(bus.dead(), [("loop".to_owned(), "two".to_owned())]);
}

#[test]
fn an_extension_that_answers_every_refusal_ends_as_a_loop() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-0", "one");
    active.work();
    let mut round = 0;
    while let Some((id, ..)) = active.in_hand().first().cloned() {
        round += 1;
        assert!(round < 100, "it does not end");
        active.end(&id, sends([sent("one", &format!("m-{round}"), "\"nobody\"", "")]));
        active.work();
    }
    // Each refusal is a hop, and so is each message that is sent because of it.
    assert_eq!(round, 9);
    assert_eq!(bus.dead().last().map(|(code, _)| code.as_str()), Some("loop"), "{:?}", bus.dead());
}

#[test]
fn a_failed_attempt_leaves_its_log_and_nothing_else() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    let line = |text: &str| LogLine { extension: "one".into(), level: Level::Warn, text: text.into() };
    let mut failed = sends([sent("one", "s-1", "\"alice\"", "")]);
    failed.effects.written.insert(key("count"), Some(b"1".to_vec()));
    failed.handled = fails(Retry::Later).handled;
    failed.log = vec![line("first \u{1b}[31m")];
    active.end("m-1", failed);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while active.in_hand().is_empty() {
        assert!(std::time::Instant::now() < deadline, "it is not tried again");
        active.work();
    }
    let log = (0..40).map(|n| line(&format!("line {n}"))).collect();
    active.end("m-1", Attempted { log, ..fails(Retry::Final) });
    active.work();
    assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json"]);
    assert_eq!(bus.value("count"), None);
    let deferred = &bus.journal("deferred")[0];
    assert_eq!(deferred["log"], serde_json::json!([{"by": "one", "level": "warn", "text": "first \u{1b}[31m"}]));
    assert_eq!(bus.journal("finished")[0]["log"].as_array().map(Vec::len), Some(40));
    let why = bus.ls("dead-letter").into_iter().find(|name| name.ends_with(".why.json")).expect("a reason");
    let why = bus.json(&format!("dead-letter/{why}"));
    let log = why["log"].as_array().expect("a log");
    assert_eq!((log.len(), &log[15]["text"]), (16, &"line 39".into()));
}

/// Counts one further than what it has read, as an extension that keeps a number would.
fn counts(active: &Active<'_>) -> Attempted {
    let stored = active.state.get(&key("count")).expect("readable");
    let number: u64 = stored.value.map_or(0, |text| String::from_utf8(text).expect("text").parse().expect("a number"));
    let mut attempted = replies();
    attempted.effects.read.insert(key("count"), stored.version);
    attempted.effects.written.insert(key("count"), Some((number + 1).to_string().into_bytes()));
    attempted
}

#[test]
fn of_two_messages_in_one_batch_the_second_runs_again_and_counts_on() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    bus.drop("m-2", "one");
    active.work();
    let (first, second) = (counts(&active), counts(&active));
    active.end("m-1", first);
    active.end("m-2", second);
    assert_eq!(active.in_hand().len(), 1, "what it had read is not what is decided now");
    let again = counts(&active);
    active.end("m-2", again);
    assert_eq!(active.unsettled.len(), 2, "both are in one batch");
    active.work();
    let value = bus.value("count").expect("a value");
    assert_eq!((value.version, value.value), (2, Some(b"2".to_vec())));
    let attempts: Vec<Json> = bus.journal("finished").iter().map(|line| line["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 1], "running again is not counted");
}

#[test]
fn who_is_in_conflict_without_end_fails_and_says_why() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    let stale = || {
        let mut attempted = replies();
        attempted.effects.read = BTreeMap::from([(key("count"), 7)]);
        attempted
    };
    for _ in 0..CONFLICTS {
        active.end("m-1", stale());
        assert_eq!(active.in_hand().len(), 1);
    }
    active.end("m-1", stale());
    active.settle(Now::get()).expect("settled");
    let deferred = &bus.journal("deferred")[0];
    assert_eq!((&deferred["code"], &deferred["attempt"]), (&"handler-failed".into(), &1.into()));
    assert!(deferred["message"].as_str().expect("a reason").contains("100 times in a row"), "{deferred}");
}

#[test]
fn a_deleted_value_goes_on_counting_its_versions() {
    let bus = Bus::new();
    let mut active = bus.serve();
    for (id, value) in [("m-1", Some(b"x".to_vec())), ("m-2", None), ("m-3", Some(b"y".to_vec()))] {
        bus.drop(id, "one");
        active.work();
        let mut attempted = replies();
        attempted.effects.written.insert(key("Ä/../k"), value);
        active.end(id, attempted);
        active.work();
        assert_eq!(active.state.keys("one", "Ä", 9).expect("readable").len(), usize::from(id != "m-2"));
    }
    let value = bus.value("Ä/../k").expect("a value");
    assert_eq!((value.version, value.value, value.attempt), (3, Some(b"y".to_vec()), 1));
}

#[test]
fn whoever_takes_over_finds_each_value_and_each_message_once() {
    // Killed after the commit, and after each of the things that are made of it.
    for killed_after in 0..4 {
        let bus = Bus::new();
        let mut active = bus.serve();
        bus.drop("m-1", "one");
        active.work();
        let mut attempted = counts(&active);
        attempted.effects.sent = vec![sent("one", "s-1", "\"alice\"", ""), sent("one", "s-2", "\"two\"", "")];
        active.end("m-1", attempted);
        let staged = |active: &Active<'_>| active.unsettled[0].record.clone();
        let record = staged(&active);
        let (disk, room) = (active.core.disk.clone(), &active.room);
        let decided = &active.unsettled[0];
        bus::publish::stage(&disk, room, &record, decided.text()).expect("staged");
        active.log.commit(&disk, room, &[(&record, &[])]).expect("decided");
        for number in 0..killed_after {
            let from = room.file(record.staged_name(number));
            let to = record.effects[number].to.path(&room.path);
            let path = bus.path.join(&to);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::rename(bus.path.join(from), path).expect("published");
        }
        drop(active);
        let mut active = bus.serve();
        active.work();
        assert_eq!(active.in_hand(), [("s-2".into(), "one".into(), 1)], "killed after {killed_after}");
        active.end("s-2", replies());
        active.work();
        assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json", "s-1.json"], "killed after {killed_after}");
        assert_eq!(bus.value("count").map(|value| (value.version, value.value)), Some((1, Some(b"1".to_vec()))));
    }
}

#[test]
fn what_waits_or_died_stays_the_extensions_own() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    let later = Now::get().wall_ms + 3_600_000;
    let waits = sent("one", "s-1", "\"alice\"", &format!(r#","notBefore":{later}"#));
    active.end("m-1", sends([waits, sent("one", "s-2", "\"two\"", "")]));
    active.work();
    let waiting = bus.ls("deferred");
    assert!(waiting.len() == 1 && waiting[0].contains("@1~s-1.json"), "{waiting:?}");
    active.end("s-2", fails(Retry::Final));
    active.work();
    let (letter, ticket) = bus
        .ls("dead-letter")
        .iter()
        .filter_map(|name| layout::parse_dead(name))
        .map(|letter| (letter.dead().0, letter.ticket))
        .next()
        .expect("a dead letter");
    assert!(letter.contains("@1~s-2.json"), "{letter}");
    let request = format!(r#"{{"op":"retry","tickets":["{ticket}"]}}"#);
    std::fs::write(bus.path.join(".postroom/requests/r.json"), request).expect("asked");
    let refusals = active.in_hand();
    assert_eq!(refusals.len(), 1);
    active.end(&refusals[0].0, replies());
    active.work();
    assert_eq!(active.in_hand(), [("s-2".into(), "one".into(), 1)]);
    active.end("s-2", replies());
    active.work();
    assert_eq!(bus.dead(), []);
    assert_eq!(active.in_hand().len(), 1, "its answer");
}

#[test]
fn a_control_command_of_an_attempt_becomes_true_with_it() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    let asks = Mutex::new(Vec::new());
    let ask = |active: &mut Active<'_>, action: &str, parameters: &str| {
        let (answer, mut answered) = tokio::sync::oneshot::channel();
        let changes = asks.lock().expect("not poisoned").clone();
        let text = |text: &str| text.to_owned();
        active.answer_ask(Ask {
            extension: text("one"),
            action: text(action),
            parameters: text(parameters),
            changes,
            answer,
        });
        let (handled, change) = answered.try_recv().expect("answered at once");
        asks.lock().expect("not poisoned").extend(change);
        handled
    };
    let card = r#"{"name":"One","version":"1","capabilities":["sums"]}"#;
    assert!(matches!(ask(&mut active, "mcp.core.heartbeat", "null"), Handled::Failed(_)), "not registered");
    assert!(matches!(ask(&mut active, "mcp.core.register", card), Handled::Reply(_)));
    assert!(matches!(ask(&mut active, "mcp.core.heartbeat", "null"), Handled::Reply(_)), "as if it had happened");
    assert!(matches!(ask(&mut active, "no.such", "{"), Handled::Failed(_)));
    assert_eq!(ask(&mut active, "mcp.core.echo", "[1.0]"), Handled::Reply(Payload::Text(JsonText::trusted("[1.0]"))));
    let changes = asks.into_inner().expect("not poisoned");
    assert_eq!(bus.ls("agents"), [""; 0]);
    active.end_with("m-1", replies(), changes);
    active.work();
    assert_eq!(bus.ls("agents"), ["one.json"]);
}
