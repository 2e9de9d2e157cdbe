//! Where finished messages go now: `archive/<day>/<hour>/`, and `<hour>.1/`, `<hour>.2/` once a folder has grown large.
//!
//! Days do not go back while the clock is not believed: what a clock that stands at 1970 for a minute after the machine was started puts
//! under that date would be taken for very old as soon as it goes right.
//!
//! ext4 gets slow with a million names in one folder; a new one costs nothing. What a folder holds is told by its size, so that
//! nothing has to be counted or listed.

use std::path::Path;

use crate::bus::{BusError, Disk, layout, time};

/// A folder of this many bytes is full: about 40,000 archived messages on ext4.
const FULL: i64 = 4 << 20;
/// The folder is looked at again after so many messages.
const LOOK_EVERY: u32 = 4096;

#[derive(Debug, Default)]
pub struct Calendar {
    hour_number: u64,
    belief: Belief,
    /// The last day of which there is something in the archive.
    newest: String,
    part: u32,
    archived: u32,
    pub day: String,
    pub hour: String,
}

/// Is what the clock says of the date to be believed?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Belief {
    #[default]
    Sure,
    /// It was set, or says what the bus does not bear out.
    Doubtful,
}

impl Calendar {
    /// `newest`: the last day of which there is something in the archive.
    pub fn begin(newest: Option<String>) -> Calendar {
        Calendar { newest: newest.unwrap_or_default(), ..Calendar::default() }
    }

    /// Sets day and hour (UTC); they are formatted once an hour.
    pub fn set(&mut self, ms: u64, belief: Belief) {
        let hour_number = ms / 3_600_000;
        if self.day.is_empty() || (hour_number, belief) != (self.hour_number, self.belief) {
            let today = time::day(ms);
            let newest = self.newest.clone().max(today.clone());
            let day = match belief {
                Belief::Sure => today,
                Belief::Doubtful => newest.clone(),
            };
            *self = Calendar { hour_number, belief, newest, day, hour: time::hour(ms), ..Calendar::default() };
        }
    }

    /// One more message goes into this hour's folder.
    pub fn archived(&mut self) {
        self.archived = self.archived.wrapping_add(1);
    }

    /// Takes the next folder of this hour when the last one is full.
    pub fn choose_folder(&mut self, disk: &Disk) -> Result<(), BusError> {
        if self.archived > 0 && self.archived < LOOK_EVERY {
            return Ok(());
        }
        let hour = time::hour(self.hour_number * 3_600_000);
        loop {
            let name = match self.part {
                0 => hour.clone(),
                part => format!("{hour}.{part}"),
            };
            let size = disk.stat(&Path::new(layout::ARCHIVE).join(&self.day).join(&name))?.map(|stat| stat.st_size);
            self.hour = name;
            if size.is_none_or(|size| size < FULL) {
                self.archived = 1;
                return Ok(());
            }
            self.part += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_folder_is_followed_by_the_next() {
        let top = tempfile::tempdir().expect("a folder");
        let disk = Disk::open(top.path()).expect("opened");
        let mut calendar = Calendar::default();
        calendar.set(1_763_683_200_000, Belief::Sure);
        calendar.choose_folder(&disk).expect("looked");
        assert_eq!((calendar.day.as_str(), calendar.hour.as_str()), ("2025-11-21", "00"));
        // A sparse file stands for a folder of that size.
        let day = top.path().join("archive/2025-11-21");
        std::fs::create_dir_all(&day).expect("made");
        let large = std::fs::File::create(day.join("00")).expect("made");
        large.set_len(FULL as u64).expect("set");
        (0..LOOK_EVERY).for_each(|_| calendar.archived());
        calendar.choose_folder(&disk).expect("looked");
        assert_eq!(calendar.hour, "00.1");
        calendar.set(1_763_686_800_000, Belief::Sure);
        calendar.choose_folder(&disk).expect("looked");
        assert_eq!(calendar.hour, "01");
    }

    #[test]
    fn a_day_goes_back_only_with_a_clock_that_is_believed() {
        let mut calendar = Calendar::begin(Some("2025-11-21".to_owned()));
        let mut day = |ms: u64, belief| {
            calendar.set(ms, belief);
            (calendar.day.clone(), calendar.hour.clone())
        };
        let at = |day: &str, hour: &str| (day.to_owned(), hour.to_owned());
        assert_eq!(day(3_600_000, Belief::Doubtful), at("2025-11-21", "01"));
        assert_eq!(day(1_763_769_600_000, Belief::Doubtful), at("2025-11-22", "00"));
        assert_eq!(day(1_763_769_599_999, Belief::Doubtful), at("2025-11-22", "23"), "a step back over midnight");
        assert_eq!(day(1_763_769_599_999, Belief::Sure), at("2025-11-21", "23"));
    }
}
