//! `postroom recv`: takes the oldest message out of an inbox.
//!
//! It is leased first, so that of several consumers one gets it; without `--lease` it is removed when it has been printed, and
//! if that fails given back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postroom::bus::disk::Disk;
use postroom::bus::layout;
use postroom::bus::view::View;
use postroom::message::{AgentId, Code, Delivery, Given, Message};
use serde::Serialize;
use serde_json::value::RawValue;

use super::lease::Lease;
use super::print::Format;
use super::wait::{Watch, deadline, is_over};
use super::workspace::Workspace;
use super::{Exit, Failure, Global, drop, print, text, units};

/// Larger files in an inbox are left alone: the service delivers none.
const MESSAGE_MAX: u64 = 1 << 30;

/// Take the oldest message out of an inbox and print it
///
/// The message is printed as one line of JSON and then removed, which acknowledges it. With --lease it stays, hidden from other
/// consumers for 60 seconds; acknowledge it with `postroom ack`, or give it back with `postroom nack`. Nothing there: exit
/// code 6.
#[derive(Debug, clap::Args)]
pub struct Recv {
    /// Whose inbox
    agent: AgentId,
    /// Wait for a message (and make the inbox, so that messages can come)
    #[arg(long)]
    wait: bool,
    /// How long to wait [default: for ever]
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = units::duration)]
    timeout: Option<Duration>,
    /// Keep it leased, and say by which name to acknowledge it
    #[arg(long)]
    lease: bool,
}

#[derive(Serialize)]
struct Leased<'a> {
    lease: String,
    path: PathBuf,
    message: &'a RawValue,
}

impl Recv {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let workspace = global.workspace()?;
        let disk = workspace.disk()?;
        // What lies in such an inbox all the same can be taken out of it; only nothing new will come.
        if self.wait && drop::is_taken(&self.agent, &workspace)? {
            return Err(never_comes(&self.agent));
        }
        let Some((lease, message)) = self.take(&workspace, &disk)? else {
            let name = &self.agent;
            return Err(match self.timeout {
                Some(timeout) => {
                    let waited = units::span(timeout.as_millis() as u64);
                    Failure::new(Exit::Timeout, format!("no message for {name} within {waited}"))
                }
                None => Failure::new(Exit::NotFound, format!("no message for {name} is there"))
                    .with_hint("--wait waits for one"),
            });
        };
        let shown = self.show(global.format(), &lease, &message);
        match (shown, self.lease) {
            (Ok(()), true) => {}
            (Ok(()), false) => {
                lease.acknowledge(&disk)?;
            }
            (Err(failure), _) => {
                lease.give_back(&disk)?;
                return Err(failure);
            }
        }
        Ok(Exit::Ok)
    }

    /// Leases the oldest message, waiting for one if that is wanted.
    fn take(&self, workspace: &Workspace, disk: &Disk) -> Result<Option<(Lease, Message)>, Failure> {
        if !self.wait {
            return self.take_now(&workspace.view()?, disk);
        }
        let inbox = layout::inbox(self.agent.as_str());
        let until = deadline(self.timeout);
        let mut watch = None;
        loop {
            // Who waits is there to be written to: an inbox that somebody has cleared away is made again, and watched anew.
            let view = workspace.view()?;
            if !view.exists(&inbox)? {
                disk.make_folder(&inbox)?;
                watch = None;
            }
            let watch = watch.get_or_insert_with(|| Watch::on(&[&workspace.bus.join(&inbox)]));
            if let Some(taken) = self.take_now(&view, disk)? {
                return Ok(Some(taken));
            }
            if is_over(until) {
                return Ok(None);
            }
            watch.next(until);
        }
    }

    fn take_now(&self, view: &View, disk: &Disk) -> Result<Option<(Lease, Message)>, Failure> {
        let mut waiting = Vec::new();
        view.each_in_inbox(self.agent.as_str(), &mut |item| waiting.extend(item.lease.is_none().then_some(item.path)))?;
        let mut by_age = Vec::with_capacity(waiting.len());
        for path in waiting {
            if let Some(written_ns) = view.written_ns(&path)? {
                by_age.push((written_ns, path));
            }
        }
        by_age.sort_unstable();
        for moment in by_age.chunk_by(|(one, _), (other, _)| one == other) {
            for path in in_order(view, moment.iter().map(|(_, path)| path.clone()).collect())? {
                let Some(message) = read(view, &path)? else { continue };
                if let Some(lease) = Lease::take(disk, &self.agent, &path)? {
                    return Ok(Some((lease, message)));
                }
            }
        }
        Ok(None)
    }

    fn show(&self, format: Format, lease: &Lease, message: &Message) -> Result<(), Failure> {
        match (format, self.lease) {
            (Format::Json, true) => {
                let message = serde_json::from_str(message.text().as_str().trim())
                    .map_err(|error| Failure::new(Exit::Failure, format!("cannot read the message again: {error}")))?;
                print::json(&Leased { lease: lease.token(), path: lease.path().to_owned(), message })
            }
            (Format::Json | Format::Text, false) => print::stranger_json(message.text().as_str()),
            (Format::Text, true) => {
                print::stranger_json(message.text().as_str())?;
                print::note(&format!("leased; when it is handled: postroom ack {}", text::field(&lease.token())));
                Ok(())
            }
        }
    }
}

/// `None`: it is gone, or no message. After a power cut a file may be cut short until the service has written it again: left alone. So is
/// whatever else somebody put there.
fn read(view: &View, path: &Path) -> Result<Option<Message>, Failure> {
    let Some(text) = view.read_ours(path, MESSAGE_MAX)? else { return Ok(None) };
    Ok(Message::parse(text, Given { file_identity: (0, 0), now_ms: 0 }).ok())
}

/// Files of one time, in the order in which their messages were claimed.
fn in_order(view: &View, mut paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, Failure> {
    if paths.len() < 2 {
        return Ok(paths);
    }
    let mut tickets = HashMap::with_capacity(paths.len());
    for path in &paths {
        let message = read(view, path)?;
        let stated = message.as_ref().and_then(Message::stated_delivery_text).and_then(Delivery::stated_ticket);
        tickets.insert(path.clone(), stated);
    }
    paths.sort_by(|one, other| (&tickets[one], one).cmp(&(&tickets[other], other)));
    Ok(paths)
}

fn never_comes(agent: &AgentId) -> Failure {
    let code = Code::NotPermitted;
    let says = format!(
        "{code}: the name {agent} belongs to the service or an extension; no message comes to an inbox of theirs"
    );
    Failure::new(Exit::Refused, says).with_hint("wait under a name of your own")
}
