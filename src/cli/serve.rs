//! `postroom serve`: runs the service and says on standard error what it has to say.

mod backlog;

use postroom::service::{Config, Mode, Notice, Service};

use super::print::Format;
use super::workspace::{settings_path, with_name};
use super::{Exit, Failure, Global, print, signals, text, units};
use backlog::{Backlog, Moving};

/// Run the service on the bus
///
/// The first service on a bus is active; others stand by and take over when it ends or hangs. SIGTERM or Ctrl-C stops it
/// cleanly within 10 seconds; a second one ends it at once, which loses nothing either.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Handle what is there and due, then return
    #[arg(long)]
    once: bool,
    /// Use a file system that cannot keep the promises (network, synced by a cloud program)
    #[arg(long)]
    force_file_system: bool,
}

impl Serve {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let workspace = global.workspace()?;
        let format = global.format();
        let backlog = if self.once { Backlog::of(workspace.view()?)? } else { None };
        let config = Config {
            settings_file: Some(settings_path(&workspace.bus)),
            settings: workspace.settings()?,
            bus: with_name(workspace.bus)?,
            force_file_system: self.force_file_system,
        };
        let bar = backlog.as_ref().map(Backlog::bar);
        let service = Service::new(config, move |notice| match &bar {
            Some(bar) => bar.suspend(|| say(notice, format)),
            None => say(notice, format),
        });
        keep_memory();
        let stopper = service.stopper();
        signals::on_stop(move || stopper.stop())
            .map_err(|error| Failure::new(Exit::Failure, format!("cannot listen for signals: {error}")))?;
        let moving = backlog.map(Backlog::follow);
        let ran = service.run(if self.once { Mode::Once } else { Mode::UntilStopped });
        moving.into_iter().for_each(Moving::end);
        ran?;
        Ok(Exit::Ok)
    }
}

/// A message of 1 MiB is read into memory of its own; given back to the system with each message, it would be taken and zeroed
/// anew, page by page, for the next. Some megabytes of freed memory are kept instead.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_memory() {
    const KEPT: libc::c_int = 16 << 20;
    // SAFETY: sets two numbers of the allocator, before any other thread is there. Refused, they stay as they are.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory() {}

/// One notice, one line on standard error: standard output stays free.
pub fn say(notice: &Notice, format: Format) {
    let at = units::now_ms();
    let said = text::sentence(&notice.to_string());
    match format {
        Format::Text => print::note(&format!("{} {said}", postroom::bus::time::readable(at))),
        Format::Json => print::note(&text::json(&serde_json::json!({ "at": at, "notice": said }).to_string())),
    }
}
