//! Types of ClickHouse as it writes them, the type as which a column is asked for, and the Arrow type that it becomes.
//! Refuses what would arrive as something else than it is; never asks a server.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use batch_export_system::explain::Cause;

use super::names;
use crate::model::{EXTENSION_METADATA, EXTENSION_NAME, JSON_EXTENSION, UUID_EXTENSION};

/// The zone in which every time is asked for.
pub(super) const UTC: &str = "UTC";
/// Bytes of a UUID.
const UUID_BYTES: i32 = 16;
/// Digits that fit into 128 bits.
const DECIMAL128_DIGITS: u8 = 38;
/// Types inside each other: deeper ones are nobody's, and reading them would take the stack.
const MAX_DEPTH: usize = 32;
/// Bytes of an array of fixed length, as ClickHouse limits them.
const MAX_FIXED_BYTES: i32 = 0xff_ffff;

/// How a column is asked for, and what it becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    /// The type that it is cast to.
    pub sql: String,
    /// What arrives then.
    pub wire: Wire,
    /// Whether it may be null, which its type in SQL says.
    is_nullable: bool,
}

/// What arrives for a type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wire {
    /// This, and it stays that.
    Same(DataType),
    /// Bytes, which become text.
    Text(Meaning),
    /// So many bytes, which become text.
    Fixed(i32),
    List(Box<Shape>),
    Struct(Vec<(String, Shape)>),
    Map(Box<Shape>, Box<Shape>),
}

/// What a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Text,
    Json,
    Uuid,
}

impl Shape {
    /// Reads a type. What cannot be exported says what to do about it.
    pub(super) fn of(written: &str) -> Result<Self, Cause> {
        read(written, 0)
    }

    fn new(sql: impl Into<String>, wire: Wire) -> Self {
        Self {
            sql: sql.into(),
            wire,
            is_nullable: false,
        }
    }

    fn same(sql: impl Into<String>, data_type: DataType) -> Self {
        Self::new(sql, Wire::Same(data_type))
    }

    fn text(meaning: Meaning) -> Self {
        Self::new("String", Wire::Text(meaning))
    }

    fn nullable(self) -> Self {
        Self {
            sql: format!("Nullable({})", self.sql),
            wire: self.wire,
            is_nullable: true,
        }
    }

    /// Returns the field that such a column becomes.
    pub(super) fn field(&self, name: &str) -> Field {
        let field = Field::new(name, self.data_type(), true);
        let mark = match self.wire {
            Wire::Text(Meaning::Json) => JSON_EXTENSION,
            Wire::Text(Meaning::Uuid) => UUID_EXTENSION,
            _ => return field,
        };
        field.with_metadata(HashMap::from([
            (EXTENSION_NAME.to_owned(), mark.to_owned()),
            (EXTENSION_METADATA.to_owned(), String::new()),
        ]))
    }

    /// Returns the type that its values become.
    pub(super) fn data_type(&self) -> DataType {
        match &self.wire {
            Wire::Same(data_type) => data_type.clone(),
            Wire::Text(Meaning::Uuid) => DataType::FixedSizeBinary(UUID_BYTES),
            Wire::Text(_) | Wire::Fixed(_) => DataType::Utf8,
            Wire::List(item) => DataType::List(Arc::new(item.field("item"))),
            Wire::Struct(members) => DataType::Struct(members.iter().map(|(name, of)| of.field(name)).collect()),
            Wire::Map(key, value) => DataType::Map(Arc::new(entries(key, value)), false),
        }
    }

    /// Returns whether what arrives is what was asked for.
    pub(super) fn takes(&self, found: &DataType) -> bool {
        match (&self.wire, found) {
            (Wire::Same(wanted), found) => wanted == found,
            (Wire::Text(_), DataType::Binary | DataType::LargeBinary | DataType::Utf8 | DataType::LargeUtf8) => true,
            (Wire::Fixed(bytes), DataType::FixedSizeBinary(found)) => bytes == found,
            (Wire::List(item), DataType::List(found)) => item.takes(found.data_type()),
            (Wire::Struct(members), DataType::Struct(found)) => {
                let mut pairs = members.iter().zip(found);
                members.len() == found.len()
                    && pairs.all(|((name, of), found)| name == found.name() && of.takes(found.data_type()))
            }
            (Wire::Map(key, value), DataType::Map(found, _)) => match found.data_type() {
                DataType::Struct(pair) => match pair.as_ref() {
                    [k, v] => key.takes(k.data_type()) && value.takes(v.data_type()),
                    _ => false,
                },
                _ => false,
            },
            _ => false,
        }
    }

