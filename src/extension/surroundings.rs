//! What a running attempt may ask of whoever runs it. The service implements it on real folders, tests on maps.
//!
//! Invariant: nothing that is asked here changes anything by itself; what a control command would change joins the attempt's commit.

use std::future::Future;
use std::pin::Pin;

use crate::message::{Code, Failure, Handled, Retry};

/// A stored value and how often it has been changed. A key that never had a value has version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub value: Option<Vec<u8>>,
    pub version: u64,
}

/// One object per attempt.
pub trait Surroundings: Send + Sync {
    /// Answers a control command, sent by this extension. What it would change is kept by the implementation and committed with the
    /// attempt; [`Surroundings::mark`] and [`Surroundings::forget_since`] undo it where a nested call failed.
    fn control<'a>(
        &'a self,
        extension: &'a str,
        action: &'a str,
        parameters: &'a str,
    ) -> Pin<Box<dyn Future<Output = Handled> + Send + 'a>>;

    /// How many changes by control commands are kept.
    fn mark(&self) -> usize;

    /// Forgets those after the first `mark`.
    fn forget_since(&self, mark: usize);

    /// The committed value. An error is a reason for a person: the disk could not be read.
    fn stored(&self, extension: &str, key: &str) -> Result<Stored, String>;

    /// The committed keys with this beginning, in byte order, at most `most`.
    fn stored_keys(&self, extension: &str, prefix: &str, most: usize) -> Result<Vec<String>, String>;
}

/// Nobody: for extensions without a bus. Nothing is stored, and no control command is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl Surroundings for Nowhere {
    fn control<'a>(
        &'a self,
        _extension: &'a str,
        action: &'a str,
        _parameters: &'a str,
    ) -> Pin<Box<dyn Future<Output = Handled> + Send + 'a>> {
        let message = format!("there is no service here that could answer {action:?}");
        let failure = Failure { code: Code::UnknownRecipient, message, details: None, retry: Retry::Final };
        Box::pin(std::future::ready(Handled::Failed(failure)))
    }

    fn mark(&self) -> usize {
        0
    }

    fn forget_since(&self, _mark: usize) {}

    fn stored(&self, _extension: &str, _key: &str) -> Result<Stored, String> {
        Ok(Stored::default())
    }

    fn stored_keys(&self, _extension: &str, _prefix: &str, _most: usize) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}
