//! Where a message is: the only room that touches the bus folders.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`layout`] | every name, spelled once |
//! | [`disk`] | the one door to the file system |
//! | [`place`], [`room`], [`term`] | who is active, and where its work lies |
//! | [`claim`] | from the drop into the room |
//! | [`record`], [`log`] | what was decided, durably |
//! | [`ahead`], [`publish`], [`folders`] | what everybody sees |
//! | [`lease`] | what a message is called while a consumer has it |
//! | [`state`] | what extensions keep |
//! | [`journal`], [`history`], [`ids`], [`retention`] | what is remembered, and for how long |
//! | [`create()`], [`open`] | making a bus, opening one |
//! | [`recover`], `remains`, `told` | what a dead service left, and what the journal tells of it |
//! | `power_cut`, [`unfinished`] | what a power cut undid; what cannot be carried out now |
//! | [`view`] | read-only views of a bus, for people |
//! | [`file_system`] | whether a file system can keep the promises |

pub mod ahead;
pub mod claim;
pub mod create;
pub mod disk;
pub mod error;
pub mod file_system;
pub mod folders;
pub mod history;
pub mod ids;
pub mod journal;
pub mod layout;
pub mod lease;
pub mod log;
pub mod place;
mod power_cut;
pub mod publish;
pub mod record;
pub mod recover;
mod remains;
pub mod retention;
pub mod room;
pub mod state;
pub mod term;
pub mod time;
mod told;
pub mod unfinished;
pub mod view;

pub use create::{Created, check, create, is_moved, open};
pub use disk::{Disk, DiskError};
pub use error::BusError;
