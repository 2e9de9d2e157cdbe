//! `postroom ext deps`: who needs whom.

use std::collections::BTreeSet;

use postroom::extension::graph::Link;
use postroom::extension::install::Survey;
use serde::Serialize;

use super::place::{place, survey};
use crate::cli::print::{BAD, Format, NAME, styled};
use crate::cli::{Exit, Failure, Global, print, text};

/// Show which extensions need which others, in the order in which they are loaded
#[derive(Debug, clap::Args)]
pub struct Deps {
    /// Only what this one needs, and what needs it
    name: Option<String>,
    /// As a graph for Graphviz
    #[arg(long)]
    dot: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Each provider before its importers.
    order: Vec<String>,
    links: Vec<Edge>,
    set_aside: Vec<SetAside>,
}

#[derive(Serialize)]
struct Edge {
    importer: String,
    interface: String,
    required: Option<String>,
    provider: String,
    provided: Option<String>,
}

#[derive(Serialize)]
struct SetAside {
    name: String,
    reasons: Vec<String>,
}

impl Deps {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let survey = survey(&place(global)?)?;
        let names = match &self.name {
            Some(name) => {
                survey.extension(name)?;
                around(name, &survey.resolution.links)
            }
            None => survey.extensions.keys().cloned().collect(),
        };
        let report = report(&survey, &names);
        match (global.format(), self.dot) {
            (_, true) => print::text(&dot(&report))?,
            (Format::Json, false) => print::json(&report)?,
            (Format::Text, false) => print::text(&shown(&report))?,
        }
        Ok(Exit::Ok)
    }
}

/// The name, everything that it needs, and everything that needs it, however far.
fn around(name: &str, links: &[Link]) -> BTreeSet<String> {
    let mut found = BTreeSet::from([name.to_owned()]);
    for direction in [downwards, upwards] {
        let mut next = vec![name.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(name) = next.pop() {
            for (from, to) in links.iter().map(direction) {
                if from == name && seen.insert(to.to_owned()) {
                    next.push(to.to_owned());
                }
            }
        }
        found.extend(seen);
    }
    found
}

fn downwards(link: &Link) -> (&str, &str) {
    (&link.importer, &link.provider)
}

fn upwards(link: &Link) -> (&str, &str) {
    (&link.provider, &link.importer)
}

fn report(survey: &Survey, names: &BTreeSet<String>) -> Report {
    let version = |version: &Option<_>| version.as_ref().map(|version: &_| ToString::to_string(version));
    let resolution = &survey.resolution;
    let links = resolution.links.iter().filter(|link| names.contains(&link.importer) && names.contains(&link.provider));
    let edge = |link: &Link| Edge {
        importer: link.importer.clone(),
        interface: link.interface.clone(),
        required: version(&link.required),
        provider: link.provider.clone(),
        provided: version(&link.provided),
    };
    let set_aside = resolution.set_aside.iter().filter(|(name, _)| names.contains(*name));
    Report {
        order: resolution.order.iter().filter(|name| names.contains(*name)).cloned().collect(),
        links: links.map(edge).collect(),
        set_aside: set_aside
            .map(|(name, problems)| SetAside {
                name: name.clone(),
                reasons: problems.iter().map(ToString::to_string).collect(),
            })
            .collect(),
    }
}

fn versioned(interface: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{interface}@{version}"),
        None => interface.to_owned(),
    }
}

fn shown(report: &Report) -> String {
    if report.order.is_empty() && report.set_aside.is_empty() {
        return "no extensions are installed\n".into();
    }
    let mut out = String::new();
    for name in &report.order {
        out.push_str(&format!("{}\n", styled(NAME, text::field(name))));
        for edge in report.links.iter().filter(|edge| edge.importer == *name) {
            let wanted = text::field(&versioned(&edge.interface, edge.required.as_deref()));
            let provided = edge.provided.as_deref().map(|version| format!(" ({version})")).unwrap_or_default();
            out.push_str(&format!(
                "  needs {wanted}  from {}{}\n",
                text::field(&edge.provider),
                text::field(&provided)
            ));
        }
    }
    for SetAside { name, reasons } in &report.set_aside {
        out.push_str(&format!("{}  {}\n", styled(NAME, text::field(name)), styled(BAD, "broken")));
        reasons.iter().for_each(|reason| out.push_str(&format!("  {}\n", text::sentence(reason))));
    }
    out
}

/// For `dot -Tsvg`. Names are agent ids; an interface is a stranger's text.
fn dot(report: &Report) -> String {
    let quoted = |name: &str| format!("\"{}\"", text::field(name).replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = String::from("digraph extensions {\n  rankdir=LR;\n");
    report.order.iter().for_each(|name| out.push_str(&format!("  {};\n", quoted(name))));
    report.set_aside.iter().for_each(|it| out.push_str(&format!("  {} [style=dashed];\n", quoted(&it.name))));
    for edge in &report.links {
        let label = versioned(&edge.interface, edge.required.as_deref());
        let (from, to) = (quoted(&edge.importer), quoted(&edge.provider));
        out.push_str(&format!("  {from} -> {to} [label={}];\n", quoted(&label)));
    }
    out + "}\n"
}
