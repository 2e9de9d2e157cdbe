//! The messages that the sweeps drop, each with what must become of it.

use std::fmt;

use super::workspace::Workspace;

/// One dropped file.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The name in the drop.
    pub file: String,
    /// The bytes in it.
    pub bytes: Vec<u8>,
    /// What must become of it.
    pub fate: Fate,
}

/// The end state that section 5 of the bus format promises for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Archived, and its one reply lies in its sender's inbox with this payload, byte for byte.
    Replied { id: String, sender: String, action: String, payload: String },
    /// Archived, and its reply is the registration as stored in `agents/`.
    Registered { id: String, sender: String, name: String },
    /// Archived, and one copy lies in the inbox of each of these.
    Delivered { id: String, to: Vec<String> },
    /// In `dead-letter/` with this code; where its sender can be read, with an error reply of the same code.
    Dead { code: String, answer: Option<Answer> },
    /// One of several files with the same sender, id and content: archived, and nothing is published for it. The fate
    /// of the first counts for whichever of them the service took first.
    Duplicate,
}

/// Where an error reply goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub id: String,
    pub sender: String,
}

impl fmt::Display for Sent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)
    }
}

/// A payload whose every character would change if it were parsed and printed again.
pub const ODD_PAYLOAD: &str =
    r#"{"one":1.0, "hundred" : 1e2,"zero":-0,"a":"\u0041\/","big":9007199254740991,"list":[1 ,2],"e":1E+02}"#;

/// An echo by `sender`.
pub fn echo(file: &str, sender: &str, id: &str, payload: &str) -> Sent {
    let action = "mcp.core.echo";
    let bytes = message(id, sender, "\"postroom\"", action, payload);
    let fate = Fate::Replied { id: id.into(), sender: sender.into(), action: action.into(), payload: payload.into() };
    Sent { file: file.into(), bytes, fate }
}

/// A message from `sender` to one agent, or to several as a list.
pub fn delivery(file: &str, sender: &str, id: &str, to: &[&str]) -> Sent {
    let names: Vec<String> = to.iter().map(|name| format!("\"{name}\"")).collect();
    let recipient = if let [one] = names.as_slice() { one.clone() } else { format!("[{}]", names.join(", ")) };
    let bytes = message(id, sender, &recipient, "notes.add", ODD_PAYLOAD);
    let to = to.iter().map(|name| (*name).to_owned()).collect();
    Sent { file: file.into(), bytes, fate: Fate::Delivered { id: id.into(), to } }
}

fn message(id: &str, sender: &str, recipient: &str, action: &str, payload: &str) -> Vec<u8> {
    let text = format!(
        "{{\"id\":\"{id}\",\"sender\":\"{sender}\",\"recipient\":{recipient},\"action\":\"{action}\",\
         \"payload\":{payload},\"timestamp\":1763683200000}}\n"
    );
    text.into_bytes()
}

/// One message of each kind: two echoes, one twice, an agent, a list, nonsense, nobody, a registration.
pub fn one_of_each() -> Vec<Sent> {
    let first = echo("01.json", "alice", "a-1", ODD_PAYLOAD);
    let again = Sent { file: "07.json".into(), fate: Fate::Duplicate, ..first.clone() };
    let nonsense = Sent {
        file: "05.json".into(),
        bytes: br#"{"id":"torn","sender":"ali"#.to_vec(),
        fate: Fate::Dead { code: "malformed-json".into(), answer: None },
    };
    let answer = Some(Answer { id: "a-3".into(), sender: "alice".into() });
    let nobody = Sent {
        file: "06.json".into(),
        bytes: message("a-3", "alice", "\"nobody-here\"", "notes.add", "null"),
        fate: Fate::Dead { code: "unknown-recipient".into(), answer },
    };
    let card = r#"{"name":"carol","version":"1.0.0","capabilities":["notes"]}"#;
    let register = Sent {
        file: "08.json".into(),
        bytes: message("c-1", "carol", "\"postroom\"", "mcp.core.register", card),
        fate: Fate::Registered { id: "c-1".into(), sender: "carol".into(), name: "carol".into() },
    };
    vec![
        first,
        echo("02.json", "bob", "b-1", r#""\u0041\ud83d\ude00""#),
        delivery("03.json", "alice", "a-2", &["agent-b"]),
        delivery("04.json", "bob", "b-2", &["agent-b", "agent-c"]),
        nonsense,
        nobody,
        again,
        register,
    ]
}

/// Makes the agents known and drops the messages, in order.
pub fn drop_all(workspace: &Workspace, sent: &[Sent]) {
    let agents = sent.iter().flat_map(|sent| match &sent.fate {
        Fate::Delivered { to, .. } => to.as_slice(),
        Fate::Replied { .. } | Fate::Registered { .. } | Fate::Dead { .. } | Fate::Duplicate => &[],
    });
    agents.for_each(|agent| workspace.add_inbox(agent));
    sent.iter().for_each(|sent| workspace.drop_file(&sent.file, &sent.bytes));
}
