//! Values against columns: what is taken exactly, and what is refused and how.

use super::*;
use arrow::array::AsArray;
use arrow::datatypes::{TimestampMicrosecondType, TimestampNanosecondType};
use arrow::util::display::array_value_to_string;

fn column(is: &str, origin: Origin) -> (Column, Arc<Noted>) {
    let noted = Arc::new(Noted::default());
    let is = is.parse().expect("a type");
    (Column::new(Make { is, origin }, Arc::clone(&noted)), noted)
}

/// Returns the value as text, or the error.
fn taken(is: &str, origin: Origin, written: &str, is_json: bool) -> Result<String, String> {
    let (mut column, _) = column(is, origin);
    if is_json {
        column
            .append_json(serde_json::from_str(written).expect("JSON"))
            .map_err(|cause| cause.in_one_text())?;
    } else {
        column.append_field(written).map_err(|cause| cause.in_one_text())?;
    }
    let array = column.finish();
    assert_eq!(array.len(), 1);
    if array.is_null(0) {
        return Ok("NULL".to_owned());
    }
    // Arrow's own display looks zones up in a database that it is built without.
    if let Some(micros) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        return Ok(Moment(micros.value(0)).to_string());
    }
    if let Some(nanos) = array.as_primitive_opt::<TimestampNanosecondType>() {
        return Ok(format!("{} ns", nanos.value(0)));
    }
    Ok(array_value_to_string(&array, 0).expect("a value"))
}

