//! An extension as a file: its name, its bytes, and what it says about itself.
//!
//! Absent on purpose: running it. A package is facts; whoever holds one can do nothing with it.
//!
//! Invariant: the name of a package is a well-formed agent id and not the service's own, so it can be used as a recipient and in a path.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::message::AgentId;

/// The largest component that is loaded, in bytes. A Python guest with its interpreter has 18 MB.
pub const COMPONENT_BYTES: u64 = 256 << 20;

/// An installed extension that can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its agent id: the file's name without `.wasm`.
    pub name: String,
    pub path: PathBuf,
    /// Of the component's bytes.
    pub sha256: [u8; 32],
    pub about: About,
    /// The subcommand that it adds to the program.
    pub command: Option<Command>,
}

/// A subcommand that an extension adds (`spec` of `wit/cli.wit`). Untrusted text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub name: String,
    /// One line.
    pub about: String,
    /// Any number of lines.
    pub usage: String,
}

/// What an extension says about itself (`wit/describe.wit`). Untrusted text; empty if it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub version: String,
    pub description: String,
    pub actions: Vec<String>,
    pub capabilities: Vec<String>,
}

impl Package {
    /// Is a message to `*` with this action for it, too?
    pub fn declares(&self, action: &str) -> bool {
        self.about.actions.iter().any(|declared| declared == action)
    }

    /// The hash as it is written: 64 hexadecimal digits.
    pub fn sha256_hex(&self) -> String {
        self.sha256.iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// A file in the extensions folder that cannot be called, and why. It is set aside; everything else works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The name it would have had. Not checked: only for showing.
    pub name: String,
    pub path: PathBuf,
    /// For a person.
    pub reason: String,
}

/// The component files of a folder by name, `*.wasm` that do not start with a dot. A folder that does not exist has none.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension() == Some(OsStr::new("wasm")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The name that a file would have as an extension, fit for showing only.
pub(super) fn shown_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The name of the extension in this file.
pub(super) fn name(path: &Path) -> Result<String, String> {
    let name = path.file_stem().and_then(OsStr::to_str).ok_or("its name is not UTF-8")?;
    check_name(name)?;
    Ok(name.to_owned())
}

/// Can an extension have this name?
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name == AgentId::POSTROOM {
        return Err(format!("`{name}` is the service itself; give the file another name"));
    }
    if AgentId::parse(name).is_err() {
        return Err("its name cannot be an agent id: 1 to 128 characters of A-Z a-z 0-9 . _ -, starting with a letter or digit, \
                    without `..`, not ending in `.` or `.reply`, and no device name"
            .into());
    }
    Ok(())
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    /// For a person.
    pub(super) reason: String,
    /// Another try may end better, although the file stays as it is.
    pub(super) may_pass: bool,
}

impl From<String> for Unusable {
    fn from(reason: String) -> Unusable {
        Unusable { reason, may_pass: false }
    }
}

/// For whoever does not try again.
impl From<Unusable> for String {
    fn from(unusable: Unusable) -> String {
        unusable.reason
    }
}

/// The whole component of a file, of which the first bytes have been checked.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    let bytes = read_regular(path)?;
    check_bytes(&bytes)?;
    Ok(bytes)
}

/// The bytes of a regular file that is not larger than a component may be, whatever they are.
pub(super) fn read_regular(path: &Path) -> Result<Vec<u8>, Unusable> {
    let cannot_read = |error: io::Error| Unusable {
        may_pass: !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied),
        reason: format!("it cannot be read: {error}"),
    };
    // A link may lead here (to a build folder, say), but opening a FIFO would wait for its writer.
    if !fs::metadata(path).map_err(cannot_read)?.is_file() {
        return Err("it is not a regular file".to_owned().into());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(COMPONENT_BYTES + 1).read_to_end(&mut bytes)).map_err(cannot_read)?;
    check_size(&bytes)?;
    Ok(bytes)
}

fn check_size(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() as u64 > COMPONENT_BYTES {
        return Err(format!("it is larger than {COMPONENT_BYTES} bytes"));
    }
    Ok(())
}

