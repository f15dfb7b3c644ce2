//! Random numbers that are the same in every run.

use std::cell::Cell;
use std::ops::Range;

/// The generator `SplitMix64`, which may begin with the choices of a fuzzer.
#[derive(Debug, Clone)]
pub struct Random {
    state: Cell<u64>,
    choices: Vec<u8>,
    /// The number of bytes of `choices` that were used.
    used: Cell<usize>,
}

impl Random {
    /// Returns a generator whose numbers depend on `seed` alone.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: Cell::new(seed), choices: Vec::new(), used: Cell::new(0) }
    }

    /// Returns a generator whose numbers are those that `choices` spell, and after them the same in every run.
    ///
    /// A number takes as few bytes as its bound needs, so that a fuzzer that changes a byte changes one choice.
    #[must_use]
    pub fn from_choices(choices: &[u8]) -> Self {
        Self { choices: choices.to_vec(), ..Self::new(0) }
    }

    /// Returns a generator for one of `parts` parts of the work that is left.
    #[must_use]
    pub fn part(&self, parts: usize) -> Self {
        let left = &self.choices[self.used.get()..];
        if left.is_empty() {
            return Self::new(self.bits());
        }
        let part = &left[..left.len() / parts.max(1)];
        self.used.set(self.used.get() + part.len());
        Self::from_choices(part)
    }

    /// Returns the choices that are left, of which there are none for a generator from a seed.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.choices[self.used.replace(self.choices.len())..]
    }

    /// Returns whether all choices were used.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.used.get() == self.choices.len()
    }

    /// Returns the number that the next bytes of the choices spell, of which there may be fewer than `bytes`.
    fn choice(&self, bytes: usize) -> Option<u64> {
        let used = self.used.get();
        let end = self.choices.len().min(used + bytes);
        self.used.set(end);
        let spelled = self.choices[used..end].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        (used < end).then_some(spelled)
    }

    /// Returns 64 random bits.
    pub fn bits(&self) -> u64 {
        self.choice(size_of::<u64>()).unwrap_or_else(|| self.generated())
    }

    fn generated(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
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
        let bytes = if bound <= 1 << 8 { 1 } else { size_of::<u64>() };
        let number = self.choice(bytes).unwrap_or_else(|| self.generated());
        usize::try_from(number % bound as u64).expect("less than a usize")
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
