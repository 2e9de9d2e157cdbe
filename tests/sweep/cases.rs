//! Runs many cases beside each other and tells all that failed at once, equal findings together.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::support::trace::step::usual_spelling;

/// After so many failures the rest is not tried: each may have waited for its deadline.
const ENOUGH: usize = 12;

/// What one case came to.
pub enum Verdict {
    /// The fault was made, and every promise held.
    Held,
    /// The run ended before the step was reached, and every promise held: there are no further steps.
    Past,
    /// A promise was broken.
    Broken(Case),
}

/// A case that failed.
pub struct Case {
    /// What was done to the program: "killed before #12 rename ..".
    pub name: String,
    /// What was wrong afterwards.
    pub findings: Vec<String>,
    /// What helps to understand it: the tree, the last steps, what the program said.
    pub scene: String,
}

impl Verdict {
    /// The verdict on a case that reached its step.
    pub fn on(name: String, findings: Vec<String>, scene: impl FnOnce() -> String) -> Self {
        if findings.is_empty() { Self::Held } else { Self::Broken(Case { name, findings, scene: scene() }) }
    }
}

/// Runs the cases 1, 2, 3 .. until one is past the end, and returns how many were not.
///
/// # Panics
/// With all that failed.
pub fn count_up(workers: usize, case: impl Fn(usize) -> Verdict + Sync) -> usize {
    let (next, past) = (AtomicUsize::new(1), AtomicBool::new(false));
    let held = AtomicUsize::new(0);
    let broken = Mutex::new(Vec::new());
    beside(workers, || {
        while !past.load(Ordering::SeqCst) && count(&broken) < ENOUGH {
            let number = next.fetch_add(1, Ordering::SeqCst);
            match guarded(|| case(number), || format!("case {number}")) {
                Verdict::Held => drop(held.fetch_add(1, Ordering::SeqCst)),
                Verdict::Past => past.store(true, Ordering::SeqCst),
                Verdict::Broken(case) => keep(&broken, case),
            }
        }
    });
    tell(broken.into_inner().unwrap_or_else(PoisonError::into_inner));
    held.into_inner()
}

/// Runs one case for each item, and returns those that never reached their step.
///
/// # Panics
/// With all that failed.
pub fn each<T: Sync + std::fmt::Debug>(workers: usize, items: &[T], case: impl Fn(&T) -> Verdict + Sync) -> Vec<&T> {
    let next = AtomicUsize::new(0);
    let (broken, past) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    beside(workers, || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::SeqCst)).filter(|_| count(&broken) < ENOUGH) {
            match guarded(|| case(item), || format!("{item:?}")) {
                Verdict::Held => {}
                Verdict::Past => keep(&past, item),
                Verdict::Broken(case) => keep(&broken, case),
            }
        }
    });
    tell(broken.into_inner().unwrap_or_else(PoisonError::into_inner));
    past.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs cases with two kills: one service at each of `firsts`, and the one after it at some of its own steps. Most are to be reached.
///
/// # Panics
/// As [`each`].
pub fn each_pair(workers: usize, firsts: impl Iterator<Item = usize>, case: impl Fn((usize, usize)) -> Verdict + Sync) {
    let seconds = (8..80).step_by(20);
    let pairs: Vec<(usize, usize)> =
        firsts.flat_map(|first| seconds.clone().map(move |second| (first, second))).collect();
    let missed = each(workers, &pairs, |pair| case(*pair));
    assert!(missed.len() * 2 < pairs.len(), "most were never reached: {missed:?}");
}

fn beside(workers: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(&work);
        }
    });
}

fn count<T>(list: &Mutex<Vec<T>>) -> usize {
    list.lock().unwrap_or_else(PoisonError::into_inner).len()
}

fn keep<T>(list: &Mutex<Vec<T>>, item: T) {
    list.lock().unwrap_or_else(PoisonError::into_inner).push(item);
}

/// A panic in a case (a program that hangs) is that case's finding, and the others go on.
fn guarded(case: impl FnOnce() -> Verdict, name: impl FnOnce() -> String) -> Verdict {
    catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Verdict::Broken(Case { name: name(), findings: vec![said.unwrap_or_default()], scene: String::new() })
    })
}

/// Equal findings are told once, with the cases in which they were made; then the scenes of the first of each.
fn tell(broken: Vec<Case>) {
    const FINDINGS: usize = 30;
    const NAMES: usize = 12;
    const SCENES: usize = 4;
    if broken.is_empty() {
        return;
    }
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, case) in broken.iter().enumerate() {
        for finding in &case.findings {
            groups.entry(usual_spelling(finding)).or_default().push(index);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, cases)| std::cmp::Reverse(cases.len()));
    let mut told = format!("{} cases broke a promise, with {} findings\n", broken.len(), groups.len());
    if broken.len() >= ENOUGH {
        told += "(no more were tried)\n";
    }
    for (finding, cases) in groups.iter().take(FINDINGS) {
        told += &format!("\n== in {} cases: {finding}\n", cases.len());
        cases.iter().take(NAMES).for_each(|index| told += &format!("   {}\n", broken[*index].name));
    }
    let mut shown: Vec<usize> = groups.iter().map(|(_, cases)| cases[0]).collect();
    shown.dedup();
    for index in shown.into_iter().take(SCENES) {
        let Case { name, findings, scene } = &broken[index];
        told += &format!("\n-- {name}: {}\n{scene}\n", findings.join("\n   "));
    }
    panic!("{told}");
}

#[test]
fn a_case_that_fails_is_told_and_the_others_still_run() {
    let ran = AtomicUsize::new(0);
    let broken = catch_unwind(AssertUnwindSafe(|| {
        count_up(2, |number| {
            ran.fetch_add(1, Ordering::SeqCst);
            match number {
                3 => Verdict::on("killed before #3".to_owned(), vec!["a reply is missing".to_owned()], String::new),
                4 => panic!("it hangs"),
                10.. => Verdict::Past,
                _ => Verdict::Held,
            }
        })
    }));
    let said = broken.expect_err("two cases failed").downcast::<String>().expect("a formatted message");
    for part in ["2 cases broke a promise", "killed before #3", "a reply is missing", "it hangs"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(ran.into_inner() >= 10, "all cases up to the end ran");
    let held = count_up(2, |number| if number > 7 { Verdict::Past } else { Verdict::Held });
    assert_eq!(held, 7);
}
