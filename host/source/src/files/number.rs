//! Numbers as they are written: their exact value, and whether a 64-bit float or a decimal of some precision holds it.
//! Never rounds.

use arrow::datatypes::i256;

/// The exact value of a written number, `±0.digits × 10^point`, in one form: equal numbers are equal. Zeros keep their
/// sign, as floats do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Number {
    negative: bool,
    /// Without zeros at either end; none for zero.
    digits: String,
    /// Position of the decimal point, counted from before the first digit.
    point: i64,
}

/// Exponents beyond this are all the same: no type holds the number.
const MAX_EXPONENT: i64 = 1 << 40;

impl Number {
    /// Digits with or without point and exponent, as JSON and CSV have them. `None` for what is not a number.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let written = [whole, fraction].concat();
        let digits = written.trim_start_matches('0');
        let leading = written.len() - digits.len();
        let digits = digits.trim_end_matches('0');
        let point = match digits.is_empty() {
            true => 0,
            false => whole.len() as i64 - leading as i64 + exponent,
        };
        Some(Self {
            negative,
            digits: digits.to_owned(),
            point,
        })
    }

    /// Returns the digits of the number times 10^scale, if that is a whole number of at most `precision` digits.
    fn unscaled(&self, precision: u8, scale: u8) -> Result<String, String> {
        let kept = self.point + i64::from(scale);
        let length = self.digits.len() as i64;
        if length > kept && length > 0 {
            return Err(format!("has more than {scale} digits after the decimal point"));
        }
        if kept > i64::from(precision) && length > 0 {
            let whole = precision - scale.min(precision);
            return Err(format!("has more than {whole} digits before the decimal point"));
        }
        if length == 0 {
            return Ok("0".to_owned());
        }
        let zeros = "0".repeat(usize::try_from(kept - length).unwrap_or_default());
        let sign = if self.negative { "-" } else { "" };
        Ok(format!("{sign}{}{zeros}", self.digits))
    }

    /// As a decimal of up to 38 digits.
    pub(crate) fn as_decimal128(&self, precision: u8, scale: u8) -> Result<i128, String> {
        let digits = self.unscaled(precision, scale)?;
        digits.parse().map_err(|_| "does not fit".to_owned())
    }

    /// As a decimal of up to 76 digits.
    pub(crate) fn as_decimal256(&self, precision: u8, scale: u8) -> Result<i256, String> {
        let digits = self.unscaled(precision, scale)?;
        i256::from_string(&digits).ok_or_else(|| "does not fit".to_owned())
    }

    /// Times 10^scale, what is left of a fraction then cut towards the past.
    pub(crate) fn floored(&self, scale: u8) -> Option<i128> {
        let kept = self.point + i64::from(scale);
        // More digits than any count of time has.
        if kept > 30 {
            return None;
        }
        let kept = usize::try_from(kept).unwrap_or(0).min(30);
        let length = self.digits.len();
        let whole: i128 = match &self.digits[..kept.min(length)] {
            "" => 0,
            digits => digits.parse().ok()?,
        };
        let zeros = u32::try_from(kept.saturating_sub(length)).ok()?;
        let whole = whole.checked_mul(10_i128.checked_pow(zeros)?)?;
        let has_rest = length > kept;
        Some(match self.negative {
            true => -whole - i128::from(has_rest),
            false => whole,
        })
    }
}

fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(MAX_EXPONENT).min(MAX_EXPONENT);
    Some(if text.starts_with('-') { -size } else { size })
}

/// Returns a written number as the nearest float, and whether that is exact: the shortest text for the float has the
/// same value as the written number. `None` if it is not a number.
pub(crate) fn float(text: &str) -> Option<(f64, bool)> {
    if is_plain(text) {
        return Some((text.parse().ok()?, true));
    }
    let written = Number::parse(text)?;
    let float: f64 = text.parse().ok()?;
    let shortest = Number::parse(&format!("{float:e}"));
    Some((float, shortest == Some(written)))
}

