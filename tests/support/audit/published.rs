//! What other programs see: the files in the inboxes, and who is registered.

use std::path::{Path, PathBuf};

use super::{Audit, Members, text};
use crate::support::workload::{Fate, Sent};

/// A file that must be there.
struct Expected<'a> {
    path: PathBuf,
    sent: &'a Sent,
    content: Content<'a>,
}

enum Content<'a> {
    Reply { id: &'a str, sender: &'a str, action: &'a str, payload: Option<&'a str> },
    Refusal { id: &'a str, sender: &'a str, code: &'a str },
    Copy,
}

impl Audit<'_> {
    /// Each inbox holds exactly the files that section 4 promises.
    pub(super) fn inboxes(&mut self) {
        let expected: Vec<Expected<'_>> = self.sent.iter().flat_map(expected).collect();
        for path in self.files("inbox") {
            if !expected.iter().any(|expected| expected.path == path) {
                let text = String::from_utf8_lossy(&self.bytes(&path)).into_owned();
                self.find(format!("{} is published, but should not be: {text}", path.display()));
            }
        }
        for Expected { path, sent, content } in expected {
            if !self.bus.join(&path).exists() {
                self.find(format!("{} is missing: {sent} is not answered", path.display()));
                continue;
            }
            let members = self.object(&path);
            self.has_delivery(&path, &members);
            match content {
                Content::Reply { id, sender, action, payload } => {
                    self.is_reply(&path, &members, id, sender);
                    self.says(&path, &members, "action", action);
                    let found = members.get("payload").map(|raw| raw.get());
                    if payload.is_some_and(|payload| found != Some(payload)) {
                        self.find(format!("{}: payload {found:?} instead of {payload:?}", path.display()));
                    }
                }
                Content::Refusal { id, sender, code } => {
                    self.is_reply(&path, &members, id, sender);
                    let error = members.get("error").and_then(|raw| serde_json::from_str::<Members>(raw.get()).ok());
                    let found = error.and_then(|error| text(&error, "code"));
                    if found.as_deref() != Some(code) || members.contains_key("payload") {
                        self.find(format!("{}: error code {found:?} instead of {code:?}", path.display()));
                    }
                }
                Content::Copy => self.is_copy(&path, &members, sent),
            }
        }
    }

    fn says(&mut self, path: &Path, members: &Members, name: &str, value: &str) {
        let found = text(members, name);
        if found.as_deref() != Some(value) {
            self.find(format!("{}: {name} {found:?} instead of {value:?}", path.display()));
        }
    }

    fn is_reply(&mut self, path: &Path, members: &Members, id: &str, sender: &str) {
        self.says(path, members, "inReplyTo", id);
        self.says(path, members, "recipient", sender);
        self.says(path, members, "sender", "postroom");
        if text(members, "id").is_none() || !members.contains_key("timestamp") {
            self.find(format!("{} has no id or no timestamp", path.display()));
        }
    }

    fn has_delivery(&mut self, path: &Path, members: &Members) {
        let delivery = members.get("delivery").and_then(|raw| serde_json::from_str::<Members>(raw.get()).ok());
        let delivery = delivery.unwrap_or_default();
        for name in ["acceptedAt", "attempt", "trust", "hops", "correlationId", "ticket"] {
            if !delivery.contains_key(name) {
                self.find(format!("{}: its delivery has no {name}", path.display()));
            }
        }
    }

    /// Every field of the dropped message, letter for letter, and `delivery` besides.
    fn is_copy(&mut self, path: &Path, members: &Members, sent: &Sent) {
        let dropped: Members = serde_json::from_slice(&sent.bytes).expect("the test drops an object");
        for (name, value) in &dropped {
            let found = members.get(name).map(|raw| raw.get());
            if found != Some(value.get()) {
                self.find(format!("{}: {name} {found:?} instead of {:?}", path.display(), value.get()));
            }
        }
        for name in members.keys().filter(|name| name.as_str() != "delivery" && !dropped.contains_key(*name)) {
            self.find(format!("{}: {name} was not in the message", path.display()));
        }
    }

    /// `agents/` holds one registration for each that registered, and the reply told it as it is stored.
    pub(super) fn agents(&mut self) {
        let mut expected = Vec::new();
        for sent in self.sent {
            let Fate::Registered { id, sender, name } = &sent.fate else {
                continue;
            };
            let card = PathBuf::from(format!("agents/{sender}.json"));
            expected.push(card.clone());
            if !self.bus.join(&card).exists() {
                self.find(format!("{} is missing: {sent} was answered without effect", card.display()));
                continue;
            }
            let stored = self.object(&card);
            self.says(&card, &stored, "name", name);
            let reply = self.object(&PathBuf::from(format!("inbox/{sender}/{id}.reply.json")));
            let value = |raw: &str| serde_json::from_str::<serde_json::Value>(raw).unwrap_or_default();
            let told = reply.get("payload").map(|raw| value(raw.get()));
            let stored: serde_json::Map<_, _> =
                stored.iter().map(|(name, raw)| (name.clone(), value(raw.get()))).collect();
            if told.as_ref() != Some(&serde_json::Value::Object(stored.clone())) {
                self.find(format!("{} holds {stored:?}, told was {told:?}", card.display()));
            }
        }
        for path in self.files("agents").into_iter().filter(|path| !expected.contains(path)) {
            self.find(format!("{} was never registered", path.display()));
        }
    }
}

fn expected(sent: &Sent) -> Vec<Expected<'_>> {
    let reply = |sender: &str, id: &str| PathBuf::from(format!("inbox/{sender}/{id}.reply.json"));
    match &sent.fate {
        Fate::Replied { id, sender, action, payload } => {
            let content = Content::Reply { id, sender, action, payload: Some(payload) };
            vec![Expected { path: reply(sender, id), sent, content }]
        }
        Fate::Registered { id, sender, .. } => {
            let content = Content::Reply { id, sender, action: "mcp.core.register", payload: None };
            vec![Expected { path: reply(sender, id), sent, content }]
        }
        Fate::Delivered { id, to } => {
            let copy = |agent: &String| PathBuf::from(format!("inbox/{agent}/{id}.json"));
            to.iter().map(|agent| Expected { path: copy(agent), sent, content: Content::Copy }).collect()
        }
        Fate::Dead { code, answer: Some(answer) } => {
            let content = Content::Refusal { id: &answer.id, sender: &answer.sender, code };
            vec![Expected { path: reply(&answer.sender, &answer.id), sent, content }]
        }
        Fate::Dead { answer: None, .. } | Fate::Duplicate => Vec::new(),
    }
}
