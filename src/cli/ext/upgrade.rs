//! `postroom ext upgrade`.

use postroom::extension::install::{Candidate, Existing};

use super::add::{Wanted, report};
use super::place::{at, bus, installer, runtime};
use super::source::Source;
use crate::cli::{Exit, Failure, Global};

/// Replace an installed extension by another version, or go back to the one before
///
/// The new version is checked, together with all that need it, before the old one goes. The old one is kept for --back.
#[derive(Debug, clap::Args)]
pub struct Upgrade {
    /// The installed extension
    name: String,
    /// The new version: a file, or an https:// address
    #[arg(value_name = "PATH|URL", required_unless_present = "back")]
    source: Option<Source>,
    /// Go back to the version before; the present one can come back the same way
    #[arg(long, conflicts_with_all = ["source", "sha256", "grant"])]
    back: bool,
    #[command(flatten)]
    wanted: Wanted,
}

impl Upgrade {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let bus = bus(global)?;
        let place = at(&bus)?;
        let bytes = self.source.map(|source| source.bytes(self.wanted.sha256.as_ref())).transpose()?;
        let runtime = runtime()?;
        let mut installer = installer(place, &runtime)?;
        let installed = match bytes {
            Some(bytes) => {
                installer.check_installed(&self.name)?;
                let candidate = Candidate { name: self.name, bytes, grants: self.wanted.grant };
                runtime.block_on(installer.add(candidate, Existing::Replace))?
            }
            None => runtime.block_on(installer.roll_back(&self.name))?,
        };
        report(installed, &bus, global.format())
    }
}
