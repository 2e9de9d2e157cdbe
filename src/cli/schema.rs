//! `postroom schema`: the JSON Schema of a message, for editors and validators.

use super::{Exit, Failure, print};

/// Print the JSON Schema of a message
#[derive(Debug, clap::Args)]
pub struct Schema {}

impl Schema {
    pub fn run(self) -> Result<Exit, Failure> {
        print::text(postroom::message::SCHEMA)?;
        Ok(Exit::Ok)
    }
}
