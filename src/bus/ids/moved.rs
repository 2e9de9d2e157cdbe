//! Which days have their ids in the file of another day: a clock was ahead, and what was filed under a day yet to come got the name of
//! the day on which that was known.
//!
//! The journal of such a day stays where it is. Without this, its ids would be made anew from it by the next service, in a file that is
//! read last; and what it says of an id is older than what has been said since.
//!
//! `.postroom/ids/<day>.as` has the day in whose file they are now. Invariant: that day is an earlier one, so there is no circle.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};

use super::{BusError, Disk, path_of, time};
use crate::bus::disk::Sync;

const END: &str = ".as";

/// The day that a file of this name is about.
pub fn day_of(name: &str) -> Option<&str> {
    name.strip_suffix(END).filter(|day| time::is_day(day))
}

fn name_of(day: &str) -> String {
    format!("{day}{END}")
}

/// Says that the ids of `day` are in the file of `today`. Said before they are: a day that has a file of its own is looked for nowhere else.
pub fn remember(disk: &Disk, day: &str, today: &str) -> Result<(), BusError> {
    forget(disk, day)?;
    Ok(disk.create(&path_of(&name_of(day)), &[today.as_bytes(), b"\n"], Sync::Now)?)
}

pub fn forget(disk: &Disk, day: &str) -> Result<(), BusError> {
    disk.remove_file(&path_of(&name_of(day)))?;
    Ok(())
}

/// Where the ids of each day are that are not in a file of its own.
#[derive(Debug)]
pub struct MovedDays(HashMap<String, String>);

impl MovedDays {
    /// `there`: the names of the files of ids. What cannot be understood says nothing: that day is made anew, as any other.
    pub fn read(disk: &Disk, there: &HashSet<OsString>) -> Result<MovedDays, BusError> {
        let mut moved = HashMap::new();
        let days = there.iter().filter_map(|name| day_of(name.to_str()?));
        for day in days.filter(|day| !there.contains(OsStr::new(day))) {
            let text = match disk.read(&path_of(&name_of(day)), 64) {
                Err(error) if error.is_shortage() => return Err(error.into()),
                read => read.ok().flatten().unwrap_or_default(),
            };
            let to = String::from_utf8_lossy(&text).trim_end().to_owned();
            if time::is_day(&to) && to.as_str() < day {
                moved.insert(day.to_owned(), to);
            }
        }
        Ok(MovedDays(moved))
    }

    /// The day whose file has the ids of this one.
    pub fn home<'a>(&'a self, day: &'a str) -> &'a str {
        let mut home = day;
        while let Some(to) = self.0.get(home) {
            home = to;
        }
        home
    }

    /// The days whose ids are in the file of this one, in the order in which they came there: each time the file got the name of an
    /// earlier day, it had none yet.
    pub fn guests(&self, home: &str) -> Vec<&str> {
        let mut guests: Vec<&str> = self.0.keys().map(String::as_str).filter(|day| self.home(day) == home).collect();
        guests.sort_unstable_by(|one, other| other.cmp(one));
        guests
    }
}
