//! Files that cannot be read: one sentence each, with the file, the cause and the way out.

use super::*;

#[test]
fn paths_that_lead_nowhere() {
    let folder = folder();
    put(&folder, "empty/readme.txt", "nothing");
    let nothing = format!(
        "`*.parquet` does not match any file below {}; correct the source's `path`",
        folder.path().display()
    );
    for (path, expect) in [
        (
            "none",
            "there is no file or folder none; correct the source's `path`; a relative path is relative to the \
             configuration's folder",
        ),
        ("*.parquet", nothing.as_str()),
        (
            "a[",
            "`a[` is not a valid glob: invalid range pattern; put a literal `[` or `*` in brackets",
        ),
        (
            "empty",
            "the folder empty does not contain any files that can be read (but 1 of other names: empty/readme.txt); \
             rename the files so that they end in .parquet, .arrow, .feather, .ipc, .jsonl, .ndjson, .csv or .tsv, or \
             use a glob in the source's `path`",
        ),
        (
            "empty/readme.txt",
            "cannot determine the format of empty/readme.txt; name it .parquet, .arrow, .jsonl or .csv, or set the \
             source's `format`",
        ),
    ] {
        assert_eq!(error(&settings(folder.path(), path)), expect, "{path}");
    }
}

/// What starts and ends a message, since the cause in between is a library's wording.
const WAY_OUT: &str = "; recreate it, or exclude it from the source's `path`";

#[test]
fn damaged_files_of_every_kind_name_themselves() {
    let rows = sample(Model::Events, START, END);
    let json = json_lines(&rows).into_bytes();
    let zstd = ::zstd::encode_all(&json[..], 1).expect("zstd");
    let half = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    let mut flipped = parquet(&rows, 100);
    for byte in &mut flipped[2_000..4_000] {
        *byte ^= 0x55;
    }
    let mut no_deflate = gzip(&json);
    no_deflate[10..20].fill(0xff);
    let cases = [
        ("cut.parquet", half(parquet(&rows, 100))),
        ("empty.parquet", Vec::new()),
        ("text.parquet", b"uuid,event\n1,2\n".to_vec()),
        ("flipped.parquet", flipped),
        ("cut.arrow", half(arrow_file(&rows))),
        ("empty.arrow", Vec::new()),
        ("cut.arrows", half(arrow_stream(&rows, None))),
        ("cut.jsonl.gz", half(gzip(&json))),
        ("unpackable.jsonl.gz", no_deflate),
        ("cut.jsonl.zst", half(zstd)),
        ("cut.jsonl.lz4", half(lz4(&json))),
        ("cut.jsonl.br", half(brotli(&json))),
        ("packed.parquet.gz", gzip(&parquet(&rows, 100))),
    ];
    for (name, bytes) in cases {
        let folder = folder();
        put(&folder, name, bytes);
        let text = error(&settings(folder.path(), name));
        if name.starts_with("packed") {
            assert_eq!(
                text,
                "packed.parquet.gz is Parquet inside gzip compression, which cannot be read in place; decompress it first"
            );
            continue;
        }
        assert!(text.starts_with(&format!("{name} is corrupt or truncated: ")), "{text}");
        assert!(text.ends_with(WAY_OUT), "{text}");
        let packing = "its gzip data cannot be decompressed: ";
        assert_eq!(text.contains(packing), name.starts_with("unpackable"), "{text}");
        assert!(!text.contains('\n') && text.len() < 400, "{text}");
    }
}

