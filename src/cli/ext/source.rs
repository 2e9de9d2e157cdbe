//! Where a component comes from: a file, or a server. WebAssembly text is taken, too, and translated.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use postroom::extension::{COMPONENT_BYTES, ComponentHash};
use ureq::http::Uri;

use crate::cli::{Exit, Failure, print, text, units};

/// Until the server answers at all.
const CONNECT: Duration = Duration::from_secs(30);
/// For all of it: 256 MiB in this time are 0.15 MiB a second.
const DOWNLOAD: Duration = Duration::from_secs(1_800);
const READ_AT_A_TIME: usize = 64 << 10;

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
            Source::Url(uri) => from_server(uri, expected)?,
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

fn too_large(what: &str) -> Failure {
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

/// May the address be asked as it is? What comes over http can be changed by anybody on the way.
fn check_transport(uri: &Uri, expected: Option<&ComponentHash>) -> Result<(), Failure> {
    let is_here = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if uri.scheme_str() == Some("http") && expected.is_none() && !is_here {
        let what = text::field(&uri.to_string());
        return Err(Failure::new(Exit::Usage, format!("{what} is not protected on its way"))
            .with_hint("use https, or say with --sha256 what must arrive"));
    }
    Ok(())
}

fn from_server(uri: &Uri, expected: Option<&ComponentHash>) -> Result<Vec<u8>, Failure> {
    check_transport(uri, expected)?;
    let shown = text::field(&uri.to_string());
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failure, text::sentence(&format!("cannot download {shown}: {error}")))
    };
    let is_https = uri.scheme_str() == Some("https");
    let config = ureq::Agent::config_builder()
        .https_only(is_https)
        // Without protection, another server could be named on the way.
        .max_redirects(if is_https { 5 } else { 0 })
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(CONNECT))
        .timeout_global(Some(DOWNLOAD))
        .user_agent(concat!("postroom/", env!("CARGO_PKG_VERSION")))
        .build();
    let mut response = ureq::Agent::new_with_config(config).get(uri.clone()).call().map_err(|e| failed(&e))?;
    let status = response.status();
    if !status.is_success() {
        return Err(failed(&format!("the server answers {status}")));
    }
    let length = response.body().content_length();
    if length.is_some_and(|length| length > COMPONENT_BYTES) {
        return Err(too_large(&shown));
    }
    let bar = print::progress(length.unwrap_or(0), "downloading");
    let mut reader = response.body_mut().with_config().limit(COMPONENT_BYTES + 1).reader();
    let mut bytes = Vec::new();
    let mut part = vec![0; READ_AT_A_TIME];
    loop {
        match reader.read(&mut part) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error)),
        }
        if bytes.len() as u64 > COMPONENT_BYTES {
            return Err(too_large(&shown));
        }
        bar.set_position(bytes.len() as u64);
    }
    bar.finish_and_clear();
    Ok(bytes)
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
    fn what_may_be_asked() {
        let hash = ComponentHash::of(b"");
        let check = |text: &str, hash| match text.parse().expect("a source") {
            Source::Url(uri) => check_transport(&uri, hash).is_ok(),
            Source::File(path) => panic!("{path:?}"),
        };
        assert!(check("https://example.org/a.wasm", None));
        assert!(!check("http://example.org/a.wasm", None));
        assert!(check("http://example.org/a.wasm", Some(&hash)));
        for here in ["http://127.0.0.1:8080/a.wasm", "http://localhost/a.wasm", "http://[::1]:1/a.wasm"] {
            assert!(check(here, None), "{here}");
        }
        for elsewhere in ["http://127.0.0.1.example.org/a", "http://localhost.example.org/a", "http://me@example.org/a"]
        {
            assert!(!check(elsewhere, None), "{elsewhere}");
        }
        for wrong in ["ftp://a/b", "file:///etc/passwd", "https://", "https:///a"] {
            assert!(wrong.parse::<Source>().is_err(), "{wrong}");
        }
    }
}
