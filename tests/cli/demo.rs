//! The demo is what a newcomer runs first: it must work, show each step, and clean up after itself.

use super::runner::{program, run_in};
use tempfile::TempDir;

#[test]
fn it_shows_each_step_and_leaves_nothing() {
    let top = TempDir::new().expect("a folder");
    let mut command = program(top.path());
    let ran = command.arg("demo").env("TMPDIR", top.path()).output().expect("ran");
    let out = String::from_utf8(ran.stdout).expect("UTF-8");
    assert!(ran.status.success(), "{out}{}", String::from_utf8_lossy(&ran.stderr));
    for shown in [
        "1. A bus is a folder",
        "active on",
        "+ inbox/demo/sum-1.reply.json",
        "\"payload\":5",
        "+ agents/helper.json",
        "- inbox/helper/ask-1.json",
        "unknown-recipient",
        "by ext-sum 1.0.0",
        "the service stopped cleanly",
    ] {
        assert!(out.contains(shown), "{shown} in {out}");
    }
    assert_eq!(std::fs::read_dir(top.path()).expect("read").count(), 0, "the workspace is removed");
}

#[test]
fn it_can_be_kept_and_looked_at() {
    let top = TempDir::new().expect("a folder");
    let report = run_in(top.path(), &["demo", "--dir", "here", "--keep", "--json"]).ok().json();
    assert_eq!((report["ok"].as_bool(), report["acts"].as_array().map(Vec::len)), (Some(true), Some(7)));
    let kept = top.path().join("here");
    let story = run_in(&kept, &["trace", "sum-1", "--json"]).ok().json();
    assert_eq!(story["messages"][0]["recipient"], "ext-sum");
    run_in(top.path(), &["demo", "--dir", "here"]).fails_with(2);
}
