//! The names of files in an inbox: of messages, and of replies.

use super::{NAME_MAX, cut};

/// So many numbers are tried one after the other before the steps grow; and how far they may.
const STEPS_OF_ONE: u32 = 8;
const MAX_STEP: u32 = 1 << 16;

/// The file name of a message delivered to an inbox: `<stem>.json`, then `<stem>~2.json` and so on.
pub fn delivery_name(stem: &str, number: u32) -> String {
    numbered(stem, number)
}

/// The number to try where that one's name is taken; `first` is the first that was tried. The steps grow with the way from there, so that among
/// very many names a free one is found soon.
pub fn next_number(first: u32, taken: u32) -> Option<u32> {
    taken.max(1).checked_add(1 + (taken.saturating_sub(first) / STEPS_OF_ONE).min(MAX_STEP))
}

/// The stem of a reply's file name: `<inReplyTo>.reply`, or `<inReplyTo>~<responder>.reply` where several were asked. If both
/// ids are so long that no file system takes the name, the responder is cut and followed by a checksum of it.
pub fn reply_stem(in_reply_to: &str, responder: Option<&str>) -> String {
    let Some(responder) = responder else { return [in_reply_to, ".reply"].concat() };
    let fixed = in_reply_to.len() + "~.reply~9999.json".len();
    if fixed + responder.len() <= NAME_MAX {
        return format!("{in_reply_to}~{responder}.reply");
    }
    let sum = crc32fast::hash(responder.as_bytes());
    let room = NAME_MAX.saturating_sub(fixed + "-00000000".len());
    format!("{in_reply_to}~{}-{sum:08x}.reply", cut(responder, room))
}

/// The file name of a reply: `<inReplyTo>.reply.json`, or with the responder where several were asked.
pub fn reply_name(in_reply_to: &str, responder: Option<&str>, number: u32) -> String {
    numbered(&reply_stem(in_reply_to, responder), number)
}

fn numbered(stem: &str, number: u32) -> String {
    match number {
        0 | 1 => [stem, ".json"].concat(),
        n => format!("{stem}~{n}.json"),
    }
}
