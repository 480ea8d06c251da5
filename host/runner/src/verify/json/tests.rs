//! Values as JSON Lines hold them, against the columns that they came from.

use std::sync::Arc;

use arrow::array::{
    FixedSizeBinaryArray, Float32Array, Float64Array, Int64Array, ListArray, StringArray, StructArray,
    TimestampMicrosecondArray, TimestampNanosecondArray,
};

use super::*;
use batch_export_source::ColumnKind;

#[test]
fn documents_are_the_same_when_their_tokens_are() {
    let cases = [
        (r#"{"a":1.10,"b":[1,2]}"#, r#"{"a":1.10,"b":[1,2]}"#, true),
        ("{ \"a\" :\n1.10}", r#"{ "a" :1.10}"#, true),
        ("{\"a\":\"x\ny\"}", r#"{"a":"x\ny"}"#, true),
        (r#""\ud83d\ude00""#, "\"😀\"", true),
        (r#""\ud83d""#, r#""\ufffd""#, true),
        (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#, true),
        ("no json", r#""no json""#, true),
        ("", r#""""#, true),
        (r#"{"open":"#, r#""{\"open\":""#, true),
        (r#"{"a":1.10}"#, r#"{"a":1.1}"#, false),
        (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, false),
        (r#"{"a":1}"#, r#""{\"a\":1}""#, false),
        ("[1]", "[1,2]", false),
        ("12345678901234567890123", "12345678901234567890124", false),
        ("no json", r#""no  json""#, false),
        ("1", "1 2", false),
    ];
    for (source, written, expect) in cases {
        assert_eq!(same_document(source, written), expect, "{source} {written}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(same_document(&deep, &format!(" {deep}")));
}

#[test]
fn values_are_compared_by_their_type() {
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a\"\u{1}ü"), None]));
    let integers: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, 9_007_199_254_740_993]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 0.1]));
    let singles: ArrayRef = Arc::new(Float32Array::from(vec![1e10, -0.0]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000]));
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![-1, 1_999]));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
    ]));
    let structs: ArrayRef = Arc::new(StructArray::from(vec![(
        Arc::new(ColumnKind::Integer.field("n")),
        integers.clone(),
    )]));
    let cases: [(&ArrayRef, usize, &str, bool); 20] = [
        (&text, 0, r#""a\"\u0001ü""#, true),
        (&text, 0, r#""a""#, false),
        (&text, 1, "null", true),
        (&text, 1, r#""null""#, false),
        (&integers, 0, "-9223372036854775808", true),
        (&integers, 1, "9007199254740992", false),
        (&integers, 1, "9007199254740993 1", false),
        (&floats, 0, "null", true),
        (&floats, 1, "0.1", true),
        (&floats, 1, "0.10000000000000002", false),
        (&floats, 1, "null", false),
        (&singles, 0, "1e10", true),
        (&singles, 1, "0.0", false),
        (&times, 0, r#""1970-01-01T00:00:00+00:00""#, true),
        (&times, 1, r#""1970-01-01T00:00:01.500000+00:00""#, true),
        (&times, 1, r#""1970-01-01T00:00:01.5+00:00""#, false),
        (&nanos, 0, r#""1969-12-31T23:59:59.999999+00:00""#, true),
        (&lists, 0, "[1,null]", true),
        (&lists, 0, "[1]", false),
        (&structs, 1, r#"{"n":9007199254740993}"#, true),
    ];
    for (column, row, written, expect) in cases {
        let field = Field::new("c", column.data_type().clone(), true);
        assert_eq!(same_value(&field, column, row, written), expect, "{written}");
    }
    let field = ColumnKind::Json.field("properties");
    let json: ArrayRef = Arc::new(StringArray::from(vec![r#"{"a": 1}"#]));
    assert!(same_value(&field, &json, 0, r#"{"a":1}"#));
    assert!(!same_value(&field, &json, 0, r#""{\"a\": 1}""#));
}

/// Text that says of itself that it is JSON is written as JSON wherever it stands.
#[test]
fn json_inside_of_others_is_json() {
    let json: ArrayRef = Arc::new(StringArray::from(vec![r#"{"a": [1, {}]}"#, "no json"]));
    let inside = Arc::new(ColumnKind::Json.field("j"));
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let structs: ArrayRef = Arc::new(StructArray::from(vec![
        (Arc::clone(&inside), Arc::clone(&json)),
        (Arc::new(ColumnKind::Integer.field("n")), number),
    ]));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([2]);
    let lists: ArrayRef = Arc::new(ListArray::new(inside, offsets, json, None));
    for (column, row, written, expect) in [
        (&structs, 0, r#"{"j":{"a":[1,{}]},"n":1}"#, true),
        (&structs, 0, r#"{"j":{"a":[1,{}]},"n":2}"#, false),
        (&structs, 0, r#"{"j":{"a":[1]},"n":1}"#, false),
        (&structs, 0, r#"{"j":"{\"a\": [1, {}]}","n":1}"#, false),
        (&structs, 1, r#"{"j":"no json","n":2}"#, true),
        (&structs, 1, r#"{"j":{"open":[,"n":2}"#, false),
        (&lists, 0, r#"[{"a":[1,{}]},"no json"]"#, true),
        (&lists, 0, r#"[{"a":[1,{}]},"no  json"]"#, false),
    ] {
        let field = Field::new("c", column.data_type().clone(), true);
        assert_eq!(same_value(&field, column, row, written), expect, "{written}");
    }
}

#[test]
fn uuids_are_text_where_the_field_says_so() {
    const TEXT: &str = "0189a3f2-5c4b-7d10-8a1e-0123456789ab";
    let bytes = 0x0189_a3f2_5c4b_7d10_8a1e_0123_4567_89ab_u128.to_be_bytes();
    assert_eq!(uuid_text(&bytes), TEXT);
    let uuids: ArrayRef =
        Arc::new(FixedSizeBinaryArray::try_from_iter([bytes].into_iter()).expect("values of one length"));
    let plain = Field::new("c", uuids.data_type().clone(), true);
    let marked = plain
        .clone()
        .with_metadata([("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())]);
    let written = format!("\"{TEXT}\"");
    assert!(same_value(&marked, &uuids, 0, &written));
    assert!(!same_value(&marked, &uuids, 0, &written.to_uppercase()));
    assert!(!same_value(&plain, &uuids, 0, &written));
    let structs: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(marked), uuids)]));
    let field = Field::new("s", structs.data_type().clone(), true);
    let written = format!(r#"{{"c":{written}}}"#);
    assert!(same_value(&field, &structs, 0, &written));
}
