//! PostgreSQL's `numeric` in its binary form: as exact text, or as an integer at a fixed scale. Rounds nothing.

use arrow::datatypes::i256;

/// What each digit of a `numeric` counts to: it is written in base 10,000.
const BASE: u64 = 10_000;
/// Decimal digits of one of them.
const DIGITS: i32 = 4;
const HEADER_BYTES: usize = 8;

/// The signs of what is a number, and what is none.
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// A value of type `numeric`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numeric<'a> {
    /// A number.
    Number(Number<'a>),
    /// None: `NaN`, `Infinity` or `-Infinity`.
    Other(&'static str),
}

/// A number: the sum of its digits, each of which counts 10,000 times the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number<'a> {
    is_negative: bool,
    /// The power of 10,000 of the first digit.
    weight: i32,
    /// Decimal digits after the point that are shown.
    shown: usize,
    /// Two bytes each.
    digits: &'a [u8],
}

impl<'a> Numeric<'a> {
    /// Reads a value. `None` if the bytes are none.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, digits) = bytes.split_at_checked(HEADER_BYTES)?;
        let short = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let is_negative = match short(4) {
            POSITIVE => false,
            NEGATIVE => true,
            NAN => return Some(Numeric::Other("NaN")),
            INFINITY => return Some(Numeric::Other("Infinity")),
            NEGATIVE_INFINITY => return Some(Numeric::Other("-Infinity")),
            _ => return None,
        };
        let number = Number {
            is_negative,
            weight: i32::from(short(2).cast_signed()),
            shown: usize::from(short(6)),
            digits,
        };
        let is_whole = digits.len() == 2 * usize::from(short(0)) && number.digits().all(|digit| digit < BASE);
        is_whole.then_some(Numeric::Number(number))
    }
}

impl Number<'_> {
    fn digits(&self) -> impl Iterator<Item = u64> + '_ {
        let pairs = self.digits.chunks_exact(2);
        pairs.map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]])))
    }

    /// Returns the digit of that power of 10,000.
    fn digit(&self, power: i32) -> u64 {
        let at = usize::try_from(self.weight - power).ok();
        at.and_then(|at| self.digits().nth(at)).unwrap_or(0)
    }

    /// Returns it as the server writes it.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.digits.len() * 2 + self.shown + 4);
        if self.is_negative {
            text.push('-');
        }
        let first = self.weight.max(0);
        text.push_str(&self.digit(first).to_string());
        for power in (0..first).rev() {
            text.push_str(&format!("{:04}", self.digit(power)));
        }
        if self.shown > 0 {
            text.push('.');
            let end = text.len() + self.shown;
            let mut power = -1;
            while text.len() < end {
                text.push_str(&format!("{:04}", self.digit(power)));
                power -= 1;
            }
            text.truncate(end);
        }
        text
    }

    /// Returns it times ten to the power of `scale`. `None` if that is not a whole number, or does not fit.
    pub(super) fn unscaled<T: Unscaled>(&self, scale: i32) -> Option<T> {
        let mut sum = T::ZERO;
        // Decimal digits of the sum that follow its last one.
        let mut missing = 0;
        for (at, digit) in (0..).zip(self.digits()) {
            missing = DIGITS * (self.weight - at) + scale;
            let cut = (-missing).clamp(0, DIGITS);
            let divisor = 10_u64.pow(cut.unsigned_abs());
            if !digit.is_multiple_of(divisor) {
                return None;
            }
            sum = sum.then(BASE / divisor, digit / divisor)?;
        }
        for _ in 0..missing {
            sum = sum.then(10, 0)?;
        }
        Some(if self.is_negative { sum.negative() } else { sum })
    }
}

/// An integer of many digits.
pub(super) trait Unscaled: Sized + Copy + PartialEq {
    const ZERO: Self;

    /// Returns it times `factor`, plus `digit`. `None` if that does not fit.
    fn then(self, factor: u64, digit: u64) -> Option<Self>;

    fn negative(self) -> Self;
}

impl Unscaled for i128 {
    const ZERO: Self = 0;

    fn then(self, factor: u64, digit: u64) -> Option<Self> {
        self.checked_mul(i128::from(factor))?.checked_add(i128::from(digit))
    }

