//! `mcp.core.ping`: is anybody there?

use serde_json::json;

use super::{Answer, Call, reply};
use crate::message::Failure;

pub(super) fn answer(call: &Call) -> Result<Answer, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    Ok(reply(&json!({ "now": call.bus.now_ms, "uptimeMs": call.bus.uptime_ms, "version": version })))
}
