//! Bringing to an end what was interrupted, and the lock file up to what the files say. Runs first whenever somebody holds the folder.

use super::Installer;
use super::error::InstallError;
use super::folder::{self, Hidden};
use super::survey::{LockState, Survey, survey, written};
use crate::extension::ComponentHash;
use crate::extension::lock_file::{FILE_NAME, UnderWay};
use crate::policy::grants::Grant;

impl Installer {
    /// What was done about what was found, in sentences.
    pub(super) async fn recover(&mut self) -> Result<Vec<String>, InstallError> {
        let mut told = self.remove_leftovers()?;
        let configuration = self.place.configuration(self.settings.settings());
        let found = survey(self.folder.path(), &configuration).await?;
        let is_current = found.lock == LockState::Current || found.lock == LockState::Absent;
        match &found.lock {
            LockState::Damaged { reason } => told.push(self.move_lock_aside(reason)?),
            LockState::Behind { names } if !names.is_empty() => {
                told.push(format!("{FILE_NAME} was brought up to date: {}", names.join(", ")));
            }
            LockState::Behind { .. } | LockState::Current | LockState::Absent => {}
        }
        self.take_over(found)?;
        if !self.lock.under_way.is_empty() {
            told.extend(self.finish_or_undo()?);
        }
        if !is_current {
            self.write_lock()?;
        }
        told.extend(self.remove_old_versions()?);
        Ok(told)
    }

    /// The same for one who only removes: the lock file stays as it was written, and no code of an extension runs, least of all of the one that
    /// is to go. What the lock file does not know the next one looks at who installs something.
    pub(super) fn recover_unlooked(&mut self) -> Result<Vec<String>, InstallError> {
        let mut told = self.remove_leftovers()?;
        let (written, damaged) = written(self.folder.path())?;
        self.lock = written.unwrap_or_default();
        if let Some(reason) = damaged {
            told.push(self.move_lock_aside(&reason)?);
        }
        if !self.lock.under_way.is_empty() {
            told.extend(self.finish_or_undo()?);
            self.write_lock()?;
        }
        Ok(told)
    }

    fn take_over(&mut self, found: Survey) -> Result<(), InstallError> {
        let kept = self.kept()?;
        let folder = &self.folder;
        self.lock.under_way = found.written.under_way;
        self.broken = found.broken;
        self.lock.extensions = found.extensions;
        for (name, locked) in &mut self.lock.extensions {
            // The version before: as it was written, or the one whose place this one has taken meanwhile.
            locked.previous = match found.written.extensions.get(name) {
                Some(before) => {
                    let candidates = [Some(before.sha256), before.previous].into_iter().flatten();
                    let is_kept = |hash: &ComponentHash| kept.contains(&folder::kept(name, hash));
                    candidates.filter(|hash| *hash != locked.sha256).find(is_kept)
                }
                // It could not be used for a while, or the lock file is gone.
                None => folder.kept_last(name, Some(&locked.sha256)),
            };
        }
        Ok(())
    }

    /// An install is finished if its file has its name, and undone otherwise; a removal is finished.
    fn finish_or_undo(&mut self) -> Result<Vec<String>, InstallError> {
        let mut told = Vec::new();
        for change in std::mem::take(&mut self.lock.under_way) {
            match change {
                UnderWay::Install { name, sha256, added_grants } => {
                    if self.folder.hash_of(&folder::file(&name)) == Some(sha256) {
                        // Where this very file was there already, the grants may not be.
                        let grants: Vec<Grant> =
                            added_grants.iter().filter_map(|grant| Grant::parse(grant).ok()).collect();
                        (self.settings, _) = self.settings.grant(&name, &grants, &self.folder)?;
                        told.push(format!("the installation of {name} was interrupted and is finished"));
                        continue;
                    }
                    self.settings = self.settings.take_back(&name, &added_grants, &self.folder)?;
                    told.push(format!("the installation of {name} was interrupted and is undone"));
                }
                remove @ UnderWay::Remove { .. } => {
                    if let UnderWay::Remove { name, .. } = &remove {
                        told.push(format!("the removal of {name} was interrupted and is finished"));
                    }
                    self.lock.under_way.push(remove);
                }
            }
        }
        if !self.lock.under_way.is_empty() {
            self.finish_removals()?;
        }
        Ok(told)
    }

    fn move_lock_aside(&self, reason: &str) -> Result<String, InstallError> {
        let aside = self.folder.move_aside(FILE_NAME, "damaged")?;
        Ok(format!("{FILE_NAME} was damaged ({reason}), is now {aside}, and is made again from the files"))
    }

    /// What nobody can need: it was on its way when its writer died, and we are the only ones here. What does not go harms nobody; it is said.
    fn remove_leftovers(&self) -> Result<Vec<String>, InstallError> {
        let (mut strangers, mut failed) = (Vec::new(), Vec::new());
        for (file, hidden) in self.folder.hidden()? {
            let removed = match hidden {
                Hidden::Leftover => self.folder.remove(&file),
                Hidden::Check => self.folder.remove_check(&file),
                Hidden::Old { .. } => Ok(()),
                Hidden::Stranger => {
                    strangers.push(file);
                    Ok(())
                }
            };
            failed.extend(removed.err().map(|error| format!("{error}; it is of no use any more")));
        }
        if !strangers.is_empty() {
            let strangers = strangers.join(", ");
            failed.push(format!("not made by postroom, though the names are as if, and left as it is: {strangers}"));
        }
        Ok(failed)
    }

    /// Earlier versions of extensions that have another earlier version, or none. What is kept of a name that cannot be used now, or whose file
    /// somebody has taken away, is the way back.
    fn remove_old_versions(&self) -> Result<Vec<String>, InstallError> {
        let mut failed = Vec::new();
        for (file, hidden) in self.folder.hidden()? {
            let Hidden::Old { name, short } = hidden else { continue };
            let Some(locked) = self.lock.extensions.get(&name) else { continue };
            if locked.previous.is_none_or(|hash| hash.short() != short) {
                let removed = self.folder.remove(&file);
                failed.extend(removed.err().map(|error| format!("{error}; it is of no use any more")));
            }
        }
        Ok(failed)
    }

    fn kept(&self) -> Result<Vec<String>, InstallError> {
        let hidden = self.folder.hidden()?.into_iter();
        Ok(hidden.filter(|(_, kind)| matches!(kind, Hidden::Old { .. })).map(|(file, _)| file).collect())
    }
}
