//! What a person at a terminal sees, on a pseudo-terminal of 80 columns, and what a pipe gets instead.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::{Command, Stdio};

use super::runner::{Bus, message, program};

const COLUMNS: u16 = 80;

/// The two ends of a terminal: what a program writes into one, the other shows.
fn terminal() -> (File, OwnedFd) {
    let size = libc::winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: two places for descriptors and a size; no name and no settings are asked for.
    let opened = unsafe { libc::openpty(&mut ours, &mut theirs, std::ptr::null_mut(), std::ptr::null_mut(), &size) };
    assert_eq!(opened, 0, "a pseudo-terminal");
    // SAFETY: openpty has just made both; nobody else has them.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

/// Runs a program on a terminal; its exit code, and what the terminal shows.
fn on_terminal(mut command: Command) -> (i32, String) {
    let (ours, theirs) = terminal();
    command.stdout(theirs.try_clone().expect("a copy")).stderr(theirs);
    let (code, shown, _) = run(command, ours);
    (code, shown)
}

/// Runs a program whose terminal is the other end of `ours`; its exit code, what the terminal shows, and what a pipe got.
fn run(mut command: Command, mut ours: File) -> (i32, String, String) {
    let child = command.spawn().expect("started");
    // The other end is closed when the program has ended, which reading says with an error.
    drop(command);
    let reading = std::thread::spawn(move || {
        let mut seen = Vec::new();
        let _ = ours.read_to_end(&mut seen);
        seen
    });
    let done = child.wait_with_output().expect("ended");
    let seen = String::from_utf8(reading.join().expect("read")).expect("UTF-8");
    let piped = String::from_utf8(done.stdout).expect("UTF-8");
    (done.status.code().unwrap_or(-1), seen.replace("\r\n", "\n"), piped)
}

fn asks(bus: &Bus, arguments: &[&str]) -> Command {
    let mut command = program(bus.workspace());
    command.env_remove("COLUMNS").env("TERM", "xterm").args(arguments);
    command
}

/// What the terminal shows of a command that must end well, without its colours.
fn screen(bus: &Bus, arguments: &[&str]) -> String {
    let (code, shown) = on_terminal(asks(bus, arguments));
    assert_eq!(code, 0, "{shown}");
    regex_lite::Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern").replace_all(&shown, "").into_owned()
}

/// Names as long as they may be, and as many recipients.
fn crowded() -> Bus {
    let bus = Bus::new();
    let long = "n".repeat(128);
    let many: Vec<String> = (0..64).map(|n| format!("\"recipient-{n}\"")).collect();
    bus.deliver(&long, "a.json", &message("a", &long));
    bus.drop_text("1.json", &message(&"i".repeat(128), &"u".repeat(128)));
    bus.drop_text(
        "2.json",
        &format!(
            r#"{{"id":"m","sender":"{long}","recipient":[{}],"action":"a","notBefore":4102444800000}}"#,
            many.join(",")
        ),
    );
    bus.run(&["serve", "--once"]).ok();
    bus.drop_text("3.json", &message(&"d".repeat(128), &long));
    bus
}

#[test]
fn tables_stay_within_a_terminal_and_are_whole_in_a_pipe() {
    let bus = crowded();
    let ticket = bus.dead_letters(1)[0]["ticket"].as_str().expect("a ticket").to_owned();
    for command in [&["list"][..], &["agents"], &["dead-letter", "list"], &["tail", "--no-follow"]] {
        let shown = screen(&bus, command);
        let table = shown.lines().filter(|line| line.contains("  "));
        for line in table {
            assert!(line.chars().count() <= usize::from(COLUMNS), "{command:?}: {line}");
        }
        let piped = bus.run(command).ok().out;
        assert!(piped.lines().any(|line| line.chars().count() > usize::from(COLUMNS)), "{command:?}: {piped}");
        // Of very long fields even a pipe gets the start only, but of each.
        let may_cut = command[0] == "list" || command[0] == "tail";
        assert!(!piped.contains('…') || may_cut, "{command:?}: {piped}");
    }
    let reason = format!("unknown-recipient: nobody is known as \"{}\"", "u".repeat(128));
    assert!(screen(&bus, &["trace", &ticket]).contains(&reason), "what a list cuts, trace says in full");
    assert!(screen(&bus, &["dead-letter", "list"]).contains(&ticket), "a ticket is needed whole");
    let inbox = |shown: String| shown.lines().find(|line| line.starts_with("inbox ")).expect("the line").to_owned();
    assert!(inbox(screen(&bus, &["status"])).chars().count() <= usize::from(COLUMNS));
    assert!(inbox(bus.run(&["status"]).ok().out).ends_with(&format!("{} 1", "n".repeat(128))));
}

/// An id of a program's own and a code are of no use in part; of a file that is no message the name is shown that it was given.
#[test]
fn a_narrow_list_keeps_what_names_a_message_and_what_became_of_it() {
    let bus = Bus::new();
    let id = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11";
    bus.drop_text("1.json", &message(id, &"u".repeat(128)));
    bus.run(&["serve", "--once"]).ok();
    for command in [&["list"][..], &["dead-letter", "list"]] {
        let shown = screen(&bus, command);
        let line = shown.lines().find(|line| line.contains(id)).unwrap_or_else(|| panic!("{command:?}: {shown}"));
        assert!(line.contains("  unknown-recipient") && line.chars().count() <= usize::from(COLUMNS), "{line}");
    }
    bus.drop_text("no-message.json", "{");
    bus.run(&["serve", "--once"]).ok();
    let letters = bus.dead_letters(2);
    let screens = [screen(&bus, &["list"]), screen(&bus, &["dead-letter", "list"])];
    assert!(screens[0].contains("  no-message.json ") && screens[0].contains("  malformed-json"), "{}", screens[0]);
    for letter in letters {
        // Whichever there is: `dead-letter show` takes both.
        let (id, ticket) = (letter["why"]["id"].as_str(), letter["ticket"].as_str().expect("a ticket"));
        assert!(screens[1].contains(id.unwrap_or(ticket)), "{}", screens[1]);
    }
    assert!(screens[1].contains("  malformed-json ") && screens[1].contains("  no-message."), "{}", screens[1]);
    assert!(bus.run(&["dead-letter", "list"]).ok().out.contains("  no-message.json "));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let bus = crowded();
    for command in [&["list"][..], &["status"], &["doctor"], &["--help"], &["list", "nowhere"]] {
        let (_, coloured) = on_terminal(asks(&bus, command));
        assert!(coloured.contains("\u{1b}["), "{command:?}: {coloured:?}");
        for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let mut plain = asks(&bus, command);
            plain.env(name, value);
            let (_, plain) = on_terminal(plain);
            assert!(!plain.is_empty() && !plain.contains('\u{1b}'), "{name} {command:?}: {plain:?}");
        }
        let mut log = asks(&bus, command);
        log.env("TERM", "dumb").env("CI", "true");
        assert!(on_terminal(log).1.contains("\u{1b}["), "the log of a build server: {command:?}");
    }
}

