//! Which files a path takes, that each is taken once, and that whatever is not taken is said.

use super::*;

/// Returns a row of a model of one's own.
fn row(n: i64) -> String {
    format!("{{\"t\":\"2024-03-01T05:00:00Z\",\"n\":{n}}}\n")
}

fn own(folder: &TempDir, path: &str) -> FilesSettings {
    FilesSettings {
        model: "own".to_owned(),
        time_column: "t".to_owned(),
        ..settings(folder.path(), path)
    }
}

/// Returns the values of `n`, the tally and the warnings.
fn found(settings: &FilesSettings) -> (Vec<i64>, Tally, Vec<Cause>) {
    let mut files = open(settings, selection(START, END)).expect("files");
    let rows = drain(&mut files);
    let numbers = rows.column_by_name("n").map(|column| {
        let column = column.as_primitive::<arrow::datatypes::Int64Type>();
        column.values().to_vec()
    });
    (numbers.unwrap_or_default(), files.tally(), files.warnings())
}

fn texts(settings: &FilesSettings, column: &str) -> Vec<Option<String>> {
    let mut files = open(settings, selection(START, END)).expect("files");
    let rows = drain(&mut files);
    let column = rows.column_by_name(column).expect("the column");
    let texts = column.as_string::<i32>().iter();
    texts.map(|text| text.map(str::to_owned)).collect()
}

