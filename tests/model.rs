//! The commit protocol as a model that is searched exhaustively: every order of every system call of two or three services,
//! with kills, take-overs, failed syncs and power cuts at every moment (`docs/protocol-model.md`).
//!
//! First the searches with all rules: no violation. Then, for each rule, the same search with that rule switched off: it
//! finds the interleaving that the rule is there for, under the name that the protocol gives it, and prints its steps
//! (`cargo test --test model -- --nocapture NAME`). Who changes the protocol changes this first.

mod model {
    pub mod commit;
    pub mod faults;
    pub mod line;
    pub mod memory;
    pub mod properties;
    pub mod recovery;
    pub mod rules;
    pub mod scenario;
    pub mod search;
    pub mod service;
    pub mod state;
}

use model::rules::Rule;
use model::scenario::{Arrival, Ids, InboxNames, Line, PowerCut, Reader, Scenario, Staging};
use model::search::{holds, needs};
use model::state::Budget;

const ONE_CONTENT: &str = "one content per id was ever visible";
const PUBLISHED_ONCE: &str = "no reply is published twice without a power cut";
const DECIDED_FIRST: &str = "only decided records are published";
const NOT_OVERWRITTEN: &str = "no message and no reply is overwritten";
const ONLY_STARTED_COUNT: &str = "only started attempts are counted";
const IN_ORDER: &str = "handlers start in the order of the drop";
const ANSWERED: &str = "at rest every message is archived and its id answered";
const ONE_ACTIVE: &str = "at rest one service is active and no old room holds anything";

/// No fault at all: the budget that each test adds to.
const CALM: Budget =
    Budget { kills: 0, take_overs: 0, failed_syncs: 0, power_cuts: 0, checkpoints: 0, stops: 0, rewrites: 0 };

fn services_and_messages(services: usize, messages: usize, budget: Budget) -> Scenario {
    Scenario { budget, ..Scenario::new(services, messages) }
}

/// Two services, one message.
fn one_message(budget: Budget) -> Scenario {
    services_and_messages(2, 1, budget)
}

/// Two services, two messages.
fn two_messages(budget: Budget) -> Scenario {
    services_and_messages(2, 2, budget)
}

/// Two services, a message, and later its duplicate.
fn and_its_duplicate(budget: Budget) -> Scenario {
    Scenario { ids: Ids::Same, arrival: Arrival::SecondLater, ..two_messages(budget) }
}

// With all rules.

#[test]
fn holds_with_a_kill_a_take_over_and_a_failed_sync() {
    let budget = Budget { kills: 1, take_overs: 1, failed_syncs: 1, ..CALM };
    holds(Scenario { line: Line::Pipelined, ..two_messages(budget) }, 2_300_000);
}

#[test]
fn holds_with_two_kills() {
    holds(two_messages(Budget { kills: 2, ..CALM }), 150_000);
}

#[test]
fn holds_with_three_services() {
    holds(services_and_messages(3, 1, Budget { kills: 1, take_overs: 1, ..CALM }), 900_000);
}

#[test]
fn holds_with_a_power_cut_a_kill_and_a_checkpoint() {
    holds(one_message(Budget { power_cuts: 1, kills: 1, checkpoints: 1, ..CALM }), 480_000);
}

#[test]
fn holds_with_a_power_cut_a_take_over_and_a_checkpoint() {
    holds(one_message(Budget { power_cuts: 1, take_overs: 1, checkpoints: 1, ..CALM }), 220_000);
}

#[test]
fn holds_with_a_power_cut_a_kill_and_a_reader_who_takes_replies() {
    let budget = Budget { power_cuts: 1, kills: 1, ..CALM };
    holds(Scenario { reader: Reader::Takes, ..one_message(budget) }, 700_000);
}

#[test]
fn holds_for_a_duplicate_with_a_kill_a_take_over_and_a_checkpoint() {
    holds(and_its_duplicate(Budget { kills: 1, take_overs: 1, checkpoints: 1, ..CALM }), 220_000);
}

#[test]
fn holds_for_a_duplicate_with_a_power_cut_and_a_checkpoint() {
    holds(and_its_duplicate(Budget { power_cuts: 1, checkpoints: 1, ..CALM }), 35_000);
}

