//! kill -9 before every step of installing, replacing, rolling back and removing extensions, and each of those steps refused by a disk that
//! is broken or full. Whatever is there afterwards is the old or the new state; the next command makes it one of the two altogether.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use postroom::extension::ComponentHash;
use postroom::extension::lock_file::LockFile;

use crate::cases::{Verdict, count_up};
use crate::support::components::{importer, provider, version};
use crate::support::trace::{Aim, Ending, Fault, Plan, Report, Scope, When, run};
use crate::support::workspace::{Durability, Workspace};

/// Far more than a command takes.
const LONG: Duration = Duration::from_secs(60);
const WORKERS: usize = 2;

/// A name and the bytes of its file; none if it has no file.
type Files<'a> = &'a [(&'a str, Option<Vec<u8>>)];

/// A workspace with extensions in it.
struct Scene {
    workspace: Workspace,
    top: PathBuf,
}

impl Scene {
    fn new(installed: &[(&str, Vec<u8>)]) -> Scene {
        let workspace = Workspace::new(Durability::Process);
        let top = workspace.bus().parent().expect("a workspace").to_owned();
        let scene = Scene { workspace, top };
        for (name, bytes) in installed {
            scene.must(&["ext", "add", &scene.source(name, bytes), "--name", name, "--force"]);
        }
        scene
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
        command.arg("--bus").arg(self.workspace.bus()).args(arguments).current_dir("/");
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program can be started")
    }

    fn must(&self, arguments: &[&str]) {
        let said = self.output(arguments);
        assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
    }

    /// A file outside of the extensions.
    fn source(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.top.join(format!("{name}-{}.built", ComponentHash::of(bytes).short()));
        fs::write(&path, bytes).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    fn extensions(&self) -> PathBuf {
        self.top.join("extensions")
    }

    fn has(&self, files: Files<'_>) -> bool {
        files.iter().all(|(name, bytes)| fs::read(self.extensions().join(format!("{name}.wasm"))).ok() == *bytes)
    }

    fn tree(&self) -> String {
        let mut names: Vec<String> = fs::read_dir(self.extensions())
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names.join("\n  ")
    }

    fn settings(&self) -> String {
        fs::read_to_string(self.top.join("postroom.toml")).expect("settings")
    }

    /// What is wrong after the interruption and one more command, which changes something else.
    fn findings(&self, change: &Change<'_>) -> Vec<String> {
        let Change { one_by_one, old, new, .. } = *change;
        let mut findings = Vec::new();
        let each_is_one = old
            .iter()
            .zip(new)
            .all(|(old, new)| self.has(std::slice::from_ref(old)) || self.has(std::slice::from_ref(new)));
        if !each_is_one || (!one_by_one && !self.has(old) && !self.has(new)) {
            findings.push("right after it, the files are neither the old ones nor the new ones".into());
        }
        let next = self.output(&["ext", "add", &self.source("next", &version(9)), "--name", "next"]);
        if !next.status.success() {
            findings.push(format!("the next command fails: {}", String::from_utf8_lossy(&next.stderr)));
        }
        let said = String::from_utf8_lossy(&next.stderr).into_owned();
        if said.contains("is finished") && change.grants() && !self.settings().contains("grants = [\"bus\"]") {
            findings.push("it is said to be finished, but the grant is not there".into());
        }
        if !self.has(old) && !self.has(new) {
            findings.push("after the next command, the files are neither the old ones nor the new ones".into());
        }
        if self.settings().contains("grants = [\"bus\"]") && !self.has(new) {
            findings.push("what is not installed keeps a grant".into());
        }
        if self.settings().contains("grants = [\"bus\"]") != self.settings().contains("[extension.it]") {
            findings.push(format!("the settings are half-made: {}", self.settings()));
        }
        findings.extend(self.leftovers());
        let check = self.output(&["ext", "check", "--json"]);
        let is_spoiled = change.spoiled.is_some() && self.has(old);
        if check.status.success() == is_spoiled
            || !String::from_utf8_lossy(&check.stdout).contains("\"lock\":\"current\"")
        {
            findings.push(format!("ext check: {}", String::from_utf8_lossy(&check.stdout)));
        }
        findings
    }

    /// Hidden files that the lock file has no use for.
    fn leftovers(&self) -> Vec<String> {
        let lock = LockFile::of_folder(&self.extensions());
        let named = |file: &str| {
            lock.extensions.iter().any(|(name, locked)| {
                locked.previous.is_some_and(|hash| file == format!(".{name}.{}.old", hash.short()))
            })
        };
        let files = fs::read_dir(self.extensions()).expect("listed");
        let hidden = files.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        hidden
            .filter(|file| file.starts_with('.') && file != ".install-lock" && !named(file))
            .map(|file| format!("left behind: {file}"))
            .collect()
    }
}

fn traced(scene: &Scene, arguments: &[&str], plan: Plan) -> Report {
    let folder: &Path = &scene.top;
    run(scene.command(arguments), folder, Scope::Changes, plan, LONG)
}

/// A command that changes what is installed.
struct Change<'a> {
    installed: &'a [(&'a str, Vec<u8>)],
    /// What it installs; `@name` among the arguments stands for the path of one.
    sources: &'a [(&'a str, Vec<u8>)],
    arguments: &'a [&'a str],
    /// What somebody does to this file before.
    spoiled: Option<(&'a str, &'a [u8])>,
    /// Files may go one after the other.
    one_by_one: bool,
    old: Files<'a>,
    new: Files<'a>,
}

