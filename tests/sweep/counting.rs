//! An extension that keeps a number and sends two messages for each that it gets, killed and refused at every step: it counts each
//! message once, and what it sends is there once.
//!
//! It reads its number, stores one more, sends that to `agent-b` and to the echo of `postroom`, whose answer comes back to it, and replies
//! with it. So the numbers in the replies and in the inbox of `agent-b` say whether anything was lost or done twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cases::{Verdict, count_up, each};
use crate::running::LONG;
use crate::support::trace::{Aim, Ending, Fault, Kind, Plan, Report, Scope, Step, Traced, When, run};
use crate::support::workspace::{Durability, Workspace, below, wait_until};

const WORKERS: usize = 2;
const MESSAGES: usize = 2;

/// The records of `wit/`, as far as they are used here.
const FAILURE: &str = r#"
    (type $retry-0 (enum "later" "final"))
    (export "retry" (type $retry (eq $retry-0)))
    (type $failure-0 (record
        (field "code" string) (field "message" string) (field "details" (option string)) (field "retry" $retry)))
    (export "failure" (type $failure (eq $failure-0)))
"#;

const IMPORTS: &str = r#"
    (import "postroom:extension/state@1.0.0" (instance $state
        FAILURE
        (export "get" (func (param "key" string) (result (result (option (list u8)) (error $failure)))))
        (export "set" (func (param "key" string) (param "value" (list u8)) (result (result (error $failure)))))))
    (import "postroom:extension/bus@1.0.0" (instance $bus
        FAILURE
        (type $outgoing-0 (record
            (field "recipients" (list string)) (field "action" string) (field "payload" string)
            (field "in-reply-to" (option string)) (field "correlation-id" (option string))
            (field "expires-at" (option s64)) (field "not-before" (option s64)) (field "priority" (option u8))))
        (export "outgoing" (type $outgoing (eq $outgoing-0)))
        (export "send" (func (param "message" $outgoing) (result (result string (error $failure)))))))
"#;

