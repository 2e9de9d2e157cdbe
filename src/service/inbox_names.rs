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

#[derive(Debug, Default)]
pub struct InboxNames {
    /// Of every inbox that was asked for: hashes of names that are or were there. One that two names have makes a look at the disk more.
    known: HashMap<String, HashSet<u64>>,
    names: usize,
    /// Chosen and not yet published.
    chosen: HashSet<(String, String)>,
    hasher: RandomState,
}

impl InboxNames {
    /// Gives an effect the first number whose name is free. It is taken from now on.
    pub fn choose(&mut self, disk: &Disk, mut target: Target) -> Result<Target, BusError> {
        loop {
            let (Target::Inbox { agent, .. }, Some(next)) = (&target, target.next_number()) else { return Ok(target) };
            let name = (agent.clone(), target.file_name());
            if !self.chosen.contains(&name) && !self.is_taken(disk, &name.0, &name.1, &target)? {
                self.remember(&name.0, &name.1);
                self.chosen.insert(name);
                return Ok(target);
            }
            target = next;
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
        let is_known = self.known.get(agent).is_some_and(|names| names.contains(&self.hasher.hash_one(name)));
        Ok(is_known && disk.stat(&target.path("".as_ref()))?.is_some())
    }

    /// An inbox that is not there has no files.
    fn list(&mut self, disk: &Disk, agent: &str) -> Result<(), BusError> {
        if self.names > NAMES_MAX {
            self.known.clear();
            self.names = 0;
        }
        let (mut names, hasher) = (HashSet::new(), &self.hasher);
        disk.for_each(&layout::inbox(agent), |name, _| {
            // A lease that is given back has its name again.
            let names_of = name.to_str().into_iter().chain(lease::parse(name).map(|(plain, _)| plain));
            names.extend(names_of.map(|name| hasher.hash_one(name)));
        })?;
        self.names += names.len();
        self.known.insert(agent.to_owned(), names);
        Ok(())
    }

    fn remember(&mut self, agent: &str, name: &str) {
        let hash = self.hasher.hash_one(name);
        if self.known.get_mut(agent).is_some_and(|names| names.insert(hash)) {
            self.names += 1;
        }
        if self.names > NAMES_MAX {
            self.known.remove(agent);
            self.names = self.known.values().map(HashSet::len).sum();
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
