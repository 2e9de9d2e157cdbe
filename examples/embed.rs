//! A program that serves a bus itself, without the command line: makes a fresh bus, drops a message as any tool would, and
//! prints the reply file.
//!
//!     cargo run --example embed

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use postroom::bus;
use postroom::{Config, Mode, Notice, Service};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let bus = folder.path().join(bus::layout::BUS);
    bus::create(&bus)?;

    let service = Service::new(Config::new(&bus), |notice: &Notice| eprintln!("service: {notice}"));
    let stopper = service.stopper();
    let running = std::thread::spawn(move || service.run(Mode::UntilStopped));

    // Any writer, no library: a complete file under a hidden name, renamed to its own.
    let message =
        r#"{"id":"hello-1","sender":"example","recipient":"postroom","action":"mcp.core.echo","payload":"hello"}"#;
    std::fs::write(bus.join(".hello-1"), message)?;
    std::fs::rename(bus.join(".hello-1"), bus.join("hello-1.json"))?;

    let reply = wait_for(&bus.join("inbox/example/hello-1.reply.json"))?;
    print!("{reply}");

    stopper.stop();
    running.join().map_err(|_| "the service panicked")??;
    Ok(())
}

fn wait_for(path: &Path) -> Result<String, Box<dyn Error>> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) => return Ok(text),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
