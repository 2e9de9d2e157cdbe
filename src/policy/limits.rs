//! How much may wait. Over a limit a message is refused as `rate-limited`, and as `resource-limit` where the disk has no room for its
//! copies; nothing that waits already is touched.

use super::Refused;
use super::settings::Limits;
use crate::message::Code;

/// What waits now, from the point of view of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Messages of its sender that wait, and their bytes.
    pub sender_messages: u64,
    pub sender_bytes: u64,
    /// Files in the inbox it is for, if it is for one.
    pub inbox_messages: u64,
    /// Everything that waits on the bus.
    pub bus_messages: u64,
    /// Inboxes there are, if this message would need a new one.
    pub inboxes: Option<u64>,
}

/// Above this many files in an inbox it gets no more error replies: whoever does not read them does not need them.
pub const ERROR_REPLY_BOUND: u64 = 1_000;

/// May one more message of `bytes` bytes wait?
pub fn admit(limits: &Limits, load: &Load, bytes: u64) -> Result<(), Refused> {
    let over = |limit: u64, would_be: u64| limit != 0 && would_be > limit;
    let refuse = |what: &str, setting: &str, limit: u64| {
        Err(Refused::new(Code::RateLimited, format!("{what} (limit {limit})"))
            .with_hint(format!("wait until some are handled, or raise limits.{setting} in postroom.toml")))
    };
    if over(limits.per_sender_messages, load.sender_messages + 1) {
        return refuse(
            "too many messages of this sender are waiting",
            "per_sender_messages",
            limits.per_sender_messages,
        );
    }
    if over(limits.per_sender_bytes, load.sender_bytes.saturating_add(bytes)) {
        return refuse("too many bytes of this sender are waiting", "per_sender_bytes", limits.per_sender_bytes);
    }
    if over(limits.per_inbox_messages, load.inbox_messages + 1) {
        return refuse("the recipient's inbox is full", "per_inbox_messages", limits.per_inbox_messages);
    }
    if over(limits.bus_messages, load.bus_messages + 1) {
        return refuse("too many messages are waiting on this bus", "bus_messages", limits.bus_messages);
    }
    if let Some(inboxes) = load.inboxes
        && over(limits.agents, inboxes + 1)
    {
        let text = format!("there are too many agents on this bus (limit {})", limits.agents);
        // They do not go away by waiting.
        return Err(Refused::new(Code::RateLimited, text).with_hint(
            "remove the folders of those who are gone from inbox/, or raise limits.agents in postroom.toml",
        ));
    }
    Ok(())
}

/// The bytes of so many copies of a message of `bytes` bytes.
pub fn copies(bytes: u64, recipients: usize) -> u64 {
    bytes.saturating_mul(recipients as u64)
}

/// Do the copies of one message fit on the disk, of which `free` bytes are free? Waiting for room would be waiting for what its own copies
/// have taken, and hold up everybody.
pub fn room_for_copies(bytes: u64, recipients: usize, free: u64) -> Result<(), Refused> {
    let needed = copies(bytes, recipients);
    if needed <= free {
        return Ok(());
    }
    let text = format!("its {recipients} deliveries need {needed} bytes, and {free} are free on the disk");
    Err(Refused::new(Code::ResourceLimit, text).with_hint("make room, then `postroom dead-letter retry`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_the_disk_has_no_room_for_are_refused() {
        assert_eq!(room_for_copies(4, 3, 12), Ok(()));
        let refused = room_for_copies(4, 3, 11).expect_err("one byte more than there are");
        assert_eq!(
            (refused.code, refused.message.contains("need 12 bytes, and 11 are free")),
            (Code::ResourceLimit, true)
        );
        assert!(room_for_copies(u64::MAX, 64, u64::MAX - 1).is_err());
    }

    #[test]
    fn each_limit_refuses_one_more_and_zero_refuses_nothing() {
        let limits = Limits {
            per_sender_messages: 2,
            per_sender_bytes: 10,
            per_inbox_messages: 3,
            bus_messages: 5,
            agents: 1,
            ..Limits::default()
        };
        let fine = Load { sender_messages: 1, sender_bytes: 4, inbox_messages: 2, bus_messages: 4, inboxes: Some(0) };
        assert_eq!(admit(&limits, &fine, 6), Ok(()));
        assert!(admit(&limits, &fine, 7).is_err());
        for over in [
            Load { sender_messages: 2, ..fine },
            Load { inbox_messages: 3, ..fine },
            Load { bus_messages: 5, ..fine },
            Load { inboxes: Some(1), ..fine },
        ] {
            assert_eq!(admit(&limits, &over, 0).map_err(|refused| refused.code), Err(Code::RateLimited), "{over:?}");
        }
        let none = Limits {
            per_sender_messages: 0,
            per_sender_bytes: 0,
            per_inbox_messages: 0,
            bus_messages: 0,
            agents: 0,
            ..Limits::default()
        };
        let full = Load {
            sender_messages: u64::MAX - 1,
            sender_bytes: u64::MAX,
            inbox_messages: 9,
            bus_messages: 9,
            inboxes: Some(9),
        };
        assert_eq!(admit(&none, &full, u64::MAX), Ok(()));
    }
}
