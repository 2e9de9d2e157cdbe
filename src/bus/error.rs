//! What can go wrong with a bus as a whole. What is wrong with one message is never an error but a decision.

use std::fmt;
use std::path::PathBuf;

use super::disk::DiskError;

#[derive(Debug)]
pub enum BusError {
    /// Another service has taken over: this one's room is gone, and with it its right to change anything.
    RoomGone,
    /// The system refused a step. It is tried again; nothing is half done.
    Disk(DiskError),
    /// There is no bus at this path.
    NotABus { path: PathBuf },
    /// The bus was made by a newer program.
    NewerFormat { path: PathBuf, found: String },
    /// Part of the bus is not what it must be, such as a folder that is a link.
    Damaged { path: PathBuf, what: String },
    /// The folder that is open is no longer the one at its path: it was removed, moved, or replaced by another.
    Moved { path: PathBuf },
    /// A service on another host is at work here.
    OtherHost { host: String },
    /// The active service runs in another mount namespace (a container).
    OtherNamespace { pid: u32 },
    /// It was tried for long enough; what was being done, and why it failed.
    GaveUp { what: String },
    /// The file system cannot keep the promises (network, synced by a cloud program), and nobody insisted.
    Unsafe { path: PathBuf, what: String },
}

impl BusError {
    /// What the user can do, apart from the error itself.
    pub fn hint(&self) -> Option<String> {
        match self {
            BusError::RoomGone => None,
            BusError::Disk(_) => Some("see `postroom doctor`".into()),
            BusError::NotABus { .. } => Some("make one with `postroom init`, or name one with --bus DIR".into()),
            BusError::NewerFormat { .. } => Some("use a newer postroom for this bus".into()),
            BusError::Damaged { .. } => Some("move it away; `postroom init` makes what is missing".into()),
            BusError::Moved { .. } => Some("start the service again for the bus that is there now".into()),
            BusError::OtherHost { .. } => {
                Some("stop the service there first: a bus belongs to one machine at a time".into())
            }
            BusError::OtherNamespace { .. } => {
                Some("run all services of a bus inside the same container, or all outside".into())
            }
            BusError::GaveUp { .. } => {
                Some("what was accepted stays on the bus, and the next service goes on with it".into())
            }
            BusError::Unsafe { .. } => {
                Some("put the bus on a local file system, or insist with --force-file-system".into())
            }
        }
    }

    /// May trying again later help? Anything else ends the service with an error.
    pub fn is_transient(&self) -> bool {
        matches!(self, BusError::Disk(_) | BusError::Damaged { .. })
    }
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BusError::RoomGone => f.write_str("another service has taken over this bus"),
            BusError::Disk(error) => error.fmt(f),
            BusError::NotABus { path } => write!(f, "{} is not a bus", path.display()),
            BusError::NewerFormat { path, found } => {
                write!(f, "{} has a format this program does not know: {found:?}", path.display())
            }
            BusError::Damaged { path, what } => write!(f, "{} {what}", path.display()),
            BusError::Moved { path } => write!(f, "the bus {} was removed, moved or replaced", path.display()),
            BusError::OtherHost { host } => write!(f, "a service on the host {host:?} is at work on this bus"),
            BusError::OtherNamespace { pid } => {
                write!(f, "the active service (process {pid}) runs in another mount namespace")
            }
            BusError::GaveUp { what } => write!(f, "gave up: {what}"),
            BusError::Unsafe { path, what } => write!(f, "{} is on {what}", path.display()),
        }
    }
}

impl std::error::Error for BusError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BusError::Disk(error) => Some(error),
            BusError::RoomGone
            | BusError::NotABus { .. }
            | BusError::Moved { .. }
            | BusError::NewerFormat { .. }
            | BusError::Damaged { .. }
            | BusError::OtherHost { .. }
            | BusError::OtherNamespace { .. }
            | BusError::GaveUp { .. }
            | BusError::Unsafe { .. } => None,
        }
    }
}

impl From<DiskError> for BusError {
    fn from(error: DiskError) -> Self {
        BusError::Disk(error)
    }
}