    /// Returns whether a time is what it holds.
    pub(super) fn is_text(&self) -> bool {
        self.wire == Wire::Text(Meaning::Text)
    }
}

/// The field of a map's pairs.
pub(super) fn entries(key: &Shape, value: &Shape) -> Field {
    let key = Field::new("keys", key.data_type(), false);
    let pair = Fields::from(vec![key, value.field("values")]);
    Field::new("entries", DataType::Struct(pair), false)
}

fn read(written: &str, depth: usize) -> Result<Shape, Cause> {
    if depth > MAX_DEPTH {
        return Err(
            Cause::new(format!("it has more than {MAX_DEPTH} types inside each other"))
                .with_hint("select what is inside in a query"),
        );
    }
    let (name, arguments) = names::parts(written).ok_or_else(|| unreadable(written))?;
    let inner = |at: usize| arguments.get(at).ok_or_else(|| unreadable(written));
    let of = |at: usize| read(inner(at)?, depth + 1);
    let number = |at: usize| inner(at)?.parse::<u8>().map_err(|_| unreadable(written));
    Ok(match name {
        "Nullable" => of(0)?.nullable(),
        "LowCardinality" => of(0)?,
        // The function's name comes first, and what it makes is a value like any other.
        "SimpleAggregateFunction" => of(1)?,
        "Array" => list(of(0)?),
        "Map" => {
            let (key, value) = (of(0)?, of(1)?);
            Shape::new(
                format!("Map({}, {})", key.sql, value.sql),
                Wire::Map(Box::new(key), Box::new(value)),
            )
        }
        "Tuple" => tuple(&arguments, depth)?,
        "Nested" => list(tuple(&arguments, depth)?),
        "Decimal" => decimal(number(0)?, number(1)?).ok_or_else(|| unreadable(written))?,
        "DateTime" => time(0),
        "DateTime64" => match number(0)? {
            digits @ 0..=9 => time(digits),
            _ => return Err(unreadable(written)),
        },
        "FixedString" => match inner(0)?.parse::<i32>() {
            Ok(bytes @ 1..=MAX_FIXED_BYTES) => Shape::new(format!("FixedString({bytes})"), Wire::Fixed(bytes)),
            _ => return Err(unreadable(written)),
        },
        "Enum8" | "Enum16" | "Time64" => Shape::text(Meaning::Text),
        "JSON" => Shape::text(Meaning::Json),
        _ if arguments.is_empty() => simple(name).ok_or_else(|| refused(name))?,
        _ => return Err(refused(name)),
    })
}

/// Types without arguments.
fn simple(name: &str) -> Option<Shape> {
    Some(match name {
        "Bool" => Shape::same(name, DataType::Boolean),
        "Int8" => Shape::same(name, DataType::Int8),
        "Int16" => Shape::same(name, DataType::Int16),
        "Int32" => Shape::same(name, DataType::Int32),
        "Int64" => Shape::same(name, DataType::Int64),
        "UInt8" => Shape::same(name, DataType::UInt8),
        "UInt16" => Shape::same(name, DataType::UInt16),
        "UInt32" => Shape::same(name, DataType::UInt32),
        "UInt64" => Shape::same(name, DataType::UInt64),
        "BFloat16" | "Float32" => Shape::same("Float32", DataType::Float32),
        "Float64" => Shape::same(name, DataType::Float64),
        // Servers before 23.8 send a `Date` as a number.
        "Date" | "Date32" => Shape::same("Date32", DataType::Date32),
        "Nothing" => Shape::same(name, DataType::Null),
        "String" | "IPv4" | "IPv6" | "Time" => Shape::text(Meaning::Text),
        // 39 and 78 digits: the widest decimal has 76.
        "Int128" | "Int256" | "UInt128" | "UInt256" => Shape::text(Meaning::Text),
        "UUID" => Shape::text(Meaning::Uuid),
        "Point" => point(),
        "Ring" | "LineString" => list(point()),
        "Polygon" | "MultiLineString" => list(list(point())),
        "MultiPolygon" => list(list(list(point()))),
        _ if name.starts_with("Interval") => Shape::same("Int64", DataType::Int64),
        _ => return None,
    })
}

