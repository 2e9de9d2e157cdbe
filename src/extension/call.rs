//! One call of an extension: what goes in, and what is made of whatever comes out.
//!
//! The types mirror `wit/types.wit` and `wit/handler.wit`; the engine compares them with those of the guest when it is loaded.
//!
//! Invariant: every way in which guest code can end is turned into a [`Handled`]; nothing of it is an error of the host.

use std::time::{Duration, Instant};

use wasmtime::component::{ComponentType, Lift, Lower};
use wasmtime::{Error, Trap};

use super::engine::Late;
use super::limits::Limits;
use super::link::LinkError;
use super::tenant::{CallFacts, Chain};
use crate::message::{Code, Failure, Handled, JsonText, Payload, Retry};

/// A message for an extension, and what the service knows about it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub message: Message<'a>,
    /// Unix milliseconds.
    pub accepted_at: i64,
    /// From 1.
    pub attempt: u32,
    pub hops: u32,
    pub trust: Trust,
    /// The key that signed the message.
    pub key_id: Option<&'a str>,
}

/// `message` of `wit/types.wit`. All JSON text in it has been checked.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub struct Message<'a> {
    pub id: &'a str,
    pub sender: &'a str,
    /// The name of the extension.
    pub recipient: &'a str,
    pub action: &'a str,
    /// JSON text; `null` where the message has none.
    pub payload: &'a str,
    pub error: Option<ErrorReply<'a>>,
    /// Unix milliseconds.
    pub timestamp: i64,
    #[component(name = "in-reply-to")]
    pub in_reply_to: Option<&'a str>,
    #[component(name = "correlation-id")]
    pub correlation_id: Option<&'a str>,
    /// Unix milliseconds.
    #[component(name = "expires-at")]
    pub expires_at: Option<i64>,
    /// Name and JSON text of every other field.
    pub others: &'a [(&'a str, &'a str)],
}

/// `error-reply` of `wit/types.wit`.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub struct ErrorReply<'a> {
    pub code: &'a str,
    pub message: &'a str,
    /// JSON text.
    pub details: Option<&'a str>,
}

/// `trust` of `wit/types.wit`: may the sender's name be believed?
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Trust {
    #[component(name = "signed")]
    Signed,
    #[component(name = "unsigned")]
    Unsigned,
}

/// `delivery` of `wit/types.wit`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Delivery<'a> {
    #[component(name = "accepted-at")]
    accepted_at: i64,
    attempt: u32,
    hops: u32,
    trust: Trust,
    #[component(name = "key-id")]
    key_id: Option<&'a str>,
    #[component(name = "deadline-ms")]
    deadline_ms: u32,
}

/// `failure` of `wit/types.wit`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct GuestFailure {
    code: String,
    message: String,
    details: Option<String>,
    retry: GuestRetry,
}

/// `retry` of `wit/types.wit`.
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "its values come out of the guest's memory, where the compiler does not look")]
pub(super) enum GuestRetry {
    #[component(name = "later")]
    Later,
    #[component(name = "final")]
    Final,
}

/// The parameters of `handle`.
pub(super) type Parameters<'a> = (Message<'a>, Delivery<'a>);
/// What `handle` returns.
pub(super) type Answer = (Result<String, GuestFailure>,);

impl<'a> Call<'a> {
    /// What host functions may know of it.
    pub(super) fn facts(&self, deadline: Instant) -> CallFacts {
        CallFacts { hops: self.hops, accepted_at: self.accepted_at, attempt: self.attempt, deadline }
    }

    pub(super) fn parameters(&self, left: Duration) -> Parameters<'a> {
        let delivery = Delivery {
            accepted_at: self.accepted_at,
            attempt: self.attempt,
            hops: self.hops,
            trust: self.trust,
            key_id: self.key_id,
            deadline_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
        };
        (self.message, delivery)
    }
}

/// The longest text of a failure that is passed on, in bytes.
const FAILURE_TEXT_BYTES: usize = 4096;
/// The longest code of an extension's own that is passed on, in bytes.
const FAILURE_CODE_BYTES: usize = 64;

/// What the guest answered.
pub(super) fn answered((answer,): Answer, limits: &Limits) -> Handled {
    let bytes = match &answer {
        Ok(reply) => reply.len(),
        Err(failure) => failure.bytes(),
    };
    if bytes > limits.output_bytes {
        return Handled::Failed(output_too_big(limits));
    }
    let reason = match answer.map(JsonText::parse) {
        Ok(Ok(payload)) => return Handled::Reply(Payload::Text(payload)),
        Ok(Err(not_json)) => format!("the reply is not strict JSON: {not_json}"),
        Err(failure) => return Handled::Failed(failure.passed_on()),
    };
    // The next attempt would get the same message in the same fresh instance.
    Handled::Failed(failure(Code::HandlerFailed, Retry::Final, reason))
}

/// The guest did not answer within its time.
pub(super) fn late(_: Late, chain: &Chain) -> Failure {
    failure(Code::Timeout, Retry::Later, format!("no answer within {} ms", chain.limits.deadline.as_millis()))
}

/// The extension cannot be made to run.
pub(super) fn not_ready(extension: &str, reason: &str) -> Failure {
    failure(Code::HandlerFailed, Retry::Later, format!("`{extension}` cannot run: {reason}"))
}

