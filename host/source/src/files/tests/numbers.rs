//! Numbers of text files: whatever is written comes out as the same number, or the file is refused by column and line.

use super::*;
use crate::files::number::Number;
use arrow::util::display::array_value_to_string;

fn own(folder: &TempDir, path: &str) -> FilesSettings {
    FilesSettings {
        model: "orders".to_owned(),
        time_column: "t".to_owned(),
        ..settings(folder.path(), path)
    }
}

/// Returns the values of column `v`, as text, from a file with these.
fn came_out(name: &str, values: &[String], settings: impl FnOnce(&mut FilesSettings)) -> Vec<String> {
    let folder = folder();
    let time = "2024-03-01T05:00:00Z";
    let rows: String = if name.ends_with("csv") {
        let rows = values.iter().map(|value| format!("{time},{value}\n"));
        std::iter::once("t,v\n".to_owned()).chain(rows).collect()
    } else {
        values
            .iter()
            .map(|value| format!("{{\"t\":\"{time}\",\"v\":{value}}}\n"))
            .collect()
    };
    put(&folder, name, rows);
    let mut with = own(&folder, name);
    settings(&mut with);
    let (found, _) = read(&with);
    let column = found.column_by_name("v").expect("v");
    (0..column.len())
        .map(|row| match column.data_type() {
            // As exports write them: the shortest text.
            DataType::Float64 => format!(
                "{:e}",
                column.as_primitive::<arrow::datatypes::Float64Type>().value(row)
            ),
            _ => array_value_to_string(column, row).expect("a value"),
        })
        .collect()
}

/// Numbers of every kind that text files were seen to hold.
const HARD: [&str; 24] = [
    "0",
    "-0",
    "0.0",
    "0.10",
    "1.5",
    "-1",
    "9007199254740993",
    "144126219108390099",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "0.123456789012345678901234567890",
    "0.30000000000000004",
    "0.10000000000000001",
    "1e400",
    "-1e-400",
    "5e-324",
    "1.7976931348623157e308",
    "123456789012345678901234567890123456789012345678901234567890",
    "1E5",
    "2.50e+3",
    "1e22",
];

#[test]
fn whatever_is_written_comes_out_as_the_same_number() {
    // Each beside each other, in both orders, then random columns of them.
    let mut columns: Vec<Vec<&str>> = Vec::new();
    for a in HARD {
        columns.extend(HARD.map(|b| vec![a, b]));
    }
    columns.truncate(HARD.len() * 8);
    let mut random = fastrand::Rng::with_seed(20_260_101);
    for _ in 0..100 {
        let length = random.usize(1..5);
        columns.push((0..length).map(|_| HARD[random.usize(..HARD.len())]).collect());
    }
    for column in columns {
        let values: Vec<String> = column.iter().map(|value| (*value).to_owned()).collect();
        for name in ["a.jsonl", "a.csv"] {
            for (written, found) in values.iter().zip(came_out(name, &values, |_| {})) {
                assert_eq!(
                    Number::parse(&found),
                    Number::parse(written),
                    "{written} in {name} with {values:?}"
                );
            }
        }
    }
}

#[test]
fn random_numbers_come_out_as_the_same_numbers() {
    let seed = 4_711;
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut digits = |most: usize| -> String {
        let length = random.usize(1..=most);
        (0..length).map(|_| char::from(b'0' + random.u8(..10))).collect()
    };
    let values: Vec<String> = (0..2_000)
        .map(|number| {
            let whole = digits(20);
            let whole = match whole.trim_start_matches('0') {
                "" => "0",
                trimmed => trimmed,
            };
            let sign = if number % 3 == 0 { "-" } else { "" };
            match number % 4 {
                0 => format!("{sign}{whole}"),
                1 => format!("{sign}{whole}.{}", digits(18)),
                2 => format!("{sign}{whole}.{}e-{}", digits(4), number % 330),
                _ => format!("{sign}{whole}e{}", number % 330),
            }
        })
        .collect();
    for column in values.chunks(2) {
        for name in ["a.jsonl", "a.csv"] {
            for (written, found) in column.iter().zip(came_out(name, column, |_| {})) {
                assert_eq!(
                    Number::parse(&found),
                    Number::parse(written),
                    "{written} in {name} with {column:?}"
                );
            }
        }
    }
}

