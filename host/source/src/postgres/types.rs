//! What becomes of PostgreSQL's types: how a column's values come, and the columns that they make. Reads no value.

use arrow::datatypes::{DataType, Field, TimeUnit};
use std::sync::Arc;
use tokio_postgres::types::{Kind as TypeKind, Type};

use crate::model::{ColumnKind, EXTENSION_NAME, UUID_EXTENSION};

/// The way in which values come, and what they become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Int16,
    Int32,
    Int64,
    /// An unsigned integer of 32 bits.
    Oid,
    Float32,
    Float64,
    Text,
    Json,
    /// JSON behind the number of its format.
    Jsonb,
    Binary,
    Uuid,
    Date,
    Time,
    Timestamp {
        is_zoned: bool,
    },
    /// A number of any length, as text.
    NumericText,
    Decimal128 {
        precision: u8,
        scale: i8,
    },
    Decimal256 {
        precision: u8,
        scale: i8,
    },
    List(Box<Kind>),
}

/// What the server makes of a column before it sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cast {
    None,
    /// Its text, as the server shows it.
    Text,
    /// The text of each element of an array.
    TextOfEach,
    /// An address, whose cast to text adds what the server does not show.
    Address,
    /// An array of them.
    AddressOfEach,
}

/// The bytes of a UUID.
const UUID_BYTES: i32 = 16;
/// What `numeric` adds to its precision and scale in the modifier of a type.
const MODIFIER_OFFSET: i32 = 4;
/// The bits of the scale in it, of which one is the sign.
const SCALE_BITS: i32 = 0x7ff;
const SCALE_SIGN: i32 = 0x400;
/// Digits of the decimals that there are.
const DIGITS_OF_128: i32 = 38;
const DIGITS_OF_256: i32 = 76;

/// Returns what becomes of a type with its modifier. Domains are what they are made of.
pub(super) fn of(found: &Type, modifier: i32) -> (Kind, Cast) {
    match found.kind() {
        TypeKind::Domain(base) => of(base, modifier),
        // Its values come as their labels.
        TypeKind::Enum(_) => (Kind::Text, Cast::None),
        TypeKind::Array(member) => match of(member, modifier) {
            (Kind::List(_), _) | (_, Cast::Text | Cast::TextOfEach) => list(Kind::Text, Cast::TextOfEach),
            (_, Cast::Address | Cast::AddressOfEach) => list(Kind::Text, Cast::AddressOfEach),
            (kind, Cast::None) => list(kind, Cast::None),
        },
        TypeKind::Simple => simple(found, modifier),
        _ => (Kind::Text, Cast::Text),
    }
}

fn list(kind: Kind, cast: Cast) -> (Kind, Cast) {
    (Kind::List(Box::new(kind)), cast)
}

fn simple(found: &Type, modifier: i32) -> (Kind, Cast) {
    let kind = match *found {
        Type::BOOL => Kind::Boolean,
        Type::INT2 => Kind::Int16,
        Type::INT4 => Kind::Int32,
        Type::INT8 => Kind::Int64,
        Type::OID => Kind::Oid,
        Type::FLOAT4 => Kind::Float32,
        Type::FLOAT8 => Kind::Float64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => Kind::Text,
        Type::JSON => Kind::Json,
        Type::JSONB => Kind::Jsonb,
        Type::BYTEA => Kind::Binary,
        Type::UUID => Kind::Uuid,
        Type::DATE => Kind::Date,
        Type::TIME => Kind::Time,
        Type::TIMESTAMP => Kind::Timestamp { is_zoned: false },
        Type::TIMESTAMPTZ => Kind::Timestamp { is_zoned: true },
        Type::NUMERIC => numeric(modifier),
        Type::INET => return (Kind::Text, Cast::Address),
        _ => return (Kind::Text, Cast::Text),
    };
    (kind, Cast::None)
}

/// Returns the decimal that holds every value of a `numeric`, or text where there is none.
fn numeric(modifier: i32) -> Kind {
    if modifier < MODIFIER_OFFSET {
        return Kind::NumericText;
    }
    let packed = modifier - MODIFIER_OFFSET;
    let (precision, scale) = (
        (packed >> 16) & 0xffff,
        ((packed & SCALE_BITS) ^ SCALE_SIGN) - SCALE_SIGN,
    );
    // `numeric(3, -2)` is up to 99900, and `numeric(2, 5)` is up to 0.00099.
    let (precision, scale) = match scale {
        ..0 => (precision - scale, 0),
        _ => (precision.max(scale), scale),
    };
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(digits), Ok(scale)) if precision <= DIGITS_OF_128 => Kind::Decimal128 {
            precision: digits,
            scale,
        },
        (Ok(digits), Ok(scale)) if precision <= DIGITS_OF_256 => Kind::Decimal256 {
            precision: digits,
            scale,
        },
        _ => Kind::NumericText,
    }
}

impl Kind {
    /// Returns whether a value says when something was, and may be before or after all others.
    pub(super) fn is_time(&self) -> bool {
        matches!(self, Kind::Date | Kind::Timestamp { .. })
    }

    /// Returns the field of a column of that name.
    pub(super) fn field(&self, name: &str) -> Field {
        match self {
            Kind::Json | Kind::Jsonb => ColumnKind::Json.field(name),
            Kind::Uuid => Field::new(name, self.data_type(), true)
                .with_metadata([(EXTENSION_NAME.to_owned(), UUID_EXTENSION.to_owned())]),
            _ => Field::new(name, self.data_type(), true),
        }
    }

