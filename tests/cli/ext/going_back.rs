//! `upgrade --back` when it is needed: the present version cannot be used, its lock entry is gone, or the file itself.

use std::path::Path;

use crate::components::{importer, provider, version};
use crate::runner::{Bus, run_in};

/// `it` in version 1, then in version 2.
fn upgraded() -> Bus {
    let bus = Bus::new();
    bus.add("it", &version(1)).ok();
    bus.ext(&["upgrade", "it", &bus.built("new", &version(2))]).ok();
    bus
}

#[test]
fn from_a_file_that_was_overwritten() {
    let bus = upgraded();
    bus.put("it.wasm", "garbage");
    // Other commands come between, and say that there is something wrong.
    bus.ext(&["check"]);
    bus.add("other", &version(3)).ok();
    let back = bus.ext(&["upgrade", "it", "--back"]).ok();
    assert!(back.out.contains("it.wasm was no extension") && back.out.contains("is now it.wasm.aside-1"), "{back:?}");
    assert_eq!(bus.installed("it"), Some(version(1)));
    assert_eq!(std::fs::read(bus.extensions().join("it.wasm.aside-1")).expect("moved aside"), b"garbage");
    bus.ext(&["check"]).ok();
}

/// A copy has other files than its lock file knows, so everything in it is looked at anew.
#[test]
fn in_a_copy_where_a_provider_is_missing() {
    let bus = Bus::new();
    bus.add("base", &provider(1)).ok();
    bus.add("it", &version(1)).ok();
    bus.ext(&["upgrade", "it", &bus.built("new", &importer(2))]).ok();
    let top = tempfile::TempDir::new().expect("a folder");
    let copy = top.path().join("copy");
    let cp = std::process::Command::new("cp").arg("-r").arg(bus.workspace()).arg(&copy).status();
    assert!(cp.expect("cp").success());
    std::fs::remove_file(copy.join("extensions/base.wasm")).expect("removed");
    let installed = |name: &str| std::fs::read(copy.join("extensions").join(Path::new(name))).ok();
    run_in(&copy, &["ext", "add", bus.built("other", &version(3)).as_str()]).ok();
    run_in(&copy, &["ext", "upgrade", "it", "--back"]).ok();
    assert_eq!(installed("it.wasm"), Some(version(1)));
    // The present one becomes the version before, and needs what is not there.
    let ran = run_in(&copy, &["ext", "upgrade", "it", "--back"]).fails_with(5);
    assert!(ran.err.contains("it needs calc:sum/lib@1.0.0"), "{ran:?}");
    assert_eq!(installed("it.wasm"), Some(version(1)));
}

#[test]
fn without_the_lock_file_or_the_file_itself() {
    for lost in ["extensions.lock", "it.wasm"] {
        let bus = upgraded();
        std::fs::remove_file(bus.extensions().join(lost)).expect("removed");
        bus.add("other", &version(3)).ok();
        bus.ext(&["upgrade", "it", "--back"]).ok();
        assert_eq!(bus.installed("it"), Some(version(1)), "{lost}");
    }
}

/// What is broken is no version to go back to; the one that worked stays that.
#[test]
fn over_a_file_that_was_overwritten_and_replaced() {
    let bus = upgraded();
    bus.put("it.wasm", "garbage");
    let ran = bus.ext(&["add", &bus.built("it", &version(3))]).fails_with(5);
    assert!(
        ran.err.contains("it.wasm is there already, and is no extension") && ran.err.contains("--force"),
        "{ran:?}"
    );
    bus.ext(&["upgrade", "it", "it.wasm"]).ok();
    assert_eq!(bus.installed("it"), Some(version(3)));
    bus.ext(&["upgrade", "it", "--back"]).ok();
    assert_eq!(bus.installed("it"), Some(version(1)));
}

#[test]
fn what_was_removed_does_not_come_back() {
    let bus = upgraded();
    bus.ext(&["rm", "it"]).ok();
    assert_eq!(bus.files(), [".install-lock", "extensions.lock"]);
    bus.ext(&["upgrade", "it", "--back"]).fails_with(6);
    bus.ext(&["upgrade", "../it", "--back"]).fails_with(6);
}
