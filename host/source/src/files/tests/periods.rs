//! Paths with parts of a time in them: which files a run of an interval opens, and what is said of those that are not
//! there.

use super::*;

const HOURS: &str = "in/{year}/{month}/{day}/{hour}/*.jsonl";

fn own(folder: &TempDir, path: &str) -> FilesSettings {
    FilesSettings {
        model: "own".to_owned(),
        time_column: "t".to_owned(),
        ..settings(folder.path(), path)
    }
}

fn row(time: &str, n: i64) -> String {
    format!("{{\"t\":\"{time}\",\"n\":{n}}}\n")
}

/// A file for each of the hours 22 to 01, but for 00, each with a row at its half.
fn hours() -> TempDir {
    let folder = folder();
    for (n, hour) in ["2024-02-29T22", "2024-02-29T23", "2024-03-01T01"]
        .into_iter()
        .enumerate()
    {
        let name = format!("in/{}/a.jsonl", hour.replace(['-', 'T'], "/"));
        put(&folder, &name, row(&format!("{hour}:30:00Z"), n as i64));
    }
    folder
}

/// Returns the values of `n`, the tally and the warnings, and the files that were opened.
fn read_of(settings: &FilesSettings, start: &str, end: &str) -> (Vec<i64>, Tally, Vec<String>) {
    let mut files = open(settings, selection(start, end)).expect("files");
    let rows = drain(&mut files);
    let numbers = rows.column_by_name("n").expect("the column");
    let numbers = numbers.as_primitive::<arrow::datatypes::Int64Type>().values().to_vec();
    let warnings = files.warnings().into_iter().map(|warning| warning.to_string());
    (numbers, files.tally(), warnings.collect())
}

#[test]
fn an_interval_opens_the_files_of_its_periods_only() {
    let folder = hours();
    // It would fail whatever opens it.
    put(&folder, "in/2024/02/29/21/a.jsonl", "{\"t\":");
    put(&folder, "in/2024/03/01/02/a.jsonl", "{\"t\":");
    let none = |names: &str| format!("the source's `path` has no files for {names}");
    for (start, end, expect, warnings) in [
        ("2024-02-29T22:00Z", "2024-02-29T23:00Z", vec![0], vec![]),
        ("2024-02-29T22:00Z", "2024-03-01T00:00Z", vec![0, 1], vec![]),
        // Rows of a file that are outside of the interval are omitted as ever.
        ("2024-02-29T22:31Z", "2024-02-29T23:31Z", vec![1], vec![]),
        (
            "2024-02-29T23:00Z",
            "2024-03-01T02:00Z",
            vec![1, 2],
            vec![none("2024-03-01T00 (1 of 3 hours)")],
        ),
        (
            "2024-03-01T00:00Z",
            "2024-03-01T01:00Z",
            vec![],
            vec![none("2024-03-01T00")],
        ),
        (
            "2024-03-02",
            "2024-03-03",
            vec![],
            vec![none(
                "2024-03-02T00, 2024-03-02T01, 2024-03-02T02 and 21 more (24 of 24 hours)",
            )],
        ),
    ] {
        // Columns of hours without files are those of the last file.
        let folder = match start {
            "2024-03-01T00:00Z" | "2024-03-02" => &hours(),
            _ => &folder,
        };
        let (numbers, tally, said) = read_of(&own(folder, HOURS), start, end);
        assert_eq!((numbers, said), (expect, warnings), "{start} to {end}");
        assert_eq!(tally.files_seen, tally.files_read);
        let found = paths(&own(folder, HOURS), &selection(start, end), &Token::new()).expect("paths");
        assert_eq!(
            found.len() as u64,
            tally.files_read,
            "the second count looks at the same files"
        );
    }
}

#[test]
fn a_backfill_by_another_time_finds_its_rows_in_every_period() {
    let folder = folder();
    // It happened at 05:10, and arrived an hour later.
    let text = "{\"t\":\"2024-03-01T06:10:00Z\",\"at\":\"2024-03-01T05:10:00Z\",\"n\":1}\n";
    put(&folder, "in/2024/03/01/06/a.jsonl", text);
    let mut settings = own(&folder, HOURS);
    settings.backfill_time_column = Some("at".to_owned());
    let backfill = || selection(START, END).by(TimeOf::Event);
    let rows = drain(&mut open(&settings, backfill()).expect("files"));
    assert_eq!(rows.num_rows(), 1);
    assert_eq!(paths(&settings, &backfill(), &Token::new()).expect("paths").len(), 1);
    let rows = drain(&mut open(&settings, selection(START, END)).expect("files"));
    assert_eq!(rows.num_rows(), 0);
}

#[test]
fn an_open_start_reads_every_period_and_nothing_else() {
    let folder = hours();
    put(&folder, "in/2024/02/29/all/a.jsonl", "{\"t\":");
    let (numbers, _, warnings) = read_of(&own(&folder, HOURS), "beginning", "2024-03-01T00:00Z");
    assert_eq!((numbers, warnings), (vec![0, 1], vec![]));
}

