//! How full the inboxes are, and the leases in them; and what nobody takes out of that of the command line.
//!
//! Agents delete what they have handled without telling, so a count is an upper bound; at a limit it is counted anew.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::clock::Now;
use super::untaken::Untaken;
use crate::bus::disk::EntryKind;
use crate::bus::{BusError, Disk, layout, lease};
use crate::message::AgentId;

/// How long a consumer may keep a leased message without renewing.
pub const LEASE: Duration = Duration::from_secs(60);
/// An inbox is counted anew at most this often.
const RECOUNT: Duration = Duration::from_secs(1);
/// All inboxes together are counted anew at most this often.
const RECOUNT_ALL: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct Inboxes {
    counts: HashMap<String, Count>,
    /// The sum of all counts.
    total: u64,
    /// When all inboxes were counted last; never, where the bus has no limit.
    counted_all: Option<Instant>,
    /// How many inboxes there are; counted when it is first asked.
    folders: Option<u64>,
    /// The inbox of the command line.
    pub answers: Untaken,
    /// Leases by path: change time of the file, and when it was first seen so.
    leases: HashMap<PathBuf, (i128, Instant)>,
}

/// How many files are decided for each inbox that are perhaps not there yet.
#[derive(Debug, Default)]
pub struct Coming(HashMap<String, u64>);

impl Coming {
    pub fn add(&mut self, agent: &str) {
        *self.0.entry(agent.to_owned()).or_default() += 1;
    }

    fn of(&self, agent: &str) -> u64 {
        self.0.get(agent).copied().unwrap_or(0)
    }
}

#[derive(Debug)]
struct Count {
    at_most: u64,
    counted: Instant,
}

impl Inboxes {
    /// How many files this inbox has, exact above `limit` (0 = none), otherwise an upper bound. `coming`: how many are
    /// decided that are not there yet.
    pub fn count(
        &mut self,
        disk: &Disk,
        agent: &AgentId,
        limit: u64,
        coming: &Coming,
        now: Now,
    ) -> Result<u64, BusError> {
        if !self.counts_anew(agent, limit, now)
            && let Some(count) = self.counts.get(agent.as_str())
        {
            return Ok(count.at_most);
        }
        let mut files = coming.of(agent.as_str());
        disk.for_each(&layout::inbox(agent.as_str()), |_, _| files += 1)?;
        let before = self.counts.insert(agent.to_string(), Count { at_most: files, counted: now.mono });
        self.total = self.total + files - before.map_or(0, |count| count.at_most);
        Ok(files)
    }

    /// Will [`Inboxes::count`] look into the folder?
    pub fn counts_anew(&self, agent: &AgentId, limit: u64, now: Now) -> bool {
        self.counts.get(agent.as_str()).is_none_or(|count| {
            let over = limit != 0 && count.at_most >= limit;
            over && now.mono.saturating_duration_since(count.counted) >= RECOUNT
        })
    }

    /// One more file was put there.
    pub fn delivered(&mut self, agent: &str) {
        if let Some(count) = self.counts.get_mut(agent) {
            count.at_most += 1;
            self.total += 1;
        }
    }

    /// How many inboxes there are.
    pub fn folders(&mut self, disk: &Disk) -> Result<u64, BusError> {
        if let Some(folders) = self.folders {
            return Ok(folders);
        }
        let mut folders = 0;
        disk.for_each(Path::new(layout::INBOX), |_, kind| {
            folders += u64::from(matches!(kind, EntryKind::Folder | EntryKind::Unknown));
        })?;
        self.folders = Some(folders);
        Ok(folders)
    }

    /// Will [`Inboxes::folders`] look?
    pub fn lists_folders(&self) -> bool {
        self.folders.is_none()
    }

    /// One more inbox will be there.
    pub fn folder_made(&mut self) {
        self.folders = self.folders.map(|folders| folders + 1);
    }

    /// The number of inboxes may have changed.
    pub fn forget_folders(&mut self) {
        self.folders = None;
    }

    /// Everything in all inboxes: exact above `limit` (0 = none), otherwise an upper bound. Agents delete without telling, so
    /// a sum that is over the limit is counted anew, at most once in [`RECOUNT_ALL`]. `coming`: as for [`Inboxes::count`].
    pub fn total(&mut self, disk: &Disk, limit: u64, coming: &Coming, now: Now) -> Result<u64, BusError> {
        if self.sums_anew(limit, now) {
            let mut agents: HashSet<String> = coming.0.keys().cloned().collect();
            disk.for_each(Path::new(layout::INBOX), |name, kind| {
                if matches!(kind, EntryKind::Folder | EntryKind::Unknown) {
                    agents.extend(name.to_str().map(str::to_owned));
                }
            })?;
            self.counts.retain(|agent, _| agents.contains(agent));
            for agent in agents {
                let mut files = coming.of(&agent);
                // One that cannot be listed keeps its count.
                if disk.for_each(&layout::inbox(&agent), |_, _| files += 1).is_ok() {
                    self.counts.insert(agent, Count { at_most: files, counted: now.mono });
                }
            }
            self.counted_all = Some(now.mono);
            self.total = self.counts.values().map(|count| count.at_most).sum();
        }
        Ok(self.total)
    }

