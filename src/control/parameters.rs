//! The parameters of a command: the payload of its message, which must be an object. Fields that a command does not know are
//! left alone.
//!
//! Read by hand and not by serde, which would also take an array, value by value, and says what is wrong in the words of our own
//! types.

use super::{Call, refuse};
use crate::message::json::{self, Kind, MAX_DEPTH, Member};
use crate::message::{Code, Failure};

#[derive(Debug)]
pub(super) struct Parameters<'a> {
    /// Whose parameters they are, for what is said of them.
    action: &'a str,
    text: &'a str,
    members: Vec<Member>,
}

impl<'a> Parameters<'a> {
    pub(super) fn of(call: &Call<'a>) -> Result<Parameters<'a>, Failure> {
        let parameters = Parameters { action: call.action, text: call.parameters, members: Vec::new() };
        let outline = json::scan(call.parameters, MAX_DEPTH).map_err(|error| parameters.wrong(&error.to_string()))?;
        match outline.kind {
            Kind::Object => Ok(Parameters { members: outline.members, ..parameters }),
            other => Err(parameters.wrong(&format!("must be an object, but is {}", other.described()))),
        }
    }

    /// The same where the payload may be left out.
    pub(super) fn of_optional(call: &Call<'a>) -> Result<Parameters<'a>, Failure> {
        match call.parameters.trim() {
            "null" => Ok(Parameters { action: call.action, text: "", members: Vec::new() }),
            _ => Parameters::of(call),
        }
    }

    /// A field that must be there.
    pub(super) fn text(&self, name: &str) -> Result<String, Failure> {
        match self.get(name) {
            Some(member) => self.string(name, member),
            None => Err(self.wrong(&format!("has no \"{name}\", which must be a string"))),
        }
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, Failure> {
        self.get(name).filter(|member| member.kind != Kind::Null).map(|member| self.string(name, member)).transpose()
    }

    /// A list of strings that must be there; it may be empty.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Failure> {
        match self.get(name) {
            Some(member) => self.strings(name, member),
            None => Err(self.wrong(&format!("has no \"{name}\", which must be a list of strings (it may be empty)"))),
        }
    }

    /// The same; empty where there is none.
    pub(super) fn optional_texts(&self, name: &str) -> Result<Vec<String>, Failure> {
        self.get(name).map(|member| self.strings(name, member)).transpose().map(Option::unwrap_or_default)
    }

    fn strings(&self, name: &str, member: &Member) -> Result<Vec<String>, Failure> {
        let must = |is: &str| self.wrong(&format!("has a \"{name}\" that must be a list of strings, but {is}"));
        if member.kind != Kind::Array {
            return Err(must(&format!("is {}", member.kind.described())));
        }
        let list = member.value.of(self.text);
        let elements = json::scan(list, MAX_DEPTH).map_err(|error| self.wrong(&error.to_string()))?.members;
        let one = |element: Member| match element.kind {
            Kind::String => Ok(json::unescape(element.value.of(list)).into_owned()),
            other => Err(must(&format!("has {} in it", other.described()))),
        };
        elements.into_iter().map(one).collect()
    }

    /// A length of time.
    pub(super) fn optional_ms(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(member) = self.get(name) else { return Ok(None) };
        let wrong = || {
            self.wrong(&format!(
                "has a \"{name}\" that must be a whole number of milliseconds, written with digits alone"
            ))
        };
        member.value.of(self.text).parse().map(Some).map_err(|_| wrong())
    }

    fn string(&self, name: &str, member: &Member) -> Result<String, Failure> {
        match member.kind {
            Kind::String => Ok(json::unescape(member.value.of(self.text)).into_owned()),
            other => Err(self.wrong(&format!("has a \"{name}\" that must be a string, but is {}", other.described()))),
        }
    }

    fn get(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| json::unescape(member.key.of(self.text)) == name)
    }

    fn wrong(&self, what: &str) -> Failure {
        refuse(Code::InvalidMessage, format!("the payload of {} {what}", self.action))
    }
}
