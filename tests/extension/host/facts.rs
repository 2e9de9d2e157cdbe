//! `log`, `config`, `clock` and `random`, as a component sees them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use postroom::extension::Level;
use postroom::message::Code;

use super::guest::{CLOCK, CONFIG, Guest, LOG, RANDOM};
use super::{all_loaded, attempt, own_code, quiet, reply};
use crate::failed;

#[tokio::test]
async fn lines_are_kept_also_of_an_attempt_that_fails() {
    let mut guest = Guest::new().importing(&LOG);
    let [first, second, code] = ["one", "two\u{1b}[31m", "no"].map(|text| guest.text(text));
    let body =
        format!("(call $log.write (i32.const 0) {first}) (call $log.write (i32.const 3) {second}) (call $err {code})");
    let host = all_loaded("", &[("it", guest.handling(&body).component())]).await;
    let attempted = attempt(&host, "it", "1", &Arc::default()).await;
    assert_eq!(own_code(attempted.handled), "no");
    let lines: Vec<_> =
        attempted.log.iter().map(|line| (line.extension.as_str(), line.level, line.text.as_str())).collect();
    assert_eq!(lines, [("it", Level::Debug, "one"), ("it", Level::Error, "two\u{1b}[31m")]);
}

#[tokio::test]
async fn a_loop_that_logs_keeps_64_lines_and_one_that_says_so() {
    let mut guest = Guest::new().importing(&LOG);
    let (line, null) = (guest.text(&"x".repeat(2000)), guest.text("null"));
    let body = format!(
        "(local $n i32)
         (loop $again
            (call $log.write (i32.const 1) {line})
            (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
         (call $ok {null})"
    );
    let host = all_loaded("", &[("it", guest.handling(&body).component())]).await;
    let log = attempt(&host, "it", "1", &Arc::default()).await.log;
    assert_eq!(log.len(), 65);
    assert!(log[..64].iter().all(|line| line.text.len() <= 1024 && line.text.ends_with("(2000 bytes in all)")));
    assert_eq!(log[64].text, "more than 64 lines; what follows is not kept");
}

/// Replies with the value of `key`, or with everything.
fn configured(key: Option<&str>) -> Vec<u8> {
    let mut guest = Guest::new().importing(&CONFIG);
    let null = guest.text("null");
    let body = match key {
        Some(key) => {
            let key = guest.text(key);
            format!(
                "(call $config.get {key} (i32.const 512))
                 (if (result i32) (i32.load8_u (i32.const 512))
                    (then (call $ok (i32.load (i32.const 516)) (i32.load (i32.const 520))))
                    (else (call $ok {null})))"
            )
        }
        None => {
            "(call $config.all (i32.const 512)) (call $ok (i32.load (i32.const 512)) (i32.load (i32.const 516)))".into()
        }
    };
    guest.handling(&body).component()
}

#[tokio::test]
async fn an_extension_reads_its_own_configuration() {
    let settings = r#"
        [extension.it.config]
        greeting = "hi"
        deep = { list = [1, 2.5, true] }
        [extension.other.config]
        greeting = "not yours"
    "#;
    let it = |key| async move { reply(&all_loaded(settings, &[("it", configured(key))]).await, "it", "1").await };
    assert_eq!(it(Some("greeting")).await, "\"hi\"");
    assert_eq!(it(Some("deep")).await, r#"{"list":[1,2.5,true]}"#);
    assert_eq!(it(Some("missing")).await, "null");
    assert_eq!(it(None).await, r#"{"deep":{"list":[1,2.5,true]},"greeting":"hi"}"#);
}

#[tokio::test]
async fn the_clock_says_the_time_and_goes_up() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let mut guest = Guest::new().importing(&CLOCK);
    let null = guest.text("null");
    let body = format!(
        "(local $before i64)
         (if (i64.lt_s (call $clock.now-ms) (i64.const {now})) (then (unreachable)))
         (if (i64.gt_s (call $clock.now-ms) (i64.const {})) (then (unreachable)))
         (local.set $before (call $clock.monotonic-ns))
         (call $clock.sleep-ms (i32.const 2))
         (if (i64.lt_u (i64.sub (call $clock.monotonic-ns) (local.get $before)) (i64.const 2000000)) (then (unreachable)))
         (call $ok {null})",
        now + 3_600_000
    );
    let host = all_loaded("", &[("it", guest.handling(&body).component())]).await;
    assert_eq!(reply(&host, "it", "1").await, "null");
}

/// Sleeps for 49 days.
fn sleeping() -> Vec<u8> {
    let mut guest = Guest::new().importing(&CLOCK);
    let null = guest.text("null");
    guest.handling(&format!("(call $clock.sleep-ms (i32.const -1)) (call $ok {null})")).component()
}

/// This runtime has one thread.
#[tokio::test]
async fn while_one_sleeps_others_go_on() {
    let host = all_loaded("", &[("it", quiet()), ("sleeper", sleeping())]).await;
    let around = Arc::default();
    let sleeper = attempt(&host, "sleeper", "1", &around);
    let others = async {
        for _ in 0..3 {
            assert_eq!(reply(&host, "it", "1").await, "null");
        }
    };
    tokio::select! {
        biased;
        slept = sleeper => panic!("49 days are over: {slept:?}"),
        () = others => {}
    }
}

#[tokio::test]
async fn the_deadline_goes_on_while_an_extension_sleeps() {
    let host = all_loaded("extension.sleeper.deadline_ms = 50", &[("sleeper", sleeping())]).await;
    assert_eq!(failed(attempt(&host, "sleeper", "1", &Arc::default()).await.handled).code, Code::Timeout);
}

#[tokio::test]
async fn random_bytes_are_as_many_as_asked_for_and_numbers_differ() {
    let mut guest = Guest::new().importing(&RANDOM);
    let null = guest.text("null");
    let body = format!(
        "(call $random.bytes (i32.const 100000) (i32.const 512))
         (if (i32.ne (i32.load (i32.const 516)) (i32.const 65536)) (then (unreachable)))
         (if (i64.eqz (i64.or (i64.load (i32.load (i32.const 512))) (i64.load offset=8 (i32.load (i32.const 512))))) (then (unreachable)))
         (if (i64.eq (call $random.number) (call $random.number)) (then (unreachable)))
         (call $ok {null})"
    );
    let host = all_loaded("", &[("it", guest.handling(&body).component())]).await;
    assert_eq!(reply(&host, "it", "1").await, "null");
}
