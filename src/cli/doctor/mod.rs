//! `postroom doctor`: looks at a bus and its surroundings, and explains what it finds: what, why that matters, how to mend it.
//! It mends nothing itself; the one thing it writes is a hidden file in `.postroom/` to try locks and the clock, which it removes.
//!
//! A new check is one function in one of the modules and one line in [`examine`].

mod extensions;
mod folders;
mod misplaced;
mod service;
mod strangers;
mod surroundings;

use std::path::{Path, PathBuf};

use postroom::bus::Disk;
use postroom::bus::view::View;
use serde::Serialize;

use super::print::{BAD, BOLD, DIM, Format, GOOD, WARN, styled};
use super::workspace::folder;
use super::{Exit, Failure, Global, print, text, units};

/// Find out what is wrong with the bus, and what to do about it
#[derive(Debug, clap::Args)]
pub struct Doctor {}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Messages are not handled, or the promises do not hold.
    Problem,
    /// Worth knowing; nothing is broken.
    Note,
}

/// One thing that was found. Its texts are fit to be shown.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// A fixed name, for programs.
    check: &'static str,
    severity: Severity,
    what: String,
    why: String,
    mend: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
}

impl Finding {
    fn problem(check: &'static str, what: impl Into<String>) -> Finding {
        let (why, mend) = (String::new(), String::new());
        Finding { check, severity: Severity::Problem, what: what.into(), why, mend, path: None }
    }

    fn note(check: &'static str, what: impl Into<String>) -> Finding {
        Finding { severity: Severity::Note, ..Finding::problem(check, what) }
    }

    fn because(mut self, why: impl Into<String>) -> Finding {
        self.why = why.into();
        self
    }

    fn mend(mut self, mend: impl Into<String>) -> Finding {
        self.mend = mend.into();
        self
    }

    fn at(mut self, path: impl AsRef<Path>) -> Finding {
        self.path = Some(path.as_ref().to_owned());
        self
    }
}

/// What every check may look at.
pub struct Patient<'a> {
    bus: &'a Path,
    disk: &'a Disk,
    now_ms: u64,
}

#[derive(Serialize)]
struct Report {
    bus: PathBuf,
    problems: usize,
    findings: Vec<Finding>,
}

impl Doctor {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let bus = folder(global.bus())?;
        if !bus.is_dir() {
            return Err(postroom::bus::BusError::NotABus { path: bus }.into());
        }
        let mut findings = examine(&bus)?;
        findings.sort_by_key(|finding| finding.severity);
        let problems = findings.iter().filter(|finding| finding.severity == Severity::Problem).count();
        let report = Report { bus, problems, findings };
        match global.format() {
            Format::Json => print::json(&report)?,
            Format::Text => print::text(&shown(&report))?,
        }
        Ok(if problems == 0 { Exit::Ok } else { Exit::Problems })
    }
}

fn examine(bus: &Path) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    match Disk::open(bus) {
        Ok(disk) => look_at(&Patient { bus, disk: &disk, now_ms: units::now_ms() }, &mut findings)?,
        Err(error) => findings.push(folders::closed(error.into(), bus)?),
    }
    Ok(findings)
}

fn look_at(patient: &Patient, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    findings.extend(surroundings::file_system(patient));
    findings.extend(surroundings::settings(patient));
    findings.extend(surroundings::space(patient));
    let mut closed = Vec::new();
    let mut add = |found: Result<Vec<Finding>, Failure>| -> Result<(), Failure> {
        match found {
            Ok(found) => findings.extend(found),
            Err(failure) => closed.push(folders::closed(failure, patient.bus)?),
        }
        Ok(())
    };
    add(folders::missing(patient))?;
    add(folders::permissions(patient))?;
    add(strangers::at_the_top(patient))?;
    add(strangers::moved_aside(patient).map(Vec::from_iter))?;
    add(misplaced::days(patient).map(Vec::from_iter))?;
    add(Ok(misplaced::coming_days(patient).into_iter().collect()))?;
    // Without its format file it is no bus, which `missing` has said.
    if let Ok(view) = View::open(patient.bus) {
        add(misplaced::registrations(patient, &view).map(Vec::from_iter))?;
        add(service::all(patient, &view))?;
        add(service::dead_letters(&view).map(Vec::from_iter))?;
    }
    findings.extend(surroundings::locks_and_clock(patient));
    findings.extend(surroundings::events(patient));
    findings.extend(extensions::extensions(patient));
    findings.extend(misplaced::files(patient));
    findings.extend(misplaced::inboxes(patient));
    // Several checks look into one folder, and `permissions` may have named it.
    if !findings.iter().any(|finding| finding.check == folders::NOT_WRITABLE) {
        closed.truncate(1);
        findings.append(&mut closed);
    }
    Ok(())
}

fn shown(report: &Report) -> String {
    let mut out = format!("{}  {}\n\n", styled(BOLD, "bus"), text::path(&report.bus));
    for finding in &report.findings {
        let (style, word) = match finding.severity {
            Severity::Problem => (BAD, "problem"),
            Severity::Note => (WARN, "note"),
        };
        let check = styled(DIM, format!("({})", finding.check));
        out.push_str(&format!("{}  {} {check}\n", styled(style, format!("{word:<7}")), finding.what));
        let path = finding.path.as_deref().map(text::path);
        let lines = [("where", path.as_deref().unwrap_or("")), ("why", &finding.why), ("mend", &finding.mend)];
        for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            out.push_str(&format!("  {}  {value}\n", styled(DIM, format!("{name:<5}"))));
        }
        out.push('\n');
    }
    let notes = report.findings.len() - report.problems;
    if report.problems == 0 {
        out.push_str(&styled(GOOD, "no problems"));
    } else {
        out.push_str(&styled(BAD, units::count(report.problems, "problem", "problems")));
    }
    if notes > 0 {
        out.push_str(&format!(", {}", units::count(notes, "note", "notes")));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a check look at a fresh bus.
    pub fn on_a_bus(check: impl FnOnce(&Patient)) {
        let top = tempfile::TempDir::new().expect("a folder");
        let bus = top.path().join("bus");
        postroom::bus::create(&bus).expect("made");
        let disk = Disk::open(&bus).expect("open");
        check(&Patient { bus: &bus, disk: &disk, now_ms: units::now_ms() });
    }
}
