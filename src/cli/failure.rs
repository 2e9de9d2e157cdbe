//! Why a command failed: what was being done, to which path, because of what; advice separate; and the exit code.

use std::fmt;
use std::io;
use std::path::Path;

use postroom::bus::{BusError, DiskError, layout};
use postroom::message::Refusal;

use super::{Exit, print, text};

const UNSAFE_HINT: &str =
    "put the bus on a local file system, or start a service that insists: `postroom serve --force-file-system`";

/// The end of a command that did not do what was asked. Its texts are fit to be shown.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    message: String,
    hint: Option<String>,
    /// There is nobody to read a report (the reader of a pipe went away).
    silent: bool,
    /// The system does not let this user do it.
    denied: bool,
}

impl Failure {
    pub fn new(exit: Exit, message: impl fmt::Display) -> Failure {
        Failure { exit, message: text::lines(&message.to_string()), hint: None, silent: false, denied: false }
    }

    pub fn with_hint(mut self, hint: impl fmt::Display) -> Failure {
        self.hint = Some(text::lines(&hint.to_string()));
        self
    }

    /// A step on a file of the user's, outside of any bus.
    pub fn io(doing: &str, path: &Path, error: &io::Error) -> Failure {
        Failure::new(Exit::Failure, format!("cannot {doing} {}: {error}", text::path(path)))
    }

    /// Printing failed.
    pub fn output(error: &io::Error) -> Failure {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        Failure { silent, ..Failure::new(Exit::Failure, format!("cannot write to the standard output: {error}")) }
    }

    /// Was it refused to this user by the modes of files? Another one may do it.
    pub fn is_denied(&self) -> bool {
        self.denied
    }

    /// What is wrong, and what can be done.
    pub fn into_texts(self) -> (String, Option<String>) {
        (self.message, self.hint)
    }

    /// Says it on standard error.
    pub fn report(&self) {
        if self.silent {
            return;
        }
        print::error_line(&self.message);
        if let Some(hint) = &self.hint {
            print::hint_line(hint);
        }
    }
}

impl From<BusError> for Failure {
    fn from(error: BusError) -> Failure {
        let exit = match &error {
            BusError::Damaged { path, .. } if path.ends_with(layout::FORMAT) => Exit::NoBus,
            BusError::NotABus { .. } | BusError::NewerFormat { .. } | BusError::Moved { .. } => Exit::NoBus,
            BusError::OtherHost { .. } | BusError::OtherNamespace { .. } => Exit::Elsewhere,
            BusError::Unsafe { .. } => Exit::UnsafeFileSystem,
            BusError::RoomGone | BusError::Disk(_) | BusError::Damaged { .. } | BusError::GaveUp { .. } => {
                Exit::Failure
            }
        };
        let denied = matches!(&error, BusError::Disk(error) if error.source.kind() == io::ErrorKind::PermissionDenied);
        let failure = Failure { denied, ..Failure::new(exit, text::sentence(&error.to_string())) };
        let hint = match &error {
            // Not every command that meets the error has the option.
            BusError::Unsafe { .. } => Some(UNSAFE_HINT.to_owned()),
            // It is no folder: nothing needs to be moved away.
            BusError::Damaged { path, .. } if path.ends_with(layout::FORMAT) => {
                Some("run `postroom init`: it makes what is missing and leaves the rest as it is".to_owned())
            }
            _ => error.hint(),
        };
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Failure {
        BusError::from(error).into()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let failure = Failure::new(Exit::Refused, text::sentence(&refusal.to_string()));
        match refusal.hint {
            Some(hint) => failure.with_hint(text::sentence(&hint)),
            None => failure,
        }
    }
}
