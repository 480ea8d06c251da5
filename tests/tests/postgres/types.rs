//! Every type, in Parquet as DuckDB reads it and in JSON Lines, compared with what the server says of each value.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::database::{command, count, duck, exported, open, server, sql};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use batch_export_system::explain::Explain;
use batch_export_tests::read;
use batch_export_tests::scene::Scene;
use serde_json::Value;
use serde_json::value::RawValue;

/// How a value is made a text that can be compared: by the server, by DuckDB, and in JSON.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    /// As the server shows it, as DuckDB shows it, and as it stands in JSON.
    Text,
    /// The same for what the server shows as t and f.
    Flag,
    Float,
    Hex,
    Micros,
    Json,
    /// Decimals that DuckDB does not have.
    Wide,
    /// Times of day, of which JSON has all six digits.
    Time,
    /// Elements, one after the other.
    List,
    /// The same of what has columns of its own.
    Pairs,
}

use By::{Flag, Float, Hex, Json, List, Micros, Pairs, Text, Time, Wide};

/// A type, how its values are compared, and values.
const CASES: &[(&str, By, &[&str])] = &[
    ("bool", Flag, &["true", "false"]),
    ("int2", Text, &["-32768", "0", "32767"]),
    ("int4", Text, &["-2147483648", "2147483647"]),
    ("int8", Text, &["-9223372036854775808", "9223372036854775807"]),
    ("oid", Text, &["0", "4294967295"]),
    (
        "float4",
        Float,
        &["1.5", "-0", "3.4028235e38", "1e-45", "NaN", "Infinity"],
    ),
    (
        "float8",
        Float,
        &["0.1", "-0", "1.7976931348623157e308", "5e-324", "NaN", "-Infinity"],
    ),
    ("text", Text, &["", "größe 😀", "a''b\"c\\d", "tab\tand\nline", "NULL"]),
    ("varchar(10)", Text, &["", "été"]),
    ("char(5)", Text, &["ab", ""]),
    ("\"char\"", Text, &["x"]),
    ("name", Text, &["a name"]),
    ("bytea", Hex, &["\\x", "\\x00ff10", "\\xdeadbeef"]),
    ("date", Text, &["0001-01-01", "1969-12-31", "2024-02-29", "9999-12-31"]),
    ("time", Time, &["00:00:00", "12:34:56.7", "23:59:59.999999"]),
    ("timetz", Text, &["12:00:00+02", "23:59:59.999999-11:30"]),
    (
        "timestamp",
        Micros,
        &["0001-01-01", "1969-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"],
    ),
    (
        "timestamptz",
        Micros,
        &[
            "2000-01-01 00:00:00+00",
            "2026-03-29 02:30:00+02",
            "0001-01-01 00:00:00+00",
        ],
    ),
    ("interval", Text, &["1 year 2 mons -3 days 04:05:06.789", "0", "-1 day"]),
    (
        "uuid",
        Text,
        &[
            "00000000-0000-0000-0000-000000000000",
            "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        ],
    ),
    ("json", Json, &["{\"b\" :1, \"a\":[null, 1e400]}", "null", "\"x\""]),
    (
        "jsonb",
        Json,
        &[
            "{\"b\":1,\"a\":[null,123456789012345678901234567890]}",
            "\"\\u00e9\"",
            "3",
        ],
    ),
    ("numeric(10,2)", Text, &["-99999999.99", "0.00", "0.01", "12345678.90"]),
    (
        "numeric(38,10)",
        Text,
        &["-9999999999999999999999999999.9999999999", "1.0000000001"],
    ),
    ("numeric(3,-2)", Text, &["99900", "-100", "0"]),
    ("numeric(2,5)", Wide, &["0.00099", "-0.00001"]),
    (
        "numeric(50,10)",
        Wide,
        &[
            "-9999999999999999999999999999999999999999.9999999999",
            "0.0000000001",
            "0",
        ],
    ),
    (
        "numeric",
        Text,
        &[
            "0",
            "-0.00",
            "1e-20",
            "123456789012345678901234567890.5",
            "1e100",
            "NaN",
            "Infinity",
        ],
    ),
    ("numeric(100,3)", Text, &["1e90", "-0.125"]),
    ("money", Text, &["-1234.56", "0"]),
    ("inet", Text, &["192.168.0.1", "10.1.2.3/8", "::1", "2001:db8::/32"]),
    ("cidr", Text, &["10.0.0.0/8", "2001:db8::/32"]),
    ("macaddr", Text, &["08:00:2b:01:02:03"]),
    ("macaddr8", Text, &["08:00:2b:01:02:03:04:05"]),
    ("bit(3)", Text, &["101"]),
    ("varbit", Text, &["", "10101"]),
    ("xml", Text, &["<a>x</a>"]),
    ("tsvector", Text, &["a:1 b:2"]),
    ("tsquery", Text, &["a & b"]),
    ("int4range", Text, &["[1,5)", "empty", "(,3)"]),
    ("tstzrange", Text, &["[2026-01-01 00:00:00+00,2026-01-02 00:00:00+00)"]),
    ("int4multirange", Text, &["{[1,2),[5,7)}"]),
    ("point", Text, &["(1,2.5)"]),
    ("box", Text, &["(3,4),(1,2)"]),
    ("path", Text, &["[(0,0),(1,1)]"]),
    ("circle", Text, &["<(1,2),3>"]),
    ("regclass", Text, &["pg_class"]),
    ("pg_lsn", Text, &["16/B374D848"]),
    ("mood", Text, &["happy", "so so"]),
    ("positive", Text, &["1", "2147483647"]),
    ("price", Text, &["9999.99"]),
    ("pair", Text, &["(1,\"a b\")", "(,)"]),
    ("citext", Text, &["AbC"]),
    ("hstore", Text, &["\"a\"=>\"1\""]),
    ("bool[]", List, &["{t,NULL,f}", "{}"]),
    ("int4[]", List, &["{1,NULL,-3}", "{}"]),
    ("int8[]", List, &["[5:6]={9223372036854775807,1}"]),
    ("text[]", List, &["{a,\"b,c\",\"d\\\"e\",NULL,\"NULL\",\"\"}"]),
    ("varchar(5)[]", List, &["{ab}"]),
    ("uuid[]", List, &["{f47ac10b-58cc-4372-a567-0e02b2c3d479,NULL}"]),
    ("numeric[]", List, &["{1.50,NaN,NULL}"]),
    ("numeric(6,2)[]", List, &["{1.5,-9999.99,NULL}"]),
    ("date[]", List, &["{2024-02-29,NULL}"]),
    ("inet[]", List, &["{10.0.0.1,10.0.0.0/8,NULL}"]),
    ("interval[]", List, &["{1 day,NULL,02:00:00}"]),
    ("int4range[]", List, &["{\"[1,2)\",empty}"]),
    ("point[]", List, &["{\"(1,2)\",NULL}"]),
    ("box[]", List, &["{(3,4),(1,2);(1,1),(0,0)}"]),
    ("mood[]", List, &["{happy,NULL,\"so so\"}"]),
    ("positive[]", List, &["{1,NULL}"]),
    ("pair[]", Pairs, &["{\"(1,\\\"a b\\\")\",NULL}"]),
    ("citext[]", List, &["{Ab,NULL}"]),
    ("int2vector", List, &["1 2 3"]),
];

fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\"))
}

