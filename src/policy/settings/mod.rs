//! `postroom.toml`: every setting, its default, and its place in the file. An unknown key is an error that names the nearest
//! known one, because a setting that is silently ignored is worse than none.
//!
//! | file | what it is |
//! | --- | --- |
//! | `extension` | what can be set for extensions |
//! | `config` | an extension's own table |
//! | `keys` | every key there is |

mod config;
mod extension;
mod keys;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

pub use config::ConfigTable;
pub use extension::{Extension, Extensions, Folder, Instance, Wasi};

/// Everything that can be set. Times are in milliseconds, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub bus: Bus,
    pub retry: Retry,
    pub retention: Retention,
    pub limits: Limits,
    pub extensions: Extensions,
    /// Settings of single extensions, by name.
    pub extension: BTreeMap<String, Extension>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Bus {
    pub durability: Durability,
    /// How long a file may stay incomplete before it is malformed.
    pub grace_ms: u64,
    /// How often the drop is listed, whatever the events say.
    pub rescan_ms: u64,
    /// How often a standby looks at the active service's line.
    pub look_ms: u64,
    /// After how many looks without a change the active service counts as hung.
    pub lease_looks: u32,
    pub max_message_bytes: u64,
    /// How long an id is remembered.
    pub dedup_days: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Survives power loss.
    Full,
    /// Survives the end of any process.
    Process,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Before the second attempt; doubles with each further one.
    pub first_ms: u64,
    pub max_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Retention {
    pub pack_days: u32,
    pub remove_days: u32,
}

/// 0 is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Limits {
    pub per_sender_messages: u64,
    pub per_sender_bytes: u64,
    pub per_inbox_messages: u64,
    pub bus_messages: u64,
    pub agents: u64,
    /// Messages of one sender each second; what comes faster waits.
    pub per_sender_per_second: u64,
}

impl Default for Bus {
    fn default() -> Bus {
        Bus {
            durability: Durability::Full,
            grace_ms: 5_000,
            rescan_ms: 2_000,
            look_ms: 1_000,
            lease_looks: 10,
            max_message_bytes: 16 << 20,
            dedup_days: 7,
        }
    }
}

impl Default for Retry {
    fn default() -> Retry {
        Retry { attempts: 5, first_ms: 200, max_ms: 30_000 }
    }
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { pack_days: 7, remove_days: 90 }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            per_sender_messages: 200_000,
            per_sender_bytes: 4 << 30,
            per_inbox_messages: 200_000,
            bus_messages: 1_000_000,
            agents: 10_000,
            per_sender_per_second: 0,
        }
    }
}

/// The file that `postroom init` writes: every setting with its default and what it means.
pub const DEFAULT_FILE: &str = include_str!("postroom.toml");

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    pub message: String,
    pub hint: Option<String>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// After how many days something is forgotten, packed or removed, whichever comes first.
    pub fn shortest_days(&self) -> u32 {
        let days = [self.bus.dedup_days, self.retention.pack_days, self.retention.remove_days];
        // With 0 it never is.
        days.into_iter().filter(|days| *days > 0).min().unwrap_or(u32::MAX)
    }

    /// Reads the text of a `postroom.toml`.
    ///
    /// # Errors
    /// Not TOML, a value of the wrong type or out of range, or a key that does not exist.
    pub fn parse(text: &str) -> Result<Settings, SettingsError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        keys::check(&table)?;
        keys::check_numbers(&table)?;
        let settings: Settings = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        settings.check_ranges()?;
        Ok(settings)
    }

    /// How many messages this extension handles at a time.
    pub fn concurrency(&self, extension: &str) -> usize {
        let own = self.extension.get(extension).and_then(|extension| extension.concurrency);
        own.unwrap_or(self.extensions.concurrency).max(1) as usize
    }

    fn check_ranges(&self) -> Result<(), SettingsError> {
        let at_least_one = [
            ("bus.rescan_ms", self.bus.rescan_ms),
            ("bus.look_ms", self.bus.look_ms),
            ("bus.lease_looks", u64::from(self.bus.lease_looks)),
            ("bus.max_message_bytes", self.bus.max_message_bytes),
            ("bus.dedup_days", u64::from(self.bus.dedup_days)),
            ("retry.attempts", u64::from(self.retry.attempts)),
            ("extensions.deadline_ms", self.extensions.deadline_ms),
            ("extensions.memory_bytes", self.extensions.memory_bytes),
            ("extensions.concurrency", u64::from(self.extensions.concurrency)),
            ("extensions.uses", u64::from(self.extensions.uses)),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                return Err(wrong(format!("{key} must be at least 1")));
            }
        }
        for (name, extension) in &self.extension {
            extension.check(name)?;
        }
        self.check_orders()
    }

    /// Values that contradict each other.
    fn check_orders(&self) -> Result<(), SettingsError> {
        let Retry { first_ms, max_ms, .. } = self.retry;
        if max_ms < first_ms {
            return Err(wrong(format!(
                "retry.max_ms ({max_ms}) must not be less than retry.first_ms ({first_ms}): the first wait cannot be longer than the longest"
            )));
        }
        let Retention { pack_days, remove_days } = self.retention;
        // 0 is never, of either.
        if pack_days > 0 && remove_days > 0 && remove_days < pack_days {
            return Err(wrong(format!(
                "retention.remove_days ({remove_days}) must not be less than retention.pack_days ({pack_days}): only a packed day is removed"
            )));
        }
        Ok(())
    }
}