#[cfg(unix)]
#[test]
fn a_file_is_read_once_however_many_names_lead_to_it() {
    use std::os::unix::fs::symlink;
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    put(&folder, "in/2023-07/a.jsonl", row(1));
    put(&folder, "in/2023-08/b.jsonl", row(2));
    put(&folder, "elsewhere/c.jsonl", row(3));
    symlink("2023-07", at("in/aa-latest")).expect("a link to a folder");
    symlink(".", at("in/self")).expect("a circle");
    symlink("..", at("in/2023-07/up")).expect("a larger circle");
    symlink("2023-07/a.jsonl", at("in/0.jsonl")).expect("a link to a file");
    symlink(at("elsewhere"), at("in/outside")).expect("a link to another folder");
    fs::hard_link(at("in/2023-08/b.jsonl"), at("in/2023-08/z.jsonl")).expect("a hard link");
    for path in ["in", "in/**/*.jsonl", "in/**", "./in/", "{in,in/2023-07}"] {
        let (numbers, tally, warnings) = found(&own(&folder, path));
        assert_eq!(numbers, [1, 2, 3], "{path}");
        assert_eq!(tally.files_read, 3, "{path}");
        assert_eq!(tally.files_seen, 3 + tally.files_repeated, "{path}");
        assert!(tally.files_repeated >= 5, "{path}: {tally:?}");
        assert!(
            warnings.iter().any(|warning| warning
                .to_string()
                .contains("further names refer to files or folders that are read under another name")),
            "{warnings:?}"
        );
    }
    // A name that is asked for is taken, link or not.
    let (numbers, tally, warnings) = found(&own(&folder, "in/aa-latest/*.jsonl"));
    assert_eq!((numbers, tally.files_repeated), (vec![1], 0));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[cfg(unix)]
#[test]
fn circles_without_a_file_end() {
    use std::os::unix::fs::symlink;
    let folder = folder();
    for name in ["a", "b", "c"] {
        symlink(".", folder.path().join(name)).expect("a link");
    }
    for path in [".", "**/*.jsonl", "*/*/*/*"] {
        let text = error(&own(&folder, path));
        assert!(
            text.contains("does not contain any files that can be read") || text.contains("does not match any file"),
            "{text}"
        );
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_by_name_and_never_opened() {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let pipe = |name: &str| {
        put(&folder, name, "");
        fs::remove_file(at(name)).expect("a free name");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, at(name), kind, mode, 0).expect("a pipe");
    };
    pipe("pipe/a.jsonl");
    put(&folder, "socket/readme", "");
    let _listener = UnixListener::bind(at("socket/a.csv")).expect("a socket");
    put(&folder, "device/readme", "");
    symlink("/dev/zero", at("device/a.parquet")).expect("a link");
    for (path, name, what) in [
        ("pipe", "pipe/a.jsonl", "a named pipe"),
        ("pipe/a.jsonl", "pipe/a.jsonl", "a named pipe"),
        ("*/*.jsonl", "pipe/a.jsonl", "a named pipe"),
        ("socket", "socket/a.csv", "a socket"),
        ("device", "device/a.parquet", "a device"),
        ("/dev/null", "/dev/null", "a device"),
    ] {
        assert_eq!(
            error(&own(&folder, path)),
            format!("{name} is {what}, not a file; remove it, or set a `path` that does not match it")
        );
    }
    // One that takes a file's place after it was looked at.
    let opened = Opened::open(
        {
            put(&folder, "late/a.jsonl", row(1));
            at("late/a.jsonl")
        },
        None,
        Dialect::default(),
        &Token::new(),
    )
    .expect("a file");
    fs::remove_file(at("late/a.jsonl")).expect("removed");
    pipe("late/a.jsonl");
    let text = opened.file().expect_err("a pipe").to_string();
    assert!(text.contains("is a named pipe, not a file"), "{text}");
}

#[test]
fn hidden_names_are_skipped_by_globs_as_by_folders_and_said() {
    let folder = folder();
    put(&folder, "in/part-0.jsonl", row(1));
    put(&folder, "in/_temporary/0/attempt_1/part-0.jsonl", row(2));
    put(&folder, "in/._part-0.jsonl", "not rows");
    put(&folder, "in/.crc.jsonl.crc", "not rows");
    put(&folder, "in/_SUCCESS", "");
    for path in ["in", "in/**/*.jsonl", "in/**/part-*.jsonl", "i[n]/*"] {
        let (numbers, tally, warnings) = found(&own(&folder, path));
        assert_eq!((numbers, tally.files_read), (vec![1], 1), "{path}");
        if path != "i[n]/*" && path != "in/**/part-*.jsonl" {
            assert_eq!(tally.files_hidden, 2, "{path}");
            let told: Vec<_> = warnings.iter().map(Cause::in_one_text).collect();
            assert_eq!(
                told,
                [
                    "2 files or folders were not read, because their names begin with `.` or `_`: in/._part-0.jsonl, in/_temporary"
                ],
                "{path}"
            );
        }
        assert!(tally.files_hidden > 0, "{path}");
    }
    // Hidden for one part of the path and taken by another is taken, and no name counts twice.
    let (numbers, tally, _) = found(&own(&folder, "in/{*,*,_temporary/0/*/*}.jsonl"));
    assert_eq!((numbers, tally.files_read), (vec![2, 1], 2));
    assert_eq!((tally.files_seen, tally.files_hidden), (3, 1));
    // Whoever names them means them.
    for path in ["in/_temporary", "in/_*/**/*.jsonl", "in/_temporary/0/*/*.jsonl"] {
        let (numbers, tally, _) = found(&own(&folder, path));
        assert_eq!((numbers, tally.files_hidden), (vec![2], 0), "{path}");
    }
}

#[test]
fn files_of_a_folder_that_are_not_read_are_counted_and_named() {
    let folder = folder();
    put(&folder, "in/a.jsonl", row(1));
    for name in ["b.json", "c.log.gz", "part-0000", "x/d.txt", "x/e.JSONL"] {
        put(&folder, &format!("in/{name}"), row(2));
    }
    let (numbers, tally, warnings) = found(&own(&folder, "in"));
    assert_eq!((numbers, tally.files_of_other_names), (vec![1, 2], 4));
    assert_eq!((tally.files_seen, tally.files_read), (6, 2));
    let told: Vec<_> = warnings.into_iter().map(Cause::into_parts).collect();
    assert_eq!(
        told,
        [(
            "4 of the folder's files were not read, because their names do not indicate their format: in/b.json, in/c.log.gz, in/part-0000 and 1 more".to_owned(),
            Some("to read them, match them with a glob in the source's `path`, or rename them".to_owned())
        )]
    );
    let (numbers, tally, warnings) = found(&own(&folder, "in/*.json*"));
    assert_eq!((numbers, tally.files_of_other_names), (vec![1, 2], 0));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn braces_stand_for_alternatives() {
    let folder = folder();
    for (n, name) in ["a/1.jsonl", "b/2.jsonl", "c/3.ndjson", "{d}/4.jsonl"]
        .into_iter()
        .enumerate()
    {
        put(&folder, name, row(n as i64 + 1));
    }
    for (path, expect) in [
        ("{a,b}/*.jsonl", vec![1, 2]),
        ("{a,b,c}/*.{jsonl,ndjson}", vec![1, 2, 3]),
        ("{a/1,{b/2,x/9*}}.jsonl", vec![1, 2]),
        ("{c,a}", vec![1, 3]),
        ("{d}", vec![4]),
        ("{d}/*.jsonl", vec![4]),
        ("{d}/{4,5*}.jsonl", vec![4]),
        ("{a,{d}}/*.jsonl", vec![1, 4]),
    ] {
        assert_eq!(found(&own(&folder, path)).0, expect, "{path}");
    }
    assert_eq!(
        error(&own(&folder, "{a/1,b/9}.jsonl")),
        "there is no file or folder b/9.jsonl; correct the source's `path`; a relative path is relative to the \
         configuration's folder"
    );
    // As in a shell, braces without a comma of their own are part of the name.
    put(&folder, "{x}a.jsonl", row(5));
    put(&folder, "xa.jsonl", row(6));
    put(&folder, "{xb}.jsonl", row(7));
    for (path, expect) in [
        ("{x}*.jsonl", vec![5]),
        ("{x{b,y*}}*", vec![7]),
        ("{{x}a,xa}.jsonl", vec![6, 5]),
    ] {
        assert_eq!(found(&own(&folder, path)).0, expect, "{path}");
    }
    let text = error(&own(&folder, "{x{a,b}}.jsonl"));
    assert!(text.starts_with("there is no file or folder {xa}.jsonl"), "{text}");
    let many = "{a,b}".repeat(12);
    for (path, expect) in [
        (
            "s3://bucket/x/*.parquet",
            "files are read from this machine only, not from `s3://`; copy them to this machine, and name a file, a folder or a glob",
        ),
        (
            "~/in",
            "`~` is not expanded to a home folder; use the full path of the folder",
        ),
        ("", "it is empty; name a file, a folder or a glob"),
        ("in/{a,b", "the brace `{a,b` is never closed; write it like `{a,b}`"),
        (many.as_str(), "its braces expand to more than 1,000 globs; use `*`"),
    ] {
        assert_eq!(
            discover::check_pattern(folder.path(), path).map_err(|cause| cause.in_one_text()),
            Err(expect.to_owned()),
            "{path}"
        );
        assert_eq!(
            error(&own(&folder, path)),
            format!("the source's `path` is `{path}`: {expect}")
        );
    }
}

#[test]
fn a_slash_behind_a_file_is_a_mistake_for_good() {
    let folder = folder();
    put(&folder, "e.jsonl", row(1));
    let outcome = open(&own(&folder, "e.jsonl/"), selection(START, END)).map(|_| ());
    assert!(!outcome.expect_err("no folder").is_transient());
}

#[test]
fn keys_in_folders_names_are_columns() {
    let folder = folder();
    let rows = |n: i64| {
        parquet(
            &RecordBatch::try_from_iter([
                (
                    "t",
                    Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![
                        1_709_269_200_000_000,
                    ])) as Arc<dyn Array>,
                ),
                ("n", Arc::new(Int64Array::from(vec![n]))),
            ])
            .expect("rows"),
            100,
        )
    };
    put(&folder, "in/dt=2026-01-01/country=DE/a.parquet", rows(1));
    put(&folder, "in/dt=2026-01-01/country=F%20R/a.parquet", rows(2));
    put(
        &folder,
        "in/dt=2026-01-02/country=__HIVE_DEFAULT_PARTITION__/a.parquet",
        rows(3),
    );
    let some = |text: &str| Some(text.to_owned());
    for path in ["in", "in/**/*.parquet", "in/dt=*/country=*/a.parquet"] {
        let settings = own(&folder, path);
        assert_eq!(found(&settings).0, [1, 2, 3], "{path}");
        let countries = [some("DE"), some("F R"), None];
        assert_eq!(texts(&settings, "country"), countries, "{path}");
        let days = [some("2026-01-01"), some("2026-01-01"), some("2026-01-02")];
        assert_eq!(texts(&settings, "dt"), days, "{path}");
    }
    // As another type where the configuration says so.
    let mut typed = own(&folder, "in");
    let typed_as = "timestamp".parse().expect("a type");
    typed.columns.insert("dt".to_owned(), typed_as);
    let mut files = open(&typed, selection(START, END)).expect("files");
    let rows_read = drain(&mut files);
    let days = rows_read.column_by_name("dt").expect("days");
    let days = days.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    assert_eq!(days.value(2) - days.value(0), 86_400_000_000);
    put(&folder, "lines/k=7/a.jsonl", row(1));
    let mut lines = own(&folder, "lines");
    lines.columns.insert("k".to_owned(), "int64".parse().expect("a type"));
    let mut files = open(&lines, selection(START, END)).expect("files");
    let seven = drain(&mut files);
    let seven = seven.column_by_name("k").expect("a number");
    assert_eq!(seven.as_primitive::<arrow::datatypes::Int64Type>().value(0), 7);
    // Also what stands in the path itself.
    let one = own(&folder, "in/dt=2026-01-01/country=DE");
    assert_eq!(texts(&one, "dt"), [some("2026-01-01")]);
    // All files have the same columns.
    put(&folder, "in/z.parquet", rows(4));
    let text = error(&own(&folder, "in"));
    assert!(
        text.contains("column `dt` is missing; column `country` is missing"),
        "{text}"
    );
}

#[test]
fn a_key_that_the_file_holds_too_must_be_the_same() {
    let folder = folder();
    let row = |k: &str| format!("{{\"t\":\"2024-03-01T05:00:00Z\",\"n\":1,\"k\":{k}}}\n");
    put(&folder, "good/k=07/a.jsonl", row("7").repeat(3));
    put(&folder, "text/k=x/a.jsonl", row("\"x\""));
    put(&folder, "bad/k=7/a.jsonl", [row("7"), row("8")].concat());
    put(&folder, "null/k=7/a.jsonl", [row("7"), row("null")].concat());
    put(&folder, "kind/k=x/a.jsonl", row("7"));
    put(&folder, "twice/k=1/k=2/a.jsonl", row("1"));
    assert_eq!(found(&own(&folder, "good")).0, [1, 1, 1]);
    assert_eq!(texts(&own(&folder, "text"), "k"), [Some("x".to_owned())]);
    for (path, expect) in [
        (
            "bad",
            "bad/k=7/a.jsonl, row 2, column `k`: the file contains a different value than its folder's name, `7`; \
             move the file, or rename the column",
        ),
        (
            "null",
            "null/k=7/a.jsonl, row 2, column `k`: the file contains a different value than its folder's name, `7`; \
             move the file, or rename the column",
        ),
        (
            "kind",
            "kind/k=x/a.jsonl, column `k`: cannot be compared with its folder's name: `x` is not a number, but the column is Int64",
        ),
        (
            "twice",
            "twice/k=1/k=2/a.jsonl, column `k`: the names of two of its folders contain it; rename one of the folders",
        ),
    ] {
        assert_eq!(error(&own(&folder, path)), expect);
    }
    // A model's columns come from its files, and further keys follow them.
    let rows = sample(Model::Events, START, END);
    put(&folder, "events/event=x/a.parquet", parquet(&rows, 1_000));
    let text = error(&settings(folder.path(), "events"));
    assert!(
        text.contains("column `event`: the file contains a different value"),
        "{text}"
    );
    put(&folder, "more/region=eu/a.parquet", parquet(&rows, 1_000));
    let (read, _) = read(&settings(folder.path(), "more"));
    assert_eq!(read.num_rows(), rows.num_rows());
    assert_eq!(read.schema().field(10).name(), "region");
}

#[test]
fn the_time_may_be_the_folders() {
    let folder = folder();
    put(
        &folder,
        "in/t=2024-03-01T05%3A30%3A00Z/a.jsonl",
        "{\"n\":1}\n{\"n\":2}\n",
    );
    put(&folder, "in/t=2024-03-01T06%3A00%3A00Z/a.jsonl", "{\"n\":3}\n");
    let (numbers, tally, _) = found(&own(&folder, "in"));
    assert_eq!((numbers, tally.rows_outside_interval), (vec![1, 2], 1));
    put(&folder, "in/t=later/a.jsonl", "{\"n\":4}\n");
    let text = error(&own(&folder, "in"));
    assert!(
        text.starts_with("in/t=later/a.jsonl, column `t`: in its folder's name: `later` is not a time"),
        "{text}"
    );
}

#[test]
fn nothing_but_empty_files_is_no_rows() {
    let folder = folder();
    put(&folder, "in/a.jsonl", "");
    put(&folder, "in/b.csv", "");
    put(&folder, "in/c.jsonl.gz", gzip(b""));
    put(&folder, "in/d.jsonl", "\n\n");
    for settings in [own(&folder, "in"), settings(folder.path(), "in")] {
        let (numbers, tally, warnings) = found(&settings);
        assert!(numbers.is_empty() && warnings.is_empty(), "{warnings:?}");
        assert_eq!((tally.files_read, tally.rows_read), (4, 0));
    }
    // Beside files that hold rows, and columns that the empty ones cannot have.
    let rows = changed(|fields, columns| {
        fields.push(Field::new("team", DataType::Int64, true));
        columns.push(Arc::new(Int64Array::from(vec![1; columns[0].len()])));
    });
    put(&folder, "in/e.parquet", parquet(&rows, 1_000));
    let (_, tally) = read(&settings(folder.path(), "in"));
    assert_eq!((tally.files_read, tally.rows_read), (5, 500));
}
