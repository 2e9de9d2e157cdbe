//! A small program with known steps, for the tests of the tracer: this test binary itself, started with a variable set.
//!
//! It runs from the loader's list of initialisers, before the test harness begins, so that no test has to be one.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that names the part to play; [`FOLDER`] names where.
const PART: &str = "POSTROOM_TEST_STAND_IN";
const FOLDER: &str = "POSTROOM_TEST_STAND_IN_FOLDER";

/// What the stand-in does.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// One message through a room, by one thread: see [`line`].
    Line,
    /// Four threads, each with a file of its own.
    Threads,
    /// Tries to write until it can.
    Stubborn,
    /// Never ends.
    Forever,
}

impl Part {
    const ALL: [Self; 4] = [Self::Line, Self::Threads, Self::Stubborn, Self::Forever];

    fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Threads => "threads",
            Self::Stubborn => "stubborn",
            Self::Forever => "forever",
        }
    }

    /// The command that plays this part in `folder`.
    pub fn command(self, folder: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("a test binary knows its path"));
        command.env(PART, self.name()).env(FOLDER, folder);
        command
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let (Some(part), Some(folder)) = (std::env::var_os(PART), std::env::var_os(FOLDER)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let part = Part::ALL.into_iter().find(|known| part == OsStr::new(known.name()));
    let done = match part.expect("a part that the stand-in knows") {
        Part::Line => line(&folder),
        Part::Threads => threads(&folder),
        Part::Stubborn => stubborn(&folder),
        Part::Forever => loop {
            std::thread::park();
        },
    };
    match done {
        Ok(()) => std::process::exit(0),
        Err(why) => {
            eprintln!("{why}");
            std::process::exit(why.raw_os_error().unwrap_or(255));
        }
    }
}

/// Takes `a.json` into a room, writes a reply of ten bytes beside it, syncs it, publishes it, and files the message.
fn line(bus: &Path) -> io::Result<()> {
    println!("printing is not a step");
    let room = bus.join("processing/1/0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11");
    let claimed = room.join("1.0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e12~a.json");
    fs::create_dir_all(&room)?;
    fs::rename(bus.join("a.json"), &claimed)?;
    let mut staged = File::create_new(room.join("reply"))?;
    staged.write_all(b"0123456789")?;
    staged.sync_data()?;
    fs::rename(room.join("reply"), bus.join("a.reply.json"))?;
    fs::remove_file(&claimed)?;
    fs::remove_dir(&room)
}

fn threads(bus: &Path) -> io::Result<()> {
    let work = |name: String| {
        let path = bus.join(name);
        (0..20).try_for_each(|_| fs::write(&path, "x").and_then(|()| fs::remove_file(&path)))
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..4).map(|at| scope.spawn(move || work(format!("thread-{at}")))).collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("the stand-in's threads do not panic"))
    })
}

fn stubborn(bus: &Path) -> io::Result<()> {
    loop {
        match fs::write(bus.join("kept"), "all of it") {
            Ok(()) => return Ok(()),
            Err(why) if why.raw_os_error() == Some(libc::ENOSPC) => std::thread::yield_now(),
            Err(why) => return Err(why),
        }
    }
}
