//! What a message is. Pure: no files, no clock, no handlers.

mod code;
mod outcome;

pub use code::Code;
pub use outcome::{Failure, Handled, JsonText, Payload, Retry};
