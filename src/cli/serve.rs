//! `postroom serve`: runs the service and says on standard error what it has to say.

use postroom::service::{Config, Mode, Notice, Service};

use super::print::Format;
use super::workspace::settings_path;
use super::{Exit, Failure, Global, print, signals, text, units};

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
        let config = Config {
            settings_file: Some(settings_path(&workspace.bus)),
            bus: workspace.bus,
            settings: workspace.settings,
            force_file_system: self.force_file_system,
        };
        let service = Service::new(config, move |notice| say(notice, format));
        let stopper = service.stopper();
        signals::on_stop(move || stopper.stop())
            .map_err(|error| Failure::new(Exit::Failure, format!("cannot listen for signals: {error}")))?;
        service.run(if self.once { Mode::Once } else { Mode::UntilStopped })?;
        Ok(Exit::Ok)
    }
}

/// One notice, one line on standard error: standard output stays free.
pub fn say(notice: &Notice, format: Format) {
    let at = units::now_ms();
    let said = text::sentence(&notice.to_string());
    match format {
        Format::Text => print::note(&format!("{} {said}", postroom::bus::time::readable(at))),
        Format::Json => print::note(&text::json(&serde_json::json!({ "at": at, "notice": said }).to_string())),
    }
}
