//! Many attempts at once, on several threads, through a chain of links: each gets its own answer.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use postroom::extension::{Configuration, ExtensionHost};
use postroom::message::{Code, Handled, Payload};
use postroom::policy::Settings;

use super::linked::{ECHO, Guest, guest, handled, host};

const ATTEMPTS: usize = 400;

const PASS: &str = r#"(export "pass" (func (param "text" string) (result string)))"#;
const PASS_SIGNATURE: &str = r#"(param "text" string) (result string)"#;
const PASS_CORE: &str = "(param i32 i32 i32)";

/// Replies with what `pass` returns for the payload.
fn asking(interface: &str) -> Guest {
    guest(
        r#"(func (export "run") (param i32 i32) (result i32)
            (call $pass (local.get 0) (local.get 1) (i32.const 1040))
            (call $pair (i32.load (i32.const 1040)) (i32.load (i32.const 1044))))"#,
    )
    .importing(interface, PASS, &[("pass", PASS_CORE)])
}

/// Passes on what the next one returns.
fn between(from: &str, to: &str, before: &str) -> Guest {
    let core = format!(
        r#"{ECHO} (func (export "pass") (param i32 i32) (result i32)
            {before}
            (call $next (local.get 0) (local.get 1) (i32.const 1040))
            (call $pair (i32.load (i32.const 1040)) (i32.load (i32.const 1044))))"#
    );
    let next = PASS.replace("\"pass\"", "\"next\"");
    guest(&core).importing(from, &next, &[("next", PASS_CORE)]).exporting(to, &[("pass", PASS_SIGNATURE)])
}

/// Returns what it gets; an empty string makes it trap.
fn last(interface: &str, before: &str) -> Guest {
    let core = format!(
        r#"{ECHO} (func (export "next") (param i32 i32) (result i32)
            {before}
            (if (i32.eq (local.get 1) (i32.const 2)) (then unreachable))
            (call $pair (local.get 0) (local.get 1)))"#
    );
    guest(&core).exporting(interface, &[("next", PASS_SIGNATURE)])
}

async fn chain(settings: &str) -> Arc<ExtensionHost> {
    let configuration = Configuration::from_settings(&Settings::parse(settings).unwrap(), Path::new("."));
    let guests = [
        ("first", &asking("m:second/lib@1.0.0")),
        ("second", &between("m:third/lib@1.0.0", "m:second/lib@1.0.0", "")),
        ("third", &last("m:third/lib@1.0.0", "")),
    ];
    Arc::new(host(&configuration, &guests).await)
}

async fn storm(host: Arc<ExtensionHost>) {
    storm_in_order(host, None).await;
}

/// With a seed, every attempt gives its thread away at random, and goes on in whichever is free.
async fn storm_in_order(host: Arc<ExtensionHost>, seed: Option<u64>) {
    let tasks: Vec<_> = (0..ATTEMPTS)
        .map(|n| {
            let host = host.clone();
            tokio::spawn(async move {
                // Of different lengths, each of its own kind; every seventh one fails.
                let payload = match n % 7 {
                    0 => "\"\"".to_owned(),
                    _ => format!("\"{n} {}\"", "x".repeat(n * 97 % 5_000)),
                };
                let handled = match seed {
                    Some(seed) => Shuffled::new(seed, n, handled(&host, "first", &payload)).await,
                    None => handled(&host, "first", &payload).await,
                };
                (payload, handled)
            })
        })
        .collect();
    let (mut replied, mut failed) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            (payload, Handled::Reply(Payload::Text(reply))) => {
                assert_eq!(reply.as_str(), payload);
                replied += 1;
            }
            (payload, Handled::Failed(failure)) => {
                assert_eq!((payload.as_str(), failure.code), ("\"\"", Code::HandlerFailed));
                assert!(failure.message.starts_with("in `third` (first -> second -> third): "), "{failure:?}");
                failed += 1;
            }
            (payload, Handled::Reply(Payload::OfMessage)) => panic!("{payload} was answered with itself"),
        }
    }
    assert_eq!((replied, failed), (ATTEMPTS - ATTEMPTS.div_ceil(7), ATTEMPTS.div_ceil(7)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_through_fresh_instances() {
    storm(chain("").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_through_reused_instances() {
    storm(chain("[extensions]\ninstance = \"reused\"\nuses = 20").await).await;
}

/// A future that is put off at random, up to seven times in a row, each time that it could go on: a schedule of the executor's that a seed
/// chooses, as in randomised testing of concurrent programs (Burckhardt and others, ASPLOS 2010, doi:10.1145/1736020.1736040), without its
/// priorities.
struct Shuffled<F> {
    inner: Pin<Box<F>>,
    state: u64,
    put_off: u64,
}

impl<F: Future> Shuffled<F> {
    fn new(seed: u64, attempt: usize, inner: F) -> Shuffled<F> {
        let state =
            (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (attempt as u64 + 1).wrapping_mul(0xd1b5_4a32_d192_ed03);
        Shuffled { inner: Box::pin(inner), state, put_off: 0 }
    }

    /// Marsaglia's xorshift64.
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

impl<F: Future> Future for Shuffled<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.put_off == 0 {
            self.put_off = self.random() % 8;
        } else {
            self.put_off -= 1;
        }
        if self.put_off > 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.inner.as_mut().poll(context)
    }
}

/// Each attempt is suspended in the middle of a linked call, in two stores' worth of frames, and goes on in another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn many_that_wait_within_their_calls_under_random_schedules() {
    let waiting = |guest: Guest| {
        guest.importing(
            "postroom:extension/clock@1.0.0",
            r#"(export "sleep-ms" (func (param "ms" u32)))"#,
            &[("sleep-ms", "(param i32)")],
        )
    };
    let wait = "(call $sleep-ms (i32.and (local.get 1) (i32.const 3)))";
    for instance in ["fresh", "reused"] {
        let settings = format!("[extensions]\ninstance = \"{instance}\"\nuses = 20\ngrants = [\"clock\"]");
        let configuration = Configuration::from_settings(&Settings::parse(&settings).unwrap(), Path::new("."));
        let guests = [
            ("first", &asking("m:second/lib@1.0.0")),
            ("second", &waiting(between("m:third/lib@1.0.0", "m:second/lib@1.0.0", wait))),
            ("third", &waiting(last("m:third/lib@1.0.0", wait))),
        ];
        let host = Arc::new(host(&configuration, &guests).await);
        for seed in 0..5 {
            // Shown if the test fails.
            println!("{instance} instances, seed {seed}");
            storm_in_order(host.clone(), Some(seed)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn first_uses_at_once() {
    let first = chain("").await;
    let facts: Vec<_> = ["first", "second", "third"].map(|name| (name, first.facts(name).unwrap())).into();
    let folder = super::linked::folder(&[
        ("first", &asking("m:second/lib@1.0.0")),
        ("second", &between("m:third/lib@1.0.0", "m:second/lib@1.0.0", "")),
        ("third", &last("m:third/lib@1.0.0", "")),
    ]);
    let known = |path: &Path| {
        let stem = path.file_stem()?.to_str()?;
        facts.iter().find(|(name, _)| *name == stem).map(|(_, facts)| facts.clone())
    };
    let (host, broken) = ExtensionHost::load_known(folder.0.path(), &Configuration::default(), &known).await.unwrap();
    assert_eq!(broken, []);
    storm(Arc::new(host)).await;
}