/// Results of imports lie at 512, the number at 600, a message that is sent at 640, its recipients at 768.
const COUNTER: &str = r#"
(component
    IMPORTS
    (component $inner
        IMPORTS
        (core module $memory
            (memory (export "memory") 1)
            (global $top (mut i32) (i32.const 8192))
            (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
                (local $start i32)
                (local.set $start (i32.and
                    (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
                    (i32.sub (i32.const 0) (local.get $align))))
                (global.set $top (i32.add (local.get $start) (local.get $size)))
                (local.get $start)))
        (core instance $mem (instantiate $memory))
        (alias core export $mem "memory" (core memory $ram))
        (alias core export $mem "realloc" (core func $realloc))
        (core func $get (canon lower (func $state "get") (memory $ram) (realloc $realloc)))
        (core func $set (canon lower (func $state "set") (memory $ram) (realloc $realloc)))
        (core func $send (canon lower (func $bus "send") (memory $ram) (realloc $realloc)))
        (core module $code
            (import "host" "memory" (memory 1))
            (import "host" "get" (func $get (param i32 i32 i32)))
            (import "host" "set" (func $set (param i32 i32 i32 i32 i32)))
            (import "host" "send" (func $send (param i32 i32)))
            (data (i32.const 2048) "count")
            (data (i32.const 2060) "agent-b")
            (data (i32.const 2080) "postroom")
            (data (i32.const 2100) "notes.add")
            (data (i32.const 2120) "mcp.core.echo")
            (data (i32.const 2140) "null")
            (func $reply (param $text i32) (param $length i32) (result i32)
                (i32.store8 (i32.const 1024) (i32.const 0))
                (i32.store (i32.const 1028) (local.get $text))
                (i32.store (i32.const 1032) (local.get $length))
                (i32.const 1024))
            (func $well (if (i32.load8_u (i32.const 512)) (then unreachable)))
            (func $tell (param $to i32) (param $to_length i32) (param $action i32) (param $action_length i32)
                (i32.store (i32.const 768) (local.get $to))
                (i32.store (i32.const 772) (local.get $to_length))
                (i32.store (i32.const 640) (i32.const 768))
                (i32.store (i32.const 644) (i32.const 1))
                (i32.store (i32.const 648) (local.get $action))
                (i32.store (i32.const 652) (local.get $action_length))
                (i32.store (i32.const 656) (i32.const 600))
                (i32.store (i32.const 660) (i32.const 1))
                (call $send (i32.const 640) (i32.const 512))
                (call $well))
            (func (export "handle") (param i32) (result i32)
                (local $number i32)
                ;; An answer of the echo.
                (if (i32.load8_u offset=80 (local.get 0))
                    (then (return (call $reply (i32.const 2140) (i32.const 4)))))
                (call $get (i32.const 2048) (i32.const 5) (i32.const 512))
                (call $well)
                (local.set $number (i32.const 48))
                (if (i32.load8_u (i32.const 516))
                    (then (local.set $number (i32.load8_u (i32.load (i32.const 520))))))
                (i32.store8 (i32.const 600) (i32.add (local.get $number) (i32.const 1)))
                (call $set (i32.const 2048) (i32.const 5) (i32.const 600) (i32.const 1) (i32.const 512))
                (call $well)
                (call $tell (i32.const 2060) (i32.const 7) (i32.const 2100) (i32.const 9))
                (call $tell (i32.const 2080) (i32.const 8) (i32.const 2120) (i32.const 13))
                (call $reply (i32.const 600) (i32.const 1))))
        (core instance $host
            (export "memory" (memory $ram)) (export "get" (func $get)) (export "set" (func $set)) (export "send" (func $send)))
        (core instance $i (instantiate $code (with "host" (instance $host))))
        (type $error-reply-0 (record (field "code" string) (field "message" string) (field "details" (option string))))
        (export $error-reply "error-reply" (type $error-reply-0))
        (type $message-0 (record
            (field "id" string) (field "sender" string) (field "recipient" string) (field "action" string)
            (field "payload" string) (field "error" (option $error-reply)) (field "timestamp" s64)
            (field "in-reply-to" (option string)) (field "correlation-id" (option string)) (field "expires-at" (option s64))
            (field "others" (list (tuple string string)))))
        (export $message "message" (type $message-0))
        (type $trust-0 (enum "signed" "unsigned"))
        (export $trust "trust" (type $trust-0))
        (type $delivery-0 (record
            (field "accepted-at" s64) (field "attempt" u32) (field "hops" u32) (field "trust" $trust)
            (field "key-id" (option string)) (field "deadline-ms" u32)))
        (export $delivery "delivery" (type $delivery-0))
        (type $retry-1 (enum "later" "final"))
        (export $retry "retry" (type $retry-1))
        (type $failure-1 (record
            (field "code" string) (field "message" string) (field "details" (option string)) (field "retry" $retry)))
        (export $failure "failure" (type $failure-1))
        (func $handle (param "message" $message) (param "delivery" $delivery) (result (result string (error $failure)))
            (canon lift (core func $i "handle") (memory $ram) (realloc $realloc)))
        (export "handle" (func $handle)))
    (instance $made (instantiate $inner
        (with "postroom:extension/state@1.0.0" (instance $state)) (with "postroom:extension/bus@1.0.0" (instance $bus))))
    (export "postroom:extension/handler@1.0.0" (instance $made)))
"#;

/// A bus with the extension, and its messages in the drop.
fn fresh(durability: Durability) -> Workspace {
    let workspace = Workspace::new(durability);
    let beside = workspace.bus().parent().expect("the bus lies in a workspace");
    let text = COUNTER.replace("IMPORTS", &IMPORTS.replace("FAILURE", FAILURE));
    let bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
    fs::create_dir(beside.join("extensions")).expect("a folder");
    fs::write(beside.join("extensions/counter.wasm"), bytes).expect("a component");
    let settings = beside.join("postroom.toml");
    let old = fs::read_to_string(&settings).expect("settings");
    fs::write(&settings, format!("{old}\n[extension.counter]\ngrants = [\"bus\"]\nconcurrency = 2\n"))
        .expect("settings");
    workspace.add_inbox("agent-b");
    for number in 1..=MESSAGES {
        let text = format!(
            r#"{{"id":"m-{number}","sender":"alice","recipient":"counter","action":"count","payload":null,"timestamp":1763683200000}}"#
        );
        workspace.drop_file(&format!("{number}.json"), text.as_bytes());
    }
    workspace
}

/// What the files of a folder say, by one field; what cannot be read is a finding.
fn told(bus: &Path, folder: &str, field: &str, findings: &mut Vec<String>) -> Vec<Value> {
    let mut values = Vec::new();
    for path in below(&bus.join(folder)) {
        match fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok()) {
            Some(message) => values.push(message[field].clone()),
            None => findings.push(format!("{} is no message", path.display())),
        }
    }
    values.sort_by_key(Value::to_string);
    values
}

