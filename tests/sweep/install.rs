//! kill -9 before every step of installing, replacing, rolling back and removing extensions. Whatever is there afterwards is the old or the
//! new state; the next command makes it one of the two altogether.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use postroom::extension::ComponentHash;
use postroom::extension::lock_file::LockFile;

use crate::cases::{Verdict, count_up};
use crate::support::components::{importer, provider, version};
use crate::support::trace::{Aim, Ending, Plan, Report, Scope, When, run};
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
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names.join("\n  ")
    }

    fn settings(&self) -> String {
        fs::read_to_string(self.top.join("postroom.toml")).expect("settings")
    }

    /// What is wrong after the kill and one more command, which changes something else.
    fn findings(&self, one_by_one: bool, old: Files<'_>, new: Files<'_>) -> Vec<String> {
        let mut findings = Vec::new();
        let each_is_one = old
            .iter()
            .zip(new)
            .all(|(old, new)| self.has(std::slice::from_ref(old)) || self.has(std::slice::from_ref(new)));
        if !each_is_one || (!one_by_one && !self.has(old) && !self.has(new)) {
            findings.push("right after the kill, the files are neither the old ones nor the new ones".into());
        }
        let next = self.output(&["ext", "add", &self.source("next", &version(9)), "--name", "next"]);
        if !next.status.success() {
            findings.push(format!("the next command fails: {}", String::from_utf8_lossy(&next.stderr)));
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
        if !check.status.success() || !String::from_utf8_lossy(&check.stdout).contains("\"lock\":\"current\"") {
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

/// Kills the command before each of its steps in turn. `one_by_one`: files may go one after the other.
fn sweep(
    installed: &[(&str, Vec<u8>)],
    sources: &[(&str, Vec<u8>)],
    arguments: &[&str],
    one_by_one: bool,
    old: Files<'_>,
    new: Files<'_>,
) {
    let spelled = |scene: &Scene| -> Vec<String> {
        let path = |argument: &str| {
            let source = sources.iter().find(|(name, _)| argument.strip_prefix('@') == Some(name));
            source.map_or_else(|| argument.to_owned(), |(name, bytes)| scene.source(name, bytes))
        };
        arguments.iter().map(|argument| path(argument)).collect()
    };
    let killed = count_up(WORKERS, |at| {
        let scene = Scene::new(installed);
        let arguments = spelled(&scene);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert!(scene.has(old), "{}", scene.tree());
        let report = traced(&scene, &arguments, Plan::Kill(Aim::Number(at), When::Before));
        let told = || format!("steps:\n{}said:\n{}\n{}", report.tail(20), report.output, scene.tree());
        match &report.hit {
            None => {
                assert_eq!(report.ending, Ending::Exit(0), "{}", told());
                assert!(scene.has(new), "{}", told());
                Verdict::Past
            }
            Some(step) => {
                let findings = scene.findings(one_by_one, old, new);
                Verdict::on(format!("killed before {step}"), findings, told)
            }
        }
    });
    println!("{arguments:?}: killed before each of {killed} steps");
    assert!(killed >= 8, "only {killed} steps: nothing was swept");
}

#[test]
fn add() {
    let files = [("it", version(1))];
    let arguments = ["ext", "add", "@it", "--name", "it", "--grant", "bus"];
    sweep(&[], &files, &arguments, false, &[("it", None)], &[("it", Some(version(1)))]);
}

#[test]
fn upgrade() {
    let files = [("it", version(2))];
    let arguments = ["ext", "upgrade", "it", "@it", "--grant", "bus"];
    let (old, new) = ([("it", Some(version(1)))], [("it", Some(version(2)))]);
    sweep(&[("it", version(0)), ("it", version(1))], &files, &arguments, false, &old, &new);
}

#[test]
fn roll_back() {
    let (old, new) = ([("it", Some(version(2)))], [("it", Some(version(1)))]);
    let arguments = ["ext", "upgrade", "it", "--back"];
    sweep(&[("it", version(1)), ("it", version(2))], &[], &arguments, false, &old, &new);
}

#[test]
fn remove() {
    let (old, new) = ([("it", Some(version(2)))], [("it", None)]);
    sweep(&[("it", version(1)), ("it", version(2))], &[], &["ext", "rm", "it"], false, &old, &new);
}

/// The importer goes before what it imports, so that what is there in between works.
#[test]
fn remove_with_what_needs_it() {
    let installed = [("base", provider(1)), ("user", importer(1))];
    let old = [("base", Some(provider(1))), ("user", Some(importer(1)))];
    let arguments = ["ext", "rm", "base", "--cascade"];
    sweep(&installed, &[], &arguments, true, &old, &[("base", None), ("user", None)]);
}
