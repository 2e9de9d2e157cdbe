//! The reasons for which a message ends in `dead-letter/`, as they are written in `.why.json` and in error replies.

use std::fmt;

/// One reason, spelled as in the bus format, section 8. The spelling is part of the format and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    MalformedJson,
    InvalidMessage,
    TooLarge,
    NotARegularFile,
    IdConflict,
    Unsigned,
    BadSignature,
    StaleTimestamp,
    UnknownRecipient,
    NotPermitted,
    Denied,
    Expired,
    HandlerFailed,
    Timeout,
    ResourceLimit,
    Loop,
    RateLimited,
    Internal,
}

impl Code {
    /// Every code, in the order of the bus format.
    pub const ALL: [Code; 18] = [
        Code::MalformedJson,
        Code::InvalidMessage,
        Code::TooLarge,
        Code::NotARegularFile,
        Code::IdConflict,
        Code::Unsigned,
        Code::BadSignature,
        Code::StaleTimestamp,
        Code::UnknownRecipient,
        Code::NotPermitted,
        Code::Denied,
        Code::Expired,
        Code::HandlerFailed,
        Code::Timeout,
        Code::ResourceLimit,
        Code::Loop,
        Code::RateLimited,
        Code::Internal,
    ];

    /// The spelling in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::MalformedJson => "malformed-json",
            Code::InvalidMessage => "invalid-message",
            Code::TooLarge => "too-large",
            Code::NotARegularFile => "not-a-regular-file",
            Code::IdConflict => "id-conflict",
            Code::Unsigned => "unsigned",
            Code::BadSignature => "bad-signature",
            Code::StaleTimestamp => "stale-timestamp",
            Code::UnknownRecipient => "unknown-recipient",
            Code::NotPermitted => "not-permitted",
            Code::Denied => "denied",
            Code::Expired => "expired",
            Code::HandlerFailed => "handler-failed",
            Code::Timeout => "timeout",
            Code::ResourceLimit => "resource-limit",
            Code::Loop => "loop",
            Code::RateLimited => "rate-limited",
            Code::Internal => "internal",
        }
    }

    /// What to do about it, where nothing better is known.
    pub fn usual_hint(self) -> &'static str {
        match self {
            Code::MalformedJson => {
                "write the whole message as one JSON object, in UTF-8, and check it with any JSON tool"
            }
            Code::InvalidMessage => "see the table of fields in the bus's README.md, or run `postroom schema`",
            Code::TooLarge => "put the data into a file of its own and send its path",
            Code::NotARegularFile => "write a new file and rename it into the folder",
            Code::IdConflict => "give every message an id of its own, such as a UUID",
            Code::Unsigned | Code::BadSignature => "sign the message with a key that this bus knows",
            Code::StaleTimestamp => "send it again with the time of now, and see that the clocks agree",
            Code::UnknownRecipient => "`postroom agents` lists who is known",
            Code::NotPermitted => "the bus's README.md says who may send, and who may answer",
            Code::Denied => "ask the user to permit it",
            Code::Expired => "send it again with a later expiresAt",
            Code::HandlerFailed => {
                "`postroom trace` shows what the handler said; `postroom dead-letter retry` tries again"
            }
            Code::Timeout => "give the extension more time in its settings, or send it less to do",
            Code::ResourceLimit => "raise the extension's limit in its settings, or send it less to do",
            Code::Loop => "let one of the two programs stop answering",
            Code::RateLimited => "wait until some are handled, or raise the limit in postroom.toml",
            Code::Internal => "`postroom doctor` may say more; `postroom dead-letter retry` tries again",
        }
    }

    /// The code with this spelling, if there is one.
    pub fn named(text: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
