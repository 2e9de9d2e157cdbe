//! In which stores an extension may be instantiated. Pure.
//!
//! A store has one WASI world. An extension that imports WASI must be in a store with its own world, or it would see the files of another;
//! one that does not import WASI goes along with whoever calls it, so that as many calls as possible stay within one store.

use std::collections::BTreeSet;

/// The world in which nothing is granted. Messages for extensions that do not import WASI begin in a store with this one.
pub(in crate::extension) const EMPTY_WORLD: usize = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::extension) enum Home {
    /// It does not import WASI.
    Anywhere,
    /// Only in stores with this world.
    World(usize),
}

/// The worlds in whose stores each extension may be instantiated. Extensions are given in loading order, each with the places of its
/// providers, which stand before it.
pub(in crate::extension) fn places(homes: &[Home], providers: &[Vec<usize>]) -> Vec<BTreeSet<usize>> {
    let own = |home: &Home| match home {
        Home::Anywhere => BTreeSet::from([EMPTY_WORLD]),
        Home::World(world) => BTreeSet::from([*world]),
    };
    let mut places: Vec<BTreeSet<usize>> = homes.iter().map(own).collect();
    for (importer, providers) in providers.iter().enumerate().rev() {
        let of_importer = places[importer].clone();
        for provider in providers.iter().filter(|provider| homes[**provider] == Home::Anywhere) {
            places[*provider].extend(&of_importer);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_no_wasi_goes_along_with_its_callers() {
        // 0: a library; 1: another one, on top of it; 2 and 3: with worlds of their own, on top of that.
        let homes = [Home::Anywhere, Home::Anywhere, Home::World(1), Home::World(2)];
        let places = places(&homes, &[vec![], vec![0], vec![1], vec![1, 2]]);
        let expected: [&[usize]; 4] = [&[0, 1, 2], &[0, 1, 2], &[1], &[2]];
        assert_eq!(places, expected.map(|worlds| worlds.iter().copied().collect()));
    }
}
