//! The memory of a service, and the system calls it can make. It is lost with the process.
//!
//! Deliberately absent: what a call does (`service.rs`, `recovery.rs`, `line.rs`, `commit.rs`). Invariant: nothing here
//! that the next call does not need, so equal situations are equal states.

use super::state::{Era, LogId, Msg, RoomId, Run};

/// What a service does now; with each mode, the call that comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Also: not started yet, killed, or stopped. A process that is never chosen again is one that never starts again.
    #[default]
    Standby,
    /// The room is prepared; rename it to the term.
    TakeTerm,
    SyncTerm,
    LookAgain,
    TakeRooms,
    ReadLogs,
    SyncCopies,
    ReplaceCopies,
    UnlinkOldLogs,
    SyncUnlinks,
    ClearRooms,
    /// An old room was listed and found empty; remove it.
    RemoveRoom,
    /// The line: claim, handle, commit, publish, finish.
    Work,
    ReplaceLog,
    SyncFolder,
    UnlinkFailed,
    ReuseLog,
    Stop(StopStep),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StopStep {
    Sync,
    First,
    Second,
    Leave,
}

/// The memory of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    pub mode: Mode,
    /// The room it made, whose lock it holds, and whose path (term and uuid) it spells.
    pub room: Option<RoomId>,
    pub term: u8,
    pub start: Start,
    /// The held descriptor of the log: appending and syncing work wherever the room is by now.
    pub log: Option<LogId>,
    /// The held descriptor of the file made ahead: writing works wherever the room is by now, and whether the file still has a name.
    pub ahead: bool,
    /// Ids that are used up, one bit each.
    pub known: u8,
    pub items: Vec<Item>,
}

/// Why a service may take a term; it matters only without `Rule::HighestTermIsActive`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Start {
    #[default]
    LockIsFree,
    LeaseRanOut,
}

/// A message on its way through a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item {
    pub msg: Msg,
    pub ticket: u8,
    pub attempt: u8,
    pub phase: Phase,
    pub run: Run,
    pub name: u8,
    pub era: Era,
    pub origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    Drop,
    OldRoom,
}

/// How far a message is; the next call follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Read in the drop, in this version.
    Read {
        version: u8,
    },
    /// Claimed, but another file, or a changed one.
    Misfit,
    Claimed,
    /// The start of handling is noted; the handler has run.
    Started,
    /// Its effect is staged, or it is a duplicate and has none.
    Ready,
    /// Its record is in the log, not yet synced.
    Appended,
    Decided,
    Published,
    Finished,
}

/// A system call; where it has two outcomes that the surroundings choose, there are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Look,
    TakeTerm,
    SyncTerm,
    LookAgain,
    TakeRoom,
    ReadLogs,
    SyncCopies,
    SyncOfCopiesFails,
    ReplaceCopies,
    UnlinkOldLog(RoomId),
    SyncUnlinks,
    UnlinkStaged(RoomId, Msg),
    UnlinkAhead(RoomId),
    MoveUndecidedIntoOwnRoom(Msg),
    FindNothing(RoomId),
    RemoveRoom(RoomId),
    Read(Msg),
    Claim(Msg),
    PutBack(Msg),
    NoteStart(Msg),
    SeeDuplicate(Msg),
    MakeAhead,
    Stage(Msg),
    Append,
    Sync,
    SyncFails,
    ReplaceLog,
    SyncFolder,
    UnlinkFailed(Msg),
    Publish(Msg),
    Finish(Msg),
    NoteId(Msg),
    Syncfs,
    SyncfsFails,
    ReuseLog,
    RemoveLog,
    RemoveLine,
    LeaveRoom,
    FindRoomGone,
}
