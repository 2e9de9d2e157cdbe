//! Which file names are free in the inboxes. A name is chosen before the commit and stands in the record; so every message that is answered asks.
//!
//! To ask the file system for each would cost more than anything else in the line: the folder is locked by whoever publishes into it. So an
//! inbox is listed once, and what is put there is remembered. Agents take files away without telling, so a name that is known here is looked
//! at; one that is not known is free, but for what others have put there since.
//!
//! Absent on purpose: those others. Nothing is replaced when a message is published; a name that is taken by then makes it the next number.
//!
//! Invariant: no two decisions have one name.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use crate::bus::record::Target;
use crate::bus::{BusError, Disk, layout, lease};

/// More names than this in all are forgotten, and inboxes listed again: some ten megabytes.
const NAMES_MAX: usize = 500_000;

/// So many numbers are looked at before those that were used last are passed: agents delete what they have handled, and the first ones are
/// free again.
const FEW: u32 = 4;

#[derive(Debug, Default)]
pub struct InboxNames {
    /// Of every inbox that was asked for.
    known: HashMap<String, Inbox>,
    /// How much is in them.
    names: usize,
    /// Chosen and not yet published.
    chosen: HashSet<(String, String)>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Inbox {
    /// Hashes of names that are or were there. One that two names have makes a look at the disk more.
    names: HashSet<u64>,
    /// By the hash of a stem, the last number that was chosen, where the first [`FEW`] were taken. Without it, of many messages with one id
    /// each would look at the names of all before.
    last: HashMap<u64, u32>,
}

impl Inbox {
    fn len(&self) -> usize {
        self.names.len() + self.last.len()
    }
}

impl InboxNames {
    /// Gives an effect a number whose name is free: one of the first few, or one after all that were given. It is taken from now on.
    pub fn choose(&mut self, disk: &Disk, mut target: Target) -> Result<Target, BusError> {
        let mut first = target.clone();
        loop {
            let (Target::Inbox { agent, stem, number }, Some(next)) = (&target, target.next_number(&first)) else {
                return Ok(target);
            };
            let name = (agent.clone(), target.file_name());
            if !self.chosen.contains(&name) && !self.is_taken(disk, &name.0, &name.1, &target)? {
                self.remember(agent, stem, *number, &name.1);
                self.chosen.insert(name);
                return Ok(target);
            }
            target = match self.last(agent, stem) {
                Some(last) if *number == FEW => {
                    first = Target::Inbox { agent: agent.clone(), stem: stem.clone(), number: last.max(FEW) };
                    first.next_number(&first).unwrap_or(next)
                }
                Some(_) | None => next,
            };
        }
    }

    /// It was chosen by an earlier service, and is not there yet.
    pub fn reserve(&mut self, target: &Target) {
        if let Target::Inbox { agent, .. } = target {
            self.chosen.insert((agent.clone(), target.file_name()));
        }
    }

    /// It is there now for everybody to see.
    pub fn published(&mut self, target: &Target) {
        if let Target::Inbox { agent, .. } = target {
            self.chosen.remove(&(agent.clone(), target.file_name()));
        }
    }

    fn is_taken(&mut self, disk: &Disk, agent: &str, name: &str, target: &Target) -> Result<bool, BusError> {
        if !self.known.contains_key(agent) {
            self.list(disk, agent)?;
        }
        let is_known = self.known.get(agent).is_some_and(|inbox| inbox.names.contains(&self.hasher.hash_one(name)));
        Ok(is_known && disk.stat(&target.path("".as_ref()))?.is_some())
    }

    fn last(&self, agent: &str, stem: &str) -> Option<u32> {
        self.known.get(agent)?.last.get(&self.hasher.hash_one(stem)).copied()
    }

    /// An inbox that is not there has no files.
    fn list(&mut self, disk: &Disk, agent: &str) -> Result<(), BusError> {
        if self.names > NAMES_MAX {
            self.known.clear();
            self.names = 0;
        }
        let (mut inbox, hasher) = (Inbox::default(), &self.hasher);
        disk.for_each(&layout::inbox(agent), |name, _| {
            // A lease that is given back has its name again.
            let names_of = name.to_str().into_iter().chain(lease::parse(name).map(|(plain, _)| plain));
            inbox.names.extend(names_of.map(|name| hasher.hash_one(name)));
        })?;
        self.names += inbox.len();
        self.known.insert(agent.to_owned(), inbox);
        Ok(())
    }

