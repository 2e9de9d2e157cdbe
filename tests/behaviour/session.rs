//! A bus as one uses it from a shell: drop files, run the service, look at the tree.
//!
//! Absent on purpose: any use of the library; what is asserted is what `cat` and `ls` show.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use regex_lite::Regex;
use rustix::process::Pid;
pub use rustix::process::Signal;
use serde_json::Value;

use crate::mock::{self, Mock};
use crate::support::workspace::{Durability, Workspace, below, wait_until};

/// Far more than anything takes on a loaded machine; only a service that hangs needs it.
pub const LONG: Duration = Duration::from_secs(60);

/// A workspace with a fresh bus.
pub struct Session {
    workspace: Workspace,
}

impl Session {
    /// A bus with short times (see [`Workspace::new`]).
    pub fn new() -> Session {
        Session { workspace: Workspace::new(Durability::Process) }
    }

    /// The same, with these settings over the short times.
    pub fn with(settings: &str) -> Session {
        let session = Session::new();
        let path = session.beside("postroom.toml");
        let mut table: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        for (name, value) in settings.parse::<toml::Table>().unwrap() {
            let own = table.entry(name).or_insert_with(|| toml::Table::new().into()).as_table_mut().unwrap();
            own.extend(value.as_table().unwrap().clone());
        }
        fs::write(&path, toml::to_string(&table).unwrap()).unwrap();
        session
    }

