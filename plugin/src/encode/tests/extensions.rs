//! UUID and JSON columns in both formats, and encodings that every listed reader takes.

use std::sync::Arc;

use ::parquet::basic::{Encoding, LogicalType, Type as PhysicalType};
use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::*;

use super::columns::{Draw, KINDS, column};
use super::*;

const PARQUET: Format = Format::Parquet(ParquetCodec::None);
const UUIDS: [&str; 2] = [
    "0189a3f2-5c4b-7d10-8a1e-0123456789ab",
    "00000000-0000-0000-0000-000000000000",
];

fn extended(name: &str, data_type: DataType, extension: &str) -> Field {
    Field::new(name, data_type, true).with_metadata([("ARROW:extension:name".to_owned(), extension.to_owned())])
}

/// Returns the UUIDs above with a null between them.
fn uuids() -> FixedSizeBinaryArray {
    let bytes = UUIDS.map(|text| {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        u128::from_str_radix(&digits, 16).unwrap().to_be_bytes()
    });
    let values = [Some(bytes[0]), None, Some(bytes[1])];
    FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 16).unwrap()
}

fn uuid_type() -> DataType {
    DataType::FixedSizeBinary(16)
}

fn batch_of(columns: Vec<(Field, ArrayRef)>) -> RecordBatch {
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn keyed_uuids() -> (Field, ArrayRef) {
    let keys = Int8Array::from(vec![Some(2), Some(0), None]);
    let dictionary = DictionaryArray::new(keys, Arc::new(uuids()));
    let field = extended("keyed", dictionary.data_type().clone(), "arrow.uuid");
    (field, Arc::new(dictionary))
}

fn listed_uuids() -> (Field, ArrayRef) {
    let item = Arc::new(extended("item", uuid_type(), "arrow.uuid"));
    let offsets = OffsetBuffer::from_lengths([2, 0, 1]);
    let lists = ListArray::new(item, offsets, Arc::new(uuids()), None);
    let field = Field::new("listed", lists.data_type().clone(), true);
    (field, Arc::new(lists))
}

fn structured_uuids() -> (Field, ArrayRef) {
    let fields = Fields::from(vec![
        extended("id", uuid_type(), "arrow.uuid"),
        extended("doc", DataType::Utf8, "arrow.json"),
    ]);
    let documents = StringArray::from(vec![Some("{\"a\":1.10}"), None, Some("7")]);
    let columns: Vec<ArrayRef> = vec![Arc::new(uuids()), Arc::new(documents)];
    let structs = StructArray::new(fields, columns, None);
    let field = Field::new("structured", structs.data_type().clone(), true);
    (field, Arc::new(structs))
}

fn mapped_uuids() -> (Field, ArrayRef) {
    let fields = Fields::from(vec![
        extended("key", uuid_type(), "arrow.uuid").with_nullable(false),
        extended("value", uuid_type(), "arrow.uuid"),
    ]);
    let keys: ArrayRef = Arc::new(uuids().slice(2, 1));
    let values: ArrayRef = Arc::new(uuids().slice(0, 1));
    let entries = StructArray::new(fields.clone(), vec![keys, values], None);
    let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    let offsets = OffsetBuffer::from_lengths([0, 0, 1]);
    let maps = MapArray::new(field, offsets, entries, None, false);
    let field = Field::new("mapped", maps.data_type().clone(), true);
    (field, Arc::new(maps))
}

fn everywhere() -> RecordBatch {
    let plain = (
        extended("plain", uuid_type(), "arrow.uuid"),
        Arc::new(uuids()) as ArrayRef,
    );
    let unmarked = (Field::new("unmarked", uuid_type(), true), Arc::new(uuids()) as ArrayRef);
    batch_of(vec![
        plain,
        unmarked,
        keyed_uuids(),
        listed_uuids(),
        structured_uuids(),
        mapped_uuids(),
    ])
}

#[test]
fn uuids_are_hyphenated_text_in_json_lines_at_any_depth() {
    let [a, b] = UUIDS;
    let file = one_file(&[everywhere()], LINES, &[]);
    assert_eq!(
        text_of(&file.bytes, JsonLinesCodec::None),
        [
            format!(
                r#"{{"plain":"{a}","unmarked":"AYmj8lxLfRCKHgEjRWeJqw==","keyed":"{b}","listed":["{a}",null],"structured":{{"id":"{a}","doc":{{"a":1.10}}}},"mapped":{{}}}}"#
            ),
            format!(
                r#"{{"plain":null,"unmarked":null,"keyed":"{a}","listed":[],"structured":{{"id":null,"doc":null}},"mapped":{{}}}}"#
            ),
            format!(
                r#"{{"plain":"{b}","unmarked":"AAAAAAAAAAAAAAAAAAAAAA==","keyed":null,"listed":["{b}"],"structured":{{"id":"{b}","doc":7}},"mapped":{{"{b}":"{a}"}}}}"#
            ),
            String::new(),
        ]
        .join("\n")
    );
}

#[test]
fn uuid_and_json_keep_their_logical_types_in_parquet_at_any_depth() {
    let (rows, metadata) = parquet_files::read(&one_file(&[everywhere()], PARQUET, &[]).bytes);
    let columns = metadata.file_metadata().schema_descr();
    let found: Vec<(String, Option<LogicalType>)> = columns
        .columns()
        .iter()
        .map(|column| (column.path().string(), column.logical_type_ref().cloned()))
        .collect();
    let uuid = Some(LogicalType::Uuid);
    let expected = [
        ("plain", uuid.clone()),
        ("unmarked", None),
        ("keyed", uuid.clone()),
        ("listed.list.item", uuid.clone()),
        ("structured.id", uuid.clone()),
        ("structured.doc", Some(LogicalType::Json)),
        ("mapped.entries.key", uuid.clone()),
        ("mapped.entries.value", uuid),
    ];
    assert_eq!(found, expected.map(|(path, logical)| (path.to_owned(), logical)));
    assert_eq!(rows.column(0).as_fixed_size_binary(), &uuids());
}

#[test]
fn a_models_text_column_holds_uuids_as_text_and_its_json_column_is_a_string() {
    let batch = batch_of(vec![
        (extended("uuid", uuid_type(), "arrow.uuid"), Arc::new(uuids())),
        keyed_uuids(),
        (
            extended("properties", DataType::Utf8, "arrow.json"),
            Arc::new(StringArray::from(vec!["{}"; 3])),
        ),
        (
            extended("own", DataType::Utf8, "arrow.json"),
            Arc::new(StringArray::from(vec!["{}"; 3])),
        ),
    ]);
    let meanings = [Meaning::Text, Meaning::Text, Meaning::Json];
    let layout = Layout::new(&batch.schema(), PARQUET, None, &meanings).unwrap();
    let mut rechunker = Rechunker::new(&layout, limits());
    rechunker.push(&batch).unwrap();
    let block = rechunker.finish().unwrap().unwrap();
    let mut encoder = FileEncoder::new(&layout).unwrap();
    encoder.write(&block, 0).unwrap();
    let (rows, metadata) = parquet_files::read(&encoder.finish().unwrap().output);
    let columns = metadata.file_metadata().schema_descr();
    let logical: Vec<_> = columns
        .columns()
        .iter()
        .map(|column| column.logical_type_ref().cloned())
        .collect();
    let string = Some(LogicalType::String);
    assert_eq!(
        logical,
        [string.clone(), string.clone(), string, Some(LogicalType::Json)]
    );
    let texts = |column: &ArrayRef| -> Vec<Option<String>> {
        let texts = column.as_string::<i32>().iter();
        texts.map(|text| text.map(str::to_owned)).collect()
    };
    let [a, b] = UUIDS.map(|text| Some(text.to_owned()));
    assert_eq!(texts(rows.column(0)), [a.clone(), None, b.clone()]);
    assert_eq!(texts(rows.column(1)), [b, a, None]);
}

/// Polars 2.1 refuses DELTA_BYTE_ARRAY for values of fixed length; for texts it costs readers time and saves no bytes.
#[test]
fn no_column_is_written_as_delta_byte_array() {
    let draw = Draw {
        rows: 90_000,
        seed: 7,
        null_one_in: 9,
    };
    for kind in 0..KINDS {
        let values = column(kind, draw);
        let data_type = values.data_type().clone();
        for is_json in [false, true] {
            let batch = RecordBatch::try_from_iter_with_nullable([("c", values.clone(), true)]).unwrap();
            let file = one_file(&[batch], Format::Parquet(ParquetCodec::Zstd(1)), &[is_json]);
            let (_, metadata) = parquet_files::read(&file.bytes);
            for group in metadata.row_groups() {
                for column in group.columns() {
                    let encodings: Vec<Encoding> = column.encodings().collect();
                    assert!(
                        !encodings.contains(&Encoding::DELTA_BYTE_ARRAY),
                        "{data_type}: {encodings:?}"
                    );
                    if column.column_type() == PhysicalType::FIXED_LEN_BYTE_ARRAY {
                        assert!(encodings.contains(&Encoding::PLAIN), "{data_type}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_decimal_beyond_its_precision_is_named_with_column_and_row() {
    fn unchecked<T: DecimalType>(precision: u8, values: Vec<Option<T::Native>>) -> (String, ArrayRef) {
        let array: PrimitiveArray<T> = values.into_iter().collect();
        let array = array.with_precision_and_scale(precision, 2).unwrap();
        (precision.to_string(), Arc::new(array))
    }
    let wide = |power| i256::from_i128(10).wrapping_pow(power);
    let cases: Vec<(String, ArrayRef)> = vec![
        unchecked::<Decimal32Type>(5, vec![Some(99_999), None, Some(100_000)]),
        unchecked::<Decimal64Type>(5, vec![Some(-99_999), None, Some(5_000_000_000)]),
        unchecked::<Decimal128Type>(5, vec![Some(0), None, Some(-5_000_000_000)]),
        unchecked::<Decimal128Type>(20, vec![Some(0), None, Some((1 << 72) + 5)]),
        unchecked::<Decimal128Type>(38, vec![Some(0), None, Some(10_i128.pow(38))]),
        unchecked::<Decimal256Type>(5, vec![Some(i256::ZERO), None, Some(wide(5))]),
        unchecked::<Decimal256Type>(76, vec![Some(i256::ZERO), None, Some(wide(76))]),
    ];
    for (precision, values) in cases {
        let data_type = values.data_type().clone();
        let nested = nested(&values);
        for column in [values.clone()].into_iter().chain(nested) {
            let named = format!("{data_type} in {}", column.data_type());
            let batch = RecordBatch::try_from_iter_with_nullable([("price", column, true)]).unwrap();
            let batches = [batch.slice(0, 1), batch.slice(1, 2)];
            let error = export(&batches, PARQUET, None, &[], limits()).err();
            let message = error.expect(&named).to_string();
            assert!(
                message.starts_with(
                    "column `price`, row 2 (counted from 0 in this run, excluding filtered rows): the value does not \
                     fit"
                ),
                "{named}: {message}"
            );
            if *batch.column(0).data_type() == data_type {
                let words = format!("a Parquet decimal of {precision} digits");
                assert!(message.contains(&words), "{message}");
            }
            // What fits goes through, and JSON text has room for all digits.
            one_file(&[batch.slice(0, 2)], PARQUET, &[]);
            one_file(&[batch], LINES, &[]);
        }
    }
}

/// Returns a list, a list of fixed size, a struct and a dictionary that show the value in the same row.
fn nested(values: &ArrayRef) -> Vec<ArrayRef> {
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([1, 1, 1]);
    let keys = Int8Array::from(vec![0, 1, 2]);
    vec![
        Arc::new(ListArray::new(item.clone(), offsets, values.clone(), None)),
        Arc::new(FixedSizeListArray::new(item.clone(), 1, values.clone(), None)),
        Arc::new(StructArray::new(Fields::from(vec![item]), vec![values.clone()], None)),
        Arc::new(DictionaryArray::new(keys, values.clone())),
    ]
}

/// Arrow allows any bits behind a null, of the value or of what holds it.
#[test]
fn what_lies_behind_a_null_means_nothing() {
    let decimals = Decimal128Array::from(vec![1, 10_i128.pow(9)]);
    let hidden: [ArrayRef; 3] = [
        Arc::new(decimals.with_precision_and_scale(5, 2).unwrap()),
        Arc::new(TimestampSecondArray::from(vec![1, i64::MAX])),
        Arc::new(Date64Array::from(vec![1, i64::MAX])),
    ];
    let nulls = Some(NullBuffer::from(vec![true, false]));
    for values in hidden {
        let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        let fields = Fields::from(vec![item.clone()]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StructArray::new(fields, vec![values.clone()], nulls.clone())),
            Arc::new(ListArray::new(
                item.clone(),
                OffsetBuffer::from_lengths([1, 1]),
                values.clone(),
                nulls.clone(),
            )),
            Arc::new(FixedSizeListArray::new(item, 1, values.clone(), nulls.clone())),
            arrow::array::make_array(values.to_data().into_builder().nulls(nulls.clone()).build().unwrap()),
        ];
        for column in columns {
            let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
            let (rows, _) = parquet_files::read(&one_file(&[batch], PARQUET, &[]).bytes);
            assert_eq!(rows.column(0).null_count(), 1);
        }
    }
}