#[test]
fn json_values_of_columns_with_a_type() {
    let declared = |is, written| taken(is, Origin::Declared, written, true);
    for (is, written, expect) in [
        ("text", "144126219108390099", "144126219108390099"),
        ("text", "1.10", "1.10"),
        ("text", "1e400", "1e400"),
        ("text", "true", "true"),
        ("text", r#""\u00e9""#, "é"),
        ("text", r#"{"a": 1}"#, r#"{"a": 1}"#),
        ("text", "null", "NULL"),
        ("json", r#""null""#, "null"),
        ("json", r#"{"a": 1}"#, r#"{"a": 1}"#),
        ("int64", "9007199254740993", "9007199254740993"),
        ("int64", r#""9007199254740993""#, "9007199254740993"),
        ("int64", "5.0", "5"),
        ("int64", "5e3", "5000"),
        ("uint64", "18446744073709551615", "18446744073709551615"),
        ("float64", "0.10000000000000001", "0.1"),
        ("float64", r#""NaN""#, "NaN"),
        (
            "decimal(38,9)",
            "123456789012345678901234567.123456789",
            "123456789012345678901234567.123456789",
        ),
        ("decimal(38,9)", r#""1.5""#, "1.500000000"),
        (
            "decimal(76,30)",
            "0.123456789012345678901234567890",
            "0.123456789012345678901234567890",
        ),
        ("boolean", r#""true""#, "true"),
        ("timestamp", r#""2026-01-01T00:00:00Z""#, "2026-01-01T00:00:00+00:00"),
        ("timestamp(s)", "1767225600", "2026-01-01T00:00:00+00:00"),
        ("timestamp(s)", "1767225600.25", "2026-01-01T00:00:00.250000+00:00"),
        ("timestamp(ms)", "1767225600001", "2026-01-01T00:00:00.001000+00:00"),
        ("timestamp(ms)", r#""-1""#, "1969-12-31T23:59:59.999000+00:00"),
        ("timestamp(us)", "1767225600000001", "2026-01-01T00:00:00.000001+00:00"),
        ("timestamp(ns)", "1767225600000000001", "1767225600000000001 ns"),
        ("list(text)", r#"["a", null]"#, "[a, ]"),
    ] {
        assert_eq!(declared(is, written), Ok(expect.to_owned()), "{is} {written}");
    }
    for (is, written, expect) in [
        (
            "int64",
            "9223372036854775808",
            "expected a 64-bit integer, found `9223372036854775808`",
        ),
        ("int64", "1.5", "expected a 64-bit integer, found `1.5`"),
        ("int64", r#""""#, "expected a 64-bit integer, found ``"),
        (
            "uint64",
            "-1",
            "expected an integer from 0 to 18446744073709551615, found `-1`",
        ),
        ("float64", "1e400", "`1e400` is outside the range of 64-bit floats"),
        (
            "decimal(5,2)",
            "50000000.00",
            "`50000000.00` has more than 3 digits before the decimal point, but the column is decimal(5,2)",
        ),
        (
            "decimal(5,2)",
            "1.001",
            "`1.001` has more than 2 digits after the decimal point, but the column is decimal(5,2)",
        ),
        ("decimal(5,2)", r#""a""#, "expected a number, found `a`"),
        ("boolean", "1", "expected true or false, found `1`"),
        (
            "timestamp",
            "1767225600000",
            "expected a time such as \"2026-01-01T00:00:00Z\", found the number `1767225600000`; if it is counted \
             from 1970, give the column the type `timestamp(ms)` in the source's `columns`",
        ),
        (
            "timestamp",
            "true",
            "expected a time such as \"2026-01-01T00:00:00Z\", found `true`",
        ),
        (
            "timestamp(ms)",
            r#""2026-01-01""#,
            "expected a time as a number, found `2026-01-01`; if times are written as text, give the column the type `timestamp`",
        ),
        (
            "timestamp(s)",
            "1767225600000",
            "`1767225600000` is not in the years 1 to 9999",
        ),
        ("timestamp(ns)", "1e19", "`1e19` nanoseconds do not fit into 64 bits"),
        ("list(text)", "[1]", "expected a list of text, found `[1]`"),
    ] {
        assert_eq!(declared(is, written), Err(expect.to_owned()), "{is} {written}");
    }
}

#[test]
fn values_beyond_what_was_found_name_both_ways_out() {
    let way_out = "; the column's type was found in the first rows; raise the source's `infer_rows` (0 means all \
                   rows), or give the column a type in the source's `columns`";
    let long = format!("[{}]", "7".repeat(60));
    let cut = format!("expected text, found `[{}…`", "7".repeat(39));
    for (is, written, is_json, expect) in [
        ("int64", "1.5", true, "expected a 64-bit integer, found `1.5`"),
        ("int64", "\"1\"", true, "expected a 64-bit integer, found `\"1\"`"),
        ("int64", "007", false, "expected a number, found `007`"),
        (
            "float64",
            "9007199254740993",
            true,
            "`9007199254740993` cannot be represented exactly by a 64-bit float",
        ),
        (
            "float64",
            "1e400",
            false,
            "`1e400` is outside the range of 64-bit floats",
        ),
        ("float64", "N/A", false, "expected a number, found `N/A`"),
        ("boolean", "1", true, "expected true or false, found `1`"),
        ("text", &long, true, &cut),
    ] {
        let found = taken(is, Origin::Found, written, is_json);
        assert_eq!(found, Err(format!("{expect}{way_out}")), "{is} {written}");
    }
}

#[test]
fn a_mixture_keeps_every_value_as_it_is_written() {
    for written in [
        "5",
        "1.10",
        "1e400",
        "\"null\"",
        "\"5\"",
        "\"00123\"",
        "\"[1]\"",
        "[1, 2]",
        "true",
        r#""\ud83d""#,
    ] {
        let found = taken("json", Origin::Found, written, true);
        assert_eq!(found, Ok(written.to_owned()));
    }
    assert_eq!(taken("json", Origin::Found, "null", true), Ok("NULL".to_owned()));
}

#[test]
fn what_is_done_to_values_is_counted() {
    let (mut text, noted) = column("text", Origin::Model);
    for value in [r#""user \ud83d""#, r#""fine""#, r#""\ude00\ude00""#] {
        text.append_json(serde_json::from_str(value).expect("JSON"))
            .expect("text");
    }
    assert_eq!(noted.surrogates_replaced.load(Ordering::Relaxed), 3);
    let (mut list, noted) = column("list(text)", Origin::Model);
    list.append_json(serde_json::from_str(r#"["a", "\ud83d", null]"#).expect("JSON"))
        .expect("a list");
    assert_eq!(noted.surrogates_replaced.load(Ordering::Relaxed), 1);
    let (mut float, noted) = column("float64", Origin::Declared);
    for value in ["0.1", "0.10", "9007199254740993", "1e22"] {
        float.append_field(value).expect("a float");
    }
    assert_eq!(noted.numbers_rounded.load(Ordering::Relaxed), 1);
}
