//! What extensions keep, where it cannot be kept.

use crate::calling::guest::{Guest, STATE, UNLESS_REFUSED};
use crate::session::{Session, echo, message};

/// Stores the payload and answers with it.
fn storing() -> Vec<u8> {
    let mut guest = Guest::new().importing(&STATE);
    let key = guest.text("k");
    let payload = "(i32.load offset=32 (local.get 0)) (i32.load offset=36 (local.get 0))";
    let body = format!("(call $state.set {key} {payload} (i32.const 512)) {UNLESS_REFUSED} (call $ok {payload})");
    guest.handling(&body).component()
}

/// With network access each run could do something that is seen.
#[test]
fn a_handler_does_not_run_on_and_on_where_its_values_cannot_be_read() {
    let bus = Session::with("[extension.keeper]\ngrants = [\"state\"]\n[retry]\nattempts = 3\n");
    std::fs::create_dir_all(bus.beside("extensions")).unwrap();
    std::fs::write(bus.beside("extensions/keeper.wasm"), storing()).unwrap();
    bus.write(".postroom/state/keeper", "");
    let serving = bus.serve();
    bus.drop("1.json", message("m-1", "alice", "keeper", "do", "1")).drop("2.json", echo("m-2", "bob", "2"));
    bus.until("the other's answer", |bus| bus.exists("inbox/bob/m-2.reply.json"));
    bus.until("given up", |bus| bus.whys().len() == 1);
    serving.until_it_says("working again");
    let said = serving.stop();
    assert_eq!(bus.why()["code"], "internal");
    let steps = bus.steps(&["called", "deferred", "dead"]);
    let of_it: Vec<&str> = steps.iter().filter_map(|step| step.strip_prefix("m-1 ")).collect();
    assert_eq!(of_it, ["called", "deferred", "deferred", "dead"], "{said}");
    assert_eq!((said.matches("trying again").count(), said.matches("working again").count()), (1, 1), "{said}");
    assert!(said.contains(".postroom/state/keeper/"), "{said}");
}
