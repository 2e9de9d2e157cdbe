//! `postroom init`: makes a bus, its settings and its documentation. Whatever is there already stays as it is.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use postroom::bus::BusError;
use postroom::bus::file_system::{Verdict, judge};
use postroom::policy::settings::DEFAULT_FILE;
use serde::Serialize;

use super::print::Format;
use super::workspace::{new_folder, settings_path};
use super::{Exit, Failure, Global, print, text};

const README: &str = include_str!("../../ai-communication/README.md");
const SCHEMA_PATH: &str = "schema/message.schema.json";

/// Make a bus: its folders, its settings, and its documentation
///
/// Nothing that is there is changed or removed. Without --bus the folder is ai-communication/ in the current folder,
/// which must not lie in a bus itself.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The bus folder [default: ai-communication/ in the current folder]
    // The program's own --bus under its own name, which has another default here.
    #[arg(long, value_name = "DIR", env = "POSTROOM_BUS", hide_env_values = true)]
    bus: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    bus: PathBuf,
    made: Vec<PathBuf>,
    kept: Vec<PathBuf>,
}

impl Init {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let report = make(&new_folder(self.bus.as_deref())?)?;
        match global.format() {
            Format::Json => print::json(&report)?,
            Format::Text => print::text(&shown(&report))?,
        }
        warn_if_unfit(&report.bus);
        Ok(Exit::Ok)
    }
}

/// A bus can be made anywhere, but a service refuses to start on some file systems: said here, where moving costs nothing yet.
fn warn_if_unfit(bus: &Path) {
    // Where the system cannot say what is under the bus, `serve` says so.
    if let Ok(Verdict::Unfit { what }) = judge(bus) {
        let unfit = Failure::from(BusError::Unsafe { path: bus.to_owned(), what });
        let (says, hint) = unfit.into_texts();
        print::note(&format!("note: {says}, where messages can be lost or handled twice: no service will start there"));
        hint.iter().for_each(|hint| print::hint_line(hint));
    }
}

/// Makes what is missing of a bus.
fn make(bus: &Path) -> Result<Report, Failure> {
    let mut report = Report { bus: bus.to_owned(), made: Vec::new(), kept: Vec::new() };
    let created = postroom::bus::create(bus)?;
    report.note(bus.to_owned(), !created.was_there);
    for (path, content) in [
        (settings_path(bus), DEFAULT_FILE),
        (bus.join("README.md"), README),
        (bus.join(SCHEMA_PATH), postroom::message::SCHEMA),
    ] {
        let is_new = write_new(&path, content)?;
        report.note(path, is_new);
    }
    Ok(report)
}

impl Report {
    fn note(&mut self, path: PathBuf, is_new: bool) {
        if is_new { self.made.push(path) } else { self.kept.push(path) }
    }
}

/// Writes a file that is not there yet. `false`: something is there.
pub fn write_new(path: &Path, content: &str) -> Result<bool, Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
    }
    let written =
        create_new(path).and_then(|mut file| file.write_all(content.as_bytes()).and_then(|()| file.sync_all()));
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Failure::io("write", path, &error)),
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[allow(
    clippy::disallowed_methods,
    reason = "settings and documentation are the user's files; a new one follows no link"
)]
fn create_new(path: &Path) -> io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn shown(report: &Report) -> String {
    let mut out = String::new();
    for (paths, word) in [(&report.made, "made"), (&report.kept, "kept")] {
        for path in paths {
            out.push_str(&format!("{word}  {}\n", text::path(path)));
        }
    }
    if report.made.contains(&report.bus) {
        out.push_str(
            "\nNext: `postroom serve`, and in another terminal `postroom call --to postroom --action mcp.core.ping`\n",
        );
    }
    out
}
