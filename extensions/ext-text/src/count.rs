//! How long texts are.

use std::ops::AddAssign;

use serde::Serialize;
use serde_json::{Map, Value};

#[derive(Clone, Copy, Default, Serialize)]
pub struct Counts {
    pub characters: u64,
    pub words: u64,
    pub lines: u64,
    pub bytes: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.characters += other.characters;
        self.words += other.words;
        self.lines += other.lines;
        self.bytes += other.bytes;
    }
}

pub fn of(text: &str) -> Counts {
    Counts {
        characters: text.chars().count() as u64,
        words: text.split_whitespace().count() as u64,
        lines: text.lines().count() as u64,
        bytes: text.len() as u64,
    }
}

/// The counts of every string in a value: all together, and each under the JSON Pointer that leads to it.
#[derive(Default, Serialize)]
pub struct Counted {
    pub total: Counts,
    pub at: Map<String, Value>,
}

impl Counted {
    pub fn of(value: &Value) -> Counted {
        let mut counted = Counted::default();
        counted.visit(value, &mut String::new());
        counted
    }

    fn visit(&mut self, value: &Value, pointer: &mut String) {
        match value {
            Value::String(text) => {
                let counts = of(text);
                self.total += counts;
                let counts = serde_json::to_value(counts).unwrap_or_default();
                self.at.insert(pointer.clone(), counts);
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.below(&index.to_string(), item, pointer);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    self.below(&name.replace('~', "~0").replace('/', "~1"), member, pointer);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn below(&mut self, token: &str, value: &Value, pointer: &mut String) {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(token);
        self.visit(value, pointer);
        pointer.truncate(length);
    }
}
