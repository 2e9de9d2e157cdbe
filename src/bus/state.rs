//! What extensions keep: `.postroom/state/<extension>/`, a file for each key, replaced by rename when the message that changed it is
//! published.
//!
//! A file is one line of JSON (format, key, version, who wrote it, length and checksum) and the value behind it. The version goes up by
//! one with every change. A deleted key leaves a tombstone: a file without a value, so that its versions go on, and a record that set
//! an earlier value is known to be overtaken.
//!
//! Absent on purpose: who may read or write a key, and whether a commit may be made; that is decided before anything comes here.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskError, Moved};
use super::error::BusError;
use super::layout;
use super::publish::make_with_parents;
use super::room::Room;

/// The version of the file format.
const FORMAT: u32 = 1;
/// A value is at most 1 MiB, by the contract of the extensions; the rest is for the line before it.
const MAX_BYTES: u64 = 2 << 20;

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub key: String,
    /// 1 for the first value, one more with every change, deletions included.
    pub version: u64,
    /// `<ticket>` and attempt of the message that wrote it, and when (Unix milliseconds).
    pub ticket: String,
    pub attempt: u32,
    pub at: u64,
    /// None: deleted.
    pub value: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    v: u32,
    key: std::borrow::Cow<'a, str>,
    version: u64,
    ticket: std::borrow::Cow<'a, str>,
    attempt: u32,
    at: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    bytes: usize,
    crc32: u32,
}

/// What is in the place of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    Value(Value),
    /// A file that cannot be understood: damaged, cut short, or of a later format.
    Damaged,
}

impl Value {
    /// The content of its file.
    pub fn encode(&self) -> Vec<u8> {
        let value = self.value.as_deref().unwrap_or_default();
        let head = Head {
            v: FORMAT,
            key: (&*self.key).into(),
            version: self.version,
            ticket: (&*self.ticket).into(),
            attempt: self.attempt,
            at: self.at,
            deleted: self.value.is_none(),
            bytes: value.len(),
            crc32: crc32fast::hash(value),
        };
        let mut text = serde_json::to_vec(&head).expect("our own types are always JSON");
        text.push(b'\n');
        text.extend_from_slice(value);
        text
    }

    /// Reads what [`Value::encode`] wrote; `None` if it is not that, or not all of it.
    pub fn decode(text: &[u8]) -> Option<Value> {
        let end = text.iter().position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(&text[..end]).ok()?;
        let value = &text[end + 1..];
        if head.v != FORMAT || value.len() != head.bytes || crc32fast::hash(value) != head.crc32 {
            return None;
        }
        Some(Value {
            key: head.key.into_owned(),
            version: head.version,
            ticket: head.ticket.into_owned(),
            attempt: head.attempt,
            at: head.at,
            value: (!head.deleted).then(|| value.to_vec()),
        })
    }
}

/// The value of a key.
pub fn read(disk: &Disk, extension: &str, key: &str) -> Result<Found, DiskError> {
    let found = read_file(disk, &layout::state_folder(extension).join(layout::state_name(key)))?;
    Ok(match found {
        Found::Value(value) if value.key != key => Found::Damaged,
        found => found,
    })
}

fn read_file(disk: &Disk, path: &Path) -> Result<Found, DiskError> {
    let Some(text) = disk.read(path, MAX_BYTES)? else { return Ok(Found::Nothing) };
    Ok(Value::decode(&text).map_or(Found::Damaged, Found::Value))
}

/// The version of the file at this path; 0 where there is none, or none that can be understood.
pub fn version_at(disk: &Disk, path: &Path) -> Result<u64, DiskError> {
    Ok(match read_file(disk, path)? {
        Found::Value(value) => value.version,
        Found::Nothing | Found::Damaged => 0,
    })
}

/// Calls `each` with every key of an extension that begins with `prefix` and has a value, in no order. What is damaged has no key.
pub fn each_key(disk: &Disk, extension: &str, prefix: &str, each: &mut dyn FnMut(String)) -> Result<(), DiskError> {
    let folder = layout::state_folder(extension);
    for entry in disk.list(&folder)? {
        let Some(name) = entry.name.to_str() else { continue };
        // A name that was cut says nothing about the end of its key, and a prefix may be longer than what is left of it.
        if layout::state_key(name).is_some_and(|key| !key.starts_with(prefix)) {
            continue;
        }
        if let Found::Value(Value { key, value: Some(_), .. }) = read_file(disk, &folder.join(name))?
            && key.starts_with(prefix)
        {
            each(key);
        }
    }
    Ok(())
}

/// Publishes a staged value by renaming it over the one before. A value of this version or a higher one is there: it was published
/// before, and what was staged again is removed.
pub(super) fn publish(disk: &Disk, room: &Room, staged: &Path, to: &Path, version: u64) -> Result<(), BusError> {
    if version_at(disk, to)? >= version {
        if !disk.remove_file(staged)? && !room.exists(disk)? {
            return Err(BusError::RoomGone);
        }
        return Ok(());
    }
    if disk.rename_over(staged, to)? == Moved::Done {
        return Ok(());
    }
    if !room.exists(disk)? {
        return Err(BusError::RoomGone);
    }
    if disk.stat(staged)?.is_none() {
        return Ok(());
    }
    // The first value of an extension, or a folder that was removed by hand.
    if let Some(folder) = to.parent() {
        make_with_parents(disk, folder)?;
    }
    match disk.rename_over(staged, to)? {
        Moved::Done => Ok(()),
        Moved::Taken | Moved::Gone => {
            Err(room.missing(disk, DiskError::new("rename to", to, rustix::io::Errno::NOENT)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(value: Option<&[u8]>) -> Value {
        Value {
            key: "a \"key\"\n".into(),
            version: 7,
            ticket: "t".into(),
            attempt: 2,
            at: 5,
            value: value.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn every_value_reads_back_and_a_deleted_one_is_not_an_empty_one() {
        for value in [value(Some(b"one\ntwo\0")), value(Some(b"")), value(None)] {
            assert_eq!(Value::decode(&value.encode()), Some(value));
        }
    }

    #[test]
    fn what_is_cut_short_or_changed_is_not_a_value() {
        let text = value(Some(b"0123456789")).encode();
        for cut in 0..text.len() {
            assert_eq!(Value::decode(&text[..cut]), None, "cut at {cut}");
        }
        let mut flipped = text.clone();
        *flipped.last_mut().expect("it is not empty") ^= 1;
        assert_eq!(Value::decode(&flipped), None);
        let later = String::from_utf8(text).expect("text").replacen("\"v\":1", "\"v\":2", 1);
        assert_eq!(Value::decode(later.as_bytes()), None, "a later format");
    }

    #[test]
    fn the_first_format_is_read_for_ever() {
        let text = b"{\"v\":1,\"key\":\"count\",\"version\":3,\"ticket\":\"0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11\",\
            \"attempt\":1,\"at\":1763683200000,\"bytes\":2,\"crc32\":1330857165}\n12";
        assert_eq!(Value::decode(text).and_then(|value| value.value), Some(b"12".to_vec()));
    }
}
