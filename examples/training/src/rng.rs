//! Draws random numbers outside of arrays: shuffles, samples, exploration.

/// `SplitMix64`, whose whole state is one number, which a checkpoint saves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng(u64);

impl Rng {
    /// Creates a generator that continues from a seed, or from the [`state`](Self::state) of another.
    #[must_use]
    pub const fn new(state: u64) -> Self {
        Self(state)
    }

    /// Returns the state, from which [`new`](Self::new) continues.
    #[must_use]
    pub const fn state(&self) -> u64 {
        self.0
    }

    /// Draws 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Draws a number of at least 0 and less than 1.
    #[expect(clippy::cast_precision_loss, reason = "the number has 53 bits")]
    pub const fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws an index below `n`, which must not be 0.
    #[expect(clippy::cast_possible_truncation, reason = "the index is less than n")]
    pub const fn below(&mut self, n: usize) -> usize {
        ((self.bits() as u128 * n as u128) >> 64) as usize
    }

    /// Puts items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn the_bits_are_those_of_the_published_algorithm() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!([rng.bits(), rng.bits()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn a_generator_continues_from_its_state() {
        let mut whole = Rng::new(7);
        let mut order = (0..100).collect::<Vec<_>>();
        whole.shuffle(&mut order);
        let mut continued = Rng::new(whole.state());
        assert_eq!(whole.uniform().to_bits(), continued.uniform().to_bits());
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn draws_are_in_range() {
        let mut rng = Rng::new(0);
        let mut seen = [0; 3];
        for _ in 0..300 {
            seen[rng.below(3)] += 1;
            assert!((0.0..1.0).contains(&rng.uniform()));
        }
        assert!(seen.iter().all(|&count| count > 60), "{seen:?}");
    }
}