/// Returns a number without a leading `+`. Anything else is returned unchanged.
pub(crate) fn without_plus(text: &str) -> &str {
    text.strip_prefix('+')
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit() || first == '.'))
        .unwrap_or(text)
}

/// Every number of at most 15 digits has its own float, which is exact in the sense of [`float`], unless it is
/// very large or small.
const SURE_DIGITS: usize = 15;

/// Returns a number without exponent and with so few digits that there is nothing to look at.
fn is_plain(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let points = digits.bytes().filter(|byte| *byte == b'.').count();
    points <= 1
        && (1..=SURE_DIGITS).contains(&(digits.len() - points))
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_is_exact_when_its_shortest_text_is_the_number() {
        let cases = [
            ("0", true),
            ("-0", true),
            ("-0.0", true),
            ("0e999999999999999999999", true),
            ("1.5", true),
            ("0.1", true),
            ("0.10", true),
            ("1e22", true),
            ("1.7976931348623157e308", true),
            ("5e-324", true),
            ("123456789012345", true),
            ("9007199254740992", true),
            ("0.30000000000000004", true),
            ("9007199254740993", false),
            ("18446744073709551615", false),
            ("18446744073709551616", false),
            ("0.123456789012345678901234567890", false),
            ("0.10000000000000001", false),
            ("1e400", false),
            ("-1e400", false),
            ("1e-400", false),
            ("4e-324", false),
            ("1e99999999999999999999", false),
        ];
        for (text, expect) in cases {
            assert_eq!(float(text).map(|(_, exact)| exact), Some(expect), "{text}");
        }
        for text in [
            "", "-", ".", "e5", "1e", "1e+", "--1", "+1", "1_000", "0x1", "NaN", "inf", "1.2.3", "1 ",
        ] {
            assert_eq!(float(text), None, "{text}");
        }
    }

    #[test]
    fn decimals_hold_the_number_or_say_why_not() {
        let cases = [
            ("1.5", 3, 1, Ok(15)),
            ("-1.50", 3, 1, Ok(-15)),
            ("1e2", 3, 0, Ok(100)),
            ("0.00", 1, 0, Ok(0)),
            ("-0", 1, 0, Ok(0)),
            ("1e-3", 4, 3, Ok(1)),
            ("1200e-2", 2, 0, Ok(12)),
            ("99999999999999999999999999999999999999", 38, 0, Ok(10_i128.pow(38) - 1)),
            ("1.25", 3, 1, Err("has more than 1 digits after the decimal point")),
            ("100", 3, 1, Err("has more than 2 digits before the decimal point")),
            ("1e400", 38, 0, Err("has more than 38 digits before the decimal point")),
            ("1e-400", 38, 38, Err("has more than 38 digits after the decimal point")),
        ];
        for (text, precision, scale, expect) in cases {
            let number = Number::parse(text).expect("a number");
            let expect = expect.map_err(str::to_owned);
            assert_eq!(number.as_decimal128(precision, scale), expect, "{text}");
            let wide = number.as_decimal256(precision, scale);
            assert_eq!(wide, expect.map(i256::from_i128), "{text}");
        }
        let all = "9".repeat(76);
        let wide = Number::parse(&all).and_then(|number| number.as_decimal256(76, 0).ok());
        assert_eq!(wide.map(|wide| wide.to_string()), Some(all));
    }

    #[test]
    fn fractions_of_times_are_cut_towards_the_past() {
        for (text, scale, expect) in [
            ("1767225600", 6, Some(1_767_225_600_000_000)),
            ("1767225600.1234567", 6, Some(1_767_225_600_123_456)),
            ("-0.0000001", 6, Some(-1)),
            ("-1", 3, Some(-1_000)),
            ("0", 6, Some(0)),
            ("1.5e3", 0, Some(1_500)),
            ("1e40", 6, None),
            ("1e-40", 6, Some(0)),
        ] {
            let number = Number::parse(text).expect("a number");
            assert_eq!(number.floored(scale), expect, "{text}");
        }
    }
}
