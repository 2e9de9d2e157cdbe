//! The service: the line, the lanes, retries, takeover, shutdown. Prints nothing; what it has to say is a [`Notice`].
//!
//! | file | what it is |
//! | --- | --- |
//! | `line` | one batch from the drop to the end: claim, check, route, handle, commit, publish, finish |
//! | `gather`, `check`, `decide`, `answer`, `dead`, `settle`, `tell` | its steps; `dead` is what becomes of what is refused, `tell` what the journal says |
//! | `publisher`, `early_sync` | the threads beside the line: one publishes and finishes, one syncs before a checkpoint has to |
//! | `active`, `standby`, `inherited` | the two lives of a service; what it goes on with of one that died |
//! | `claimed`, `clock` | a message while it is worked on; both clocks at one moment |
//! | `calendar`, `dates` | which folder of the archive is being filled; whether the date may make anything old |
//! | `drop_queue`, `waiting`, `lanes`, `awaited` | what waits in the drop, in `deferred/`, for an extension, for one that is still to come |
//! | `attempt`, `attempted`, `stored` | what a running attempt has at hand, what becomes of what it did, what extensions keep |
//! | `inboxes`, `inbox_names`, `registry`, `installed` | what is known of the agents; which extensions there are |
//! | `requests`, `untaken`, `tend`, `stop`, `trouble`, `notice` | the command line's wishes, answers that it has not taken, housekeeping, the end, errors, what is said of it |
//! | `listen`, `wake`, `watch` | what the service waits on: events of the drop, of other threads, and times |
//!
//! A program can embed it: see `examples/embed.rs`.

mod active;
mod answer;
mod attempt;
mod attempted;
mod awaited;
mod calendar;
mod check;
mod claimed;
mod clock;
mod dates;
mod dead;
mod decide;
mod drop_queue;
mod early_sync;
mod gather;
mod inbox_names;
mod inboxes;
mod inherited;
mod installed;
mod lanes;
mod line;
mod listen;
mod notice;
mod publisher;
mod registry;
mod requests;
mod settle;
mod standby;
mod stop;
mod stored;
mod tell;
mod tend;
mod trouble;
mod untaken;
mod waiting;
mod wake;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use notice::Notice;

use crate::bus::file_system::{self, Verdict};
use crate::bus::log::Durability;
use crate::bus::{self, BusError, Disk, term};
use crate::extension;
use crate::policy::{Settings, settings};
use active::{Active, End};
use installed::{Installed, Places};
use trouble::Trouble;
use wake::{Wake, Waker, Wakes};

/// What a service is to serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// The bus folder.
    pub bus: PathBuf,
    pub settings: Settings,
    /// The file with the settings: read again, for what concerns extensions, when it or the set of extensions changes while the service
    /// runs. `None`: never.
    pub settings_file: Option<PathBuf>,
    /// Serve even on a file system that cannot keep the promises.
    pub force_file_system: bool,
}

impl Config {
    /// With the settings that hold where nothing is set, on a file system that can keep the promises.
    pub fn new(bus: impl Into<PathBuf>) -> Config {
        Config { bus: bus.into(), settings: Settings::default(), settings_file: None, force_file_system: false }
    }
}

/// For so long a service that runs once tries what the system refuses.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    UntilStopped,
    /// Until everything that can be done now is done. Where another service is active, until that one has taken what is there, or this
    /// one has taken over from it. What the system refuses for longer than 10 s is an error.
    Once,
}

/// One service for one bus.
pub struct Service {
    config: Config,
    say: Arc<dyn Fn(&Notice) + Send + Sync>,
    stopped: Arc<AtomicBool>,
    wake: Waker,
    wakes: Wakes,
}

/// Stops a service from anywhere.
#[derive(Clone, Debug)]
pub struct Stopper {
    stopped: Arc<AtomicBool>,
    wake: Waker,
}

impl Stopper {
    /// Asks the service to stop: what runs may finish for 6 s, and within 10 s [`Service::run`] returns.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake.wake(Wake::Stop);
    }
}

/// What all parts of a running service share.
pub(crate) struct Core {
    disk: Arc<Disk>,
    settings: Settings,
    say: Arc<dyn Fn(&Notice) + Send + Sync>,
    installed: Installed,
    stopped: Arc<AtomicBool>,
    wake: Waker,
}

impl Core {
    fn say(&self, notice: &Notice) {
        (self.say)(notice);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn durability(&self) -> Durability {
        match self.settings.bus.durability {
            settings::Durability::Full => Durability::Full,
            settings::Durability::Process => Durability::Process,
        }
    }
}

impl Service {
    /// Prepares a service. `say` is called with everything it has to say, from the thread that runs it.
    pub fn new(config: Config, say: impl Fn(&Notice) + Send + Sync + 'static) -> Service {
        let (wake, wakes) = Wakes::new();
        Service { config, say: Arc::new(say), stopped: Arc::new(AtomicBool::new(false)), wake, wakes }
    }

    /// What stops this service.
    pub fn stopper(&self) -> Stopper {
        Stopper { stopped: self.stopped.clone(), wake: self.wake.clone() }
    }

