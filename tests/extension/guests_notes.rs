//! `ext-notes`, which uses everything that the service offers, on a store that commits like the service.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use postroom::extension::{
    Attempted, Call, Configuration, ErrorReply, ExtensionHost, LogLine, Nowhere, Sent, Stored, Surroundings,
};
use postroom::message::{Handled, Retry};
use postroom::policy::Settings;
use serde_json::{Value, json};

use super::guests::{bytes_of, host_with, refused};
use super::{Folder, call, failed, load_with, replied};

/// Keys to values, with how often each was written.
type Shelf = BTreeMap<(String, String), (Option<Vec<u8>>, u64)>;

/// What is stored, and what was sent by attempts that were committed.
#[derive(Default)]
struct Desk {
    shelf: Mutex<Shelf>,
    sent: Mutex<Vec<Sent>>,
}

impl Desk {
    /// Makes true what an attempt would change, unless what it has read is no longer so.
    fn commit(&self, attempted: &Attempted) -> bool {
        let mut shelf = self.shelf.lock().unwrap();
        let version = |shelf: &Shelf, extension: &str, key: &str| {
            shelf.get(&(extension.to_owned(), key.to_owned())).map_or(0, |(_, version)| *version)
        };
        let effects = &attempted.effects;
        if effects.read.iter().any(|(read, seen)| version(&shelf, &read.extension, &read.key) != *seen) {
            return false;
        }
        for (key, value) in &effects.written {
            let next = version(&shelf, &key.extension, &key.key) + 1;
            shelf.insert((key.extension.clone(), key.key.clone()), (value.clone(), next));
        }
        self.sent.lock().unwrap().extend(effects.sent.iter().cloned());
        true
    }

    /// The messages that were sent since this was last asked, as JSON.
    fn sent(&self) -> Vec<Value> {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        sent.iter().map(|sent| serde_json::from_str(sent.text.as_str()).unwrap()).collect()
    }
}

impl Surroundings for Desk {
    fn control<'a>(
        &'a self,
        extension: &'a str,
        action: &'a str,
        parameters: &'a str,
    ) -> Pin<Box<dyn Future<Output = Handled> + Send + 'a>> {
        Nowhere.control(extension, action, parameters)
    }

    fn mark(&self) -> usize {
        0
    }

    fn forget_since(&self, _mark: usize) {}

    fn stored(&self, extension: &str, key: &str) -> Result<Stored, String> {
        let shelf = self.shelf.lock().unwrap();
        let found = shelf.get(&(extension.to_owned(), key.to_owned())).cloned();
        Ok(found.map(|(value, version)| Stored { value, version }).unwrap_or_default())
    }

    fn stored_keys(&self, extension: &str, prefix: &str, most: usize) -> Result<Vec<String>, String> {
        let shelf = self.shelf.lock().unwrap();
        let own = shelf.iter().filter(|((owner, _), (value, _))| owner == extension && value.is_some());
        Ok(own.map(|((_, key), _)| key.clone()).filter(|key| key.starts_with(prefix)).take(most).collect())
    }
}

/// The extension, and what is around it.
struct Office {
    host: ExtensionHost,
    desk: Arc<Desk>,
}

const SETTINGS: &str = "[extension.ext-notes]\ngrants = [\"bus\"]\n";

impl Office {
    async fn open(settings: &str) -> Office {
        let settings = Settings::parse(&format!("{SETTINGS}{settings}")).unwrap();
        let configuration = Configuration::from_settings(&settings, std::path::Path::new("/"));
        Office { host: host_with(&["ext-notes", "ext-text"], &configuration).await, desk: Arc::default() }
    }

    async fn attempt(&self, call: Call<'_>) -> Attempted {
        self.host.handle("ext-notes", call, self.desk.clone()).await
    }

    /// One committed message.
    async fn committed(&self, call: Call<'_>) -> Attempted {
        let attempted = self.attempt(call).await;
        assert!(self.desk.commit(&attempted));
        attempted
    }

    async fn does(&self, action: &str, payload: &str) -> Value {
        serde_json::from_str(&replied(self.committed(to(action, payload)).await.handled)).unwrap()
    }

