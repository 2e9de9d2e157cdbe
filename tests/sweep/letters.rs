//! A service that finds what the user wishes done with dead letters: five to be tried again, one to be removed. A kill, a stop with another
//! beside it, or an error at every step; each letter that is tried again ends once, and of no other anything changes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cases::{Verdict, count_up, each, each_pair};
use crate::running::{LONG, OneError, Scene};
use crate::support::audit::{Moment, audit_beside};
use crate::support::trace::{Aim, Ending, Plan, Scope, Step, run};
use crate::support::workload::{Answer, Fate, Sent, delivery};
use crate::support::workspace::{Durability, Workspace, below};

const WORKERS: usize = 3;
const RETRY: &str = ".postroom/requests/01-retry.json";
const PURGE: &str = ".postroom/requests/02-purge.json";
/// What is tried again, as it was dropped: its recipient is known by then, its error reply is taken, its recipient is unknown still, it
/// has no id and will never be a message, it is one delivery of two.
const RETRIED: [&str; 5] = ["known.json", "taken.json", "never.json", "unfit.json", "part.json"];
const PURGED: &str = "purged.json";
const UNFIT: &[u8] = br#"{"sender":"alice","recipient":"late","priority":77,"action":"do"}"#;

/// What only the run before this one can tell.
struct Before {
    /// The letter that is removed: its name up to the ending.
    purged: String,
    /// The letter that nobody asks for, and its reason, as they are.
    kept: [(String, Vec<u8>); 2],
    /// The word about the letter that is removed; it stays.
    word: Vec<u8>,
    /// What each request asks for.
    asked: [(&'static str, Vec<String>); 2],
}

fn dead(file: &str, sender: &str, id: &str) -> Sent {
    let answer = Some(Answer { id: id.into(), sender: sender.into() });
    Sent {
        fate: Fate::Dead { code: "unknown-recipient".into(), answer },
        ..delivery(file, sender, id, &["nobody-here"])
    }
}

/// What becomes of each message in the end. That which is removed is no more.
fn sent() -> Vec<Sent> {
    vec![
        delivery("known.json", "alice", "known", &["late"]),
        delivery("taken.json", "bob", "taken", &["late"]),
        dead("never.json", "alice", "never"),
        Sent {
            file: "unfit.json".into(),
            bytes: UNFIT.to_vec(),
            fate: Fate::Dead { code: "invalid-message".into(), answer: None },
        },
        delivery("part.json", "alice", "part", &["agent-b", "late"]),
        dead("kept.json", "bob", "kept"),
    ]
}

/// A bus with dead letters, made by a service that has ended, and the requests.
fn refused(durability: Durability) -> Scene {
    let workspace = Workspace::new(durability);
    ["alice", "bob", "agent-b"].iter().for_each(|agent| workspace.add_inbox(agent));
    let purged = dead(PURGED, "bob", "purged");
    for sent in sent().iter().chain([&purged]) {
        workspace.drop_file(&sent.file, &sent.bytes);
    }
    let report = run(workspace.serve_once(), workspace.bus(), Scope::Changes, Plan::Count, LONG);
    assert_eq!(report.ending, Ending::Exit(0), "{}", report.output);
    let letters = letters(workspace.bus());
    assert_eq!(letters.len(), RETRIED.len() + 2, "{}", workspace.tree());
    let name = |dropped_as: &str| {
        let found = letters.iter().find(|(as_dropped, _)| as_dropped == dropped_as);
        found.unwrap_or_else(|| panic!("no letter {dropped_as}\n{}", workspace.tree())).1.clone()
    };
    let ticket = |dropped_as: &str| name(dropped_as).split_once('~').expect("a ticket and a name").0.to_owned();
    let read = |path: String| fs::read(workspace.bus().join(&path)).expect("it is there");
    let before = Before {
        purged: name(PURGED),
        kept: [".json", ".why.json"]
            .map(|end| format!("dead-letter/{}{end}", name("kept.json")))
            .map(|path| (path.clone(), read(path))),
        word: read("inbox/bob/purged.reply.json".to_owned()),
        asked: [(RETRY, RETRIED.map(ticket).to_vec()), (PURGE, vec![ticket(PURGED)])],
    };
    fs::remove_file(workspace.bus().join("inbox/bob/taken.reply.json")).expect("its sender takes it");
    workspace.add_inbox("late");
    for ((path, tickets), op) in before.asked.iter().zip(["retry", "purge"]) {
        workspace.put(path, serde_json::json!({ "op": op, "tickets": tickets }).to_string().as_bytes());
    }
    let look = move |bus: &Path, sent: &[Sent], moment| before.findings(bus, sent, moment);
    Scene::with(workspace, sent(), Box::new(look))
}

/// The dead letters that have a reason: as what each was dropped, and its name up to the ending.
fn letters(bus: &Path) -> Vec<(String, String)> {
    let paths = below(&bus.join("dead-letter"));
    let names = paths.iter().filter_map(|path| path.file_name()?.to_str()?.strip_suffix(".why.json"));
    let told = |name: &str| {
        let why = fs::read(bus.join(format!("dead-letter/{name}.why.json"))).unwrap_or_default();
        let why: Value = serde_json::from_slice(&why).unwrap_or_default();
        why["droppedAs"].as_str().unwrap_or_default().to_owned()
    };
    names.map(|name| (told(name), name.to_owned())).collect()
}

impl Before {
    fn findings(&self, bus: &Path, sent: &[Sent], moment: Moment) -> Vec<String> {
        let apart = |path: &Path| {
            path == Path::new("inbox/bob/purged.reply.json") || path.starts_with("inbox/alice/") && is_unnamed(path)
        };
        let mut findings = audit_beside(bus, sent, moment, &apart);
        for (path, bytes) in &self.kept {
            if fs::read(bus.join(path)).ok().as_ref() != Some(bytes) {
                findings.push(format!("{path} has changed"));
            }
        }
        if fs::read(bus.join("inbox/bob/purged.reply.json")).ok().as_ref() != Some(&self.word) {
            findings.push("the word about the letter that is removed has changed".to_owned());
        }
        for end in [".json", ".why.json"] {
            let path = format!("dead-letter/{}{end}", self.purged);
            findings.extend(bus.join(&path).exists().then(|| format!("{path} is there still")));
        }
        findings.extend(unfit(bus));
        findings.extend(self.asked.iter().filter_map(|(path, tickets)| unanswered(bus, path, tickets)));
        let private = below(&bus.join(".postroom"));
        let is_odd = |path: &&PathBuf| ["found-", "damaged-"].iter().any(|part| path.to_string_lossy().contains(part));
        findings.extend(private.iter().filter(is_odd).map(|path| format!("{} was moved aside", path.display())));
        findings
    }
}

/// A reply to what has no id is named after its own.
fn is_unnamed(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("r1."))
}

/// The sender of what has no id has one word about it, and that is about the letter that is there.
fn unfit(bus: &Path) -> Option<String> {
    let words: Vec<String> = below(&bus.join("inbox/alice"))
        .iter()
        .filter(|path| is_unnamed(path))
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    let letters = letters(bus);
    let name = letters.iter().find(|(dropped_as, _)| dropped_as == "unfit.json").map(|(_, name)| name);
    let ticket = name.and_then(|name| name.split_once('~')).map(|(ticket, _)| ticket).unwrap_or_default();
    (words != [format!("r1.{ticket}.json")]).then(|| format!("of the letter {ticket} without an id tell {words:?}"))
}

/// What is wrong with the answer to a request. What was carried out by a service that died is not found by the next one, or it is done.
fn unanswered(bus: &Path, asked: &str, tickets: &[String]) -> Option<String> {
    if bus.join(asked).exists() {
        return Some(format!("{asked} is there still"));
    }
    let answer = fs::read(bus.join(asked.replace("requests", "answers"))).unwrap_or_default();
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let list = |name: &str| -> Vec<String> { serde_json::from_value(answer[name].clone()).unwrap_or_default() };
    let mut told = [list("done"), list("notFound")].concat();
    let mut expected = tickets.to_vec();
    told.sort();
    expected.sort();
    (answer["ok"] != true || told != expected).then(|| format!("{asked} is answered with {answer}"))
}

/// Of how many tickets the answers say that they were not found.
fn not_found(bus: &Path) -> usize {
    let answers =
        [RETRY, PURGE].map(|asked| fs::read(bus.join(asked.replace("requests", "answers"))).unwrap_or_default());
    let answers = answers.iter().map(|answer| serde_json::from_slice::<Value>(answer).unwrap_or_default());
    answers.map(|answer| answer["notFound"].as_array().map_or(0, Vec::len)).sum()
}

fn all_are_done(scene: &mut Scene) {
    let missed = not_found(scene.workspace.bus());
    scene.note("without a kill", if missed == 0 { Ok(()) } else { Err(format!("{missed} were not found")) });
}

/// In whatever moment. A reason may be without its letter for one.
fn each_letter_has_its_reason(scene: &mut Scene, when: &str) {
    let files = below(&scene.workspace.bus().join("dead-letter"));
    let lacks = |path: &Path| {
        let path = path.to_string_lossy();
        !path.ends_with(".why.json") && !files.contains(&PathBuf::from(path.replace(".json", ".why.json")))
    };
    let bare: Vec<_> = files.iter().filter(|path| lacks(path)).collect();
    scene.note(when, if bare.is_empty() { Ok(()) } else { Err(format!("without a reason: {bare:?}")) });
}

fn killed_at(durability: Durability, at: usize) -> Verdict {
    let mut scene = refused(durability);
    let Some(step) = scene.serve_until_killed(at) else {
        all_are_done(&mut scene);
        return scene.verdict_without_fault(&format!("step {at}"));
    };
    each_letter_has_its_reason(&mut scene, "after the kill");
    let next = scene.serve(Scope::Changes, Plan::Count);
    scene.drop_one_more("2.json");
    scene.settle("with the next service", || false);
    scene.stop(next, "the next service");
    scene.verdict(format!("killed before {step}"))
}

/// Once more while the next service recovers.
fn killed_twice((first, second): (usize, usize)) -> Verdict {
    let mut scene = refused(Durability::Full);
    let one = scene.serve_until_killed(first);
    scene.drop_one_more("1.json");
    let two = scene.serve_until_killed(second);
    each_letter_has_its_reason(&mut scene, "after the kill");
    let next = scene.serve(Scope::Changes, Plan::Count);
    scene.drop_one_more("2.json");
    scene.settle("with the third service", || false);
    scene.stop(next, "the third service");
    match (one, two) {
        (Some(one), Some(two)) => scene.verdict(format!("killed before {one}, then before {two}")),
        _ => scene.verdict_without_fault(&format!("step {first} or {second}")),
    }
}

fn stopped_at(durability: Durability, at: usize) -> Verdict {
    let mut scene = refused(durability);
    let sleeper = scene.serve(Scope::Changes, Plan::Stop(Aim::Number(at)));
    let Some(step) = scene.until_it_stands(&sleeper) else {
        scene.stop(sleeper, "the only service");
        return scene.verdict_without_fault(&format!("step {at}"));
    };
    each_letter_has_its_reason(&mut scene, "while it stands still");
    let other = scene.serve(Scope::Changes, Plan::Count);
    scene.drop_one_more("1.json");
    scene.settle("while the first stands still", || false);
    scene.wake(&sleeper);
    scene.drop_one_more("2.json");
    scene.settle("after the first woke up", || false);
    scene.stop(sleeper, "the service that was woken");
    scene.stop(other, "the service that took over");
    scene.verdict(format!("stood still before {step}"))
}

fn is_about_letters(step: &Step) -> bool {
    ["dead-letter", "requests/", "answer", "inbox/", "gone-"].iter().any(|part| step.what.contains(part))
}

#[test]
fn killed_while_dead_letters_are_tried_again_and_removed() {
    for durability in [Durability::Full, Durability::Process] {
        let killed = count_up(WORKERS, |at| killed_at(durability, at));
        println!("killed before each of {killed} steps");
        assert!(killed > 80, "only {killed} steps were reached");
    }
}

#[test]
fn killed_again_while_dead_letters_are_tried_again_and_removed() {
    each_pair(WORKERS, (20..116).step_by(16), killed_twice);
}

#[test]
fn stopped_while_dead_letters_are_tried_again_and_removed() {
    let stopped = count_up(WORKERS, |at| stopped_at(Durability::Full, at));
    println!("stopped before each of {stopped} steps");
    assert!(stopped > 80, "only {stopped} steps were reached");
}

#[test]
fn whatever_fails_while_dead_letters_are_tried_again_and_removed() {
    let steps = refused(Durability::Full).undisturbed(all_are_done);
    let steps: Vec<Step> = steps.into_iter().filter(is_about_letters).collect();
    assert!(steps.len() > 30, "{steps:#?}");
    let errors = OneError::at_each(&steps);
    println!("{} errors", errors.len());
    let missed = each(WORKERS, &errors, |error| refused(Durability::Full).serve_refused(error, all_are_done));
    assert!(missed.len() * 5 < errors.len(), "{} of {} were never reached: {missed:#?}", missed.len(), errors.len());
}
