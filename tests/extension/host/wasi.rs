//! WASI 0.2, as a component sees it: nothing is there unless it is granted.

use std::sync::Arc;

use postroom::extension::Level;
use postroom::message::Code;

use super::guest::{Guest, Interface};
use super::{all_loaded, attempt, load, loaded, reply};
use crate::{Folder, failed, replied};

const ENVIRONMENT: Interface = Interface {
    name: "wasi:cli/environment@0.2.0",
    declarations: r#"
        (type $pair (tuple string string)) (type $pairs (list $pair)) (type $texts (list string)) (type $maybe (option string))
        (export "get-environment" (func (result $pairs)))
        (export "get-arguments" (func (result $texts)))
        (export "initial-cwd" (func (result $maybe)))
    "#,
    functions: &[("get-environment", "(param i32)"), ("get-arguments", "(param i32)"), ("initial-cwd", "(param i32)")],
};

const EXIT: Interface = Interface {
    name: "wasi:cli/exit@0.2.0",
    declarations: "(type $status (result)) (export \"exit\" (func (param \"status\" $status)))",
    functions: &[("exit", "(param i32)")],
};

const WALL_CLOCK: Interface = Interface {
    name: "wasi:clocks/wall-clock@0.2.6",
    declarations: r#"
        (type $datetime-0 (record (field "seconds" u64) (field "nanoseconds" u32))) (export "datetime" (type $datetime (eq $datetime-0)))
        (export "now" (func (result $datetime)))
    "#,
    functions: &[("now", "(param i32)")],
};

/// Replies with the value of its first variable, if it has one; arguments and a current folder end it.
fn environment() -> Vec<u8> {
    let mut guest = Guest::new().importing(&ENVIRONMENT);
    let null = guest.text("null");
    let body = format!(
        "(call $environment.get-arguments (i32.const 512))
         (if (i32.load (i32.const 516)) (then (unreachable)))
         (call $environment.initial-cwd (i32.const 512))
         (if (i32.load8_u (i32.const 512)) (then (unreachable)))
         (call $environment.get-environment (i32.const 512))
         (if (result i32) (i32.load (i32.const 516))
            (then (call $ok (i32.load offset=8 (i32.load (i32.const 512))) (i32.load offset=12 (i32.load (i32.const 512)))))
            (else (call $ok {null})))"
    );
    guest.handling(&body).component()
}

#[tokio::test]
async fn there_are_no_variables_but_those_that_are_granted() {
    // The test itself has some.
    assert!(std::env::vars().next().is_some());
    assert_eq!(reply(&all_loaded("", &[("it", environment())]).await, "it", "1").await, "null");
    let settings = "extension.it.wasi.environment = { LANG = '\"C\"' }\nextension.other.wasi.environment = { X = '1' }";
    let host = all_loaded(settings, &[("it", environment()), ("other", environment()), ("third", environment())]).await;
    assert_eq!(reply(&host, "it", "1").await, "\"C\"");
    assert_eq!(reply(&host, "other", "1").await, "1");
    assert_eq!(reply(&host, "third", "1").await, "null");
}

#[tokio::test]
async fn wasi_as_a_whole_needs_its_grant() {
    let (_, broken) = loaded("extensions.grants = [\"log\"]", &[("it", environment())]).await;
    let [it] = broken.as_slice() else { panic!("it is loaded") };
    assert!(it.reason.contains("wasi:cli/environment@0.2.0"), "{}", it.reason);
    assert!(it.reason.contains("`grants = [\"wasi\"]` in [extension.it]"), "{}", it.reason);
    for (name, reason) in [("wasi:cli/environment@0.3.0", "0.2 is offered"), ("wasi:http/types@0.2.0", "not offered")] {
        let mut guest = Guest::new().importing_as(name, &ENVIRONMENT);
        let null = guest.text("null");
        let (_, broken) = loaded("", &[("it", guest.handling(&format!("(call $ok {null})")).component())]).await;
        let [it] = broken.as_slice() else { panic!("{name} is loaded") };
        assert!(it.reason.contains(name) && it.reason.contains(reason), "{}", it.reason);
    }
}

