//! Recovery where boot or mount are others than when a record was decided: each test lays down by hand what a power cut left (a
//! room of an earlier boot with its log, and the files as they came back), runs the real service over it, and looks at the files.
//!
//! Nothing here is killed or timed; which states a kill can leave is for `tests/sweep`.

mod boots;
mod kept;
mod old_rooms;
mod put_off;
mod registrations;
mod replies;
mod set_aside;
mod splits;
mod strangers;
