//! Registrations: only what stands last in the log counts.

use std::fs;

use postroom::bus::layout;
use postroom::bus::record::{Effect, Target};

use super::old_rooms::{Bus, OldRoom, archived, claim};

/// The first registration was decided in an earlier boot, what came after it in this one, where nothing is written again: so
/// whatever the first one did would stay.
fn registered_and_then(later: Target, there: Option<&str>) {
    let bus = Bus::new();
    let register = |room: &mut OldRoom, to: Target, text: &str| {
        let record = room.record(&claim(), archived(&claim()), vec![Effect::whole(to, text.into())]);
        room.decide(&record);
    };
    let alice = Target::Agent { agent: "alice".into() };
    let mut room = bus.earlier_room();
    register(&mut room, alice, r#"{"name":"alice","version":"1.0.0"}"#);
    drop(room);
    let mut room = bus.room(2, bus.here());
    register(&mut room, later, there.unwrap_or_default());
    drop(room);
    let file = layout::agent_file("alice");
    there.into_iter().for_each(|text| bus.put(&file, text));
    bus.serve();
    assert_eq!(fs::read_to_string(bus.path(&file)).ok().as_deref(), there);
}

#[test]
fn a_registration_that_was_replaced_later_is_not_put_back() {
    registered_and_then(Target::Agent { agent: "alice".into() }, Some(r#"{"name":"alice","version":"2.0.0"}"#));
}

#[test]
fn a_registration_that_was_ended_later_is_not_put_back() {
    registered_and_then(Target::AgentGone { agent: "alice".into() }, None);
}

#[test]
fn a_registration_that_is_missing_or_an_older_one_is_put_back() {
    for left in [None, Some(r#"{"name":"alice","version":"1.0.0"}"#)] {
        let bus = Bus::new();
        let file = layout::agent_file("alice");
        let text = r#"{"name":"alice","version":"2.0.0"}"#;
        left.into_iter().for_each(|left| bus.put(&file, left));
        let mut room = bus.earlier_room();
        let effects = vec![Effect::whole(Target::Agent { agent: "alice".into() }, text.into())];
        let record = room.record(&claim(), archived(&claim()), effects);
        room.decide(&record);
        drop(room);
        bus.serve();
        assert_eq!(bus.text(&file), text);
    }
}
