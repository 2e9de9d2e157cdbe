//! Routing, replies, retries and limits, for whatever facts there may be.

use std::collections::BTreeSet;

use postroom::message::{Action, AgentId, Code, Given, Message, Recipient};
use postroom::policy::limits::{Load, admit};
use postroom::policy::reply::{self, Asked};
use postroom::policy::retry::backoff_ms;
use postroom::policy::route::{Route, Standing, Who, may_send, route};
use postroom::policy::settings::{Limits, Retry};
use postroom::policy::{Settings, nearest};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

const NAMES: [&str; 8] = ["alice", "bob", "carol", "dora", "ext-sum", "ext-mul", "postroom", "x.1"];

/// A bus of a few names, each of which stands for anything.
#[derive(Clone, Debug)]
struct Bus {
    agents: BTreeSet<&'static str>,
    extensions: BTreeSet<&'static str>,
}

impl Who for Bus {
    fn is_reserved(&self, name: &AgentId) -> bool {
        name.is_postroom() || self.extensions.contains(name.as_str())
    }

    fn standing(&self, name: &AgentId) -> Standing {
        match name.as_str() {
            "postroom" => Standing::Service,
            name if self.extensions.contains(name) => Standing::Extension,
            name if self.agents.contains(name) => Standing::Agent,
            _ => Standing::Unknown,
        }
    }

    fn everybody(&self, sender: &AgentId, _: &Action) -> Vec<AgentId> {
        let others = self.agents.iter().filter(|name| **name != sender.as_str());
        others.chain(&self.extensions).map(|name| id(name)).collect()
    }

    fn names(&self) -> Vec<String> {
        self.agents.iter().chain(&self.extensions).map(|name| (*name).to_owned()).collect()
    }
}

fn id(name: &str) -> AgentId {
    AgentId::parse(name).expect("the names are valid")
}

fn bus() -> impl Strategy<Value = Bus> {
    let extensions = || btree_set(select(vec!["ext-sum", "ext-mul", "carol"]), 0..=3);
    (btree_set(select(NAMES[..5].to_vec()), 0..=5), extensions())
        .prop_map(|(agents, extensions)| Bus { agents, extensions })
}

