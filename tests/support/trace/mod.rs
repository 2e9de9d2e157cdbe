//! Runs the real program and interferes with it at one system call: kill, stop, or an error that the call never made.
//!
//! `strace --inject` does the same, but `cargo test` must need nothing besides Rust, so this is a small tracer of our own:
//! a seccomp filter hands the calls of `calls.rs` to ptrace, all others run at full speed. All threads and children are
//! followed. Every traced program has a thread of its own here, because ptrace belongs to a thread; the kernel kills the
//! program when that thread ends.
//!
//! Invariant: the numbering counts only calls that touch the bus, in the order in which they were about to happen.

pub mod calls;
mod machine;
pub mod step;
mod tracer;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use calls::{Kind, Scope};
pub use step::Step;

/// Which call is meant.
#[derive(Clone, Debug)]
pub enum Aim {
    /// The n-th of the run, from 1.
    Number(usize),
    /// The n-th, from 1, that reads so: for programs whose threads do not keep one order.
    Named { what: String, nth: usize },
}

/// On which side of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not executed; it returns this `errno`.
    Errno(i32),
    /// A write that does only half of its bytes (at least one).
    ShortWrite,
}

/// Decides about each step whether it fails.
pub type Choose = Box<dyn Fn(&Step) -> bool + Send>;

/// What happens to the program.
pub enum Plan {
    /// Nothing: only count.
    Count,
    /// SIGKILL.
    Kill(Aim, When),
    /// Every thread is stopped just before the call, until [`Traced::wake`].
    Stop(Aim),
    /// The call fails once.
    Fail(Aim, Fault),
    /// The call fails once, and SIGKILL comes before the step that is so many steps later.
    FailThenKill(Aim, Fault, usize),
    /// Every chosen call fails with this `errno`, until [`Traced::heal`].
    FailWhile(Choose, i32),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Exit(i32),
    Signal(i32),
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Report {
    pub ending: Ending,
    /// All counted steps, in order.
    pub steps: Vec<Step>,
    /// Where the plan's first act was; `None`: the run had fewer steps, so it ended without a fault.
    pub hit: Option<Step>,
    /// What it printed, both streams.
    pub output: String,
}

impl Report {
    /// The last steps, one a line, for a failure's message.
    pub fn tail(&self, count: usize) -> String {
        let from = self.steps.len().saturating_sub(count);
        self.steps[from..].iter().map(|step| format!("  #{} {}\n", step.number, step.exact)).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The plan's stop is reached and no thread runs.
    Stopped,
    Ended,
}

struct Watched {
    phase: Phase,
    pid: libc::pid_t,
    steps: Vec<Step>,
    hit: Option<Step>,
    refused: usize,
    wake: bool,
}

struct Shared {
    watched: Mutex<Watched>,
    changed: Condvar,
    healed: std::sync::atomic::AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program under the tracer. Dropping it kills the program.
pub struct Traced {
    shared: Arc<Shared>,
    output: Arc<File>,
    thread: Option<JoinHandle<Report>>,
}

impl Traced {
    /// Starts it. `bus` is the folder whose calls count; it must exist, and its path contain no links.
    pub fn start(command: Command, bus: &Path, scope: Scope, plan: Plan) -> Self {
        let watched = Watched { phase: Phase::Running, pid: 0, steps: Vec::new(), hit: None, refused: 0, wake: false };
        let shared = Arc::new(Shared {
            watched: Mutex::new(watched),
            changed: Condvar::new(),
            healed: std::sync::atomic::AtomicBool::new(false),
        });
        let output = Arc::new(tempfile::tempfile().expect("a temporary file for the program's output"));
        let (theirs, said, bus) = (Arc::clone(&shared), Arc::clone(&output), bus.to_owned());
        let thread = std::thread::Builder::new()
            .name("tracer".to_owned())
            .spawn(move || tracer::run(command, &bus, scope, plan, &theirs, &said))
            .expect("a thread can be started");
        let traced = Self { shared, output, thread: Some(thread) };
        drop(traced.wait(Duration::from_secs(30), |watched| watched.pid != 0));
        traced
    }

    /// Waits until the plan's stop is reached and returns the step before which the program stands; `None` when it
    /// ended before.
    ///
    /// # Panics
    /// When neither happens in time.
    pub fn stopped(&self, within: Duration) -> Option<Step> {
        let watched = self.wait(within, |watched| watched.phase != Phase::Running);
        if watched.phase == Phase::Stopped { watched.hit.clone() } else { None }
    }

