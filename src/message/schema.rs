//! The JSON Schema (draft 2020-12) of a message, as published beside the bus format. It says what a schema can say; the code
//! is stricter where a schema cannot look (spelling of numbers, duplicate keys, depth, signed messages without an id are in).

/// `ai-communication/schema/message.schema.json`.
pub const SCHEMA: &str = include_str!("../../ai-communication/schema/message.schema.json");

#[cfg(test)]
mod tests;
