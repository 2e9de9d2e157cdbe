//! A thousand messages to a handler that waits 50 ms for something: how many are under way at a time, and what others feel of it.
//!
//! `cargo bench --bench slow_handlers [-- FOLDER]`; the bus is made in FOLDER, by default the system's temporary one.

#[path = "../tests/extension/linked.rs"]
#[expect(dead_code, reason = "it has more than is measured here")]
mod linked;
#[path = "../tests/extension/mock/mod.rs"]
#[expect(dead_code, reason = "it has more than is measured here")]
mod mock;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use postroom::bus;
use postroom::extension::{Call, Message, Trust};
use postroom::policy::Settings;
use postroom::service::{Config, Mode, Notice, Service, Stopper};

use linked::guest;

const MESSAGES: u32 = 1_000;
const WAIT: Duration = Duration::from_millis(50);
/// Pings that are answered while nothing else goes on.
const PINGS: u32 = 500;
/// How long to wait between two looks for a reply.
const LOOK: Duration = Duration::from_micros(100);

/// What the modules of the tests expect around them.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn put(&self, file: &str, bytes: impl AsRef<[u8]>) -> &Folder {
        fs::write(self.path(file), bytes).expect("a temporary file");
        self
    }
}

/// The same.
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

struct Bus {
    folder: PathBuf,
    stopper: Stopper,
    running: Option<std::thread::JoinHandle<()>>,
}

impl Bus {
    fn serve(top: &Path, concurrency: u32) -> Result<Bus, Box<dyn Error>> {
        let folder = top.join(bus::layout::BUS);
        bus::create(&folder)?;
        let extensions = top.join("extensions");
        fs::create_dir_all(&extensions)?;
        fs::write(extensions.join("slow.wasm"), waiting())?;
        let settings = Settings::parse(&format!(
            "[bus]\ndurability = \"process\"\n[extension.slow]\nconcurrency = {concurrency}\ngrants = [\"clock\"]"
        ))
        .map_err(|error| error.message)?;
        let config = Config { bus: folder.clone(), settings, settings_file: None, force_file_system: true };
        let service = Service::new(config, |notice: &Notice| eprintln!("service: {notice}"));
        let stopper = service.stopper();
        let running = std::thread::spawn(move || {
            if let Err(error) = service.run(Mode::UntilStopped) {
                eprintln!("the service ended: {error}");
            }
        });
        Ok(Bus { folder, stopper, running: Some(running) })
    }

    fn send(&self, sender: &str, id: &str, recipient: &str, action: &str) -> std::io::Result<()> {
        let text =
            format!(r#"{{"id":"{id}","sender":"{sender}","recipient":"{recipient}","action":"{action}","payload":1}}"#);
        let hidden = self.folder.join(format!(".{id}"));
        fs::write(&hidden, text)?;
        fs::rename(hidden, self.folder.join(format!("{id}.json")))
    }

    fn has_reply(&self, sender: &str, id: &str) -> bool {
        self.folder.join(format!("inbox/{sender}/{id}.reply.json")).exists()
    }

    /// From the drop to the reply.
    fn ping(&self, number: u32) -> std::io::Result<Duration> {
        let id = format!("ping-{number}");
        let began = Instant::now();
        self.send("pinger", &id, "postroom", "mcp.core.ping")?;
        while !self.has_reply("pinger", &id) {
            std::thread::sleep(LOOK);
        }
        Ok(began.elapsed())
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

/// A handler that waits and then replies with its payload.
fn waiting() -> Vec<u8> {
    let wait = WAIT.as_millis();
    let run = format!(
        r#"(func (export "run") (param i32 i32) (result i32)
            (call $sleep-ms (i32.const {wait}))
            (call $pair (local.get 0) (local.get 1)))"#
    );
    let declaration = r#"(export "sleep-ms" (func (param "ms" u32)))"#;
    guest(&run).importing("postroom:extension/clock@1.0.0", declaration, &[("sleep-ms", "(param i32)")]).bytes()
}

fn of(latencies: &mut [Duration], part: f64) -> Duration {
    latencies.sort_unstable();
    latencies[((latencies.len() - 1) as f64 * part) as usize]
}

fn measure(parent: &Path, concurrency: u32) -> Result<(), Box<dyn Error>> {
    let top = tempfile::tempdir_in(parent)?;
    let bus = Bus::serve(top.path(), concurrency)?;
    bus.ping(0)?;
    bus.send("asker", "first", "slow", "wait")?;
    while !bus.has_reply("asker", "first") {
        std::thread::sleep(LOOK);
    }
    let mut alone = (1..=PINGS).map(|number| bus.ping(number)).collect::<Result<Vec<_>, _>>()?;

    let began = Instant::now();
    for number in 0..MESSAGES {
        bus.send("asker", &format!("m-{number:04}"), "slow", "wait")?;
    }
    let inbox = bus.folder.join("inbox/asker");
    let mut beside = Vec::new();
    for number in PINGS + 1.. {
        beside.push(bus.ping(number)?);
        if number % 16 == 0 && fs::read_dir(&inbox)?.count() > MESSAGES as usize {
            break;
        }
    }
    let took = began.elapsed();
    let least = WAIT * MESSAGES / concurrency;
    println!(
        "concurrency {concurrency}: {MESSAGES} messages in {took:.2?}, {:.2} times the least possible {least:.2?}; \
         pings beside them p50 {:.0?} p99 {:.0?}, alone p50 {:.0?} p99 {:.0?}",
        took.as_secs_f64() / least.as_secs_f64(),
        of(&mut beside, 0.5),
        of(&mut beside, 0.99),
        of(&mut alone, 0.5),
        of(&mut alone, 0.99),
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let named = std::env::args_os().skip(1).find(|argument| !argument.to_string_lossy().starts_with("--"));
    let parent = named.map_or_else(std::env::temp_dir, PathBuf::from);
    [4, 50].into_iter().try_for_each(|concurrency| measure(&parent, concurrency))
}
