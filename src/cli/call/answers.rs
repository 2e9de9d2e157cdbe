//! The answers to one message, as files in its sender's inbox.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use postroom::bus::disk::Disk;
use postroom::bus::layout;
use postroom::message::{AgentId, Code, Envelope, Given, Message, Recipient};
use serde::Deserialize;

use crate::cli::{Failure, letter};

/// An answer is not larger than a message may be at most.
const ANSWER_MAX: u64 = 1 << 30;

/// The answers that came, by their path. (Not by who gave them: the service may refuse several of the deliveries.)
pub struct Answers<'a> {
    disk: &'a Disk,
    asked: &'a Message,
    inbox: PathBuf,
    /// Where the one answer comes to, or the refusal of the whole message.
    expected: PathBuf,
    /// What lay there before the message was dropped: answers to an earlier message with the same id.
    before: BTreeMap<PathBuf, Identity>,
    /// Do they count?
    earlier: Earlier,
    came: BTreeMap<PathBuf, Message>,
}

/// What an answer to an earlier message with the same id is to us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Earlier {
    /// That one may have said something else.
    Ignored,
    /// That one was the same, and nobody answers it twice.
    Taken,
}

/// What is needed of the payload of an `mcp.response`.
#[derive(Deserialize)]
struct Response {
    success: bool,
}

/// A file, told from a later one of the same name.
type Identity = (u64, i64, u64);

