//! Leases on messages in an inbox, and `postroom ack` and `postroom nack`, which end them.
//!
//! Its token, by which the command line names a lease, is `<agent>/<uuid>`.

use std::path::{Path, PathBuf};

use postroom::bus::disk::{Disk, Moved};
use postroom::bus::{layout, lease};
use postroom::message::AgentId;
use serde::Serialize;
use uuid::Uuid;

use super::print::Format;
use super::{Exit, Failure, Global, print, text};

/// A message that this consumer has for itself, until the lease runs out.
#[derive(Debug)]
pub struct Lease {
    agent: AgentId,
    uuid: Uuid,
    /// Its path while it is leased, and the one it had; relative to the bus.
    leased: PathBuf,
    plain: PathBuf,
}

impl Lease {
    /// Leases the message at `path` in the agent's inbox. `None`: another consumer was faster.
    pub fn take(disk: &Disk, agent: &AgentId, path: &Path) -> Result<Option<Lease>, Failure> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
        let uuid = Uuid::now_v7();
        let leased = layout::inbox(agent.as_str()).join(lease::leased(name, uuid));
        Ok(match disk.rename_new(path, &leased)? {
            Moved::Done => Some(Lease { agent: agent.clone(), uuid, leased, plain: path.to_owned() }),
            Moved::Taken | Moved::Gone => None,
        })
    }

    /// Finds a lease by its token.
    fn find(disk: &Disk, token: &Token) -> Result<Lease, Failure> {
        let inbox = layout::inbox(token.agent.as_str());
        let mut found = None;
        disk.for_each(&inbox, |name, _| {
            if let Some((plain, _)) = lease::parse(name).filter(|(_, uuid)| *uuid == token.uuid) {
                found = Some((inbox.join(name), inbox.join(plain)));
            }
        })?;
        let Some((leased, plain)) = found else {
            return Err(Failure::new(Exit::NotFound, format!("there is no lease {token}"))
                .with_hint("a lease that has run out is given back, and the message may be with another consumer"));
        };
        Ok(Lease { agent: token.agent.clone(), uuid: token.uuid, leased, plain })
    }

    pub fn token(&self) -> String {
        token(self.agent.as_str(), self.uuid)
    }

    /// Where the message is, relative to the bus.
    pub fn path(&self) -> &Path {
        &self.leased
    }

    /// The message is handled: it is removed. `false`: the lease had run out.
    pub fn acknowledge(&self, disk: &Disk) -> Result<bool, Failure> {
        Ok(disk.remove_file(&self.leased)?)
    }

    /// The message goes back to where it was; to a number if that name was taken since. `None`: the lease had run out.
    pub fn give_back(&self, disk: &Disk) -> Result<Option<PathBuf>, Failure> {
        Ok(lease::give_back(disk, &self.leased, &self.plain)?)
    }
}

/// By what `ack` and `nack` know a lease.
pub fn token(agent: &str, lease: Uuid) -> String {
    format!("{agent}/{lease}")
}

/// `<agent>/<uuid>`.
#[derive(Clone, Debug)]
struct Token {
    agent: AgentId,
    uuid: Uuid,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&token(self.agent.as_str(), self.uuid))
    }
}

impl std::str::FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Token, String> {
        let wrong = || "a lease is <agent>/<uuid>, as `recv --lease` says it".to_owned();
        let (agent, uuid) = text.split_once('/').ok_or_else(wrong)?;
        let agent = AgentId::parse(agent).map_err(|error| error.to_string())?;
        Ok(Token { agent, uuid: Uuid::parse_str(uuid).map_err(|_| wrong())? })
    }
}

/// Acknowledge a leased message: it is handled, and removed
#[derive(Debug, clap::Args)]
pub struct Ack {
    /// The lease, as `recv --lease` says it
    lease: Token,
}

/// Give a leased message back: the next `recv` gets it
#[derive(Debug, clap::Args)]
pub struct Nack {
    /// The lease, as `recv --lease` says it
    lease: Token,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ended {
    lease: String,
    /// Where the message is now; nowhere after `ack`.
    now_at: Option<PathBuf>,
}

impl Ack {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let disk = global.workspace()?.disk()?;
        let lease = Lease::find(&disk, &self.lease)?;
        if !lease.acknowledge(&disk)? {
            return Err(ran_out(&lease));
        }
        say(global.format(), &lease, None)
    }
}

impl Nack {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let disk = global.workspace()?.disk()?;
        let lease = Lease::find(&disk, &self.lease)?;
        match lease.give_back(&disk)? {
            Some(now_at) => say(global.format(), &lease, Some(now_at)),
            None => Err(ran_out(&lease)),
        }
    }
}

fn ran_out(lease: &Lease) -> Failure {
    Failure::new(Exit::NotFound, format!("the lease {} has just run out", lease.token()))
}

fn say(format: Format, lease: &Lease, now_at: Option<PathBuf>) -> Result<Exit, Failure> {
    match (format, &now_at) {
        (Format::Json, _) => print::json(&Ended { lease: lease.token(), now_at })?,
        (Format::Text, Some(path)) => print::line(&format!("given back: {}", text::path(path)))?,
        (Format::Text, None) => print::line(&format!("acknowledged: {}", text::field(&lease.token())))?,
    }
    Ok(Exit::Ok)
}
