//! A JSON value that is being read, and where in the arguments it stands.

use std::fmt;

use crate::message::json::{self, Kind, Member};
use crate::message::visible;

/// Characters of a stranger's text that an error quotes.
pub(super) const QUOTED: usize = 48;

/// A value as it is spelled in a text that has been scanned.
#[derive(Clone, Copy)]
pub(super) struct Spelled<'t> {
    pub(super) text: &'t str,
    pub(super) kind: Kind,
}

impl<'t> Spelled<'t> {
    pub(super) fn member(self, member: &Member) -> Spelled<'t> {
        Spelled { text: member.value.of(self.text), kind: member.kind }
    }

    pub(super) fn string(self, place: &Place<'_>, wanted: &str) -> Result<String, String> {
        match self.kind {
            Kind::String => Ok(json::unescape(self.text).into_owned()),
            Kind::Object | Kind::Array | Kind::Number | Kind::Bool | Kind::Null => self.mismatch(place, wanted),
        }
    }

    pub(super) fn mismatch<T>(self, place: &Place<'_>, wanted: &str) -> Result<T, String> {
        let is = self.kind.described();
        match self.kind {
            Kind::Object | Kind::Array | Kind::Null => place.wrong(format_args!("must be {wanted}, but is {is}")),
            Kind::String | Kind::Number | Kind::Bool => {
                place.wrong(format_args!("must be {wanted}, but is {is} ({})", visible(self.text, QUOTED)))
            }
        }
    }
}

/// A place and the way to it. Lives as long as the reading of the value around it.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Arguments,
    Element(&'a Place<'a>, usize),
    /// A field of a record, or a case.
    Name(&'a Place<'a>, &'a str),
}

impl Place<'_> {
    /// An error about the value here.
    pub(super) fn wrong<T>(&self, what: impl fmt::Display) -> Result<T, String> {
        Err(format!("{self}: {what}"))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Arguments => f.write_str("arguments"),
            Place::Element(of, index) => write!(f, "{of}[{index}]"),
            Place::Name(of, name) => write!(f, "{of}.{name}"),
        }
    }
}
