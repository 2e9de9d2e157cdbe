//! The file-system calls that the job cannot do without, in a loop and nothing else: claim rename; open, read, close; create,
//! write, close the staged reply; rename it to the inbox; rename the message to the archive.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Instant;

use super::figures::Floor;
use super::load;
use crate::cli::Failure;

/// More than this changes the figure no more.
const MESSAGES_MAX: u32 = 20_000;

pub fn measure(top: &Path, messages: u32, payload_bytes: usize) -> Result<Floor, Failure> {
    let folder = top.join("floor");
    let messages = messages.min(MESSAGES_MAX);
    let took = work(&folder, messages, payload_bytes).map_err(|error| Failure::io("measure in", &folder, &error))?;
    Ok(Floor { messages, us_per_message: took * 1e6 / f64::from(messages), per_second: f64::from(messages) / took })
}

/// Seconds for all of them.
fn work(top: &Path, messages: u32, payload_bytes: usize) -> io::Result<f64> {
    let [drop, room, inbox, archive] = ["drop", "room", "inbox", "archive"].map(|name| top.join(name));
    for folder in [&drop, &room, &inbox, &archive] {
        fs::create_dir_all(folder)?;
    }
    for number in 0..messages {
        fs::write(drop.join(load::file_name(number)), load::message(number, payload_bytes))?;
    }
    let mut text = Vec::new();
    let began = Instant::now();
    for number in 0..messages {
        let name = load::file_name(number);
        let claimed = room.join(&name);
        fs::rename(drop.join(&name), &claimed)?;
        text.clear();
        File::open(&claimed)?.read_to_end(&mut text)?;
        let staged = room.join(format!("+{name}"));
        File::create_new(&staged)?.write_all(&text)?;
        fs::rename(&staged, inbox.join(&name))?;
        fs::rename(&claimed, archive.join(&name))?;
    }
    Ok(began.elapsed().as_secs_f64())
}