#[test]
fn one_row_does_not_decide_over_the_value_of_another() {
    let alone = came_out("a.jsonl", &["9007199254740993".to_owned()], |_| {});
    let values = ["9007199254740993", "1.5"].map(str::to_owned);
    assert_eq!(came_out("a.jsonl", &values, |_| {}), ["9007199254740993", "1.5"]);
    assert_eq!(alone, ["9007199254740993"]);
}

#[test]
fn columns_have_the_types_that_they_are_given() {
    let values = ["1.10", "2", "123456789012345678.000000001"].map(str::to_owned);
    for name in ["a.jsonl", "a.csv"] {
        for (is, expect) in [
            (
                "decimal(38,9)",
                ["1.100000000", "2.000000000", "123456789012345678.000000001"],
            ),
            ("text", ["1.10", "2", "123456789012345678.000000001"]),
            ("float64", ["1.1e0", "2e0", "1.2345678901234568e17"]),
        ] {
            let given = |settings: &mut FilesSettings| {
                settings.columns.insert("v".to_owned(), is.parse().expect("a type"));
            };
            assert_eq!(came_out(name, &values, given), expect, "{is} in {name}");
        }
    }
}

#[test]
fn a_number_that_its_column_does_not_hold_names_column_line_and_settings() {
    let folder = folder();
    let row = |value: &str| format!("{{\"t\":\"2024-03-01T05:00:00Z\",\"v\":{value}}}\n");
    put(&folder, "a.jsonl", [row("1"), row("1.5")].concat());
    let mut settings = own(&folder, "a.jsonl");
    settings.infer_rows = 1;
    assert_eq!(
        error(&settings),
        "a.jsonl, line 2: column `v`: expected a 64-bit integer, found `1.5`; the column's type was found in the \
         first rows; raise the source's `infer_rows` (0 means all rows), or give the column a type in the source's \
         `columns`"
    );
    settings
        .columns
        .insert("v".to_owned(), "decimal(3,2)".parse().expect("a type"));
    put(&folder, "a.jsonl", [row("1"), row("10.5")].concat());
    assert_eq!(
        error(&settings),
        "a.jsonl, line 2: column `v`: `10.5` has more than 1 digits before the decimal point, but the column is decimal(3,2)"
    );
}

#[test]
fn the_sign_of_a_zero_is_not_lost_in_a_column_found_to_be_of_integers() {
    let folder = folder();
    for first in ["1", "18446744073709551615"] {
        for zero in ["-0", "-0.0", "-0e5"] {
            let times = ["2024-03-01T05:00:00Z"; 2];
            let json = [first, zero].map(|v| format!("{{\"t\":\"{}\",\"v\":{v}}}\n", times[0]));
            let csv = [first, zero].map(|v| format!("{},{v}\n", times[0]));
            put(&folder, "a.jsonl", json.concat());
            put(&folder, "a.csv", format!("t,v\n{}", csv.concat()));
            for name in ["a.jsonl", "a.csv"] {
                let mut settings = own(&folder, name);
                settings.infer_rows = 1;
                let text = error(&settings);
                assert!(
                    text.contains("integer") && text.contains(&format!("found `{zero}`")),
                    "{text}"
                );
                // Whoever asks for integers gets them.
                let is = "int64".parse().expect("a type");
                settings.columns.insert("v".to_owned(), is);
                if first == "1" {
                    assert_eq!(read(&settings).0.num_rows(), 2);
                }
            }
        }
    }
}

#[test]
fn floats_that_are_said_to_be_floats_are_rounded_and_counted() {
    let folder = folder();
    for (written, rounded) in [
        ("9007199254740993", 1),
        ("\"+9007199254740993\"", 1),
        ("\"+0.12345678901234567890\"", 1),
        ("\"+.12345678901234567890\"", 1),
        ("\"+1.5\"", 0),
        ("\"+inf\"", 0),
    ] {
        let json = format!("{{\"t\":\"2024-03-01T05:00:00Z\",\"v\":{written}}}\n");
        put(&folder, "a.jsonl", json);
        let csv = written.trim_matches('"');
        put(&folder, "a.csv", format!("t,v\n2024-03-01T05:00:00Z,{csv}\n"));
        for name in ["a.jsonl", "a.csv"] {
            let mut settings = own(&folder, name);
            let is = "float64".parse().expect("a type");
            settings.columns.insert("v".to_owned(), is);
            let (_, tally) = read(&settings);
            assert_eq!(tally.numbers_rounded, rounded, "{written} in {name}");
        }
    }
}