/// Everything that is not as it must be when all is done.
fn audit(bus: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    let numbers: Vec<Value> = (1..=MESSAGES).map(Value::from).collect();
    for folder in ["inbox/alice", "inbox/agent-b"] {
        let found = told(bus, folder, "payload", &mut findings);
        if found != numbers {
            findings.push(format!("{folder} has the numbers {found:?}"));
        }
    }
    if told(bus, "inbox/agent-b", "sender", &mut findings).iter().any(|sender| sender != "counter") {
        findings.push("what is in inbox/agent-b is not from the extension".to_owned());
    }
    for path in below(&bus.join("inbox")) {
        if path.is_dir() && !["alice", "agent-b"].iter().any(|agent| path.ends_with(agent)) {
            findings.push(format!("{} is too much", path.display()));
        }
    }
    let kept = fs::read(bus.join(".postroom/state/counter/count")).unwrap_or_default();
    let kept = String::from_utf8_lossy(&kept).into_owned();
    let (head, value) = kept.split_once('\n').unwrap_or_default();
    let version = serde_json::from_str::<Value>(head).map(|head| head["version"].clone()).unwrap_or_default();
    if version != MESSAGES || value != MESSAGES.to_string() {
        findings.push(format!("the number that is kept is {kept:?}"));
    }
    for folder in ["dead-letter", "deferred", "held"] {
        findings.extend(below(&bus.join(folder)).iter().map(|path| format!("{} is left", path.display())));
    }
    archived(bus, &mut findings);
    findings
}

/// Each message, each that was sent and each answer is archived once, and the journal tells the end of each in one way.
fn archived(bus: &Path, findings: &mut Vec<String>) {
    let mut senders: BTreeMap<String, usize> = BTreeMap::new();
    let mut ends: BTreeMap<String, String> = BTreeMap::new();
    for path in below(&bus.join("archive")).into_iter().filter(|path| path.is_file()) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if !path.ends_with("journal.jsonl") {
            let message: Value = serde_json::from_str(&text).unwrap_or_default();
            *senders.entry(message["sender"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            continue;
        }
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            if line["step"] != "finished" {
                continue;
            }
            let (ticket, outcome) = (line["ticket"].to_string(), format!("{} {}", line["outcome"], line["effects"]));
            if ends.insert(ticket.clone(), outcome.clone()).is_some_and(|other| other != outcome) {
                findings.push(format!("{ticket} is finished in two ways"));
            }
        }
    }
    let expected = [("alice", 1), ("counter", 2), ("postroom", 1)].map(|(who, each)| (who.to_owned(), each * MESSAGES));
    if senders != BTreeMap::from(expected) {
        findings.push(format!("the archive has messages of {senders:?}"));
    }
    if ends.len() != 4 * MESSAGES {
        findings.push(format!("the journal tells the end of {} messages", ends.len()));
    }
}

fn serve_once(workspace: &Workspace, plan: Plan) -> Report {
    run(workspace.serve_once(), workspace.bus(), Scope::Changes, plan, LONG)
}

fn recover(workspace: &Workspace) -> (Report, Vec<String>) {
    let report = serve_once(workspace, Plan::Count);
    let mut findings = audit(workspace.bus());
    findings
        .extend(below(&workspace.bus().join("processing")).iter().map(|path| format!("{} is left", path.display())));
    if report.ending != Ending::Exit(0) {
        findings.insert(0, format!("the last run ended with {:?}", report.ending));
    }
    (report, findings)
}

fn scene(workspace: &Workspace, killed: &[&Report], last: &Report) -> String {
    let before: String =
        killed.iter().map(|report| format!("{}it said:\n{}\n", report.tail(15), report.output)).collect();
    format!("before:\n{before}the last run:\n{}it said:\n{}\n{}", last.tail(80), last.output, workspace.tree())
}

fn killed(durability: Durability, at: usize, when: When) -> Verdict {
    let workspace = fresh(durability);
    let killed = serve_once(&workspace, Plan::Kill(Aim::Number(at), when));
    let (last, findings) = recover(&workspace);
    match &killed.hit {
        None if findings.is_empty() && killed.ending == Ending::Exit(0) => Verdict::Past,
        hit => {
            let name = format!("killed {when:?} {:?}", hit.as_ref().map(ToString::to_string));
            Verdict::on(name, findings, || scene(&workspace, &[&killed], &last))
        }
    }
}