    /// Whether the program stands at the plan's stop now.
    pub fn is_stopped(&self) -> bool {
        self.shared.lock().phase == Phase::Stopped
    }

    /// Whether the program has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.lock().phase == Phase::Ended
    }

    /// Its process id.
    pub fn pid(&self) -> libc::pid_t {
        self.shared.lock().pid
    }

    /// Lets a stopped program go on.
    pub fn wake(&self) {
        self.shared.lock().wake = true;
        self.shared.changed.notify_all();
    }

    /// Ends [`Plan::FailWhile`].
    pub fn heal(&self) {
        self.shared.healed.store(true, Ordering::SeqCst);
    }

    /// Waits for the end, and tells at which step the plan had acted by then.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn ended(&self, within: Duration) -> Option<Step> {
        self.wait(within, |watched| watched.phase == Phase::Ended).hit.clone()
    }

    /// The step at which the plan first acted, so far.
    pub fn hit(&self) -> Option<Step> {
        self.shared.lock().hit.clone()
    }

    /// What it has printed so far.
    pub fn said(&self) -> String {
        printed(&self.output)
    }

    /// How many calls the plan has made fail so far.
    pub fn refused(&self) -> usize {
        self.shared.lock().refused
    }

    /// How many steps it has made so far.
    pub fn steps(&self) -> usize {
        self.shared.lock().steps.len()
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&self, signal: libc::c_int) {
        let watched = self.shared.lock();
        if watched.phase != Phase::Ended && watched.pid > 0 {
            // SAFETY: the process is ours and not yet waited for.
            unsafe { libc::kill(watched.pid, signal) };
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// What it was doing, when it does not end in time; it is killed then.
    pub fn finish(mut self, within: Duration) -> Result<Report, String> {
        let began = Instant::now();
        let mut watched = self.shared.lock();
        while watched.phase != Phase::Ended {
            let Some(left) = within.checked_sub(began.elapsed()) else {
                let where_it_is = whereabouts(watched.pid);
                drop(watched);
                let report = self.end();
                let (tail, said) = (report.tail(12), report.output);
                return Err(format!("still running after {within:?}\n{where_it_is}last steps:\n{tail}said:\n{said}"));
            };
            watched = self.shared.changed.wait_timeout(watched, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(watched);
        Ok(self.join().expect("finish consumes the only handle"))
    }

    fn wait(&self, within: Duration, done: impl Fn(&Watched) -> bool) -> MutexGuard<'_, Watched> {
        let began = Instant::now();
        let mut watched = self.shared.lock();
        while !done(&watched) && watched.phase != Phase::Ended {
            let left = within.checked_sub(began.elapsed()).unwrap_or_else(|| {
                let last = watched.steps.last().map_or_else(String::new, ToString::to_string);
                panic!("nothing happened within {within:?}; last step: {last}\n{}", whereabouts(watched.pid))
            });
            watched = self.shared.changed.wait_timeout(watched, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        watched
    }

    fn end(&mut self) -> Report {
        self.signal(libc::SIGKILL);
        self.wake();
        self.join().expect("only finish and drop end a trace")
    }

    fn join(&mut self) -> Option<Report> {
        let thread = self.thread.take()?;
        Some(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // The tracer's own failure has been reported where it was waited for; here only its end matters.
            let _ = thread.join();
        }
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it does not end in time.
pub fn run(command: Command, bus: &Path, scope: Scope, plan: Plan, within: Duration) -> Report {
    Traced::start(command, bus, scope, plan).finish(within).unwrap_or_else(|why| panic!("{why}"))
}

/// All of a file that another process appends to, without moving anybody's place in it.
fn printed(output: &File) -> String {
    let length = output.metadata().map_or(0, |meta| meta.len());
    let mut bytes = vec![0; usize::try_from(length).expect("the output fits into memory")];
    output.read_exact_at(&mut bytes, 0).expect("the program's output can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What each thread of a process is doing, by the kernel.
fn whereabouts(pid: libc::pid_t) -> String {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return String::new();
    };
    let tell = |path: std::path::PathBuf| {
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        let state = read("status").lines().find(|line| line.starts_with("State")).unwrap_or_default().to_owned();
        format!("  thread {} {} in {}\n", read("comm").trim(), state, read("syscall").trim())
    };
    tasks.flatten().map(|task| tell(task.path())).collect()
}
