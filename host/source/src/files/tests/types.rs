//! Values at the ends of their types: exact, or an error that names column and row; and types that must survive.

use ::parquet::data_type::{
    ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type, Int96, Int96Type,
};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use arrow::array::{
    ArrayRef, Date32Array, FixedSizeBinaryArray, TimestampMicrosecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use arrow::datatypes::TimestampMicrosecondType;

use super::*;

const JULIAN_DAY_OF_EPOCH: i64 = 2_440_588;
const DAY_MICROS: i64 = 86_400_000_000;
/// Days from 1970 to 2024-03-01.
const MARCH: i64 = 19_783;
/// 05:00 of that day.
const FIVE: i64 = MARCH * DAY_MICROS + 5 * 3_600_000_000;

fn int96(day: i64, nanos: i64) -> Option<Int96> {
    let day = (day + JULIAN_DAY_OF_EPOCH) as i32;
    Some(Int96::from(vec![nanos as u32, (nanos >> 32) as u32, day as u32]))
}

enum Values {
    Times(Vec<Option<Int96>>),
    Longs(Vec<i64>),
    Ints(Vec<i32>),
    Texts(Vec<&'static str>),
    Fixed(Vec<Vec<u8>>),
}

/// Returns a Parquet file as a writer other than Arrow's makes it; each group is its columns.
fn written(schema: &str, groups: Vec<Vec<Values>>) -> Vec<u8> {
    written_with(schema, groups, WriterProperties::builder().build())
}

fn written_with(schema: &str, groups: Vec<Vec<Values>>, properties: WriterProperties) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).expect("a writer");
    for columns in groups {
        let mut group = writer.next_row_group().expect("a row group");
        for values in columns {
            let mut column = group.next_column().expect("a column").expect("one more");
            match values {
                Values::Times(values) => {
                    let defined: Vec<i16> = values.iter().map(|v| v.is_some().into()).collect();
                    let values: Vec<Int96> = values.into_iter().flatten().collect();
                    let typed = column.typed::<Int96Type>();
                    typed.write_batch(&values, Some(&defined), None)
                }
                Values::Longs(values) => column.typed::<Int64Type>().write_batch(&values, None, None),
                Values::Ints(values) => column.typed::<Int32Type>().write_batch(&values, None, None),
                Values::Texts(values) => {
                    let values: Vec<ByteArray> = values.into_iter().map(ByteArray::from).collect();
                    let typed = column.typed::<ByteArrayType>();
                    typed.write_batch(&values, None, None)
                }
                Values::Fixed(values) => {
                    let values: Vec<FixedLenByteArray> = values
                        .into_iter()
                        .map(|value| FixedLenByteArray::from(ByteArray::from(value)))
                        .collect();
                    let typed = column.typed::<FixedLenByteArrayType>();
                    typed.write_batch(&values, None, None)
                }
            }
            .expect("values");
            column.close().expect("a column");
        }
        group.close().expect("a row group");
    }
    writer.into_inner().expect("a file")
}

fn own(folder: &TempDir, path: &str) -> FilesSettings {
    FilesSettings {
        model: "own".to_owned(),
        time_column: "t".to_owned(),
        ..settings(folder.path(), path)
    }
}

#[test]
fn times_of_96_bits_are_exact_in_every_year() {
    let folder = folder();
    let schema = "message m { required int64 t (TIMESTAMP(MICROS,true)); optional int96 to; }";
    // 1000-01-01, 1970, a nanosecond before it, null, 2610-07-22, 9999-12-31.
    let days = [-354_285, 0, -1, 0, 233_959, 2_932_896];
    let mut times: Vec<Option<Int96>> = days.iter().map(|day| int96(*day, 1_500)).collect();
    times[2] = int96(-1, 86_399_999_999_999);
    times[3] = None;
    let rows = Values::Longs(vec![FIVE; 6]);
    put(
        &folder,
        "a.parquet",
        written(schema, vec![vec![rows, Values::Times(times)]]),
    );
    let (read, _) = read(&own(&folder, "a.parquet"));
    let found = read.column(1).as_primitive::<TimestampMicrosecondType>();
    let expect: Vec<Option<i64>> = days.iter().map(|day| Some(day * DAY_MICROS + 1)).collect();
    let mut expect = expect;
    expect[2] = Some(-1);
    expect[3] = None;
    assert_eq!(found.iter().collect::<Vec<_>>(), expect);
}

