//! `postroom completions`: what a shell needs to complete our command lines.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Exit, Failure, print};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "postroom", &mut script);
        print::text(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Ok)
    }
}
