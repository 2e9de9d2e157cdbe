//! What a running service has to say. The library prints nothing: whoever runs the service decides where this goes.

use std::fmt;
use std::path::PathBuf;

use crate::message::visible;

/// How much of a stranger's text is shown.
const SHOWN_CHARS: usize = 300;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// This service is active now.
    Active {
        term: u64,
        bus: PathBuf,
    },
    /// Another service is active, and this one stands by. Said again only when the other changes.
    Standby {
        holder: Option<String>,
        term: u64,
    },
    /// The active one did not change its line for so long that it counts as hung.
    LeaseEnded {
        term: u64,
    },
    /// The work of a dead service was taken over.
    Recovered {
        rooms: usize,
        decided: usize,
        undecided: usize,
    },
    /// Something of our own could not be understood and was moved here.
    MovedAside {
        path: PathBuf,
    },
    /// A step failed; it is tried again. Said once until it works.
    Trouble {
        what: String,
    },
    /// What failed works again.
    Well,
    /// Another service has taken over; this one goes back to waiting.
    Replaced,
    /// Somebody has removed the room of this service; it begins anew.
    RoomGone {
        term: u64,
    },
    /// The bus was removed, moved or replaced; this service waits until there is one at its path again.
    BusGone {
        path: PathBuf,
    },
    /// The wall clock was set by so many milliseconds. Nothing is removed for its age until it has gone right for an hour.
    ClockSet {
        by_ms: i64,
    },
    /// The file system could not be synced. Nothing is lost as long as the log is kept, which it is until this service ends.
    Unsynced {
        what: String,
    },
    /// An extension cannot be used; everything else can.
    BrokenExtension {
        name: String,
        path: PathBuf,
        reason: String,
    },
    /// A file among the extensions that somebody has open for writing, and does not write to.
    UnfinishedExtension {
        path: PathBuf,
    },
    /// Compiled code of extensions was not there, could not be kept or could not be trusted. Everything works, more slowly.
    CompiledCode {
        what: String,
    },
    /// Another set of extensions was taken up: these.
    Extensions {
        names: Vec<String>,
    },
    /// The settings have changed and cannot be read; for extensions those that counted before still do.
    OldSettings {
        why: String,
    },
    /// Stopping was asked for; `running` handlers may still finish.
    Stopping {
        running: usize,
    },
    Stopped,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| visible(text, SHOWN_CHARS);
        match self {
            Notice::Active { term, bus } => write!(f, "active on {} (term {term})", shown(&bus.to_string_lossy())),
            Notice::Standby { holder: Some(holder), term } => {
                write!(f, "standing by: {} is active (term {term})", shown(holder))
            }
            Notice::Standby { holder: None, term } => write!(f, "standing by: another service is active (term {term})"),
            Notice::LeaseEnded { term } => write!(f, "the service of term {term} shows no sign of life; taking over"),
            Notice::Recovered { rooms, decided, undecided } => write!(
                f,
                "took over {rooms} unfinished {}: {decided} decided, {undecided} undecided {}",
                plural(*rooms, "room", "rooms"),
                plural(*undecided, "message", "messages")
            ),
            Notice::MovedAside { path } => write!(f, "could not be understood, moved to {}", path.display()),
            Notice::Trouble { what } => write!(f, "{}; trying again", shown(what)),
            Notice::Well => f.write_str("working again"),
            Notice::RoomGone { term } => {
                write!(
                    f,
                    "the room of this service (term {term}) is gone: another one took over and has ended, or somebody removed it; beginning anew"
                )
            }
            Notice::BusGone { path } => {
                let path = path.to_string_lossy();
                write!(f, "the bus {} was removed, moved or replaced; waiting for a bus there", shown(&path))
            }
            Notice::ClockSet { by_ms } => {
                let direction = if *by_ms < 0 { "back" } else { "forward" };
                let by = by_ms.unsigned_abs() / 1000;
                write!(f, "the clock was set {direction} by {by} s; for an hour nothing is removed because it is old")
            }
            Notice::Unsynced { what } => write!(
                f,
                "{}; what was published rests on this service's log, and released ids stay taken, until it is started again",
                shown(what)
            ),
            Notice::Replaced => f.write_str("another service has taken over; standing by"),
            Notice::BrokenExtension { name, path, reason } => {
                write!(
                    f,
                    "extension {} ({}) is set aside: {}",
                    shown(name),
                    shown(&path.to_string_lossy()),
                    shown(reason)
                )
            }
            Notice::UnfinishedExtension { path } => {
                write!(
                    f,
                    "{} is still open for writing; it is taken up when it is whole",
                    shown(&path.to_string_lossy())
                )
            }
            Notice::CompiledCode { what } => write!(f, "extensions: {}", shown(what)),
            Notice::Extensions { names } if names.is_empty() => f.write_str("there are no extensions any more"),
            Notice::Extensions { names } => write!(f, "extensions: {}", shown(&names.join(", "))),
            Notice::OldSettings { why } => write!(f, "the extensions keep their settings: {}", shown(why)),
            Notice::Stopping { running: 0 } => f.write_str("stopping"),
            Notice::Stopping { running } => {
                write!(f, "stopping; {running} {} may still finish", plural(*running, "handler", "handlers"))
            }
            Notice::Stopped => f.write_str("stopped"),
        }
    }
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}