    async fn refuses(&self, action: &str, payload: &str) -> (String, String) {
        refused(self.committed(to(action, payload)).await.handled)
    }
}

fn to<'a>(action: &'a str, payload: &'a str) -> Call<'a> {
    let mut call = call(payload);
    call.message.recipient = "ext-notes";
    call.message.action = action;
    call
}

#[tokio::test]
async fn notes_are_kept_from_message_to_message() {
    let office = Office::open("").await;
    assert_eq!(office.does("notes.list", "null").await, json!([]));
    assert_eq!(office.does("notes.add", r#"{"text":"buy milk"}"#).await, json!({"number": 1}));
    assert_eq!(office.does("notes.add", r#"{"text":"call Ada"}"#).await, json!({"number": 2}));
    assert_eq!(office.does("notes.remove", r#"{"number":1}"#).await, json!({"number": 1, "text": "buy milk"}));
    assert_eq!(office.refuses("notes.remove", r#"{"number":1}"#).await.0, "no-such-note");
    assert_eq!(office.does("notes.add", r#"{"text":"third"}"#).await, json!({"number": 3}));
    assert_eq!(
        office.does("notes.list", "null").await,
        json!([{"number": 2, "text": "call Ada"}, {"number": 3, "text": "third"}])
    );
    for (action, payload) in [("notes.add", "{}"), ("notes.remove", "null"), ("notes.remind", r#"{"text":""}"#)] {
        assert_eq!(office.refuses(action, payload).await.0, "wrong-payload");
    }
    assert_eq!(office.refuses("notes.burn", "null").await.0, "unknown-action");
}

/// Both attempts read the same next number. Only one can be committed; the other, made again, gives the next.
#[tokio::test]
async fn two_notes_at_once_do_not_get_one_number() {
    let office = Office::open("").await;
    let (one, other) = tokio::join!(
        office.attempt(to("notes.add", r#"{"text":"one"}"#)),
        office.attempt(to("notes.add", r#"{"text":"other"}"#))
    );
    assert!(office.desk.commit(&one) && !office.desk.commit(&other));
    assert_eq!(office.does("notes.add", r#"{"text":"other"}"#).await, json!({"number": 2}));
}

#[tokio::test]
async fn what_is_noted_is_logged() {
    let office = Office::open("").await;
    let LogLine { extension, text, .. } =
        office.committed(to("notes.add", r#"{"text":"ten bytes!"}"#)).await.log.pop().unwrap();
    assert_eq!((extension.as_str(), text.as_str()), ("ext-notes", "note 1 has 10 bytes"));
}

#[tokio::test]
async fn settings_are_obeyed_and_wrong_ones_are_said_when_it_is_loaded() {
    let office = Office::open("[extension.ext-notes.config]\nlimit = 1\n").await;
    office.does("notes.add", r#"{"text":"the one"}"#).await;
    assert_eq!(
        office.refuses("notes.add", r#"{"text":"too many"}"#).await,
        ("too-many-notes".into(), "there are 1 notes; remove one first".into())
    );

    let folder = Folder::new();
    folder.put("ext-notes.wasm", bytes_of("ext-notes"));
    let settings = Settings::parse(&format!("{SETTINGS}[extension.ext-notes.config]\nlimit = \"many\"\n")).unwrap();
    let configuration = Configuration::from_settings(&settings, folder.0.path());
    let (_, broken) = load_with(folder.0.path(), &configuration).await;
    assert_eq!(broken.len(), 1);
    let reason = "`limit` must be a whole number of notes; it is \"many\"";
    assert!(broken[0].reason.contains(reason), "{}", broken[0].reason);
}

#[tokio::test]
async fn another_extension_counts_the_words() {
    let office = Office::open("").await;
    office.does("notes.add", r#"{"text":"buy milk"}"#).await;
    office.does("notes.add", r#"{"text":"call Ada today"}"#).await;
    let total = office.does("notes.count", "null").await["total"].clone();
    assert_eq!(total, json!({"characters": 22, "words": 5, "lines": 2, "bytes": 22}));

    let office = Office::open("[extension.ext-notes.config]\ncounter = \"nobody\"\n").await;
    let failure = failed(office.attempt(to("notes.count", "null")).await.handled);
    assert!(failure.message.contains("nobody"), "{}", failure.message);
    assert_eq!(failure.retry, Retry::Final);
}

#[tokio::test]
async fn a_reminder_is_a_message_for_later() {
    let office = Office::open("").await;
    let mut call = to("notes.remind", r#"{"text":"tea","afterMs":3600000}"#);
    call.message.correlation_id = Some("c-1");
    let reply: Value = serde_json::from_str(&replied(office.committed(call).await.handled)).unwrap();
    let sent = office.desk.sent();
    assert_eq!(sent.len(), 1);
    let reminder = &sent[0];
    assert_eq!((&reminder["sender"], &reminder["recipient"]), (&json!("ext-notes"), &json!("tester")));
    assert_eq!((&reminder["action"], &reminder["payload"]), (&json!("notes.reminder"), &json!({"text": "tea"})));
    assert_eq!((&reminder["id"], &reminder["notBefore"]), (&reply["id"], &reply["at"]));
    assert_eq!(reminder["correlationId"], json!("c-1"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let at = u128::from(reply["at"].as_u64().unwrap());
    assert!(at > now && at <= now + 3_600_000, "{at}, and now it is {now}");
}

/// The question goes out with one message, the answer comes with another; between them there is only what was stored.
#[tokio::test]
async fn an_agent_is_asked_and_its_answer_is_passed_on() {
    let office = Office::open("").await;
    office.does("notes.ask", r#"{"agent":"reviewer","question":"ready?"}"#).await;
    let question = office.desk.sent().remove(0);
    assert_eq!((&question["recipient"], &question["action"]), (&json!("reviewer"), &json!("notes.question")));
    assert_eq!(question["payload"], json!({"question": "ready?"}));

    let asked = question["id"].as_str().unwrap();
    let answer = |payload| {
        let mut answer = to("notes.question", payload);
        answer.message.sender = "reviewer";
        answer.message.in_reply_to = Some(asked);
        answer
    };
    office.committed(answer(r#"{"ready":true}"#)).await;
    let passed_on = office.desk.sent().remove(0);
    assert_eq!((&passed_on["recipient"], &passed_on["action"]), (&json!("tester"), &json!("notes.answer")));
    assert_eq!(passed_on["payload"], json!({"ready": true}));
    // It was answered; nobody waits for another one.
    assert_eq!(refused(office.attempt(answer("1")).await.handled).0, "not-asked");
    assert_eq!(office.refuses("notes.question", "1").await.0, "not-asked");
}

#[tokio::test]
async fn an_agent_that_cannot_answer_is_passed_on_too() {
    let office = Office::open("").await;
    office.does("notes.ask", r#"{"agent":"reviewer","question":"ready?"}"#).await;
    let question = office.desk.sent().remove(0);
    let mut refusal = to("notes.question", "null");
    refusal.message.sender = "reviewer";
    refusal.message.in_reply_to = question["id"].as_str();
    refusal.message.error = Some(ErrorReply { code: "denied", message: "not now", details: None });
    office.committed(refusal).await;
    assert_eq!(office.desk.sent()[0]["payload"], json!({"error": "denied", "message": "not now"}));
}

#[tokio::test]
async fn waiting_lets_others_go_on() {
    let office = Office::open("").await;
    let one = async { (office.does("notes.wait", r#"{"ms":300}"#).await, Instant::now()) };
    let other = async { (office.does("notes.list", "null").await, Instant::now()) };
    let ((waited, ended), (_, answered)) = tokio::join!(one, other);
    assert!(waited["waitedMs"].as_u64().unwrap() >= 300, "{waited}");
    assert!(answered < ended, "the other message had to wait");
}

#[tokio::test]
async fn tokens_differ() {
    let office = Office::open("").await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let token = office.does("notes.token", "null").await["token"].as_str().unwrap().to_owned();
        assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
        tokens.push(token);
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
}