    /// Serves until it is stopped, blocking: active as long as it can be, standing by while another one is.
    ///
    /// A lease broken by a writer sends SIGIO to the process (see `bus::claim`); if that signal would end the process, it is
    /// ignored from here on.
    ///
    /// # Errors
    /// The folder is not a bus, or one this program must not touch; another host is at work on it. Errors of the disk that may
    /// pass are not returned but tried again, in [`Mode::Once`] not for ever.
    pub fn run(self, mode: Mode) -> Result<(), BusError> {
        let disk = open(&self.config)?;
        ignore_lease_signal();
        let installed = installed(&self.config, self.wake.clone());
        installed.load_now(&*self.say);
        let mut core = Core {
            disk,
            settings: self.config.settings.clone(),
            say: self.say,
            installed,
            stopped: self.stopped,
            wake: self.wake,
        };
        let mut wakes = self.wakes;
        listen::watch(&core, &mut wakes);
        loop {
            match serve(&core, &mut wakes, mode) {
                Err(BusError::Moved { path }) if mode == Mode::UntilStopped => {
                    core.say(&Notice::BusGone { path });
                    let Some(disk) = another_bus(&core, &self.config, &mut wakes)? else { break };
                    core.disk = disk;
                    listen::watch(&core, &mut wakes);
                }
                ended => {
                    ended?;
                    break;
                }
            }
        }
        core.say(&Notice::Stopped);
        Ok(())
    }
}

/// Serves this bus: active as long as it can be, standing by while another service is.
fn serve(core: &Core, wakes: &mut Wakes, mode: Mode) -> Result<(), BusError> {
    let mut trouble = Trouble::default();
    while let Some((room, log)) = standby::wait(core, wakes, mode)? {
        let (term, path) = (room.term, room.path.clone());
        let end = match Active::begin(core, room, log) {
            Ok(active) => {
                if trouble.is_said() {
                    core.say(&Notice::Well);
                }
                trouble = Trouble::default();
                core.say(&Notice::Active { term, bus: core.disk.path().to_owned() });
                active.run(wakes, mode)?
            }
            Err(BusError::RoomGone) => End::Replaced,
            // Whatever was not found in it, it was not there to be found.
            Err(error) if error.is_transient() && matches!(core.disk.stat(&path), Ok(None)) => End::Replaced,
            // The room is left to the next term, which may be our own.
            Err(error) if error.is_transient() => {
                if trouble.begin(Instant::now()) {
                    core.say(&Notice::Trouble { what: error.to_string() });
                }
                if mode == Mode::Once && trouble.lasts(Instant::now()) >= PATIENCE {
                    return Err(BusError::GaveUp { what: error.to_string() });
                }
                standby::pause(wakes, trouble.left(Instant::now()));
                continue;
            }
            Err(error) => return Err(error),
        };
        match end {
            End::Stopped => break,
            End::Replaced => say_why_replaced(core, term)?,
        }
    }
    Ok(())
}

/// Its room is gone: has another service taken over, or has somebody removed it? What cannot be found out now the standby finds out.
fn say_why_replaced(core: &Core, term: u64) -> Result<(), BusError> {
    if known(bus::is_moved(&core.disk))? == Some(true) {
        return Err(BusError::Moved { path: core.disk.path().to_owned() });
    }
    match known(term::highest(&core.disk))? {
        Some(highest) if highest <= term => core.say(&Notice::RoomGone { term }),
        Some(_) | None => core.say(&Notice::Replaced),
    }
    Ok(())
}

/// `None`: the disk does not tell now.
fn known<T>(told: Result<T, BusError>) -> Result<Option<T>, BusError> {
    match told {
        Err(error) if error.is_transient() => Ok(None),
        told => told.map(Some),
    }
}

/// The bus, if it is one that can be served.
fn open(config: &Config) -> Result<Arc<Disk>, BusError> {
    let disk = Arc::new(bus::open(&config.bus)?);
    if !config.force_file_system {
        check_file_system(&disk)?;
    }
    Ok(disk)
}

/// Waits until there is a bus at the path again. `None`: stopped.
fn another_bus(core: &Core, config: &Config, wakes: &mut Wakes) -> Result<Option<Arc<Disk>>, BusError> {
    while !core.is_stopped() {
        match open(config) {
            Ok(disk) => return Ok(Some(disk)),
            Err(BusError::NotABus { .. }) => {}
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error),
        }
        standby::pause(wakes, Duration::from_millis(core.settings.bus.look_ms));
    }
    Ok(None)
}

/// A bus on a file system that cannot keep the promises is refused.
fn check_file_system(disk: &Disk) -> Result<(), BusError> {
    match file_system::judge(disk.path())? {
        Verdict::Fit => Ok(()),
        Verdict::Unfit { what } => Err(BusError::Unsafe { path: disk.path().to_owned(), what }),
    }
}

fn installed(config: &Config, wake: Waker) -> Installed {
    let beside = config.bus.parent().unwrap_or(Path::new("."));
    let configuration = extension::Configuration::from_settings(&config.settings, beside);
    let grace = Duration::from_millis(config.settings.bus.grace_ms);
    let places = Places {
        folder: beside.join(&config.settings.extensions.dir),
        settings: config.settings_file.clone(),
        base: beside.to_owned(),
    };
    Installed::new(places, configuration, grace, wake)
}

/// The kernel sends SIGIO to the holder of a lease that a writer waits for; its default is to end the process.
#[cfg(target_os = "linux")]
fn ignore_lease_signal() {
    // SAFETY: both calls only read and set the disposition of one signal; no handler of ours runs.
    unsafe {
        let mut current: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGIO, std::ptr::null(), &mut current) == 0 && current.sa_sigaction == libc::SIG_DFL {
            libc::signal(libc::SIGIO, libc::SIG_IGN);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn ignore_lease_signal() {}
