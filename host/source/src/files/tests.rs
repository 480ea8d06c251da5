//! The files source against files written by independent writers and against files that are wrong.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use tempfile::TempDir;

use super::*;
use crate::interval::Interval;
use crate::model::Model;
use crate::sample::Sample;
use crate::select::EventFilter;

const START: &str = "2024-03-01T05:00Z";
const END: &str = "2024-03-01T06:00Z";

fn selection(start: &str, end: &str) -> Selection {
    Selection::new(
        Interval::parse(start, end).expect("an interval"),
        EventFilter::default(),
    )
}

fn sample(model: Model, start: &str, end: &str) -> RecordBatch {
    drain(&mut Sample::new(model, 500, selection(start, end), &Token::new()))
}

fn drain(source: &mut dyn Source) -> RecordBatch {
    let mut batches = Vec::new();
    while let Some(batch) = source.next_batch().expect("rows") {
        batches.push(batch);
    }
    concat_batches(&source.schema(), &batches).expect("one schema")
}

fn open(settings: &FilesSettings, selection: Selection) -> Result<Files<'static>, SourceError> {
    Files::open(settings, selection, &Token::new(), |_| {})
}

fn settings(folder: &Path, path: &str) -> FilesSettings {
    FilesSettings {
        base: folder.to_path_buf(),
        path: path.to_owned(),
        model: "events".to_owned(),
        format: None,
        time_column: "_inserted_at".to_owned(),
        backfill_time_column: None,
        infer_rows: 1_000,
        dialect: Dialect::default(),
        columns: BTreeMap::new(),
    }
}

fn read(settings: &FilesSettings) -> (RecordBatch, Tally) {
    let mut files = open(settings, selection(START, END)).expect("files");
    let rows = drain(&mut files);
    (rows, files.tally())
}

/// Returns the first error, whether of opening or of reading, with the folder left out.
fn error(settings: &FilesSettings) -> String {
    let outcome = open(settings, selection(START, END)).and_then(|mut files| {
        while files.next_batch()?.is_some() {}
        Ok(())
    });
    let text = batch_export_system::explain::Cause::of(&outcome.expect_err("an error")).in_one_text();
    text.replace(&format!("{}/", settings.base.display()), "")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn put(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

fn parquet(batch: &RecordBatch, rows_per_group: usize) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows_per_group))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a writer");
    writer.write(batch).expect("rows");
    writer.into_inner().expect("a file")
}

fn arrow_file(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).expect("a writer");
    writer.write(batch).expect("rows");
    writer.into_inner().expect("a file")
}

fn arrow_stream(batch: &RecordBatch, compression: Option<arrow::ipc::CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default()
        .try_with_compression(compression)
        .expect("options");
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).expect("a writer");
    writer.write(batch).expect("rows");
    writer.into_inner().expect("a stream")
}

/// Returns one JSON object a row, written by hand: columns of text, JSON and time.
fn json_lines(batch: &RecordBatch) -> String {
    let mut lines = String::new();
    for row in 0..batch.num_rows() {
        let members: Vec<String> = batch
            .schema()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| format!("\"{}\":{}", field.name(), json_value(field, column, row)))
            .collect();
        lines.push_str(&format!("{{{}}}\n", members.join(",")));
    }
    lines
}

fn json_value(field: &Field, column: &Arc<dyn Array>, row: usize) -> String {
    if column.is_null(row) {
        return "null".to_owned();
    }
    match crate::model::ColumnKind::of(field) {
        Some(crate::model::ColumnKind::Json) => column.as_string::<i32>().value(row).to_owned(),
        Some(crate::model::ColumnKind::Text) => {
            serde_json::to_string(column.as_string::<i32>().value(row)).expect("text")
        }
        Some(crate::model::ColumnKind::Timestamp) => {
            let micros = column
                .as_primitive::<arrow::datatypes::TimestampMicrosecondType>()
                .value(row);
            format!("\"{}\"", crate::interval::Moment(micros))
        }
        Some(crate::model::ColumnKind::TextList) => {
            let list = column.as_list::<i32>().value(row);
            let items: Vec<_> = list.as_string::<i32>().iter().collect();
            serde_json::to_string(&items).expect("a list")
        }
        _ => arrow::util::display::array_value_to_string(column, row).expect("a value"),
    }
}

/// RFC 4180, every field quoted.
fn csv(batch: &RecordBatch) -> String {
    let schema = batch.schema();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let mut lines = format!("{}\r\n", names.join(","));
    for row in 0..batch.num_rows() {
        let fields: Vec<String> = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| {
                let value = match crate::model::ColumnKind::of(field) {
                    _ if column.is_null(row) => return String::new(),
                    Some(crate::model::ColumnKind::Text) => column.as_string::<i32>().value(row).to_owned(),
                    Some(crate::model::ColumnKind::Timestamp) => json_value(field, column, row).replace('"', ""),
                    _ => json_value(field, column, row),
                };
                format!("\"{}\"", value.replace('"', "\"\""))
            })
            .collect();
        lines.push_str(&format!("{}\r\n", fields.join(",")));
    }
    lines
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("bytes");
    encoder.finish().expect("gzip")
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).expect("bytes");
    encoder.finish().expect("lz4")
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let fast = ::brotli::enc::BrotliEncoderParams {
        quality: 1,
        ..Default::default()
    };
    let mut packed = Vec::new();
    ::brotli::BrotliCompress(&mut &bytes[..], &mut packed, &fast).expect("brotli");
    packed
}

