//! Where the extensions of a workspace are, and how looking at them and changing them is begun.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use postroom::bus::layout;
use postroom::extension::install::{InstallError, Installer, Place, Survey};
use tokio::runtime::Runtime;

use crate::cli::workspace::{folder, settings, settings_path};
use crate::cli::{Cli, Exit, Failure, Global, print, text};

/// The folder of the extensions that belongs to the bus. The bus itself may be out of order: that is no matter of the extensions'.
pub fn place(global: &Global) -> Result<Place, Failure> {
    at(&bus(global)?)
}

/// The folder of the bus.
pub fn bus(global: &Global) -> Result<PathBuf, Failure> {
    folder(global.bus())
}

/// The folder of the extensions that belongs to this bus folder.
pub fn at(bus: &Path) -> Result<Place, Failure> {
    let path = settings_path(bus);
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    let dir = settings(bus)?.extensions.dir;
    Ok(Place { folder: within(&base, &dir), settings: path, reserved: built_in() })
}

/// `a/./b` and the like would be shown to people; the current folder is written as `.`.
fn within(base: &Path, dir: &str) -> PathBuf {
    if base.as_os_str().is_empty() { PathBuf::from(dir) } else { base.join(dir) }
}

/// Where an extension of this name has stored something.
pub fn stored(bus: &Path, name: &str) -> Option<PathBuf> {
    let folder = bus.join(layout::state_folder(name));
    let has_any = std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    has_any.then_some(folder)
}

/// Every command of the program itself.
pub fn built_in() -> Vec<String> {
    let names = Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect::<Vec<_>>();
    names.into_iter().chain(["help".to_owned()]).collect()
}

/// What extension hosts run in.
pub fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Exit::Failure, format!("cannot start the runtime of the extensions: {error}")))
}

/// A look that changes nothing.
pub fn survey(place: &Place) -> Result<Survey, Failure> {
    Ok(runtime()?.block_on(place.survey())?)
}

/// Holds the folder; says whom it waits for, and what it found to be mended.
pub fn installer(place: Place, runtime: &Runtime) -> Result<Installer, Failure> {
    let folder = text::path(&place.folder);
    Ok(told(runtime.block_on(Installer::open(place, |who| waiting(who, &folder)))?))
}

/// The same to remove something: without running any of it.
pub fn remover(place: Place) -> Result<Installer, Failure> {
    let folder = text::path(&place.folder);
    Ok(told(Installer::open_to_remove(place, |who| waiting(who, &folder))?))
}

fn waiting(who: &str, folder: &str) {
    print::note(&format!("waiting for {who}, which is changing {folder}"));
}

fn told((installer, told): (Installer, Vec<String>)) -> Installer {
    for sentence in told {
        print::note(&text::sentence(&sentence));
    }
    installer
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Failure {
        let exit = match &error {
            InstallError::Folder { .. } | InstallError::Lock(_) | InstallError::Load(_) => Exit::Failure,
            InstallError::Settings { .. } => Exit::Settings,
            InstallError::Name { .. } => Exit::Usage,
            InstallError::NotInstalled { .. } | InstallError::NoPrevious { .. } => Exit::NotFound,
            InstallError::Taken { .. }
            | InstallError::Occupied { .. }
            | InstallError::NoComponent { .. }
            | InstallError::Unresolved { .. }
            | InstallError::Unfit { .. }
            | InstallError::Unusable { .. }
            | InstallError::WouldBreak { .. }
            | InstallError::Needed { .. }
            | InstallError::Directory { .. } => Exit::Refused,
        };
        let failure = Failure::new(exit, text::sentence(&error.to_string()));
        match error.hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}
