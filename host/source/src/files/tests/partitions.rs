//! Folders that are columns: which names count, what a file under several of them is, and files that disagree about
//! what a column is.

use super::*;
use crate::model::ColumnKind;
use arrow::array::{ArrayRef, FixedSizeBinaryArray, TimestampMicrosecondArray};

const FIVE: i64 = 1_709_269_200_000_000;

fn own(folder: &Path, path: &str) -> FilesSettings {
    FilesSettings {
        model: "own".to_owned(),
        time_column: "t".to_owned(),
        ..settings(folder, path)
    }
}

/// Returns rows with one more column.
fn rows(field: Field, column: ArrayRef) -> RecordBatch {
    let times = vec![FIVE; column.len()];
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
    let time = Field::new("t", times.data_type().clone(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![time, field])), vec![times, column]).expect("rows")
}

fn line(more: &str) -> String {
    format!("{{\"t\":\"2024-03-01T05:00:00Z\"{more}}}\n")
}

fn marked(field: Field, mark: &str) -> Field {
    let mark = ("ARROW:extension:name".to_owned(), mark.to_owned());
    field.with_metadata([mark])
}

/// Returns the texts of a column of all rows.
fn texts(settings: &FilesSettings, column: &str) -> Vec<String> {
    let (rows, _) = read(settings);
    let column = rows.column_by_name(column).expect("the column");
    let texts = column.as_string::<i32>().iter();
    texts.map(|text| text.unwrap_or("NULL").to_owned()).collect()
}

#[test]
fn the_order_of_names_does_not_decide_whether_a_column_is_text_or_json_or_a_uuid() {
    let words: ArrayRef = Arc::new(StringArray::from(vec!["null"]));
    let plain = arrow_file(&rows(Field::new("v", DataType::Utf8, true), words.clone()));
    let json = arrow_file(&rows(ColumnKind::Json.field("v"), words));
    let bytes = FixedSizeBinaryArray::try_from_iter([[7_u8; 16]].into_iter()).expect("bytes");
    let bytes: ArrayRef = Arc::new(bytes);
    let field = Field::new("v", DataType::FixedSizeBinary(16), true);
    let hash = arrow_file(&rows(field.clone(), bytes.clone()));
    let uuid = arrow_file(&rows(marked(field, "arrow.uuid"), bytes));
    let list = |mark: Option<&str>| {
        let item = Field::new("item", DataType::Utf8, true);
        let item = mark.map_or(item.clone(), |mark| marked(item, mark));
        let mut lists = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new()).with_field(item.clone());
        lists.append_value([Some("1")]);
        let lists: ArrayRef = Arc::new(lists.finish());
        arrow_file(&rows(Field::new("v", lists.data_type().clone(), true), lists))
    };
    let texts_found = line(",\"v\":\"null\"").into_bytes();
    let json_found = line(",\"v\":[1]").into_bytes();
    let (json_type, text_type) = ("JSON (Utf8)", "Utf8");
    let uuids = "UUID (FixedSizeBinary(16))";
    for (one, other, one_is, other_is, has_text) in [
        (&plain, &json, text_type, json_type, false),
        (&hash, &uuid, "FixedSizeBinary(16)", uuids, false),
        (&plain, &uuid, text_type, uuids, false),
        (&texts_found, &json, text_type, json_type, true),
        (&json_found, &plain, json_type, text_type, true),
        (&list(None), &list(Some("arrow.json")), "List(", "List(", false),
    ] {
        for (first, second, first_is, second_is) in [(one, other, one_is, other_is), (other, one, other_is, one_is)] {
            let folder = folder();
            let name = |stem: &str, bytes: &[u8]| match bytes.starts_with(b"{") {
                true => format!("in/{stem}.jsonl"),
                false => format!("in/{stem}.arrow"),
            };
            let (a, b) = (name("a", first), name("b", second));
            put(&folder, &a, first);
            put(&folder, &b, second);
            let text = error(&own(folder.path(), "in"));
            assert!(
                text.contains(&format!("{b} has different columns than {a}: "))
                    && text.contains(&format!("column `v` is {second_is}"))
                    && text.contains(&format!(" here, but {first_is}")),
                "{text}"
            );
            assert_eq!(text.contains("can be given its type"), has_text, "{text}");
        }
    }
    // A type in the configuration makes them alike, and nothing else.
    let folder = folder();
    put(&folder, "in/a.jsonl", line(",\"v\":\"{}\""));
    put(&folder, "in/b.arrow", &json);
    let mut typed = own(folder.path(), "in");
    let is = |name: &str| name.parse().expect("a type");
    typed.columns.insert("v".to_owned(), is("json"));
    assert_eq!(texts(&typed, "v"), ["{}", "null"]);
    typed.columns.insert("v".to_owned(), is("text"));
    let text = error(&typed);
    assert!(
        text.contains("column `v` is JSON (Utf8), and the source's `columns` gives it the type text"),
        "{text}"
    );
}