fn wrong(message: impl Into<String>) -> SettingsError {
    SettingsError { message: message.into().trim_end().to_owned(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_init_writes_says_the_defaults() {
        assert_eq!(Settings::parse(DEFAULT_FILE), Ok(Settings::default()));
        for (table, keys) in keys::KEYS {
            assert!(DEFAULT_FILE.contains(&format!("[{table}]")), "{table}");
            for key in keys {
                assert!(DEFAULT_FILE.contains(&format!("\n{key} = ")), "{table}.{key}");
            }
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = Settings::parse("[bus]\ndurabilty = \"full\"").unwrap_err();
        assert_eq!(error.message, "unknown key \"durabilty\" in [bus]");
        assert_eq!(error.hint.as_deref(), Some("did you mean \"durability\"?"));
        let error = Settings::parse("[limit]\nagents = 3").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean \"limits\"?"));
        assert!(Settings::parse("[extension.ext-sum]\nconcurency = 1").is_err());
        assert!(Settings::parse("top = 1").is_err());
    }

    #[test]
    fn values_that_contradict_each_other_are_refused_with_both_names() {
        for (bad, names) in [
            ("[retry]\nfirst_ms = 500\nmax_ms = 400", ["retry.max_ms (400)", "retry.first_ms (500)"]),
            ("[retry]\nmax_ms = 0", ["retry.max_ms (0)", "retry.first_ms (200)"]),
            ("[retention]\nremove_days = 6", ["retention.remove_days (6)", "retention.pack_days (7)"]),
        ] {
            let error = Settings::parse(bad).unwrap_err().message;
            assert!(names.iter().all(|name| error.contains(name)), "{bad}: {error}");
        }
        for good in [
            "[retry]\nfirst_ms = 400\nmax_ms = 400",
            "[retry]\nfirst_ms = 0\nmax_ms = 0",
            "[retention]\nremove_days = 7",
            "[retention]\nremove_days = 0",
            "[retention]\npack_days = 0\nremove_days = 1",
        ] {
            assert!(Settings::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn values_are_checked() {
        for bad in ["[bus]\ndurability = \"half\"", "[bus]\ngrace_ms = -1", "[retry]\nattempts = 0", "[bus", "bus = 3"]
        {
            assert!(Settings::parse(bad).is_err(), "{bad}");
        }
        for (text, message) in [
            ("[bus]\ngrace_ms = \"5s\"", "bus.grace_ms must be a whole number of milliseconds, not \"5s\""),
            ("[bus]\ngrace_ms = -1", "bus.grace_ms must be a whole number of milliseconds, not -1"),
            ("[bus]\nmax_message_bytes = 1.5", "bus.max_message_bytes must be a whole number of bytes, not 1.5"),
            ("[retention]\npack_days = true", "retention.pack_days must be a whole number of days, not true"),
            ("[limits]\nagents = []", "limits.agents must be a whole number, not []"),
            (
                "[extension.a]\ndeadline_ms = \"1s\"",
                "extension.a.deadline_ms must be a whole number of milliseconds, not \"1s\"",
            ),
            ("[bus]\ndedup_days = 4294967296", "bus.dedup_days must be at most 4294967295"),
        ] {
            assert_eq!(Settings::parse(text).map_err(|error| error.message), Err(message.to_owned()), "{text}");
        }
        let set = Settings::parse("[extension.slow]\nconcurrency = 1").expect("valid");
        assert_eq!((set.concurrency("slow"), set.concurrency("other")), (1, 4));
    }
}
