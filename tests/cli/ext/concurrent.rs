//! Many processes at once: all that they do is done, none of it twice, and nothing is left half.

use std::process::Child;

use crate::components::version;
use crate::runner::{Bus, finish};

const MANY: u32 = 6;

fn start_all(bus: &Bus, commands: &[Vec<String>]) -> Vec<Child> {
    let spelled = |command: &Vec<String>| command.iter().map(String::as_str).collect::<Vec<_>>().join("\0");
    commands.iter().map(|command| bus.start(&spelled(command).split('\0').collect::<Vec<_>>())).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn all_that_are_added_at_once_are_there() {
    let bus = Bus::new();
    let paths: Vec<String> = (0..MANY).map(|number| bus.built(&format!("e{number}"), &version(number))).collect();
    let commands: Vec<Vec<String>> = paths.iter().map(|path| words(&["ext", "add", path])).collect();
    for child in start_all(&bus, &commands) {
        finish(child).ok();
    }
    let listed: Vec<(String, bool)> = (0..MANY).map(|number| (format!("e{number}"), true)).collect();
    assert_eq!(bus.listed(), listed);
    assert_eq!(bus.ext(&["check", "--json"]).ok().json()["lock"], "current");

    // Half of them go while others come and one is replaced.
    let mut commands: Vec<Vec<String>> = (0..3).map(|number| words(&["ext", "rm", &format!("e{number}")])).collect();
    commands.extend((10..13).map(|number| {
        let path = bus.built(&format!("e{number}"), &version(number));
        words(&["ext", "add", &path])
    }));
    commands.push(words(&["ext", "upgrade", "e3", &bus.built("new", &version(20))]));
    for child in start_all(&bus, &commands) {
        finish(child).ok();
    }
    let names: Vec<String> = bus.listed().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["e10", "e11", "e12", "e3", "e4", "e5"]);
    assert_eq!(bus.installed("e3"), Some(version(20)));
    assert_eq!(bus.ext(&["check", "--json"]).ok().json()["lock"], "current");
}

#[test]
fn of_many_under_one_name_one_is_installed() {
    let bus = Bus::new();
    let commands: Vec<Vec<String>> = (0..MANY)
        .map(|number| words(&["ext", "add", &bus.built(&format!("b{number}"), &version(number)), "--name", "it"]))
        .collect();
    let ended: Vec<i32> = start_all(&bus, &commands).into_iter().map(|child| finish(child).code).collect();
    assert_eq!(ended.iter().filter(|code| **code == 0).count(), 1, "{ended:?}");
    assert_eq!(ended.iter().filter(|code| **code == 5).count(), MANY as usize - 1, "{ended:?}");
    let winner = ended.iter().position(|code| *code == 0).expect("one") as u32;
    assert_eq!(bus.installed("it"), Some(version(winner)));
}
