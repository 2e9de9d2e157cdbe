//! `postroom call`: drops a message and waits for its answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use postroom::bus::disk::Disk;
use postroom::bus::layout;
use postroom::bus::view::View;
use postroom::message::{Given, Message, Recipient};

use super::letter::Letter;
use super::print::Format;
use super::wait::{Watch, deadline, is_over};
use super::workspace::is_unattended;
use super::{Exit, Failure, Global, drop, print, text, units};

/// After this time without an answer we look whether anybody is at work.
const PATIENCE: Duration = Duration::from_secs(1);
/// An answer is not larger than a message may be at most.
const ANSWER_MAX: u64 = 1 << 30;

/// Send a message, wait for the reply, and print its payload
///
/// With several recipients it waits for the reply of each. The reply's file is removed when its payload has been printed.
/// An error reply is printed on standard error; the exit code is 5.
#[derive(Debug, clap::Args)]
pub struct Call {
    #[command(flatten)]
    letter: Letter,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::duration)]
    timeout: Duration,
    /// With '*', how many replies to wait for
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    replies: u32,
    /// Leave the reply in the inbox
    #[arg(long)]
    keep: bool,
}

/// The answers that came, by their path. (Not by who gave them: the service may refuse several of the deliveries.)
struct Answers<'a> {
    disk: &'a Disk,
    asked: &'a Message,
    inbox: PathBuf,
    /// Where the one answer comes to, or the refusal of the whole message.
    expected: PathBuf,
    came: BTreeMap<PathBuf, Message>,
}

impl Call {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let workspace = global.workspace()?;
        let asked = drop::check(self.letter.write()?, &workspace)?;
        let (disk, view) = (workspace.disk()?, workspace.view()?);
        let inbox = layout::inbox(asked.sender().as_str());
        disk.make_folder(&inbox)?;
        let watch = Watch::on(&[&workspace.bus.join(&inbox)]);
        drop::drop(&disk, &asked, workspace.sync())?;
        let expected = inbox.join(layout::reply_name(asked.id().as_str(), None, 1));
        let mut answers = Answers { disk: &disk, asked: &asked, inbox, expected, came: BTreeMap::new() };
        let complete = self.wait(&watch, &view, &mut answers)?;
        let exit = self.show(global.format(), &answers)?;
        if complete {
            return Ok(exit);
        }
        let missing = answers.missing().join(", ");
        Err(Failure::new(
            Exit::Timeout,
            format!("no reply to {} from {} within {}", asked.id(), text::sentence(&missing), span(self.timeout)),
        )
        .with_hint(format!("what became of it: `postroom trace {}`", asked.id())))
    }

    /// `false`: the time is over.
    fn wait(&self, watch: &Watch, view: &View, answers: &mut Answers) -> Result<bool, Failure> {
        let until = deadline(Some(self.timeout));
        let mut look_for_service = deadline(Some(PATIENCE));
        loop {
            answers.look()?;
            if answers.are_complete(self.replies as usize) {
                return Ok(true);
            }
            if is_over(look_for_service) {
                look_for_service = None;
                say_if_unattended(view)?;
            }
            if is_over(until) {
                return Ok(false);
            }
            watch.next(sooner(until, look_for_service));
        }
    }

    fn show(&self, format: Format, answers: &Answers) -> Result<Exit, Failure> {
        let mut exit = Exit::Ok;
        let names_them = !matches!(answers.asked.recipient(), Recipient::One(_));
        for (path, reply) in &answers.came {
            if reply.error().is_some() {
                exit = Exit::Refused;
            }
            match format {
                Format::Json => print::stranger_json(reply.text().as_str())?,
                Format::Text => show_text(reply, names_them.then_some(reply.sender().as_str()))?,
            }
            if !self.keep {
                answers.disk.remove_file(path)?;
            }
        }
        Ok(exit)
    }
}

fn show_text(reply: &Message, responder: Option<&str>) -> Result<(), Failure> {
    let who = responder.map(|name| format!("{}: ", text::field(name))).unwrap_or_default();
    match reply.error() {
        None => print::text(&format!("{who}{}\n", text::json(reply.payload_text()))),
        Some(error) => {
            let says = format!("{who}{}: {}", text::field(&error.code), text::sentence(&error.message));
            Failure::new(Exit::Refused, says).report();
            if let Some(details) = reply.error_details_text() {
                print::note(&format!(" details: {}", text::json(details)));
            }
            Ok(())
        }
    }
}

impl Answers<'_> {
    /// Takes in the answers that are there now.
    fn look(&mut self) -> Result<(), Failure> {
        self.take(&self.expected.clone())?;
        match self.asked.recipient() {
            // The name is known, and an inbox may have many files.
            Recipient::One(_) => self.look_at_numbered(),
            Recipient::Many(_) | Recipient::All => self.look_at_all(),
        }
    }

    /// `<id>.reply.json` may be another's file; ours has a number then.
    fn look_at_numbered(&mut self) -> Result<(), Failure> {
        for number in 2.. {
            let path = self.inbox.join(layout::reply_name(self.asked.id().as_str(), None, number));
            if self.disk.stat(&path)?.is_none() {
                return Ok(());
            }
            self.take(&path)?;
        }
        Ok(())
    }

    fn look_at_all(&mut self) -> Result<(), Failure> {
        let start = format!("{}~", self.asked.id());
        let mut names = Vec::new();
        self.disk.for_each(&self.inbox, |name, _| {
            names.extend(name.to_str().filter(|name| name.starts_with(&start)).map(str::to_owned));
        })?;
        for name in names.iter().filter(|name| name.contains(".reply") && name.ends_with(".json")) {
            self.take(&self.inbox.join(name))?;
        }
        Ok(())
    }

    /// Takes this file in if it is an answer. What is not there, does not parse or answers another is left alone.
    fn take(&mut self, path: &Path) -> Result<(), Failure> {
        let Some(text) = self.disk.read(path, ANSWER_MAX)? else { return Ok(()) };
        let Ok(reply) = Message::parse(text, Given { file_identity: (0, 0), now_ms: 0 }) else { return Ok(()) };
        if reply.in_reply_to() == Some(self.asked.id()) {
            self.came.insert(path.to_owned(), reply);
        }
        Ok(())
    }

    /// Who has not answered.
    fn missing(&self) -> Vec<String> {
        let named = super::letter::words(self.asked.recipient());
        let answered = |name: &String| self.came.values().any(|reply| reply.sender().as_str() == name);
        named.into_iter().filter(|name| !answered(name)).collect()
    }

    fn are_complete(&self, of_everybody: usize) -> bool {
        let awaited = match self.asked.recipient() {
            Recipient::One(_) => 1,
            Recipient::Many(many) => many.len(),
            Recipient::All => of_everybody,
        };
        self.came.len() >= awaited || self.came.get(&self.expected).is_some_and(|reply| reply.error().is_some())
    }
}

fn say_if_unattended(view: &View) -> Result<(), Failure> {
    if is_unattended(view)? {
        let bus = text::path(view.path());
        print::note(&format!("no service is active on {bus}; the message waits there (start one: `postroom serve`)"));
    }
    Ok(())
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn span(time: Duration) -> String {
    units::span(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