#[test]
fn holds_with_a_file_made_ahead() {
    let made_ahead = |scenario| Scenario { staging: Staging::MadeAhead, ..scenario };
    holds(made_ahead(one_message(Budget { kills: 1, take_overs: 1, failed_syncs: 1, ..CALM })), 370_000);
    holds(made_ahead(one_message(Budget { power_cuts: 1, take_overs: 1, ..CALM })), 440_000);
    holds(made_ahead(two_messages(Budget { take_overs: 1, stops: 1, ..CALM })), 39_000);
}

/// A larger search, asked for in words: `POSTROOM_MODEL="services=2 messages=2 kills=1 power_cuts=1"`, with `pipelined`,
/// `same-ids`, `same-names`, `made-ahead`, `takes` and `without-RULE` for the rest. Without the variable a small one.
#[test]
fn holds_for_what_is_asked_for() {
    let asked =
        std::env::var("POSTROOM_MODEL").unwrap_or_else(|_| "services=2 messages=1 kills=1 failed_syncs=1".into());
    holds(asked.parse().unwrap(), 1_000);
}

// Each rule switched off, by the name of the interleaving that comes back.

#[test]
fn two_kills_lose_reply() {
    needs(&[Rule::AllLogsFirst], one_message(Budget { kills: 2, ..CALM }), 30_000, ANSWERED);
}

#[test]
fn failed_sync_then_kill() {
    let scenario = one_message(Budget { failed_syncs: 1, kills: 1, ..CALM });
    needs(&[Rule::NewLogBeforeDeletingStaged], scenario, 3_000, ANSWERED);
}

#[test]
fn failed_sync_forgets_earlier() {
    let budget = Budget { failed_syncs: 1, kills: 1, ..CALM };
    let scenario = Scenario { line: Line::Pipelined, ..two_messages(budget) };
    needs(&[Rule::NewLogKeepsDecided], scenario, 60_000, ONE_CONTENT);
}

/// The same without a pipeline: the power cut brings the finished message back.
#[test]
fn failed_sync_forgets_earlier_and_the_power_goes() {
    let scenario = services_and_messages(1, 2, Budget { failed_syncs: 1, power_cuts: 1, ..CALM });
    needs(&[Rule::NewLogKeepsDecided], scenario, 15_000, ANSWERED);
}

#[test]
fn zombie_finds_its_number_again() {
    let scenario = services_and_messages(3, 1, Budget { take_overs: 1, ..CALM });
    needs(&[Rule::PathNamesUuid], scenario, 8_000, ANSWERED);
}

#[test]
fn late_starter_takes_a_low_number() {
    needs(&[Rule::LookAgain], one_message(Budget { kills: 2, ..CALM }), 30_000, ANSWERED);
}

/// Two services are active, and each answers one of two messages with the same id.
#[test]
fn late_starter_answers_a_duplicate() {
    needs(&[Rule::LookAgain], and_its_duplicate(Budget { kills: 1, ..CALM }), 5_000, ONE_CONTENT);
}

#[test]
fn third_one_takes_the_dead_room_first() {
    let scenario = and_its_duplicate(Budget { kills: 1, take_overs: 1, ..CALM });
    needs(&[Rule::HighestTermFirst], scenario, 120_000, ONE_CONTENT);
}

#[test]
fn copied_record_forgets_its_boot() {
    let scenario = one_message(Budget { power_cuts: 1, kills: 1, ..CALM });
    needs(&[Rule::CopyKeepsBoot], scenario, 400_000, ANSWERED);
}

#[test]
fn same_mount_id_after_remount() {
    let scenario = one_message(Budget { power_cuts: 1, ..CALM });
    let scenario = Scenario { power_cut: PowerCut::Remount, ..scenario };
    needs(&[Rule::UniqueMountId], scenario, 5_000, ANSWERED);
}

/// Two rules answer this one; either is enough in every search that was made.
#[test]
fn prepared_room_survives_its_rename() {
    let scenario = one_message(Budget { power_cuts: 1, ..CALM });
    needs(&[Rule::SyncTermBeforeClaim, Rule::TakePreparedRooms], scenario, 5_000, ONE_CONTENT);
    for either in [Rule::SyncTermBeforeClaim, Rule::TakePreparedRooms] {
        holds(Scenario { rules: scenario.rules.without(either), ..scenario }, 5_000);
    }
}

#[test]
fn checkpoint_too_early_publish_not_synced() {
    needs(&[Rule::SyncBeforeReuse], one_message(Budget { power_cuts: 1, checkpoints: 1, ..CALM }), 6_000, ONE_CONTENT);
}