/// The guest ended without an answer, or somebody whom it called did.
pub(super) fn stopped(error: &Error, chain: &Chain) -> Failure {
    let mut failure = reason(error, chain);
    let (way, last) = (chain.blamed_way(), chain.last_way());
    match (way.as_slice(), last.as_slice()) {
        ([_, .., culprit], _) => {
            failure.message = format!("in `{culprit}` ({}): {}", way.join(" -> "), failure.message);
        }
        // The engine ends callers and callees of `async` functions together, and does not say whose error it was.
        ([], [_, .., callee]) => {
            failure.message = format!("while `{callee}` was called ({}): {}", last.join(" -> "), failure.message);
        }
        (_, _) => {}
    }
    failure
}

fn reason(error: &Error, chain: &Chain) -> Failure {
    if chain.memory.refused() {
        let reason = format!("it asked for more than {} bytes of memory", chain.limits.memory_bytes);
        return failure(Code::ResourceLimit, Retry::Final, reason);
    }
    if let Some(error) = error.downcast_ref::<LinkError>() {
        return link_failure(error);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => failure(Code::ResourceLimit, Retry::Final, "its call stack is exhausted".into()),
        Some(Trap::CannotBlockSyncTask) => failure(
            Code::HandlerFailed,
            Retry::Final,
            "it waited for an `async` function of another extension, which only an extension can whose `handle` is an `async func`".into(),
        ),
        Some(Trap::UnreachableCodeReached) => failure(
            Code::HandlerFailed,
            Retry::Later,
            "it stopped itself (a panic or an abort: wasm `unreachable`)".into(),
        ),
        Some(trap) => failure(Code::HandlerFailed, Retry::Later, format!("it ended in a {trap}")),
        None => match error.root_cause().to_string() {
            cause if cause.contains(OUTPUT_REFUSED) => copied_too_much(&chain.limits),
            cause => failure(Code::HandlerFailed, Retry::Later, cut(cause, FAILURE_TEXT_BYTES)),
        },
    }
}

/// A call between extensions that could not be made. The code by which `wit/` knows it is in the details.
pub(super) fn link_failure(error: &LinkError) -> Failure {
    let (code, retry) = match error {
        LinkError::ReEntry { .. } | LinkError::NoSuchResource => (Code::HandlerFailed, Retry::Final),
        LinkError::TooDeep { .. } | LinkError::TooManyCalls { .. } | LinkError::TooManyResources => {
            (Code::ResourceLimit, Retry::Final)
        }
        LinkError::NotReady { .. } => (Code::HandlerFailed, Retry::Later),
    };
    let details = error.code().and_then(|code| details(code.to_owned(), None));
    Failure { code, message: error.to_string(), details, retry }
}

/// How the engine says that a string is longer than the store's hostcall fuel. The type of that error is private to the engine; a test pins
/// the words.
const OUTPUT_REFUSED: &str = "fuel allocated for hostcalls has been exhausted";

fn output_too_big(limits: &Limits) -> Failure {
    failure(Code::ResourceLimit, Retry::Final, format!("the answer is longer than {} bytes", limits.output_bytes))
}

fn copied_too_much(limits: &Limits) -> Failure {
    let reason =
        format!("its answer, or a value that it passed on, is too long for a limit of {} bytes", limits.output_bytes);
    failure(Code::ResourceLimit, Retry::Final, reason)
}

fn failure(code: Code, retry: Retry, message: String) -> Failure {
    Failure { code, message, details: None, retry }
}

impl GuestFailure {
    fn bytes(&self) -> usize {
        self.code.len() + self.message.len() + self.details.as_ref().map_or(0, String::len)
    }

    /// The code of the bus is always `handler-failed`: the codes of the bus say what the service saw. The guest's own goes into the details.
    pub(super) fn passed_on(self) -> Failure {
        let message = match self.message.trim() {
            "" => "it gave no reason".to_owned(),
            _ => cut(self.message, FAILURE_TEXT_BYTES),
        };
        let retry = match self.retry {
            GuestRetry::Later => Retry::Later,
            GuestRetry::Final => Retry::Final,
        };
        let details = details(cut(self.code, FAILURE_CODE_BYTES), self.details);
        Failure { code: Code::HandlerFailed, message, details, retry }
    }
}

/// `{"code": …, "details": …}`, each part only if there is one. Details that are not JSON, or too deep for a place inside of this
/// object, are passed on as a string.
fn details(code: String, details: Option<String>) -> Option<JsonText> {
    let code = (!code.is_empty()).then(|| format!("\"code\":{}", quoted(&code)));
    let object = |details: Option<String>| {
        let parts: Vec<String> = code.iter().cloned().chain(details).collect();
        (!parts.is_empty()).then(|| format!("{{{}}}", parts.join(",")))
    };
    let as_json = details.as_deref().filter(|text| JsonText::parse(*text).is_ok());
    let spelled = object(as_json.map(|text| format!("\"details\":{text}")));
    if let (Some(spelled), true) = (spelled, as_json.is_some() || details.is_none())
        && let Ok(checked) = JsonText::parse(spelled)
    {
        return Some(checked);
    }
    object(details.map(|text| format!("\"details\":{}", quoted(&text)))).map(JsonText::trusted)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// At most this many bytes, cut between characters.
fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}
