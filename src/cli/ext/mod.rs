//! `postroom ext`: the extensions of a workspace. Changing them is the work of `extension::install`; here is where components come from, and
//! what is shown.

mod add;
mod case;
mod check;
mod deps;
mod difference;
mod inspect;
mod libs;
mod ls;
mod new;
pub mod place;
mod rm;
mod server;
mod source;
mod test;
mod upgrade;

use clap::Subcommand;

use super::{Exit, Failure, Global};

/// Install, look at, test and remove extensions
#[derive(Debug, clap::Args)]
pub struct Ext {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(add::Add),
    Rm(rm::Rm),
    Ls(ls::Ls),
    Inspect(inspect::Inspect),
    Libs(libs::Libs),
    Deps(deps::Deps),
    Check(check::Check),
    Upgrade(upgrade::Upgrade),
    New(new::New),
    Test(test::Test),
}

impl Ext {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        match self.command {
            Command::Add(command) => command.run(global),
            Command::Rm(command) => command.run(global),
            Command::Ls(command) => command.run(global),
            Command::Inspect(command) => command.run(global),
            Command::Libs(command) => command.run(global),
            Command::Deps(command) => command.run(global),
            Command::Check(command) => command.run(global),
            Command::Upgrade(command) => command.run(global),
            Command::New(command) => command.run(global),
            Command::Test(command) => command.run(global),
        }
    }
}