/// What the server says of a column.
fn of_server(column: &str, by: By) -> String {
    let shown = format!("format('%s', {column})");
    let text = match by {
        Text | Float | Wide | Time => shown,
        Flag => format!("{column}::text"),
        Hex => format!("encode({column}, 'hex')"),
        Micros => format!("(extract(epoch from {column}) * 1000000)::bigint::text"),
        Json => format!("{column}::text"),
        List | Pairs => format!(
            "coalesce((SELECT string_agg(CASE WHEN e IS NULL THEN '~' ELSE format('%s', e) END, '|' ORDER BY o) FROM \
             unnest({column}{}) WITH ORDINALITY AS u(e, o)), '')",
            if by == Pairs { "::text[]" } else { "" }
        ),
    };
    format!("CASE WHEN {column} IS NOT NULL OR {column}::text IS NOT NULL THEN {text} END")
}

/// What DuckDB says of it.
fn of_duck(column: &str, by: By) -> String {
    match by {
        Hex => format!("lower(hex({column}))"),
        Micros => format!("CAST(epoch_us({column}) AS VARCHAR)"),
        List | Pairs => {
            format!("array_to_string(list_transform({column}, lambda e: coalesce(CAST(e AS VARCHAR), '~')), '|')")
        }
        _ => format!("CAST({column} AS VARCHAR)"),
    }
}

