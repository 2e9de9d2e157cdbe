//! What extensions can import, as real components see it: what is granted works, what is not is refused when they are loaded.

mod bus;
mod console;
mod counted;
mod facts;
mod grants;
mod guest;
mod interfaces;
mod invoke;
mod network;
mod state;
mod values;
mod wasi;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use postroom::extension::{Attempted, Broken, Configuration, ExtensionHost, Stored, Surroundings};
use postroom::message::{Code, Failure, Handled, JsonText, Payload, Retry};
use postroom::policy::Settings;

use super::{Folder, call, failed, replied};
use guest::Guest;

/// These components under their names, with these settings.
async fn loaded(settings: &str, components: &[(&str, Vec<u8>)]) -> (ExtensionHost, Vec<Broken>) {
    let folder = Folder::new();
    for (name, component) in components {
        folder.put(&format!("{name}.wasm"), component);
    }
    load(folder.0.path(), settings).await
}

async fn load(folder: &Path, settings: &str) -> (ExtensionHost, Vec<Broken>) {
    let settings = Settings::parse(settings).unwrap_or_else(|error| panic!("{error}: {settings}"));
    ExtensionHost::load(folder, &Configuration::from_settings(&settings, folder)).await.unwrap()
}

/// The same, where nothing is set aside.
async fn all_loaded(settings: &str, components: &[(&str, Vec<u8>)]) -> ExtensionHost {
    let (host, broken) = loaded(settings, components).await;
    assert_eq!(broken, []);
    host
}

/// One attempt of an extension at a message with this payload.
async fn attempt(host: &ExtensionHost, name: &str, payload: &str, around: &Arc<Around>) -> Attempted {
    let mut call = call(payload);
    call.message.recipient = name;
    host.handle(name, call, around.clone()).await
}

/// The reply of an extension that runs on its own.
async fn reply(host: &ExtensionHost, name: &str, payload: &str) -> String {
    replied(attempt(host, name, payload, &Arc::default()).await.handled)
}

/// The code that an extension gave for its failure.
fn own_code(handled: Handled) -> String {
    let failure = failed(handled);
    let details = failure.details.unwrap_or_else(|| panic!("no details: {}", failure.message));
    details.as_str().split('"').nth(3).unwrap_or_default().to_owned()
}

/// A guest that answers `null` and does nothing else.
fn quiet() -> Vec<u8> {
    let mut guest = Guest::new();
    let null = guest.text("null");
    guest.handling(&format!("(call $ok {null})")).component()
}

/// What an attempt finds around it: stored values in some version, and control commands, which it writes down.
#[derive(Default)]
struct Around {
    stored: BTreeMap<&'static str, (&'static str, u64)>,
    asked: Mutex<Vec<String>>,
}

impl Around {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Surroundings for Around {
    fn control<'a>(
        &'a self,
        extension: &'a str,
        action: &'a str,
        parameters: &'a str,
    ) -> Pin<Box<dyn Future<Output = Handled> + Send + 'a>> {
        self.asked.lock().unwrap().push(format!("{extension} {action} {parameters}"));
        Box::pin(async move {
            match action {
                "mcp.core.echo" => Handled::Reply(Payload::OfMessage),
                "mcp.core.ping" => Handled::Reply(Payload::Text(JsonText::parse(r#"{"now":1}"#).unwrap())),
                _ => Handled::Failed(Failure {
                    code: Code::NotPermitted,
                    message: "no".into(),
                    details: None,
                    retry: Retry::Final,
                }),
            }
        })
    }

    fn mark(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn forget_since(&self, mark: usize) {
        self.asked.lock().unwrap().truncate(mark);
    }

    fn stored(&self, _extension: &str, key: &str) -> Result<Stored, String> {
        let (value, version) = self.stored.get(key).map_or((None, 0), |(value, version)| (Some(*value), *version));
        Ok(Stored { value: value.map(|value| value.as_bytes().to_vec()), version })
    }

    fn stored_keys(&self, _extension: &str, prefix: &str, most: usize) -> Result<Vec<String>, String> {
        let keys = self.stored.keys().filter(|key| key.starts_with(prefix)).take(most);
        Ok(keys.map(|key| (*key).to_owned()).collect())
    }
}
