//! Pseudo-random numbers from a row's number (SplitMix64), and what rows make of them. Same number, same values.

use std::fmt::Write;

/// A stream of numbers.
pub(crate) struct Random(u64);

impl Random {
    /// Returns the stream of one row of one model.
    pub(crate) fn new(salt: u64, number: i64) -> Self {
        let mut random = Self(salt ^ number.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `limit - 1`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Returns a version 4 UUID.
    pub(crate) fn uuid(&mut self) -> Uuid {
        uuid(self.next(), self.next(), 4)
    }
}

/// A UUID in its usual form.
pub(crate) struct Uuid(u64, u64);

/// 128 bits as a UUID of that version.
pub(crate) fn uuid(high: u64, low: u64, version: u64) -> Uuid {
    Uuid(high & !0xf000 | version << 12, low & !(0b11 << 62) | 0b10 << 62)
}

impl Uuid {
    pub(crate) fn write(&self, to: &mut String) {
        let Uuid(high, low) = self;
        // Writing to a string cannot fail.
        write!(
            to,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
        .ok();
    }
}

/// People that events come from; a person's id is a function of their number.
pub(crate) const PERSONS: u64 = 50_000;

pub(crate) fn person_id(person: u64) -> Uuid {
    let mut random = Random::new(0x7065_7273_6f6e, person.cast_signed());
    random.uuid()
}
