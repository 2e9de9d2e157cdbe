//! Who has registered: `agents/*.json`, read into memory. The folder is the truth; it is read again when it has changed.

use std::collections::BTreeMap;
use std::path::Path;

use crate::bus::{BusError, Disk, layout};
use crate::control::{Change, Registration};
use crate::message::AgentId;

/// A registration's file has at most this many bytes: as many as earlier versions let it have (512 entries of 1,024 characters, and room
/// for escapes). What registers now is smaller.
const MAX_BYTES: u64 = 8 << 20;

#[derive(Debug, Default)]
pub struct Registry {
    agents: BTreeMap<AgentId, Registration>,
    /// The last sign of life that stands in each file.
    written: BTreeMap<AgentId, u64>,
    /// Change time of the folder when it was read.
    read_at: (i64, i64),
}

impl Registry {
    /// Reads the folder, if it changed since the last time. A file that is no registration, or another agent's, is left alone and counts
    /// as none. One that cannot be read now is read again with the next scan, and until then what is known of its agent counts.
    pub fn refresh(&mut self, disk: &Disk) -> Result<(), BusError> {
        let Some(stat) = disk.stat(Path::new(layout::AGENTS))? else { return Ok(()) };
        let changed = (stat.st_mtime, stat.st_mtime_nsec as i64);
        if changed == self.read_at {
            return Ok(());
        }
        let (mut agents, mut all_read) = (BTreeMap::new(), true);
        for entry in disk.list(Path::new(layout::AGENTS))? {
            let Some(name) = entry.name.to_str().and_then(|name| name.strip_suffix(".json")) else { continue };
            let Ok(agent) = AgentId::parse(name) else { continue };
            let registration = match disk.read(&layout::agent_file(name), MAX_BYTES) {
                Ok(text) => text.and_then(|text| serde_json::from_slice::<Registration>(&text).ok()),
                Err(error) if error.is_shortage() => return Err(error.into()),
                Err(_) => {
                    all_read = false;
                    self.agents.get(&agent).cloned()
                }
            };
            if let Some(registration) = registration.filter(|registration| registration.agent == agent.as_str()) {
                agents.insert(agent, registration);
            }
        }
        self.written = agents.iter().map(|(agent, registration)| (agent.clone(), registration.last_seen)).collect();
        // What was seen since it was written down last is known better here.
        for (agent, registration) in &mut agents {
            if let Some(known) = self.agents.get(agent) {
                registration.last_seen = registration.last_seen.max(known.last_seen);
            }
        }
        self.agents = agents;
        if all_read {
            self.read_at = changed;
        }
        Ok(())
    }

    pub fn agents(&self) -> &BTreeMap<AgentId, Registration> {
        &self.agents
    }

    pub fn contains(&self, agent: &AgentId) -> bool {
        self.agents.contains_key(agent)
    }

    /// Enters what a control command decided. Its commit may still be under way; if that fails for good, this service has lost
    /// the bus and reads everything again when it gets it back.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Register(agent, registration) => {
                self.agents.insert(agent.clone(), registration.clone());
                self.written.insert(agent.clone(), registration.last_seen);
            }
            Change::Unregister(agent) => {
                self.agents.remove(agent);
                self.written.remove(agent);
            }
        }
    }

    /// Notes a sign of life. `Some`: the registration, if it is time to write it down again.
    pub fn seen(&mut self, agent: &AgentId, now_ms: u64) -> Option<Registration> {
        let registration = self.agents.get_mut(agent)?;
        registration.last_seen = registration.last_seen.max(now_ms);
        let written = self.written.entry(agent.clone()).or_default();
        let due = registration.is_due_to_be_written(*written);
        if due {
            *written = registration.last_seen;
        }
        due.then(|| registration.clone())
    }
}
