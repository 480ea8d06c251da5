//! JSON Lines as others write it: mixtures, half surrogate pairs, times as numbers, and JSON that is not in lines.

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

fn row(member: &str) -> String {
    format!("{{\"t\":\"2024-03-01T05:00:00Z\",{member}}}\n")
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(column).expect("a column");
    let texts = column.as_string::<i32>().iter();
    texts.map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn in_a_mixture_texts_stay_texts_and_numbers_numbers() {
    let values = [
        "5",
        "\"null\"",
        "\"123\"",
        "\"true\"",
        "\"00123\"",
        "\"[1]\"",
        "1.10",
        "{\"a\": 1}",
        "1e400",
        "18446744073709551616",
    ];
    let folder = folder();
    let rows: String = values.iter().map(|value| row(&format!("\"v\":{value}"))).collect();
    put(&folder, "a.jsonl", rows + &row("\"v\":null"));
    let (found, _) = read(&own(&folder, "a.jsonl"));
    let expect: Vec<Option<String>> = values
        .iter()
        .map(|value| Some((*value).to_owned()))
        .chain([None])
        .collect();
    assert_eq!(texts(&found, "v"), expect);
    let schema = found.schema();
    let field = schema.field_with_name("v").expect("v");
    assert_eq!(
        crate::model::ColumnKind::of(field),
        Some(crate::model::ColumnKind::Json)
    );
    // Fields of CSV in such a column are values too.
    put(
        &folder,
        "b.csv",
        "t,v\n2024-03-01T05:00:00Z,null\n2024-03-01T05:00:00Z,6\n2024-03-01T05:00:00Z,\n",
    );
    let (found, _) = read(&own(&folder, "."));
    assert_eq!(
        texts(&found, "v")[11..],
        [Some("\"null\"".to_owned()), Some("6".to_owned()), None]
    );
}

#[test]
fn half_a_surrogate_pair_is_replaced_and_counted_wherever_it_is_text() {
    let folder = folder();
    let good = json_lines(&sample(Model::Events, START, "2024-03-01T05:00:20Z"));
    let line = good.lines().next().expect("a row");
    let broken = line
        .replacen("\"distinct_id\":\"", "\"distinct_id\":\"user \\ud83d", 1)
        .replacen("\"event\":\"", "\"event\":\"\\ude00\\ud83d\\ude00", 1);
    put(
        &folder,
        "a.jsonl",
        format!("{}\n", broken.replacen('{', "{\"\\ud83dname\":1,", 1)),
    );
    let (found, tally) = read(&settings(folder.path(), "a.jsonl"));
    let text = |column: &str| texts(&found, column).remove(0).unwrap_or_default();
    assert!(
        text("distinct_id").starts_with("user \u{fffd}"),
        "{}",
        text("distinct_id")
    );
    assert!(text("event").starts_with("\u{fffd}😀"), "{}", text("event"));
    assert!(found.column_by_name("\u{fffd}name").is_some());
    assert_eq!(tally.surrogates_replaced, 3);
    // Two names that are the same after it would lose a value.
    put(&folder, "a.jsonl", row("\"\\ud83d\":1,\"\\ud83e\":2"));
    assert_eq!(
        error(&own(&folder, "a.jsonl")),
        "a.jsonl, line 1: `\u{fffd}` appears twice"
    );
}

#[test]
fn json_that_is_not_in_lines_is_named_as_what_it_is() {
    let on_its_line = "write one object on each line (`jq -c .` does)";
    for (name, text, expect) in [
        ("a.jsonl", "{\n  \"id\": 1\n}\n".to_owned(), format!("a.jsonl, line 1: the JSON object does not end on its line (EOF while parsing an object); {on_its_line}")),
        ("a.json", "{\"id\": 1,\n \"t\": 2}\n".to_owned(), format!("a.json, line 1: the JSON object does not end on its line (EOF while parsing a value); {on_its_line}")),
        ("a.jsonl", "[{\"id\":1},\n".to_owned(), "a.jsonl, line 1: a JSON array, where an object with a member for each column is expected; write one object on each line and no array around them (`jq -c '.[]'` does)".to_owned()),
        ("a.jsonl", row("\"v\":NaN"), "a.jsonl, line 1: not a JSON object at character 33: JSON has no `NaN`; write \
                                       null, or a valid JSON value".to_owned()),
        ("a.jsonl", row("\"v\":-Infinity"), "a.jsonl, line 1: not a JSON object at character 34: JSON has no \
                                             `Infinity`; write null, or a valid JSON value".to_owned()),
        ("a.jsonl", row("\"v\":True"), "a.jsonl, line 1: not a JSON object at character 33: JSON has no `True`; write \
                                        null, or a valid JSON value".to_owned()),
        ("a.jsonl", "{\"a\":1} {\"a\":2}\n".to_owned(), "a.jsonl, line 1: not a JSON object at character 9: trailing characters".to_owned()),
    ] {
        assert_eq!(error_of(name, &text), expect);
    }
    let folder = folder();
    put(&folder, "a.json", format!("\u{feff}{}", row("\"v\":1")));
    assert_eq!(read(&own(&folder, "a.json")).0.num_rows(), 1);
}

#[test]
fn times_as_numbers_are_read_where_the_column_says_so() {
    let folder = folder();
    for (number, is) in [
        ("1709269200", "timestamp(s)"),
        ("1709269200000", "timestamp(ms)"),
        ("1709269200000000", "timestamp(us)"),
        ("1709269200000000000", "timestamp(ns)"),
    ] {
        put(&folder, "a.jsonl", format!("{{\"t\":{number}}}\n"));
        put(&folder, "b.csv", format!("t\n{number}\n"));
        let mut settings = own(&folder, "a.jsonl");
        assert_eq!(
            error(&settings),
            format!(
                "a.jsonl, line 1: column `t`: expected a time such as \"2026-01-01T00:00:00Z\", found the number \
                 `{number}`; if it is counted from 1970, give the column the type `{is}` in the source's `columns`"
            )
        );
        settings.path = "b.csv".to_owned();
        assert!(
            error(&settings).contains(&format!("give the column the type `{is}`")),
            "{is}"
        );
        settings.path = ".".to_owned();
        settings.columns.insert("t".to_owned(), is.parse().expect("a type"));
        let (found, tally) = read(&settings);
        assert_eq!((found.num_rows(), tally.rows_outside_interval), (2, 0), "{is}");
        // An hour later, in another interval.
        put(
            &folder,
            "a.jsonl",
            format!("{{\"t\":{}}}\n", number.replacen("2692", "2728", 1)),
        );
        assert_eq!(read(&settings).1.rows_outside_interval, 1, "{is}");
    }
}

#[test]
fn a_column_with_a_type_is_there_before_any_row_names_it() {
    let folder = folder();
    put(
        &folder,
        "a.jsonl",
        [row("\"id\":1"), row("\"id\":2,\"late\":144126219108390099000")].concat(),
    );
    let mut settings = own(&folder, "a.jsonl");
    settings.infer_rows = 1;
    settings
        .columns
        .insert("late".to_owned(), "text".parse().expect("a type"));
    let (found, _) = read(&settings);
    assert_eq!(texts(&found, "late"), [None, Some("144126219108390099000".to_owned())]);
    // A header names all columns, so that a misspelt one can be told.
    put(&folder, "b.csv", "id,t\n1,2024-03-01T05:00:00Z\n");
    settings.path = "b.csv".to_owned();
    assert_eq!(
        error(&settings),
        "the source's `columns` gives a type to `late`, which no file has; the columns found are `id`, `t`; correct the names in the source's `columns`, or remove them"
    );
}

#[test]
fn files_with_types_of_their_own_are_not_given_others() {
    let folder = folder();
    let times = arrow::array::TimestampMicrosecondArray::from(vec![0]);
    let ids = Int64Array::from(vec![1]);
    let batch = RecordBatch::try_from_iter([("t", Arc::new(times) as _), ("id", Arc::new(ids) as _)]).expect("a batch");
    put(&folder, "a.parquet", parquet(&batch, 1));
    let mut settings = own(&folder, "a.parquet");
    settings
        .columns
        .insert("id".to_owned(), "int64".parse().expect("a type"));
    assert_eq!(read(&settings).1.files_read, 1);
    settings
        .columns
        .insert("id".to_owned(), "text".parse().expect("a type"));
    settings
        .columns
        .insert("none".to_owned(), "text".parse().expect("a type"));
    assert_eq!(
        error(&settings),
        "a.parquet does not fit the model `orders`: column `id` is Int64, and the source's `columns` gives it the type text: only columns of text files can be given another type; column `none`, which the source's `columns` gives a type, is missing; rename, add or convert the columns"
    );
}