#[test]
fn partitions_folders_files_and_alternatives_can_have_variables() {
    let folder = folder();
    let days = ["2024-02-29", "2024-03-01", "2024-03-02"];
    for (n, day) in days.into_iter().enumerate() {
        let text = row(&format!("{day}T05:00:00Z"), n as i64);
        put(&folder, &format!("parts/dt={day}/x=1/a.jsonl"), &text);
        put(&folder, &format!("files/{day}.jsonl"), &text);
        put(&folder, &format!("{}/{day}.jsonl", ["web", "app", "web"][n]), &text);
    }
    put(&folder, "files/2024-03-0x.jsonl", "{\"t\":");
    let day = "{year}-{month}-{day}";
    for path in [
        format!("parts/dt={day}/**/*.jsonl"),
        format!("parts/dt={day}"),
        format!("{}/parts/dt={day}/x=*/*", folder.path().display()),
        format!("files/{day}.jsonl"),
        format!("{{web,app}}/{day}.js*"),
        format!("{{web,app}}/{day}.jsonl"),
    ] {
        let (numbers, tally, warnings) = read_of(&own(&folder, &path), "2024-02-29", "2024-03-02");
        let by_name = match path.starts_with("{web") {
            true => vec![1, 0],
            false => vec![0, 1],
        };
        assert_eq!((numbers, tally.files_read), (by_name, 2), "{path}");
        let expect = match path == format!("{{web,app}}/{day}.jsonl") {
            true => vec![
                "the source's `path` has no files for app/2024-02-29.jsonl, web/2024-03-01.jsonl (0 of 2 days)"
                    .to_owned(),
            ],
            false => vec![],
        };
        assert_eq!(warnings, expect, "{path}");
    }
    let partitioned = own(&folder, &format!("parts/dt={day}"));
    let mut files = open(&partitioned, selection("2024-03-01", "2024-03-02")).expect("files");
    let rows = drain(&mut files);
    let dt = rows
        .column_by_name("dt")
        .expect("the folder's column")
        .as_string::<i32>();
    assert_eq!(dt.iter().collect::<Vec<_>>(), [Some("2024-03-01")]);
}

#[test]
fn a_path_that_never_has_a_file_is_a_mistake() {
    let folder = hours();
    for (path, expect) in [
        (
            "in/{year}/{month}/{day}/{hour}/*.parqet",
            "`in/{year}/{month}/{day}/{hour}/*.parqet` does not match any file below in; correct the source's `path`",
        ),
        (
            "elsewhere/{year}/{month}/*.jsonl",
            "`elsewhere/{year}/{month}/*.jsonl` does not match any file below elsewhere; correct the source's `path`",
        ),
        (
            "in/{year}/{mnth}/*.jsonl",
            "the source's `path` is `in/{year}/{mnth}/*.jsonl`: `{mnth}` stands for nothing in it; did you mean \
             `{month}`? (write `?` for a brace that is part of a name)",
        ),
        (
            "in/{year}/{day}/*.jsonl",
            "the source's `path` is `in/{year}/{day}/*.jsonl`: it has `{day}`, but not `{month}`; name every part of \
             the time from the year on",
        ),
        (
            "in/{year}/{month}/{hour",
            "the source's `path` is `in/{year}/{month}/{hour`: the brace `{hour` is never closed; write it like `{a,b}`",
        ),
    ] {
        assert_eq!(error(&own(&folder, path)), expect);
    }
    let week = "in/{year}/{month}/{day}/{hour}/{minute}/{second}/*";
    let refused = open(&own(&folder, week), selection("2024-03-01", "2024-03-08"))
        .err()
        .expect("too many");
    assert!(
        refused.to_string().contains("touches more than 100,000 periods of it"),
        "{refused}"
    );
    assert!(discover::check_pattern(folder.path(), HOURS).is_ok());
    assert!(discover::check_pattern(folder.path(), "in/{yaer}/*").is_err());
}

#[test]
fn a_name_that_holds_a_variable_is_that_name() {
    let folder = folder();
    put(&folder, "{year}/a.jsonl", row("2024-03-01T05:00:00Z", 1));
    let (numbers, _, _) = read_of(&own(&folder, "{year}"), START, END);
    assert_eq!(numbers, [1]);
}

#[test]
fn a_survey_of_an_interval_reads_its_files_only() {
    let folder = hours();
    let factory = |path: &str| crate::SourceSettings::Files(own(&folder, path)).factory(1 << 30);
    let hour = Interval::parse("2024-02-29T23:00Z", "2024-03-01T00:00Z").expect("an interval");
    assert_eq!(factory(HOURS).surveyed(Some(hour)), Some(hour));
    assert_eq!(factory(HOURS).surveyed(None), Some(Interval::always()));
    assert_eq!(factory("in/*").surveyed(Some(hour)), Some(Interval::always()));
}