impl Change<'_> {
    /// Kills the command before each of its steps in turn, then has each step fail in turn.
    fn sweep(&self) {
        let plans: [(&str, &(dyn Fn(Aim) -> Plan + Sync)); 3] = [
            ("killed before", &|aim| Plan::Kill(aim, When::Before)),
            ("I/O error at", &|aim| Plan::Fail(aim, Fault::Errno(libc::EIO))),
            ("no space at", &|aim| Plan::Fail(aim, Fault::Errno(libc::ENOSPC))),
        ];
        for (what, plan) in plans {
            let steps = count_up(WORKERS, |at| self.interrupted(what, plan(Aim::Number(at))));
            println!("{:?}: {what} each of {steps} steps", self.arguments);
            assert!(steps >= 8, "only {steps} steps: nothing was swept");
        }
    }

    fn interrupted(&self, what: &str, plan: Plan) -> Verdict {
        let scene = Scene::new(self.installed);
        if let Some((name, bytes)) = self.spoiled {
            fs::write(scene.extensions().join(format!("{name}.wasm")), bytes).expect("written");
        }
        let arguments = self.spelled(&scene);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert!(scene.has(self.old), "{}", scene.tree());
        let report = traced(&scene, &arguments, plan);
        let told = || format!("steps:\n{}said:\n{}\n{}", report.tail(20), report.output, scene.tree());
        let Some(step) = &report.hit else {
            assert_eq!(report.ending, Ending::Exit(0), "{}", told());
            assert!(scene.has(self.new), "{}", told());
            assert_eq!(scene.settings().contains("grants = [\"bus\"]"), self.grants(), "{}", told());
            return Verdict::Past;
        };
        let mut findings = Vec::new();
        if matches!(report.ending, Ending::Exit(1..)) && scene.has(self.old) && scene.tree().contains(".aside-") {
            findings.push("it failed, and what it moved aside is not where it was".to_owned());
        }
        match report.ending {
            Ending::Exit(0) if !scene.has(self.new) => findings.push("it said nothing of a failure".to_owned()),
            Ending::Exit(1..) if !report.output.contains("error: ") => findings.push("it did not say why".to_owned()),
            Ending::Exit(_) | Ending::Signal(libc::SIGKILL) => {}
            Ending::Signal(signal) => findings.push(format!("it was ended by signal {signal}")),
        }
        findings.extend(scene.findings(self));
        Verdict::on(format!("{what} {step}"), findings, told)
    }

    fn grants(&self) -> bool {
        self.arguments.contains(&"--grant")
    }

    fn spelled(&self, scene: &Scene) -> Vec<String> {
        let path = |argument: &str| {
            let source = self.sources.iter().find(|(name, _)| argument.strip_prefix('@') == Some(name));
            source.map_or_else(|| argument.to_owned(), |(name, bytes)| scene.source(name, bytes))
        };
        self.arguments.iter().map(|argument| path(argument)).collect()
    }
}

#[test]
fn add() {
    Change {
        installed: &[],
        sources: &[("it", version(1))],
        arguments: &["ext", "add", "@it", "--name", "it", "--grant", "bus"],
        spoiled: None,
        one_by_one: false,
        old: &[("it", None)],
        new: &[("it", Some(version(1)))],
    }
    .sweep();
}

/// The file is there already, so only the grant tells old and new apart.
#[test]
fn add_a_grant() {
    Change {
        installed: &[("it", version(1))],
        sources: &[("it", version(1))],
        arguments: &["ext", "add", "@it", "--name", "it", "--grant", "bus"],
        spoiled: None,
        one_by_one: false,
        old: &[("it", Some(version(1)))],
        new: &[("it", Some(version(1)))],
    }
    .sweep();
}

/// What is no extension keeps its name until the new one has it.
#[test]
fn add_over_what_is_no_extension() {
    Change {
        installed: &[("it", version(1))],
        sources: &[("it", version(2))],
        arguments: &["ext", "add", "@it", "--name", "it", "--force", "--grant", "bus"],
        spoiled: Some(("it", b"garbage")),
        one_by_one: false,
        old: &[("it", Some(b"garbage".to_vec()))],
        new: &[("it", Some(version(2)))],
    }
    .sweep();
}

#[test]
fn upgrade() {
    Change {
        installed: &[("it", version(0)), ("it", version(1))],
        sources: &[("it", version(2))],
        arguments: &["ext", "upgrade", "it", "@it", "--grant", "bus"],
        spoiled: None,
        one_by_one: false,
        old: &[("it", Some(version(1)))],
        new: &[("it", Some(version(2)))],
    }
    .sweep();
}

#[test]
fn roll_back() {
    Change {
        installed: &[("it", version(1)), ("it", version(2))],
        sources: &[],
        arguments: &["ext", "upgrade", "it", "--back"],
        spoiled: None,
        one_by_one: false,
        old: &[("it", Some(version(2)))],
        new: &[("it", Some(version(1)))],
    }
    .sweep();
}

#[test]
fn remove() {
    Change {
        installed: &[("it", version(1)), ("it", version(2))],
        sources: &[],
        arguments: &["ext", "rm", "it"],
        spoiled: None,
        one_by_one: false,
        old: &[("it", Some(version(2)))],
        new: &[("it", None)],
    }
    .sweep();
}

/// The importer goes before what it imports, so that what is there in between works.
#[test]
fn remove_with_what_needs_it() {
    Change {
        installed: &[("base", provider(1)), ("user", importer(1))],
        sources: &[],
        arguments: &["ext", "rm", "base", "--cascade"],
        spoiled: None,
        one_by_one: true,
        old: &[("base", Some(provider(1))), ("user", Some(importer(1)))],
        new: &[("base", None), ("user", None)],
    }
    .sweep();
}
