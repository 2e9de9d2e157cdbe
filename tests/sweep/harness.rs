//! The tracer, tested on the stand-in: what it counts, where it kills, what stands still, which errors arrive.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::stand_in::Part;
use crate::support::trace::step::usual_spelling;
use crate::support::trace::{Aim, Ending, Fault, Plan, Report, Scope, Traced, When, run};

const SOON: Duration = Duration::from_secs(30);

/// The stand-in's line, as the tracer must tell it. `mkdir` and the like are spelled by the machine's C library.
const LINE: [&str; 10] = [
    "mkdir processing/1/ROOM",
    "mkdir processing/1",
    "mkdir processing",
    "mkdir processing/1",
    "mkdir processing/1/ROOM",
    "rename a.json -> processing/1/ROOM/1.TICKET~a.json",
    "openat(O_CREAT) processing/1/ROOM/reply",
    "write processing/1/ROOM/reply",
    "fdatasync processing/1/ROOM/reply",
    "rename processing/1/ROOM/reply -> a.reply.json",
];

fn bus() -> (tempfile::TempDir, PathBuf) {
    let holder = tempfile::tempdir().expect("a temporary folder");
    let folder = holder.path().canonicalize().expect("it exists");
    fs::write(folder.join("a.json"), "{}").expect("a message is dropped");
    (holder, folder)
}

fn play(part: Part, folder: &Path, plan: Plan) -> Report {
    run(part.command(folder), folder, Scope::Changes, plan, SOON)
}

/// The names that `mkdir` and its like have where only the calls with a folder descriptor exist.
fn plain(what: &str) -> String {
    what.replace("renameat2 ", "rename ").replace("renameat ", "rename ").replace("mkdirat ", "mkdir ")
}

#[test]
fn counts_the_calls_on_the_bus_and_no_others() {
    let (_holder, folder) = bus();
    let report = play(Part::Line, &folder, Plan::Count);
    let told: Vec<String> = report.steps.iter().map(|step| plain(&step.what)).collect();
    assert_eq!(told[..LINE.len()], LINE);
    assert_eq!(told.len(), LINE.len() + 2, "unlink and rmdir end it: {told:#?}");
    assert_eq!((report.ending, report.hit), (Ending::Exit(0), None));
    assert_eq!(report.output, "printing is not a step\n");
    let numbers: Vec<usize> = report.steps.iter().map(|step| step.number).collect();
    assert_eq!(numbers, (1..=told.len()).collect::<Vec<_>>());
}

#[test]
fn a_kill_is_exactly_before_or_after_the_call() {
    for (at, when, reply_staged) in [(7, When::Before, false), (7, When::After, true), (8, When::Before, true)] {
        let (_holder, folder) = bus();
        let report = play(Part::Line, &folder, Plan::Kill(Aim::Number(at), when));
        assert_eq!(report.ending, Ending::Signal(libc::SIGKILL));
        assert_eq!(plain(&report.hit.expect("it was reached").what), LINE[at - 1]);
        let room = folder.join("processing/1/0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11");
        assert_eq!(room.join("reply").exists(), reply_staged, "killed {when:?} {at}");
        assert_eq!(fs::read_dir(&room).expect("the room is there").count(), 1 + usize::from(reply_staged));
    }
}

#[test]
fn past_the_last_step_nothing_is_hit() {
    let (_holder, folder) = bus();
    let report = play(Part::Line, &folder, Plan::Kill(Aim::Number(99), When::Before));
    assert_eq!((report.ending, report.hit), (Ending::Exit(0), None));
    assert!(folder.join("a.reply.json").exists());
}

#[test]
fn an_error_arrives_and_the_call_does_not_happen() {
    let (_holder, folder) = bus();
    let aim = Aim::Named { what: "fdatasync processing/1/ROOM/reply".to_owned(), nth: 1 };
    let report = play(Part::Line, &folder, Plan::Fail(aim, Fault::Errno(libc::EIO)));
    assert_eq!(report.ending, Ending::Exit(libc::EIO), "{}", report.output);
    assert_eq!(report.hit.expect("it was reached").call, "fdatasync");

    let (_holder, folder) = bus();
    let report = play(Part::Line, &folder, Plan::Fail(Aim::Number(6), Fault::Errno(libc::EROFS)));
    assert_eq!(report.ending, Ending::Exit(libc::EROFS));
    assert!(folder.join("a.json").exists(), "the claim was not made");
}

#[test]
fn an_error_and_a_kill_later() {
    let (_holder, folder) = bus();
    let report = play(Part::Line, &folder, Plan::FailThenKill(Aim::Number(8), Fault::ShortWrite, 2));
    assert_eq!((report.ending, report.steps.len()), (Ending::Signal(libc::SIGKILL), 10));
    let staged = folder.join("processing/1/0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11/reply");
    assert_eq!(fs::read(staged).expect("not synced, not published"), b"0123456789");
}

