//! `postroom call`: drops a message and waits for its answers.

mod answers;
mod earlier;

use std::time::{Duration, Instant};

use postroom::bus::disk::Disk;
use postroom::bus::layout;
use postroom::bus::view::View;
use postroom::message::{ErrorBody, Message, MessageId, Recipient};

use super::letter::Letter;
use super::print::Format;
use super::wait::{Watch, deadline, is_over};
use super::workspace::{is_unattended, sync};
use super::{Exit, Failure, Global, dead_letter, drop, print, text, units};
use answers::Answers;
use earlier::Follower;

/// After this time without an answer we look whether anybody is at work.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the journal is asked whether the message was sent before.
const JOURNAL_LOOK: Duration = Duration::from_millis(250);

/// Send a message, wait for the reply, and print its payload
///
/// With several recipients it waits for the reply of each. The reply's file is removed when its payload has been printed.
/// An error reply is printed on standard error; the exit code is 5, as it is for an mcp.response without success.
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

/// How the waiting ended.
enum End {
    Complete,
    TimeOver,
    /// It is a duplicate, and the first one's answers were given long ago.
    AnsweredBefore,
    /// It was sent to everybody, and there is nobody.
    Nobody,
}

/// What the journal has said of the message.
enum Told {
    /// It is a duplicate; so many answers were given to the first one.
    SentBefore(usize),
    /// It was sent to everybody, which are so many.
    Reaches(usize),
}

impl Call {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let workspace = global.workspace()?;
        let settings = workspace.settings()?;
        let asked = drop::check(self.letter.write()?, &workspace, &settings)?;
        let (disk, view) = (workspace.disk()?, workspace.view()?);
        let inbox = layout::inbox(asked.sender().as_str());
        disk.make_folder(&inbox)?;
        let watch = Watch::on(&[&workspace.bus.join(&inbox)]);
        let mut answers = Answers::to(&asked, &disk)?;
        let mut journal = Follower::new(&view, &asked)?;
        let dropped = drop::drop(&disk, &asked, sync(&settings))?;
        let end = self.wait(&watch, &view, &mut answers, || {
            if journal.sees_duplicate(&dropped)? {
                return earlier::answers_given(&view, &asked, settings.bus.dedup_days).map(Told::SentBefore).map(Some);
            }
            Ok(journal.take_everybody().map(Told::Reaches))
        })?;
        let hint = |error: &ErrorBody| dead_letter::hint(&view, &asked, &dropped, error);
        let exit = self.show(global.format(), &disk, &asked, &answers, &hint)?;
        let id = asked.id();
        let says = match end {
            End::Complete => return Ok(exit),
            End::AnsweredBefore => return Err(answered_before(id)),
            End::Nobody => return Err(reaches_nobody()),
            End::TimeOver => {
                let missing = answers.missing().join(", ");
                format!("no reply to {id} from {} within {}", text::sentence(&missing), span(self.timeout))
            }
        };
        let hint = format!("what became of it: `postroom trace {id}`; whether the service is well: `postroom doctor`");
        Err(Failure::new(Exit::Timeout, says).with_hint(hint))
    }

    /// `news`: what the journal has said since it was asked last.
    fn wait(
        &self,
        watch: &Watch,
        view: &View,
        answers: &mut Answers,
        mut news: impl FnMut() -> Result<Option<Told>, Failure>,
    ) -> Result<End, Failure> {
        let until = deadline(Some(self.timeout));
        let mut look_for_service = deadline(Some(PATIENCE));
        let mut ask_journal = deadline(Some(JOURNAL_LOOK));
        let mut wanted = self.replies as usize;
        loop {
            answers.look()?;
            if answers.are_complete(wanted) {
                return Ok(End::Complete);
            }
            if is_over(ask_journal) {
                ask_journal = deadline(Some(JOURNAL_LOOK));
                match news()? {
                    None => {}
                    Some(Told::Reaches(0)) => return Ok(End::Nobody),
                    Some(Told::Reaches(recipients)) => {
                        say_how_many(recipients);
                        wanted = wanted.min(recipients);
                        continue;
                    }
                    Some(Told::SentBefore(given)) => {
                        // What the first one is answered from now on answers ours, too; what it was answered may lie there.
                        ask_journal = None;
                        answers.accept_earlier();
                        answers.look()?;
                        match answers.are_complete(wanted) {
                            true => return Ok(End::Complete),
                            false if given >= answers.awaited(wanted) => return Ok(End::AnsweredBefore),
                            false => {
                                print::note("this very message was sent before; waiting for the answer to the first");
                            }
                        }
                    }
                }
            }
            if is_over(look_for_service) {
                look_for_service = None;
                say_if_unattended(view)?;
            }
            if is_over(until) {
                return Ok(End::TimeOver);
            }
            watch.next(sooner(until, sooner(look_for_service, ask_journal)));
        }
    }

    fn show(
        &self,
        format: Format,
        disk: &Disk,
        asked: &Message,
        answers: &Answers,
        hint: &dyn Fn(&ErrorBody) -> Option<String>,
    ) -> Result<Exit, Failure> {
        let mut exit = Exit::Ok;
        let names_them = !matches!(asked.recipient(), Recipient::One(_));
        for (path, reply) in answers.came() {
            if answers.is_error(reply) {
                exit = Exit::Refused;
            }
            match format {
                Format::Json => print::stranger_json(reply.text().as_str())?,
                Format::Text => {
                    let name = names_them.then(|| answers.speaks_for(path, reply));
                    show_text(reply, name.as_deref(), hint)?;
                }
            }
            if !self.keep {
                disk.remove_file(path)?;
            }
        }
        Ok(exit)
    }
}

fn show_text(
    reply: &Message,
    responder: Option<&str>,
    hint: &dyn Fn(&ErrorBody) -> Option<String>,
) -> Result<(), Failure> {
    let who = responder.map(|name| format!("{}: ", text::field(name))).unwrap_or_default();
    match reply.error() {
        None => print::text(&format!("{who}{}\n", text::json(reply.payload_text()))),
        Some(error) => {
            let says = format!("{who}{}: {}", text::field(&error.code), text::sentence(&error.message));
            let failure = Failure::new(Exit::Refused, says);
            match hint(error) {
                Some(hint) => failure.with_hint(text::sentence(&hint)).report(),
                None => failure.report(),
            }
            if let Some(details) = reply.error_details_text() {
                print::note(&format!(" details: {}", text::json(details)));
            }
            Ok(())
        }
    }
}

fn answered_before(id: &MessageId) -> Failure {
    let says = format!("{id} was sent before with the same content and has been answered: it is not done again");
    let hint = format!("give another message another --id; what became of this one: `postroom trace {id}`");
    Failure::new(Exit::Refused, says).with_hint(hint)
}

fn say_if_unattended(view: &View) -> Result<(), Failure> {
    if is_unattended(view)? {
        let bus = text::path(view.path());
        print::note(&format!("no service is active on {bus}; the message waits there (start one: `postroom serve`)"));
    }
    Ok(())
}

/// Of a message to everybody.
fn say_how_many(recipients: usize) {
    let count = units::count(recipients, "recipient", "recipients");
    print::note(&format!("'*' reaches {count}; waiting for the replies"));
}

fn reaches_nobody() -> Failure {
    let says =
        "'*' reaches nobody: no other agent is registered, or they are away, and no extension declares the action";
    let hint = "see `postroom agents`; an agent with nothing but an inbox is reached by its name";
    Failure::new(Exit::NotFound, says).with_hint(hint)
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
