//! Which bus a command is about: `--bus DIR`, or the nearest `ai-communication/` upward from the current folder; and the
//! settings beside it, which are read by those that do something: looking must be possible also where they are wrong.

use std::path::{Component, Path, PathBuf};

use postroom::bus::view::View;
use postroom::bus::{BusError, Disk, layout};
use postroom::policy::Settings;
use postroom::policy::settings::Durability;

use super::{Exit, Failure, text};

/// A bus that is there.
#[derive(Debug)]
pub struct Workspace {
    /// The bus folder.
    pub bus: PathBuf,
}

impl Workspace {
    /// The bus that `--bus` names, or the nearest one.
    pub fn find(named: Option<&Path>) -> Result<Workspace, Failure> {
        let bus = folder(named)?;
        View::open(&bus)?;
        Ok(Workspace { bus })
    }

    /// The settings beside it.
    pub fn settings(&self) -> Result<Settings, Failure> {
        settings(&self.bus)
    }

    /// For looking only.
    pub fn view(&self) -> Result<View, Failure> {
        Ok(View::open(&self.bus)?)
    }

    /// For dropping messages and taking them out of an inbox.
    pub fn disk(&self) -> Result<Disk, Failure> {
        Ok(Disk::open(&self.bus)?)
    }
}

/// Must a file that we write survive a power cut?
pub fn sync(settings: &Settings) -> postroom::bus::disk::Sync {
    match settings.bus.durability {
        Durability::Full => postroom::bus::disk::Sync::Now,
        Durability::Process => postroom::bus::disk::Sync::Later,
    }
}

/// The folder that a command is about. That there is one does not say that it is a bus.
pub fn folder(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let here = current_folder()?;
    match here.ancestors().map(|folder| folder.join(layout::BUS)).find(|bus| bus.is_dir()) {
        Some(bus) => Ok(bus),
        None => Err(Failure::new(
            Exit::NoBus,
            format!("there is no {}/ in {} or any folder above it", layout::BUS, text::path(&here)),
        )
        .with_hint("make one with `postroom init`, or name one with --bus DIR")),
    }
}

/// The folder that `init` makes: the named one, or one in the current folder, unless that is within a bus.
pub fn new_folder(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let here = current_folder()?;
    match here.ancestors().find(|folder| folder.join(layout::FORMAT).exists()) {
        None => Ok(here.join(layout::BUS)),
        // Nobody would look for a bus there, and every command below it would find this one and not the outer.
        Some(bus) => {
            let says =
                format!("the current folder is in the bus {}: no bus is made inside of another", text::path(bus));
            Err(Failure::new(Exit::Usage, says).with_hint(
                "to make what is missing of that bus, do it in the folder above; --bus DIR names any place you like",
            ))
        }
    }
}

/// The path of the settings of a bus: in the folder above it, however the bus is spelled.
pub fn settings_path(bus: &Path) -> PathBuf {
    match bus.parent() {
        // `--bus name`: the file is in the current folder.
        Some(parent) if parent.as_os_str().is_empty() && has_name(bus) => PathBuf::from(layout::SETTINGS),
        Some(parent) if has_name(bus) => parent.join(layout::SETTINGS),
        Some(parent) if parent.as_os_str().is_empty() && !bus.ends_with("..") => Path::new("..").join(layout::SETTINGS),
        Some(_) | None => bus.join("..").join(layout::SETTINGS),
    }
}

/// The path of a bus as the service gets it, which takes the part before the last name for the folder above: of `.` and `x/..`
/// that is none.
pub fn with_name(bus: PathBuf) -> Result<PathBuf, Failure> {
    match has_name(&bus) {
        true => Ok(bus),
        false => bus.canonicalize().map_err(|error| Failure::io("find out where the bus is:", &bus, &error)),
    }
}

/// Does the path end in the name of the folder? (A point or a slash behind a name is no part of a path.)
fn has_name(bus: &Path) -> bool {
    matches!(bus.components().next_back(), Some(Component::Normal(_)))
}

/// The settings of a bus; the defaults where there is no file.
pub fn settings(bus: &Path) -> Result<Settings, Failure> {
    let path = settings_path(bus);
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Settings, format!("cannot use the settings {}: {error}", text::path(&path)))
    };
    let read = match std::fs::read_to_string(&path) {
        Ok(read) => read,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Settings::default()),
        Err(error) => return Err(wrong(&error)),
    };
    Settings::parse(&read).map_err(|error| match &error.hint {
        Some(hint) => wrong(&error).with_hint(hint),
        None => wrong(&error),
    })
}

fn current_folder() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| Failure::io("find out", Path::new("the current folder"), &error))
}

/// Is nobody at work on this bus?
pub fn is_unattended(view: &View) -> Result<bool, BusError> {
    Ok(view.active()?.is_none())
}
