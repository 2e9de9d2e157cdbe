//! What a call from one small extension to another costs, in CPU time of the whole process.
//!
//! The importer calls as often as its message says, so the cost of the message itself falls out of the difference of two runs.
//!
//! `cargo bench --bench linked_call`

#[path = "../tests/extension/linked.rs"]
#[expect(dead_code, reason = "it has more than is measured here")]
mod linked;
#[path = "../tests/extension/mock/mod.rs"]
#[expect(dead_code, reason = "it has more than is measured here")]
mod mock;

use std::path::PathBuf;
use std::time::Duration;

use postroom::extension::{Call, Configuration, ExtensionHost, Limits, Message, Trust};
use postroom::message::Handled;

use linked::{ECHO, Guest, guest, handled, host};

/// Within the limit on calls of one attempt.
const CALLS: u32 = 100_000;
const RUNS: usize = 5;

/// As the tests have it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn put(&self, file: &str, bytes: impl AsRef<[u8]>) -> &Folder {
        std::fs::write(self.path(file), bytes).expect("a temporary file");
        self
    }
}

fn call(payload: &str) -> Call<'_> {
    let message = Message {
        id: "m-1",
        sender: "bench",
        recipient: "it",
        action: "bench.run",
        payload,
        error: None,
        timestamp: 0,
        in_reply_to: None,
        correlation_id: None,
        expires_at: None,
        others: &[],
    };
    Call { message, accepted_at: 0, attempt: 1, hops: 0, trust: Trust::Unsigned, key_id: None }
}

/// A build without optimisation takes its time.
fn configuration() -> Configuration {
    Configuration::from(Limits { deadline: Duration::from_secs(600), ..Limits::default() })
}

const ADD: &str = r#"(export "add" (func (param "a" s32) (param "b" s32) (result s32)))"#;
const PASS: &str = r#"(export "pass" (func (param "text" string) (result string)))"#;
const INTERFACE: &str = "m:provider/lib@1.0.0";

/// Does this so many times if the payload is longer than one byte.
fn repeating(body: &str) -> Guest {
    guest(&format!(
        r#"(func (export "run") (param i32 i32) (result i32) (local $left i32)
            (if (i32.gt_u (local.get 1) (i32.const 1)) (then
                (local.set $left (i32.const {CALLS}))
                (loop $again
                    {body}
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $again (local.get $left)))))
            (call $pair (local.get 0) (local.get 1)))"#
    ))
}

async fn cpu_of(host: &ExtensionHost, payload: &str) -> Duration {
    let before = cpu();
    let handled = handled(host, "importer", payload).await;
    assert!(matches!(handled, Handled::Reply(_)), "{handled:?}");
    cpu() - before
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

async fn measure(what: &str, provider: &Guest, importer: &Guest) {
    let host = host(&configuration(), &[("provider", provider), ("importer", importer)]).await;
    let mut per_call = Vec::new();
    for _ in 0..RUNS {
        let message = cpu_of(&host, "1").await;
        let with_calls = cpu_of(&host, "11").await;
        per_call.push(with_calls.saturating_sub(message).as_nanos() / u128::from(CALLS));
    }
    per_call.sort_unstable();
    println!(
        "{what}: median {} ns of CPU a call, least {}, most {}",
        per_call[RUNS / 2],
        per_call[0],
        per_call[RUNS - 1]
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let add = r#"(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))"#;
    let provider = guest(&format!("{ECHO} {add}"))
        .exporting(INTERFACE, &[("add", r#"(param "a" s32) (param "b" s32) (result s32)"#)]);
    let importer = repeating("(drop (call $add (i32.const 2) (i32.const 3)))").importing(
        INTERFACE,
        ADD,
        &[("add", "(param i32 i32) (result i32)")],
    );
    measure("add(s32, s32) -> s32", &provider, &importer).await;

    let pass = r#"(func (export "pass") (param i32 i32) (result i32) (call $pair (local.get 0) (local.get 1)))"#;
    let provider =
        guest(&format!("{ECHO} {pass}")).exporting(INTERFACE, &[("pass", r#"(param "text" string) (result string)"#)]);
    let importer = repeating("(call $pass (i32.const 2048) (i32.const 64) (i32.const 1040))")
        .data(2048, &[b'x'; 64])
        .importing(INTERFACE, PASS, &[("pass", "(param i32 i32 i32)")]);
    measure("pass(string of 64 bytes) -> string", &provider, &importer).await;
}
