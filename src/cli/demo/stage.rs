//! The demo's workspace, its service, and what the audience sees.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use postroom::bus::layout;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::print::{BOLD, DIM, Format, GOOD, NAME, styled};
use crate::cli::wait::{Watch, deadline, is_over};
use crate::cli::{Exit, Failure, print, text};

/// The starter extension, as `extensions/prebuilt/` has it.
const EXTENSION: &[u8] = include_bytes!("../../../extensions/prebuilt/ext-sum.wasm");

/// How long a step may take on a slow machine; in a debug build the first compiling of the extension takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Folders that only the service looks into.
const PRIVATE: [&str; 2] = [layout::PROCESSING, layout::PRIVATE];

enum Place {
    Temporary(TempDir),
    Named(PathBuf),
}

pub struct Stage {
    place: Place,
    format: Format,
    service: Option<Child>,
    /// The public files of the bus when they were last shown.
    seen: BTreeSet<PathBuf>,
    act: usize,
}

impl Stage {
    pub fn build(named: Option<PathBuf>, format: Format) -> Result<Stage, Failure> {
        let place = match named {
            Some(folder) => {
                std::fs::create_dir_all(&folder).map_err(|error| Failure::io("make the folder", &folder, &error))?;
                let mut entries = folder.read_dir().map_err(|error| Failure::io("list", &folder, &error))?;
                if entries.next().is_some() {
                    return Err(Failure::new(Exit::Usage, format!("{} is not empty", text::path(&folder))));
                }
                let real = folder.canonicalize().map_err(|error| Failure::io("find", &folder, &error))?;
                Place::Named(real)
            }
            None => Place::Temporary(
                tempfile::Builder::new()
                    .prefix("postroom-demo-")
                    .tempdir()
                    .map_err(|error| Failure::io("make a folder in", &std::env::temp_dir(), &error))?,
            ),
        };
        let stage = Stage { place, format, service: None, seen: BTreeSet::new(), act: 0 };
        stage.show(&format!("{} {}\n", styled(DIM, "workspace"), text::path(stage.workspace())))?;
        Ok(stage)
    }

    fn workspace(&self) -> &Path {
        match &self.place {
            Place::Temporary(folder) => folder.path(),
            Place::Named(folder) => folder,
        }
    }

    pub fn bus(&self) -> PathBuf {
        self.workspace().join(layout::BUS)
    }

    pub fn show(&self, out: &str) -> Result<(), Failure> {
        match self.format {
            Format::Text => print::text(out),
            Format::Json => Ok(()),
        }
    }

    pub fn show_json(&self, value: &Value) -> Result<(), Failure> {
        self.show(&format!("{}\n", text::json(&value.to_string())))
    }

    pub fn title(&mut self, title: &str) -> Result<(), Failure> {
        self.act += 1;
        self.show(&format!("\n{}\n", styled(BOLD, format!("{}. {title}", self.act))))
    }

    /// Says what was checked; a failure ends the demo.
    pub fn check(&self, what: &str, holds: bool) -> Result<(), Failure> {
        if !holds {
            return Err(Failure::new(Exit::Problems, format!("the demo expected: {what}")));
        }
        self.show(&format!("{} {what}\n", styled(GOOD, "ok")))
    }

    /// Shows the files that came and went since the last time.
    pub fn changes(&mut self) -> Result<(), Failure> {
        let mut now = BTreeSet::new();
        collect(&self.bus(), Path::new(""), &mut now).map_err(|error| Failure::io("list", &self.bus(), &error))?;
        let came = now.difference(&self.seen).map(|path| (styled(GOOD, "+"), path));
        let went = self.seen.difference(&now).map(|path| (styled(NAME, "-"), path));
        let lines = came.chain(went).map(|(mark, path)| format!("  {mark} {}\n", text::path(path)));
        self.show(&lines.collect::<String>())?;
        self.seen = now;
        Ok(())
    }

    /// Runs this very program in the workspace; returns what it printed.
    pub fn postroom(&self, arguments: &[&str]) -> Result<String, Failure> {
        self.show(&format!("{} postroom {}\n", styled(DIM, "$"), arguments.join(" ")))?;
        let ran = this_program(self.workspace())?.args(arguments).stderr(Stdio::inherit()).output();
        let ran = ran.map_err(|error| Failure::io("run postroom in", self.workspace(), &error))?;
        if !ran.status.success() {
            return Err(Failure::new(Exit::Problems, format!("postroom {} failed", arguments.join(" "))));
        }
        Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
    }

    /// Runs a command in a plain shell.
    pub fn shell(&self, command: &str) -> Result<(), Failure> {
        self.show(&format!("{} {command}\n", styled(DIM, "$")))?;
        let ran = Command::new("sh").arg("-c").arg(command).current_dir(self.workspace()).output();
        let ran = ran.map_err(|error| Failure::io("run sh in", self.workspace(), &error))?;
        if !ran.status.success() {
            let said = text::lines(&String::from_utf8_lossy(&ran.stderr));
            return Err(Failure::new(Exit::Problems, format!("the shell failed: {said}")));
        }
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        self.show(&if said.is_empty() { said } else { format!("{}\n", text::json(&said)) })
    }