fn message(recipient: &str, sender: &str, action: &str, in_reply_to: bool) -> Message {
    let answers = if in_reply_to { r#","inReplyTo":"q-1","payload":1"# } else { "" };
    let text = format!(
        r#"{{"id":"m-1","sender":"{sender}","recipient":{recipient},"action":"{action}","timestamp":1{answers}}}"#
    );
    Message::parse(text, Given { file_identity: (1, 1), now_ms: 1 }).expect("a valid message")
}

proptest! {
    #[test]
    fn a_message_to_one_goes_where_its_name_stands(bus in bus(), to in select(&NAMES[..]), sender in select(&NAMES[..])) {
        let routed = route(&message(&format!("\"{to}\""), sender, "do.it", false), None, &bus);
        match bus.standing(&id(to)) {
            Standing::Service => prop_assert_eq!(routed, Ok(Route::Control)),
            Standing::Extension => prop_assert_eq!(routed, Ok(Route::Extension(id(to)))),
            Standing::Agent => prop_assert_eq!(routed, Ok(Route::Inbox(id(to)))),
            Standing::Unknown => {
                let refused = routed.expect_err("nobody is there");
                prop_assert_eq!(refused.code, Code::UnknownRecipient);
                prop_assert!(refused.hint.is_some());
            }
        }
    }

    #[test]
    fn a_list_is_split_into_exactly_its_names_and_each_part_goes_where_its_name_stands(
        bus in bus(),
        to in btree_set(select(&NAMES[..]), 1..=8),
    ) {
        let list: Vec<&str> = to.iter().copied().collect();
        let message = message(&serde_json::to_string(&list).unwrap(), "alice", "do.it", false);
        let alone = |name: &&str| route(&message_to(name), None, &bus);
        if let [one] = list.as_slice() {
            prop_assert_eq!(route(&message, None, &bus), alone(one));
        } else {
            let names: Vec<AgentId> = list.iter().map(|name| id(name)).collect();
            prop_assert_eq!(route(&message, None, &bus), Ok(Route::Split(names)));
        }
        for name in &list {
            prop_assert_eq!(route(&message, Some(&id(name)), &bus), alone(name));
        }
    }

    #[test]
    fn everybody_is_whom_the_bus_names_and_discover_is_for_the_service(bus in bus(), sender in select(&NAMES[..])) {
        let all = bus.everybody(&id(sender), &Action::parse("do.it").unwrap());
        prop_assert_eq!(route(&message("\"*\"", sender, "do.it", false), None, &bus), Ok(Route::Split(all)));
        let discover = message("\"*\"", sender, "mcp.core.discover", false);
        prop_assert_eq!(route(&discover, None, &bus), Ok(Route::Control));
    }

    #[test]
    fn a_reserved_name_sends_nothing_and_every_other_may(bus in bus(), sender in select(&NAMES[..])) {
        let refused = may_send(&id(sender), &bus).err().map(|refused| refused.code);
        prop_assert_eq!(refused, bus.is_reserved(&id(sender)).then_some(Code::NotPermitted));
    }

    #[test]
    fn an_answer_counts_once_and_from_whom_was_asked(
        sender in select(&NAMES[..5]),
        asked in btree_set(select(&NAMES[..5]), 1..=4),
        action in select(vec!["do.it", "mcp.execute", "mcp.response"]),
        asked_action in select(vec!["do.it", "mcp.execute", "mcp.response"]),
        answered: bool,
        several: bool,
    ) {
        let message = message("\"alice\"", sender, action, true);
        prop_assert_eq!(reply::asker(&message), Some(&id("alice")));
        let recipients: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        let known = Asked { action: asked_action.to_owned(), recipients, answered, several };
        let standing = reply::standing(&message, Some(&known));
        let is_answer = action == asked_action || (action == "mcp.response" && asked_action == "mcp.execute");
        if !is_answer {
            prop_assert_eq!(standing, Ok(reply::Standing::Ordinary));
        } else if !asked.contains(sender) {
            prop_assert_eq!(standing.map_err(|refused| refused.code), Err(Code::NotPermitted));
        } else if answered {
            prop_assert_eq!(standing, Ok(reply::Standing::Again));
        } else {
            prop_assert_eq!(standing, Ok(reply::Standing::Answer { several }));
        }
        prop_assert_eq!(reply::standing(&message, None), Ok(reply::Standing::Ordinary));
    }

    #[test]
    fn a_wait_is_half_of_its_full_length_or_more_and_never_longer(
        first_ms: u64, max_ms: u64, attempt: u32, chance: u64,
    ) {
        let retry = Retry { attempts: 5, first_ms, max_ms };
        let factor = 2_u128.saturating_pow(attempt.saturating_sub(1).min(100));
        let full = u128::from(first_ms).saturating_mul(factor).min(u128::from(max_ms));
        let wait = u128::from(backoff_ms(&retry, attempt, chance));
        prop_assert!(wait <= full && wait >= full - full / 2, "{} is not in the upper half of {}", wait, full);
    }

    #[test]
    fn more_load_or_a_lower_limit_never_admits_what_was_refused(
        limits in vec(0_u64..20, 5), load in vec(0_u64..20, 5), less in vec(0_u64..20, 5), bytes in 0_u64..20,
    ) {
        let limits = limits_of(&limits);
        let smaller: Vec<u64> = load.iter().zip(&less).map(|(load, less)| load.saturating_sub(*less)).collect();
        let (large, small) = (admit(&limits, &load_of(&load), bytes), admit(&limits, &load_of(&smaller), bytes));
        if large.is_ok() {
            prop_assert!(small.is_ok());
        }
        if let Err(refused) = large {
            prop_assert_eq!(refused.code, Code::RateLimited);
            prop_assert!(refused.hint.unwrap().contains("limits."));
        }
        let none = limits_of(&[0; 5]);
        prop_assert!(admit(&none, &load_of(&load), bytes).is_ok());
    }

    #[test]
    fn the_nearest_names_are_known_ones_and_the_very_name_comes_first(
        name in "[a-z]{1,12}", known in vec("[a-z]{1,12}", 0..20),
    ) {
        let near = nearest(&name, known.iter().map(String::as_str));
        prop_assert!(near.len() <= 3);
        prop_assert!(near.iter().all(|near| known.iter().any(|known| known == near)));
        if known.contains(&name) {
            prop_assert_eq!(near[0], &name);
        }
    }

    #[test]
    fn settings_never_panic_and_an_unknown_key_is_never_taken(text in "\\PC{0,60}", key in "[a-z_]{1,20}") {
        // Whatever the text says, there is an answer.
        let _ = Settings::parse(&text);
        let known = ["durability", "grace_ms", "rescan_ms", "look_ms", "lease_looks", "max_message_bytes", "dedup_days"];
        let parsed = Settings::parse(&format!("[bus]\n{key} = 1"));
        prop_assert!(parsed.is_err() || known.contains(&key.as_str()));
    }
}

fn message_to(name: &str) -> Message {
    let message = message(&format!("\"{name}\""), "alice", "do.it", false);
    assert!(matches!(message.recipient(), Recipient::One(_)));
    message
}

fn limits_of(values: &[u64]) -> Limits {
    let [per_sender_messages, per_sender_bytes, per_inbox_messages, bus_messages, agents] = *values else {
        panic!("five values")
    };
    Limits { per_sender_messages, per_sender_bytes, per_inbox_messages, bus_messages, agents, ..Limits::default() }
}

fn load_of(values: &[u64]) -> Load {
    let [sender_messages, sender_bytes, inbox_messages, bus_messages, inboxes] = *values else { panic!("five values") };
    Load { sender_messages, sender_bytes, inbox_messages, bus_messages, inboxes: Some(inboxes) }
}