#[test]
fn rows_that_are_wrong_name_their_line() {
    let good = json_lines(&sample(Model::Events, START, "2024-03-01T05:00:20Z"));
    let line = good.lines().next().expect("a row");
    let with = |from: &str, to: &str| format!("{good}{}\n", line.replacen(from, to, 1));
    let bad_json = [
        (
            format!("{good}\n{{\"uuid\": }}\n"),
            "line 5: not a JSON object at character 10: no JSON value begins like this",
        ),
        (
            format!("{good}[1]\n"),
            "line 4: a JSON array, where an object with a member for each column is expected; write one object on each line and no array around them (`jq -c '.[]'` does)",
        ),
        (
            format!("{good}{{\"uuid\":\"1\""),
            "line 4: the JSON object ends early, at character 11 (EOF while parsing an object); recreate the file, \
             which may be truncated",
        ),
        (
            with("\"event\":\"", "\"event\":5,\"x\":\""),
            "line 4: column `event`: expected text, found `5`",
        ),
        (
            with("\"_inserted_at\":\"2024", "\"_inserted_at\":\"next year 2024"),
            "line 4: column `_inserted_at`: `next year 2024-03-01T05:00:00+00:00` is not a time; write it like 2023-07-28T01:00:00Z (without a zone it is UTC)",
        ),
        (
            with("\"uuid\":", "\"uuid\":null,\"uuid\":"),
            "line 4: `uuid` appears twice",
        ),
    ];
    for (text, expect) in bad_json {
        let folder = folder();
        put(&folder, "a.jsonl", text);
        assert_eq!(error(&settings(folder.path(), "a.jsonl")), format!("a.jsonl, {expect}"));
    }
    let good = csv(&sample(Model::Events, START, "2024-03-01T05:00:20Z"));
    let bad_csv = [
        (
            format!("{good}a,b\r\n"),
            "line 5: the record has 2 fields, but the header has 10; look for a missing quote, or recreate the file \
             if it is \
             truncated",
        ),
        (
            format!("{good}1,e,d,p,,,,now,,\r\n"),
            "line 5: column `timestamp`: `now` is not a time; write it like 2023-07-28T01:00:00Z (without a zone it is UTC)",
        ),
    ];
    for (text, expect) in bad_csv {
        let folder = folder();
        put(&folder, "a.csv", text);
        assert_eq!(error(&settings(folder.path(), "a.csv")), format!("a.csv, {expect}"));
    }
    let folder = folder();
    put(&folder, "a.jsonl", b"{\"uuid\":\"\xff\"}\n");
    assert_eq!(
        error(&settings(folder.path(), "a.jsonl")),
        "a.jsonl, line 1: invalid UTF-8 at byte 10; convert the file to UTF-8"
    );
}

#[test]
fn missing_and_mistyped_columns_are_all_named() {
    let rows = changed(|fields, columns| {
        fields[1] = Field::new("event", DataType::Int64, true);
        columns[1] = Arc::new(Int64Array::from(vec![1; columns[0].len()]));
        fields[9] = Field::new("_inserted_at", DataType::Utf8, true);
        columns[9] = columns[0].clone();
        fields.remove(0);
        columns.remove(0);
    });
    for (name, bytes) in [("a.parquet", parquet(&rows, 100)), ("a.arrow", arrow_file(&rows))] {
        let folder = folder();
        put(&folder, name, bytes);
        assert_eq!(
            error(&settings(folder.path(), name)),
            format!(
                "{name} does not fit the model `events`: column `uuid` (text) is missing; column `event` is Int64, expected text; column `_inserted_at` is Utf8, expected timestamp (µs, UTC); rename, add or convert the columns (`batch-export schema events` lists them)"
            )
        );
    }
    let folder = folder();
    put(&folder, "a.jsonl", "{\"uuid\":\"1\"}\n");
    let text = error(&settings(folder.path(), "a.jsonl"));
    assert!(
        text.contains("column `event` (text) is missing; column `distinct_id` (text) is missing"),
        "{text}"
    );
}

#[test]
fn rows_without_end_and_columns_without_number_are_given_up() {
    let folder = folder();
    put(&folder, "a.jsonl", "{\"at\":\"2024-03-01T05:00:00Z\"}\n");
    // Zeros behind the first row, which take no room on the disk.
    let file = fs::OpenOptions::new().write(true).open(folder.path().join("a.jsonl"));
    file.expect("a file").set_len(129 << 20).expect("a length");
    let names: Vec<String> = (0..=10_000).map(|n| format!("\"c{n}\":1")).collect();
    put(&folder, "wide.jsonl", format!("{{{}}}\n", names.join(",")));
    let times = StringArray::from(vec!["2024-03-01T05:00:00Z"]);
    let rows = RecordBatch::try_from_iter([("at", Arc::new(times) as _)]).expect("a batch");
    put(&folder, "text.parquet", parquet(&rows, 100));
    for (name, expect) in [
        (
            "a.jsonl",
            "a.jsonl, line 2: the row is longer than 134,217,728 bytes; check that every row ends with a line break, \
             or split the row",
        ),
        (
            "wide.jsonl",
            "wide.jsonl is corrupt or truncated: it has more than 10000 columns; recreate it, or exclude it from the \
             source's `path`",
        ),
        (
            "text.parquet",
            "text.parquet does not fit the model `own`: the time column `at` is Utf8, expected a timestamp (the \
             source's `time_column` can name a different one); the columns found are `at`; rename, add or convert the \
             columns",
        ),
    ] {
        let settings = FilesSettings {
            model: "own".to_owned(),
            time_column: "at".to_owned(),
            ..settings(folder.path(), name)
        };
        assert_eq!(error(&settings), expect);
    }
}

