//! The bench on a few messages: what it says must be there and add up. How fast it is, is not a test's matter.

use super::runner::run_in;
use tempfile::TempDir;

#[test]
fn every_mode_answers_every_message() {
    let top = TempDir::new().expect("a folder");
    let modes = ["blast", "idle", "rate", "backlog"];
    let mut arguments = vec!["bench", "--json", "--dir", ".", "--messages", "40", "--durability", "process"];
    modes.iter().for_each(|mode| arguments.extend(["--mode", mode]));
    let report = run_in(top.path(), &arguments).ok().json();
    let runs = report["runs"].as_array().expect("a list");
    assert_eq!(runs.len(), modes.len());
    for (run, mode) in runs.iter().zip(modes) {
        assert_eq!((run["mode"].as_str(), run["missing"].as_u64()), (Some(mode), Some(0)), "{run}");
        assert_eq!(run["p50Us"].is_number(), mode != "backlog", "{run}");
        assert_eq!(run["firstReplyMs"].is_number(), mode == "backlog", "{run}");
        assert!(run["perSecond"].as_f64().expect("a number") > 0.0);
        assert!(run["p50Us"].as_f64() <= run["p99Us"].as_f64());
    }
    assert!(report["floor"]["usPerMessage"].as_f64().expect("a number") > 0.0);
    assert_eq!(std::fs::read_dir(top.path()).expect("read").count(), 0, "the buses are removed");
}

#[test]
fn the_table_has_a_line_for_each_mode() {
    let top = TempDir::new().expect("a folder");
    let out = run_in(top.path(), &["bench", "--dir", ".", "--messages", "5", "--mode", "idle"]).ok().out;
    assert!(
        out.contains("durability full") && out.contains("\nidle ") && out.contains("bare file-system calls"),
        "{out}"
    );
    let ran = run_in(top.path(), &["bench", "--dir", "missing", "--messages", "5"]).fails_with(1);
    assert!(ran.err.contains("missing"), "{ran:?}");
}

#[test]
fn an_extension_is_measured_as_it_would_be_installed() {
    let top = TempDir::new().expect("a folder");
    let sum = concat!(env!("CARGO_MANIFEST_DIR"), "/extensions/prebuilt/ext-sum.wasm");
    let bench = |more: &[&str]| {
        let common = ["bench", "--json", "--dir", ".", "--mode", "blast", "--messages", "20", "--extension", sum];
        run_in(top.path(), &[&common, more].concat())
    };
    let adding = ["--action", "math.add", "--payload-json", r#"{"a":2,"b":3}"#];
    for more in [&["--copies", "2"][..], &["--instance", "reused", "--concurrency", "2", "--grant", "bus"]] {
        let report = bench(&[&adding, more].concat()).ok().json();
        assert_eq!((report["recipient"].as_str(), report["action"].as_str()), (Some("ext-sum"), Some("math.add")));
        assert_eq!(report["payloadBytes"], 13);
        assert_eq!(report["runs"][0]["missing"], 0, "{report}");
    }
    let refused = bench(&["--action", "math.subtract"]).fails_with(7);
    assert!(refused.err.contains("`math.subtract` is not an action of ext-sum"), "{refused:?}");
    let not_json = bench(&["--payload-json", "{"]).fails_with(2);
    assert!(not_json.err.contains("--payload-json"), "{not_json:?}");
    let none = run_in(top.path(), &["bench", "--dir", ".", "--extension", "none.wasm"]).fails_with(5);
    assert!(none.err.contains("none.wasm"), "{none:?}");
    run_in(top.path(), &["bench", "--dir", ".", "--instance", "reused"]).fails_with(2);
}
