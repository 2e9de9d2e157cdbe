//! What must not stop the program: a failing `init`, damaged compiled code, a cache that cannot be used, a damaged lock file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::components::{failing_at_init, importer, provider, version};
use crate::runner::{Bus, Ran, finish, program, wait_for};

#[test]
fn a_failing_init_is_one_broken_extension() {
    let bus = Bus::new();
    bus.add("good", &version(1)).ok();
    let ran = bus.add("bad", &failing_at_init()).fails_with(5);
    assert!(ran.err.contains("bad cannot be installed") && ran.err.contains("init"), "{ran:?}");
    std::fs::write(bus.workspace().join("extensions/bad.wasm"), failing_at_init()).expect("written");
    assert_eq!(bus.listed(), [("bad".to_owned(), false), ("good".to_owned(), true)]);
    bus.run(&["status"]).ok();
    assert_eq!(bus.run(&["doctor"]).code, 7);
    assert_eq!(bus.ext(&["check"]).code, 7);
    bus.add("another", &version(2)).ok();
    let service = bus.serve();
    assert_eq!(bus.run(&["call", "--to", "good", "--action", "x", "1"]).ok().line(), "1");
    service.stop();
    bus.ext(&["rm", "bad"]).ok();
    bus.ext(&["check"]).ok();
}

/// With a cache of its own.
fn ext(bus: &Bus, cache: &Path, arguments: &[&str]) -> Ran {
    let mut command = program(bus.workspace());
    command.env("POSTROOM_CACHE", cache).arg("ext").args(arguments);
    finish(command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("started"))
}

fn compiled(cache: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(cache.join("compiled")).expect("listed").map(|entry| entry.expect("an entry").path()).collect()
}

/// What never was compiled has not run. The lock file knows none of these, and a damaged one knows nothing at all.
#[test]
fn removing_runs_nothing_of_what_is_there() {
    let (bus, cache) = (Bus::new(), tempfile::TempDir::new().expect("a folder"));
    std::fs::create_dir_all(bus.extensions()).expect("made");
    for (name, bytes) in
        [("bad", failing_at_init()), ("base", provider(1)), ("user", importer(1)), ("a", version(1)), ("b", version(2))]
    {
        bus.put(&format!("{name}.wasm"), bytes);
    }
    assert_eq!(ext(&bus, cache.path(), &["rm", "bad"]).ok().out, "removed  bad\n");
    let ran = ext(&bus, cache.path(), &["rm", "base"]).fails_with(5);
    assert!(ran.err.contains("base stays: user needs it"), "{ran:?}");
    let ran = ext(&bus, cache.path(), &["rm", "bass"]).fails_with(6);
    assert!(ran.err.contains("did you mean base?"), "{ran:?}");
    bus.put("extensions.lock", "garbage");
    let ran = ext(&bus, cache.path(), &["rm", "base", "--cascade"]).ok();
    assert_eq!(ran.out, "removed  user\nremoved  base\n");
    assert!(ran.err.contains("is now extensions.lock.damaged-1"), "{ran:?}");
    ext(&bus, cache.path(), &["rm", "a"]).ok();
    assert!(!cache.path().join("compiled").exists(), "something was compiled");
    // The next one who looks finds the rest.
    assert_eq!(bus.listed(), [("b".to_owned(), true)]);
}

#[test]
fn damaged_compiled_code_is_made_again() {
    let (bus, cache) = (Bus::new(), tempfile::TempDir::new().expect("a folder"));
    bus.built("it", &version(1));
    ext(&bus, cache.path(), &["add", "it.wasm"]).ok();
    let files = compiled(cache.path());
    assert!(!files.is_empty());
    let good: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).expect("read")).collect();
    for file in &files {
        let mut bytes = std::fs::read(file).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        std::fs::write(file, bytes).expect("written");
    }
    let ran = ext(&bus, cache.path(), &["check"]).ok();
    assert!(ran.out.contains("compiled code in the cache was not used and has been replaced"), "{ran:?}");
    assert_eq!(files.iter().map(|file| std::fs::read(file).expect("read")).collect::<Vec<_>>(), good);
    assert!(!ext(&bus, cache.path(), &["check"]).ok().out.contains("cache"));
}

#[test]
fn a_cache_that_others_can_write_is_not_used() {
    let (bus, cache) = (Bus::new(), tempfile::TempDir::new().expect("a folder"));
    bus.built("it", &version(1));
    let folder = cache.path().join("compiled");
    std::fs::create_dir(&folder).expect("made");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).expect("set");
    let added = ext(&bus, cache.path(), &["add", "it.wasm"]).ok();
    assert!(added.out.contains("others may enter it (mode 777)"), "{added:?}");
    assert!(compiled(cache.path()).is_empty());
    assert!(ext(&bus, cache.path(), &["check"]).ok().out.contains("others may enter it"));
    let mut doctor = program(bus.workspace());
    let said = doctor.env("POSTROOM_CACHE", cache.path()).arg("doctor").output().expect("ran");
    assert!(String::from_utf8_lossy(&said.stdout).contains("chmod 700"), "{said:?}");
}

#[test]
fn a_damaged_lock_file_is_moved_aside() {
    let bus = Bus::new();
    bus.add("it", &version(1)).ok();
    let lock = bus.workspace().join("extensions/extensions.lock");
    std::fs::write(&lock, "version = 1\nnonsense").expect("written");
    assert_eq!(bus.listed(), [("it".to_owned(), true)]);
    bus.run(&["--help"]).ok();
    let ran = bus.add("other", &version(2)).ok();
    assert!(ran.err.contains("is now extensions.lock.damaged-1"), "{ran:?}");
    assert_eq!(bus.listed().len(), 2);
    std::fs::write(&lock, "version = 99\n").expect("written");
    let ran = bus.ext(&["ls"]).fails_with(1);
    assert!(ran.err.contains("has format 99") && ran.err.contains("newer postroom"), "{ran:?}");
    bus.run(&["--help"]).ok();
    bus.run(&["status"]).ok();
}

#[test]
fn doctor_sees_what_is_wrong_with_extensions() {
    let bus = Bus::new();
    let service = bus.serve();
    let checks = || -> Vec<String> {
        let report = bus.run(&["doctor", "--json"]).json();
        let findings = report["findings"].as_array().expect("a list");
        findings.iter().map(|finding| finding["check"].as_str().expect("a name").to_owned()).collect()
    };
    bus.add("it", &version(1)).ok();
    wait_for("no findings", || checks().is_empty().then_some(()));
    std::fs::write(bus.workspace().join("extensions/it.wasm"), version(2)).expect("written");
    assert_eq!(checks(), ["extensions-lock"]);
    std::fs::write(bus.workspace().join("extensions/bad.wasm"), "garbage").expect("written");
    assert!(checks().contains(&"broken-extension".to_owned()));
    service.stop();
}
