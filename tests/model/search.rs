//! Running a search: complete and without a violation, or with the violation that a missing rule causes.
//!
//! Deliberately absent: time limits and state limits. A search that does not end is a test that does not pass.

use super::properties::NEEDS_A_SECOND;
use super::rules::Rule;
use super::scenario::{Scenario, Step};
use super::state::State;
use stateright::{Checker, HasDiscoveries, Model, Path};
use std::collections::BTreeSet;
use std::time::Instant;

/// Searches everything: no property may fail, and at least `floor` states must have been met, all of them worked off.
pub fn holds(scenario: Scenario, floor: usize) {
    let begun = Instant::now();
    let search = scenario.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = search.unique_state_count();
    println!("{states} states, depth {}, {:.1} s: {scenario:?}", search.max_depth(), begun.elapsed().as_secs_f32());
    let found = search.discoveries();
    for property in scenario.properties().iter().filter(|property| property.expectation.discovery_is_failure()) {
        if let Some(path) = found.get(property.name) {
            panic!("not always: {}\n{}", property.name, story(path));
        }
    }
    for property in scenario.properties().iter().filter(|property| !property.expectation.discovery_is_failure()) {
        let expected = property.name != NEEDS_A_SECOND || scenario.services > 1 && scenario.budget.take_overs > 0;
        assert!(!expected || found.contains_key(property.name), "never: {}", property.name);
    }
    assert!(search.is_done(), "the search stopped early");
    assert!(states >= floor, "only {states} states: the model does less than it should");
}

/// The scenario holds with all rules; without `rules` the search finds that `property` does not.
pub fn needs(rules: &[Rule], scenario: Scenario, floor: usize, property: &'static str) {
    holds(scenario, floor);
    let without = rules.iter().fold(scenario.rules, |kept, rule| kept.without(*rule));
    let until_found = HasDiscoveries::AllOf(BTreeSet::from([property]));
    // One thread: breadth first then gives a shortest path.
    let search = Scenario { rules: without, ..scenario }.checker().finish_when(until_found).spawn_bfs().join();
    let path = search.discovery(property);
    let path = path.unwrap_or_else(|| panic!("without {rules:?} the search should find: not always {property}"));
    println!("without {rules:?}, not always: {property}\n{}", story(&path));
}

/// The steps of a path, one a line.
fn story(path: &Path<State, Step>) -> String {
    let step = |step: Step| match step {
        Step::Service(id, call) => format!("  service {id}: {call:?}\n"),
        Step::Surroundings(fault) => format!("  {fault:?}\n"),
    };
    path.clone().into_actions().into_iter().map(step).collect()
}