#[tokio::test]
async fn the_clock_is_there() {
    let mut guest = Guest::new().importing(&WALL_CLOCK);
    let null = guest.text("null");
    let body = format!(
        "(call $wall-clock.now (i32.const 512))
         (if (i64.lt_u (i64.load (i32.const 512)) (i64.const 1763683200)) (then (unreachable)))
         (call $ok {null})"
    );
    assert_eq!(reply(&all_loaded("", &[("it", guest.handling(&body).component())]).await, "it", "1").await, "null");
}

#[tokio::test]
async fn an_exit_ends_the_attempt_and_nothing_else() {
    let mut guest = Guest::new().importing(&EXIT);
    let null = guest.text("null");
    let body = format!(
        "(if (i32.ne (i32.load8_u (i32.load offset=32 (local.get 0))) (i32.const 48)) (then (call $exit.exit (i32.const 1))))
         (call $ok {null})"
    );
    let host = all_loaded("", &[("it", guest.handling(&body).component())]).await;
    let failure = failed(attempt(&host, "it", "1", &Arc::default()).await.handled);
    assert_eq!(failure.code, Code::HandlerFailed);
    assert!(failure.message.to_lowercase().contains("exit"), "{}", failure.message);
    assert_eq!(reply(&host, "it", "0").await, "null");
}

/// `wasi:cli/stderr`, with the streams that it needs.
fn stderr() -> Guest {
    let stream_error =
        "(type $stream-error-0 (variant (case \"last-operation-failed\" (own $error)) (case \"closed\")))";
    let write = "(param \"self\" (borrow $stream)) (param \"contents\" $bytes) (result $done)";
    let imports = format!(
        r#"(import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
           (alias export $error "error" (type $error-type))
           (import "wasi:io/streams@0.2.0" (instance $streams
               (alias outer $outer $error-type (type $error-1)) (export "error" (type $error (eq $error-1)))
               (export "output-stream" (type $stream (sub resource)))
               {stream_error} (export "stream-error" (type $stream-error (eq $stream-error-0)))
               (type $bytes (list u8)) (type $done (result (error $stream-error)))
               (export "[method]output-stream.blocking-write-and-flush" (func {write}))))
           (alias export $streams "output-stream" (type $stream-type))
           (alias export $streams "[method]output-stream.blocking-write-and-flush" (func $write))
           (import "wasi:cli/stderr@0.2.0" (instance $stderr
               (alias outer $outer $stream-type (type $stream-1)) (export "output-stream" (type $stream (eq $stream-1)))
               (export "get-stderr" (func (result (own $stream))))))
           (alias export $stderr "get-stderr" (func $get-stderr))"#
    );
    Guest::new().importing_by_hand(&imports, &[("get-stderr", "(result i32)"), ("write", "(param i32 i32 i32 i32)")])
}

#[tokio::test]
async fn what_goes_to_stderr_becomes_lines_of_the_log_also_before_a_panic() {
    let mut guest = stderr();
    let pieces = ["one\npani", "cked at x\nrest"].map(|piece| guest.text(piece));
    let writes: String =
        pieces.iter().map(|piece| format!("(call $write (local.get $stream) {piece} (i32.const 512))")).collect();
    let body = format!("(local $stream i32) (local.set $stream (call $get-stderr)) {writes} (unreachable)");
    let component = guest.handling(&body).component();
    let host = all_loaded("", &[("it", component.clone())]).await;
    let attempted = attempt(&host, "it", "1", &Arc::default()).await;
    assert_eq!(failed(attempted.handled).code, Code::HandlerFailed);
    let lines: Vec<_> =
        attempted.log.iter().map(|line| (line.extension.as_str(), line.level, line.text.as_str())).collect();
    assert_eq!(lines[..2], [("it", Level::Info, "one"), ("it", Level::Info, "panicked at x")]);

    let silent = all_loaded("extensions.grants = [\"wasi\"]", &[("it", component)]).await;
    assert_eq!(attempt(&silent, "it", "1", &Arc::default()).await.log, []);
}

