//! The loop that waits for a traced program's threads and carries out the plan.
//!
//! Invariant: each stop of a thread is answered exactly once: it goes on, or it is held while the program stands still,
//! or the program has been killed.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use super::calls::{self, Call, Scope};
use super::machine::{Registers, Request, Tid};
use super::step::{self, Step};
use super::{Aim, Ending, Fault, Phase, Plan, Report, Shared, When};

/// Starts the program and stays with it until it has ended.
pub fn run(command: Command, bus: &Path, scope: Scope, plan: Plan, shared: &Shared, output: &File) -> Report {
    let calls = calls::table(scope);
    // However this thread ends, nobody may wait for it for ever.
    let _ended = Ended(shared);
    let pid = start(command, &calls, output);
    shared.lock().pid = pid;
    shared.changed.notify_all();
    let threads = HashMap::from([(pid, Thread::default())]);
    let mut tracer = Tracer { pid, bus, scope, calls, plan, shared, threads, seen: 0, still: None };
    let ending = tracer.follow();
    let watched = shared.lock();
    let output = super::printed(output);
    Report { ending, steps: watched.steps.clone(), hit: watched.hit.clone(), output }
}

struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().phase = Phase::Ended;
        self.0.changed.notify_all();
    }
}

/// Starts the program with the filter in place and returns when it stands at its first instruction.
#[expect(clippy::zombie_processes, reason = "`follow` waits for it, and for its threads, with `waitpid`")]
fn start(mut command: Command, calls: &[Call], output: &File) -> Tid {
    let stream = || Stdio::from(output.try_clone().expect("a descriptor can be duplicated"));
    command.stdin(Stdio::null()).stdout(stream()).stderr(stream());
    let mut filter = calls::filter(calls);
    // SAFETY: only system calls, and no memory is taken, between fork and exec.
    unsafe {
        command.pre_exec(move || {
            let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
            check(libc::ptrace(libc::PTRACE_TRACEME, 0, 0usize, 0usize))?;
            check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
            check(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program).into())
        });
    }
    let child = command.spawn().unwrap_or_else(|why| {
        panic!("cannot start {:?} under ptrace with a seccomp filter: {why}", command.get_program())
    });
    let pid = Tid::try_from(child.id()).expect("a process id fits");
    let status = wait_for(pid).map(|(_, status)| status).expect("the child is ours to wait for");
    assert!(libc::WIFSTOPPED(status), "the program ended before its first instruction: status {status:#x}");
    let options = libc::PTRACE_O_TRACESECCOMP
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_EXITKILL;
    // SAFETY: no memory is passed.
    let set = unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0usize, libc::c_long::from(options)) };
    check(set).expect("ptrace options can be set on a stopped child");
    go_on(pid, libc::PTRACE_CONT, 0);
    pid
}

