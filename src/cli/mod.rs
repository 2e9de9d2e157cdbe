//! The command line: one file per subcommand. Errors become text, hints and exit codes here and nowhere else; what a stranger
//! wrote reaches a terminal only through [`text`].
//!
//! A command is a struct of its options with a `run`. A new one is one file, one line in [`Command`] and one in [`Cli::run`].

mod agents;
mod bench;
mod call;
mod completions;
mod dead_letter;
mod demo;
mod doctor;
mod drop;
mod exit;
mod ext;
mod failure;
mod foreign;
mod init;
mod lease;
mod letter;
mod list;
mod print;
mod recv;
mod request;
mod schema;
mod send;
mod serve;
mod signals;
mod status;
mod table;
mod tail;
mod text;
mod trace;
mod units;
mod wait;
mod workspace;

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser, Subcommand};

pub use exit::Exit;
pub use failure::Failure;
use print::Format;
use workspace::Workspace;

/// The message bus that lives in a folder: drop a JSON file, get a reply file.
#[derive(Debug, Parser)]
#[command(name = "postroom", version, max_term_width = 100, after_long_help = Exit::help())]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The bus folder [default: the nearest ai-communication/ upward from the current folder]
    #[arg(long, global = true, value_name = "DIR", env = "POSTROOM_BUS", hide_env_values = true)]
    bus: Option<PathBuf>,
    /// Print data as JSON, one value a line, in the shapes of docs/commands.md
    #[arg(long, global = true)]
    json: bool,
}

impl Global {
    pub fn bus(&self) -> Option<&Path> {
        self.bus.as_deref()
    }

    pub fn workspace(&self) -> Result<Workspace, Failure> {
        Workspace::find(self.bus())
    }

    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Serve(serve::Serve),
    Send(send::Send),
    Call(call::Call),
    Recv(recv::Recv),
    Ack(lease::Ack),
    Nack(lease::Nack),
    Agents(agents::Agents),
    Status(status::Status),
    List(list::List),
    Trace(trace::Trace),
    Tail(tail::Tail),
    DeadLetter(dead_letter::DeadLetter),
    Ext(ext::Ext),
    Doctor(doctor::Doctor),
    Bench(bench::Bench),
    Demo(demo::Demo),
    Schema(schema::Schema),
    Completions(completions::Completions),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<Exit, Failure> {
        let global = &self.global;
        match self.command {
            Command::Init(command) => command.run(global),
            Command::Serve(command) => command.run(global),
            Command::Send(command) => command.run(global),
            Command::Call(command) => command.run(global),
            Command::Recv(command) => command.run(global),
            Command::Ack(command) => command.run(global),
            Command::Nack(command) => command.run(global),
            Command::Agents(command) => command.run(global),
            Command::Status(command) => command.run(global),
            Command::List(command) => command.run(global),
            Command::Trace(command) => command.run(global),
            Command::Tail(command) => command.run(global),
            Command::DeadLetter(command) => command.run(global),
            Command::Ext(command) => command.run(global),
            Command::Doctor(command) => command.run(global),
            Command::Bench(command) => command.run(global),
            Command::Demo(command) => command.run(global),
            Command::Schema(command) => command.run(),
            Command::Completions(command) => command.run(),
        }
    }
}

/// What clap could not parse: the subcommand of an extension is run; otherwise what clap answers in place of a command is said: help, the
/// version, or what is wrong with the command line, which may quote what somebody else wrote.
pub fn answer(answer: &clap::Error) -> Result<Exit, Failure> {
    if answer.kind() == clap::error::ErrorKind::InvalidSubcommand
        && let Some(exit) = foreign::run(std::env::args_os())?
    {
        return Ok(exit);
    }
    let lists_commands = foreign::lists_commands(answer);
    let whole = || if lists_commands { foreign::augmented() } else { Cli::command() };
    let with_extensions = match lists_commands {
        true => whole().try_get_matches_from(std::env::args_os()).err(),
        false => None,
    };
    say(with_extensions.as_ref().unwrap_or(answer), whole())
}

fn say(answer: &clap::Error, whole: clap::Command) -> Result<Exit, Failure> {
    let is_error = answer.use_stderr();
    match (harmless_text(whole), is_error) {
        (None, _) => match answer.print() {
            // Nobody reads what we would say about a closed terminal, but a full disk has not got the help that it was to keep.
            Err(error) if !is_error && error.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(Failure::output(&error));
            }
            Ok(()) | Err(_) => {}
        },
        (Some(text), true) => print::note(&text),
        (Some(text), false) => print::line(&text)?,
    }
    Ok(if is_error { Exit::Usage } else { Exit::Ok })
}

/// The answer to our own command line with every character made visible that acts on a terminal. `None`: it has none, so it may
/// be printed as it is.
///
/// Asked for once more without styles: then an escape sequence in it cannot be clap's own, and the text is not what clap has
/// stripped of such sequences already.
fn harmless_text(whole: clap::Command) -> Option<String> {
    let plain = whole.styles(clap::builder::Styles::plain());
    let raw = plain.try_get_matches_from(std::env::args_os()).err()?.render().ansi().to_string();
    let harmless = text::lines(&raw);
    (harmless != raw.trim_end_matches('\n')).then_some(harmless)
}
