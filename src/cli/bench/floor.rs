//! The file-system calls that the job cannot do without, in a loop and nothing else: claim rename; open, read, close; create,
//! write, close the staged reply; rename it to the inbox; rename the message to the archive.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Instant;

use postroom::message::{Given, Message};

use super::figures::Floor;
use super::load::{self, Content};
use crate::cli::Failure;

/// More than this changes the figure no more.
const MESSAGES_MAX: u32 = 20_000;

pub fn measure(top: &Path, messages: u32, content: &Content) -> Result<Floor, Failure> {
    let folder = top.join("floor");
    let messages = messages.min(MESSAGES_MAX);
    let took = work(&folder, messages, content).map_err(|error| Failure::io("measure in", &folder, &error))?;
    let us_per_message = took * 1e6 / f64::from(messages);
    let strict_parse_us = strict_parse_us(content);
    Ok(Floor { messages, us_per_message, per_second: f64::from(messages) / took, strict_parse_us })
}

/// The median of many parses of one message, in microseconds.
fn strict_parse_us(content: &Content) -> f64 {
    let text = content.message(0).into_bytes();
    let given = Given { file_identity: (0, 0), now_ms: 0 };
    let mut times: Vec<f64> = (0..101)
        .map(|_| {
            let bytes = text.clone();
            let began = Instant::now();
            let parsed = std::hint::black_box(Message::parse(bytes, given));
            let took = began.elapsed().as_secs_f64() * 1e6;
            drop(parsed);
            took
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Seconds for all of them.
fn work(top: &Path, messages: u32, content: &Content) -> io::Result<f64> {
    let [drop, room, inbox, archive] = ["drop", "room", "inbox", "archive"].map(|name| top.join(name));
    for folder in [&drop, &room, &inbox, &archive] {
        fs::create_dir_all(folder)?;
    }
    for number in 0..messages {
        fs::write(drop.join(load::file_name(number)), content.message(number))?;
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
