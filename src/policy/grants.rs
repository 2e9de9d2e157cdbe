//! What an extension may import from the service. Facts for whoever links it; nothing here enforces anything.
//!
//! Absent on purpose: which interface needs which grant (that is known where the interface is implemented), and files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::nearest;

/// One thing that is granted, named like the interface of `wit/` that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// To send messages and to have others handle some.
    Bus,
    /// To call functions of other extensions by name.
    Invoke,
    State,
    Log,
    Config,
    Clock,
    Random,
    /// WASI 0.2, with what [`WasiGrants`] says and nothing else.
    Wasi,
}

impl Grant {
    pub const ALL: [Grant; 8] =
        [Grant::Bus, Grant::Invoke, Grant::State, Grant::Log, Grant::Config, Grant::Clock, Grant::Random, Grant::Wasi];

    /// The spelling in `postroom.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Grant::Bus => "bus",
            Grant::Invoke => "invoke",
            Grant::State => "state",
            Grant::Log => "log",
            Grant::Config => "config",
            Grant::Clock => "clock",
            Grant::Random => "random",
            Grant::Wasi => "wasi",
        }
    }

    /// The grant that is spelled so.
    ///
    /// # Errors
    /// There is none; the nearest one is named.
    pub fn parse(text: &str) -> Result<Grant, UnknownGrant> {
        let known = |grant: &Grant| grant.as_str() == text;
        Grant::ALL.into_iter().find(known).ok_or_else(|| UnknownGrant { name: text.to_owned() })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is no grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownGrant {
    pub name: String,
}

impl fmt::Display for UnknownGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no grant {:?}; ", self.name)?;
        let known = Grant::ALL.map(Grant::as_str);
        match nearest(&self.name, known).first() {
            Some(near) => write!(f, "did you mean {near:?}?"),
            None => write!(f, "there are {}", known.join(", ")),
        }
    }
}

impl std::error::Error for UnknownGrant {}

/// A set of grants.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Grants(u8);

impl Grants {
    pub const NONE: Grants = Grants(0);

    /// What is granted where nothing is set: all that reaches nobody else.
    pub const ALONE: Grants =
        Grants::of(&[Grant::State, Grant::Log, Grant::Config, Grant::Clock, Grant::Random, Grant::Wasi]);

    pub const fn of(grants: &[Grant]) -> Grants {
        let (mut bits, mut index) = (0, 0);
        while index < grants.len() {
            bits |= 1 << grants[index] as u8;
            index += 1;
        }
        Grants(bits)
    }

    pub fn has(self, grant: Grant) -> bool {
        self.0 & (1 << grant as u8) != 0
    }

    /// What is in either.
    pub fn and(self, other: Grants) -> Grants {
        Grants(self.0 | other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Grant> {
        Grant::ALL.into_iter().filter(move |grant| self.has(*grant))
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Grant::as_str)).finish()
    }
}

impl<'de> Deserialize<'de> for Grants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Grants, D::Error> {
        let mut grants = Grants::NONE;
        for name in Vec::<String>::deserialize(deserializer)? {
            grants = grants.and(Grants::of(&[Grant::parse(&name).map_err(D::Error::custom)?]));
        }
        Ok(grants)
    }
}

/// What an extension with [`Grant::Wasi`] finds in its WASI world. The default is an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WasiGrants {
    pub environment: BTreeMap<String, String>,
    pub folders: Vec<GrantedFolder>,
    /// Where it may connect to, and nowhere else.
    pub network: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedFolder {
    pub path: PathBuf,
    /// Its name for the guest.
    pub guest_path: String,
    pub access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadAndWrite,
}

/// `host:port`, where the host is a name or an address; an address of IPv6 stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Without brackets.
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port`.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn parse(text: &str) -> Result<Endpoint, String> {
        let wrong = |what: &str| Err(format!("{text:?} is no host:port: {what}"));
        let Some((host, port)) = text.rsplit_once(':') else { return wrong("there is no colon in it") };
        let port = match port.parse::<u16>() {
            Ok(port @ 1..) => port,
            Ok(0) | Err(_) => return wrong("a port is a number from 1 to 65535"),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(v6) if v6.parse::<std::net::Ipv6Addr>().is_ok() => v6,
            Some(_) => return wrong("what stands in brackets is no IPv6 address"),
            None if host.contains(':') => return wrong("an IPv6 address stands in brackets"),
            None => host,
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(is_host) {
            return wrong("a host is a name or an address, without a scheme or a wildcard");
        }
        Ok(Endpoint { host: host.to_ascii_lowercase(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_grant_is_known_by_its_spelling_and_none_by_another() {
        for grant in Grant::ALL {
            assert_eq!(Grant::parse(grant.as_str()), Ok(grant));
        }
        let message = |name| Grant::parse(name).unwrap_err().to_string();
        assert_eq!(message("clocks"), "there is no grant \"clocks\"; did you mean \"clock\"?");
        assert!(message("").contains("there are bus, invoke, state"), "{}", message(""));
        assert!(Grant::parse("Bus").is_err());
    }

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let grants = Grants::of(&[Grant::Bus, Grant::Wasi]);
        assert_eq!(grants.iter().collect::<Vec<_>>(), [Grant::Bus, Grant::Wasi]);
        assert!(!grants.has(Grant::Log));
        assert_eq!(Grants::NONE.iter().count(), 0);
        assert_eq!(grants.and(Grants::of(&[Grant::Log])).iter().count(), 3);
        assert!(!Grants::ALONE.has(Grant::Bus) && !Grants::ALONE.has(Grant::Invoke));
        assert_eq!(Grants::ALONE.and(Grants::of(&[Grant::Bus, Grant::Invoke])), Grants::of(&Grant::ALL));
    }

    #[test]
    fn endpoints_are_hosts_and_ports() {
        let parsed = |text| Endpoint::parse(text).map(|Endpoint { host, port }| (host, port));
        assert_eq!(parsed("API.example.org:443"), Ok(("api.example.org".into(), 443)));
        assert_eq!(parsed("127.0.0.1:8080"), Ok(("127.0.0.1".into(), 8080)));
        assert_eq!(parsed("[::1]:80"), Ok(("::1".into(), 80)));
        for wrong in
            ["", "host", "host:", "host:0", "host:65536", ":80", "::1:80", "[x]:80", "https://a:443", "*:80", "a b:1"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