/// What `wasi:filesystem/types` calls its errors.
const FILE_ERRORS: &str = r#"(enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist"
    "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop" "too-many-links"
    "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory" "insufficient-space" "not-directory"
    "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device" "overflow" "not-permitted" "pipe" "read-only"
    "invalid-seek" "text-file-busy" "cross-device")"#;

/// Makes a folder `made` in the first folder that it has, and replies with the name of that; without one, with `null`.
fn maker() -> Vec<u8> {
    let make = "(param \"self\" (borrow $descriptor)) (param \"path\" string) (result $done)";
    let imports = format!(
        r#"(import "wasi:filesystem/types@0.2.0" (instance $files
               (export "descriptor" (type $descriptor (sub resource)))
               (type $error-0 {FILE_ERRORS}) (export "error-code" (type $error (eq $error-0)))
               (type $done (result (error $error)))
               (export "[method]descriptor.create-directory-at" (func {make}))))
           (alias export $files "descriptor" (type $descriptor-type))
           (alias export $files "[method]descriptor.create-directory-at" (func $make))
           (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
               (alias outer $outer $descriptor-type (type $descriptor-1))
               (export "descriptor" (type $descriptor (eq $descriptor-1)))
               (type $folder (tuple (own $descriptor) string)) (type $folders (list $folder))
               (export "get-directories" (func (result $folders)))))
           (alias export $preopens "get-directories" (func $get-directories))"#
    );
    let functions = [("get-directories", "(param i32)"), ("make", "(param i32 i32 i32 i32)")];
    let mut guest = Guest::new().importing_by_hand(&imports, &functions);
    let (null, made) = (guest.text("null"), guest.text("made"));
    let body = format!(
        "(call $get-directories (i32.const 512))
         (if (i32.eqz (i32.load (i32.const 516))) (then (return (call $ok {null}))))
         (call $make (i32.load (i32.load (i32.const 512))) {made} (i32.const 520))
         (call $ok (i32.load offset=4 (i32.load (i32.const 512))) (i32.load offset=8 (i32.load (i32.const 512))))"
    );
    guest.handling(&body).component()
}

#[tokio::test]
async fn there_are_no_folders_but_those_that_are_granted_and_only_some_can_be_written() {
    let folder = Folder::new();
    folder.put("it.wasm", maker());
    let (host, broken) = load(folder.0.path(), "").await;
    assert_eq!(broken, []);
    assert_eq!(reply(&host, "it", "1").await, "null");

    for (write, is_made) in [("false", false), ("true", true)] {
        std::fs::create_dir(folder.path(write)).unwrap();
        let settings =
            format!("extension.it.wasi.folders = [{{ path = \"{write}\", as = '\"/data\"', write = {write} }}]");
        let (host, broken) = load(folder.0.path(), &settings).await;
        assert_eq!(broken, []);
        assert_eq!(replied(attempt(&host, "it", "1", &Arc::default()).await.handled), "\"/data\"");
        assert_eq!(folder.path(write).join("made").exists(), is_made);
    }
}

#[tokio::test]
async fn a_granted_folder_that_is_not_there_is_said_when_the_extension_is_loaded() {
    let settings = "extension.it.wasi.folders = [{ path = \"gone\", as = \"/data\" }]";
    let (_, broken) = loaded(settings, &[("it", maker())]).await;
    let [it] = broken.as_slice() else { panic!("it is loaded") };
    assert!(it.reason.contains("gone") && it.reason.contains("[extension.it.wasi]"), "{}", it.reason);
}