    /// Will [`Inboxes::total`] look into the folders?
    pub fn sums_anew(&self, limit: u64, now: Now) -> bool {
        let is_over = || self.total >= limit;
        limit != 0
            && self.counted_all.is_none_or(|at| is_over() && now.mono.saturating_duration_since(at) >= RECOUNT_ALL)
    }

    /// Gives back every lease whose file has not been renamed for [`LEASE`] since it was first seen here: no file time is
    /// compared with a clock. What is no folder, or cannot be looked into now, is passed over: one inbox must not hold up the
    /// others.
    pub fn return_leases(&mut self, disk: &Disk, now: Now) -> Result<u64, BusError> {
        let known = std::mem::take(&mut self.leases);
        let mut returned = 0;
        for agent in disk.list(Path::new(layout::INBOX))? {
            if !matches!(agent.kind, EntryKind::Folder | EntryKind::Unknown) {
                continue;
            }
            let folder = Path::new(layout::INBOX).join(&agent.name);
            if let Ok(in_this) = self.return_leases_of(disk, &folder, &known, now) {
                returned += in_this;
            } else {
                let of_this = known.iter().filter(|(path, _)| path.starts_with(&folder));
                self.leases.extend(of_this.map(|(path, lease)| (path.clone(), *lease)));
            }
        }
        Ok(returned)
    }

    fn return_leases_of(
        &mut self,
        disk: &Disk,
        folder: &Path,
        known: &HashMap<PathBuf, (i128, Instant)>,
        now: Now,
    ) -> Result<u64, BusError> {
        let mut returned = 0;
        let mut leased: Vec<OsString> = Vec::new();
        disk.for_each(folder, |name, _| {
            if lease::parse(name).is_some() {
                leased.push(name.to_owned());
            }
        })?;
        for name in leased {
            let path = folder.join(&name);
            let Some(stat) = disk.stat(&path)? else { continue };
            let changed = i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec);
            let since = match known.get(&path) {
                Some((at, since)) if *at == changed => *since,
                _ => now.mono,
            };
            if now.mono.saturating_duration_since(since) < LEASE {
                self.leases.insert(path, (changed, since));
                continue;
            }
            if let Some((plain, _)) = lease::parse(&name) {
                returned += u64::from(lease::give_back(disk, &path, &folder.join(plain))?.is_some());
            }
        }
        Ok(returned)
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

    #[test]
    fn what_is_no_inbox_keeps_no_lease_from_being_given_back() {
        let (top, disk) = bus();
        std::fs::write(top.path().join("inbox/.gitkeep"), "").expect("written");
        std::os::unix::fs::symlink("/", top.path().join("inbox/0-link")).expect("linked");
        let leased = ".x.json~0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11.leased";
        std::fs::write(top.path().join("inbox/a").join(leased), "{}").expect("written");
        let (mut inboxes, first) = (Inboxes::default(), Now::get());
        assert_eq!(inboxes.return_leases(&disk, first).expect("looked"), 0);
        let later = Now { mono: first.mono + LEASE, ..first };
        assert_eq!(inboxes.return_leases(&disk, later).expect("looked"), 1);
        assert!(top.path().join("inbox/a/x.json").exists());
    }

    #[test]
    fn what_agents_have_deleted_does_not_fill_the_bus_for_ever() {
        let (top, disk) = bus();
        let agent = AgentId::parse("a").expect("valid");
        for name in ["1.json", "2.json"] {
            std::fs::write(top.path().join("inbox/a").join(name), "{}").expect("written");
        }
        let (mut inboxes, now) = (Inboxes::default(), Now::get());
        assert_eq!(inboxes.count(&disk, &agent, 0, &Coming::default(), now).expect("counted"), 2);
        inboxes.delivered("a");
        assert_eq!(inboxes.total(&disk, 0, &Coming::default(), now).unwrap(), 3, "an upper bound");
        assert_eq!(inboxes.total(&disk, 3, &Coming::default(), now).unwrap(), 2, "over the limit it is counted anew");
        inboxes.delivered("a");
        assert_eq!(inboxes.total(&disk, 3, &Coming::default(), now).unwrap(), 3, "but not at once again");
    }

    const LEASED: &str = "inbox/bob/.a.json~0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11.leased";

    /// A folder with one leased message in it.
    fn with_a_lease() -> (tempfile::TempDir, Disk) {
        let bus = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(bus.path().join("inbox/bob")).expect("an inbox");
        std::fs::write(bus.path().join(LEASED), "leased").expect("a lease");
        let disk = Disk::open(bus.path()).expect("the folder is there");
        (bus, disk)
    }

    /// `seconds` later by the monotonic clock, while the wall clock jumps about.
    fn later(now: Now, seconds: u64) -> Now {
        let wall_ms = if seconds.is_multiple_of(2) { 0 } else { now.wall_ms * 2 };
        Now { wall_ms, mono: now.mono + Duration::from_secs(seconds) }
    }