/// What JSON says of it.
fn of_json(raw: &RawValue, by: By) -> Option<String> {
    let value: Value = serde_json::from_str(raw.get()).unwrap_or(Value::Bool(true));
    let text = |value: &Value, raw: &str| match value {
        Value::String(text) => text.clone(),
        _ => raw.to_owned(),
    };
    if by == Json {
        // Null in JSON is a value in the database.
        return Some(raw.get().to_owned());
    }
    match (by, value) {
        (_, Value::Null) => None,
        (List | Pairs, Value::Array(_)) => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(raw.get()).expect("a list");
            let items = items.iter().map(|item| {
                let value: Value = serde_json::from_str(item.get()).expect("a value");
                match value {
                    Value::Null => "~".to_owned(),
                    value => text(&value, item.get()),
                }
            });
            Some(items.collect::<Vec<_>>().join("|"))
        }
        (_, value) => Some(text(&value, raw.get())),
    }
}

/// What is compared of a text: two texts of one value may differ.
fn comparable(text: Option<&str>, by: By, element_is_flag: bool) -> Option<String> {
    let text = text?;
    Some(match by {
        Float => {
            let number: f64 = text.parse().expect("a number");
            let number = if number.is_nan() { f64::NAN } else { number };
            // As an f32, where the text is of one.
            format!("{:?}", number as f32) + &format!("{number:?}")
        }
        Time if text.contains('.') => text.trim_end_matches('0').to_owned(),
        List if element_is_flag => text.replace("true", "t").replace("false", "f"),
        _ => text.to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_as_the_server_says_it_is() {
    let mut made = "
        DROP TABLE IF EXISTS cases CASCADE;
        DROP TYPE IF EXISTS mood, pair CASCADE;
        DROP DOMAIN IF EXISTS positive, price CASCADE;
        CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore;
        CREATE TYPE mood AS ENUM ('sad', 'so so', 'happy');
        CREATE TYPE pair AS (a int, b text);
        CREATE DOMAIN positive AS int CHECK (VALUE > 0);
        CREATE DOMAIN price AS numeric(6,2);
        CREATE TABLE cases (id int, at timestamptz NOT NULL"
        .to_owned();
    for (index, (name, ..)) in CASES.iter().enumerate() {
        write!(made, ", c{index} {name}").expect("a string");
    }
    made.push_str(");\n");
    let most = CASES.iter().map(|(_, _, values)| values.len()).max().expect("cases");
    // Each with its values, then null in all further rows.
    for row in 0..=most {
        write!(made, "INSERT INTO cases VALUES ({row}, '2026-01-01 12:00Z'").expect("a string");
        for (_, _, values) in CASES {
            match values.get(row) {
                Some(value) => write!(made, ", {}", quoted(value)).expect("a string"),
                None => made.push_str(", NULL"),
            }
        }
        made.push_str(");\n");
    }
    sql(&made);

    let said = |column: String, by| {
        let answer = sql(&format!(
            "SELECT to_json({}) FROM cases ORDER BY id",
            of_server(&column, by)
        ));
        let rows = answer.lines().map(|line| match line {
            "" => None,
            line => serde_json::from_str::<Option<String>>(line).expect("a text"),
        });
        rows.collect::<Vec<_>>()
    };
    let server: Vec<Vec<Option<String>>> = (0..)
        .zip(CASES)
        .map(|(at, (_, by, _))| said(format!("c{at}"), *by))
        .collect();

    let scene = Scene::new().await;
    let source = "table = \"cases\"\ntime_column = \"at\"\norder_by = [\"id\"]";
    let (program, parquet) = exported(&scene, "orders", "Parquet", source);
    let verified = command(&program, "verify", &[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let batch = read::parquet(&std::fs::read(&parquet).expect("a file"));
    assert_eq!(batch.num_rows(), most + 1);
    let mut wrong = Vec::new();
    for (at, (name, by, _)) in CASES.iter().enumerate() {
        let column = format!("c{at}");
        let found: Vec<Option<String>> = if *by == Wide {
            let options = FormatOptions::default();
            let array = batch.column_by_name(&column).expect("a column");
            let shown = ArrayFormatter::try_new(array, &options).expect("a formatter");
            let text = |row| (!array.is_null(row)).then(|| shown.value(row).to_string());
            (0..batch.num_rows()).map(text).collect()
        } else {
            let file = parquet.display();
            let query = format!(
                "SELECT {} FROM read_parquet('{file}') ORDER BY id",
                of_duck(&column, *by)
            );
            duck(&query)
                .iter()
                .map(|row| row[0].as_str().map(str::to_owned))
                .collect()
        };
        check(&mut wrong, "Parquet", name, *by, &server[at], &found);
    }

    let (program, lines) = exported(&scene, "orders", "JSONLines", source);
    let verified = command(&program, "verify", &[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let lines = std::fs::read_to_string(lines).expect("text");
    let rows: Vec<BTreeMap<String, Box<RawValue>>> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    for (at, (name, by, _)) in CASES.iter().enumerate() {
        // Bytes in JSON are Base64, and times ISO 8601.
        let server = match by {
            Hex => sql(&format!(
                "SELECT coalesce(encode(c{at}, 'base64'), '~') FROM cases ORDER BY id"
            ))
            .lines()
            .map(|line| (line != "~").then(|| line.to_owned()))
            .collect(),
            _ => server[at].clone(),
        };
        let found = rows.iter().map(|row| {
            let text = row.get(&format!("c{at}")).and_then(|raw| of_json(raw, *by));
            text.map(|text| match by {
                Micros => {
                    let time = chrono::DateTime::parse_from_rfc3339(&text).expect("a time");
                    time.timestamp_micros().to_string()
                }
                _ => text,
            })
        });
        check(&mut wrong, "JSON Lines", name, *by, &server, &found.collect::<Vec<_>>());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(
    wrong: &mut Vec<String>,
    format: &str,
    name: &str,
    by: By,
    server: &[Option<String>],
    found: &[Option<String>],
) {
    let is_flag = name.starts_with("bool");
    for (row, (expect, found)) in server.iter().zip(found).enumerate() {
        // What no JSON number is, is null there.
        let is_no_number = by == Float
            && expect
                .as_deref()
                .is_some_and(|text| !text.parse::<f64>().is_ok_and(f64::is_finite));
        if format == "JSON Lines"
            && (is_no_number || by == Json && expect.is_none() && found.as_deref() == Some("null"))
        {
            continue;
        }
        let same = comparable(expect.as_deref(), by, is_flag) == comparable(found.as_deref(), by, is_flag);
        if !same {
            wrong.push(format!(
                "{format}, {name}, row {row}: the server says {expect:?}, the file {found:?}"
            ));
        }
    }
    if server.len() != found.len() {
        wrong.push(format!(
            "{format}, {name}: {} rows, expected {}",
            found.len(),
            server.len()
        ));
    }
}

#[test]
fn values_that_no_column_holds_are_refused_by_row_and_column() {
    for (kind, value, expect) in [
        ("date", "infinity", "row 2, column `v`: `infinity` is not a time"),
        (
            "timestamptz",
            "-infinity",
            "row 2, column `v`: `-infinity` is not a time",
        ),
        ("timestamp", "294276-12-31", "row 2, column `v`: the time is later"),
        ("numeric(10,2)", "NaN", "row 2, column `v`: `NaN` is not a decimal"),
        ("int[]", "{{1,2},{3,4}}", "row 2, column `v`: an array of 2 dimensions"),
        ("date[]", "{infinity}", "row 2, column `v`: `infinity` is not a time"),
    ] {
        sql(&format!(
            "DROP TABLE IF EXISTS odd; CREATE TABLE odd (id int, at timestamptz, v {kind});
             INSERT INTO odd VALUES (1, '2026-01-01 01:00Z', NULL), (2, '2026-01-01 02:00Z', '{value}')"
        ));
        let mut source = open(server(), "odd").expect("a source");
        let error = count(source.as_mut()).expect_err(kind);
        assert!(error.to_string().contains(expect), "{kind}: {error}");
        assert!(!error.is_transient());
    }
}

#[test]
fn a_text_that_is_no_utf_8_is_refused() {
    sql("DROP DATABASE IF EXISTS ascii");
    sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    sql("\\c ascii\nCREATE TABLE odd (id int, at timestamptz, v text);
         INSERT INTO odd VALUES (1, '2026-01-01 01:00Z', 'good'), (2, '2026-01-01 02:00Z', E'\\xff')");
    let mut ascii = server();
    ascii.database = Some("ascii".to_owned());
    let mut source = open(ascii, "odd").expect("a source");
    let error = count(source.as_mut()).expect_err("no UTF-8");
    assert!(error.to_string().contains("22021") && !error.is_transient(), "{error}");
    let hint = error.hint().expect("a hint");
    assert!(hint.contains("convert_from"), "{hint}");
}
