//! What a running attempt of an extension may ask: control commands, which the service answers between two messages, and what is stored.
//!
//! Invariant: nothing here changes anything. What a control command would change is kept until the attempt is committed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::stored::StateStore;
use super::wake::{Wake, Waker};
use crate::control::Change;
use crate::extension::{StateKey, Stored, Surroundings};
use crate::message::{Code, Failure, Handled, Retry};

/// A control command of a running attempt, for the thread that knows who is on the bus.
#[derive(Debug)]
pub struct Ask {
    pub extension: String,
    pub action: String,
    pub parameters: String,
    /// What earlier commands of this attempt would change: as if it had happened.
    pub changes: Vec<Change>,
    pub answer: oneshot::Sender<(Handled, Option<Change>)>,
}

/// What one attempt has at hand.
pub struct AtHand {
    store: Arc<StateStore>,
    wake: Waker,
    changes: Mutex<Vec<Change>>,
}

impl AtHand {
    pub fn new(store: Arc<StateStore>, wake: Waker) -> AtHand {
        AtHand { store, wake, changes: Mutex::default() }
    }

    fn changes(&self) -> MutexGuard<'_, Vec<Change>> {
        // A panic while it was held cannot leave it half changed: each change is one call.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the control commands of the attempt would change, in their order.
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.changes())
    }
}

impl Surroundings for AtHand {
    fn control<'a>(
        &'a self,
        extension: &'a str,
        action: &'a str,
        parameters: &'a str,
    ) -> Pin<Box<dyn Future<Output = Handled> + Send + 'a>> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            extension: extension.to_owned(),
            action: action.to_owned(),
            parameters: parameters.to_owned(),
            changes: self.changes().clone(),
            answer,
        };
        self.wake.wake(Wake::Ask(Box::new(ask)));
        Box::pin(async move {
            let Ok((handled, change)) = answered.await else {
                let message = "the service is no longer active on this bus".to_owned();
                let failure = Failure { code: Code::Internal, message, details: None, retry: Retry::Later };
                return Handled::Failed(failure);
            };
            self.changes().extend(change);
            handled
        })
    }

    fn mark(&self) -> usize {
        self.changes().len()
    }

    fn forget_since(&self, mark: usize) {
        self.changes().truncate(mark);
    }

    fn stored(&self, extension: &str, key: &str) -> Result<Stored, String> {
        let key = StateKey { extension: extension.to_owned(), key: key.to_owned() };
        self.store.get(&key).map_err(|error| error.to_string())
    }

    fn stored_keys(&self, extension: &str, prefix: &str, most: usize) -> Result<Vec<String>, String> {
        self.store.keys(extension, prefix, most).map_err(|error| error.to_string())
    }
}
