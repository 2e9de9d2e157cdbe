//! Asking the active service for something that only it may do. With none at work, the command does the service's work itself
//! for that moment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postroom::bus::disk::{self, Disk, Moved};
use postroom::bus::layout;
use postroom::service::{Config, Mode, Notice, Service};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::wait::{Watch, deadline, is_over};
use super::workspace::{Workspace, is_unattended, with_name};
use super::{Exit, Failure, text, units};

/// What is asked, and of which dead letters.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Request {
    Retry { tickets: Vec<String> },
    Purge { tickets: Vec<String> },
}

/// What the service says it has done.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub ok: bool,
    #[serde(default)]
    pub done: Vec<String>,
    #[serde(default)]
    pub not_found: Vec<String>,
    pub message: Option<String>,
}

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub timeout: Duration,
    /// Where this command does the service's work, as for `serve`.
    pub force_file_system: bool,
}

const ANSWER_MAX: u64 = 64 << 20;

/// Asks, and waits for the answer. `say` gets what a service has to say that is started for this.
pub fn ask(
    workspace: &Workspace,
    request: &Request,
    terms: Terms,
    say: impl Fn(&Notice) + Clone + Send + Sync + 'static,
) -> Result<Answer, Failure> {
    let disk = workspace.disk()?;
    let name = format!("{}.json", Uuid::now_v7());
    let (asked, answered) = (Path::new(layout::REQUESTS).join(&name), Path::new(layout::ANSWERS).join(&name));
    let watch = Watch::on(&[&workspace.bus.join(layout::ANSWERS)]);
    put(&disk, &asked, request)?;
    let answer = wait(workspace, &disk, &answered, &watch, terms, say);
    match answer {
        Ok(Some(answer)) => Ok(answer),
        // What was not answered must not be done later, when nobody expects it.
        Ok(None) => {
            let withdrawn = disk.remove_file(&asked)?;
            let became = if withdrawn { "the request is withdrawn" } else { "it may still do it" };
            let waited = units::span(terms.timeout.as_millis() as u64);
            Err(Failure::new(Exit::Timeout, format!("the service did not answer within {waited}; {became}"))
                .with_hint("see `postroom status` and `postroom doctor`"))
        }
        Err(failure) => {
            disk.remove_file(&asked)?;
            Err(failure)
        }
    }
}

fn put(disk: &Disk, asked: &Path, request: &Request) -> Result<(), Failure> {
    let text = serde_json::to_vec(request).expect("our own types are always JSON");
    let hidden: PathBuf = asked.with_file_name(format!(".{}.tmp", Uuid::now_v7()));
    disk.create(&hidden, &[&text], disk::Sync::Later)?;
    match disk.rename_new(&hidden, asked)? {
        Moved::Done => Ok(()),
        Moved::Taken | Moved::Gone => {
            disk.remove_file(&hidden)?;
            let path = text::path(asked);
            Err(Failure::new(Exit::Failure, format!("cannot put the request at {path}: its folder has changed")))
        }
    }
}

/// `None`: no answer in time.
fn wait(
    workspace: &Workspace,
    disk: &Disk,
    answered: &Path,
    watch: &Watch,
    terms: Terms,
    say: impl Fn(&Notice) + Clone + Send + Sync + 'static,
) -> Result<Option<Answer>, Failure> {
    let view = workspace.view()?;
    let until = deadline(Some(terms.timeout));
    loop {
        if let Some(text) = disk.read(answered, ANSWER_MAX)? {
            let answer = serde_json::from_slice(&text).map_err(|error| {
                let path = text::path(&disk.path().join(answered));
                Failure::new(Exit::Failure, format!("cannot understand the service's answer {path}: {error}"))
            })?;
            disk.remove_file(answered)?;
            return Ok(Some(answer));
        }
        if is_over(until) {
            return Ok(None);
        }
        if is_unattended(&view)? {
            serve_once(workspace, terms, say.clone())?;
            continue;
        }
        watch.next(until);
    }
}

/// Does what the service would do: everything that is there and due, the request too.
fn serve_once(
    workspace: &Workspace,
    terms: Terms,
    say: impl Fn(&Notice) + Send + Sync + 'static,
) -> Result<(), Failure> {
    let config = Config {
        bus: with_name(workspace.bus.clone())?,
        settings: workspace.settings()?,
        settings_file: None,
        force_file_system: terms.force_file_system,
    };
    // That it begins and ends is no news: it does so for each request.
    let say = move |notice: &Notice| match notice {
        Notice::Active { .. } | Notice::Stopped => {}
        _ => say(notice),
    };
    Ok(Service::new(config, say).run(Mode::Once)?)
}