fn killed_twice(first: usize, second: usize) -> Verdict {
    let workspace = fresh(Durability::Full);
    let one = serve_once(&workspace, Plan::Kill(Aim::Number(first), When::Before));
    let two = serve_once(&workspace, Plan::Kill(Aim::Number(second), When::Before));
    let (last, findings) = recover(&workspace);
    if findings.is_empty() && (one.hit.is_none() || two.hit.is_none()) {
        return Verdict::Past;
    }
    let name = format!("killed before step {first}, then before {second}");
    Verdict::on(name, findings, || scene(&workspace, &[&one, &two], &last))
}

/// Without any fault the same audit is content.
fn undisturbed(durability: Durability) -> Vec<Step> {
    let workspace = fresh(durability);
    let (report, findings) = recover(&workspace);
    assert!(findings.is_empty(), "{findings:#?}\n{}", scene(&workspace, &[], &report));
    assert!(report.steps.len() > 60, "so many messages take more steps:\n{}", report.tail(60));
    report.steps
}

fn sweep(durability: Durability) {
    let steps = undisturbed(durability).len();
    let reached = count_up(WORKERS, |at| killed(durability, at, When::Before));
    // Which messages share a batch differs from run to run, so the number of steps does a little.
    assert!(reached * 2 > steps, "only {reached} of about {steps} steps were reached");
}

#[test]
fn what_an_extension_keeps_and_sends_is_true_once_wherever_it_is_killed_with_full_durability() {
    sweep(Durability::Full);
}

#[test]
fn what_an_extension_keeps_and_sends_is_true_once_wherever_it_is_killed_with_process_durability() {
    sweep(Durability::Process);
}

#[test]
fn what_an_extension_keeps_and_sends_is_true_once_where_recovery_is_killed_too() {
    let steps = undisturbed(Durability::Full).len();
    let spread = |count: usize| (1..=steps).step_by((steps / count).max(1)).collect::<Vec<_>>();
    let seconds = spread(7);
    let pairs: Vec<(usize, usize)> =
        spread(11).into_iter().flat_map(|first| seconds.iter().map(move |second| (first, *second))).collect();
    let missed = each(WORKERS, &pairs, |(first, second)| killed_twice(*first, *second));
    assert!(missed.len() * 2 < pairs.len(), "most pairs were never reached: {missed:?}");
}

/// One call of each kind that concerns what is kept or sent fails once, while the service goes on running.
fn refused(what: &str, errno: i32) -> Verdict {
    let workspace = fresh(Durability::Full);
    let aim = Aim::Named { what: what.to_owned(), nth: 1 };
    let plan = Plan::Fail(aim, Fault::Errno(errno));
    let service = Traced::start(workspace.serve(), workspace.bus(), Scope::Changes, plan);
    let done = wait_until(LONG, || {
        let findings = audit(workspace.bus());
        if findings.is_empty() || service.has_ended() { Ok(()) } else { Err(findings.join("; ")) }
    });
    service.signal(libc::SIGTERM);
    let mut findings: Vec<String> = done.err().into_iter().collect();
    match service.finish(LONG) {
        Err(why) => findings.push(why),
        Ok(report) if report.ending != Ending::Exit(0) => findings.push(format!("it ended with {:?}", report.ending)),
        Ok(report) if report.hit.is_none() && findings.is_empty() => return Verdict::Past,
        Ok(_) => findings.extend(audit(workspace.bus())),
    }
    Verdict::on(format!("error {errno} at {what}"), findings, || workspace.tree())
}

#[test]
fn what_an_extension_keeps_and_sends_is_true_once_whatever_call_fails() {
    let mut kinds: Vec<String> = undisturbed(Durability::Full)
        .into_iter()
        .filter(|step| matches!(step.kind, Kind::Grows | Kind::Changes) && is_about_it(&step.what))
        .map(|step| step.what)
        .collect();
    kinds.sort();
    kinds.dedup();
    assert!(kinds.len() > 4, "{kinds:?}");
    let cases: Vec<(String, i32)> =
        kinds.iter().flat_map(|what| [libc::EIO, libc::ENOSPC].map(|errno| (what.clone(), errno))).collect();
    let missed = each(WORKERS, &cases, |(what, errno)| refused(what, *errno));
    assert!(missed.len() * 4 < cases.len(), "most were never reached: {missed:?}");
}

fn is_about_it(what: &str) -> bool {
    what.contains("state/") || what.contains('@') || what.contains("~count") || what.ends_with("/log")
}