/// Is this a component, as far as its first bytes and its size tell?
pub(super) fn check_bytes(bytes: &[u8]) -> Result<(), String> {
    check_size(bytes)?;
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => Ok(()),
        Some(b"\0asm\x01\0\0\0") => {
            Err("it is a core WebAssembly module, not a component; `wasm-tools component new` makes one of it".into())
        }
        Some(_) | None => Err("it is not a WebAssembly component".into()),
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Names of things that are listed: more than this is a mistake of the extension.
const LISTED: usize = 256;
/// As an action of a message.
const LISTED_CHARACTERS: usize = 256;
const VERSION_CHARACTERS: usize = 64;
const DESCRIPTION_CHARACTERS: usize = 1024;

impl About {
    /// Itself, if every text in it is of a size and kind that can be shown and stored.
    pub(super) fn checked(self) -> Result<About, BadAbout> {
        printable("version", &self.version, VERSION_CHARACTERS)?;
        printable("description", &self.description, DESCRIPTION_CHARACTERS)?;
        for (field, list) in [("actions", &self.actions), ("capabilities", &self.capabilities)] {
            if list.len() > LISTED {
                return Err(BadAbout { field, wrong: Wrong::More(LISTED) });
            }
            if list.iter().any(String::is_empty) {
                return Err(BadAbout { field, wrong: Wrong::Empty });
            }
            list.iter().try_for_each(|text| printable(field, text, LISTED_CHARACTERS))?;
        }
        Ok(self)
    }
}

/// In the name of a subcommand.
const COMMAND_CHARACTERS: usize = 32;
const COMMAND_ABOUT_CHARACTERS: usize = 128;
const USAGE_CHARACTERS: usize = 16_384;

impl Command {
    /// Itself, if it can be typed and shown.
    pub(super) fn checked(self) -> Result<Command, BadAbout> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let first = self.name.chars().next().is_some_and(|c| c.is_ascii_lowercase());
        if !first || self.name.len() > COMMAND_CHARACTERS || !self.name.chars().all(good) {
            return Err(BadAbout { field: "name", wrong: Wrong::NoCommand });
        }
        printable("about", &self.about, COMMAND_ABOUT_CHARACTERS)?;
        if self.usage.chars().count() > USAGE_CHARACTERS {
            return Err(BadAbout { field: "usage", wrong: Wrong::Longer(USAGE_CHARACTERS) });
        }
        if self.usage.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
            return Err(BadAbout { field: "usage", wrong: Wrong::Control });
        }
        Ok(self)
    }
}

fn printable(field: &'static str, text: &str, most: usize) -> Result<(), BadAbout> {
    if text.chars().count() > most {
        return Err(BadAbout { field, wrong: Wrong::Longer(most) });
    }
    if text.contains(char::is_control) {
        return Err(BadAbout { field, wrong: Wrong::Control });
    }
    Ok(())
}

/// Which field of an [`About`] cannot be used, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadAbout {
    field: &'static str,
    wrong: Wrong,
}

#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    Empty,
    Longer(usize),
    More(usize),
    Control,
    NoCommand,
}

impl fmt::Display for BadAbout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field;
        match self.wrong {
            Wrong::Empty => write!(f, "`describe` lists an empty text in `{field}`"),
            Wrong::Longer(most) => write!(f, "`describe` has a text of more than {most} characters in `{field}`"),
            Wrong::More(most) => write!(f, "`describe` lists more than {most} texts in `{field}`"),
            Wrong::NoCommand => write!(
                f,
                "`spec` gives a name that cannot be a subcommand: 1 to {COMMAND_CHARACTERS} characters of a-z, 0-9 and -, a letter first"
            ),
            Wrong::Control => write!(f, "`describe` has a control character in `{field}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_agent_ids() {
        for name in
            ["a", "0", "ext-sum", "Ext_Sum.v2", "a.replying", "reply", "com", "com10", "console", &"x".repeat(128)]
        {
            assert!(AgentId::parse(name).is_ok(), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "-a",
            ".a",
            "_a",
            "a..b",
            "a.",
            "a.reply",
            "a b",
            "a/b",
            "a~1",
            "\u{e4}",
            "CON",
            "nul.x",
            "Com1",
            "lpt9.txt",
            &"x".repeat(129),
        ] {
            assert!(AgentId::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_has_the_name_of_its_stem() {
        assert_eq!(name(Path::new("some/where/ext-sum.wasm")), Ok("ext-sum".to_owned()));
        assert_eq!(name(Path::new("a.b.wasm")), Ok("a.b".to_owned()));
        assert!(name(Path::new("postroom.wasm")).unwrap_err().contains("the service itself"));
        assert!(name(Path::new("a b.wasm")).unwrap_err().contains("agent id"));
    }

    #[test]
    fn what_an_extension_says_of_itself_is_bounded() {
        let about = |edit: fn(&mut About)| {
            let mut about = About { version: "1.0.0".into(), actions: vec!["math.add".into()], ..About::default() };
            edit(&mut about);
            about.checked().map(drop).map_err(|bad| bad.to_string())
        };
        assert_eq!(about(|_| ()), Ok(()));
        assert_eq!(about(|about| about.version.clear()), Ok(()));
        assert_eq!(about(|about| about.description = "\u{e4}".repeat(1024)), Ok(()));
        assert_eq!(
            about(|about| about.description = "x".repeat(1025)),
            Err("`describe` has a text of more than 1024 characters in `description`".into())
        );
        assert_eq!(
            about(|about| about.version = "\u{1b}[31m".into()),
            Err("`describe` has a control character in `version`".into())
        );
        assert_eq!(
            about(|about| about.actions.push(String::new())),
            Err("`describe` lists an empty text in `actions`".into())
        );
        assert_eq!(
            about(|about| about.actions.push("x".repeat(257))),
            Err("`describe` has a text of more than 256 characters in `actions`".into())
        );
        assert_eq!(
            about(|about| about.capabilities = vec!["x".into(); 257]),
            Err("`describe` lists more than 256 texts in `capabilities`".into())
        );
    }
}