impl<'a> Answers<'a> {
    /// To be called before the message is dropped.
    pub fn to(asked: &'a Message, disk: &'a Disk) -> Result<Answers<'a>, Failure> {
        let inbox = layout::inbox(asked.sender().as_str());
        let expected = inbox.join(layout::reply_name(asked.id().as_str(), None, 1));
        let (before, earlier, came) = (BTreeMap::new(), Earlier::Ignored, BTreeMap::new());
        let mut answers = Answers { disk, asked, inbox, expected, before, earlier, came };
        for path in answers.paths()? {
            if let Some(identity) = answers.identity(&path)? {
                answers.before.insert(path, identity);
            }
        }
        Ok(answers)
    }

    /// The message is a duplicate: what answers the first one answers it.
    pub fn accept_earlier(&mut self) {
        self.earlier = Earlier::Taken;
    }

    /// Takes in the answers that are there now.
    pub fn look(&mut self) -> Result<(), Failure> {
        for path in self.paths()? {
            let is_earlier =
                self.before.contains_key(&path) && self.before.get(&path) == self.identity(&path)?.as_ref();
            match (is_earlier, self.earlier) {
                (true, Earlier::Ignored) => {}
                // That was about a message that said something else.
                (true, Earlier::Taken) => self.take(&path, |reply| !is_conflict(reply))?,
                (false, _) => self.take(&path, |_| true)?,
            }
        }
        // A conflict is about this message; what else came answers the first one of its id.
        if self.came.values().any(is_conflict) {
            self.came.retain(|_, reply| is_conflict(reply));
        }
        Ok(())
    }

    pub fn came(&self) -> &BTreeMap<PathBuf, Message> {
        &self.came
    }

    /// Who has not answered, and for whom nobody has.
    pub fn missing(&self) -> Vec<String> {
        let speakers: BTreeSet<String> = self.came.iter().map(|(path, reply)| self.speaks_for(path, reply)).collect();
        letter::words(self.asked.recipient()).into_iter().filter(|name| !speakers.contains(name)).collect()
    }

    /// Whose answer it is. For a recipient to whom a delivery was refused the service answers, under that one's name.
    pub fn speaks_for(&self, path: &Path, reply: &Message) -> String {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let is_under = |name: &String| {
            let stem = layout::reply_stem(self.asked.id().as_str(), Some(name));
            file.strip_prefix(&stem).is_some_and(|rest| rest.starts_with(['.', '~']))
        };
        let names = match self.asked.recipient() {
            Recipient::Many(_) if reply.sender().is_postroom() => letter::words(self.asked.recipient()),
            Recipient::Many(_) | Recipient::One(_) | Recipient::All => Vec::new(),
        };
        names.into_iter().find(is_under).unwrap_or_else(|| reply.sender().to_string())
    }

    /// How many there will be; of `*` as many as are wanted.
    pub fn awaited(&self, of_everybody: usize) -> usize {
        match self.asked.recipient() {
            Recipient::One(_) => 1,
            Recipient::Many(many) => many.len(),
            Recipient::All => of_everybody,
        }
    }

    pub fn are_complete(&self, of_everybody: usize) -> bool {
        self.came.len() >= self.awaited(of_everybody)
            || self.came.get(&self.expected).is_some_and(|reply| self.is_error(reply))
            || self.came.values().any(is_conflict)
    }

    /// Does this answer say that it was not done? Of a call in the older envelope the payload says it, not an `error`.
    pub fn is_error(&self, reply: &Message) -> bool {
        let is_response =
            self.asked.action().as_str() == Envelope::EXECUTE && reply.action().as_str() == Envelope::RESPONSE;
        let fails = |payload: &str| serde_json::from_str::<Response>(payload).is_ok_and(|it| !it.success);
        reply.error().is_some() || (is_response && fails(reply.payload_text()))
    }

    /// The files that are there and can be answers by their names.
    fn paths(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut paths = Vec::new();
        self.add_numbered(None, &mut paths)?;
        self.add_numbered(Some(AgentId::POSTROOM), &mut paths)?;
        match self.asked.recipient() {
            // The names are known, and an inbox may have many files.
            Recipient::One(_) => {}
            Recipient::Many(_) | Recipient::All => self.add_all(&mut paths)?,
        }
        Ok(paths)
    }

    /// The first name may be another's file; ours has a number then. From `responder`, or from the one who was asked.
    fn add_numbered(&self, responder: Option<&str>, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
        for number in 1.. {
            let path = self.inbox.join(layout::reply_name(self.asked.id().as_str(), responder, number));
            match self.disk.stat(&path)? {
                Some(_) => paths.push(path),
                // The first may have been taken while the second waits.
                None if number == 1 => {}
                None => break,
            }
        }
        Ok(())
    }

    fn add_all(&self, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
        let start = format!("{}~", self.asked.id());
        self.disk.for_each(&self.inbox, |name, _| {
            let name = name.to_str().filter(|name| name.starts_with(&start));
            let is_reply = |name: &&str| name.contains(".reply") && name.ends_with(".json");
            paths.extend(name.filter(is_reply).map(|name| self.inbox.join(name)));
        })?;
        Ok(())
    }

    /// Takes this file in if it is an answer, and a wanted one. What is not there, does not parse or answers another is left alone.
    fn take(&mut self, path: &Path, is_wanted: impl Fn(&Message) -> bool) -> Result<(), Failure> {
        let Some(text) = self.disk.read(path, ANSWER_MAX)? else { return Ok(()) };
        let Ok(reply) = Message::parse(text, Given { file_identity: (0, 0), now_ms: 0 }) else { return Ok(()) };
        if reply.in_reply_to() == Some(self.asked.id()) && is_wanted(&reply) {
            self.came.insert(path.to_owned(), reply);
        }
        Ok(())
    }

    fn identity(&self, path: &Path) -> Result<Option<Identity>, Failure> {
        Ok(self.disk.stat(path)?.map(|stat| (stat.st_ino, stat.st_mtime, stat.st_mtime_nsec)))
    }
}

/// The refusal of a message whose id was used for another: it has a name of its own, since the first one's answer may still come.
fn is_conflict(reply: &Message) -> bool {
    reply.sender().as_str() == AgentId::POSTROOM
        && reply.error().is_some_and(|error| error.code == Code::IdConflict.as_str())
}
