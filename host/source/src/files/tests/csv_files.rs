//! CSV as others write it: quotes, delimiters, headers. A row is read as it is, or the file's line is named.

use super::*;

fn own(folder: &TempDir, path: &str) -> FilesSettings {
    FilesSettings {
        model: "orders".to_owned(),
        time_column: "t".to_owned(),
        ..settings(folder.path(), path)
    }
}

fn error_of(name: &str, text: &str) -> String {
    let folder = folder();
    put(&folder, name, text);
    error(&own(&folder, name))
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(column).expect("a column");
    let texts = column.as_string::<i32>().iter();
    texts.map(|text| text.map(str::to_owned)).collect()
}

const TIME: &str = "2024-03-01T05:00:00Z";

#[test]
fn quotes_that_lose_rows_elsewhere_are_errors_with_their_line() {
    let remedy = "enclose a field that contains quotes in quotes, and double each quote inside it; if the file does not use quotes, set the source's `quotes` to `none`";
    let unclosed = "a quote that is opened on this line is not closed before the end of the file";
    let stray = "there is a quote inside a field that does not begin with one";
    let behind = |line: u64| {
        format!("a quote is opened on this line, but the field continues after the next quote, on line {line}")
    };
    let filler = format!("3,{TIME},x\n").repeat(20_000);
    for (text, line, what) in [
        // Databases write TSV without quotes.
        (
            format!("id,t,q\n1,{TIME},\"red shoes\n2,{TIME},blue\n"),
            2,
            unclosed.to_owned(),
        ),
        (
            format!("id,t,q\r\n1,{TIME},\"red shoes\r\n2,{TIME},blue\r\n"),
            2,
            unclosed.to_owned(),
        ),
        (
            format!("id,t,q\n1,{TIME},a\n2,{TIME},\"cut off he"),
            3,
            unclosed.to_owned(),
        ),
        (
            format!("id,t,q\n1,{TIME},\"typographic”\n{filler}"),
            2,
            unclosed.to_owned(),
        ),
        (
            format!("id,t,q\n{filler}1,{TIME},\"a\n{filler}"),
            20_002,
            unclosed.to_owned(),
        ),
        (format!("id,t,q\n1,{TIME},\"a\n2,{TIME},\"b\"\n"), 2, behind(3)),
        (format!("id,t,q\n1,{TIME},\"say \\\"hi\\\"\"\n"), 2, behind(2)),
        (format!("id,t,q\n1,{TIME},\"a\" \n"), 2, behind(2)),
        (format!("id,t,q\n1,{TIME},5\" pipe\n"), 2, stray.to_owned()),
        (format!("id,t,q\n1,{TIME}, \"a, b\"\n"), 2, stray.to_owned()),
    ] {
        assert_eq!(
            error_of("a.csv", &text),
            format!("a.csv, line {line}: {what}; {remedy}")
        );
        let tabs = text.replace(',', "\t");
        assert_eq!(
            error_of("a.tsv", &tabs),
            format!("a.tsv, line {line}: {what}; {remedy}")
        );
    }
}

#[test]
fn quotes_that_are_right_are_read_and_so_are_files_without_any() {
    let folder = folder();
    let text = format!(
        "\u{feff}\"id\",\"t\",\"q\"\r\n1,{TIME},\"say \"\"hi\"\"\"\r\n\r\n2,{TIME},\"two\r\nlines, one field\"\r\n3,{TIME},\"\"\r\n4,{TIME},plain"
    );
    put(&folder, "a.csv", text);
    let (found, _) = read(&own(&folder, "a.csv"));
    assert_eq!(
        texts(&found, "q"),
        [
            Some("say \"hi\"".to_owned()),
            Some("two\r\nlines, one field".to_owned()),
            None,
            Some("plain".to_owned())
        ]
    );
    let text = format!("id\tt\tq\n1\t{TIME}\t\"red shoes\n2\t{TIME}\t5\" pipe\n3\t{TIME}\t\"\n");
    put(&folder, "a.tsv", text);
    let mut settings = own(&folder, "a.tsv");
    settings.dialect.quotes = false;
    let (found, _) = read(&settings);
    let texts: Vec<String> = texts(&found, "q").into_iter().flatten().collect();
    assert_eq!(texts, ["\"red shoes", "5\" pipe", "\""]);
}

