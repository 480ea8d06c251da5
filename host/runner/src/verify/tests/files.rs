//! JSON Lines and Parquet files that differ from their source or are damaged.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::super::{columns, lines};
use super::*;

fn in_lines(bytes: &[u8], codec: &str) -> FileOutcome {
    let (_folder, mut rows) = rows_of(SOURCE);
    let mut outcome = FileOutcome::new("k");
    lines::check(
        file_of(bytes),
        codec,
        &mut None,
        Some(&mut rows),
        &mut outcome,
        &nobody_listens(),
    )
    .expect("the source can be read");
    outcome
}

#[test]
fn lines_that_differ_from_the_source_say_how() {
    let cases: [(&str, &str, &[&str]); 7] = [
        ("", "", &[]),
        ("\"c\"}\n", "\"c\"}", &["row 3 does not end with a line break"]),
        (
            r#"{"at":"2024-03-01T05:00:01+00:00","n":2,"s":"b"}"#,
            "[1]",
            &["row 2 is not a JSON object: invalid type: sequence, expected a JSON object…"],
        ),
        (
            r#""n":2,"s":"b""#,
            r#""s":"b","n":2"#,
            &[
                "row 2 has different keys than the first row",
                "row 2 has `s` where the source has the column `n`",
                "row 2 has `n` where the source has the column `s`",
            ],
        ),
        (
            r#","s":"b""#,
            "",
            &[
                "row 2 has different keys than the first row",
                "row 2 has 2 values, but the source has 3 columns",
            ],
        ),
        (
            "\"n\":2",
            "\"n\":7",
            &["row 2, `n`: the file has 7, but the source has 2"],
        ),
        (
            r#""s":"b""#,
            r#""s":null"#,
            &["row 2, `s`: the file has null, but the source has \"b\""],
        ),
    ];
    for (from, to, expect) in cases {
        let outcome = in_lines(WRITTEN.replacen(from, to, 1).as_bytes(), "none");
        assert_faults(&outcome.faults, expect, to);
        assert_eq!(outcome.rows, 3, "{to}");
    }
    let faults = in_lines(WRITTEN.as_bytes(), "gzip").faults;
    assert_faults(&faults, &["it does not begin with a gzip header"], "gzip");
    let cut = b"\x1f\x8b\x08\0\0\0\0\0\0\0";
    let faults = in_lines(cut, "gzip").faults;
    assert_faults(&faults, &["after 0 rows: its gzip stream is truncated"], "cut");
}

/// As many rows as there are numbers; the first three are those of the source.
fn table(numbers: Vec<i64>) -> RecordBatch {
    let second = |at: usize| 1_709_269_200_000_000 + at as i64 * 1_000_000;
    let letter = |at: usize| char::from(b'a' + (at % 26) as u8).to_string();
    let times: TimestampMicrosecondArray = (0..numbers.len()).map(second).collect::<Vec<_>>().into();
    let letters: StringArray = (0..numbers.len()).map(|at| Some(letter(at))).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("at", Arc::new(times.with_timezone("UTC"))),
        ("n", Arc::new(Int64Array::from(numbers))),
        ("s", Arc::new(letters)),
    ];
    RecordBatch::try_from_iter(columns).expect("a table")
}

fn parquet(table: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(Some(4_096))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, table.schema(), Some(properties)).expect("a writer");
    writer.write(table).expect("written");
    writer.close().expect("written");
    bytes
}

fn in_columns(bytes: &[u8], first: Option<Schema>) -> FileOutcome {
    let (_folder, mut rows) = rows_of(SOURCE);
    let mut outcome = FileOutcome::new("k");
    columns::check(
        file_of(bytes),
        &mut first.clone(),
        Some(&mut rows),
        &mut outcome,
        &nobody_listens(),
    )
    .expect("the source can be read");
    outcome
}

#[test]
fn columns_that_differ_from_the_source_say_how() {
    let good = table(vec![1, 2, 3]);
    let renamed = good.schema().as_ref().clone();
    let renamed = |table: &RecordBatch| {
        let mut fields: Vec<_> = renamed.fields().iter().cloned().collect();
        fields[1] = Arc::new(fields[1].as_ref().clone().with_name("m"));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), table.columns().to_vec()).expect("a table")
    };
    let numbers_for_text = RecordBatch::try_from_iter([
        ("at", good.column(0).clone()),
        ("n", good.column(1).clone()),
        ("s", good.column(1).clone()),
    ])
    .expect("a table");
    let cases: [(RecordBatch, Option<Schema>, &[&str]); 5] = [
        (good.clone(), None, &[]),
        (
            good.clone(),
            Some(Schema::empty()),
            &["has different columns than the first file"],
        ),
        (
            renamed(&good),
            None,
            &["has the columns at, m, s, but the source has at, n, s"],
        ),
        (numbers_for_text, None, &["the column `s` cannot be compared: …"]),
        (
            table(vec![1, 7, 3]),
            None,
            &["row 2, `n`: the file has 7, but the source has 2"],
        ),
    ];
    for (table, first, expect) in cases {
        let outcome = in_columns(&parquet(&table), first);
        assert_faults(&outcome.faults, expect, &format!("{expect:?}"));
    }
}

#[test]
fn damaged_parquet_says_where_it_broke() {
    let small = parquet(&table(vec![1, 2, 3]));
    let faults = in_columns(&small[..small.len() - 4], None).faults;
    assert_faults(&faults, &["its Parquet footer cannot be read: …"], "cut");

    // Where the pages of the second row group begin.
    let mut large = parquet(&table((0..5_000).collect()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file_of(&large)).expect("a reader");
    let second = reader.metadata().row_group(1).column(1).data_page_offset() as usize;
    large[second..second + 16].fill(0xff);
    let outcome = in_columns(&large, None);
    let expect = "cannot be decoded after 4,096 rows: …";
    assert_faults(&outcome.faults[outcome.faults.len() - 1..], &[expect], "flipped");

    // The number of rows in the footer: field 3 of Thrift's FileMetaData, 77 rows as a zigzag varint.
    let mut lying = parquet(&table((0..77).collect()));
    let tail = lying.len() - 8;
    let length: [u8; 4] = lying[tail..tail + 4].try_into().expect("four bytes");
    let footer = tail - u32::from_le_bytes(length) as usize;
    let at = lying[footer..]
        .windows(3)
        .position(|three| three == [0x16, 0x9a, 0x01])
        .expect("the number of rows");
    lying[footer + at + 1] = 0x9c;
    let outcome = in_columns(&lying, None);
    let last = &outcome.faults[outcome.faults.len() - 1..];
    assert_faults(last, &["its footer declares 78 rows, but it contains 77"], "lying");
}