fn check(answer: libc::c_long) -> io::Result<()> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits for this thread's own children alone, so that several traces in one test program do not disturb each other.
fn wait_for(which: Tid) -> io::Result<(Tid, libc::c_int)> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is ours.
        let tid = unsafe { libc::waitpid(which, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        match check(tid.into()) {
            Ok(()) => return Ok((tid, status)),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
}

/// Lets a stopped thread go on. It may be gone already (the program was killed): its end will be reported.
fn go_on(tid: Tid, how: Request, signal: libc::c_int) {
    // SAFETY: no memory is passed.
    unsafe { libc::ptrace(how, tid, 0usize, libc::c_long::from(signal)) };
}

#[derive(Default)]
struct Thread {
    /// The SIGSTOPs still to come that nobody but this tracer may see: one at its birth, one for each standstill.
    own_stops: usize,
    /// The kernel is to report the end of the current call.
    awaits_call_end: bool,
}

/// Threads that are held: each with the stop it was in.
type Standstill = HashMap<Tid, Held>;

#[derive(Clone, Copy)]
enum Held {
    /// At the call that the plan named.
    AtTheCall,
    /// In this stop, not yet looked at.
    In(libc::c_int),
}

const STOPPED: &str = "the registers of a stopped thread can be set";

struct Tracer<'a> {
    pid: Tid,
    bus: &'a Path,
    scope: Scope,
    calls: Vec<Call>,
    plan: Plan,
    shared: &'a Shared,
    threads: HashMap<Tid, Thread>,
    /// How many steps matched the aim's name so far.
    seen: usize,
    still: Option<Standstill>,
}

impl Tracer<'_> {
    fn follow(&mut self) -> Ending {
        loop {
            let (tid, status) = wait_for(-1).expect("the traced program is this thread's child");
            if libc::WIFSTOPPED(status) {
                self.stop_reported(tid, status);
            } else {
                self.threads.remove(&tid);
                if let Some(still) = &mut self.still {
                    still.remove(&tid);
                }
                if tid == self.pid {
                    return if libc::WIFEXITED(status) {
                        Ending::Exit(libc::WEXITSTATUS(status))
                    } else {
                        Ending::Signal(libc::WTERMSIG(status))
                    };
                }
            }
            self.rest_when_all_stand();
        }
    }

    fn stop_reported(&mut self, tid: Tid, status: libc::c_int) {
        // A new thread may report before its parent's call does: then its first stop is its birth.
        let thread = self.threads.entry(tid).or_insert(Thread { own_stops: 1, awaits_call_end: false });
        if let Some(still) = &mut self.still {
            if libc::WSTOPSIG(status) == libc::SIGSTOP && status >> 16 == 0 && thread.own_stops > 0 {
                thread.own_stops -= 1;
                still.insert(tid, Held::In(0));
            } else {
                self.note_birth(tid, status);
                self.still.as_mut().expect("checked above").insert(tid, Held::In(status));
            }
            return;
        }
        self.note_birth(tid, status);
        self.answer(tid, status);
    }

    /// Registers a new thread when its parent reports it, before or after its own first stop.
    fn note_birth(&mut self, tid: Tid, status: libc::c_int) {
        let births = [libc::PTRACE_EVENT_CLONE, libc::PTRACE_EVENT_FORK, libc::PTRACE_EVENT_VFORK];
        if !births.contains(&(status >> 16)) {
            return;
        }
        let mut born: libc::c_ulong = 0;
        // SAFETY: the kernel writes one `unsigned long`.
        let told = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, tid, 0usize, &raw mut born) };
        if told != -1 {
            self.threads.entry(born as Tid).or_insert(Thread { own_stops: 1, awaits_call_end: false });
        }
    }

    /// Answers one stop of one thread.
    fn answer(&mut self, tid: Tid, status: libc::c_int) {
        const CALL_END: libc::c_int = libc::SIGTRAP | 0x80;
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        if event == libc::PTRACE_EVENT_SECCOMP {
            return self.before_call(tid);
        }
        let thread = self.threads.get_mut(&tid).expect("registered by stop_reported");
        if event != 0 {
            go_on(tid, libc::PTRACE_CONT, 0);
        } else if signal == CALL_END {
            if std::mem::take(&mut thread.awaits_call_end) {
                return self.kill();
            }
            go_on(tid, libc::PTRACE_CONT, 0);
        } else if signal == libc::SIGSTOP && thread.own_stops > 0 {
            thread.own_stops -= 1;
            go_on(tid, libc::PTRACE_CONT, 0);
        } else {
            go_on(tid, libc::PTRACE_CONT, signal);
        }
    }

    /// A thread stands before a call of the table: count it if it touches the bus, and do what the plan says.
    fn before_call(&mut self, tid: Tid) {
        let Ok(registers) = Registers::of(tid) else {
            return go_on(tid, libc::PTRACE_CONT, 0);
        };
        let call = self.calls.iter().find(|call| call.number == registers.number());
        let step = call.and_then(|call| step::describe(tid, call, &registers, self.bus, self.scope));
        let Some(mut step) = step else {
            return go_on(tid, libc::PTRACE_CONT, 0);
        };
        let mut watched = self.shared.lock();
        step.number = watched.steps.len() + 1;
        watched.steps.push(step.clone());
        drop(watched);
        self.shared.changed.notify_all();
        self.act(tid, registers, &step);
    }

    fn act(&mut self, tid: Tid, mut registers: Registers, step: &Step) {
        let aimed = match &self.plan {
            Plan::Count => false,
            Plan::FailWhile(choose, _) => !self.shared.healed.load(Ordering::SeqCst) && choose(step),
            Plan::Kill(aim, _) | Plan::Stop(aim) | Plan::Fail(aim, _) | Plan::FailThenKill(aim, ..) => match aim {
                Aim::Number(number) => *number == step.number,
                Aim::Named { what, nth } => {
                    self.seen += usize::from(*what == step.what);
                    *what == step.what && self.seen == *nth
                }
            },
        };
        if let (Plan::FailThenKill(_, _, later), Some(hit)) = (&self.plan, self.shared.lock().hit.as_ref())
            && step.number == hit.number + later
        {
            return self.kill();
        }
        if !aimed {
            return go_on(tid, libc::PTRACE_CONT, 0);
        }
        let mut watched = self.shared.lock();
        watched.hit.get_or_insert_with(|| step.clone());
        watched.refused +=
            usize::from(matches!(self.plan, Plan::Fail(..) | Plan::FailThenKill(..) | Plan::FailWhile(..)));
        drop(watched);
        let mut fail = |fault: &Fault| match fault {
            Fault::Errno(errno) => registers.refuse(*errno).expect(STOPPED),
            Fault::ShortWrite => {
                let half = (registers.arguments()[2] / 2).max(1);
                registers.set_third(half).expect(STOPPED);
            }
        };
        match &self.plan {
            Plan::Count => {}
            Plan::Kill(_, When::Before) => return self.kill(),
            Plan::Kill(_, When::After) => {
                self.threads.get_mut(&tid).expect("it is stopped here").awaits_call_end = true;
                return go_on(tid, libc::PTRACE_SYSCALL, 0);
            }
            Plan::Stop(_) => return self.stand_still(tid),
            Plan::Fail(_, fault) | Plan::FailThenKill(_, fault, _) => fail(fault),
            Plan::FailWhile(_, errno) => fail(&Fault::Errno(*errno)),
        }
        self.shared.changed.notify_all();
        go_on(tid, libc::PTRACE_CONT, 0);
    }

    /// The thread that is stopped is not answered: it never runs again, and its call does not happen.
    fn kill(&self) {
        // SAFETY: the process is our child and has not been waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// Holds this thread and asks every other one to stop where it is.
    fn stand_still(&mut self, tid: Tid) {
        for (other, thread) in self.threads.iter_mut().filter(|(other, _)| **other != tid) {
            thread.own_stops += 1;
            // SAFETY: a signal to a thread of our own child.
            unsafe { libc::syscall(libc::SYS_tkill, libc::c_long::from(*other), libc::c_long::from(libc::SIGSTOP)) };
        }
        self.still = Some(HashMap::from([(tid, Held::AtTheCall)]));
    }

    /// Once every thread is held: says so, waits to be told to go on, and answers all the stops.
    fn rest_when_all_stand(&mut self) {
        let complete = self.still.as_ref().is_some_and(|still| self.threads.keys().all(|tid| still.contains_key(tid)));
        if !complete {
            return;
        }
        let mut watched = self.shared.lock();
        watched.phase = Phase::Stopped;
        self.shared.changed.notify_all();
        while !watched.wake {
            watched = self.shared.changed.wait(watched).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        watched.phase = Phase::Running;
        drop(watched);
        for (tid, held) in self.still.take().into_iter().flatten() {
            match held {
                Held::AtTheCall | Held::In(0) => go_on(tid, libc::PTRACE_CONT, 0),
                Held::In(status) => self.answer(tid, status),
            }
        }
    }
}
