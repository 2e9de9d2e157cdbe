//! `postroom ext test`: messages in, expected replies out, without a bus.

use std::path::PathBuf;

use postroom::extension::install::Trial;
use serde::Serialize;
use serde_json::Value;

use super::case::{self, Case};
use super::difference::{self, Line};
use super::place::{place, runtime};
use super::source::Source;
use crate::cli::print::{BAD, DIM, Format, GOOD, styled};
use crate::cli::{Exit, Failure, Global, print, text, units};

/// Run messages against an extension, without a bus, and compare its replies
///
/// CASES is a folder with a pair of files for each case: NAME.message.json is a message, of which only `action` must be given, and
/// NAME.reply.json is {"payload": ...} or {"error": {...}} with as much of the error as matters.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// An installed extension, or a file: what has a / in it or ends in .wasm or .wat
    #[arg(value_name = "PATH|NAME")]
    what: String,
    /// The folder with the cases
    cases: PathBuf,
}

#[derive(Serialize)]
struct Report {
    passed: usize,
    failed: usize,
    cases: Vec<Outcome>,
}

#[derive(Serialize)]
struct Outcome {
    name: String,
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    came: Option<Value>,
}

impl Test {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let cases = case::all(&self.cases)?;
        let is_path = self.what.contains('/') || self.what.ends_with(".wasm") || self.what.ends_with(".wat");
        let trial = match is_path {
            true => {
                let source = Source::File(PathBuf::from(&self.what));
                let bytes = source.bytes(None)?;
                // Where there is a workspace, what is installed there can be imported.
                Trial::of_file(source.name(), bytes, place(global).ok())
            }
            false => Trial::of_installed(self.what, place(global)?),
        };
        let outcomes = runtime()?.block_on(run(&trial, &cases))?;
        let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
        let report = Report { passed: outcomes.len() - failed, failed, cases: outcomes };
        match global.format() {
            Format::Json => print::json(&report)?,
            Format::Text => print::text(&shown(&report))?,
        }
        Ok(if failed == 0 { Exit::Ok } else { Exit::Problems })
    }
}

async fn run(trial: &Trial, cases: &[Case]) -> Result<Vec<Outcome>, Failure> {
    let host = trial.host().await?;
    let mut outcomes = Vec::new();
    for case in cases {
        let (expected, came) = case.run(&host, trial.name()).await?;
        let passed = case::matches(&expected, &came);
        let told = (!passed).then_some((expected, came));
        let (expected, came) = told.unzip();
        outcomes.push(Outcome { name: case.name.clone(), passed, expected, came });
    }
    Ok(outcomes)
}

fn shown(report: &Report) -> String {
    let mut out = String::new();
    for outcome in &report.cases {
        let (style, word) = if outcome.passed { (GOOD, "ok") } else { (BAD, "failed") };
        out.push_str(&format!("{}  {}\n", styled(style, format!("{word:<6}")), text::field(&outcome.name)));
        if let (Some(expected), Some(came)) = (&outcome.expected, &outcome.came) {
            let (expected, came) = difference::texts(expected, came);
            for line in difference::lines(&expected, &came) {
                out.push_str(&match line {
                    Line::Both(line) => format!("          {}\n", styled(DIM, text::sentence(line))),
                    Line::Expected(line) => format!("        {} {}\n", styled(GOOD, "-"), text::sentence(line)),
                    Line::Came(line) => format!("        {} {}\n", styled(BAD, "+"), text::sentence(line)),
                });
            }
        }
    }
    if report.failed > 0 {
        out.push_str("(- is expected, + is what came)\n");
    }
    let cases = units::count(report.cases.len(), "case", "cases");
    out + &format!("{cases}, {} failed\n", report.failed)
}
