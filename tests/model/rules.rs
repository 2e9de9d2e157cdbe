//! The rules of the protocol as switches, so that a search can be run with one of them off.
//!
//! Each rule names the sentence of the protocol that it stands for and the interleaving that breaks the protocol without
//! it. Deliberately absent: what a rule does. That is in `service.rs`, `line.rs` and `recovery.rs`, where `Rule::X` is
//! asked for at exactly the system call that it changes.

use std::fmt;

/// One rule of the protocol that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// After taking a term, look again: a higher one means that ours came too late (*late-starter-takes-a-low-number*).
    LookAgain,
    /// A path into a room names the term and the room's own uuid (*zombie-finds-its-number-again*).
    PathNamesUuid,
    /// A path into a room is spelled from the bus root, never from a held folder (*claim-into-a-moved-room*).
    PathFromRoot,
    /// Recovery of a room ends when rmdir succeeds; not empty: list again (*claim-into-a-moved-room*, second half).
    ListAgain,
    /// The winner takes the other rooms highest term first (*third-one-takes-the-dead-room-first*).
    HighestTermFirst,
    /// The highest term is active; the lock of a lower room means nothing (*old-lock-comes-free*).
    HighestTermIsActive,
    /// The logs of all old rooms are read before any of the rooms is acted on (*two-kills-lose-reply*).
    AllLogsFirst,
    /// What was undecided in an old room is handled before anything new is claimed (*later-message-overtakes*).
    RecoveredBeforeNew,
    /// Only an attempt whose handling had started counts (*bystander-is-counted*).
    CountOnlyStarted,
    /// A record is decided when the sync returned, not when it is written (*published-before-the-sync*).
    SyncBeforePublish,
    /// What a record says is staged was written before the record was (*record-before-its-file*).
    StagedBeforeRecord,
    /// After a failed sync a new log is in place before a staged file is deleted (*failed-sync-then-kill*).
    NewLogBeforeDeletingStaged,
    /// The new log starts with every decided record (*failed-sync-forgets-earlier*).
    NewLogKeepsDecided,
    /// The folder is synced after the new log was renamed over the old one (*replaced-log-comes-back*).
    SyncAfterNewLog,
    /// A copied record keeps the boot in which it was first decided (*copied-record-forgets-its-boot*).
    CopyKeepsBoot,
    /// Two mounts are told apart also where the system uses a mount number again (*same-mount-id-after-remount*).
    UniqueMountId,
    /// `processing/` is synced before the first claim (*prepared-room-survives-its-rename*, first half).
    SyncTermBeforeClaim,
    /// Prepared rooms whose lock is free are recovered too (*prepared-room-survives-its-rename*, second half).
    TakePreparedRooms,
    /// Old logs are gone for good, synced, before an undecided message of theirs is handled (*deleted-log-comes-back*).
    SyncAfterDeletingLogs,
    /// A log is reused only after a successful `syncfs` (*checkpoint-too-early*).
    SyncBeforeReuse,
    /// That `syncfs` begins when every message of the log is finished (*checkpoint-too-early*).
    ReuseAfterFinish,
    /// That `syncfs` begins when every id of the log is noted (*checkpoint-too-early*).
    ReuseAfterIds,
    /// Noted ids are loaded before the first claim (*duplicate-after-restart*).
    IdsBeforeClaim,
    /// A claim whose file changed goes back without replacing (*put-back-overwrites*).
    PutBackWithoutReplacing,
    /// A clean stop removes the log before the line (*line-removed-before-log*).
    LogRemovedBeforeLine,
    /// A record says itself in which boot it was decided, instead of leaving that to the line beside the log.
    BootInRecord,
    /// The final name is chosen before the commit and is in the record (*name-chosen-at-publish*).
    NameInRecord,
}

impl Rule {
    pub const ALL: [Rule; 27] = [
        Rule::LookAgain,
        Rule::PathNamesUuid,
        Rule::PathFromRoot,
        Rule::ListAgain,
        Rule::HighestTermFirst,
        Rule::HighestTermIsActive,
        Rule::AllLogsFirst,
        Rule::RecoveredBeforeNew,
        Rule::CountOnlyStarted,
        Rule::SyncBeforePublish,
        Rule::StagedBeforeRecord,
        Rule::NewLogBeforeDeletingStaged,
        Rule::NewLogKeepsDecided,
        Rule::SyncAfterNewLog,
        Rule::CopyKeepsBoot,
        Rule::UniqueMountId,
        Rule::SyncTermBeforeClaim,
        Rule::TakePreparedRooms,
        Rule::SyncAfterDeletingLogs,
        Rule::SyncBeforeReuse,
        Rule::ReuseAfterFinish,
        Rule::ReuseAfterIds,
        Rule::IdsBeforeClaim,
        Rule::PutBackWithoutReplacing,
        Rule::LogRemovedBeforeLine,
        Rule::BootInRecord,
        Rule::NameInRecord,
    ];
}

/// Which rules are kept.
#[derive(Clone, Copy)]
pub struct Rules(u32);

impl Rules {
    pub const ALL: Rules = Rules(u32::MAX);

    pub fn without(self, rule: Rule) -> Rules {
        Rules(self.0 & !(1 << rule as u32))
    }

    pub fn keep(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u32) != 0
    }
}

/// The rules that are switched off.
impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let off = Rule::ALL.iter().filter(|rule| !self.keep(**rule));
        f.write_str("all but ")?;
        f.debug_list().entries(off).finish()
    }
}