#[test]
fn rows_of_another_width_are_errors_with_their_line() {
    for (row, fields) in [
        ("1", "1 field"),
        (&format!("1,{TIME}")[..], "2 fields"),
        (&format!("1,{TIME},a,b"), "4 fields"),
        (&format!("1,{TIME},a,"), "4 fields"),
    ] {
        assert_eq!(
            error_of("a.csv", &format!("id,t,q\n0,{TIME},x\n{row}\n")),
            format!(
                "a.csv, line 3: the record has {fields}, but the header has 3; look for a missing quote, or \
                 recreate \
                 the file if it is truncated"
            )
        );
    }
}

#[test]
fn headers_name_every_column_once() {
    for (header, expect) in [
        (
            "id,t,,",
            "the header does not name the columns 3, 4; give each column its own name",
        ),
        (
            "id,t,id",
            "the header has the name `id` twice, for the columns 1 and 3; give each column its own name",
        ),
        (
            "id,,t,id,",
            "the header does not name the columns 2, 5; the header has the name `id` twice, for the columns 1 and \
             4; give each column its own name",
        ),
    ] {
        let row = vec!["1"; header.matches(',').count() + 1].join(",");
        for line_end in ["\n", "\r\n"] {
            let text = [header, line_end, &row, line_end].concat();
            assert_eq!(error_of("a.csv", &text), format!("a.csv, line 1: {expect}"));
        }
    }
    // An index that a data frame wrote without a name.
    let folder = folder();
    put(&folder, "a.csv", format!(",t\n0,{TIME}\n"));
    let (found, _) = read(&own(&folder, "a.csv"));
    assert_eq!((found.num_rows(), found.schema().field(0).name().as_str()), (1, ""));
}

#[test]
fn other_delimiters_can_be_set() {
    let folder = folder();
    for (text, found) in [("id, t\n1, 2\n", "`id`, ` t`"), ("# made by x\nid\n", "`# made by x`")] {
        assert_eq!(
            error_of("a.csv", text),
            format!(
                "a.csv does not fit the model `orders`: the time column `t` is missing (the source's `time_column` \
                 can name a different one); the columns found are {found}; rename, add or convert the columns"
            )
        );
    }
    for delimiter in [";", "|", "\t", "\u{1}", ":"] {
        let text = ["id,t,q", "1,2024-03-01,\"a;|\t\u{1}:b\""]
            .join("\n")
            .replace(',', delimiter);
        put(&folder, "a.csv", text);
        let mut settings = own(&folder, "a.csv");
        settings.dialect.delimiter = delimiter.bytes().next();
        let wide = Interval::parse("2024-03-01", "2024-03-02").expect("an interval");
        let selection = Selection {
            interval: wide,
            ..selection(START, END)
        };
        let found = drain(&mut open(&settings, selection).expect("files"));
        assert_eq!(texts(&found, "q"), [Some("a;|\t\u{1}:b".to_owned())]);
    }
}

#[test]
fn a_header_that_was_not_taken_apart_names_the_delimiter() {
    let folder = folder();
    for model in ["events", "orders"] {
        for (delimiter, written) in [(";", ";"), ("\t", "\\t"), ("|", "|")] {
            let header = ["event", "_inserted_at"].join(delimiter);
            put(&folder, "a.csv", format!("{header}\na{delimiter}{TIME}\n"));
            let mut settings = own(&folder, "a.csv");
            settings.model = model.to_owned();
            assert_eq!(
                error(&settings),
                format!(
                    "a.csv, column `{header}`: it is the only column, and its name looks like several names; add \
                     delimiter = \"{written}\" to the source"
                )
            );
        }
    }
    // A delimiter is nothing that files of other formats have.
    put(&folder, "a.csv", "");
    put(&folder, "b.jsonl", format!("{{\"event;_inserted_at\":\"{TIME}\"}}\n"));
    let mut settings = own(&folder, "b.jsonl");
    settings.model = "events".to_owned();
    assert!(!error(&settings).contains("delimiter"), "{}", error(&settings));
}

#[test]
fn text_that_is_not_utf8_is_named() {
    let folder = folder();
    put(
        &folder,
        "a.csv",
        [b"id,t\nM\xfcller,".to_vec(), TIME.as_bytes().to_vec()].concat(),
    );
    assert_eq!(
        error(&own(&folder, "a.csv")),
        "a.csv, line 2: invalid UTF-8 in field 1; convert the file to UTF-8"
    );
}
