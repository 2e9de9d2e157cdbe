//! What a message in an inbox is called while one of several consumers has it: `.<name>~<uuid>.leased`. To lease is a rename to that
//! name, to give back is the rename to the plain one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::disk::{Disk, DiskError, Moved};
use super::layout;

const END: &str = ".leased";
/// What a name may have, in bytes, so that with the marks of a lease no file system finds it too long (255).
const PLAIN_MAX: usize = 255 - 1 - 1 - 36 - END.len();

/// The name that a message has under this lease. The names of replies between long ids leave no room for a lease: such a name is
/// cut, and given back it stays cut.
pub fn leased(plain: &str, lease: Uuid) -> String {
    format!(".{}~{lease}{END}", cut(plain))
}

/// The plain name and the lease of a leased message's name.
pub fn parse(name: &OsStr) -> Option<(&str, Uuid)> {
    let (plain, lease) = name.to_str()?.strip_prefix('.')?.strip_suffix(END)?.rsplit_once('~')?;
    let lease = Uuid::parse_str(lease).ok()?;
    plain.ends_with(".json").then_some((plain, lease))
}

/// Gives a leased message its plain name back, or the next number of it that is free: nothing is replaced. `None`: the lease has run out, or is
/// acknowledged.
pub fn give_back(disk: &Disk, leased: &Path, plain: &Path) -> Result<Option<PathBuf>, DiskError> {
    let stem = plain.file_stem().unwrap_or_default().to_string_lossy();
    let (mut to, mut number) = (plain.to_owned(), 1);
    loop {
        match disk.rename_new(leased, &to)? {
            Moved::Done => return Ok(Some(to)),
            Moved::Gone => return Ok(None),
            Moved::Taken => {}
        }
        number =
            layout::next_number(1, number).ok_or_else(|| DiskError::new("rename to", &to, rustix::io::Errno::EXIST))?;
        to = plain.with_file_name(layout::delivery_name(&stem, number));
    }
}

fn cut(plain: &str) -> String {
    if plain.len() <= PLAIN_MAX {
        return plain.to_owned();
    }
    let stem = plain.strip_suffix(".json").unwrap_or(plain);
    let mut end = PLAIN_MAX - ".json".len();
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}.json", &stem[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: &str = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11";

    #[test]
    fn a_lease_tells_what_it_was() {
        let plain = |name: String| parse(OsStr::new(&name)).map(|(plain, lease)| (plain.to_owned(), lease.to_string()));
        assert_eq!(plain(format!(".a~2.json~{LEASE}.leased")), Some(("a~2.json".to_owned(), LEASE.to_owned())));
        assert_eq!(plain(format!(".a.json~{LEASE}.tmp")), None);
        assert_eq!(plain(".a.json~x.leased".into()), None);
        assert_eq!(plain(format!("a.json~{LEASE}.leased")), None);
    }

    #[test]
    fn a_message_that_is_given_back_replaces_nothing() {
        let top = tempfile::tempdir().expect("a folder");
        let disk = Disk::open(top.path()).expect("opened");
        for name in ["leased", "a.json", "a~2.json"] {
            std::fs::write(top.path().join(name), name).expect("written");
        }
        let back = || give_back(&disk, Path::new("leased"), Path::new("a.json")).expect("renamed");
        assert_eq!((back(), back()), (Some(PathBuf::from("a~3.json")), None));
        assert_eq!(std::fs::read_to_string(top.path().join("a~2.json")).expect("there"), "a~2.json");
    }

    #[test]
    fn a_name_is_cut_only_where_it_must_be_and_reads_back() {
        let lease = Uuid::parse_str(LEASE).expect("a UUID");
        for (long, cut) in [("x".repeat(205), false), ("x".repeat(206), true), ("\u{e9}".repeat(120), true)] {
            let plain = format!("{long}.json");
            let name = leased(&plain, lease);
            assert!(name.len() <= 255, "{}", name.len());
            let (read, of) = parse(OsStr::new(&name)).expect("a lease");
            assert_eq!((read != plain, of), (cut, lease));
            assert!(long.starts_with(read.strip_suffix(".json").expect("a message's name")));
        }
    }
}
