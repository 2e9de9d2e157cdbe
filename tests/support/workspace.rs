//! A fresh bus with its settings, on memory where the machine has it, and the real program to run on it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The two values of `durability`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Full,
    Process,
}

/// A workspace of its own: gone when dropped.
pub struct Workspace {
    _holder: tempfile::TempDir,
    bus: PathBuf,
}

impl Workspace {
    /// An empty bus with short times: a message that does not parse is given up after 40 ms, and a service that does
    /// not move for three looks of 20 ms has lost its lease.
    pub fn new(durability: Durability) -> Self {
        let memory = Path::new("/dev/shm");
        let holder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let holder = holder.expect("a temporary folder can be made");
        // Without links: the tracer compares paths as the kernel says them.
        let workspace = holder.path().canonicalize().expect("the folder exists").join("ws");
        let bus = workspace.join("ai-communication");
        private_folder(&bus);
        let durability = match durability {
            Durability::Full => "full",
            Durability::Process => "process",
        };
        let settings = format!(
            "[bus]\ndurability = \"{durability}\"\ngrace_ms = 40\nrescan_ms = 100\nlook_ms = 20\nlease_looks = 3\n\n\
             [retry]\nfirst_ms = 10\nmax_ms = 50\n"
        );
        fs::write(workspace.join("postroom.toml"), settings).expect("the settings can be written");
        let made = Self { _holder: holder, bus };
        let said = made.command("init").output().expect("the program can be started");
        assert!(said.status.success(), "postroom init: {}", String::from_utf8_lossy(&said.stderr));
        made
    }

    /// The bus folder.
    pub fn bus(&self) -> &Path {
        &self.bus
    }

    /// Makes an agent known by its inbox folder.
    pub fn add_inbox(&self, agent: &str) {
        private_folder(&self.bus.join("inbox").join(agent));
    }

    /// Puts a file anywhere in the bus, private as the service's own.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        use std::io::Write as _;
        let path = self.bus.join(path);
        private_folder(path.parent().expect("a path below the bus"));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path).expect("a new file");
        file.write_all(bytes).expect("written");
    }

    /// Drops a file as a careful writer does: under a name that is ignored, then renamed.
    pub fn drop_file(&self, name: &str, bytes: &[u8]) {
        use std::io::Write as _;
        let hidden = self.bus.join(format!(".{name}.writing"));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&hidden).expect("the drop can be written");
        file.write_all(bytes).expect("the message is written");
        drop(file);
        fs::rename(&hidden, self.bus.join(name)).expect("the message is dropped");
    }

    /// `postroom serve --once` on this bus.
    pub fn serve_once(&self) -> Command {
        let mut command = self.serve();
        command.arg("--once");
        command
    }

    /// `postroom serve` on this bus.
    pub fn serve(&self) -> Command {
        self.command("serve")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
        command.arg(name).arg("--bus").arg(&self.bus).current_dir("/");
        command
    }

    /// Every file and folder of the bus, one a line with its mode and size; what one looks at when a test fails.
    pub fn tree(&self) -> String {
        let mut told = String::new();
        for path in below(&self.bus) {
            let Ok(meta) = fs::symlink_metadata(&path) else {
                continue;
            };
            let name = path.strip_prefix(&self.bus).unwrap_or(&path).display();
            let mode = meta.permissions().mode() & 0o7777;
            let size = if meta.is_dir() { "folder".to_owned() } else { format!("{} bytes", meta.len()) };
            writeln!(told, "  {mode:04o} {name} ({size})").expect("text can be appended");
        }
        told
    }
}

fn private_folder(path: &Path) {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).expect("a folder can be made");
}

/// Everything below a folder, sorted; what vanishes meanwhile is left out.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Looks again and again until `look` is content.
///
/// # Errors
/// What the last look said, when time is up.
pub fn wait_until<T>(within: Duration, mut look: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    const LONGEST: Duration = Duration::from_millis(20);
    let began = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(why) if began.elapsed() >= within => return Err(format!("not within {within:?}: {why}")),
            // Between two looks the processor belongs to the program that is being waited for.
            Err(_) => std::thread::park_timeout(pause),
        }
        pause = (pause * 2).min(LONGEST);
    }
}