    #[test]
    fn a_lease_is_given_back_after_a_minute_by_the_monotonic_clock() {
        let (bus, disk) = with_a_lease();
        let (mut inboxes, now) = (Inboxes::default(), Now::get());
        // The minute begins when it is seen first, however old the file is.
        for seconds in [0, 30, 59] {
            assert_eq!(inboxes.return_leases(&disk, later(now, seconds)).unwrap(), 0);
            assert!(bus.path().join(LEASED).exists());
        }
        assert_eq!(inboxes.return_leases(&disk, later(now, 60)).unwrap(), 1);
        assert_eq!(std::fs::read_to_string(bus.path().join("inbox/bob/a.json")).unwrap(), "leased");
        assert!(!bus.path().join(LEASED).exists());
    }

    #[test]
    fn a_lease_that_is_renewed_by_renaming_begins_again() {
        let (bus, disk) = with_a_lease();
        let (mut inboxes, now) = (Inboxes::default(), Now::get());
        assert_eq!(inboxes.return_leases(&disk, now).unwrap(), 0);
        let renewed = bus.path().join(LEASED.replace("6f1e11", "6f1e12"));
        std::fs::rename(bus.path().join(LEASED), &renewed).unwrap();
        for seconds in [40, 60, 99] {
            assert_eq!(inboxes.return_leases(&disk, later(now, seconds)).unwrap(), 0);
        }
        assert_eq!(inboxes.return_leases(&disk, later(now, 100)).unwrap(), 1);
    }

    #[test]
    fn a_lease_given_back_replaces_nothing() {
        let (bus, disk) = with_a_lease();
        let (mut inboxes, now) = (Inboxes::default(), Now::get());
        std::fs::write(bus.path().join("inbox/bob/a.json"), "another's").unwrap();
        assert_eq!(inboxes.return_leases(&disk, now).unwrap(), 0);
        assert_eq!(inboxes.return_leases(&disk, later(now, 60)).unwrap(), 1);
        assert_eq!(std::fs::read_to_string(bus.path().join("inbox/bob/a.json")).unwrap(), "another's");
        assert_eq!(std::fs::read_to_string(bus.path().join("inbox/bob/a~2.json")).unwrap(), "leased");
        assert!(!bus.path().join(LEASED).exists());
    }

    #[test]
    fn what_is_no_inbox_holds_up_no_lease() {
        let (bus, disk) = with_a_lease();
        let (mut inboxes, now) = (Inboxes::default(), Now::get());
        std::fs::write(bus.path().join("inbox/alice"), "a file").unwrap();
        std::os::unix::fs::symlink("bob", bus.path().join("inbox/aaron")).unwrap();
        inboxes.return_leases(&disk, now).unwrap();
        assert_eq!(inboxes.return_leases(&disk, later(now, 60)).unwrap(), 1);
    }

    #[test]
    fn a_full_inbox_is_counted_anew_and_a_count_is_never_too_low() {
        let (bus, disk) = with_a_lease();
        let bob = AgentId::parse("bob").expect("a name");
        let (mut inboxes, now) = (Inboxes::default(), Now::get());
        assert_eq!(inboxes.count(&disk, &bob, 2, &Coming::default(), now).unwrap(), 1);
        inboxes.delivered("bob");
        // At the limit, but counted just now; then the agent has deleted one.
        assert_eq!(
            (
                inboxes.count(&disk, &bob, 2, &Coming::default(), now).unwrap(),
                inboxes.total(&disk, 0, &Coming::default(), now).unwrap()
            ),
            (2, 2)
        );
        assert_eq!(inboxes.count(&disk, &bob, 2, &Coming::default(), later(now, 1)).unwrap(), 1);
        assert_eq!(inboxes.total(&disk, 0, &Coming::default(), now).unwrap(), 1);
        std::fs::remove_dir_all(bus.path().join("inbox/bob")).unwrap();
        assert_eq!(inboxes.count(&disk, &bob, 1, &Coming::default(), later(now, 2)).unwrap(), 0);
    }

    #[test]
    fn what_is_decided_and_not_there_yet_counts_and_so_do_inboxes_that_nobody_asked_for() {
        let (bus, disk) = with_a_lease();
        let bob = AgentId::parse("bob").expect("a name");
        std::fs::create_dir(bus.path().join("inbox/carol")).unwrap();
        std::fs::write(bus.path().join("inbox/carol/1.json"), "{}").unwrap();
        let (mut inboxes, now) = (Inboxes::default(), Now::get());
        let mut coming = Coming::default();
        coming.add("bob");
        coming.add("dora");
        assert_eq!(inboxes.count(&disk, &bob, 0, &coming, now).unwrap(), 2);
        assert_eq!(inboxes.total(&disk, 0, &coming, now).unwrap(), 2, "without a limit nobody looks");
        assert_eq!(inboxes.total(&disk, 100, &coming, now).unwrap(), 4);
        std::fs::remove_dir_all(bus.path().join("inbox/carol")).unwrap();
        let nothing = Coming::default();
        assert_eq!(inboxes.total(&disk, 4, &nothing, later(now, 5)).unwrap(), 1, "and what is gone is forgotten");
    }
}
