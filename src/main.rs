//! postroom's command line: parse, run, report, exit. Everything else is in `cli/` and in the library.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Exit};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version come this way too: clap knows which stream each belongs on.
        Err(answer) => {
            let exit = if answer.use_stderr() { Exit::Usage } else { Exit::Ok };
            // Nobody reads what we would say about a closed terminal.
            let _ = answer.print();
            return exit.into();
        }
    };
    match cli.run() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.report();
            failure.exit.into()
        }
    }
}
