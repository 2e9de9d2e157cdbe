//! The settings of extensions: of all of them, and of single ones.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::config::ConfigTable;
use super::{SettingsError, wrong};
use crate::message::AgentId;
use crate::policy::grants::{Endpoint, Grants};

/// `[extensions]`: what holds for every extension.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Extensions {
    /// Relative to the folder that `postroom.toml` is in.
    pub dir: String,
    pub deadline_ms: u64,
    pub memory_bytes: u64,
    /// How many messages one extension handles at a time.
    pub concurrency: u32,
    pub grants: Grants,
    pub instance: Instance,
    /// A reused instance is dropped after so many messages.
    pub uses: u32,
}

/// `[extension.NAME]`: what is set for one extension; what is not is as in [`Extensions`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Extension {
    pub concurrency: Option<u32>,
    pub deadline_ms: Option<u64>,
    pub memory_bytes: Option<u64>,
    /// In addition to those of [`Extensions`].
    pub grants: Grants,
    pub instance: Option<Instance>,
    /// Which extension provides an interface (without version) to this one, where several could.
    pub providers: BTreeMap<String, String>,
    /// What the extension itself reads.
    pub config: ConfigTable,
    pub wasi: Wasi,
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Instance {
    /// For one message.
    Fresh,
    /// For several, as long as nothing goes wrong in it.
    Reused,
}

/// `[extension.NAME.wasi]`. Without it a WASI world is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Wasi {
    pub environment: BTreeMap<String, String>,
    pub folders: Vec<Folder>,
    /// Each `host:port`.
    pub network: Vec<String>,
}

/// A folder that a guest may open.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Folder {
    /// Relative to the folder that `postroom.toml` is in.
    pub path: String,
    /// Its name for the guest.
    #[serde(rename = "as")]
    pub guest_path: String,
    #[serde(default)]
    pub write: bool,
}

impl Default for Extensions {
    fn default() -> Extensions {
        Extensions {
            dir: "extensions".into(),
            deadline_ms: 10_000,
            memory_bytes: 256 << 20,
            concurrency: 4,
            grants: Grants::ALONE,
            instance: Instance::Fresh,
            uses: 1_000,
        }
    }
}

impl Extension {
    /// Checks what the types alone do not say.
    pub(super) fn check(&self, name: &str) -> Result<(), SettingsError> {
        AgentId::parse(name).map_err(|error| wrong(format!("[extension.{name}]: {error}")))?;
        let numbers = [
            ("concurrency", self.concurrency.map(u64::from)),
            ("deadline_ms", self.deadline_ms),
            ("memory_bytes", self.memory_bytes),
        ];
        for (key, value) in numbers {
            if value == Some(0) {
                return Err(wrong(format!("extension.{name}.{key} must be at least 1")));
            }
        }
        for (interface, provider) in &self.providers {
            let place = format!("extension.{name}.providers.{interface:?}");
            if interface.contains('@') {
                return Err(wrong(format!("{place}: an interface is named without its version here")));
            }
            AgentId::parse(provider).map_err(|error| wrong(format!("{place}: {error}")))?;
        }
        self.wasi.check(name)
    }
}

impl Wasi {
    fn check(&self, extension: &str) -> Result<(), SettingsError> {
        for key in self.environment.keys() {
            if key.is_empty() || key.contains(['=', '\0']) {
                return Err(wrong(format!("extension.{extension}.wasi.environment: {key:?} cannot be a variable")));
            }
        }
        for (index, folder) in self.folders.iter().enumerate() {
            let place = format!("extension.{extension}.wasi.folders[{index}]");
            if folder.path.is_empty() || folder.guest_path.is_empty() {
                return Err(wrong(format!("{place}: `path` and `as` must not be empty")));
            }
            if self.folders[..index].iter().any(|earlier| earlier.guest_path == folder.guest_path) {
                return Err(wrong(format!("{place}: there are two folders `as` {:?}", folder.guest_path)));
            }
        }
        for endpoint in &self.network {
            Endpoint::parse(endpoint).map_err(|error| wrong(format!("extension.{extension}.wasi.network: {error}")))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use crate::policy::grants::Grant;

    fn parsed(text: &str) -> Result<Extension, String> {
        let settings = Settings::parse(text).map_err(|error| error.message)?;
        Ok(settings.extension.get("it").cloned().expect("the text is about `it`"))
    }

    #[test]
    fn everything_that_can_be_set_for_one_extension() {
        let it = parsed(
            r#"
            [extension.it]
            concurrency = 1
            deadline_ms = 500
            memory_bytes = 1000000
            grants = ["bus", "invoke"]
            instance = "reused"
            providers = { "calc:sum/lib" = "ext-sum" }
            [extension.it.config]
            greeting = "hi"
            [extension.it.wasi]
            environment = { LANG = "C" }
            folders = [{ path = "data", as = "/data", write = true }, { path = "/etc/ssl", as = "/ssl" }]
            network = ["example.org:443"]
            "#,
        )
        .unwrap();
        assert_eq!((it.concurrency, it.deadline_ms, it.memory_bytes), (Some(1), Some(500), Some(1_000_000)));
        assert_eq!(it.grants, Grants::of(&[Grant::Bus, Grant::Invoke]));
        assert_eq!(it.instance, Some(Instance::Reused));
        assert_eq!(it.providers, BTreeMap::from([("calc:sum/lib".into(), "ext-sum".into())]));
        assert_eq!(it.config.get("greeting").map(|text| text.as_str()), Some("\"hi\""));
        assert_eq!(it.wasi.environment, BTreeMap::from([("LANG".into(), "C".into())]));
        assert_eq!(it.wasi.folders.iter().map(|folder| folder.write).collect::<Vec<_>>(), [true, false]);
        assert_eq!(it.wasi.network, ["example.org:443"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, part) in [
            ("[extension.it]\ngrants = [\"buss\"]", "did you mean \"bus\"?"),
            ("[extension.it]\ngrants = \"bus\"", "expected a sequence"),
            ("[extension.it]\ninstance = \"old\"", "unknown variant"),
            ("[extension.it]\ndeadline_ms = 0", "extension.it.deadline_ms must be at least 1"),
            ("[extension.it]\nproviders = { \"a:b/c@1.0.0\" = \"x\" }", "without its version"),
            ("[extension.it]\nproviders = { \"a:b/c\" = \"../x\" }", "providers.\"a:b/c\""),
            ("[extension.it.wasi]\nenvironment = { \"A=\" = \"b\" }", "cannot be a variable"),
            ("[extension.it.wasi]\nfolders = [{ path = \"\", as = \"/a\" }]", "must not be empty"),
            (
                "[extension.it.wasi]\nfolders = [{ path = \"a\", as = \"/a\" }, { path = \"b\", as = \"/a\" }]",
                "folders[1]: there are two",
            ),
            ("[extension.it.wasi]\nnetwork = [\"example.org\"]", "no host:port"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
