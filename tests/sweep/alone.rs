//! What the system refuses for one message alone, for as long as it does: all others are handled, and so is that one in the end.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::running::LONG;
use crate::support::trace::{Aim, Choose, Ending, Fault, Plan, Scope, Step, Traced, When};
use crate::support::workload::echo;
use crate::support::workspace::{Durability, Workspace, wait_until};

/// A bus on which every call that `choose` chooses fails.
struct Refused {
    workspace: Workspace,
    service: Traced,
}

impl Refused {
    fn serve(workspace: Workspace, choose: fn(&Step) -> bool, errno: i32) -> Refused {
        let choose: Choose = Box::new(choose);
        let plan = Plan::FailWhile(choose, errno);
        let service = Traced::start(workspace.serve(), workspace.bus(), Scope::Failable, plan);
        Refused { workspace, service }
    }

    fn drop(&self, id: &str) {
        drop_echo(&self.workspace, &format!("{id}.json"), id, "");
    }

    fn until(&self, what: &str, mut is_so: impl FnMut(&Path) -> bool) {
        let bus = self.workspace.bus();
        let waited = wait_until(LONG, || if is_so(bus) { Ok(()) } else { Err(what.to_owned()) });
        waited.unwrap_or_else(|why| panic!("{why}\n{}\n{}", self.workspace.tree(), self.service.said()));
    }

    fn until_answered(&self, id: &str) {
        self.until(id, |bus| bus.join(reply(id)).exists());
    }

    /// It was refused some times, said so once, and works again; then the service ends well.
    fn heals(&self, id: &str) {
        self.until("some tries", |_| self.service.refused() >= 3);
        assert!(!self.workspace.bus().join(reply(id)).exists());
        self.service.heal();
        self.until_answered(id);
        self.until("a word of it", |_| self.service.said().contains("working again"));
        let said = self.service.said();
        assert_eq!((said.matches("trying again").count(), said.matches("working again").count()), (1, 1), "{said}");
        self.service.signal(libc::SIGTERM);
        self.until("its end", |_| self.service.has_ended());
        assert_eq!(std::fs::read_dir(self.workspace.bus().join("processing")).expect("listed").count(), 0);
    }
}

fn reply(id: &str) -> String {
    format!("inbox/alice/{id}.reply.json")
}

/// Drops an echo of alice's, with more members.
fn drop_echo(workspace: &Workspace, file: &str, id: &str, more: &str) {
    let text = String::from_utf8(echo(file, "alice", id, "1").bytes).expect("JSON");
    let text = format!("{}{more}}}", text.trim_end().strip_suffix('}').expect("a message ends in a brace"));
    workspace.drop_file(file, text.as_bytes());
}

/// The same, to be handled a moment later: it waits in `deferred/` until then.
fn drop_for_soon(workspace: &Workspace, id: &str) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    drop_echo(workspace, &format!("{id}.json"), id, &format!(",\"notBefore\":{}", now.as_millis() + 500));
}

/// In a folder with the sticky bit, somebody else's file; or one that is immutable.
#[test]
fn a_file_that_cannot_be_claimed_holds_up_nobody() {
    let workspace = Workspace::new(Durability::Process);
    drop_echo(&workspace, "stuck.json", "stuck", "");
    drop_echo(&workspace, "good.json", "good", "");
    let claims = |step: &Step| step.call == "renameat2" && step.exact.starts_with("renameat2 stuck.json -> ");
    let bus = Refused::serve(workspace, claims, libc::EPERM);
    bus.until_answered("good");
    bus.drop("later");
    bus.until_answered("later");
    bus.heals("stuck");
}

#[test]
fn a_claim_that_cannot_be_read_holds_up_nobody() {
    let workspace = Workspace::new(Durability::Process);
    drop_for_soon(&workspace, "stuck");
    let reads = |step: &Step| {
        step.call == "openat2" && step.exact.contains(" processing/") && step.exact.contains("~stuck.json")
    };
    let bus = Refused::serve(workspace, reads, libc::EIO);
    bus.until("a refusal", |_| bus.service.refused() > 0);
    bus.drop("good");
    bus.until_answered("good");
    bus.heals("stuck");
}

#[test]
fn a_waiting_message_that_cannot_be_taken_back_holds_up_nobody() {
    let workspace = Workspace::new(Durability::Process);
    drop_for_soon(&workspace, "stuck");
    let resumes = |step: &Step| step.call == "renameat2" && step.exact.starts_with("renameat2 deferred/");
    let bus = Refused::serve(workspace, resumes, libc::EIO);
    bus.until("a refusal", |_| bus.service.refused() > 0);
    bus.drop("good");
    bus.until_answered("good");
    bus.heals("stuck");
}

