//! Keys and prefixes, accepted and refused. Touches no store.

use super::*;
use crate::config;
use crate::template::{Template, problem};

const HOUR: i64 = 3_600_000_000;
/// 2023-07-28T01:00:00Z
const END: i64 = 1_690_506_000_000_000;

fn run() -> Run {
    Run {
        id: "run-1".to_owned(),
        attempt: "1".to_owned(),
        model: "events".to_owned(),
        interval: Interval {
            start_micros: Some(END - HOUR),
            end_micros: END,
        },
        plugin_digest: String::new(),
        time_limit_seconds: None,
    }
}

fn settings(prefix: &str, more: &str) -> Settings {
    let prefix = serde_json::Value::from(prefix);
    config::parse(&format!(
        r#"{{"bucket_name":"exports","region":"eu-central-1","prefix":{prefix}{more}}}"#
    ))
    .unwrap()
}

const ISO: &str = "2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00";

#[test]
fn prefixes() {
    let cases = [
        ("", ""),
        ("/", ""),
        ("///", ""),
        ("exports", "exports/"),
        ("exports/", "exports/"),
        ("/exports//", "exports/"),
        ("a//b", "a//b/"),
        ("{year}-{month}-{day}_{table}/", "2023-07-28_events/"),
        ("{hour}/{minute}/{second}", "01/00/00/"),
        (
            "{start_year}-{start_month}-{start_day}/{start_hour}{start_minute}{start_second}",
            "2023-07-28/000000/",
        ),
        (
            "{data_interval_start}/{data_interval_end}",
            "2023-07-28T00:00:00+00:00/2023-07-28T01:00:00+00:00/",
        ),
        ("{{table}}/{{{table}}}", "{table}/{events}/"),
        ("...", ".../"),
        (".{table}", ".events/"),
        ("a b+é🦔", "a b+é🦔/"),
    ];
    for (prefix, folder) in cases {
        let names = KeyNames::new(&settings(prefix, ""), &run()).unwrap();
        assert_eq!(names.data(0).unwrap(), format!("{folder}{ISO}.jsonl"), "{prefix}");
    }
}

