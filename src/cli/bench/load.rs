//! The writer: drops messages as any program does, each by a write and a rename, and notes when.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Mode, Payload, Plan};

/// Who sends.
pub const SENDER: &str = "bench";

/// The id of the n-th message; fixed width, so that names are in order.
pub fn id(number: u32) -> String {
    format!("b-{number:08}")
}

/// The number of the message with this reply name.
pub fn number_of_reply(name: &str) -> Option<u32> {
    name.strip_prefix("b-")?.strip_suffix(".reply.json")?.parse().ok()
}

pub fn file_name(number: u32) -> String {
    format!("{}.json", id(number))
}

/// What every message of a run says.
#[derive(Clone, Debug)]
pub struct Content {
    pub recipient: String,
    pub action: String,
    /// JSON.
    pub payload: String,
}

impl Content {
    /// The text of the n-th message.
    pub fn message(&self, number: u32) -> String {
        let Content { recipient, action, payload } = self;
        let action = serde_json::Value::from(action.as_str());
        format!(
            r#"{{"id":"{}","sender":"{SENDER}","recipient":"{recipient}","action":{action},"payload":{payload},"timestamp":1763683200000}}"#,
            id(number),
        )
    }
}

/// A payload of so many bytes.
pub fn payload(made_of: Payload, bytes: usize) -> String {
    match made_of {
        // Its own marks are 11 bytes.
        Payload::Text => format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes.saturating_sub(11))),
        Payload::Data => data(bytes),
    }
}

/// A list of small objects, as programs write them; filled up with spaces.
fn data(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 128);
    text.push('[');
    for number in 0.. {
        let comma = if number == 0 { "" } else { "," };
        let item = format!(
            r#"{comma}{{"id":{number},"file":"src/part-{number}.rs","line":{},"score":0.{number},"tags":["a","bc"],"ok":true}}"#,
            number * 7
        );
        if text.len() + item.len() + 1 > bytes {
            break;
        }
        text.push_str(&item);
    }
    text.push_str(&" ".repeat(bytes.saturating_sub(text.len() + 1)));
    text.push(']');
    text
}

/// When each message was dropped, in nanoseconds since the run began; 0 is not yet.
pub struct Dropped {
    pub began: Instant,
    at: Vec<AtomicU64>,
}

impl Dropped {
    pub fn new(messages: u32) -> Dropped {
        Dropped { began: Instant::now(), at: (0..messages).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Everything is dropped as of now.
    pub fn all_now(messages: u32) -> Dropped {
        let dropped = Dropped::new(messages);
        (0..messages).for_each(|number| dropped.note(number));
        dropped
    }

    fn note(&self, number: u32) {
        let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.at[number as usize].store(nanos.max(1), Ordering::Release);
    }

    /// How long ago it was dropped; `None`: not yet, or there is no such message.
    pub fn since(&self, number: u32) -> Option<Duration> {
        let nanos = self.at.get(number as usize)?.load(Ordering::Acquire);
        (nanos != 0).then(|| self.began.elapsed().saturating_sub(Duration::from_nanos(nanos)))
    }
}

/// How many messages are under way; the writer waits while it is as many as may be.
#[derive(Default)]
pub struct Gate {
    under_way: Mutex<u32>,
    freed: Condvar,
    closed: AtomicBool,
}

impl Gate {
    fn enter(&self, at_most: u32) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        while *under_way >= at_most && !self.is_closed() {
            under_way = self.freed.wait(under_way).unwrap_or_else(PoisonError::into_inner);
        }
        *under_way += 1;
    }

    pub fn leave(&self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        *under_way = under_way.saturating_sub(1);
        self.freed.notify_one();
    }

    /// The run is over; the writer stops.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let _under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        self.freed.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// Drops the messages of a run.
pub fn write(bus: &Path, plan: &Plan<'_>, dropped: &Dropped, gate: &Gate) -> io::Result<()> {
    for number in 0..plan.messages {
        match plan.mode {
            Mode::Blast => gate.enter(plan.outstanding),
            Mode::Idle => gate.enter(1),
            Mode::Rate => {
                let slot = Duration::from_secs_f64(f64::from(number) / f64::from(plan.rate));
                std::thread::sleep(slot.saturating_sub(dropped.began.elapsed()));
            }
            Mode::Backlog => {}
        }
        if gate.is_closed() {
            return Ok(());
        }
        let hidden = bus.join(format!(".{}.tmp", id(number)));
        fs::write(&hidden, plan.content.message(number))?;
        dropped.note(number);
        fs::rename(&hidden, bus.join(file_name(number)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_messages_and_names_read_back() {
        use postroom::message::{Given, Message};
        for made_of in [Payload::Text, Payload::Data] {
            let payload = payload(made_of, 280);
            let content = Content { recipient: "postroom".into(), action: "mcp.core.echo".into(), payload };
            let text = content.message(7);
            assert!((395..=410).contains(&text.len()), "{}", text.len());
            let message = Message::parse(text, Given { file_identity: (0, 0), now_ms: 0 }).expect("a message");
            assert_eq!(message.payload_text().len(), 280);
            assert_eq!(number_of_reply(&format!("{}.reply.json", message.id())), Some(7));
        }
        assert_eq!(number_of_reply("b-7.json"), None);
    }
}
