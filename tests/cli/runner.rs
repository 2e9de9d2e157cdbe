//! A bus in a folder of its own, the program, and waiting for a condition with a deadline.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test fails. Nothing waits this long when all is well.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What a run of the program left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// It must have ended well.
    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// It must have ended with this code, and say so on standard error.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains("error:"), "{self:?}");
        self
    }

    /// The one line of JSON that it printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn line(&self) -> String {
        self.out.trim_end().to_owned()
    }
}

/// The program, not yet told what to do, without what the environment could change.
pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
    command.current_dir(folder).stdin(Stdio::null()).env("COLUMNS", "100");
    // With `CI` set anstream takes even a dumb terminal for one with colours: the log of a build server.
    for name in ["POSTROOM_BUS", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(name);
    }
    command
}

/// Runs the program in a folder.
pub fn run_in(folder: &Path, arguments: &[&str]) -> Ran {
    finish(program(folder).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started"))
}

pub fn finish(child: Child) -> Ran {
    let done = child.wait_with_output().expect("ended");
    Ran {
        code: done.status.code().unwrap_or(-1),
        out: String::from_utf8(done.stdout).expect("UTF-8"),
        err: String::from_utf8(done.stderr).expect("UTF-8"),
    }
}

/// Waits until `done` gives something.
#[track_caller]
pub fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// A workspace with a fresh bus.
pub struct Bus {
    top: TempDir,
}

impl Bus {
    pub fn new() -> Bus {
        let bus = Bus { top: TempDir::new().expect("a folder") };
        bus.run(&["init"]).ok();
        // What survives a power cut is not the matter here.
        let settings = std::fs::read_to_string(bus.settings()).expect("settings");
        let settings = settings.replace("durability = \"full\"", "durability = \"process\"");
        std::fs::write(bus.settings(), settings.replace("grace_ms = 5000", "grace_ms = 50")).expect("written");
        bus
    }

    /// The folder that the bus is in.
    pub fn workspace(&self) -> &Path {
        self.top.path()
    }

    pub fn settings(&self) -> PathBuf {
        self.workspace().join("postroom.toml")
    }

    /// A path in the bus.
    pub fn path(&self, path: &str) -> PathBuf {
        self.workspace().join("ai-communication").join(path)
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        run_in(self.workspace(), arguments)
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = program(self.workspace());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
        finish(child)
    }

    /// Starts the program and goes on.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = program(self.workspace());
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("started")
    }

    /// Starts a service and waits until it is active.
    pub fn serve(&self) -> Service {
        let mut child = self.start(&["serve"]);
        let said = lines(child.stderr.take().expect("a pipe"));
        let service = Service { child: Some(child), said };
        service.says("active on");
        service
    }

    /// Puts a message there as any other program does.
    pub fn drop_text(&self, name: &str, text: &str) {
        let hidden = self.path(&format!(".{name}.tmp"));
        std::fs::write(&hidden, text).expect("written");
        std::fs::rename(&hidden, self.path(name)).expect("renamed");
    }

    /// Delivers a message to an agent as the service does; for tests that need no service.
    pub fn deliver(&self, agent: &str, name: &str, text: &str) {
        let inbox = self.path("inbox").join(agent);
        std::fs::create_dir_all(&inbox).expect("made");
        std::fs::write(inbox.join(name), text).expect("written");
    }

    /// The names in a folder of the bus, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(folder)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The tickets of the dead letters, once there are `count`.
    #[track_caller]
    pub fn dead_letters(&self, count: usize) -> Vec<Value> {
        wait_for("dead letters", || {
            let listed = self.run(&["dead-letter", "list", "--json"]).ok().json();
            let letters = listed["deadLetters"].as_array().expect("a list").clone();
            (letters.len() == count).then_some(letters)
        })
    }
}

/// A message to `recipient` with this id.
pub fn message(id: &str, recipient: &str) -> String {
    format!(r#"{{"id":"{id}","sender":"me","recipient":"{recipient}","action":"test.it","payload":{{"n":1}}}}"#)
}

/// The lines of a stream as they come.
pub fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The next line that contains `part`.
#[track_caller]
pub fn next_with(lines: &Receiver<String>, part: &str) -> String {
    loop {
        match lines.recv_timeout(DEADLINE) {
            Ok(line) if line.contains(part) => return line,
            Ok(_) => {}
            Err(error) => panic!("no line with {part:?}: {error}"),
        }
    }
}

/// A running service; ended at the latest with the test.
pub struct Service {
    child: Option<Child>,
    said: Receiver<String>,
}

impl Service {
    #[track_caller]
    pub fn says(&self, part: &str) -> String {
        next_with(&self.said, part)
    }

    pub fn signal(&self, signal: i32) {
        let pid = self.child.as_ref().expect("running").id();
        // SAFETY: sends a signal to a child of ours that we have not waited for.
        assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
    }

    /// Its exit code, once it has ended.
    pub fn ended(mut self) -> i32 {
        self.child.take().expect("running").wait().expect("ended").code().unwrap_or(-1)
    }

    /// Asks it to stop and waits.
    pub fn stop(self) {
        self.signal(libc::SIGTERM);
        assert_eq!(self.ended(), 0);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // The test has failed or has no more need of it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
