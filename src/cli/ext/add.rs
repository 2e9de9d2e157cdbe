//! `postroom ext add`, and what it shares with `upgrade`.

use std::path::Path;

use postroom::extension::ComponentHash;
use postroom::extension::install::{Candidate, Change, Existing, Installed};
use postroom::policy::grants::Grant;
use serde::Serialize;

use super::place::{at, bus, installer, runtime, stored};
use super::source::Source;
use crate::cli::print::{BOLD, DIM, Format, GOOD, styled};
use crate::cli::{Exit, Failure, Global, print, text};

/// Install an extension: checked together with all others, then put in its place
///
/// A component is installed only if everything that it imports can be had, it loads, and all others still work. Whatever dies
/// meanwhile, the folder has the old set or the new one.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The component: a file, or an https:// address (http:// with --sha256, or from this machine)
    #[arg(value_name = "PATH|URL")]
    source: Source,
    #[command(flatten)]
    wanted: Wanted,
    /// The name, by which messages reach it [default: the file's, without .wasm]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Replace an extension that has the name
    #[arg(long)]
    force: bool,
}

/// What is said about a component that is to be installed.
#[derive(Debug, clap::Args)]
pub struct Wanted {
    /// Refuse a file with another SHA-256; of WebAssembly text, that of the binary will do, too
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<ComponentHash>,
    /// Grant this to it in postroom.toml (bus, invoke, state, log, config, clock, random, wasi); may be repeated
    #[arg(long, value_name = "GRANT", value_parser = grant)]
    pub grant: Vec<Grant>,
}

fn grant(text: &str) -> Result<Grant, String> {
    Grant::parse(text).map_err(|error| error.to_string())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    name: &'a str,
    sha256: ComponentHash,
    version: &'a str,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<ComponentHash>,
    granted: &'a [String],
    warnings: &'a [String],
}

impl Add {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let bus = bus(global)?;
        let place = at(&bus)?;
        let name = self.name.unwrap_or_else(|| self.source.name());
        let bytes = self.source.bytes(self.wanted.sha256.as_ref())?;
        let existing = if self.force { Existing::Replace } else { Existing::Refuse };
        let runtime = runtime()?;
        let mut installer = installer(place, &runtime)?;
        let candidate = Candidate { name, bytes, grants: self.wanted.grant };
        let installed = runtime.block_on(installer.add(candidate, existing))?;
        report(installed, &bus, global.format())
    }
}

/// Says what has been installed.
pub fn report(installed: Installed, bus: &Path, format: Format) -> Result<Exit, Failure> {
    let Installed { name, sha256, about, change, granted, mut warnings } = installed;
    if let Some(stored) = stored(bus, &name).filter(|_| change == Change::New) {
        warnings
            .push(format!("an extension of this name has stored something, which is its now: {}", stored.display()));
    }
    let (change, previous) = match change {
        Change::New => ("new", None),
        Change::Replaced { previous } => ("replaced", Some(previous)),
        Change::None => ("none", None),
    };
    match format {
        Format::Json => {
            print::json(&Report {
                name: &name,
                sha256,
                version: &about.version,
                change,
                previous,
                granted: &granted,
                warnings: &warnings,
            })?;
        }
        Format::Text => {
            let word = if change == "none" { "was there" } else { "installed" };
            let title = format!("{} {}", styled(BOLD, text::field(&name)), text::field(&about.version));
            let mut out = format!("{}  {}\n", styled(GOOD, word), title.trim_end());
            let mut line = |name: &str, value: &str| {
                out.push_str(&format!("{}  {value}\n", styled(DIM, format!("{name:<9}"))));
            };
            line("sha256", &sha256.to_string());
            if let Some(previous) = previous {
                line(
                    "before",
                    &format!("{previous} (`postroom ext upgrade {} --back` returns to it)", text::field(&name)),
                );
            }
            if !granted.is_empty() {
                line("granted", &granted.join(", "));
            }
            for warning in &warnings {
                line("note", &text::sentence(warning));
            }
            print::text(&out)?;
        }
    }
    Ok(Exit::Ok)
}
