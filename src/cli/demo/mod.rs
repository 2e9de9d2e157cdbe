//! `postroom demo`: the main job on real files, in a folder of its own: a service, an extension, an agent that is a shell, and
//! where each file goes. Every step is checked; the exit code says whether all of it really happened.

#![allow(clippy::disallowed_methods, reason = "the demo's workspace is its own")]

mod acts;
mod stage;

use std::path::PathBuf;

use serde::Serialize;

use super::print::Format;
use super::{Exit, Failure, Global, print, text};
use stage::Stage;

/// See it work: a fresh bus, a service, an extension, an agent, messages dropped by a plain shell
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Where to make the workspace; it must be new or empty [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the workspace there, to look at it
    #[arg(long)]
    keep: bool,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    workspace: PathBuf,
    /// What was done, in order.
    acts: Vec<&'static str>,
}

impl Demo {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let mut stage = Stage::build(self.dir, global.format())?;
        let played = play(&mut stage);
        let keep = self.keep || played.is_err();
        let workspace = stage.clear(keep)?;
        match played {
            Ok(acts) => {
                if global.format() == Format::Json {
                    print::json(&Report { ok: true, workspace, acts })?;
                } else if keep {
                    print::line(&format!("\nThe workspace is still there: {}", text::path(&workspace)))?;
                } else {
                    print::line("\nAll of it happened. The workspace is removed; --keep leaves it there.")?;
                }
                Ok(Exit::Ok)
            }
            Err(failure) => {
                print::note(&format!("the workspace is still there: {}", text::path(&workspace)));
                Err(failure)
            }
        }
    }
}

fn play(stage: &mut Stage) -> Result<Vec<&'static str>, Failure> {
    for (title, act) in acts::ACTS {
        stage.title(title)?;
        act(stage)?;
    }
    Ok(acts::ACTS.iter().map(|(title, _)| *title).collect())
}