    /// Returns the type of the values that it becomes.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Kind::Boolean => DataType::Boolean,
            Kind::Int16 => DataType::Int16,
            Kind::Int32 => DataType::Int32,
            Kind::Int64 | Kind::Oid => DataType::Int64,
            Kind::Float32 => DataType::Float32,
            Kind::Float64 => DataType::Float64,
            Kind::Text | Kind::Json | Kind::Jsonb | Kind::NumericText => DataType::Utf8,
            Kind::Binary => DataType::Binary,
            Kind::Uuid => DataType::FixedSizeBinary(UUID_BYTES),
            Kind::Date => DataType::Date32,
            Kind::Time => DataType::Time64(TimeUnit::Microsecond),
            Kind::Timestamp { is_zoned } => {
                DataType::Timestamp(TimeUnit::Microsecond, is_zoned.then(|| Arc::from("UTC")))
            }
            Kind::Decimal128 { precision, scale } => DataType::Decimal128(*precision, *scale),
            Kind::Decimal256 { precision, scale } => DataType::Decimal256(*precision, *scale),
            Kind::List(item) => DataType::List(Arc::new(item.field(Field::LIST_FIELD_DEFAULT_NAME))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modifier(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & SCALE_BITS)) + MODIFIER_OFFSET
    }

    fn enumeration() -> Type {
        let labels = vec!["a".to_owned()];
        Type::new("mood".to_owned(), 70_000, TypeKind::Enum(labels), "public".to_owned())
    }

    fn array_of(member: Type) -> Type {
        Type::new("_x".to_owned(), 70_001, TypeKind::Array(member), "public".to_owned())
    }

    #[test]
    fn numbers_become_the_decimal_that_holds_them_all() {
        for (precision, scale, expect) in [
            (10, 2, DataType::Decimal128(10, 2)),
            (38, 38, DataType::Decimal128(38, 38)),
            (39, 0, DataType::Decimal256(39, 0)),
            (76, 10, DataType::Decimal256(76, 10)),
            (77, 0, DataType::Utf8),
            (1_000, 500, DataType::Utf8),
            (3, -2, DataType::Decimal128(5, 0)),
            (2, 5, DataType::Decimal128(5, 5)),
            (1, -1_000, DataType::Utf8),
        ] {
            let (kind, cast) = of(&Type::NUMERIC, modifier(precision, scale));
            assert_eq!((kind.data_type(), cast), (expect, Cast::None), "{precision}, {scale}");
        }
        assert_eq!(of(&Type::NUMERIC, -1).0, Kind::NumericText);
        let (kind, _) = of(&Type::NUMERIC_ARRAY, modifier(10, 2));
        assert_eq!(
            kind,
            Kind::List(Box::new(Kind::Decimal128 {
                precision: 10,
                scale: 2
            }))
        );
    }

    #[test]
    fn types_of_ones_own_are_what_they_are_made_of() {
        let domain = Type::new(
            "price".to_owned(),
            70_002,
            TypeKind::Domain(Type::INT4),
            "public".to_owned(),
        );
        assert_eq!(of(&domain, -1), (Kind::Int32, Cast::None));
        assert_eq!(of(&enumeration(), -1), (Kind::Text, Cast::None));
        assert_eq!(of(&array_of(enumeration()), -1), list(Kind::Text, Cast::None));
        let composite = Type::new(
            "pair".to_owned(),
            70_003,
            TypeKind::Composite(Vec::new()),
            "public".to_owned(),
        );
        assert_eq!(of(&composite, -1), (Kind::Text, Cast::Text));
        assert_eq!(of(&array_of(composite), -1), list(Kind::Text, Cast::TextOfEach));
        let lists = Type::new(
            "l".to_owned(),
            70_004,
            TypeKind::Domain(Type::INT4_ARRAY),
            "public".to_owned(),
        );
        assert_eq!(of(&array_of(lists), -1), list(Kind::Text, Cast::TextOfEach));
        let unknown = Type::new("geometry".to_owned(), 70_005, TypeKind::Simple, "gis".to_owned());
        assert_eq!(of(&unknown, -1), (Kind::Text, Cast::Text));
        assert_eq!(of(&Type::INET_ARRAY, -1), list(Kind::Text, Cast::AddressOfEach));
        for (found, expect) in [
            (Type::INTERVAL, Cast::Text),
            (Type::TIMETZ, Cast::Text),
            (Type::INET, Cast::Address),
        ] {
            assert_eq!(of(&found, -1), (Kind::Text, expect));
        }
    }

    #[test]
    fn json_and_uuids_are_marked_at_any_depth() {
        let marks = |kind: Kind| kind.field("a").metadata().get(EXTENSION_NAME).cloned();
        assert_eq!(marks(Kind::Jsonb).as_deref(), Some("arrow.json"));
        assert_eq!(marks(Kind::Uuid).as_deref(), Some("arrow.uuid"));
        assert_eq!(marks(Kind::Text), None);
        let DataType::List(item) = of(&Type::JSONB_ARRAY, -1).0.data_type() else {
            panic!("a list");
        };
        assert_eq!(
            item.metadata().get(EXTENSION_NAME).map(String::as_str),
            Some("arrow.json")
        );
    }
}
