//! How values of every accepted type look in JSON Lines, and which types are refused.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::*;

use super::*;

fn array(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

fn values_of(column: ArrayRef) -> Vec<String> {
    let lines = lines_of(column, false);
    lines
        .lines()
        .map(|line| {
            let value = line.strip_prefix("{\"c\":").and_then(|rest| rest.strip_suffix('}'));
            value.unwrap().to_owned()
        })
        .collect()
}

#[test]
fn numbers_keep_every_digit() {
    let big = i256::from_string("12345678901234567890123456789012345678901234567890").unwrap();
    let decimal = |values: Vec<i128>, precision, scale| {
        array(
            Decimal128Array::from(values)
                .with_precision_and_scale(precision, scale)
                .unwrap(),
        )
    };
    let cases: Vec<(ArrayRef, &[&str])> = vec![
        (
            array(Int8Array::from(vec![Some(i8::MIN), None, Some(127)])),
            &["-128", "null", "127"],
        ),
        (array(Int16Array::from(vec![i16::MIN])), &["-32768"]),
        (array(Int32Array::from(vec![i32::MIN])), &["-2147483648"]),
        (
            array(Int64Array::from(vec![i64::MIN, i64::MAX])),
            &["-9223372036854775808", "9223372036854775807"],
        ),
        (array(UInt8Array::from(vec![255])), &["255"]),
        (array(UInt16Array::from(vec![65535])), &["65535"]),
        (array(UInt32Array::from(vec![u32::MAX])), &["4294967295"]),
        (array(UInt64Array::from(vec![u64::MAX])), &["18446744073709551615"]),
        (
            array(Float32Array::from(vec![0.1, -1.0, f32::NAN])),
            &["0.1", "-1.0", "null"],
        ),
        (
            array(Float64Array::from(vec![
                0.1,
                -0.0,
                1e300,
                5e-324,
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
            ])),
            &["0.1", "-0.0", "1e+300", "5e-324", "null", "null", "null"],
        ),
        (
            decimal(vec![0, 5, -5, 12345], 10, 2),
            &["0.00", "0.05", "-0.05", "123.45"],
        ),
        (decimal(vec![7, -7], 10, 0), &["7", "-7"]),
        (decimal(vec![7], 10, -3), &["7000"]),
        (
            array(Decimal32Array::from(vec![-1]).with_precision_and_scale(9, 9).unwrap()),
            &["-0.000000001"],
        ),
        (
            array(Decimal64Array::from(vec![150]).with_precision_and_scale(18, 2).unwrap()),
            &["1.50"],
        ),
        (
            array(
                Decimal256Array::from(vec![big])
                    .with_precision_and_scale(76, 10)
                    .unwrap(),
            ),
            &["1234567890123456789012345678901234567890.1234567890"],
        ),
    ];
    for (column, expected) in cases {
        let name = column.data_type().to_string();
        assert_eq!(values_of(column), expected, "{name}");
    }
}

#[test]
fn floats_read_back_equal() {
    let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
    let values: Vec<f64> = (0..20_000)
        .map(|_| {
            bits = bits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(bits)
        })
        .filter(|value| value.is_finite())
        .collect();
    let written = values_of(array(Float64Array::from(values.clone())));
    for (value, text) in values.iter().zip(written) {
        assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
    let halves = Float16Array::from_iter_values(
        [1.0_f32, 0.1, 65504.0].map(<Float16Type as ArrowPrimitiveType>::Native::from_f32),
    );
    assert_eq!(values_of(array(halves)), ["1.0", "0.099975586", "65504.0"]);
}

#[test]
fn moments_are_iso_8601_in_utc_whatever_the_unit() {
    let cases: Vec<(ArrayRef, &[&str])> = vec![
        (
            array(TimestampSecondArray::from(vec![Some(0), None])),
            &["\"1970-01-01T00:00:00+00:00\"", "null"],
        ),
        (
            array(TimestampMillisecondArray::from(vec![-1]).with_timezone("Europe/Berlin")),
            &["\"1969-12-31T23:59:59.999000+00:00\""],
        ),
        (
            array(TimestampMicrosecondArray::from(vec![1_672_531_200_123_456, i64::MIN]).with_timezone("UTC")),
            &[
                "\"2023-01-01T00:00:00.123456+00:00\"",
                "\"-290308-12-21T19:59:05.224192+00:00\"",
            ],
        ),
        (
            array(TimestampNanosecondArray::from(vec![1_999, -1])),
            &[
                "\"1970-01-01T00:00:00.000001+00:00\"",
                "\"1969-12-31T23:59:59.999999+00:00\"",
            ],
        ),
        (
            array(Date32Array::from(vec![19_358, -1])),
            &["\"2023-01-01\"", "\"1969-12-31\""],
        ),
        (
            array(Date64Array::from(vec![1_672_531_200_000, -1])),
            &["\"2023-01-01\"", "\"1969-12-31\""],
        ),
        (array(Time32SecondArray::from(vec![48_600])), &["\"13:30:00\""]),
        (
            array(Time32MillisecondArray::from(vec![48_600_001])),
            &["\"13:30:00.001000\""],
        ),
        (array(Time64MicrosecondArray::from(vec![1])), &["\"00:00:00.000001\""]),
        (array(Time64NanosecondArray::from(vec![999])), &["\"00:00:00\""]),
    ];
    for (column, expected) in cases {
        let name = column.data_type().to_string();
        assert_eq!(values_of(column), expected, "{name}");
    }
}

#[test]
fn strings_binary_booleans_and_nulls() {
    let texts = vec![Some("a\"\\\u{8}\u{c}\n\r\t\u{1}/\u{e9}\u{1F600}"), None, Some("")];
    let escaped: &[&str] = &["\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001/\u{e9}\u{1F600}\"", "null", "\"\""];
    let bytes: Vec<Option<&[u8]>> = vec![Some(b"\x00\xff\xfe"), None, Some(b""), Some(b"a")];
    let base64: &[&str] = &["\"AP/+\"", "null", "\"\"", "\"YQ==\""];
    let dictionary: DictionaryArray<Int8Type> = texts.iter().copied().collect();
    let fixed = FixedSizeBinaryArray::try_from_iter([[1_u8, 2]].into_iter()).unwrap();
    let cases: Vec<(ArrayRef, &[&str])> = vec![
        (array(StringArray::from(texts.clone())), escaped),
        (array(LargeStringArray::from(texts.clone())), escaped),
        (array(StringViewArray::from(texts.clone())), escaped),
        (array(dictionary), escaped),
        (array(BinaryArray::from(bytes.clone())), base64),
        (array(LargeBinaryArray::from(bytes.clone())), base64),
        (array(BinaryViewArray::from(bytes)), base64),
        (array(fixed), &["\"AQI=\""]),
        (
            array(BooleanArray::from(vec![Some(true), None, Some(false)])),
            &["true", "null", "false"],
        ),
        (array(NullArray::new(2)), &["null", "null"]),
    ];
    for (column, expected) in cases {
        let name = column.data_type().to_string();
        assert_eq!(values_of(column), expected, "{name}");
    }
}

/// `[[1, null], null, [], [2]]` and the same sliced.
#[test]
fn lists_structs_and_maps_nest() {
    let numbers = || array(Int64Array::from(vec![Some(1), None, Some(2)]));
    let item = || Arc::new(Field::new_list_field(DataType::Int64, true));
    let nulls = || Some(NullBuffer::from(vec![true, false, true, true]));
    let small = ListArray::new(
        item(),
        OffsetBuffer::new(vec![0, 2, 2, 2, 3].into()),
        numbers(),
        nulls(),
    );
    let large = LargeListArray::new(
        item(),
        OffsetBuffer::new(vec![0_i64, 2, 2, 2, 3].into()),
        numbers(),
        nulls(),
    );
    let expected = ["[1,null]", "null", "[]", "[2]"];
    assert_eq!(values_of(array(small.clone())), expected);
    assert_eq!(values_of(array(small.slice(2, 2))), expected[2..]);
    assert_eq!(values_of(array(large)), expected);

    let pairs = FixedSizeListArray::new(item(), 1, numbers(), None);
    assert_eq!(values_of(array(pairs)), ["[1]", "[null]", "[2]"]);

    let json = Field::new("j", DataType::Utf8, true).with_metadata(std::collections::HashMap::from([(
        "ARROW:extension:name".to_owned(),
        "arrow.json".to_owned(),
    )]));
    let fields = Fields::from(vec![Field::new("n \"", DataType::Int64, true), json]);
    let texts = array(StringArray::from(vec![Some("{\"x\":1.10}"), Some("no"), None]));
    let structs = StructArray::new(
        fields,
        vec![numbers(), texts],
        Some(NullBuffer::from(vec![true, true, false])),
    );
    assert_eq!(
        values_of(array(structs)),
        [
            "{\"n \\\"\":1,\"j\":{\"x\":1.10}}",
            "{\"n \\\"\":null,\"j\":\"no\"}",
            "null"
        ]
    );
    let empty = StructArray::new_empty_fields(1, None);
    assert_eq!(values_of(array(empty)), ["{}"]);
}

#[test]
fn map_keys_are_strings() {
    fn map(keys: ArrayRef) -> ArrayRef {
        let key_type = keys.data_type().clone();
        let fields = Fields::from(vec![
            Field::new("keys", key_type, false),
            Field::new("values", DataType::Int64, true),
        ]);
        let values = array(Int64Array::from(vec![Some(1), None]));
        let entries = StructArray::new(fields.clone(), vec![keys, values], None);
        let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
        array(MapArray::new(
            field,
            OffsetBuffer::new(vec![0, 2, 2].into()),
            entries,
            None,
            false,
        ))
    }
    let cases: Vec<(ArrayRef, &str)> = vec![
        (array(StringArray::from(vec!["a", "\""])), "{\"a\":1,\"\\\"\":null}"),
        (array(Int64Array::from(vec![5, -5])), "{\"5\":1,\"-5\":null}"),
        (
            array(BooleanArray::from(vec![true, false])),
            "{\"true\":1,\"false\":null}",
        ),
        (
            array(Date32Array::from(vec![0, 1])),
            "{\"1970-01-01\":1,\"1970-01-02\":null}",
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(values_of(map(keys)), [expected, "{}"]);
    }
}

#[test]
fn rows_are_objects_in_column_order_with_every_column() {
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("b", array(Int64Array::from(vec![Some(1), None])), true),
        ("a\n", array(StringArray::from(vec![None, Some("x")])), true),
    ])
    .unwrap();
    for codec in LINES_CODECS {
        let file = one_file(std::slice::from_ref(&batch), Format::JsonLines(codec), &[]);
        let text = text_of(&file.bytes, codec);
        assert_eq!(text, "{\"b\":1,\"a\\n\":null}\n{\"b\":null,\"a\\n\":\"x\"}\n");
        assert_eq!((file.rows, file.bytes_encoded), (2, text.len() as u64));
    }
}

#[test]
fn every_level_of_every_codec_reads_back() {
    let gzip = (0..=9).map(JsonLinesCodec::Gzip);
    let brotli = (0..=11).map(JsonLinesCodec::Brotli);
    let zstd = (1..=22).map(JsonLinesCodec::Zstd);
    let batches = [events(0, 2_000)];
    let plain = String::from_utf8(one_file(&batches, LINES, &[false, false, true]).bytes).unwrap();
    for codec in gzip.chain(brotli).chain(zstd) {
        let file = one_file(&batches, Format::JsonLines(codec), &[false, false, true]);
        assert!(text_of(&file.bytes, codec) == plain, "{codec:?}");
    }
}

#[test]
fn types_that_no_file_can_hold_are_refused_with_their_name() {
    let union = UnionFields::try_new(vec![0], vec![Field::new("n", DataType::Int64, true)]).unwrap();
    let run_ends = Arc::new(Field::new("run_ends", DataType::Int32, false));
    let values = Arc::new(Field::new("values", DataType::Utf8, true));
    let text = Arc::new(Field::new_list_field(DataType::Utf8, true));
    let month = Arc::new(Field::new("item", DataType::Interval(IntervalUnit::YearMonth), true));
    let cases = [
        (
            DataType::Duration(TimeUnit::Second),
            "Duration(s)",
            "durations cannot be exported",
        ),
        (
            DataType::Interval(IntervalUnit::DayTime),
            "Interval(DayTime)",
            "intervals cannot be exported",
        ),
        (
            DataType::Union(union, UnionMode::Sparse),
            "Union(Sparse, 0: (\"n\": Int64))",
            "unions cannot be exported",
        ),
        (
            DataType::RunEndEncoded(run_ends, values),
            "RunEndEncoded(non-null Int32, Utf8)",
            "run-end encoded columns cannot be exported",
        ),
        (
            DataType::List(month),
            "List(Interval(YearMonth))",
            "intervals cannot be exported",
        ),
        (
            DataType::ListView(text),
            "ListView(Utf8)",
            "list views cannot be exported, but lists can",
        ),
        (
            DataType::Decimal128(39, 0),
            "Decimal128(39, 0)",
            "its precision and scale are not valid for a decimal of this width",
        ),
        (
            DataType::Decimal64(4, 5),
            "Decimal64(4, 5)",
            "its precision and scale are not valid for a decimal of this width",
        ),
        (
            DataType::FixedSizeBinary(-1),
            "FixedSizeBinary(-1)",
            "a width cannot be negative",
        ),
    ];
    for (data_type, name, reason) in cases {
        let schema = Schema::new(vec![
            Field::new("fine", DataType::Utf8, true),
            Field::new("odd", data_type, true),
        ]);
        for format in every_format() {
            assert_eq!(
                check_schema(&schema, format).unwrap_err().to_string(),
                format!("column `odd` is of type {name}: {reason}")
            );
        }
    }
    let many: Vec<Field> = (0..22)
        .map(|number| Field::new(format!("d{number}"), DataType::Duration(TimeUnit::Second), true))
        .collect();
    let all = check_schema(&Schema::new(many), LINES).unwrap_err().to_string();
    assert!(
        all.starts_with("column `d0` is of type Duration(s): durations cannot be exported; column `d1` is"),
        "{all}"
    );
    assert!(
        all.contains("`d19`") && !all.contains("`d20`") && all.ends_with("; and 2 more"),
        "{all}"
    );
    let error = Layout::new(&Schema::empty(), LINES, None, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the schema has no columns, so there is nothing to export"
    );
}

#[test]
fn two_fields_of_one_name_are_refused_at_every_depth() {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let text = || field("x", DataType::Utf8);
    let number = || field("x", DataType::Int64);
    let pair = || DataType::Struct(vec![text(), number()].into());
    let item = |data_type| Arc::new(Field::new_list_field(data_type, true));
    let entries = DataType::Struct(vec![field("key", DataType::Utf8), field("value", pair())].into());
    let nested = [
        pair(),
        DataType::Struct(vec![field("deeper", pair())].into()),
        DataType::List(item(pair())),
        DataType::LargeList(item(DataType::FixedSizeList(item(pair()), 2))),
        DataType::Map(Arc::new(Field::new("entries", entries, false)), false),
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(pair())),
    ];
    for format in every_format() {
        let top = Schema::new(vec![text(), field("y", DataType::Utf8), number()]);
        assert_eq!(
            check_schema(&top, format).unwrap_err().to_string(),
            "the schema has two fields named \"x\", of which readers would see only one"
        );
        for data_type in &nested {
            let schema = Schema::new(vec![field("outer", data_type.clone())]);
            let error = check_schema(&schema, format).unwrap_err().to_string();
            assert!(
                error.ends_with("two fields named \"x\", of which readers would see only one"),
                "{error}"
            );
        }
        // The same name at different depths, or in other capitals, is another name.
        let schema = Schema::new(vec![
            text(),
            field("X", DataType::Utf8),
            field("s", DataType::Struct(vec![text()].into())),
        ]);
        assert!(check_schema(&schema, format).is_ok());
    }
}
