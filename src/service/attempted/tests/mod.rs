//! A service on a real bus whose extensions do what the test says: their handlers run, but what counts is what the test hands in.

mod keeps;
mod sends;
mod vain;
mod waits;

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

pub(in crate::service) struct Bus {
    _folder: tempfile::TempDir,
    pub(in crate::service) path: PathBuf,
    pub(in crate::service) core: Core,
    /// What the services have told.
    said: Arc<Mutex<Vec<String>>>,
    wakes: std::cell::RefCell<Wakes>,
}

impl Bus {
    pub(in crate::service) fn new() -> Bus {
        Bus::with_lanes_of(8)
    }

    fn with_lanes_of(width: u32) -> Bus {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bus");
        create::create(&path).expect("made");
        let (wake, wakes) = Wakes::new();
        let mut settings = Settings::default();
        settings.retry.first_ms = 1;
        settings.retry.max_ms = 1;
        settings.extensions.concurrency = width;
        let places = Places { folder: folder.path().join("none"), settings: None, base: folder.path().to_owned() };
        let configuration = extension::Configuration::from_settings(&settings, folder.path());
        let said = Arc::new(Mutex::new(Vec::new()));
        let to = said.clone();
        let core = Core {
            disk: Arc::new(bus::open(&path).expect("opened")),
            settings,
            say: Arc::new(move |notice| to.lock().expect("not poisoned").push(notice.to_string())),
            installed: Installed::new(places, configuration, Duration::ZERO, wake.clone()),
            stopped: Arc::new(AtomicBool::new(false)),
            wake,
        };
        std::fs::create_dir(path.join("inbox/alice")).expect("made");
        Bus { _folder: folder, path, core, said, wakes: wakes.into() }
    }

    /// How often this was told.
    pub(in crate::service) fn times_said(&self, what: &str) -> usize {
        self.said.lock().expect("not poisoned").iter().filter(|said| said.contains(what)).count()
    }

    /// The next service of this bus, which takes over whatever the one before left.
    pub(in crate::service) fn serve(&self) -> Active<'_> {
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

    pub(in crate::service) fn ls(&self, folder: &str) -> Vec<String> {
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
    Attempted { handled, effects: Effects::default(), log: Vec::new(), reusable: None }
}

fn sends(sent: impl IntoIterator<Item = extension::Sent>) -> Attempted {
    let effects = Effects { sent: sent.into_iter().collect(), ..Effects::default() };
    Attempted { effects, ..replies() }
}

fn fails(retry: Retry) -> Attempted {
    let failure = Failure { code: Code::HandlerFailed, message: "no".into(), details: None, retry };
    Attempted { handled: Handled::Failed(failure), effects: Effects::default(), log: Vec::new(), reusable: None }
}

impl Active<'_> {
    /// Rounds until nothing is left to be claimed.
    pub(in crate::service) fn work(&mut self) {
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
        let left = Left { attempted, changes, took: Duration::ZERO, described: "one 1.0.0".into() };
        self.ended(Ended { ticket, left });
    }
}