    fn negative(self) -> Self {
        -self
    }
}

impl Unscaled for i256 {
    const ZERO: Self = i256::ZERO;

    fn then(self, factor: u64, digit: u64) -> Option<Self> {
        let wide = |number: u64| i256::from_i128(i128::from(number));
        self.checked_mul(wide(factor))?.checked_add(wide(digit))
    }

    fn negative(self) -> Self {
        self.wrapping_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(weight: i16, sign: u16, shown: u16, digits: &[u16]) -> Vec<u8> {
        let count = u16::try_from(digits.len()).expect("few");
        let header = [count, weight.cast_unsigned(), sign, shown];
        header
            .iter()
            .chain(digits)
            .flat_map(|short| short.to_be_bytes())
            .collect()
    }

    fn number(bytes: &[u8]) -> Number<'_> {
        match Numeric::read(bytes) {
            Some(Numeric::Number(number)) => number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_are_written_as_the_server_writes_them() {
        for (weight, sign, shown, digits, expect) in [
            (0, POSITIVE, 0, &[][..], "0"),
            (0, POSITIVE, 3, &[], "0.000"),
            (0, POSITIVE, 2, &[12, 3400], "12.34"),
            (0, NEGATIVE, 1, &[1, 5000], "-1.5"),
            (-1, POSITIVE, 4, &[1], "0.0001"),
            (-2, POSITIVE, 8, &[1], "0.00000001"),
            (1, POSITIVE, 0, &[1], "10000"),
            (2, NEGATIVE, 0, &[1, 2, 3], "-100020003"),
            (5, POSITIVE, 0, &[100], "100".to_owned().leak()),
        ] {
            let expect = match weight {
                5 => format!("{expect}{}", "0".repeat(20)),
                _ => expect.to_owned(),
            };
            assert_eq!(number(&bytes(weight, sign, shown, digits)).text(), expect);
        }
    }

    #[test]
    fn numbers_keep_every_digit_at_their_scale() {
        let value = bytes(0, POSITIVE, 2, &[12, 3400]);
        let value = number(&value);
        assert_eq!(value.unscaled::<i128>(2), Some(1234));
        assert_eq!(value.unscaled::<i128>(5), Some(1_234_000));
        assert_eq!(value.unscaled::<i128>(1), None);
        let small = bytes(-2, NEGATIVE, 8, &[1]);
        assert_eq!(number(&small).unscaled::<i128>(8), Some(-1));
        assert_eq!(number(&small).unscaled::<i128>(7), None);
        let large = bytes(
            9,
            POSITIVE,
            0,
            &[99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999],
        );
        let large = number(&large);
        assert_eq!(large.unscaled::<i128>(0), Some(10_i128.pow(38) - 1));
        assert_eq!(large.unscaled::<i128>(1), None);
        let wide: i256 = large.unscaled(38).expect("fits 256 bits");
        assert_eq!(wide.to_string(), format!("{}{}", "9".repeat(38), "0".repeat(38)));
        // The last digit reaches beyond the scale with zeros alone, and the number fits to its last digit.
        let full = bytes(
            9,
            POSITIVE,
            1,
            &[9, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9000],
        );
        assert_eq!(number(&full).unscaled::<i128>(1), Some(10_i128.pow(38) - 1));
        let zero = bytes(0, POSITIVE, 0, &[]);
        assert_eq!(number(&zero).unscaled::<i128>(2), Some(0));
    }

    #[test]
    fn what_is_no_number_is_told_apart() {
        for (sign, expect) in [
            (NAN, Some(Numeric::Other("NaN"))),
            (INFINITY, Some(Numeric::Other("Infinity"))),
            (NEGATIVE_INFINITY, Some(Numeric::Other("-Infinity"))),
            (1, None),
        ] {
            assert_eq!(Numeric::read(&bytes(0, sign, 0, &[])), expect);
        }
        let whole = bytes(0, POSITIVE, 0, &[1, 2]);
        for cut in 0..whole.len() {
            assert_eq!(Numeric::read(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(Numeric::read(&bytes(0, POSITIVE, 0, &[10_000])), None);
    }
}
