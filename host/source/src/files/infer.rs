//! What the values of a column have in common, and so which type holds every one of them exactly. The order of the
//! values does not matter, and no value changes because of another.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::number;
use super::types::ColumnType;

/// The kinds of values seen in a column so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether values came from JSON, which holds every kind of them; fields of CSV are all text.
    json: bool,
    texts: bool,
    booleans: bool,
    /// Objects and lists.
    documents: bool,
    numbers: bool,
    beyond_i64: bool,
    beyond_u64: bool,
    /// Numbers that are not exact as floats.
    beyond_f64: bool,
}

impl Seen {
    /// Returns what a JSON value shows; null shows nothing.
    pub(crate) fn in_json(value: &RawValue) -> Self {
        let raw = value.get();
        let seen = Self {
            json: true,
            ..Self::default()
        };
        match raw.as_bytes().first() {
            None | Some(b'n') => seen,
            Some(b't' | b'f') => Self { booleans: true, ..seen },
            Some(b'"') => Self { texts: true, ..seen },
            Some(b'{' | b'[') => Self {
                documents: true,
                ..seen
            },
            Some(_) => seen.with_number(raw),
        }
    }

    /// Returns what a field of CSV shows; an empty one shows nothing.
    pub(crate) fn in_field(field: &str) -> Self {
        let seen = Self::default();
        match field {
            "" => seen,
            "true" | "false" => Self { booleans: true, ..seen },
            _ if is_number(field) => seen.with_number(field),
            _ => Self { texts: true, ..seen },
        }
    }

    fn with_number(self, text: &str) -> Self {
        Self {
            numbers: true,
            // The sign of a zero is a float's.
            beyond_i64: text == "-0" || text.parse::<i64>().is_err(),
            beyond_u64: text.parse::<u64>().is_err(),
            beyond_f64: !number::float(text).is_some_and(|(_, is_exact)| is_exact),
            ..self
        }
    }

    /// Returns what both have seen.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            json: self.json || other.json,
            texts: self.texts || other.texts,
            booleans: self.booleans || other.booleans,
            documents: self.documents || other.documents,
            numbers: self.numbers || other.numbers,
            beyond_i64: self.beyond_i64 || other.beyond_i64,
            beyond_u64: self.beyond_u64 || other.beyond_u64,
            beyond_f64: self.beyond_f64 || other.beyond_f64,
        }
    }

    /// Returns the type that holds everything seen, exactly; `None` where there were only nulls. Mixtures, and numbers
    /// that no type holds, stay as they are written.
    pub(crate) fn column_type(self) -> Option<ColumnType> {
        Some(match (self.texts, self.booleans, self.documents, self.numbers) {
            (false, false, false, false) => return None,
            (true, false, false, false) => ColumnType::Text,
            (false, true, false, false) => ColumnType::Boolean,
            (false, false, false, true) if !self.beyond_i64 => ColumnType::Int64,
            (false, false, false, true) if !self.beyond_u64 => ColumnType::UInt64,
            (false, false, false, true) if !self.beyond_f64 => ColumnType::Float64,
            _ if self.json => ColumnType::Json,
            _ => ColumnType::Text,
        })
    }
}

/// Returns whether a field of CSV is a number. One that would be written otherwise (`007`, `+1`) is a name made of
/// digits.
pub(crate) fn is_number(field: &str) -> bool {
    let digits = field.strip_prefix('-').unwrap_or(field).as_bytes();
    let has_leading_zero = matches!(digits, [b'0', b'0'..=b'9', ..]);
    !has_leading_zero && number::float(field).is_some()
}

/// Returns a field of CSV in a column of JSON values: the number or boolean that it looks like, or a string.
pub(crate) fn field_as_json(field: &str) -> Cow<'_, str> {
    let looks_like_json = matches!(field, "true" | "false") || is_number(field);
    if looks_like_json && serde_json::from_str::<&RawValue>(field).is_ok() {
        return Cow::Borrowed(field);
    }
    Cow::Owned(serde_json::Value::from(field).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str], seen: fn(&str) -> Seen) -> Option<ColumnType> {
        let forth = values.iter().fold(Seen::default(), |all, one| all.and(seen(one)));
        let back = values.iter().rev().fold(Seen::default(), |all, one| seen(one).and(all));
        assert_eq!(forth, back, "{values:?}");
        forth.column_type()
    }

    #[test]
    fn a_column_has_the_type_that_holds_all_its_values_exactly() {
        use ColumnType::{Boolean, Float64, Int64, Json, Text, UInt64};
        let json = |text: &str| Seen::in_json(serde_json::from_str(text).expect("JSON"));
        let cases: [(&[&str], Option<ColumnType>, Option<ColumnType>); 19] = [
            (&["1", "-9223372036854775808"], Some(Int64), Some(Int64)),
            (&["1", "18446744073709551615"], Some(UInt64), Some(UInt64)),
            (&["-1", "18446744073709551615"], Some(Json), Some(Text)),
            (&["18446744073709551616"], Some(Json), Some(Text)),
            (&["1", "1.5", "0.10", "-0"], Some(Float64), Some(Float64)),
            (&["-0"], Some(Float64), Some(Float64)),
            (&["9007199254740993", "1"], Some(Int64), Some(Int64)),
            (&["9007199254740993", "1.5"], Some(Json), Some(Text)),
            (
                &["144126219108390099", "18446744073709551615"],
                Some(UInt64),
                Some(UInt64),
            ),
            (&["0.123456789012345678901234567890"], Some(Json), Some(Text)),
            (&["1e400"], Some(Json), Some(Text)),
            (&["1e-400", "1"], Some(Json), Some(Text)),
            (&["1e5"], Some(Float64), Some(Float64)),
            (&["true", "false"], Some(Boolean), Some(Boolean)),
            (&["true", "1"], Some(Json), Some(Text)),
            (&["\"a\"", "\"1\""], Some(Text), Some(Text)),
            (&["\"a\"", "1"], Some(Json), Some(Text)),
            (&["{}", "[]"], Some(Json), Some(Text)),
            (&[], None, None),
        ];
        for (values, in_json, in_csv) in cases {
            assert_eq!(of(values, json), in_json, "{values:?}");
            assert_eq!(of(values, Seen::in_field), in_csv, "{values:?}");
        }
        assert_eq!(of(&["null"], json), None);
        let texts = ["007", "-007", "+1", "0x1", "NaN", "inf", "True", "1,5", " 1", "1 ", "٣"];
        for text in texts {
            assert_eq!(of(&[text], Seen::in_field), Some(Text), "{text}");
        }
        for number in ["0.0", "-0.5", ".5", "1.", "0", "10"] {
            assert_ne!(of(&[number], Seen::in_field), Some(Text), "{number}");
        }
    }

    #[test]
    fn fields_among_json_values_stay_what_they_look_like() {
        for (field, expect) in [
            ("5", "5"),
            ("1.50", "1.50"),
            ("true", "true"),
            ("null", "\"null\""),
            ("007", "\"007\""),
            (".5", "\".5\""),
            ("[1]", "\"[1]\""),
            ("a\"b", "\"a\\\"b\""),
        ] {
            assert_eq!(field_as_json(field), expect);
        }
    }
}