/// The documented example, and each format, codec and style of name.
#[test]
fn names() {
    let split = r#","max_file_size_mb":100"#;
    let cases = [
        (r#","compression":"gzip""#, ".jsonl.gz"),
        (r#","compression":"brotli""#, ".jsonl.br"),
        (r#","compression":"zstd""#, ".jsonl.zst"),
        (r#","file_format":"Parquet""#, ".parquet"),
        (r#","file_format":"Parquet","compression":"gzip""#, ".parquet.gz"),
        (r#","file_format":"Parquet","compression":"brotli""#, ".parquet.br"),
        (r#","file_format":"Parquet","compression":"zstd""#, ".parquet.zst"),
        (r#","file_format":"Parquet","compression":"lz4""#, ".parquet.lz4"),
        (r#","file_format":"Parquet","compression":"snappy""#, ".parquet.sz"),
        (
            r#","file_format":"Parquet","compression":"zstd","parquet_extension":"plain""#,
            ".parquet",
        ),
    ];
    for (more, extension) in cases {
        let prefix = "{year}-{month}-{day}_{table}/";
        let stem = format!("2023-07-28_events/{ISO}");
        let one = KeyNames::new(&settings(prefix, more), &run()).unwrap();
        assert_eq!(one.stem(), stem);
        assert_eq!(one.data(0).unwrap(), format!("{stem}{extension}"));
        assert_eq!(one.data(1).unwrap(), format!("{stem}-1{extension}"));
        assert_eq!(one.data_pattern(), None);
        assert_eq!(one.manifest(), None);
        assert_eq!(one.probe(), format!("{stem}_check"));
        let many = KeyNames::new(&settings(prefix, &format!("{more}{split}")), &run()).unwrap();
        assert_eq!(many.data(0).unwrap(), format!("{stem}-0{extension}"));
        assert_eq!(many.data(12).unwrap(), format!("{stem}-12{extension}"));
        assert_eq!(many.data_pattern(), Some(format!("{stem}-{{n}}{extension}")));
        assert_eq!(many.manifest(), Some(format!("{stem}_manifest.json")));
    }
    let detailed = KeyNames::new(&settings("", r#","manifest":"detailed""#), &run()).unwrap();
    assert_eq!(detailed.manifest(), Some(format!("{ISO}_manifest.json")));
}

#[test]
fn times_in_names() {
    let cases = [
        (Some(END - HOUR), END, ISO, "20230728T000000Z-20230728T010000Z"),
        (None, END, "START-2023-07-28T01:00:00+00:00", "START-20230728T010000Z"),
        (
            Some(-1),
            1_500_000,
            "1969-12-31T23:59:59.999999+00:00-1970-01-01T00:00:01.500000+00:00",
            "19691231T235959.999999Z-19700101T000001.500000Z",
        ),
    ];
    for (start_micros, end_micros, iso, compact) in cases {
        let run = Run {
            interval: Interval {
                start_micros,
                end_micros,
            },
            ..run()
        };
        let names = KeyNames::new(&settings("", ""), &run).unwrap();
        assert_eq!(names.stem(), iso);
        let style = settings("{data_interval_end}/x", r#","key_style":"compact""#);
        let end = compact.split_once('-').unwrap().1;
        let names = KeyNames::new(&style, &run).unwrap();
        assert_eq!(names.stem(), format!("{end}/x/{compact}"));
    }
}

#[test]
fn refused_prefixes() {
    let known = "`{year}`, `{month}`, `{day}`, `{hour}`, `{minute}`, `{second}`, `{start_year}`, `{start_month}`, \
                 `{start_day}`, `{start_hour}`, `{start_minute}`, `{start_second}`, `{table}`, \
                 `{data_interval_start}`, `{data_interval_end}`; `{{` and `}}` for literal braces";
    let folders = "printable text in which every folder has a name";
    let cases = [
        ("{yaer}/x", "contains the unknown variable `{yaer}`", known),
        ("{Table}", "contains the unknown variable `{Table}`", known),
        ("{}", "contains the unknown variable `{}`", known),
        ("{table}/%Y/%m/", "contains `%Y`, which is strftime notation", known),
        ("{team_id}", "contains the unknown variable `{team_id}`", known),
        ("{\u{1b}[m}", "contains the unknown variable `{\\u{1b}[m}`", known),
        ("é/{year", "contains an unmatched `{` at character 3", known),
        ("year}", "contains an unmatched `}` at character 5", known),
        ("{year}}", "contains an unmatched `}` at character 7", known),
        ("{a{b}", "contains an unmatched `{` at character 1", known),
        (
            "a/../b",
            "contains a folder named `..`, which stores interpret in different ways",
            folders,
        ),
        (
            "./{table}",
            "contains a folder named `.`, which stores interpret in different ways",
            folders,
        ),
        (
            "a\r\nb",
            "contains the control character U+000D, which bucket listings cannot represent",
            folders,
        ),
    ];
    for (prefix, message, allowed) in cases {
        let refused = Template::parse(prefix).unwrap_err();
        let expected = problem(message.to_owned(), allowed.to_owned());
        assert_eq!(refused.clone().with_hint(None), expected, "{prefix}");
    }
    for (prefix, hint) in [
        ("{table}/%Y/%m/", Some("write `{year}`")),
        ("{yaer}", Some("did you mean `{year}`?")),
        ("{team_id}", None),
        ("year}", None),
    ] {
        let refused = Template::parse(prefix).unwrap_err();
        assert_eq!(refused.hint.as_deref(), hint, "{prefix}");
    }
    assert_eq!(
        Template::parse(&"x".repeat(1025)).unwrap_err(),
        problem(
            "is 1025 bytes long".to_owned(),
            "at most 1024 bytes including the file name".to_owned()
        )
    );
}

/// The hour before midnight: its end is the next day's, its start is its own.
#[test]
fn parts_of_the_start_and_of_the_end() {
    let midnight = END + 23 * HOUR;
    let run = |start_micros| Run {
        interval: Interval {
            start_micros,
            end_micros: midnight,
        },
        ..run()
    };
    let prefix = "{year}/{month}/{day}/{hour}|{start_year}/{start_month}/{start_day}/{start_hour}";
    let settings = settings(prefix, "");
    let names = KeyNames::new(&settings, &run(Some(midnight - HOUR))).unwrap();
    assert!(names.stem().starts_with("2023/07/29/00|2023/07/28/23/"));
    let names = KeyNames::new(&settings, &run(None)).unwrap();
    assert!(names.stem().starts_with("2023/07/29/00|START/START/START/START/"));
}

#[test]
fn when_and_how_a_manifest_is_named() {
    let visible = Some(format!("a/{ISO}_manifest.json"));
    let hidden = Some(format!("a/_{ISO}_manifest.json"));
    let split = r#""max_file_size_mb":1"#;
    let cases = [
        (r#""manifest_when":"auto""#.to_owned(), None),
        (r#""manifest_when":"rows""#.to_owned(), visible.clone()),
        (r#""manifest_when":"always""#.to_owned(), visible.clone()),
        (r#""manifest":"detailed""#.to_owned(), visible.clone()),
        (split.to_owned(), visible),
        (format!(r#"{split},"manifest_name":"hidden""#), hidden.clone()),
        (
            r#""manifest_when":"always","manifest_name":"hidden""#.to_owned(),
            hidden,
        ),
        (r#""manifest_name":"hidden""#.to_owned(), None),
    ];
    for (more, manifest) in cases {
        let names = KeyNames::new(&settings("a", &format!(",{more}")), &run()).unwrap();
        assert_eq!(names.manifest(), manifest, "{more}");
    }
    let root = KeyNames::new(
        &settings("", r#","manifest_when":"rows","manifest_name":"hidden""#),
        &run(),
    );
    assert_eq!(root.unwrap().manifest(), Some(format!("_{ISO}_manifest.json")));
}

/// The largest number that a file can have is part of it: a run finds nothing out in its middle.
#[test]
fn keys_end_at_1024_bytes_of_utf8() {
    let number = "-4294967295".len();
    for (more, longest) in [
        ("", number + ".jsonl".len()),
        (r#","max_file_size_mb":1"#, number + ".jsonl".len()),
        (
            r#","file_format":"Parquet","compression":"zstd""#,
            number + ".parquet.zst".len(),
        ),
        (
            r#","file_format":"Parquet","compression":"lz4","manifest":"detailed","manifest_name":"hidden""#,
            number + ".parquet.lz4".len(),
        ),
        (
            r#","manifest_when":"always","manifest_name":"hidden","key_style":"iso","compression":"none""#,
            (number + ".jsonl".len()).max("__manifest.json".len()),
        ),
    ] {
        let room = 1024 - 1 - ISO.len() - longest;
        let fits = "é".repeat(room / 2) + &"x".repeat(room % 2);
        let names = KeyNames::new(&settings(&fits, more), &run()).unwrap();
        assert!(names.data(u32::MAX).unwrap().len() <= 1024, "{more}");
        assert!(names.probe().len() <= 1024, "{more}");
        let manifest = names.manifest().map_or(0, |key| key.len());
        assert!(manifest <= 1024, "{more}");
        let over = format!("x{fits}");
        let cut: String = over.chars().take(60).collect();
        assert_eq!(
            KeyNames::new(&settings(&over, more), &run()).unwrap_err(),
            Problem::new(
                "prefix",
                format!("gives keys that begin with `{cut}…` and are up to 1025 bytes long"),
            )
            .with_hint("use a shorter prefix".to_owned())
            .allowing("keys of at most 1024 bytes of UTF-8 including the file number")
            .into(),
            "{more}"
        );
    }
}

#[test]
fn refused_runs() {
    let interval = |start_micros, end_micros| Run {
        interval: Interval {
            start_micros,
            end_micros,
        },
        ..run()
    };
    let before = Some("a start before the end".to_owned());
    let years = Some("years 1 to 9999".to_owned());
    let cases = [
        (
            interval(Some(END), END - HOUR),
            "",
            "the interval is inverted or empty: it starts at 2023-07-28T01:00:00+00:00 and ends at \
             2023-07-28T00:00:00+00:00",
            before.clone(),
        ),
        (
            interval(Some(END), END),
            "",
            "the interval is inverted or empty: it starts at 2023-07-28T01:00:00+00:00 and ends at \
             2023-07-28T01:00:00+00:00",
            before,
        ),
        (
            interval(Some(i64::MIN), END),
            "",
            "the start of the interval (-9223372036854775808 µs since 1970) is outside the years that keys can \
             represent",
            years.clone(),
        ),
        (
            interval(None, 253_402_300_800_000_000),
            "",
            "the end of the interval (253402300800000000 µs since 1970) is outside the years that keys can represent",
            years,
        ),
        (
            Run {
                model: "..".to_owned(),
                ..run()
            },
            "prefix",
            "gives the key `../2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00`, which contains a folder named \
             `..`, \
             which stores interpret in different ways",
            None,
        ),
    ];
    for (run, field, message, allowed) in cases {
        assert_eq!(
            KeyNames::new(&settings("{table}", ""), &run).unwrap_err(),
            Failure::from(Problem {
                allowed,
                ..Problem::new(field, message)
            })
        );
    }
}

proptest::proptest! {
    /// Whatever the prefix, an answer comes; accepted ones give keys that begin with the stem and have no dot segments.
    #[test]
    fn any_prefix_is_answered(prefix in "[a-z{}/. é]{0,40}|.{0,20}") {
        if let Ok(template) = Template::parse(&prefix) {
            let settings = Settings { prefix: template, ..settings("", "") };
            let names = KeyNames::new(&settings, &run()).unwrap();
            let key = names.data(0).unwrap();
            proptest::prop_assert!(key.starts_with(names.stem()));
            proptest::prop_assert!(!key.starts_with('/'));
            proptest::prop_assert!(!key.split('/').any(|segment| segment == "." || segment == ".."));
            let ending = format!("/{ISO}.jsonl");
            proptest::prop_assert!(key == ending[1..] || key.ends_with(&ending));
            let doubled = format!("/{ending}");
            proptest::prop_assert!(!key.ends_with(&doubled));
        }
    }
}
