//! The subcommand: `postroom text`. It reads its standard input and has no other access to the machine.

use crate::exports::postroom::extension::cli::Subcommand;
use crate::postroom::extension::console;
use crate::{count, merge, pointer, problem::Problem};

/// How much is read at a time.
const CHUNK_BYTES: u32 = 64 << 10;

const DONE: u8 = 0;
/// The input is not what it must be, or there is nothing where the pointer leads.
const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;

const USAGE: &str = "\
postroom text count < FILE          lines, words, characters and bytes
postroom text pick POINTER < FILE   the value that a JSON Pointer (RFC 6901) leads to, as it stands there
postroom text merge PATCH < FILE    the JSON of FILE, changed as a JSON Merge Patch says (RFC 7396)

Ends with 1 where FILE is not JSON or there is nothing at POINTER, with 2 where the arguments are wrong.
";

pub fn spec() -> Subcommand {
    Subcommand { name: "text".into(), about: "Counts words, picks values out of JSON, merges JSON".into(), usage: USAGE.into() }
}

pub fn run(arguments: &[String]) -> u8 {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["count"] => input().map(|text| counted(&text)),
        ["pick", pointer] => {
            input().and_then(|text| pointer::pick(&text, pointer).map(str::to_owned).map_err(sentence))
        }
        ["merge", patch] => input().and_then(|text| merge::merged(&text, patch).map_err(sentence)),
        _ => {
            console::print_error(USAGE);
            return WRONG_USAGE;
        }
    };
    match done {
        Ok(line) => {
            console::print(&format!("{line}\n"));
            DONE
        }
        Err(sentence) => {
            console::print_error(&format!("error: {sentence}\n"));
            FAILED
        }
    }
}

fn counted(text: &str) -> String {
    let count::Counts { characters, words, lines, bytes } = count::of(text);
    format!("lines {lines}, words {words}, characters {characters}, bytes {bytes}")
}

fn input() -> Result<String, String> {
    let mut bytes = Vec::new();
    loop {
        let more = console::read(CHUNK_BYTES);
        if more.is_empty() {
            return String::from_utf8(bytes).map_err(|error| format!("the input is not UTF-8: {error}"));
        }
        bytes.extend(more);
    }
}

fn sentence(problem: Problem) -> String {
    match problem {
        Problem::NotJson(text) | Problem::NotAPointer(text) | Problem::NothingThere(text) => text,
    }
}
