//! Messages for an extension whose file is there, but not yet taken up: somebody still writes it, or it is being loaded.
//!
//! What lies in the drop stays there: to wait costs nothing. What is in the room already, or has to be looked at from time to time, waits in
//! `deferred/`, longer each time. All of it goes on at once when the extension is taken up, or its file is gone.

use std::time::{Duration, Instant};

use super::active::Active;
use super::check::InboxState;
use super::claimed::Claimed;
use super::clock::Now;
use super::waiting::Due;
use crate::message::{AgentId, Message};

/// For so long a message waits at first.
const FIRST: Duration = Duration::from_millis(100);
/// And for so long at most: a service that is started meanwhile keeps to it, though it has all extensions.
const LONGEST: Duration = Duration::from_secs(5);

impl Active<'_> {
    /// Does this message in the drop stay there, because its recipient is an extension to come?
    pub(super) fn waits_in_drop(&mut self, message: &Message, recipient: &AgentId) -> bool {
        // One must be told in time, and who gets the other need not be known by his name alone: both are for the check.
        if message.expires_at().is_some() || message.in_reply_to().is_some() {
            return false;
        }
        if recipient.is_postroom() || self.registry.contains(recipient) {
            return false;
        }
        match self.inbox_state(recipient) {
            Ok(InboxState::Absent | InboxState::Unusable) => self.is_coming(recipient),
            // What cannot be read now the check meets, too.
            Ok(InboxState::Folder) | Err(_) => false,
        }
    }

    /// When a message is looked at again that is for an extension to come: after as long as it has waited already, so that it is not written
    /// down again and again.
    pub(super) fn wait_for_extension(&mut self, claimed: &Claimed, now: Now) -> Option<Due> {
        let waited = Duration::from_millis(now.wall_ms.saturating_sub(claimed.accepted_at));
        let is_coming = claimed.one_recipient().is_some_and(|recipient| self.is_coming(recipient));
        is_coming.then(|| Due::Extension(now.mono + waited.clamp(FIRST, LONGEST)))
    }

    /// Is it an extension whose file is there, but not yet taken up?
    fn is_coming(&mut self, extension: &AgentId) -> bool {
        let is_coming = self.core.installed.is_coming(extension);
        if is_coming && self.drop.begin_wait(extension) {
            // The message may be faster than the word of the file.
            self.look_at_extensions = true;
        }
        is_coming
    }

    /// Another set of extensions may be there: what has waited for it goes on.
    pub(super) fn end_waits_for_extensions(&mut self) {
        let (host, installed) = (self.lanes.host(), &self.core.installed);
        let is_there = |extension: &AgentId| host.package(extension.as_str()).is_some();
        let ended = self.drop.end_waits(|extension| !is_there(extension) && installed.is_coming(extension));
        if ended.is_empty() {
            return;
        }
        self.waiting.end_waits_for_extensions(Instant::now());
        // What is there has a lane, which takes them one after the other.
        for extension in ended.iter().filter(|extension| !is_there(extension)) {
            for parked in self.drop.unpark(extension) {
                self.senders.remove(&parked.sender, parked.bytes);
            }
        }
    }
}
