//! A system call as a reader wants to see it: what it does, to which path below the bus.
//!
//! Uuids, tickets, days and times are replaced by words, so that two runs of the same work say the same.
//! Invariant: a call that names nothing below the bus is no step.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::calls::{Call, Kind, Scope, Shape};
use super::machine::{self, Registers, Tid};

/// One counted call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in the run, from 1.
    pub number: usize,
    /// The name of the call.
    pub call: &'static str,
    /// What it does.
    pub kind: Kind,
    /// The call and its paths, the same in every run.
    pub what: String,
    /// The same with the real names, to be found on the disk.
    pub exact: String,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "#{} {}", self.number, self.what)
    }
}

/// Says what a stopped thread is about to do, or nothing when it does not touch the bus.
pub fn describe(tid: Tid, call: &Call, registers: &Registers, bus: &Path, scope: Scope) -> Option<Step> {
    let arguments = registers.arguments();
    let (flags, kind) = opening(tid, call, &arguments);
    if kind == Kind::Reads && scope == Scope::Changes {
        return None;
    }
    let paths = paths(tid, call.shape, &arguments);
    if !paths.iter().flatten().any(|path| path.starts_with(bus)) {
        return None;
    }
    let spell = |path: &Option<PathBuf>| path.as_deref().map_or_else(|| "?".to_owned(), |path| relative(path, bus));
    let exact: Vec<String> = paths.iter().map(spell).collect();
    let name = format!("{}{flags}", call.name);
    let usual: Vec<String> = exact.iter().map(|path| usual_spelling(path)).collect();
    let what = format!("{name} {}", usual.join(" -> "));
    Some(Step { number: 0, call: call.name, kind, what, exact: format!("{name} {}", exact.join(" -> ")) })
}

/// For a call that opens: the flags that matter as text, and whether it changes anything. For others: no text.
fn opening(tid: Tid, call: &Call, arguments: &[u64; 6]) -> (&'static str, Kind) {
    let flags = match call.shape {
        Shape::OpenAt => arguments[2],
        Shape::Open => arguments[1],
        // `struct open_how` begins with its 64-bit flags.
        Shape::OpenAt2 => machine::read_bytes(tid, arguments[2], 8)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_ne_bytes),
        Shape::Path
        | Shape::At
        | Shape::TwoPaths
        | Shape::TwoAt
        | Shape::TextThenPath
        | Shape::TextThenAt
        | Shape::Descriptor
        | Shape::TwoDescriptors => return ("", call.kind),
    };
    let has = |bit: libc::c_int| flags as libc::c_int & bit == bit;
    if has(libc::O_TMPFILE) {
        ("(O_TMPFILE)", Kind::Grows)
    } else if has(libc::O_CREAT) {
        ("(O_CREAT)", Kind::Grows)
    } else if has(libc::O_TRUNC) {
        ("(O_TRUNC)", Kind::Changes)
    } else {
        ("", Kind::Reads)
    }
}

fn paths(tid: Tid, shape: Shape, arguments: &[u64; 6]) -> Vec<Option<PathBuf>> {
    let plain = |at: usize| named(tid, libc::AT_FDCWD, arguments[at]);
    let beside = |dir: usize, at: usize| named(tid, arguments[dir] as libc::c_int, arguments[at]);
    match shape {
        Shape::Path | Shape::Open => vec![plain(0)],
        Shape::At | Shape::OpenAt | Shape::OpenAt2 => vec![beside(0, 1)],
        Shape::TwoPaths => vec![plain(0), plain(1)],
        Shape::TwoAt => vec![beside(0, 1), beside(2, 3)],
        Shape::TextThenPath => vec![plain(1)],
        Shape::TextThenAt => vec![beside(1, 2)],
        Shape::Descriptor => vec![opened(tid, arguments[0] as libc::c_int)],
        Shape::TwoDescriptors => {
            vec![opened(tid, arguments[0] as libc::c_int), opened(tid, arguments[2] as libc::c_int)]
        }
    }
}

fn named(tid: Tid, dir: libc::c_int, address: u64) -> Option<PathBuf> {
    let text = if address == 0 { Vec::new() } else { machine::read_text(tid, address).ok()? };
    let path = PathBuf::from(OsString::from_vec(text));
    if path.is_absolute() {
        return Some(tidy(&path));
    }
    let base =
        if dir == libc::AT_FDCWD { std::fs::read_link(format!("/proc/{tid}/cwd")).ok()? } else { opened(tid, dir)? };
    Some(tidy(&base.join(path)))
}

/// What a descriptor stands for; the kernel appends a word to the name of a file that is gone.
fn opened(tid: Tid, descriptor: libc::c_int) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/{tid}/fd/{descriptor}")).ok()?;
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Some(PathBuf::from(OsString::from_vec(bytes.to_vec())))
}

/// Without `.` and `..`, by spelling alone: the service follows no links below the bus.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                tidied.pop();
            }
            Component::RootDir | Component::Prefix(_) | Component::Normal(_) => tidied.push(part),
        }
    }
    tidied
}

fn relative(path: &Path, bus: &Path) -> String {
    match path.strip_prefix(bus) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => below.to_string_lossy().into_owned(),
        Err(_) => path.to_string_lossy().into_owned(),
    }
}

/// A path with everything that differs from run to run replaced by a word.
pub fn usual_spelling(path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(usual_part).collect();
    parts.join("/")
}

fn usual_part(part: &str) -> String {
    let bare = part.strip_prefix('.').unwrap_or(part);
    if uuid_length(bare.as_bytes()) == Some(bare.len()) {
        return part.replace(bare, "ROOM");
    }
    if is_hour(part) {
        return "HH".to_owned();
    }
    let mut spelled = String::new();
    let mut rest = part;
    while let Some(first) = rest.chars().next() {
        let (word, length) = replaced(rest).unwrap_or((None, first.len_utf8()));
        match word {
            Some(word) => spelled.push_str(word),
            None => spelled.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    spelled
}

/// The word for what `text` begins with, and how much of it that is. Runs of hexadecimal digits are taken whole.
fn replaced(text: &str) -> Option<(Option<&'static str>, usize)> {
    let bytes = text.as_bytes();
    if let Some(length) = uuid_length(bytes) {
        return Some((Some("TICKET"), length));
    }
    if is_day(bytes) {
        return Some((Some("DAY"), 10));
    }
    if text.starts_with(".tmp") && text.len() == 10 {
        return Some((Some(".tmpRANDOM"), 10)); // the `tempfile` crate's names
    }
    let hex = bytes.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    match (hex, digits) {
        (32, _) => Some((Some("TICKET"), 32)),
        (33.., _) => Some((Some("HASH"), hex)),
        (_, 10..) => Some((Some("MS"), digits)),
        (1.., _) => Some((None, hex)),
        (0, _) => None,
    }
}

fn uuid_length(bytes: &[u8]) -> Option<usize> {
    const LENGTH: usize = 36;
    let text = bytes.get(..LENGTH)?;
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let fits = text.iter().enumerate().all(|(at, b)| if dash(at) { *b == b'-' } else { b.is_ascii_hexdigit() });
    fits.then_some(LENGTH)
}

fn is_day(bytes: &[u8]) -> bool {
    let digit = |at: usize| if matches!(at, 4 | 7) { None } else { Some(at) };
    bytes.get(..10).is_some_and(|day| {
        day.iter().enumerate().all(|(at, b)| if digit(at).is_some() { b.is_ascii_digit() } else { *b == b'-' })
    })
}

/// An hour's folder of the archive. Terms are one digit long in a test, so two digits alone are an hour.
fn is_hour(part: &str) -> bool {
    part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())
}