#[test]
fn checkpoint_too_early_message_not_finished() {
    needs(&[Rule::ReuseAfterFinish], one_message(Budget { power_cuts: 1, checkpoints: 1, ..CALM }), 6_000, ONE_CONTENT);
}

#[test]
fn checkpoint_too_early_id_not_yet_noted() {
    needs(&[Rule::ReuseAfterIds], and_its_duplicate(Budget { kills: 1, checkpoints: 1, ..CALM }), 8_000, ONE_CONTENT);
}

#[test]
fn duplicate_after_restart() {
    needs(&[Rule::IdsBeforeClaim], and_its_duplicate(Budget { kills: 1, checkpoints: 1, ..CALM }), 8_000, ONE_CONTENT);
}

#[test]
fn put_back_overwrites() {
    let scenario = services_and_messages(1, 2, Budget { rewrites: 1, ..CALM });
    let scenario = Scenario { arrival: Arrival::SecondUnderTheSameName, ..scenario };
    needs(&[Rule::PutBackWithoutReplacing], scenario, 100, NOT_OVERWRITTEN);
}

/// Where the boot stands in the line only, the line has to go last; where each record names its boot, the order of the two
/// is free.
#[test]
fn line_removed_before_log() {
    let scenario = Scenario { reader: Reader::Takes, ..one_message(Budget { stops: 1, kills: 1, ..CALM }) };
    needs(&[Rule::LogRemovedBeforeLine, Rule::BootInRecord], scenario, 5_000, PUBLISHED_ONCE);
    for either in [Rule::LogRemovedBeforeLine, Rule::BootInRecord] {
        holds(Scenario { rules: scenario.rules.without(either), ..scenario }, 5_000);
    }
}

#[test]
fn name_chosen_at_publish() {
    let scenario = services_and_messages(1, 2, Budget { power_cuts: 1, ..CALM });
    let scenario = Scenario { inbox_names: InboxNames::Same, ..scenario };
    needs(&[Rule::NameInRecord], scenario, 1_000, NOT_OVERWRITTEN);
}

#[test]
fn claim_into_a_moved_room() {
    let scenario = one_message(Budget { take_overs: 1, ..CALM });
    needs(&[Rule::PathFromRoot], scenario, 600, ONE_CONTENT);
    needs(&[Rule::PathFromRoot, Rule::ListAgain], scenario, 600, NOT_OVERWRITTEN);
}

#[test]
fn old_lock_comes_free() {
    let scenario = and_its_duplicate(Budget { kills: 1, take_overs: 1, ..CALM });
    needs(&[Rule::HighestTermIsActive], scenario, 120_000, ONE_CONTENT);
}

// Rules that the text states, or leaves open, without naming what breaks them.

/// A kept its log open and appends while B deletes it; B handles the message again; the power cut undoes the deletion.
#[test]
fn deleted_log_comes_back() {
    let scenario = one_message(Budget { power_cuts: 1, take_overs: 1, ..CALM });
    needs(&[Rule::SyncAfterDeletingLogs], scenario, 180_000, ONE_CONTENT);
}

/// The message of a failed batch is answered again from the new log; the power cut brings the old log back.
#[test]
fn replaced_log_comes_back() {
    let scenario = one_message(Budget { power_cuts: 1, failed_syncs: 1, ..CALM });
    needs(&[Rule::SyncAfterNewLog], scenario, 18_000, ONE_CONTENT);
}

#[test]
fn published_before_the_sync() {
    needs(&[Rule::SyncBeforePublish], one_message(CALM), 50, DECIDED_FIRST);
}

#[test]
fn record_before_its_file() {
    for staging in [Staging::ByPath, Staging::MadeAhead] {
        let scenario = Scenario { staging, ..one_message(Budget { kills: 1, ..CALM }) };
        needs(&[Rule::StagedBeforeRecord], scenario, 1_000, ANSWERED);
    }
}

#[test]
fn bystander_is_counted() {
    needs(&[Rule::CountOnlyStarted], one_message(Budget { kills: 1, ..CALM }), 1_000, ONLY_STARTED_COUNT);
}

#[test]
fn later_message_overtakes() {
    needs(&[Rule::RecoveredBeforeNew], two_messages(Budget { kills: 1, ..CALM }), 3_000, IN_ORDER);
}

/// The late starter again, by what it leaves when nothing more happens.
#[test]
fn two_active_at_rest() {
    needs(&[Rule::LookAgain], services_and_messages(3, 1, Budget { take_overs: 1, ..CALM }), 8_000, ONE_ACTIVE);
}