fn point() -> Shape {
    let member = |name: &str| (name.to_owned(), Shape::same("Float64", DataType::Float64));
    Shape::new("Tuple(Float64, Float64)", Wire::Struct(vec![member("1"), member("2")]))
}

fn list(item: Shape) -> Shape {
    // An array of nothing is an empty one.
    let item = match item.wire {
        Wire::Same(DataType::Null) if !item.is_nullable => item.nullable(),
        _ => item,
    };
    Shape::new(format!("Array({})", item.sql), Wire::List(Box::new(item)))
}

fn tuple(arguments: &[&str], depth: usize) -> Result<Shape, Cause> {
    let mut members = Vec::with_capacity(arguments.len());
    let mut sql = Vec::with_capacity(arguments.len());
    for (index, argument) in arguments.iter().enumerate() {
        let (name, written) = names::member(argument).ok_or_else(|| unreadable(argument))?;
        let of = read(written, depth + 1)?;
        sql.push(match &name {
            Some(name) => format!("{} {}", names::quoted(name, '`'), of.sql),
            None => of.sql.clone(),
        });
        members.push((name.unwrap_or_else(|| (index + 1).to_string()), of));
    }
    if members.is_empty() {
        return Err(Cause::new("it is an empty tuple").with_hint("leave it out in a query"));
    }
    Ok(Shape::new(format!("Tuple({})", sql.join(", ")), Wire::Struct(members)))
}

fn decimal(precision: u8, scale: u8) -> Option<Shape> {
    let digits = i8::try_from(scale).ok().filter(|_| scale <= precision)?;
    let data_type = match precision {
        1..=DECIMAL128_DIGITS => DataType::Decimal128(precision, digits),
        39..=76 => DataType::Decimal256(precision, digits),
        _ => return None,
    };
    Some(Shape::same(format!("Decimal({precision}, {scale})"), data_type))
}

/// A time with so many digits of fraction, which arrives in the unit that holds them.
fn time(digits: u8) -> Shape {
    let unit = match digits {
        0 => TimeUnit::Second,
        1..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    };
    Shape::same(
        format!("DateTime64({digits}, '{UTC}')"),
        DataType::Timestamp(unit, Some(UTC.into())),
    )
}

/// Characters of a type that a message repeats.
const SHOWN_CHARS: usize = 80;

fn unreadable(written: &str) -> Cause {
    let shown: String = written.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect();
    Cause::new(format!("its type `{shown}` cannot be read")).with_hint("convert it in a query, as in toString(column)")
}

