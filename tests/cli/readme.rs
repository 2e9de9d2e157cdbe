//! What the README has to paste works when it is pasted.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::runner::finish;

const README: &str = include_str!("../../README.md");

/// The shell block below a heading.
fn block(heading: &str) -> &'static str {
    let (_, below) = README.split_once(&format!("## {heading}\n")).expect("the heading");
    let (_, block) = below.split_once("```sh\n").expect("a block");
    block.split_once("```").expect("its end").0
}

#[test]
fn the_two_minutes_are_one_block() {
    let top = TempDir::new().expect("a folder");
    let (install, rest) = block("Two minutes").split_once('\n').expect("lines");
    assert!(install.starts_with("cargo install"), "{install}");
    let installed = Path::new(env!("CARGO_BIN_EXE_postroom")).parent().expect("a folder");
    let path = format!("{}:{}", installed.display(), std::env::var("PATH").expect("a path"));
    // Which step failed is seen; the service ends with the shell.
    let script = format!("set -e; trap 'kill $!; wait' EXIT\n{rest}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(top.path()).env("PATH", path).env_remove("POSTROOM_BUS");
    let ran =
        finish(shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(r#""payload":{"hello":1.0}"#) && ran.out.contains("archived today"), "{ran:?}");
}
