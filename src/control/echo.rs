//! `mcp.core.echo`: the payload as it came, to the byte.

use super::{Answer, Call};
use crate::message::{Failure, Handled, Payload};

pub(super) fn answer(_: &Call) -> Result<Answer, Failure> {
    Ok(Answer { handled: Handled::Reply(Payload::OfMessage), change: None })
}
