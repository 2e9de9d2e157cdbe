//! Extensions that appear, change and go while the service runs.

use std::fs;

use sha2::Digest as _;

use crate::calling::guest::Guest;
use crate::guests::{echoing, looping_on_long_payloads};
use crate::mock::{Function, Mock, component, handler, replying};
use crate::session::{Serving, Session, message};

/// Puts a component there as a careful writer does.
fn put(bus: &Session, name: &str, mock: Mock) {
    put_file(bus, name, &component("", &[mock]));
}

/// Whole, or not at all.
fn put_file(bus: &Session, name: &str, bytes: &[u8]) {
    let folder = bus.beside("extensions");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(".writing"), bytes).unwrap();
    fs::rename(folder.join(".writing"), folder.join(format!("{name}.wasm"))).unwrap();
}

fn ask(bus: &Session, id: &str) {
    bus.drop(&format!("{id}.json"), message(id, "alice", "ext", "any.thing", "1"));
}

fn answer(bus: &Session, id: &str) -> String {
    let reply = format!("inbox/alice/{id}.reply.json");
    bus.until(&format!("{id} is answered"), |bus| bus.exists(&reply));
    let reply = bus.json(&reply);
    match reply["error"]["code"].as_str() {
        Some(code) => code.to_owned(),
        None => reply["payload"].to_string(),
    }
}

#[test]
fn the_first_extension_a_new_version_and_its_end_need_no_restart() {
    let bus = Session::new();
    let serving = bus.serve();
    ask(&bus, "m-1");
    assert_eq!(answer(&bus, "m-1"), "unknown-recipient");
    put(&bus, "ext", replying("\"first\""));
    // Also one that comes before the component is compiled.
    ask(&bus, "m-2");
    assert_eq!(answer(&bus, "m-2"), "\"first\"");
    serving.until_it_says("extensions: ext");
    put(&bus, "ext", replying("\"second\""));
    put(&bus, "other", echoing());
    serving.until_it_says("extensions: ext, other");
    ask(&bus, "m-3");
    assert_eq!(answer(&bus, "m-3"), "\"second\"");
    for name in ["ext.wasm", "other.wasm"] {
        fs::remove_file(bus.beside("extensions").join(name)).unwrap();
    }
    serving.until_it_says("there are no extensions any more");
    ask(&bus, "m-4");
    assert_eq!(answer(&bus, "m-4"), "unknown-recipient");
    serving.stop();
}