/// Returns the same file with an Arrow schema in it, as writers of Arrow leave it there.
fn written_from_arrow(schema: &str, arrow: Schema, columns: Vec<Values>) -> Vec<u8> {
    let mut properties = WriterProperties::builder().build();
    ::parquet::arrow::add_encoded_arrow_schema_to_metadata(&arrow, &mut properties);
    written_with(schema, vec![columns], properties)
}

#[test]
fn dictionaries_of_other_values_than_texts_are_read_as_their_values() {
    let folder = folder();
    let dictionary = |values: DataType| DataType::Dictionary(Box::new(DataType::Int8), Box::new(values));
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
    let arrow = Schema::new(vec![
        Field::new(
            "t",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
        Field::new("at", dictionary(nanos), true),
        Field::new("n", dictionary(DataType::Int64), true),
    ]);
    let schema = "message m { required int64 t (TIMESTAMP(MICROS,true)); optional int96 at; required int64 n; }";
    // More values than the keys of one dictionary can count.
    let rows = 300_i64;
    let columns = vec![
        Values::Longs(vec![FIVE; 300]),
        Values::Times((0..rows).map(|row| int96(row, 1_000)).collect()),
        Values::Longs((0..rows).collect()),
    ];
    put(&folder, "a.parquet", written_from_arrow(schema, arrow, columns));
    let (read, _) = read(&own(&folder, "a.parquet"));
    let times = read.column(1).as_primitive::<TimestampMicrosecondType>();
    let expect: Vec<i64> = (0..rows).map(|row| row * DAY_MICROS + 1).collect();
    assert_eq!(times.values(), expect.as_slice());
    let numbers = read.column(2).as_primitive::<arrow::datatypes::Int64Type>();
    assert_eq!(numbers.values(), (0..rows).collect::<Vec<_>>().as_slice());
}

#[test]
fn times_of_96_bits_choose_rows_by_what_they_are() {
    let folder = folder();
    let schema = "message m { optional int96 t; required int32 n; }";
    let nanos = 5 * 3_600_000_000_000;
    // As nanoseconds of 64 bits, the second would be in the interval: 2^64 ns later.
    let late = (i128::from(MARCH) * 86_400_000_000_000 + i128::from(nanos)) + (1_i128 << 64);
    let late = int96((late / 86_400_000_000_000) as i64, (late % 86_400_000_000_000) as i64);
    let group = |times: Vec<Option<Int96>>, first: i32| {
        let numbers = (first..).take(times.len()).collect();
        vec![Values::Times(times), Values::Ints(numbers)]
    };
    let groups = vec![
        group(vec![int96(MARCH, nanos), late], 1),
        group(vec![int96(MARCH, nanos + 999), None, int96(0, 0)], 3),
    ];
    put(&folder, "a.parquet", written(schema, groups));
    let (read, tally) = read(&own(&folder, "a.parquet"));
    let numbers = read.column(1).as_primitive::<arrow::datatypes::Int32Type>();
    assert_eq!(numbers.values().to_vec(), [1, 3]);
    assert_eq!((tally.rows_outside_interval, tally.rows_without_time), (2, 1));
}

#[test]
fn values_that_a_type_cannot_hold_name_column_and_row() {
    let folder = folder();
    let times = "message m { required int64 t (TIMESTAMP(MICROS,true)); optional int96 x; }";
    let good = || int96(MARCH, 0);
    let far = || int96(106_751_992, 0);
    let longs = |rows: usize| Values::Longs(vec![FIVE; rows]);
    put(
        &folder,
        "days.parquet",
        written(
            times,
            vec![
                vec![longs(2), Values::Times(vec![good(), None])],
                vec![longs(3), Values::Times(vec![None, good(), far()])],
            ],
        ),
    );
    for (name, logical, values, row, value) in [
        ("u8", "INTEGER(8,false)", vec![0, 255, 256], 3, "256"),
        ("i8", "INTEGER(8,true)", vec![127, -129], 2, "-129"),
        ("u16", "INTEGER(16,false)", vec![-1], 1, "-1"),
        ("old", "UINT_8", vec![1, 300], 2, "300"),
    ] {
        let schema =
            format!("message m {{ required int64 t (TIMESTAMP(MICROS,true)); required int32 x ({logical}); }}");
        let columns = vec![longs(values.len()), Values::Ints(values)];
        put(&folder, &format!("{name}.parquet"), written(&schema, vec![columns]));
        assert_eq!(
            error(&own(&folder, &format!("{name}.parquet"))),
            format!(
                "{name}.parquet, row {row}, column `x`: {value} is outside the range of the column's type; correct \
                 the value"
            )
        );
    }
    let text = error(&own(&folder, "days.parquet"));
    assert!(
        text.starts_with("days.parquet, row 5, column `x`: ")
            && text.ends_with(" is outside the range of the column's type; correct the value"),
        "{text}"
    );
}

#[test]
fn a_time_of_the_model_that_is_too_far_names_its_row_in_the_file() {
    let folder = folder();
    // Rows outside the interval and pruned row groups do not change the number.
    let rows = sample(Model::Events, "2024-03-01T04:00Z", "2024-03-01T07:00Z");
    let far = 1_200;
    let mut fields: Vec<Field> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect();
    let mut columns = rows.columns().to_vec();
    let seconds: Vec<i64> = (0..1_500)
        .map(|row| if row == far - 301 { 1 << 62 } else { 0 })
        .collect();
    columns[8] = Arc::new(TimestampSecondArray::from(seconds).with_timezone("UTC"));
    fields[8] = Field::new("created_at", columns[8].data_type().clone(), true);
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rows");
    put(&folder, "a.arrow", arrow_file(&rows));
    let text = error(&settings(folder.path(), "a.arrow"));
    assert!(
        text.starts_with("a.arrow, row 900, column `created_at`: ") && text.contains("verflow"),
        "{text}"
    );
}

#[test]
fn nanoseconds_before_1970_are_floored_as_everywhere() {
    let folder = folder();
    let rows = changed(|fields, columns| {
        let nanos = vec![-1_i64; columns[0].len()];
        columns[7] = Arc::new(TimestampNanosecondArray::from(nanos));
        fields[7] = Field::new("timestamp", columns[7].data_type().clone(), true);
    });
    put(&folder, "a.arrow", arrow_file(&rows));
    let (read, _) = read(&settings(folder.path(), "a.arrow"));
    let times = read.column(7).as_primitive::<TimestampMicrosecondType>();
    assert!(times.values().iter().all(|time| *time == -1));
}

/// Returns a mark as Arrow writes it.
fn mark(field: &Field) -> Option<&str> {
    field.metadata().get("ARROW:extension:name").map(String::as_str)
}

#[test]
fn uuid_and_json_stay_what_they_are() {
    let folder = folder();
    let schema = "message m {
        required int64 t (TIMESTAMP(MICROS,true));
        required fixed_len_byte_array(16) id (UUID);
        required binary doc (JSON);
        required fixed_len_byte_array(16) hash;
        required group more { required fixed_len_byte_array(16) id (UUID); required binary doc (JSON); }
    }";
    let id = || Values::Fixed(vec![(0..16).collect()]);
    let doc = || Values::Texts(vec!["{\"a\":1}"]);
    let columns = vec![Values::Longs(vec![FIVE]), id(), doc(), id(), id(), doc()];
    put(&folder, "a.parquet", written(schema, vec![columns]));
    let (found, _) = read(&own(&folder, "a.parquet"));
    let schema = found.schema();
    let marks: Vec<_> = schema.fields().iter().map(|field| mark(field)).collect();
    assert_eq!(marks, [None, Some("arrow.uuid"), Some("arrow.json"), None, None]);
    let DataType::Struct(inner) = schema.field(4).data_type() else {
        panic!("a struct");
    };
    let marks: Vec<_> = inner.iter().map(|field| mark(field)).collect();
    assert_eq!(marks, [Some("arrow.uuid"), Some("arrow.json")]);
}

