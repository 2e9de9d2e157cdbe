//! Whatever anybody puts into the folder of the extensions: nothing hangs, nothing that is not ours is deleted, and each has a way out.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use crate::components::version;
use crate::runner::Bus;

fn with_folder() -> Bus {
    let bus = Bus::new();
    std::fs::create_dir_all(bus.extensions()).expect("made");
    bus
}

/// Each is made under this name.
fn odd(bus: &Bus, kind: &str, name: &str) {
    let path = bus.extensions().join(format!("{name}.wasm"));
    match kind {
        "a FIFO" => assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success()),
        "a device without end" => symlink("/dev/zero", &path).expect("linked"),
        "a link to nowhere" => symlink("nowhere", &path).expect("linked"),
        "a link to itself" => symlink(&path, &path).expect("linked"),
        "a link to a folder" => symlink("/", &path).expect("linked"),
        "a socket" => drop(std::os::unix::net::UnixListener::bind(&path).expect("bound")),
        "an unreadable file" => {
            std::fs::write(&path, version(7)).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).expect("set");
        }
        "a file without end" => {
            let file = std::fs::File::create(&path).expect("made");
            file.set_len(1 << 40).expect("sparse");
        }
        other => panic!("{other}"),
    }
}

const KINDS: [&str; 8] = [
    "a FIFO",
    "a device without end",
    "a link to nowhere",
    "a link to itself",
    "a link to a folder",
    "a socket",
    "an unreadable file",
    "a file without end",
];

#[test]
fn what_is_no_regular_file_is_removed_by_name() {
    let bus = with_folder();
    for kind in KINDS {
        odd(&bus, kind, "odd");
        assert_eq!(bus.ext(&["rm", "odd"]).ok().out, "removed  odd\n", "{kind}");
        assert_eq!(bus.files(), [".install-lock", "extensions.lock"], "{kind}");
    }
    // Also where it has taken the place of an extension; then nothing is left of that.
    bus.add("odd", &version(1)).ok();
    bus.ext(&["upgrade", "odd", &bus.built("new", &version(2))]).ok();
    std::fs::remove_file(bus.extensions().join("odd.wasm")).expect("removed");
    odd(&bus, "a FIFO", "odd");
    bus.ext(&["rm", "odd"]).ok();
    assert_eq!(bus.files(), [".install-lock", "extensions.lock"]);
    assert_eq!(bus.ext(&["check", "--json"]).ok().json()["lock"], "current");
    // So is what has a name that no extension can have.
    bus.put("a b.wasm", version(1));
    bus.ext(&["rm", "a b"]).ok();
    assert_eq!(bus.files(), [".install-lock", "extensions.lock"]);
}

#[test]
fn force_moves_it_aside() {
    for kind in KINDS {
        let bus = with_folder();
        odd(&bus, kind, "odd");
        let new = bus.built("odd", &version(1));
        // Whoever may read everything installs over a file that nobody may read like over any other.
        if kind == "an unreadable file" && std::fs::read(bus.extensions().join("odd.wasm")).is_ok() {
            continue;
        }
        let refused = bus.ext(&["add", &new]).fails_with(5);
        assert!(refused.err.contains("is no extension") && refused.err.contains("--force"), "{kind}: {refused:?}");
        let added = bus.ext(&["add", &new, "--force"]).ok();
        assert!(added.out.contains("is now odd.wasm.aside-1"), "{kind}: {added:?}");
        assert_eq!(bus.installed("odd"), Some(version(1)), "{kind}");
        assert!(bus.extensions().join("odd.wasm.aside-1").symlink_metadata().is_ok(), "{kind}");
        bus.ext(&["check"]).ok();
    }
}

/// What is in a folder is somebody's.
#[test]
fn a_folder_is_not_removed_and_moved_aside_only_with_force() {
    let bus = with_folder();
    std::fs::create_dir(bus.extensions().join("dd.wasm")).expect("made");
    bus.put("dd.wasm/mine", "precious");
    assert_eq!(bus.listed(), [("dd".to_owned(), false)]);
    let ran = bus.ext(&["rm", "dd"]).fails_with(5);
    assert!(ran.err.contains("dd.wasm is a folder, not an extension") && ran.err.contains("move it away"), "{ran:?}");
    let new = bus.built("dd", &version(1));
    bus.ext(&["add", &new]).fails_with(5);
    assert_eq!(std::fs::read_to_string(bus.extensions().join("dd.wasm/mine")).expect("there"), "precious");
    bus.ext(&["add", &new, "--force"]).ok();
    assert_eq!(bus.installed("dd"), Some(version(1)));
    assert_eq!(std::fs::read_to_string(bus.extensions().join("dd.wasm.aside-1/mine")).expect("there"), "precious");
}

/// A bad one over it is refused, and it is where it was.
#[test]
fn a_bad_one_moves_nothing() {
    let bus = with_folder();
    odd(&bus, "a FIFO", "odd");
    let before = bus.files();
    bus.ext(&["add", &bus.built("odd", b"garbage"), "--force"]).fails_with(5);
    bus.ext(&["upgrade", "odd", &bus.built("odd", &crate::components::importer(1))]).fails_with(5);
    bus.ext(&["upgrade", "odd", "--back"]).fails_with(6);
    let after: Vec<String> =
        bus.files().into_iter().filter(|file| !file.starts_with('.') && file != "extensions.lock").collect();
    assert_eq!((before, after), (vec!["odd.wasm".to_owned()], vec!["odd.wasm".to_owned()]));
}

/// Names as ours, which are not: every command goes on, says it once and touches nothing of them.
#[test]
fn hidden_names_as_ours_stop_nothing() {
    let bus = with_folder();
    bus.put(".check-x", "mine");
    bus.put(".0123456789abcdef.old", "mine");
    for folder in [".check-y", ".check-y/deep", ".it.0123456789abcdef.new", ".it.0123456789abcdef.old", ".writing-z"] {
        std::fs::create_dir(bus.extensions().join(folder)).expect("made");
        bus.put(&format!("{folder}/file"), "mine");
    }
    // What a command that was killed left behind goes.
    std::fs::create_dir(bus.extensions().join(".check-z")).expect("made");
    symlink("../it.wasm", bus.extensions().join(".check-z/it.wasm")).expect("linked");
    bus.put(".writing-1", "half");
    bus.put(".it.0123456789abcdee.new", "whole");
    let before = bus.files();
    let strangers = ".check-x, .it.0123456789abcdef.new, .it.0123456789abcdef.old, .writing-z";
    for arguments in [&["add", &bus.built("it", &version(1))][..], &["upgrade", "it", &bus.built("new", &version(2))]] {
        let ran = bus.ext(arguments).ok();
        assert_eq!(ran.err.matches(&format!("left as it is: {strangers}")).count(), 1, "{ran:?}");
        assert_eq!(ran.err.matches(".check-y: Directory not empty").count(), 1, "{ran:?}");
    }
    bus.ext(&["upgrade", "it", "--back"]).ok();
    bus.ext(&["rm", "it"]).ok();
    let mut left = before;
    left.retain(|file| ![".check-z", ".writing-1", ".it.0123456789abcdee.new"].contains(&file.as_str()));
    left.extend([".install-lock".to_owned(), "extensions.lock".to_owned()]);
    left.sort();
    assert_eq!(bus.files(), left);
    assert_eq!(std::fs::read_to_string(bus.extensions().join(".check-y/deep/file")).expect("there"), "mine");
}