/// How full it is must be known before anything more is put there.
#[test]
fn an_inbox_that_cannot_be_listed_holds_up_nobody_else() {
    let lists = |step: &Step| step.call == "openat2" && step.exact.ends_with(" inbox/alice");
    let bus = Refused::serve(Workspace::new(Durability::Process), lists, libc::EIO);
    std::fs::create_dir(bus.workspace.bus().join("inbox/alice")).expect("made");
    bus.drop("stuck");
    bus.until("a refusal", |_| bus.service.refused() > 0);
    for id in ["one", "two"] {
        bus.workspace.drop_file(&format!("{id}.json"), &echo(&format!("{id}.json"), "dora", id, "1").bytes);
        bus.until(id, |bus| bus.join(format!("inbox/dora/{id}.reply.json")).exists());
    }
    bus.heals("stuck");
}

/// Who cannot be looked at now is not said to be unknown.
#[test]
fn a_recipient_who_cannot_be_looked_at_is_not_unknown() {
    let workspace = Workspace::new(Durability::Process);
    std::fs::create_dir(workspace.bus().join("inbox/bob")).expect("made");
    let looks = |step: &Step| step.call.contains("stat") && step.exact.ends_with(" inbox/bob");
    let bus = Refused::serve(workspace, looks, libc::EIO);
    let text = r#"{"id":"m","sender":"alice","recipient":"bob","action":"note"}"#;
    bus.workspace.drop_file("m.json", text.as_bytes());
    bus.until("some tries", |_| bus.service.refused() >= 2);
    bus.drop("good");
    bus.until_answered("good");
    bus.service.heal();
    bus.until("its delivery", |bus| bus.join("inbox/bob/m.json").exists());
    assert_eq!(std::fs::read_dir(bus.workspace.bus().join("dead-letter")).expect("listed").count(), 0);
}

/// Not to know is not to know that there was none.
#[test]
fn an_id_that_cannot_be_read_is_not_taken_for_a_new_one() {
    let workspace = Workspace::new(Durability::Process);
    drop_echo(&workspace, "first.json", "twice", "");
    let once = Traced::start(workspace.serve_once(), workspace.bus(), Scope::Failable, Plan::Count);
    assert_eq!(once.finish(LONG).expect("ended").ending, Ending::Exit(0));
    drop_echo(&workspace, "again.json", "twice", "");
    let reads = |step: &Step| step.call == "pread64" && step.exact.contains(".postroom/ids/");
    let bus = Refused::serve(workspace, reads, libc::EIO);
    bus.until("some tries", |_| bus.service.refused() >= 3);
    bus.service.heal();
    bus.until("the end of the second", |bus| !bus.join("again.json").exists());
    bus.service.signal(libc::SIGTERM);
    bus.until("its end", |_| bus.service.has_ended());
    let inbox = bus.workspace.bus().join("inbox/alice");
    assert_eq!(std::fs::read_dir(inbox).expect("listed").count(), 1, "{}", bus.workspace.tree());
}

