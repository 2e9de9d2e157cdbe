//! How extensions are run: what the settings say, extension by extension, in the types of this room.
//!
//! Absent on purpose: reading files, and checking whether a granted folder is there.
//!
//! Invariant: everything that is not set for an extension is as it is set for all of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Limits;
use super::graph::Choices;
use crate::policy::grants::{Access, Endpoint, GrantedFolder, Grants, WasiGrants};
use crate::policy::settings::{ConfigTable, Extension, Extensions, Instance, Settings, Wasi};

/// The terms of every extension, also of those that are not installed.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    general: Terms,
    single: BTreeMap<String, Terms>,
    choices: Choices,
}

/// The terms of one extension. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Terms {
    /// For a message that is for this extension, with everything that is called on its behalf.
    pub limits: Limits,
    pub grants: Grants,
    pub wasi: Arc<WasiGrants>,
    /// What it reads about itself.
    pub config: Arc<ConfigTable>,
    pub lifetime: Lifetime,
    /// How many messages it handles at a time; at least 1.
    pub concurrency: usize,
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// For one message.
    Fresh,
    /// For at most so many messages; dropped after the first that does not commit.
    Reused { uses: u32 },
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            limits: Limits::default(),
            grants: Grants::ALONE,
            wasi: Arc::default(),
            config: Arc::default(),
            lifetime: Lifetime::Fresh,
            concurrency: Extensions::default().concurrency as usize,
        }
    }
}

impl Configuration {
    /// What the settings say. Relative paths in them start at `base_folder`, which is where `postroom.toml` is.
    pub fn from_settings(settings: &Settings, base_folder: &Path) -> Configuration {
        let general = Terms::of(&settings.extensions, &Extension::default(), base_folder);
        let of_one = |own: &Extension| Terms::of(&settings.extensions, own, base_folder);
        let single = settings.extension.iter().map(|(name, own)| (name.clone(), of_one(own))).collect();
        let choices = settings.extension.iter().flat_map(|(name, own)| {
            own.providers.iter().map(|(interface, provider)| ((name.clone(), interface.clone()), provider.clone()))
        });
        Configuration { general, single, choices: choices.collect() }
    }

    /// The same terms for every extension.
    pub fn with_terms(general: Terms) -> Configuration {
        Configuration { general, ..Configuration::default() }
    }

    pub fn terms(&self, extension: &str) -> &Terms {
        self.single.get(extension).unwrap_or(&self.general)
    }

    /// Who provides what, where the user has chosen.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }
}

/// Default terms within these limits.
impl From<Limits> for Configuration {
    fn from(limits: Limits) -> Configuration {
        Configuration::with_terms(Terms { limits, ..Terms::default() })
    }
}

impl Terms {
    fn of(all: &Extensions, own: &Extension, base_folder: &Path) -> Terms {
        let bytes = own.memory_bytes.unwrap_or(all.memory_bytes);
        let limits = Limits {
            deadline: Duration::from_millis(own.deadline_ms.unwrap_or(all.deadline_ms)),
            memory_bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            ..Limits::default()
        };
        Terms {
            limits,
            grants: all.grants.and(own.grants),
            wasi: Arc::new(wasi(&own.wasi, base_folder)),
            config: Arc::new(own.config.clone()),
            lifetime: match own.instance.unwrap_or(all.instance) {
                Instance::Fresh => Lifetime::Fresh,
                Instance::Reused => Lifetime::Reused { uses: all.uses },
            },
            concurrency: own.concurrency.unwrap_or(all.concurrency).max(1) as usize,
        }
    }
}

fn wasi(set: &Wasi, base_folder: &Path) -> WasiGrants {
    let folder = |folder: &crate::policy::settings::Folder| GrantedFolder {
        path: base_folder.join(&folder.path),
        guest_path: folder.guest_path.clone(),
        access: if folder.write { Access::ReadAndWrite } else { Access::Read },
    };
    WasiGrants {
        environment: set.environment.clone(),
        folders: set.folders.iter().map(folder).collect(),
        // The settings were checked when they were read; what is no endpoint grants nothing.
        network: set.network.iter().filter_map(|endpoint| Endpoint::parse(endpoint).ok()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::grants::Grant;

    #[test]
    fn what_is_set_for_one_counts_before_what_is_set_for_all() {
        let settings = Settings::parse(
            r#"
            [extensions]
            deadline_ms = 2000
            grants = ["log"]
            instance = "reused"
            uses = 7
            [extension.it]
            memory_bytes = 4096
            grants = ["bus"]
            instance = "fresh"
            providers = { "calc:sum/lib" = "ext-sum" }
            config = { a = 1 }
            [extension.it.wasi]
            folders = [{ path = "data", as = "/data", write = true }, { path = "/etc/ssl", as = "/ssl" }]
            network = ["[::1]:80"]
            "#,
        )
        .unwrap();
        let configuration = Configuration::from_settings(&settings, Path::new("/home/me"));
        let (it, other) = (configuration.terms("it"), configuration.terms("other"));
        assert_eq!((it.limits.deadline, other.limits.deadline), (Duration::from_secs(2), Duration::from_secs(2)));
        assert_eq!((it.limits.memory_bytes, other.limits.memory_bytes), (4096, 256 << 20));
        assert_eq!(it.grants, Grants::of(&[Grant::Bus, Grant::Log]));
        assert_eq!(other.grants, Grants::of(&[Grant::Log]));
        assert_eq!((it.lifetime, other.lifetime), (Lifetime::Fresh, Lifetime::Reused { uses: 7 }));
        assert_eq!(it.config.to_object(), r#"{"a":1}"#);
        assert_eq!(other.config.to_object(), "{}");
        let paths: Vec<_> = it.wasi.folders.iter().map(|folder| (folder.path.as_path(), folder.access)).collect();
        assert_eq!(paths, [(Path::new("/home/me/data"), Access::ReadAndWrite), (Path::new("/etc/ssl"), Access::Read)]);
        assert_eq!(it.wasi.network, [Endpoint { host: "::1".into(), port: 80 }]);
        assert_eq!(*other.wasi, WasiGrants::default());
        let choice = configuration.choices().get(&("it".to_owned(), "calc:sum/lib".to_owned()));
        assert_eq!(choice.map(String::as_str), Some("ext-sum"));
    }

    #[test]
    fn no_settings_are_the_default_terms() {
        let (read, default) = (Settings::parse("").unwrap(), Configuration::default());
        let read = Configuration::from_settings(&read, Path::new("."));
        assert_eq!(format!("{read:?}"), format!("{default:?}"));
    }
}