#[test]
fn the_spelling_of_the_configurations_folder_decides_no_columns() {
    let folder = folder();
    put(&folder, "env=x/in/k=1/a.jsonl", line(",\"n\":1"));
    let base = folder.path().join("env=x");
    let here = std::env::current_dir().expect("a folder");
    let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(base.strip_prefix("/").expect("absolute"));
    let names = |base: &Path, path: &str| -> Vec<String> {
        let (rows, _) = read(&own(base, path));
        let fields = rows.schema();
        fields.fields().iter().map(|field| field.name().clone()).collect()
    };
    let absolute = base.join("in").display().to_string();
    for base in [&base, &relative] {
        for path in ["in", "in/**/*.jsonl", "in/k=1/a.jsonl"] {
            assert_eq!(names(base, path), ["t", "n", "k"], "{path}");
        }
        // An absolute path names all of its folders.
        for path in [absolute.clone(), format!("{absolute}/*/*.jsonl")] {
            assert_eq!(names(base, &path), ["t", "n", "env", "k"], "{path}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_file_in_several_partitions_is_read_for_each_of_them() {
    use std::os::unix::fs::symlink;
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    put(&folder, "in/k=1/a.jsonl", line(""));
    put(&folder, "in/k=2/b.jsonl", line(""));
    put(&folder, "in/k=3/b.jsonl", line(""));
    fs::hard_link(at("in/k=1/a.jsonl"), at("in/k=2/a.jsonl")).expect("a hard link");
    fs::hard_link(at("in/k=1/a.jsonl"), at("in/k=1/z.jsonl")).expect("a hard link");
    symlink("../k=1/a.jsonl", at("in/k=3/a.jsonl")).expect("a link");
    symlink("k=2", at("in/k=4")).expect("a link to a folder");
    symlink("..", at("in/k=3/up")).expect("a circle");
    symlink(".", at("in/k=3/j=5")).expect("a circle");
    for path in ["in", "in/**/*.jsonl", "in/k=*/*.jsonl"] {
        let settings = own(folder.path(), path);
        let mut files = open(&settings, selection(START, END)).expect("files");
        let rows = drain(&mut files);
        let keys = rows.column_by_name("k").expect("keys").as_string::<i32>();
        let keys: Vec<&str> = keys.iter().flatten().collect();
        assert_eq!(keys, ["1", "2", "2", "3", "3", "4", "4"], "{path}");
        let repeated = if path == "in/k=*/*.jsonl" { 1 } else { 3 };
        assert_eq!(files.tally().files_repeated, repeated, "{path}");
        assert!(
            files.warnings()[0].to_string().contains("were not read again"),
            "{path}"
        );
    }
    // With a column here and without it there, its rows would be twice in the table.
    fs::create_dir(at("in/latest")).expect("a folder");
    fs::hard_link(at("in/k=1/a.jsonl"), at("in/latest/a.jsonl")).expect("a hard link");
    assert_eq!(
        error(&own(folder.path(), "in")),
        "in/latest/a.jsonl and in/k=1/a.jsonl are the same file, but the names of their folders give different \
         columns; remove one of them, or set a `path` that matches only one"
    );
}

#[cfg(unix)]
#[test]
fn a_link_next_to_partitions_adds_no_rows_whatever_is_met_first() {
    use std::os::unix::fs::symlink;
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    put(&folder, "in/k=1/a.jsonl", line(""));
    put(&folder, "in/k=2/b.jsonl", line(""));
    symlink("k=2", at("in/latest")).expect("a link to a folder");
    symlink("k=1/a.jsonl", at("in/first.jsonl")).expect("a link to a file");
    symlink("..", at("in/k=2/up")).expect("a circle");
    let keys = |path: &str, expect: &[&str], repeated: &str| {
        let settings = own(folder.path(), path);
        assert_eq!(texts(&settings, "k"), expect, "{path}");
        let files = open(&settings, selection(START, END)).expect("files");
        let warnings = files.warnings();
        assert_eq!(warnings.len(), 1, "{path}: {warnings:?}");
        let told = warnings[0].to_string();
        let names = told.rsplit(": ").next().expect("names");
        assert_eq!(names, repeated, "{path}: {warnings:?}");
    };
    keys(
        "in",
        &["1", "2"],
        "in/first.jsonl, in/k=2/up, in/latest/b.jsonl and 1 more",
    );
    // Whichever of them a part of the path takes first.
    for path in [
        "in/{latest,k=2}/*.jsonl",
        "in/{k=2,latest}/*.jsonl",
        "in/{latest/b,k=2/b}.jsonl",
    ] {
        keys(path, &["2"], "in/latest/b.jsonl");
    }
    keys("in/{first,k=1/a}.jsonl", &["1"], "in/first.jsonl");
    // A link that leads out of what is read is a name like any other.
    put(&folder, "elsewhere/c.jsonl", line(""));
    symlink(at("elsewhere"), at("in/k=3")).expect("a link to a folder");
    let settings = own(folder.path(), "in/k=*/*.jsonl");
    assert_eq!(texts(&settings, "k"), ["1", "2", "3"]);
    let (_, tally) = read(&settings);
    assert_eq!((tally.files_read, tally.files_seen), (3, 3));
    // Two links with and without the column are two answers to one question.
    symlink(at("elsewhere"), at("in/other")).expect("a link to a folder");
    let text = error(&own(folder.path(), "in/{k=3,other}/*.jsonl"));
    assert!(text.contains("are the same file"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_column_in_a_folders_name_that_is_not_utf8_is_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    let made = |name: &[u8]| {
        let inner = folder.path().join("in").join(OsStr::from_bytes(name));
        fs::create_dir_all(&inner).expect("a folder");
        fs::write(inner.join("a.jsonl"), line("")).expect("a file");
        inner
    };
    // Names that hold no column may be anything.
    made(b"x\xff");
    made(b"=\xff");
    assert_eq!(read(&own(folder.path(), "in")).0.num_rows(), 2);
    for name in [&b"k=\xff"[..], b"\xff=1"] {
        let inner = made(name);
        for path in ["in", "in/**/*.jsonl", "in/*/a.jsonl"] {
            assert_eq!(
                error(&own(folder.path(), path)),
                format!(
                    "the name of the folder {} contains a column but is not valid UTF-8; rename it, encoding other \
                     bytes as in `%FF`",
                    Path::new("in").join(inner.file_name().expect("a name")).display()
                ),
            );
        }
        fs::remove_dir_all(inner).expect("removed");
    }
}

#[test]
fn a_key_that_the_file_holds_too_is_compared_exactly() {
    let folder = folder();
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![FIVE]).with_timezone("UTC"));
    let ids = FixedSizeBinaryArray::try_from_iter([[0x1f_u8; 16]].into_iter()).expect("bytes");
    let cents = arrow::array::Decimal128Array::from(vec![101]).with_precision_and_scale(5, 2);
    let floats = arrow::array::Float64Array::from(vec![9_007_199_254_740_992.0]);
    let id = "1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f1f";
    let columns: [(&str, ArrayRef, &str, &str); 4] = [
        ("", times, "2024-03-01 07%3A00%3A00+02:00", "2024-03-01T07:00:00Z"),
        ("arrow.uuid", Arc::new(ids), id, "1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f1e"),
        ("", Arc::new(cents.expect("decimals")), "1.010", "1.005"),
        ("", Arc::new(floats), "9007199254740992", "9007199254740993"),
    ];
    for (number, (mark, column, same, other)) in columns.into_iter().enumerate() {
        let field = Field::new("x", column.data_type().clone(), true);
        let field = match mark {
            "" => field,
            mark => marked(field, mark),
        };
        let bytes = arrow_file(&rows(field, column));
        put(&folder, &format!("same{number}/x={same}/a.arrow"), &bytes);
        put(&folder, &format!("other{number}/x={other}/a.arrow"), &bytes);
        assert_eq!(read(&own(folder.path(), &format!("same{number}"))).0.num_rows(), 1);
        assert_eq!(
            error(&own(folder.path(), &format!("other{number}"))),
            format!(
                "other{number}/x={other}/a.arrow, row 1, column `x`: the file contains a different value than its \
                 folder's name, `{other}`; move the file, or rename the column"
            )
        );
    }
    let spans: ArrayRef = Arc::new(arrow::array::DurationSecondArray::from(vec![1]));
    let field = Field::new("x", spans.data_type().clone(), true);
    put(&folder, "spans/x=1/a.arrow", arrow_file(&rows(field, spans)));
    let text = error(&own(folder.path(), "spans"));
    assert!(
        text.starts_with("spans/x=1/a.arrow, column `x`: cannot be compared with its folder's name"),
        "{text}"
    );
}

#[test]
fn a_key_that_a_float_column_rounds_is_counted() {
    let folder = folder();
    put(&folder, "in/x=9007199254740993/a.jsonl", line("").repeat(2));
    let mut settings = own(folder.path(), "in");
    let is = "float64".parse().expect("a type");
    settings.columns.insert("x".to_owned(), is);
    assert_eq!(read(&settings).1.numbers_rounded, 2);
}