#[test]
fn a_registration_that_cannot_be_opened_for_want_of_descriptors_is_not_forgotten() {
    let workspace = Workspace::new(Durability::Process);
    let card = r#"{"id":"r","sender":"bob","recipient":"postroom","action":"mcp.core.register","payload":{"name":"B","version":"1","capabilities":[]}}"#;
    workspace.drop_file("r.json", card.as_bytes());
    let once = Traced::start(workspace.serve_once(), workspace.bus(), Scope::Failable, Plan::Count);
    assert_eq!(once.finish(LONG).expect("ended").ending, Ending::Exit(0));
    std::fs::remove_dir_all(workspace.bus().join("inbox/bob")).expect("cleared away");
    workspace.drop_file("m.json", br#"{"id":"m","sender":"alice","recipient":"bob","action":"note"}"#);
    let opens = |step: &Step| step.exact.ends_with(" agents/bob.json");
    let bus = Refused::serve(workspace, opens, libc::EMFILE);
    bus.until("some tries", |_| bus.service.refused() >= 3);
    bus.service.heal();
    bus.until("its delivery", |bus| bus.join("inbox/bob/m.json").exists());
}

/// A script that waits for `serve --once` is told in the end; what was accepted waits for the next service.
#[test]
fn once_is_not_for_ever() {
    let makes = |step: &Step| step.call == "mkdirat" && step.exact.ends_with(" inbox/alice");
    gives_up(makes, &["gave up: cannot make the folder", "inbox/alice"]);
}

/// Nor does it say that all is done where a file is left.
#[test]
fn once_does_not_pass_over_what_it_could_not_claim() {
    gives_up(|step| step.exact.starts_with("renameat2 a.json -> "), &["gave up: cannot rename", "~a.json"]);
}

/// It must be ready to begin, too.
#[test]
fn once_gives_up_where_it_cannot_begin() {
    gives_up(|step| step.call == "openat2" && step.exact.ends_with(" deferred"), &["gave up: cannot open", "deferred"]);
}

/// Nor can it stand by where it cannot see who is active.
#[test]
fn once_gives_up_where_it_cannot_look() {
    gives_up(
        |step| step.call == "openat2" && step.exact.ends_with(" processing"),
        &["gave up: cannot open", "processing"],
    );
}

/// Not to see who has taken over is no reason to end.
#[test]
fn one_whose_room_is_gone_goes_on_though_it_cannot_look_why() {
    static BEGAN: AtomicBool = AtomicBool::new(false);
    let looks =
        |step: &Step| BEGAN.load(Ordering::Relaxed) && step.call == "openat2" && step.exact.ends_with(" processing");
    let bus = Refused::serve(Workspace::new(Durability::Process), looks, libc::EMFILE);
    bus.drop("first");
    bus.until_answered("first");
    BEGAN.store(true, Ordering::Relaxed);
    std::fs::remove_dir_all(bus.workspace.bus().join("processing/1")).expect("removed");
    bus.drop("second");
    bus.until("some tries", |_| bus.service.refused() >= 3);
    bus.service.heal();
    bus.until_answered("second");
    bus.service.signal(libc::SIGTERM);
    bus.until("its end", |_| bus.service.has_ended());
    let report = bus.service.finish(LONG).expect("ended");
    assert_eq!(report.ending, Ending::Exit(0), "{}", report.output);
}

fn gives_up(choose: fn(&Step) -> bool, says: &[&str]) {
    let workspace = Workspace::new(Durability::Process);
    drop_echo(&workspace, "a.json", "a", "");
    let plan = Plan::FailWhile(Box::new(choose), libc::EACCES);
    let once = Traced::start(workspace.serve_once(), workspace.bus(), Scope::Failable, plan);
    let report = once.finish(LONG).expect("ended");
    assert_eq!(report.ending, Ending::Exit(1), "{}", report.output);
    let mut says = says.iter().chain(&["the next service goes on with it"]);
    assert!(says.all(|says| report.output.contains(says)), "{}", report.output);
    let once = Traced::start(workspace.serve_once(), workspace.bus(), Scope::Failable, Plan::Count);
    assert_eq!(once.finish(LONG).expect("ended").ending, Ending::Exit(0));
    assert!(workspace.bus().join(reply("a")).exists(), "{}", workspace.tree());
}

/// The kernel calls written what it could not write: the log of the room that was taken over stays, also where the failed sync was the
/// first thing that the new service did.
#[test]
fn a_sync_that_fails_while_a_service_takes_over_is_not_forgotten() {
    let workspace = Workspace::new(Durability::Full);
    drop_echo(&workspace, "a.json", "a", "");
    let published = Aim::Named { what: "fdatasync processing/1/ROOM/log".to_owned(), nth: 1 };
    let killed = Traced::start(workspace.serve(), workspace.bus(), Scope::Failable, Plan::Kill(published, When::After));
    let report = killed.finish(LONG).expect("ended");
    assert!(report.hit.is_some(), "{:#?}", report.steps.iter().map(|step| &step.what).collect::<Vec<_>>());
    let aim = Aim::Named { what: "syncfs .".to_owned(), nth: 1 };
    let plan = Plan::Fail(aim, Fault::Errno(libc::EIO));
    let service = Traced::start(workspace.serve(), workspace.bus(), Scope::Failable, plan);
    let bus = Refused { workspace, service };
    bus.until_answered("a");
    bus.until("a word of it", |_| bus.service.said().contains("rests on this service's log"));
    bus.service.signal(libc::SIGTERM);
    bus.until("its end", |_| bus.service.has_ended());
    let rooms = std::fs::read_dir(bus.workspace.bus().join("processing")).expect("listed").count();
    assert_eq!(rooms, 1, "its log is left to the next one: {}", bus.service.said());
}

/// Of two changes of one registration the first is held up: the second waits for it, and is what stays.
#[test]
fn changes_of_a_registration_keep_their_order() {
    let workspace = Workspace::new(Durability::Process);
    let tell = |workspace: &Workspace, id: &str, command: &str, payload: &str| {
        let text = format!(
            r#"{{"id":"{id}","sender":"alice","recipient":"postroom","action":"mcp.core.{command}","payload":{payload}}}"#
        );
        workspace.drop_file(&format!("{id}.json"), text.as_bytes());
    };
    let card = r#"{"name":"A","version":"1","capabilities":[]}"#;
    tell(&workspace, "r1", "register", card);
    let once = Traced::start(workspace.serve_once(), workspace.bus(), Scope::Failable, Plan::Count);
    assert_eq!(once.finish(LONG).expect("ended").ending, Ending::Exit(0));
    let removes = |step: &Step| step.call == "unlinkat" && step.exact.ends_with("/gone-alice.json");
    let bus = Refused::serve(workspace, removes, libc::EIO);
    tell(&bus.workspace, "u", "unregister", "null");
    bus.until("a refusal", |_| bus.service.refused() > 0);
    tell(&bus.workspace, "r2", "register", card);
    bus.until("some more", |bus| !bus.join("r2.json").exists());
    let before = bus.service.refused();
    bus.until("some more", |_| bus.service.refused() > before);
    bus.service.heal();
    bus.until_answered("r2");
    bus.service.signal(libc::SIGTERM);
    bus.until("its end", |_| bus.service.has_ended());
    assert!(bus.workspace.bus().join("agents/alice.json").exists(), "{}", bus.workspace.tree());
}