    fn remember(&mut self, agent: &str, stem: &str, number: u32, name: &str) {
        if let Some(inbox) = self.known.get_mut(agent) {
            let before = inbox.len();
            inbox.names.insert(self.hasher.hash_one(name));
            if number > FEW {
                inbox.last.insert(self.hasher.hash_one(stem), number);
            }
            self.names += inbox.len() - before;
        }
        if self.names > NAMES_MAX {
            self.known.remove(agent);
            self.names = self.known.values().map(Inbox::len).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus() -> (tempfile::TempDir, Disk) {
        let top = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(top.path().join("inbox/a")).expect("made");
        let disk = Disk::open(top.path()).expect("opened");
        (top, disk)
    }

    fn chosen(names: &mut InboxNames, disk: &Disk, agent: &str, stem: &str) -> (Target, String) {
        let target = Target::Inbox { agent: agent.into(), stem: stem.into(), number: 1 };
        let target = names.choose(disk, target).expect("looked");
        let name = target.file_name();
        (target, name)
    }

    #[test]
    fn what_is_there_and_what_is_chosen_is_taken() {
        let (top, disk) = bus();
        std::fs::write(top.path().join("inbox/a/x.json"), "").expect("written");
        let mut names = InboxNames::default();
        let (second, name) = chosen(&mut names, &disk, "a", "x");
        assert_eq!(name, "x~2.json");
        assert_eq!(chosen(&mut names, &disk, "a", "x").1, "x~3.json");
        // Published and taken away by the agent: free again.
        names.published(&second);
        assert_eq!(chosen(&mut names, &disk, "a", "x").1, "x~2.json");
        std::fs::remove_file(top.path().join("inbox/a/x.json")).expect("removed");
        assert_eq!(chosen(&mut names, &disk, "a", "x").1, "x.json");
        assert_eq!(chosen(&mut names, &disk, "nobody", "x").1, "x.json");
    }

    #[test]
    fn of_many_messages_with_one_id_none_looks_at_the_names_of_all_before() {
        let (top, disk) = bus();
        let mut names = InboxNames::default();
        for number in 1..=20 {
            let (target, name) = chosen(&mut names, &disk, "a", "x");
            assert_eq!(name, layout::delivery_name("x", number));
            std::fs::write(top.path().join("inbox/a").join(name), "").expect("written");
            names.published(&target);
        }
        // What an agent takes away in the middle is not looked for, what it takes away at the beginning is.
        for number in [3, 10] {
            std::fs::remove_file(top.path().join("inbox/a").join(layout::delivery_name("x", number))).expect("removed");
        }
        let mut next = || chosen(&mut names, &disk, "a", "x").1;
        assert_eq!([next(), next(), next()], ["x~3.json", "x~21.json", "x~22.json"]);
    }

    #[test]
    fn among_many_names_that_were_there_before_a_free_one_is_found_soon() {
        let (top, disk) = bus();
        for number in 1..=1000 {
            let name = layout::delivery_name("x", number);
            std::fs::write(top.path().join("inbox/a").join(name), "").expect("written");
        }
        let first = Target::Inbox { agent: "a".into(), stem: "x".into(), number: 1 };
        let (mut free, mut looks) = (first.clone(), 0);
        while disk.stat(&free.path("".as_ref())).expect("looked").is_some() {
            free = free.next_number(&first).expect("a number");
            looks += 1;
        }
        assert!(looks < 60, "{looks}");
        assert_eq!(chosen(&mut InboxNames::default(), &disk, "a", "x").1, free.file_name());
    }

    #[test]
    fn what_was_published_and_is_still_there_is_taken() {
        let (top, disk) = bus();
        let mut names = InboxNames::default();
        let (first, name) = chosen(&mut names, &disk, "a", "x");
        std::fs::write(top.path().join("inbox/a").join(name), "").expect("written");
        names.published(&first);
        assert_eq!(chosen(&mut names, &disk, "a", "x").1, "x~2.json");
    }

    #[test]
    fn what_is_leased_when_the_inbox_is_listed_may_come_back() {
        let (top, disk) = bus();
        let inbox = top.path().join("inbox/a");
        let leased = inbox.join(".x.json~0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11.leased");
        std::fs::write(&leased, "").expect("written");
        let mut names = InboxNames::default();
        assert_eq!(chosen(&mut names, &disk, "a", "y").1, "y.json");
        std::fs::rename(leased, inbox.join("x.json")).expect("given back");
        assert_eq!(chosen(&mut names, &disk, "a", "x").1, "x~2.json");
    }

    #[test]
    fn too_many_names_are_forgotten_and_an_inbox_is_listed_again() {
        let (top, disk) = bus();
        let mut names = InboxNames::default();
        let (first, name) = chosen(&mut names, &disk, "a", "x");
        names.names = NAMES_MAX;
        std::fs::write(top.path().join("inbox/a").join(name), "").expect("written");
        names.published(&first);
        assert_eq!(chosen(&mut names, &disk, "a", "y").1, "y.json");
        assert_eq!((names.known.len(), names.names), (0, 0));
        assert_eq!(chosen(&mut names, &disk, "a", "x").1, "x~2.json");
        assert_eq!(names.names, 2, "what is there, and what was chosen");
    }
}