#[test]
fn what_is_in_hand_ends_in_the_set_that_it_began_in() {
    let bus = Session::with("[extensions]\ndeadline_ms = 2000\n[retry]\nattempts = 1\n");
    put(&bus, "ext", looping_on_long_payloads());
    let serving = bus.serve();
    bus.drop("m-1.json", message("m-1", "alice", "ext", "any.thing", "\"long\""));
    bus.until("it runs", |bus| bus.steps(&["called"]).len() == 1);
    put(&bus, "ext", replying("2"));
    serving.until_it_says("extensions: ext");
    ask(&bus, "m-2");
    assert_eq!(answer(&bus, "m-2"), "2");
    assert_eq!(answer(&bus, "m-1"), "timeout");
    serving.stop();
    let by = |id: &str| {
        let line = bus.journal().into_iter().find(|line| line["step"] == "finished" && line["id"] == id).unwrap();
        line["by"].as_str().unwrap().to_owned()
    };
    let hash = |mock: Mock| {
        let hash = sha2::Sha256::digest(component("", &[mock]));
        hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert!(by("m-1").ends_with(&hash(looping_on_long_payloads())), "{}", by("m-1"));
    assert!(by("m-2").ends_with(&hash(replying("2"))), "{}", by("m-2"));
}

#[test]
fn a_broken_file_is_named_once_and_harms_nothing_else() {
    let bus = Session::new();
    put(&bus, "ext", echoing());
    let serving = bus.serve();
    fs::write(bus.beside("extensions/.broken"), "no component").unwrap();
    fs::rename(bus.beside("extensions/.broken"), bus.beside("extensions/broken.wasm")).unwrap();
    serving.until_it_says("extension broken");
    put(&bus, "third", echoing());
    serving.until_it_says("extensions: ext, third");
    ask(&bus, "m-1");
    assert_eq!(answer(&bus, "m-1"), "1");
    bus.drop("m-2.json", message("m-2", "alice", "broken", "any.thing", "1"));
    assert_eq!(answer(&bus, "m-2"), "unknown-recipient");
    let why = bus.json("inbox/alice/m-2.reply.json")["error"]["message"].as_str().unwrap().to_owned();
    assert!(why.starts_with("the extension \"broken\" is set aside: it is not a WebAssembly component"), "{why}");
    let said = serving.stop();
    assert_eq!(said.matches("extension broken").count(), 1, "{said}");
}

#[test]
fn a_file_that_is_still_being_written_is_not_taken_up() {
    use std::io::Write as _;
    let bus = Session::new();
    fs::create_dir_all(bus.beside("extensions")).unwrap();
    let serving = bus.serve();
    let bytes = component("", &[echoing()]);
    let mut file = fs::File::create(bus.beside("extensions/ext.wasm")).unwrap();
    file.write_all(&bytes[..100]).unwrap();
    serving.until_it_says("extensions/ext.wasm is still open for writing");
    // Others do not wait for it.
    put(&bus, "other", replying("2"));
    bus.drop("m-0.json", message("m-0", "alice", "other", "any.thing", "1"));
    assert_eq!(answer(&bus, "m-0"), "2");
    // A list is split, so one delivery of it is in the room before its recipient is there.
    bus.drop("m-00.json", message("m-00", "alice", "[\"ext\",\"other\"]", "any.thing", "1"));
    for n in 1..=300 {
        ask(&bus, &format!("m-{n}"));
    }
    bus.drop("z.json", message("z", "alice", "other", "any.thing", "1"));
    assert_eq!(answer(&bus, "z"), "2");
    bus.until("it waits", |bus| bus.steps(&["deferred"]) == ["m-00 deferred"]);
    file.write_all(&bytes[100..]).unwrap();
    drop(file);
    for n in 1..=300 {
        assert_eq!(answer(&bus, &format!("m-{n}")), "1");
    }
    bus.until("the list, too", |bus| bus.exists("inbox/alice/m-00~ext.reply.json"));
    assert!(
        bus.steps(&["deferred"]).iter().all(|step| step == "m-00 deferred"),
        "to wait is written down again and again"
    );
    let said = serving.stop();
    assert!(said.contains("extensions: ext, other") && !said.contains("set aside"), "{said}");
}

/// The scans come too late for any of this.
#[test]
fn what_waits_for_an_extension_goes_on_at_once_when_its_file_is_whole_or_gone() {
    use std::io::Write as _;
    let bus = Session::with("[bus]\nrescan_ms = 600000\n");
    fs::create_dir_all(bus.beside("extensions")).unwrap();
    put(&bus, "other", replying("2"));
    let serving = bus.serve();
    let files = ["ext", "gone"].map(|name| bus.beside(&format!("extensions/{name}.wasm")));
    let [mut whole, gone] = files.each_ref().map(|path| fs::File::create(path).unwrap());
    for n in 0..300 {
        let (to_ext, to_gone) = (format!("e-{n:03}"), format!("g-{n:03}"));
        ask(&bus, &to_ext);
        bus.drop(&format!("{to_gone}.json"), message(&to_gone, "alice", "gone", "any.thing", "1"));
    }
    // It was looked at later than all these.
    bus.drop("z.json", message("z", "alice", "other", "any.thing", "1"));
    assert_eq!(answer(&bus, "z"), "2");
    assert_eq!(bus.steps(&["accepted"]), ["z accepted"]);
    fs::remove_file(&files[1]).unwrap();
    whole.write_all(&component("", &[echoing()])).unwrap();
    drop((whole, gone));
    for n in 0..300 {
        assert_eq!(answer(&bus, &format!("g-{n:03}")), "unknown-recipient");
        assert_eq!(answer(&bus, &format!("e-{n:03}")), "1");
    }
    serving.stop();
}

#[test]
fn a_file_that_is_being_written_when_the_service_starts_is_waited_for() {
    use std::io::Write as _;
    let bus = Session::new();
    fs::create_dir_all(bus.beside("extensions")).unwrap();
    let mut whole = fs::File::create(bus.beside("extensions/ext.wasm")).unwrap();
    let bytes = component("", &[echoing()]);
    whole.write_all(&bytes[..bytes.len() / 2]).unwrap();
    ask(&bus, "m-1");
    let serving = bus.serve();
    bus.drop("2.json", message("m-2", "alice", "postroom", "mcp.core.echo", "1"));
    assert_eq!(answer(&bus, "m-2"), "1");
    whole.write_all(&bytes[bytes.len() / 2..]).unwrap();
    drop(whole);
    assert_eq!(answer(&bus, "m-1"), "1");
    let said = serving.stop();
    assert!(!said.contains("set aside"), "{said}");
}

/// Of a component that asks for another try.
fn not_yet() -> Vec<u8> {
    let mut guest = Guest::new();
    let later =
        format!("(drop (call $err {})) (i32.store8 (i32.const 1056) (i32.const 0)) (i32.const 1024)", guest.text("no"));
    let null = format!("(call $ok {})", guest.text("null"));
    guest.initialising(&later).handling(&null).component()
}

#[test]
fn one_that_runs_once_leaves_what_waits_for_an_extension_in_the_drop() {
    let bus = Session::new();
    put_file(&bus, "ext", &not_yet());
    ask(&bus, "m-1");
    bus.once();
    assert!(bus.exists("m-1.json"), "{}", bus.tree());
    put(&bus, "ext", echoing());
    bus.once();
    assert_eq!(answer(&bus, "m-1"), "1");
}

#[test]
fn a_grant_that_comes_with_an_extension_counts_without_a_restart() {
    let bus = Session::with("[extensions]\ngrants = [\"log\"]\n");
    let serving = bus.serve();
    const NOW: Function = Function { name: "now-ms", parameters: &[], result: Some("s64") };
    let asks = handler("(drop (call $now-ms)) (call $reply_number (i32.const 1))");
    put(&bus, "ext", asks.importing("postroom:extension/clock@1.0.0", &[NOW]));
    serving.until_it_says("is set aside");
    let settings = bus.beside("postroom.toml");
    let old = fs::read_to_string(&settings).unwrap();
    let set = |text: &str| {
        fs::write(bus.beside("new.toml"), format!("{old}\n{text}")).unwrap();
        fs::rename(bus.beside("new.toml"), &settings).unwrap();
    };
    set("[extension.ext]\ngrants = [\"clock\"]\n");
    serving.until_it_says("extensions: ext");
    ask(&bus, "m-1");
    assert_eq!(answer(&bus, "m-1"), "1");
    set("[extension.ext]\ngrant = [\"clock\"]\n");
    serving.until_it_says("the extensions keep their settings");
    ask(&bus, "m-2");
    assert_eq!(answer(&bus, "m-2"), "1");
    // The file is the one that was set aside before; what is wrong now is news all the same.
    set("");
    bus.until("it is set aside again", |_| serving.said().matches("is set aside").count() == 2);
    serving.stop();
}

/// As when a machine has too many open files for a while.
#[test]
fn what_could_not_be_read_for_a_while_is_read_again() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let bus = Session::new();
    put(&bus, "ext", replying("\"old\""));
    let serving = bus.serve();
    ask(&bus, "m-1");
    assert_eq!(answer(&bus, "m-1"), "\"old\"");
    let process = Pid::from_raw(serving.id().cast_signed()).unwrap();
    let open = fs::read_dir(format!("/proc/{}/fd", serving.id())).unwrap().count() as u64;
    let limit = |files| Rlimit { current: Some(files), ..rustix::process::getrlimit(Resource::Nofile) };
    let before = prlimit(Some(process), Resource::Nofile, limit(open)).unwrap();
    put(&bus, "new", replying("\"new\""));
    serving.until_it_says("(os error 24)");
    prlimit(Some(process), Resource::Nofile, before).unwrap();
    bus.drop("m-2.json", message("m-2", "alice", "new", "any.thing", "1"));
    assert_eq!(answer(&bus, "m-2"), "\"new\"");
    ask(&bus, "m-3");
    assert_eq!(answer(&bus, "m-3"), "\"old\"");
    serving.stop();
}