#[test]
fn a_uuid_is_text_where_the_model_wants_text() {
    let folder = folder();
    let bytes: Vec<u8> = (0..16).map(|n| n * 17).collect();
    let with = |marked: bool| {
        changed(|fields, columns| {
            let ids = vec![Some(bytes.as_slice()); columns[0].len()].into_iter();
            let ids = FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 16);
            columns[0] = Arc::new(ids.expect("UUIDs"));
            let field = Field::new("uuid", DataType::FixedSizeBinary(16), true);
            fields[0] = match marked {
                true => field.with_metadata(std::collections::HashMap::from([(
                    "ARROW:extension:name".to_owned(),
                    "arrow.uuid".to_owned(),
                )])),
                false => field,
            };
        })
    };
    for (name, bytes) in [
        ("a.parquet", parquet(&with(true), 100)),
        ("a.arrow", arrow_file(&with(true))),
    ] {
        put(&folder, name, bytes);
        let (found, _) = read(&settings(folder.path(), name));
        let ids = found.column(0).as_string::<i32>();
        assert_eq!(ids.value(499), "00112233-4455-6677-8899-aabbccddeeff");
    }
    put(&folder, "b.arrow", arrow_file(&with(false)));
    let text = error(&settings(folder.path(), "b.arrow"));
    assert!(
        text.contains("column `uuid` is FixedSizeBinary(16), expected text"),
        "{text}"
    );
}

