//! Subcommands that extensions add: `postroom NAME ARGUMENTS` where NAME is none of ours. What the lock file says of files that it knows is
//! believed; a file that it does not know is looked at if it exports a subcommand.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};
use postroom::extension::install::Place;
use postroom::extension::lock_file::LockFile;
use postroom::extension::{Command, Console, ExtensionHost};

use super::ext::place;
use super::workspace::folder;
use super::{Cli, Exit, Failure, Global, print, text};

/// A subcommand, and whose it is.
struct Offered {
    extension: String,
    command: Command,
}

/// Runs the subcommand of an extension. None: nobody has one of this name.
pub fn run(command_line: impl IntoIterator<Item = OsString>) -> Result<Option<Exit>, Failure> {
    let any = Cli::command().allow_external_subcommands(true);
    let Ok(matches) = any.try_get_matches_from(command_line) else { return Ok(None) };
    let (Ok(global), Some((name, rest))) = (Global::from_arg_matches(&matches), matches.subcommand()) else {
        return Ok(None);
    };
    let arguments: Vec<&OsString> = rest.get_many("").unwrap_or_default().collect();
    // Without a workspace there are no extensions, and the name is simply unknown.
    let Ok(bus) = folder(global.bus()) else { return Ok(None) };
    let place = place::at(&bus)?;
    let Some(offered) = offered(&place)?.into_iter().find(|offered| offered.command.name == name) else {
        return lost(&place, name).map_or(Ok(None), Err);
    };
    if arguments.first().is_some_and(|first| *first == "--help" || *first == "-h") {
        print::text(&help(&offered))?;
        return Ok(Some(Exit::Ok));
    }
    let wrong = |_| Failure::new(Exit::Usage, "an argument of a subcommand must be UTF-8");
    let arguments: Result<Vec<String>, Failure> =
        arguments.iter().map(|argument| (*argument).clone().into_string().map_err(wrong)).collect();
    call(&place, &offered, arguments?).map(Some)
}

fn call(place: &Place, offered: &Offered, arguments: Vec<String>) -> Result<Exit, Failure> {
    let name = &offered.extension;
    place::runtime()?.block_on(async {
        let (host, broken) = place.host().await?;
        if let Some(broken) = broken.into_iter().find(|broken| broken.name == *name) {
            let what = format!("{} cannot be used: {}", text::field(name), text::sentence(&broken.reason));
            return Err(Failure::new(Exit::Failure, what).with_hint("see `postroom ext check`"));
        }
        answer(&host, name, arguments).await
    })
}

async fn answer(host: &ExtensionHost, name: &str, arguments: Vec<String>) -> Result<Exit, Failure> {
    match host.command(name, arguments, Arc::new(Terminal)).await {
        Ok(code) => Ok(Exit::OfExtension(code)),
        Err(failure) => {
            let why = text::sentence(&failure.message);
            Err(Failure::new(Exit::Failure, format!("the subcommand of {} was ended: {why}", text::field(name))))
        }
    }
}

fn help(Offered { extension, command }: &Offered) -> String {
    let usage = text::lines(command.usage.trim_end());
    let about = text::field(&command.about);
    format!("{about}\n\n{usage}\n\n(a subcommand of the extension {})\n", text::field(extension))
}

/// The subcommands of the installed extensions that are not hidden behind one of ours or another's, by name of the extension.
fn offered(place: &Place) -> Result<Vec<Offered>, Failure> {
    let built_in = place::built_in();
    let mut offered: Vec<Offered> = Vec::new();
    for (extension, command) in place::runtime()?.block_on(place.subcommands())? {
        let is_taken =
            built_in.contains(&command.name) || offered.iter().any(|other| other.command.name == command.name);
        if !is_taken {
            offered.push(Offered { extension, command });
        }
    }
    Ok(offered)
}

/// Nobody has it now. Who had it when the lock file was written?
fn lost(place: &Place, subcommand: &str) -> Option<Failure> {
    let lock = LockFile::of_folder(&place.folder);
    let had = |command: &Command| command.name == subcommand;
    let (name, _) = lock.extensions.iter().find(|(_, locked)| locked.subcommand.as_ref().is_some_and(had))?;
    let name = text::field(name);
    let what = format!("{} was a subcommand of {name}, whose file has changed or is gone", text::field(subcommand));
    Some(Failure::new(Exit::Failure, what).with_hint("see `postroom ext check`"))
}

/// Our own command line with the subcommands of the extensions of the nearest workspace, to say what there is.
pub fn augmented() -> clap::Command {
    let named = std::env::var_os("POSTROOM_BUS").map(PathBuf::from);
    let place = folder(named.as_deref()).ok().and_then(|bus| place::at(&bus).ok());
    let mut command = Cli::command();
    // What cannot be found out is not listed; the command that meets it says why.
    let all = place.and_then(|place| offered(&place).ok()).unwrap_or_default();
    for Offered { extension, command: offered } in all {
        let about = format!("{} [extension {}]", text::field(&offered.about), text::field(&extension));
        let of_extension = clap::Command::new(offered.name).about(about).override_help(text::lines(&offered.usage));
        command = command.subcommand(of_extension);
    }
    command
}

/// The standard streams. On a terminal no character of a guest acts on it.
struct Terminal;

impl Console for Terminal {
    fn print(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        // A reader that has gone is no matter of the extension's.
        let _ = stdout.write_all(fit(text, stdout.is_terminal()).as_bytes()).and_then(|()| stdout.flush());
    }

    fn print_error(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(fit(text, stderr.is_terminal()).as_bytes());
    }

    fn read(&self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        // An input that cannot be read is at its end.
        let read = std::io::stdin().lock().read(&mut bytes).unwrap_or(0);
        bytes.truncate(read);
        bytes
    }
}

/// Text as it is, or with everything but line breaks and tabs made visible.
fn fit(text: &str, is_terminal: bool) -> String {
    if !is_terminal {
        return text.to_owned();
    }
    let parts = text.split_inclusive(['\n', '\t']);
    parts
        .map(|part| match part.strip_suffix(['\n', '\t']) {
            Some(before) => text::all(before) + &part[before.len()..],
            None => text::all(part),
        })
        .collect()
}

/// Does the answer list the subcommands? Then those of the extensions belong to it.
pub fn lists_commands(answer: &clap::Error) -> bool {
    use clap::error::ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, InvalidSubcommand};
    matches!(answer.kind(), DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand | InvalidSubcommand)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_sees_no_escapes_a_pipe_what_was_said() {
        let text = "a\tb\n\u{1b}[2J\r\n\n";
        assert_eq!(fit(text, true), "a\tb\n\\u{1b}[2J\\u{d}\n\n");
        assert_eq!(fit(text, false), text);
    }
}
