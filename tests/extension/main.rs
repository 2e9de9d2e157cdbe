//! Extensions as real components: what a good one gets and gives, and what becomes of every kind of bad one.

mod broken;
mod guests;
mod guests_linked;
mod guests_notes;
mod guests_text;
mod handling;
mod host;
mod install;
mod linked;
mod linking_async;
mod linking_calls;
mod linking_resources;
mod linking_reuse;
mod linking_set;
mod linking_stress;
mod linking_values;
mod linking_worlds;
mod misbehaving;
mod mock;
mod mocks;
mod prebuilt;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use postroom::extension::{Broken, Call, Configuration, ExtensionHost, Limits, Message, Nowhere, Trust};
use postroom::message::{Code, Failure, Handled, Payload, Retry};

/// A folder of extensions.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn put(&self, file: &str, bytes: impl AsRef<[u8]>) -> &Folder {
        std::fs::write(self.path(file), bytes).unwrap();
        self
    }

    async fn load(&self) -> (ExtensionHost, Vec<Broken>) {
        load(self.0.path(), &Limits::default()).await
    }
}

async fn load(folder: &Path, limits: &Limits) -> (ExtensionHost, Vec<Broken>) {
    load_with(folder, &Configuration::from(limits.clone())).await
}

async fn load_with(folder: &Path, configuration: &Configuration) -> (ExtensionHost, Vec<Broken>) {
    ExtensionHost::load(folder, configuration).await.unwrap()
}

/// A host with one extension, `it`, made of this mock.
async fn host_of(mock: mock::Mock) -> ExtensionHost {
    host_within(Limits::default(), mock).await
}

async fn host_within(limits: Limits, mock: mock::Mock) -> ExtensionHost {
    let folder = Folder::new();
    folder.put("it.wasm", mock::component("", &[mock]));
    let (host, broken) = load(folder.0.path(), &limits).await;
    assert_eq!(broken, []);
    host
}

/// The default, but with a deadline that is worth waiting for.
fn one_second() -> Limits {
    Limits { deadline: Duration::from_secs(1), ..Limits::default() }
}

/// One attempt, without a bus around it.
async fn handle(host: &ExtensionHost, name: &str, call: Call<'_>) -> Handled {
    host.handle(name, call, Arc::new(Nowhere)).await.handled
}

fn call(payload: &str) -> Call<'_> {
    let message = Message {
        id: "m-1",
        sender: "tester",
        recipient: "it",
        action: "math.add",
        payload,
        error: None,
        timestamp: 1_763_683_200_000,
        in_reply_to: None,
        correlation_id: None,
        expires_at: None,
        others: &[],
    };
    Call { message, accepted_at: 1_763_683_200_001, attempt: 1, hops: 0, trust: Trust::Unsigned, key_id: None }
}

fn replied(handled: Handled) -> String {
    match handled {
        Handled::Reply(Payload::Text(text)) => text.as_str().to_owned(),
        other => panic!("no reply: {other:?}"),
    }
}

fn failed(handled: Handled) -> Failure {
    match handled {
        Handled::Failed(failure) => failure,
        other => panic!("no failure: {other:?}"),
    }
}

/// Code, retry and text of a failure.
fn end(handled: Handled) -> (Code, Retry, String) {
    let failure = failed(handled);
    (failure.code, failure.retry, failure.message)
}