#[test]
fn a_time_column_that_is_none_names_the_timestamps_there_are() {
    let folder = folder();
    let rows = sample(Model::Events, START, END);
    put(&folder, "events.parquet", parquet(&rows, 1_000));
    let more: Vec<(&str, ArrayRef)> = vec![
        ("day", Arc::new(Date32Array::from(vec![1]))),
        ("n", Arc::new(Int64Array::from(vec![1]))),
        (
            "s",
            Arc::new(arrow::array::StructArray::from(
                RecordBatch::try_from_iter([("t", Arc::new(TimestampMicrosecondArray::from(vec![FIVE])) as ArrayRef)])
                    .expect("a struct"),
            )),
        ),
        ("nothing", Arc::new(arrow::array::NullArray::new(1))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![FIVE]))),
    ];
    let more = more.into_iter().map(|(name, column)| (name, column, true));
    let own = RecordBatch::try_from_iter_with_nullable(more).expect("rows");
    put(&folder, "own.parquet", parquet(&own, 1_000));
    let one = "the timestamps here are `at`";
    let three = "the timestamps here are `timestamp`, `created_at`, `_inserted_at`";
    for (file, model, column, expect) in [
        (
            "own",
            "own",
            "day",
            format!(
                "the time column `day` is Date32, expected a timestamp (the source's `time_column` can name a \
                 different one); {one}"
            ),
        ),
        (
            "own",
            "own",
            "n",
            format!(
                "the time column `n` is Int64, expected a timestamp (the source's `time_column` can name a different \
                 one); {one}"
            ),
        ),
        (
            "own",
            "own",
            "x",
            format!("the time column `x` is missing (the source's `time_column` can name a different one); {one}"),
        ),
        (
            "own",
            "own",
            "s.t",
            format!(
                "the time column `s.t` is missing (the source's `time_column` can name a different one); a column \
                 inside \
                 `s` cannot be one; {one}"
            ),
        ),
        (
            "own",
            "own",
            "nothing",
            "the time column `nothing` is all null".to_owned(),
        ),
        (
            "events",
            "events",
            "event",
            format!(
                "the time column `event` is Utf8, expected a timestamp (the source's `time_column` can name a \
                 different one); {three}"
            ),
        ),
        (
            "events",
            "events",
            "properties",
            format!(
                "the time column `properties` is Utf8, expected a timestamp (the source's `time_column` can name a \
                 different one); {three}"
            ),
        ),
        (
            "events",
            "events",
            "x",
            format!("the time column `x` is missing (the source's `time_column` can name a different one); {three}"),
        ),
    ] {
        let settings = FilesSettings {
            model: model.to_owned(),
            time_column: column.to_owned(),
            ..settings(folder.path(), &format!("{file}.parquet"))
        };
        let text = error(&settings);
        assert!(text.contains(&expect), "{column}: {text}");
    }
}
