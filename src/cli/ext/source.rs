//! Where a component comes from: a file, or a server. WebAssembly text is taken, too, and translated.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use postroom::extension::{COMPONENT_BYTES, ComponentHash};
use ureq::http::Uri;

use super::server::download;
use crate::cli::{Exit, Failure, text, units};

#[derive(Clone, Debug)]
pub enum Source {
    File(PathBuf),
    Url(Uri),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Source, String> {
        let Some((scheme, _)) = text.split_once("://") else { return Ok(Source::File(PathBuf::from(text))) };
        if scheme != "https" && scheme != "http" {
            return Err("a component comes from a file or an https:// address".into());
        }
        let uri: Uri = text.parse().map_err(|error| format!("that is no address: {error}"))?;
        match uri.host() {
            Some(host) if !host.is_empty() => Ok(Source::Url(uri)),
            Some(_) | None => Err("that address names no server".into()),
        }
    }
}

impl Source {
    /// The name that an extension from here has where none is given.
    pub fn name(&self) -> String {
        let last = match self {
            Source::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Source::Url(uri) => uri.path().rsplit('/').next().unwrap_or_default().to_owned(),
        };
        let stem = [".wasm", ".wat"].iter().find_map(|ending| last.strip_suffix(ending));
        stem.unwrap_or(&last).to_owned()
    }

    /// The component, whose file must have this hash, where one is given. Of text the hash of the binary will do: that is the one which is shown
    /// of what is installed.
    pub fn bytes(&self, expected: Option<&ComponentHash>) -> Result<Vec<u8>, Failure> {
        let bytes = match self {
            Source::File(path) => from_file(path)?,
            Source::Url(uri) => download(uri, expected)?,
        };
        let found = ComponentHash::of(&bytes);
        let translated = binary(bytes, &self.shown());
        match expected {
            Some(expected) if *expected != found => match translated {
                Ok(bytes) if ComponentHash::of(&bytes) == *expected => Ok(bytes),
                Ok(_) | Err(_) => Err(self.another(expected, &found)),
            },
            Some(_) | None => translated,
        }
    }

    fn another(&self, expected: &ComponentHash, found: &ComponentHash) -> Failure {
        Failure::new(Exit::Refused, format!("{} has another SHA-256 than it should: {found}", self.shown()))
            .with_hint(format!("expected was {expected}; do not install it unless you know why"))
    }

    fn shown(&self) -> String {
        match self {
            Source::File(path) => text::path(path),
            Source::Url(uri) => text::field(&uri.to_string()),
        }
    }
}

fn from_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::io("read the component", path, &error);
    // Opening a FIFO would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Failure::new(Exit::Refused, format!("{} is not a regular file", text::path(path))));
    }
    if metadata.len() > COMPONENT_BYTES {
        return Err(too_large(&text::path(path)));
    }
    std::fs::read(path).map_err(failed)
}

pub(super) fn too_large(what: &str) -> Failure {
    Failure::new(Exit::Refused, format!("{what} is larger than {}", units::bytes(COMPONENT_BYTES)))
}

/// Text becomes a binary; what is neither is left for the checks of a component.
fn binary(bytes: Vec<u8>, shown: &str) -> Result<Vec<u8>, Failure> {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).map(|at| &bytes[at..]);
    if !start.is_some_and(|start| start.starts_with(b"(") || start.starts_with(b";;")) {
        return Ok(bytes);
    }
    match wat::parse_bytes(&bytes) {
        Ok(binary) => Ok(binary.into_owned()),
        Err(error) => Err(Failure::new(Exit::Refused, format!("{shown} is no WebAssembly text: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        text.parse::<Source>().expect("a source").name()
    }

    #[test]
    fn the_name_is_the_last_part() {
        assert_eq!(name("a/b/ext-sum.wasm"), "ext-sum");
        assert_eq!(name("ext.v2.wat"), "ext.v2");
        assert_eq!(name("https://example.org/x/ext-sum.wasm?token=1"), "ext-sum");
        assert_eq!(name("https://example.org"), "");
    }

    #[test]
    fn what_is_no_address_of_a_server() {
        for wrong in ["ftp://a/b", "file:///etc/passwd", "https://", "https:///a"] {
            assert!(wrong.parse::<Source>().is_err(), "{wrong}");
        }
    }
}