#[test]
fn a_short_write_writes_half() {
    let (_holder, folder) = bus();
    let report = play(Part::Line, &folder, Plan::Fail(Aim::Number(8), Fault::ShortWrite));
    let writes = report.steps.iter().filter(|step| step.call == "write").count();
    assert_eq!((report.ending, writes), (Ending::Exit(0), 2), "the rest is written by a second call");
    assert_eq!(fs::read(folder.join("a.reply.json")).expect("published"), b"0123456789");
}

#[test]
fn a_full_disk_stays_full_until_it_is_healed() {
    let (_holder, folder) = bus();
    let full = Box::new(|step: &crate::support::trace::Step| step.kind == crate::support::trace::Kind::Grows);
    let program =
        Traced::start(Part::Stubborn.command(&folder), &folder, Scope::Changes, Plan::FailWhile(full, libc::ENOSPC));
    let began = std::time::Instant::now();
    while program.steps() < 5 {
        assert!(began.elapsed() < SOON && !program.has_ended(), "it tries again");
        std::thread::yield_now();
    }
    assert!(!folder.join("kept").exists());
    program.heal();
    let report = program.finish(SOON).expect("it ends once there is room");
    assert_eq!(report.ending, Ending::Exit(0));
    assert_eq!(fs::read(folder.join("kept")).expect("written"), b"all of it");
}

#[test]
fn all_threads_are_followed_and_all_stand_still() {
    for at in [1, 60, 159] {
        let (_holder, folder) = bus();
        let plan = Plan::Stop(Aim::Number(at));
        let program = Traced::start(Part::Threads.command(&folder), &folder, Scope::Changes, plan);
        let step = program.stopped(SOON).expect("it has 240 steps");
        assert_eq!((step.number, program.is_stopped()), (at, true));
        let counted = program.steps();
        for task in fs::read_dir(format!("/proc/{}/task", program.pid())).expect("it is alive").flatten() {
            let status = fs::read_to_string(task.path().join("status")).expect("a thread tells its state");
            assert!(status.contains("t (tracing stop)"), "{status}");
        }
        assert_eq!(program.steps(), counted);
        program.wake();
        let report = program.finish(SOON).expect("it goes on to its end");
        assert_eq!((report.ending, report.steps.len()), (Ending::Exit(0), 4 * 20 * 3));
    }
}

#[test]
fn traces_beside_each_other_do_not_mix() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (_holder, folder) = bus();
                let report = play(Part::Line, &folder, Plan::Kill(Aim::Number(12), When::After));
                assert_eq!((report.ending, report.steps.len()), (Ending::Signal(libc::SIGKILL), 12));
            });
        }
    });
}

#[test]
fn a_program_that_hangs_is_reported_and_killed() {
    let (_holder, folder) = bus();
    let program = Traced::start(Part::Forever.command(&folder), &folder, Scope::Changes, Plan::Count);
    let pid = program.pid();
    let why = program.finish(Duration::from_millis(50)).expect_err("it never ends");
    assert!(why.contains("still running") && why.contains("thread"), "{why}");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "nothing is left of it");
}

#[test]
fn a_stopped_program_that_is_dropped_is_killed() {
    let (_holder, folder) = bus();
    let program = Traced::start(Part::Line.command(&folder), &folder, Scope::Changes, Plan::Stop(Aim::Number(6)));
    assert!(program.stopped(SOON).is_some());
    let pid = program.pid();
    drop(program);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "nothing is left of it");
    assert!(folder.join("a.json").exists(), "the call before which it stood was never made");
}

#[test]
fn what_differs_from_run_to_run_is_replaced_by_words() {
    let room = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11";
    for (path, usual) in [
        (format!("processing/.{room}/{room}/log"), "processing/.ROOM/ROOM/log"),
        (format!("processing/2/{room}/1.{room}~a.json"), "processing/2/ROOM/1.TICKET~a.json"),
        (format!("archive/2026-11-21/07/{room}~m-1.json"), "archive/DAY/HH/TICKET~m-1.json"),
        ("archive/2026-11-21/journal.jsonl".to_owned(), "archive/DAY/journal.jsonl"),
        (format!("deferred/1763683200000.1.{room}~b.json"), "deferred/MS.1.TICKET~b.json"),
        ("inbox/alice/.tmpA1b2C3".to_owned(), "inbox/alice/.tmpRANDOM"),
        ("inbox/agent-b/deliver-1.json".to_owned(), "inbox/agent-b/deliver-1.json"),
    ] {
        assert_eq!(usual_spelling(&path), usual);
    }
}
