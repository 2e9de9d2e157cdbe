//! `postroom dead-letter retry` and `purge`: which ones is settled here, the doing is the service's.

use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use postroom::bus::view::View;
use postroom::service::Notice;
use serde::Serialize;

use super::{Letter, all, not_found};
use crate::cli::print::Format;
use crate::cli::request::{Request, Terms, ask};
use crate::cli::workspace::Workspace;
use crate::cli::{Exit, Failure, Global, print, serve, text, units};

/// So many dead letters go into one request: progress can be seen, and an interrupted purge has done whole requests.
const BATCH: usize = 1_000;

/// Try dead letters again from the start: attempts count anew, and the error reply is superseded
#[derive(Debug, Args)]
pub struct Retry {
    #[command(flatten)]
    which: Which,
}

/// Remove dead letters for good
#[derive(Debug, Args)]
pub struct Purge {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    letters: Letters,
    /// How long to wait for the service
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::duration)]
    timeout: Duration,
    /// Do it also on a file system that cannot keep the promises, where no service is at work
    #[arg(long)]
    force_file_system: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Letters {
    /// Their tickets, or the messages' ids
    tickets: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Those that are older, such as 7d
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    older_than: Option<Duration>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    done: Vec<String>,
    not_found: Vec<String>,
}

impl Retry {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        run(&self.which, global, "tried again", |tickets| Request::Retry { tickets })
    }
}

impl Purge {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        run(&self.which, global, "removed", |tickets| Request::Purge { tickets })
    }
}

fn run(which: &Which, global: &Global, did: &str, request: fn(Vec<String>) -> Request) -> Result<Exit, Failure> {
    let workspace = global.workspace()?;
    let tickets = which.letters.resolve(&workspace.view()?, units::now_ms())?;
    let bar = print::progress(tickets.len() as u64, "dead letters");
    let terms = Terms { timeout: which.timeout, force_file_system: which.force_file_system };
    let asked = ask_for(&workspace, &tickets, terms, global.format(), &bar, request);
    bar.finish_and_clear();
    let report = asked?;
    let is_whole = report.not_found.is_empty();
    match global.format() {
        Format::Json => print::json(&report)?,
        Format::Text => {
            print::line(&format!("{} {did}", units::count(report.done.len(), "dead letter", "dead letters")))?;
            for ticket in &report.not_found {
                print::note(&format!("not there any more: {}", text::field(ticket)));
            }
        }
    }
    Ok(if is_whole { Exit::Ok } else { Exit::NotFound })
}

fn ask_for(
    workspace: &Workspace,
    tickets: &[String],
    terms: Terms,
    format: Format,
    bar: &ProgressBar,
    request: fn(Vec<String>) -> Request,
) -> Result<Report, Failure> {
    let mut report = Report { done: Vec::new(), not_found: Vec::new() };
    for batch in tickets.chunks(BATCH) {
        let above = bar.clone();
        let say = move |notice: &Notice| above.suspend(|| serve::say(notice, format));
        let answer = ask(workspace, &request(batch.to_vec()), terms, say)?;
        if !answer.ok {
            let because = answer.message.as_deref().unwrap_or("the service does not say why");
            return Err(Failure::new(Exit::Failure, format!("the service refused: {}", text::sentence(because))));
        }
        report.done.extend(answer.done);
        report.not_found.extend(answer.not_found);
        bar.inc(batch.len() as u64);
    }
    Ok(report)
}

impl Letters {
    fn resolve(&self, view: &View, now_ms: u64) -> Result<Vec<String>, Failure> {
        let letters = all(view)?;
        if self.all {
            return Ok(letters.into_iter().map(|letter| letter.ticket).collect());
        }
        if let Some(age) = self.older_than {
            let before = now_ms.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
            let is_older = |letter: &Letter| letter.why.as_ref().is_some_and(|why| why.at < before);
            return Ok(letters.into_iter().filter(is_older).map(|letter| letter.ticket).collect());
        }
        let mut tickets = Vec::new();
        for name in &self.tickets {
            let before = tickets.len();
            tickets.extend(letters.iter().filter(|letter| letter.is(name)).map(|letter| letter.ticket.clone()));
            if tickets.len() == before {
                return Err(not_found(name, "; nothing was done"));
            }
        }
        tickets.sort_unstable();
        tickets.dedup();
        Ok(tickets)
    }
}
