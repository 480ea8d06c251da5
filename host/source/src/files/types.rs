//! The types that a column of a text file can be given in the configuration, and those that are found in it. A closed
//! list; knows no values.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION};
use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::model::ColumnKind;

/// The type of a column of a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ColumnType {
    /// Any value, by the characters that it is written with.
    Text,
    /// A JSON document, as text.
    Json,
    /// A signed integer of 64 bits.
    Int64,
    /// An unsigned integer of 64 bits.
    UInt64,
    /// A floating-point number of 64 bits.
    Float64,
    /// `true` or `false`.
    Boolean,
    /// A decimal number.
    Decimal {
        /// The number of its digits, 1 to 76.
        precision: u8,
        /// How many of them are behind the point.
        scale: u8,
    },
    /// Written as text, like `2026-01-01T00:00:00Z`.
    Time,
    /// Written as a number since 1970.
    Epoch(TimeUnit),
    /// A list of texts.
    TextList,
}

/// The names of all types, as messages list them.
pub const TYPE_NAMES: &str = "text, json, int64, uint64, float64, boolean, decimal(P,S), timestamp, timestamp(s), timestamp(ms), timestamp(us), timestamp(ns), list(text)";

const PLAIN: [(&str, ColumnType); 12] = [
    ("text", ColumnType::Text),
    ("json", ColumnType::Json),
    ("int64", ColumnType::Int64),
    ("uint64", ColumnType::UInt64),
    ("float64", ColumnType::Float64),
    ("boolean", ColumnType::Boolean),
    ("timestamp", ColumnType::Time),
    ("timestamp(s)", ColumnType::Epoch(TimeUnit::Second)),
    ("timestamp(ms)", ColumnType::Epoch(TimeUnit::Millisecond)),
    ("timestamp(us)", ColumnType::Epoch(TimeUnit::Microsecond)),
    ("timestamp(ns)", ColumnType::Epoch(TimeUnit::Nanosecond)),
    ("list(text)", ColumnType::TextList),
];

impl From<ColumnType> for String {
    fn from(column: ColumnType) -> Self {
        column.to_string()
    }
}

impl TryFrom<String> for ColumnType {
    type Error = String;

    fn try_from(written: String) -> Result<Self, Self::Error> {
        written.parse()
    }
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let text: String = written.chars().filter(|c| *c != ' ').collect();
        if let Some((_, found)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Ok(*found);
        }
        let arguments = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')'));
        let Some(arguments) = arguments else {
            return Err(format!("`{written}` is not a column type"));
        };
        let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
        match (precision.parse(), scale.parse()) {
            (Ok(precision), Ok(scale)) if (1..=DECIMAL256_MAX_PRECISION).contains(&precision) && scale <= precision => {
                Ok(ColumnType::Decimal { precision, scale })
            }
            _ => Err(format!(
                "`{written}` is not a column type: a decimal has 1 to {DECIMAL256_MAX_PRECISION} digits, and at most \
                 as many of them after the decimal point, as in decimal(38,9)"
            )),
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ColumnType::Decimal { precision, scale } = self {
            return write!(f, "decimal({precision},{scale})");
        }
        let name = PLAIN.iter().find(|(_, known)| known == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl From<ColumnKind> for ColumnType {
    fn from(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Text => ColumnType::Text,
            ColumnKind::Json => ColumnType::Json,
            ColumnKind::Integer => ColumnType::Int64,
            ColumnKind::Float => ColumnType::Float64,
            ColumnKind::Boolean => ColumnType::Boolean,
            ColumnKind::Timestamp => ColumnType::Time,
            ColumnKind::TextList => ColumnType::TextList,
        }
    }
}

impl ColumnType {
    /// Returns the kind of a model's column that it is; `None` for types that no model has.
    pub fn kind(self) -> Option<ColumnKind> {
        Some(match self {
            ColumnType::Text => ColumnKind::Text,
            ColumnType::Json => ColumnKind::Json,
            ColumnType::Int64 => ColumnKind::Integer,
            ColumnType::Float64 => ColumnKind::Float,
            ColumnType::Boolean => ColumnKind::Boolean,
            ColumnType::Time | ColumnType::Epoch(_) => ColumnKind::Timestamp,
            ColumnType::TextList => ColumnKind::TextList,
            ColumnType::UInt64 | ColumnType::Decimal { .. } => return None,
        })
    }

    /// Returns the field of a column of that name. Times are microseconds; only those counted in nanoseconds keep them.
    pub fn field(self, name: &str) -> Field {
        let data_type = match self {
            ColumnType::UInt64 => DataType::UInt64,
            ColumnType::Decimal { precision, scale } => {
                // The scale is at most the precision, and that at most 76.
                let points = i8::try_from(scale).unwrap_or(i8::MAX);
                if precision <= DECIMAL128_MAX_PRECISION {
                    DataType::Decimal128(precision, points)
                } else {
                    DataType::Decimal256(precision, points)
                }
            }
            ColumnType::Epoch(TimeUnit::Nanosecond) => {
                DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from("UTC")))
            }
            other => {
                let kind = other.kind().unwrap_or(ColumnKind::Text);
                return kind.field(name);
            }
        };
        Field::new(name, data_type, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_and_written_alike_and_listed() {
        let decimals = ["decimal(1,0)", "decimal(38,9)", "decimal(39,39)", "decimal(76,0)"];
        for name in PLAIN.iter().map(|(name, _)| *name).chain(decimals) {
            let found: ColumnType = name.parse().expect(name);
            assert_eq!(found.to_string(), name);
            let listed = name.starts_with("decimal") || TYPE_NAMES.split(", ").any(|it| it == name);
            assert!(listed, "{name}");
        }
        for (written, expect) in [("decimal( 38 , 9 )", "decimal(38,9)"), ("decimal(5)", "decimal(5,0)")] {
            assert_eq!(
                written.parse::<ColumnType>().map(|found| found.to_string()),
                Ok(expect.to_owned())
            );
        }
        for wrong in [
            "",
            "integer",
            "TEXT",
            "decimal",
            "decimal()",
            "decimal(0,0)",
            "decimal(77,0)",
            "decimal(5,6)",
            "decimal(5,-1)",
            "decimal(38,9",
            "decimal(1,2,3)",
            "timestamp(m)",
        ] {
            assert!(wrong.parse::<ColumnType>().is_err(), "{wrong}");
        }
    }
}