#[test]
fn a_record_whose_quote_is_never_closed_is_given_up() {
    let folder = folder();
    let text = format!("at,s\n1,x\n2,\"{}", "y\n".repeat(50_000));
    for (name, bytes) in [
        ("a.csv", text.clone().into_bytes()),
        ("a.csv.gz", gzip(text.as_bytes())),
    ] {
        put(&folder, name, bytes);
        let path = folder.path().join(name);
        let file = Opened::open(path, None, Dialect::default(), &Token::new()).expect("a CSV file");
        let mut rows = csv_rows::CsvRows::bounded(&file, 20_000).expect("columns");
        assert!(rows.next().expect("the first record"));
        let error = rows.next().expect_err("no end").to_string();
        assert_eq!(
            error.replace(&format!("{}/", folder.path().display()), ""),
            format!("{name}, line 3: the record is longer than 20,000 bytes")
        );
    }
}

#[test]
fn files_with_other_columns_than_the_first_are_named_with_both() {
    let folder = folder();
    let rows = sample(Model::Events, START, END);
    let more = changed(|fields, columns| {
        fields.push(Field::new("team", DataType::Int64, true));
        columns.push(Arc::new(Int64Array::from(vec![1; columns[0].len()])));
    });
    let other = changed(|fields, columns| {
        fields.push(Field::new("team", DataType::Utf8, true));
        columns.push(columns[0].clone());
    });
    let cases = [
        (&rows, &more, "column `team` is only here"),
        (&more, &rows, "column `team` is missing"),
        (&more, &other, "column `team` is Utf8 here, but Int64 there"),
    ];
    for (a, b, expect) in cases {
        put(&folder, "x/a.parquet", parquet(a, 100));
        put(&folder, "x/b.parquet", parquet(b, 100));
        assert_eq!(
            error(&settings(folder.path(), "x")),
            format!(
                "x/b.parquet has different columns than {}/x/a.parquet: {expect}; give both files the same columns, or \
                 export them separately",
                folder.path().display()
            )
            .replace(&format!("{}/", folder.path().display()), "")
        );
    }
}

#[test]
fn values_that_do_not_fit_are_errors_and_not_nulls() {
    let folder = folder();
    let rows = sample(Model::Persons, START, END);
    let mut fields: Vec<Field> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect();
    let mut columns = rows.columns().to_vec();
    fields[0] = Field::new("team_id", DataType::UInt64, true);
    columns[0] = Arc::new(arrow::array::UInt64Array::from(vec![u64::MAX; rows.num_rows()]));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch");
    put(&folder, "a.parquet", parquet(&rows, 100));
    let mut settings = settings(folder.path(), "a.parquet");
    settings.model = "persons".to_owned();
    let text = error(&settings);
    assert!(
        text.starts_with("a.parquet, row 1, column `team_id`: ") && text.contains("18446744073709551615"),
        "{text}"
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let folder = folder();
    fs::create_dir(folder.path().join("a.parquet")).expect("a folder");
    File::create(folder.path().join("a.parquet/x")).expect("a file");
    let text = error(&settings(folder.path(), "a.parquet/x/y"));
    assert!(text.contains("a.parquet/x/y"), "{text}");
}

#[test]
fn times_outside_their_day_are_refused_by_column_and_row() {
    use arrow::array::{
        ArrayRef, Time32SecondArray, Time64MicrosecondArray, Time64NanosecondArray, TimestampMicrosecondArray,
    };
    const FIVE: i64 = 1_709_269_200_000_000;
    const DAY_MICROS: i64 = 86_400_000_000;
    let folder = folder();
    let own = |name: &str| FilesSettings::new(folder.path(), name, "own", "t");
    let cases: [(&str, ArrayRef, &str); 4] = [
        (
            "negative.arrow",
            Arc::new(Time64MicrosecondArray::from(vec![0, 5, -1])),
            "negative.arrow, row 3, column `at`: the time of day -1 is not within a day; correct the value, or convert the column to text or to a number",
        ),
        (
            "late.parquet",
            Arc::new(Time64NanosecondArray::from(vec![0, DAY_MICROS * 1_000, 0])),
            "late.parquet, row 2, column `at`: the time of day 86400000000000 is not within a day; correct the value, or convert the column to text or to a number",
        ),
        (
            "midnight.arrow",
            Arc::new(Time32SecondArray::from(vec![86_400, 0, 0])),
            "midnight.arrow, row 1, column `at`: the time of day 86400 is not within a day; correct the value, or convert the column to text or to a number",
        ),
        (
            "good.parquet",
            Arc::new(Time64MicrosecondArray::from(vec![0, DAY_MICROS - 1, 1])),
            "",
        ),
    ];
    for (name, times, expect) in cases {
        let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![FIVE; 3]));
        let rows = RecordBatch::try_from_iter([("t", at), ("at", times)]).expect("rows");
        let bytes = match name.ends_with(".arrow") {
            true => arrow_file(&rows),
            false => parquet(&rows, 10),
        };
        put(&folder, name, bytes);
        match expect {
            "" => assert_eq!(read(&own(name)).0.num_rows(), 3),
            expect => assert_eq!(error(&own(name)), expect),
        }
    }
}
