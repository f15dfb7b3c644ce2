//! Random numbers that are the same in every run.

use std::cell::Cell;
use std::ops::Range;

/// The generator `SplitMix64`.
#[derive(Debug, Clone)]
pub struct Random(Cell<u64>);

impl Random {
    /// Returns a generator whose numbers depend on `seed` alone.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// Returns 64 random bits.
    pub fn bits(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`.
    ///
    /// # Panics
    ///
    /// If `bound` is 0.
    pub fn below(&self, bound: usize) -> usize {
        usize::try_from(self.bits() % bound as u64).expect("less than a usize")
    }

    /// Returns a number in `range`.
    ///
    /// # Panics
    ///
    /// If the range is empty.
    pub fn within(&self, range: Range<usize>) -> usize {
        range.start + self.below(range.len())
    }

    /// Returns true in `percent` of a hundred calls, on average.
    pub fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Returns true once in `times` calls, on average.
    pub fn once_in(&self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Returns one of the choices.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn of<T: Clone>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}
