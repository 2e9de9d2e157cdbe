//! `postroom ext new`: the folder of a new extension, ready to be built, tested and installed. The templates are in `extensions/templates/`.

use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use super::place::built_in;
use crate::cli::print::Format;
use crate::cli::{Exit, Failure, Global, init, print, text};

/// Start an extension of your own: a folder with its source, test cases, and how to build it
#[derive(Debug, clap::Args)]
pub struct New {
    /// The name of the extension and of its folder: a-z, 0-9 and -, a letter first
    name: String,
    /// In which language
    #[arg(long)]
    lang: Language,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Js,
    Python,
    /// WebAssembly text: needs no tool
    Wat,
}

/// A file of a template: where, and what.
type File = (&'static str, &'static str);

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../../extensions/templates/", $path))
    };
}

macro_rules! contract {
    ($($name:literal),*) => {
        [$((concat!("wit/deps/postroom/", $name, ".wit"), include_str!(concat!("../../../wit/", $name, ".wit")))),*]
    };
}

const CASES: [File; 4] = [
    ("cases/hello.message.json", template!("cases/hello.message.json")),
    ("cases/hello.reply.json", template!("cases/hello.reply.json")),
    ("cases/refused.message.json", template!("cases/refused.message.json")),
    ("cases/refused.reply.json", template!("cases/refused.reply.json")),
];
const RUST: [File; 3] = [
    ("README.md", template!("rust/README.md")),
    ("Cargo.toml", template!("rust/Cargo.toml")),
    ("src/lib.rs", template!("rust/src/lib.rs")),
];
const JS: [File; 3] = [
    ("README.md", template!("js/README.md")),
    ("package.json", template!("js/package.json")),
    ("{{name}}.js", template!("js/extension.js")),
];
const PYTHON: [File; 2] =
    [("README.md", template!("python/README.md")), ("extension.py", template!("python/extension.py"))];
const WAT: [File; 3] = [
    ("{{name}}.wat", template!("wat/extension.wat")),
    ("cases/echo.message.json", template!("wat/echo.message.json")),
    ("cases/echo.reply.json", template!("wat/echo.reply.json")),
];
/// What tools make the bindings of.
const WORLD: [File; 1] = [("wit/world.wit", template!("world.wit"))];
const CONTRACT: [File; 14] = contract!(
    "bus", "cli", "clock", "config", "console", "describe", "handler", "init", "invoke", "log", "random", "state",
    "types", "world"
);

#[derive(Serialize)]
struct Report {
    folder: PathBuf,
    made: Vec<PathBuf>,
}

impl New {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let New { name, lang } = self;
        check(&name)?;
        let folder = PathBuf::from(&name);
        make(&folder)?;
        let mut made = Vec::new();
        for (path, content) in lang.files() {
            let path = folder.join(filled(path, &name));
            init::write_new(&path, &filled(content, &name))?;
            made.push(path);
        }
        match global.format() {
            Format::Json => print::json(&Report { folder, made })?,
            Format::Text => {
                let mut out: String = made.iter().map(|path| format!("made  {}\n", text::path(path))).collect();
                out.push_str(&format!("\nNext: {}\n", lang.next(&name)));
                print::text(&out)?;
            }
        }
        Ok(Exit::Ok)
    }
}

impl Language {
    fn files(self) -> Vec<File> {
        let with_contract = |own: &[File]| [own, &CASES, &WORLD, &CONTRACT].concat();
        match self {
            Language::Rust => with_contract(&RUST),
            Language::Js => with_contract(&JS),
            Language::Python => with_contract(&PYTHON),
            Language::Wat => WAT.to_vec(),
        }
    }

    fn next(self, name: &str) -> String {
        match self {
            Language::Rust | Language::Js | Language::Python => format!("see {name}/README.md for how to build it"),
            Language::Wat => format!("postroom ext test {name}/{name}.wat {name}/cases"),
        }
    }
}

/// A name that is one in every language, and free.
fn check(name: &str) -> Result<(), Failure> {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-')
        && !name.contains("--");
    if !is_plain || postroom::message::AgentId::parse(name).is_err() {
        let shown = text::field(name);
        return Err(Failure::new(Exit::Usage, format!("\"{shown}\" is not a name for a new extension"))
            .with_hint("words of a-z and 0-9 with - between them, a letter first, at most 64 characters"));
    }
    if name == postroom::message::AgentId::POSTROOM || built_in().iter().any(|known| known == name) {
        return Err(Failure::new(Exit::Usage, format!("{name} is the name of a command of the program")));
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the source of an extension is the user's, and not private")]
fn make(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(Exit::Failure, format!("{} is there already", text::path(folder))),
        _ => Failure::io("make the folder", folder, &error),
    })
}

/// The crate of a Rust extension is named like it, with underscores.
fn filled(template: &str, name: &str) -> String {
    template.replace("{{name}}", name).replace("{{crate}}", &name.replace('-', "_"))
}