    pub fn bus(&self) -> &Path {
        self.workspace.bus()
    }

    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.bus().join(path)
    }

    /// A path beside the bus.
    pub fn beside(&self, path: &str) -> PathBuf {
        self.bus().parent().expect("the bus lies in a workspace").join(path)
    }

    /// `mkdir -p inbox/<agent>`.
    pub fn know(&self, agents: &[&str]) -> &Session {
        agents.iter().for_each(|agent| self.workspace.add_inbox(agent));
        self
    }

    /// `cp <component> extensions/<name>.wasm`.
    pub fn install(&self, name: &str, mocks: &[Mock]) -> &Session {
        let folder = self.beside("extensions");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.wasm")), mock::component("", mocks)).unwrap();
        self
    }

    /// Writes `.<name>.writing`, then renames it.
    pub fn drop(&self, name: &str, text: impl AsRef<[u8]>) -> &Session {
        self.workspace.drop_file(name, text.as_ref());
        self
    }

    /// Writes each in place, so that each has a later change time than the one before: file systems count in milliseconds.
    pub fn write_in_order<N: AsRef<Path>, T: AsRef<[u8]>>(&self, files: impl IntoIterator<Item = (N, T)>) -> &Session {
        let mut last = None;
        for (name, text) in files {
            let (hidden, path) = (self.path(".writing"), self.path(name));
            fs::write(&hidden, text).unwrap();
            // Each rename changes the change time again.
            wait_until(LONG, || {
                fs::rename(&hidden, &path).unwrap();
                let changed = path.metadata().map(|meta| (meta.ctime(), meta.ctime_nsec())).unwrap();
                if last.replace(changed) != Some(changed) {
                    return Ok(());
                }
                fs::rename(&path, &hidden).unwrap();
                Err("the clock of the file system stands still".into())
            })
            .unwrap();
        }
        self
    }

    /// `echo > name`: a plain write in place.
    pub fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) -> &Session {
        fs::write(self.path(name), text).unwrap();
        self
    }

    /// `postroom <args> --bus <bus>`, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
        command.args(args).arg("--bus").arg(self.bus()).current_dir("/");
        command
    }

    /// Runs `postroom <args>`.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// `postroom serve --once`; what it said on standard error.
    pub fn once(&self) -> String {
        Serving::start(self.command(&["serve", "--once"])).ended()
    }

    /// `postroom serve &`, once it is active.
    pub fn serve(&self) -> Serving {
        let serving = Serving::start(self.command(&["serve"]));
        serving.until_it_says("active on");
        serving
    }

    pub fn text(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}\n{}", path.display(), self.tree()))
    }

    pub fn json(&self, path: impl AsRef<Path>) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// `rm`.
    pub fn remove(&self, path: &str) -> &Session {
        fs::remove_file(self.path(path)).unwrap();
        self
    }

    /// The names in a folder that do not start with a dot, in byte order.
    pub fn ls(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    /// What lies in the room of the active service.
    pub fn names_in_the_room(&self) -> Vec<String> {
        let in_each = |folder: &String| self.ls(folder).into_iter().map(|name| format!("{folder}/{name}")).collect();
        let terms: Vec<String> = in_each(&"processing".to_owned());
        let rooms: Vec<String> = terms.iter().flat_map(in_each).collect();
        rooms.iter().flat_map(|room| self.ls(room)).collect()
    }

    /// Code and dropped name of each dead letter, in the order of acceptance.
    pub fn dead(&self) -> Vec<(String, String)> {
        let told = |why: &Value| (string(why, "code"), string(why, "droppedAs"));
        self.whys().iter().map(told).collect()
    }

    /// The content of every `.why.json`, in the order of acceptance.
    pub fn whys(&self) -> Vec<Value> {
        let names = self.ls("dead-letter").into_iter().filter(|name| name.ends_with(".why.json"));
        names.map(|name| self.json(Path::new("dead-letter").join(name))).collect()
    }

    /// The one dead letter's reason.
    pub fn why(&self) -> Value {
        let whys = self.whys();
        assert_eq!(whys.len(), 1, "{}", self.tree());
        whys.into_iter().next().unwrap()
    }

    /// Every line of every journal, in order.
    pub fn journal(&self) -> Vec<Value> {
        let journals = below(&self.path("archive")).into_iter().filter(|path| path.ends_with("journal.jsonl"));
        let text: String = journals.map(|path| fs::read_to_string(path).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// `<id> <step>` of each journal line whose step is one of these.
    pub fn steps(&self, steps: &[&str]) -> Vec<String> {
        let lines = self.journal();
        let lines = lines.iter().filter(|line| steps.contains(&line["step"].as_str().unwrap()));
        lines.map(|line| format!("{} {}", line["id"].as_str().unwrap_or("-"), line["step"].as_str().unwrap())).collect()
    }

    /// The archived files' paths, in the order of acceptance.
    pub fn archived(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = below(&self.path("archive"));
        files.retain(|path| path.is_file() && !path.ends_with("journal.jsonl"));
        files.sort_by_key(|path| path.file_name().unwrap().to_owned());
        files
    }

    /// Waits for a condition on this bus.
    pub fn until(&self, what: &str, is_so: impl FnMut(&Session) -> bool) {
        self.until_or(what, is_so, String::new);
    }

    /// The same; if it does not come about, this is told, too.
    pub fn until_or(&self, what: &str, mut is_so: impl FnMut(&Session) -> bool, told: impl FnOnce() -> String) {
        let waited = wait_until(LONG, || if is_so(self) { Ok(()) } else { Err(what.to_owned()) });
        waited.unwrap_or_else(|why| panic!("{why}\n{}\n{}", self.tree(), told()));
    }

    /// What `find` shows, sorted: every file, and every inbox; tickets become `T1`, `T2` .. in the order of acceptance, days,
    /// hours, due times and given ids words. The journal, the ids and what `init` wrote are left out.
    pub fn tree(&self) -> String {
        let told = below(self.bus()).into_iter().filter_map(|path| self.line(&path));
        let text = told.fold(String::new(), |text, line| text + &line + "\n");
        let mut lines: Vec<String> = normalized(&text).lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    }

    fn line(&self, path: &Path) -> Option<String> {
        let name = path.strip_prefix(self.bus()).expect("it is below the bus");
        let spelled = name.as_os_str().as_bytes().escape_ascii().to_string();
        let kind = path.symlink_metadata().ok()?.file_type();
        let first = name.components().next()?.as_os_str().to_string_lossy().into_owned();
        match first.as_str() {
            "README.md" | "schema" => None,
            ".postroom" if kind.is_dir() || name.ends_with("format") || name.starts_with(".postroom/ids") => None,
            "archive" if kind.is_dir() || name.ends_with("journal.jsonl") => None,
            "inbox" if kind.is_dir() && name != Path::new("inbox") => Some(format!("{spelled}/")),
            _ if kind.is_dir() => None,
            _ => Some(spelled),
        }
    }
}

/// A text with what changes from run to run replaced.
pub fn normalized(text: &str) -> String {
    let ticket = Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
    let tickets: BTreeSet<&str> = ticket.find_iter(text).map(|found| found.as_str()).collect();
    let mut text = text.to_owned();
    for (number, ticket) in tickets.into_iter().map(str::to_owned).collect::<Vec<_>>().iter().enumerate() {
        text = text.replace(ticket, &format!("T{}", number + 1));
    }
    for (pattern, word) in [
        (r"\b\d{4}-\d\d-\d\d/\d\d/", "DAY/HH/"),
        (r"\b\d{13}\.(\d+)\.T", "DUE.$1.T"),
        (r"\bg-[0-9a-f]{32}\b", "GIVEN"),
        (r"~[0-9a-f]{8}-[0-9a-f-]{27}\.leased", "~UUID.leased"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
    }
    text
}

/// A member that must be a string.
pub fn string(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name:?} in {value}")).to_owned()
}

/// A message's text. A recipient that starts with `[` is a list.
pub fn message(id: &str, sender: &str, recipient: &str, action: &str, payload: &str) -> String {
    let recipient = if recipient.starts_with('[') { recipient.to_owned() } else { format!("\"{recipient}\"") };
    format!(r#"{{"id":"{id}","sender":"{sender}","recipient":{recipient},"action":"{action}","payload":{payload}}}"#)
}

/// The same with more members.
pub fn message_with(more: &str, id: &str, sender: &str, recipient: &str, action: &str, payload: &str) -> String {
    let text = message(id, sender, recipient, action, payload);
    format!("{},{more}}}", text.strip_suffix('}').expect("a message ends in a brace"))
}

/// An echo by `sender`.
pub fn echo(id: &str, sender: &str, payload: &str) -> String {
    message(id, sender, "postroom", "mcp.core.echo", payload)
}

/// A service that runs. Killed when dropped.
pub struct Serving {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Serving {
    pub fn start(mut command: Command) -> Serving {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let to = said.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut buffer) {
                let heard = String::from_utf8_lossy(&buffer[..read]);
                to.lock().unwrap_or_else(PoisonError::into_inner).push_str(&heard);
            }
        });
        Serving { child, said, reader: Some(reader) }
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn until_it_says(&self, what: &str) {
        let heard = || if self.said().contains(what) { Ok(()) } else { Err(self.said()) };
        wait_until(LONG, heard).unwrap_or_else(|why| panic!("it does not say {what:?}: {why}"));
    }

    /// `kill -<signal>`.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// `kill -TERM`; what it said. It must end well.
    pub fn stop(self) -> String {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits for its end, which must be a good one; what it said.
    pub fn ended(mut self) -> String {
        let ended = wait_until(LONG, || self.child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned()));
        let status = ended.unwrap_or_else(|why| panic!("{why}; it said:\n{}", self.said()));
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let said = self.said();
        assert!(status.success(), "serve ended with {status:?}\n{said}");
        said
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already; both calls say so then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
