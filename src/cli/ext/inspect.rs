//! `postroom ext inspect`: everything that is known of one component, from its bytes and, where it is installed, from having asked it.

use std::collections::BTreeMap;
use std::path::Path;

use postroom::extension::ComponentHash;
use postroom::extension::analysis::analyse;
use postroom::extension::graph::{Interface, Link};
use postroom::extension::install::is_built_in;
use serde::Serialize;

use super::place::{place, survey};
use super::source::Source;
use crate::cli::print::{BAD, BOLD, DIM, Format, NAME, styled};
use crate::cli::{Exit, Failure, Global, print, text, units};

/// Show what an extension offers and needs, with all types
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// An installed extension, or a file: what has a / in it or ends in .wasm or .wat
    #[arg(value_name = "NAME|PATH")]
    what: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub name: String,
    pub sha256: ComponentHash,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed: Option<Installed>,
    pub imports: Vec<Shown>,
    pub exports: Vec<Shown>,
}

/// What is known only of an installed one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    version: String,
    description: String,
    actions: Vec<String>,
    capabilities: Vec<String>,
    subcommand: Option<String>,
    previous: Option<ComponentHash>,
    broken: Option<String>,
}

/// An interface.
#[derive(Serialize)]
pub struct Shown {
    interface: String,
    version: Option<String>,
    functions: BTreeMap<String, String>,
    /// For an import: who provides it, `postroom` for what is built in. For a file, or where nobody does: null.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
}

impl Inspect {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let is_path = self.what.contains('/') || self.what.ends_with(".wasm") || self.what.ends_with(".wat");
        let report = if is_path { of_file(Path::new(&self.what))? } else { of_installed(&self.what, global)? };
        match global.format() {
            Format::Json => print::json(&report)?,
            Format::Text => print::text(&shown(&report))?,
        }
        Ok(Exit::Ok)
    }
}

fn of_file(path: &Path) -> Result<Report, Failure> {
    let source = Source::File(path.to_owned());
    let bytes = source.bytes(None)?;
    let wrong = |error| Failure::new(Exit::Refused, format!("{} cannot be used: {error}", text::path(path)));
    let analysis = analyse(&bytes).map_err(wrong)?;
    Ok(Report {
        name: source.name(),
        sha256: ComponentHash::of(&bytes),
        bytes: bytes.len() as u64,
        installed: None,
        imports: analysis.imports.iter().map(|import| interface(import, built_in(import))).collect(),
        exports: analysis.exports.iter().map(|export| interface(export, None)).collect(),
    })
}

fn of_installed(name: &str, global: &Global) -> Result<Report, Failure> {
    let survey = survey(&place(global)?)?;
    let broken = survey.broken.iter().find(|broken| broken.name == name).map(|broken| broken.reason.clone());
    let locked = match (survey.extension(name), &broken) {
        (Ok(locked), _) => locked,
        (Err(_), Some(reason)) => {
            let reason = text::sentence(reason);
            return Err(Failure::new(Exit::Refused, format!("{} cannot be used: {reason}", text::field(name))));
        }
        (Err(error), None) => return Err(error.into()),
    };
    let provider = |import: &Interface| {
        let serves =
            |link: &&Link| link.importer == name && link.interface == import.name && link.required == import.version;
        let found = survey.resolution.links.iter().find(serves).map(|link| link.provider.clone());
        built_in(import).or(found)
    };
    let about = &locked.about;
    Ok(Report {
        name: name.to_owned(),
        sha256: locked.sha256,
        bytes: locked.stamp.bytes,
        installed: Some(Installed {
            version: about.version.clone(),
            description: about.description.clone(),
            actions: about.actions.clone(),
            capabilities: about.capabilities.clone(),
            subcommand: locked.subcommand.as_ref().map(|subcommand| subcommand.name.clone()),
            previous: locked.previous,
            broken,
        }),
        imports: locked.interfaces.imports.iter().map(|import| interface(import, provider(import))).collect(),
        exports: locked.interfaces.exports.iter().map(|export| interface(export, None)).collect(),
    })
}

fn built_in(import: &Interface) -> Option<String> {
    is_built_in(import).then(|| "postroom".to_owned())
}

fn interface(interface: &Interface, provider: Option<String>) -> Shown {
    Shown {
        interface: interface.name.clone(),
        version: interface.version.as_ref().map(ToString::to_string),
        functions: interface.functions.clone(),
        provider,
    }
}

fn shown(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            out.push_str(&format!("{}  {value}\n", styled(DIM, format!("{name:<12}"))));
        }
    };
    line("name", &styled(BOLD, text::field(&report.name)));
    if let Some(installed) = &report.installed {
        let list = |list: &[String]| list.iter().map(|text| text::field(text)).collect::<Vec<_>>().join(", ");
        line("version", &text::field(&installed.version));
        line("description", &text::sentence(&installed.description));
        line("actions", &list(&installed.actions));
        line("capabilities", &list(&installed.capabilities));
        line("subcommand", &installed.subcommand.as_deref().map(text::field).unwrap_or_default());
        line("before", &installed.previous.map(|hash| hash.to_string()).unwrap_or_default());
        line("broken", &installed.broken.as_deref().map(|why| styled(BAD, text::sentence(why))).unwrap_or_default());
    }
    line("sha256", &report.sha256.to_string());
    line("size", &units::bytes(report.bytes));
    for (title, interfaces) in [("imports", &report.imports), ("exports", &report.exports)] {
        if !interfaces.is_empty() {
            out.push_str(&format!("\n{}\n", styled(BOLD, title)));
        }
        interfaces.iter().for_each(|interface| out.push_str(&shown_interface(interface)));
    }
    out
}

fn shown_interface(shown: &Shown) -> String {
    let version = shown.version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
    let by = shown.provider.as_ref().map(|by| format!("  from {}", text::field(by))).unwrap_or_default();
    let name = text::field(&format!("{}{version}", shown.interface));
    let mut out = format!("  {}{by}\n", styled(NAME, name));
    for (name, ty) in &shown.functions {
        out.push_str(&format!("    {}: {}\n", text::field(name), text::sentence(ty)));
    }
    out
}
