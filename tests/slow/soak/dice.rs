//! Chance that can be repeated.

/// A sequence of numbers that its seed determines (Steele, Lea and Flood's SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    /// One of many sequences of the same seed.
    pub(super) fn new(seed: u64, nth: u64) -> Self {
        let mut dice = Self(seed ^ nth.wrapping_mul(0xd134_2543_de82_ef95));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 on, below `sides`.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.roll(from.len() as u64);
        &from[usize::try_from(at).unwrap()]
    }
}