/// As of `postroom list | head -1`, whose end the program may meet at its first write.
#[test]
fn a_reader_that_goes_early_is_no_matter_to_speak_of() {
    let bus = crowded();
    for command in PRINTING {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = asks(&bus, command).stdout(writer).stderr(Stdio::piped()).output().expect("ran");
        let said = String::from_utf8(ran.stderr).expect("UTF-8");
        assert_eq!((ran.status.code(), said.as_str()), (Some(1), ""), "{command:?}");
    }
}

#[test]
fn a_full_disk_is_said_and_counts() {
    let bus = crowded();
    for command in PRINTING.into_iter().chain([&["--help"][..], &["--version"], &["help", "send"]]) {
        let full = File::options().write(true).open("/dev/full").expect("open");
        let ran = asks(&bus, command).stdout(full).stderr(Stdio::piped()).output().expect("ran");
        let said = String::from_utf8(ran.stderr).expect("UTF-8");
        assert_eq!(ran.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("cannot write to the standard output: No space left on device"), "{command:?}: {said}");
    }
}

/// Commands that print something on the bus of [`crowded`].
const PRINTING: [&[&str]; 11] = [
    &["schema"],
    &["completions", "bash"],
    &["init"],
    &["status"],
    &["agents"],
    &["list"],
    &["list", "--json"],
    &["tail", "--no-follow"],
    &["dead-letter", "list"],
    &["doctor"],
    &["send", "--to", "a", "--action", "a"],
];

#[test]
fn progress_is_for_a_terminal() {
    let bus = Bus::new();
    let bench = ["bench", "--dir", ".", "--mode", "idle", "--messages", "20", "--durability", "process"];
    let (ours, theirs) = terminal();
    let mut command = asks(&bus, &bench);
    command.stdout(Stdio::piped()).stderr(theirs);
    let (code, shown, piped) = run(command, ours);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("idle") && shown.contains("/20"), "{shown:?}");
    let fraction = regex_lite::Regex::new(r"[.,][0-9]+/s").expect("a pattern");
    assert!(shown.contains("/s ") && !fraction.is_match(&shown), "a rate is a whole number: {shown:?}");
    assert!(piped.contains("idle") && !piped.contains("/20"), "the figures go where the bar does not: {piped:?}");
    let ran = bus.run(&bench).ok();
    assert!(!ran.err.contains("/20") && !ran.err.contains('\u{1b}'), "{ran:?}");
}

/// What is said meanwhile stands on lines of its own above the bar.
#[test]
fn much_to_do_shows_how_far_it_is() {
    let bus = Bus::new();
    for n in 0..120 {
        bus.drop_text(&format!("{n}.json"), &message(&format!("m{n}"), "nobody"));
    }
    let once = ["serve", "--once"];
    let (code, shown) = on_terminal(asks(&bus, &once));
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("messages ") && shown.contains("/120 "), "{shown:?}");
    let said = shown.lines().find(|line| line.contains("active on")).expect("a notice");
    assert!(!said.split("active on").nth(1).expect("its end").contains("/120"), "{said:?}");
    let (code, shown) = on_terminal(asks(&bus, &["dead-letter", "retry", "--all"]));
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("dead letters ") && shown.contains("120 dead letters tried again"), "{shown:?}");
    assert!(!shown.contains("active on") && !shown.contains("stopped"), "{shown:?}");
    for n in 0..120 {
        bus.drop_text(&format!("{n}.json"), &message(&format!("n{n}"), "nobody"));
    }
    assert!(!bus.run(&once).ok().err.contains("/120"), "nobody watches a pipe");
    bus.drop_text("one.json", &message("one", "nobody"));
    assert!(!on_terminal(asks(&bus, &once)).1.contains("/1 "), "one message is no wait");
}
