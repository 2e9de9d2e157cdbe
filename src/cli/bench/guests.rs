//! The extensions that are installed for a run, as a user installs them: by `ext add`, compiled before the first message.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::process::own_command;
use crate::cli::{Exit, Failure, text};

/// Which extensions there are.
#[derive(Debug, clap::Args)]
pub struct Guests {
    /// Send to this component in place of the service; may be repeated, what others import first: messages go to the last
    #[arg(long = "extension", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How long an instance lives: for one message, or for several
    #[arg(long, value_enum, default_value_t = Instance::Fresh, requires = "files")]
    instance: Instance,
    /// How many messages an extension handles at a time
    #[arg(long, value_name = "N", default_value_t = 4, requires = "files", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// Grant this to every extension; may be repeated
    #[arg(long = "grant", value_name = "GRANT", requires = "files")]
    grants: Vec<String>,
    /// Install so many more copies of the last component under other names
    #[arg(long, value_name = "N", default_value_t = 0, requires = "files", value_parser = clap::value_parser!(u32).range(..=1000))]
    copies: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Instance {
    Fresh,
    Reused,
}

impl Guests {
    /// To whom the messages go.
    pub fn recipient(&self) -> Result<String, Failure> {
        self.files.last().map_or_else(|| Ok("postroom".to_owned()), |file| name(file))
    }

    /// Their part of `postroom.toml`.
    pub fn settings(&self) -> String {
        let instance = match self.instance {
            Instance::Fresh => "fresh",
            Instance::Reused => "reused",
        };
        format!("[extensions]\ninstance = \"{instance}\"\nconcurrency = {}\n", self.concurrency)
    }

    /// Installs them beside this bus.
    pub fn install(&self, bus: &Path) -> Result<(), Failure> {
        for file in &self.files {
            self.add(bus, file, &name(file)?)?;
        }
        let Some(last) = self.files.last().filter(|_| self.copies > 0) else { return Ok(()) };
        let bytes = std::fs::read(last).map_err(|error| Failure::io("read", last, &error))?;
        let copy = bus.with_file_name("copy.wasm");
        for number in 1..=self.copies {
            let bytes = [&bytes[..], &custom_section(number)].concat();
            std::fs::write(&copy, bytes).map_err(|error| Failure::io("write", &copy, &error))?;
            self.add(bus, &copy, &format!("copy-{number}"))?;
        }
        Ok(())
    }

    fn add(&self, bus: &Path, file: &Path, name: &str) -> Result<(), Failure> {
        let mut command = own_command(bus)?;
        command.args(["ext", "add", "--name", name]).arg(file);
        command.args(self.grants.iter().flat_map(|grant| ["--grant", grant]));
        let ran = command.output().map_err(|error| Failure::io("start `ext add` for", file, &error))?;
        if ran.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ran.stderr);
        let said = said.trim().trim_start_matches("error: ");
        Err(Failure::new(Exit::Refused, format!("installing {}: {}", text::path(file), text::lines(said))))
    }
}

fn name(file: &Path) -> Result<String, Failure> {
    let name = file.file_stem().and_then(|name| name.to_str());
    let named =
        |name: &str| Failure::new(Exit::Usage, format!("{} cannot be the name of an extension", text::field(name)));
    match name {
        Some(name) if postroom::message::AgentId::parse(name).is_ok() => Ok(name.to_owned()),
        Some(name) => Err(named(name)),
        None => Err(named(&file.to_string_lossy())),
    }
}

/// Behind the bytes of a component it makes another one, with another hash and the same code (component model, Binary.md: section 0, its
/// length, a name with its length, bytes of any meaning).
fn custom_section(number: u32) -> Vec<u8> {
    let name = b"bench-copy";
    let mut section = vec![0, (1 + name.len() + 4) as u8, name.len() as u8];
    section.extend(name);
    section.extend(number.to_le_bytes());
    section
}
