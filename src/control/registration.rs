//! A registration: the content of `agents/<agent>.json`.

use serde::{Deserialize, Serialize};

use super::parameters::Parameters;
use crate::message::Failure;

/// How long an agent counts as present without a sign of life, in milliseconds.
const DEFAULT_TTL_MS: u64 = 5 * 60 * 1000;

/// Who an agent is, as it said itself. Its agent id is the file's name and stands in `agent` too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    pub agent: String,
    pub name: String,
    pub version: String,
    pub capabilities: Vec<String>,
    #[serde(default)]
    pub actions: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default = "default_ttl")]
    pub ttl_ms: u64,
    /// Unix milliseconds.
    pub registered_at: u64,
    /// Unix milliseconds of the last message or heartbeat that was written down.
    pub last_seen: u64,
}

fn default_ttl() -> u64 {
    DEFAULT_TTL_MS
}

/// What the registering agent says.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub name: String,
    pub version: String,
    pub capabilities: Vec<String>,
    pub actions: Vec<String>,
    pub description: Option<String>,
    pub ttl_ms: u64,
}

impl Request {
    pub(super) fn read(said: &Parameters) -> Result<Request, Failure> {
        Ok(Request {
            name: said.text("name")?,
            version: said.text("version")?,
            capabilities: said.texts("capabilities")?,
            actions: said.optional_texts("actions")?,
            description: said.optional_text("description")?,
            ttl_ms: said.optional_ms("ttlMs")?.unwrap_or(DEFAULT_TTL_MS),
        })
    }
}

impl Registration {
    /// Is it `away`: not seen for longer than it said it may be?
    pub fn is_away(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.last_seen) > self.ttl_ms
    }

    /// Is what was written down last so old that a takeover could count the agent as away too early?
    pub fn is_due_to_be_written(&self, written: u64) -> bool {
        self.last_seen.saturating_sub(written) > (self.ttl_ms / 4).min(60_000)
    }
}