#[test]
fn every_model_comes_back_equal_from_every_format_and_packing() {
    for model in Model::ALL {
        // An hour more on both sides, which the interval must leave out.
        let rows = sample(model, "2024-03-01T04:00Z", "2024-03-01T07:00Z");
        let expect = sample(model, START, END);
        let (json, csv) = (json_lines(&rows), csv(&rows));
        let zstd = |bytes: &[u8]| ::zstd::encode_all(bytes, 1).expect("zstd");
        let two_members = [gzip(&json.as_bytes()[..1_000]), gzip(&json.as_bytes()[1_000..])].concat();
        let cases = [
            ("a.parquet", parquet(&rows, 100)),
            // As this very program names Parquet files whose pages are packed.
            ("a.parquet.zst", parquet(&rows, 1_000)),
            ("a.arrow", arrow_file(&rows)),
            (
                "a.feather",
                arrow_stream(&rows, Some(arrow::ipc::CompressionType::LZ4_FRAME)),
            ),
            ("a.arrows", arrow_stream(&rows, Some(arrow::ipc::CompressionType::ZSTD))),
            ("a.arrows.gz", gzip(&arrow_stream(&rows, None))),
            ("a.jsonl", json.clone().into_bytes()),
            ("a.jsonl.gz", two_members),
            ("a.ndjson.zst", zstd(json.as_bytes())),
            ("a.jsonl.lz4", lz4(json.as_bytes())),
            ("a.jsonl.br", brotli(json.as_bytes())),
            ("a.csv", csv.clone().into_bytes()),
            ("a.csv.zst", zstd(csv.as_bytes())),
        ];
        for (name, bytes) in cases {
            let folder = folder();
            put(&folder, name, bytes);
            let mut settings = settings(folder.path(), name);
            settings.model = model.name().to_owned();
            let (found, tally) = read(&settings);
            assert_eq!(found.schema(), expect.schema(), "{name}");
            assert_eq!(found, expect, "{} from {name}", model.name());
            assert_eq!(tally.files_read, 1);
        }
    }
}

#[test]
fn row_groups_outside_the_interval_are_not_read() {
    let folder = folder();
    let rows = sample(Model::Events, "2024-03-01T00:00Z", "2024-03-01T10:00Z");
    put(&folder, "a.parquet", parquet(&rows, 250));
    let (found, tally) = read(&settings(folder.path(), "a.parquet"));
    assert_eq!(found, sample(Model::Events, START, END));
    assert_eq!((tally.row_groups_read, tally.row_groups_pruned), (2, 18));
    assert_eq!((tally.rows_read, tally.rows_outside_interval), (500, 0));
}

#[test]
fn a_folder_is_read_with_everything_below_it_in_order_of_names() {
    let hours: Vec<RecordBatch> = (0..4)
        .map(|part| {
            let minute = |part: i32| match part {
                4 => END.to_owned(),
                part => format!("2024-03-01T05:{:02}Z", part * 15),
            };
            sample(Model::Events, &minute(part), &minute(part + 1))
        })
        .collect();
    let folder = folder();
    put(&folder, "day/b.arrow", arrow_file(&hours[1]));
    put(&folder, "day/a.parquet", parquet(&hours[0], 1_000));
    put(&folder, "day/c/x.jsonl.gz", gzip(json_lines(&hours[2]).as_bytes()));
    put(&folder, "day/d.csv", csv(&hours[3]));
    put(&folder, "day/_temporary/e.parquet", "not read");
    put(&folder, "day/.hidden.parquet", "not read");
    put(&folder, "day/readme.txt", "not read");
    for path in ["day", "./day/", "day/**/[a-dx].*"] {
        let (found, tally) = read(&settings(folder.path(), path));
        assert_eq!(found, sample(Model::Events, START, END), "{path}");
        assert_eq!(tally.files_read, 4);
    }
}

#[test]
fn rows_without_a_time_and_of_other_events_are_left_out_and_counted() {
    let folder = folder();
    let mut lines = json_lines(&sample(Model::Events, START, END));
    let without = lines.lines().next().expect("a row").replace(
        "\"_inserted_at\":\"2024-03-01T05:00:00+00:00\"",
        "\"_inserted_at\":null",
    );
    lines.push_str(&without);
    put(&folder, "a.jsonl", lines);
    let events = EventFilter::new(None, vec!["$pageview".to_owned()]);
    let selection = Selection {
        events,
        ..selection(START, END)
    };
    let mut files = open(&settings(folder.path(), "a.jsonl"), selection).expect("files");
    let found = drain(&mut files);
    let tally = files.tally();
    assert_eq!((tally.rows_read, tally.rows_without_time), (501, 1));
    assert!(tally.rows_of_other_events > 50);
    assert_eq!(found.num_rows() as u64 + tally.rows_of_other_events, 500);
    assert!(
        found
            .column(1)
            .as_string::<i32>()
            .iter()
            .all(|name| name != Some("$pageview"))
    );
}