fn refused(name: &str) -> Cause {
    let shown: String = name.chars().take(SHOWN_CHARS).collect();
    let cause = Cause::new(format!("its type {shown} cannot be exported"));
    cause.with_hint(match name {
        "AggregateFunction" => "finish it in a query, as in finalizeAggregation(column)",
        "Object" => "write it as text in a query, as in toJSONString(column)",
        "QBit" => "convert it in a query, as in CAST(column AS Array(Float32))",
        _ => "convert it in a query, as in toString(column)",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType::{List, Map, Struct};
    use batch_export_system::explain::Explain;

    #[test]
    fn every_type_is_asked_for_as_one_that_arrives_the_same_from_every_server() {
        for (written, sql, expect) in [
            ("UInt64", "UInt64", "UInt64"),
            ("Nullable(Int8)", "Nullable(Int8)", "Int8"),
            ("LowCardinality(Nullable(String))", "Nullable(String)", "Utf8"),
            ("DateTime", "DateTime64(0, 'UTC')", "Timestamp(s, \"UTC\")"),
            (
                "DateTime('Europe/Berlin')",
                "DateTime64(0, 'UTC')",
                "Timestamp(s, \"UTC\")",
            ),
            (
                "DateTime64(3, 'Asia/Tokyo')",
                "DateTime64(3, 'UTC')",
                "Timestamp(ms, \"UTC\")",
            ),
            ("DateTime64(7)", "DateTime64(7, 'UTC')", "Timestamp(ns, \"UTC\")"),
            ("Date", "Date32", "Date32"),
            ("Enum8('a(' = -1, 'b\\'),' = 2)", "String", "Utf8"),
            ("Decimal(38, 4)", "Decimal(38, 4)", "Decimal128(38, 4)"),
            ("Decimal(76, 0)", "Decimal(76, 0)", "Decimal256(76, 0)"),
            ("FixedString(4)", "FixedString(4)", "Utf8"),
            ("UUID", "String", "FixedSizeBinary(16)"),
            ("Int256", "String", "Utf8"),
            ("JSON(max_dynamic_paths=8, a.b UInt32, SKIP c)", "String", "Utf8"),
            ("SimpleAggregateFunction(sum, UInt64)", "UInt64", "UInt64"),
            ("Nullable(Nothing)", "Nullable(Nothing)", "Null"),
            ("Array(Nothing)", "Array(Nullable(Nothing))", "List(Null)"),
            ("IntervalDay", "Int64", "Int64"),
            ("Array(Array(IPv4))", "Array(Array(String))", "List(List(Utf8))"),
        ] {
            let shape = Shape::of(written).expect(written);
            assert_eq!(shape.sql, sql, "{written}");
            assert_eq!(shape.data_type().to_string(), expect, "{written}");
        }
    }

    #[test]
    fn types_inside_others_keep_their_names_and_marks() {
        let shape = Shape::of("Array(Tuple(\n    `a ``x\\` ` DateTime,\n    b Map(LowCardinality(String), JSON)))")
            .expect("a type");
        assert_eq!(
            shape.sql,
            "Array(Tuple(`a \\`x\\` ` DateTime64(0, 'UTC'), `b` Map(String, String)))"
        );
        let List(item) = shape.data_type() else {
            panic!("a list")
        };
        let Struct(members) = item.data_type() else {
            panic!("a struct")
        };
        assert_eq!(members[0].name(), "a `x` ");
        let Map(pairs, false) = members[1].data_type() else {
            panic!("a map")
        };
        let Struct(pair) = pairs.data_type() else {
            panic!("pairs")
        };
        assert_eq!(pair[1].metadata()[EXTENSION_NAME], JSON_EXTENSION);
        let unnamed = Shape::of("Tuple(UInt8, Nested(x Int32))").expect("a type");
        assert_eq!(unnamed.sql, "Tuple(UInt8, Array(Tuple(`x` Int32)))");
    }

    #[test]
    fn what_cannot_be_exported_says_what_to_do() {
        for (written, expect) in [
            (
                "AggregateFunction(sum, UInt64)",
                "its type AggregateFunction cannot be exported; finish it in a query, as in finalizeAggregation(column)",
            ),
            (
                "Variant(Int32, String)",
                "its type Variant cannot be exported; convert it in a query, as in toString(column)",
            ),
            ("Array(Dynamic)", "its type Dynamic cannot be exported"),
            ("Tuple()", "it is an empty tuple"),
            ("Decimal(77, 0)", "its type `Decimal(77, 0)` cannot be read"),
            ("Decimal(2, 3)", "its type `Decimal(2, 3)` cannot be read"),
            ("DateTime64(10)", "its type `DateTime64(10)` cannot be read"),
            ("FixedString(0)", "its type `FixedString(0)` cannot be read"),
            ("Array(", "its type `Array(` cannot be read"),
            ("Array(Int8))", "its type `Array(Int8))` cannot be read"),
            ("Enum8('a", "its type `Enum8('a` cannot be read"),
            ("Int8, String", "its type `Int8, String` cannot be read"),
            (
                "String) FROM system.users --",
                "its type `String) FROM system.users --` cannot be read",
            ),
            ("", "its type `` cannot be read"),
        ] {
            let cause = Shape::of(written).expect_err(written);
            let said = format!("{}; {}", cause.message(), cause.hint().unwrap_or_default());
            assert!(said.starts_with(expect), "{said}");
        }
        let deep = format!("{}Int8{}", "Array(".repeat(100_000), ")".repeat(100_000));
        let cause = Shape::of(&deep).expect_err("too deep");
        assert_eq!(cause.message(), "it has more than 32 types inside each other");
    }
}