    /// Drops a message with nothing but a shell. The texts are the demo's own and have no quotes of the shell's.
    pub fn drop_by_shell(&self, name: &str, message: &str) -> Result<(), Failure> {
        let bus = layout::BUS;
        self.shell(&format!("printf '%s\\n' '{message}' > {bus}/.{name}.tmp && mv {bus}/.{name}.tmp {bus}/{name}.json"))
    }

    pub fn install_extension(&self) -> Result<(), Failure> {
        let folder = self.workspace().join("extensions");
        let path = folder.join("ext-sum.wasm");
        std::fs::create_dir_all(&folder).map_err(|error| Failure::io("make the folder", &folder, &error))?;
        std::fs::write(&path, EXTENSION).map_err(|error| Failure::io("write", &path, &error))?;
        self.show(&format!("installed {}\n", text::path(&path)))
    }

    /// Starts the service and waits until it says that it is active.
    pub fn serve(&mut self) -> Result<(), Failure> {
        self.show(&format!("{} postroom serve &\n", styled(DIM, "$")))?;
        let mut child = this_program(self.workspace())?
            .arg("serve")
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::io("start postroom in", self.workspace(), &error))?;
        let stderr = child.stderr.take();
        self.service = Some(child);
        for line in stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines()).map_while(Result::ok) {
            self.show(&format!("{}\n", text::sentence(&line)))?;
            if line.contains("active on") {
                return Ok(());
            }
        }
        Err(Failure::new(Exit::Problems, "the service ended at once"))
    }

    /// The service must end well when it is asked to.
    pub fn stop_service(&mut self) -> Result<(), Failure> {
        let Some(mut child) = self.service.take() else { return Ok(()) };
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| Failure::new(Exit::Failure, format!("cannot stop the service: {error}")))?;
        let ended = child.wait().map_err(|error| Failure::io("wait for the service in", self.workspace(), &error))?;
        self.show("\n")?;
        self.check("the service stopped cleanly", ended.success())
    }

    /// Waits for a JSON file in the bus.
    pub fn json_at(&self, path: &Path) -> Result<Value, Failure> {
        let whole = self.bus().join(path);
        self.wait(&whole, || std::fs::read(&whole).ok().and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Waits for the reply to one of the demo's messages.
    pub fn reply(&self, id: &str) -> Result<Value, Failure> {
        self.json_at(&layout::inbox("demo").join(layout::reply_name(id, None, 1)))
    }

    /// Waits until the message itself is archived.
    pub fn archived(&self, id: &str) -> Result<PathBuf, Failure> {
        self.found_in(Path::new(layout::ARCHIVE), &format!("~{id}.json"))
    }

    /// Waits for a file in this folder, or below it, whose name ends so; its path from the bus.
    pub fn found_in(&self, folder: &Path, end: &str) -> Result<PathBuf, Failure> {
        let start = self.bus();
        self.wait(&start.join(folder), || {
            let mut files = BTreeSet::new();
            // What moves while we look is found by the next look.
            let _ = collect(&start, folder, &mut files);
            files.into_iter().find(|path| path.to_string_lossy().ends_with(end))
        })
    }

    fn wait<T>(&self, what: &Path, mut look: impl FnMut() -> Option<T>) -> Result<T, Failure> {
        let watch = Watch::on(&[&self.bus()]);
        let until = deadline(Some(PATIENCE));
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if is_over(until) {
                let says = format!("the demo waited in vain for {}", text::path(what));
                return Err(Failure::new(Exit::Problems, says));
            }
            // The folder in question may not be there yet, so it cannot be watched.
            watch.next(deadline(Some(Duration::from_millis(20))));
        }
    }

    /// Ends what runs, and removes the workspace unless it is to be kept. Returns where it was.
    pub fn clear(mut self, keep: bool) -> Result<PathBuf, Failure> {
        if let Some(mut child) = self.service.take() {
            // A failed demo: the service is a child of ours, and its bus is thrown away.
            let _ = child.kill();
            let _ = child.wait();
        }
        let workspace = self.workspace().to_owned();
        match self.place {
            Place::Temporary(folder) if keep => {
                let _ = folder.keep();
            }
            Place::Temporary(folder) => {
                folder.close().map_err(|error| Failure::io("remove", &workspace, &error))?;
            }
            Place::Named(_) if keep => {}
            Place::Named(folder) => {
                std::fs::remove_dir_all(&folder).map_err(|error| Failure::io("remove", &folder, &error))?;
            }
        }
        Ok(workspace)
    }
}

fn this_program(workspace: &Path) -> Result<Command, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot find this program's own file: {error}")))?;
    let mut command = Command::new(program);
    command.current_dir(workspace).env_remove("POSTROOM_BUS").stdin(Stdio::null());
    Ok(command)
}

/// The public files below a folder, as paths from the bus.
fn collect(bus: &Path, below: &Path, files: &mut BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in bus.join(below).read_dir()? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let is_private = PRIVATE.iter().any(|private| path.starts_with(private));
        if entry.file_type()?.is_dir() && !is_private {
            collect(bus, &path, files)?;
        } else if !is_private {
            files.insert(path);
        }
    }
    Ok(())
}
