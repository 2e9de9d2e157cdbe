//! What can be wrong with arguments.

/// Each with a sentence for a person.
pub enum Problem {
    NotJson(String),
    NotAPointer(String),
    NothingThere(String),
}

impl Problem {
    pub fn not_json(error: serde_json::Error) -> Problem {
        Problem::NotJson(format!("this is not JSON: {error}"))
    }
}