/// Returns the sample with its columns changed.
fn changed(change: impl FnOnce(&mut Vec<Field>, &mut Vec<Arc<dyn Array>>)) -> RecordBatch {
    let rows = sample(Model::Events, START, END);
    let mut fields: Vec<Field> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect();
    let mut columns = rows.columns().to_vec();
    change(&mut fields, &mut columns);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
}

#[test]
fn columns_of_another_make_become_the_models_and_extra_ones_follow() {
    let folder = folder();
    let rows = changed(|fields, columns| {
        for (index, kind) in [
            (0, DataType::LargeUtf8),
            (
                1,
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            ),
            (2, DataType::Utf8View),
            (7, DataType::Timestamp(TimeUnit::Nanosecond, None)),
            (9, DataType::Timestamp(TimeUnit::Nanosecond, Some("+02:00".into()))),
        ] {
            columns[index] = arrow::compute::cast(&columns[index], &kind).expect("a cast");
            fields[index] = Field::new(fields[index].name(), kind, true);
        }
        fields.insert(0, Field::new("team", DataType::Int64, false));
        columns.insert(0, Arc::new(Int64Array::from(vec![7; columns[0].len()])));
    });
    let expect = sample(Model::Events, START, END);
    for (name, bytes) in [("a.parquet", parquet(&rows, 100)), ("a.arrow", arrow_file(&rows))] {
        put(&folder, name, bytes);
        let (found, _) = read(&settings(folder.path(), name));
        assert_eq!(
            found.project(&(0..10).collect::<Vec<_>>()).expect("ten"),
            expect,
            "{name}"
        );
        assert_eq!(found.schema().field(10).name(), "team");
        assert_eq!(
            found
                .column(10)
                .as_primitive::<arrow::datatypes::Int64Type>()
                .value(499),
            7
        );
    }
}

#[test]
fn columns_beyond_the_model_are_inferred_from_all_text_files() {
    let folder = folder();
    let row = |extra: &str| {
        let line = json_lines(&sample(Model::Events, START, "2024-03-01T05:00:01Z"));
        format!("{}{extra}}}\n", line.trim_end().trim_end_matches('}'))
    };
    put(
        &folder,
        "a.jsonl",
        [row(",\"n\":1,\"f\":1,\"s\":\"x\""), row(",\"n\":null")].concat(),
    );
    put(
        &folder,
        "b.jsonl",
        row(",\"f\":2.5,\"m\":[1],\"late\":true,\"none\":null"),
    );
    let (found, _) = read(&settings(folder.path(), "."));
    let kinds: Vec<_> = found
        .schema()
        .fields()
        .iter()
        .skip(10)
        .map(|field| {
            (
                field.name().clone(),
                crate::model::ColumnKind::of(field).expect("a kind"),
            )
        })
        .collect();
    use crate::model::ColumnKind;
    assert_eq!(
        kinds,
        [
            ("n".to_owned(), ColumnKind::Integer),
            ("f".to_owned(), ColumnKind::Float),
            ("s".to_owned(), ColumnKind::Text),
            ("m".to_owned(), ColumnKind::Json),
            ("late".to_owned(), ColumnKind::Boolean),
            ("none".to_owned(), ColumnKind::Text),
        ]
    );
    let mut short = settings(folder.path(), ".");
    put(&folder, "b.jsonl", [row(""), row(",\"later\":1")].concat());
    short.infer_rows = 1;
    assert_eq!(
        error(&short),
        "./b.jsonl, line 2: column `later` is new: the rows inspected before did not have it; raise the \
         source's `infer_rows` (0 means all rows), or give the column a type in the source's `columns`"
    );
}

#[test]
fn a_model_of_the_users_own_has_the_columns_of_its_files() {
    let folder = folder();
    put(
        &folder,
        "a.tsv",
        "day\tcode\tamount\n2024-03-01 05:30:00\t007\t1.5\n2024-03-01 06:00:00\t\t2\n",
    );
    let mut settings = settings(folder.path(), "a.tsv");
    settings.model = "orders".to_owned();
    settings.time_column = "day".to_owned();
    let (found, tally) = read(&settings);
    assert_eq!((found.num_rows(), tally.rows_outside_interval), (1, 1));
    assert_eq!(found.column(1).as_ref(), &StringArray::from(vec!["007"]) as &dyn Array);
    settings.time_column = "when".to_owned();
    assert_eq!(
        error(&settings),
        "a.tsv does not fit the model `orders`: the time column `when` is missing (the source's `time_column` can \
         name a different one); the columns found are `day`, `code`, `amount`; rename, add or convert the columns"
    );
}

mod bad;
mod compressed;
mod csv_files;
mod discovery;
mod ending;
mod hostile;
mod json_files;
mod late;
mod numbers;
mod partitions;
mod periods;
mod types;