#[test]
fn who_asks_for_another_try_is_waited_for_and_who_is_broken_is_not() {
    let bus = Session::new();
    put_file(&bus, "ext", &not_yet());
    put_file(&bus, "broken", b"no component");
    let serving = bus.serve();
    ask(&bus, "m-1");
    bus.drop("m-2.json", message("m-2", "alice", "broken", "any.thing", "1"));
    assert_eq!(answer(&bus, "m-2"), "unknown-recipient");
    assert!(bus.exists("m-1.json"), "it waits");
    put(&bus, "ext", echoing());
    assert_eq!(answer(&bus, "m-1"), "1");
    let said = serving.stop();
    assert_eq!(said.matches("extension ext").count(), 1, "{said}");
}

#[test]
fn missing_compiled_code_is_made_before_a_message_needs_it() {
    let bus = Session::new();
    let cache = bus.beside("cache");
    fs::write(bus.beside("ext.built"), component("", &[replying("\"here\"")])).unwrap();
    let with_cache = |arguments: &[&str]| {
        let mut command = bus.command(arguments);
        command.env("POSTROOM_CACHE", &cache);
        command
    };
    let built = bus.beside("ext.built");
    let added = with_cache(&["ext", "add", built.to_str().unwrap(), "--name", "it"]).output().unwrap();
    assert!(added.status.success(), "{added:?}");
    // Nothing is asked of an extension that is known from its lock file.
    fs::remove_dir_all(&cache).unwrap();
    let serving = Serving::start(with_cache(&["serve"]));
    let has_code = |_: &Session| {
        let files = fs::read_dir(cache.join("compiled")).into_iter().flatten();
        files.flatten().any(|file| file.file_name().to_string_lossy().ends_with(".code"))
    };
    bus.until("it is compiled", has_code);
    serving.until_it_says("there was no compiled code of it");
    serving.stop();
}

#[test]
fn where_compiled_code_cannot_be_kept_the_service_says_so_and_works() {
    let bus = Session::new();
    put(&bus, "ext", replying("\"here\""));
    let no_folder = bus.beside("a-file");
    fs::write(&no_folder, "").unwrap();
    let mut command = bus.command(&["serve"]);
    command.env("POSTROOM_CACHE", no_folder);
    let serving = Serving::start(command);
    ask(&bus, "m-1");
    assert_eq!(answer(&bus, "m-1"), "\"here\"");
    serving.until_it_says("compiled code is not kept in");
    let said = serving.stop();
    assert_eq!(said.matches("compiled code").count(), 1, "{said}");
}
