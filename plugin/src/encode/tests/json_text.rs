//! JSON columns: what passes unchanged, what is repaired, what becomes a string.

use std::sync::Arc;

use arrow::array::{LargeStringArray, StringArray, StringViewArray};
use proptest::prelude::*;

use super::*;

fn written(text: &str) -> (String, Repairs) {
    let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
    let file = one_file(&[batch], LINES, &[true]);
    let line = String::from_utf8(file.bytes).unwrap();
    let value = line.strip_prefix("{\"c\":").and_then(|rest| rest.strip_suffix("}\n"));
    (value.unwrap().to_owned(), file.repairs)
}

#[test]
fn valid_json_passes_byte_for_byte() {
    let deep_list = "[".repeat(10_000) + &"]".repeat(10_000);
    let deep_object = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    let deep_mix = "[{\"a\":[".repeat(3_000) + &"]}]".repeat(3_000);
    let long = format!("\"{}\"", "x".repeat(70_000));
    let cases = [
        "{}",
        "[]",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "\"\"",
        " [ 1 ,\t2 ] ",
        "1.10",
        "1e400",
        "-1.5E-07",
        "0.0",
        "1E+2",
        "1234567890123456789012345678901234567890",
        r#"{"b":1,"a":2,"b":3}"#,
        r#"{"":{"":[]}}"#,
        r#"["\"\\\/\b\f\n\r\t\u0000\uFFFF\ud83d\ude00\uD83D\uDE00"]"#,
        "\"\u{e9}\u{1F600}\u{2028}\u{7f}\u{85}\u{feff}\"",
        "{\"k\" : [ {} , [] , {\"x\":null} ] }",
        &deep_list,
        &deep_object,
        &deep_mix,
        &long,
    ];
    for text in cases {
        let (value, repairs) = written(text);
        assert_eq!(value, text);
        assert_eq!(repairs, Repairs::default(), "{text}");
    }
}

#[test]
fn text_that_is_no_json_becomes_a_string() {
    let half_deep = "[".repeat(10_000);
    let crossed = "[".repeat(64) + "{" + &"]".repeat(65);
    let cases = [
        "",
        " ",
        "\n",
        "\t \r\n",
        "hello",
        "tru",
        "truex",
        "nul",
        "NaN",
        "Infinity",
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x10",
        "1 2",
        "1\n2",
        "{} {}",
        "{}x",
        "\u{feff}{}",
        "{",
        "}",
        "[",
        "]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{1:2}",
        "[1}",
        "{\"a\":1]",
        "\"",
        "\"abc",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12G4\"",
        "\"\\u+123\"",
        "\"\\",
        "\"\\u",
        "[\"a\"",
        "[\"a\",",
        "\u{a0}1",
        "// c\n1",
        "[1] //",
        "undefined",
        "\u{e9}",
        &half_deep,
        &crossed,
    ];
    for text in cases {
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_err(), "{text:?}");
        let (value, repairs) = written(text);
        assert_eq!(serde_json::from_str::<String>(&value).unwrap(), text);
        let expected = Repairs {
            invalid_json_as_string: 1,
            ..Repairs::default()
        };
        assert_eq!(repairs, expected, "{text:?}");
        assert!(!value.contains('\n'));
    }
}

#[test]
fn every_raw_control_character_in_a_string_is_escaped() {
    for code in 0..0x20_u8 {
        let control = char::from(code);
        let (value, repairs) = written(&format!("{{\"a{control}b\":\"long enough {control}\"}}"));
        let expected = Repairs {
            control_characters_escaped: 2,
            ..Repairs::default()
        };
        assert_eq!(repairs, expected, "{code}");
        let read: serde_json::Value = serde_json::from_str(&value).unwrap();
        let key = format!("a{control}b");
        assert_eq!(read[key], format!("long enough {control}"));
    }
}

#[test]
fn repairs_change_only_what_they_must() {
    let none = Repairs::default();
    let lone = |count| Repairs {
        lone_surrogates_replaced: count,
        ..none
    };
    let breaks = |count| Repairs {
        line_breaks_dropped: count,
        ..none
    };
    let escaped = |count| Repairs {
        control_characters_escaped: count,
        ..none
    };
    let cases = [
        (r#""\ud83d""#, r#""\ufffd""#, lone(1)),
        (r#""\ude00""#, r#""\ufffd""#, lone(1)),
        (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#, lone(2)),
        (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#, lone(1)),
        (r#""\ud83dx\ude00""#, r#""\ufffdx\ufffd""#, lone(2)),
        (r#""\ud83d\n""#, r#""\ufffd\n""#, lone(1)),
        (r#""\ud83d\u0041""#, r#""\ufffd\u0041""#, lone(1)),
        (r#""\\ud83d""#, r#""\\ud83d""#, none),
        (r#"{"\uDFFF":1.10}"#, r#"{"\ufffd":1.10}"#, lone(1)),
        (
            "{\n  \"a\": 1.10,\r\n\t\"b\": [\n]\n}\n",
            "{  \"a\": 1.10,\t\"b\": []}",
            breaks(6),
        ),
        ("\r1", "1", breaks(1)),
        ("[\"a\nb\", \"\\n\"]", "[\"a\\nb\", \"\\n\"]", escaped(1)),
        ("\"\u{0}\u{1f}\t\"", "\"\\u0000\\u001f\\t\"", escaped(3)),
        (
            "[\n\"\u{8}\\ud800\"]",
            "[\"\\b\\ufffd\"]",
            Repairs {
                line_breaks_dropped: 1,
                control_characters_escaped: 1,
                lone_surrogates_replaced: 1,
                ..none
            },
        ),
    ];
    for (text, expected, repairs) in cases {
        assert_eq!(written(text), (expected.to_owned(), repairs), "{text:?}");
    }
}

#[test]
fn kinds_of_repair_are_reported_by_name() {
    let texts = vec![Some("no"), Some(""), None, Some("[\n1]"), Some("{}")];
    let columns: [ArrayRef; 3] = [
        Arc::new(StringArray::from(texts.clone())),
        Arc::new(LargeStringArray::from(texts.clone())),
        Arc::new(StringViewArray::from(texts)),
    ];
    for column in columns {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
        let file = one_file(&[batch], LINES, &[true]);
        assert_eq!(
            String::from_utf8(file.bytes).unwrap(),
            "{\"c\":\"no\"}\n{\"c\":\"\"}\n{\"c\":null}\n{\"c\":[1]}\n{\"c\":{}}\n"
        );
        let counts = [("invalid-json-as-string", 2), ("line-breaks-dropped", 1)];
        assert_eq!(file.repairs.counts(), counts);
    }
}

/// Texts near JSON: fragments that together are valid now and then.
fn near_json() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\", "\\u0041", "\\ud83d", "1", "-", "0", ".5", "e3", "true",
        "null", " ", "\n", "\t", "\u{1}", "\u{e9}", "abcdefgh",
    ]);
    prop::collection::vec(fragment, 0..12).prop_map(|fragments| fragments.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_written_is_one_line_of_json(text in near_json()) {
        let (value, repairs) = written(&text);
        prop_assert!(!value.contains(['\n', '\r']));
        serde_json::from_str::<serde::de::IgnoredAny>(&value).unwrap();
        // Skipping does not look at surrogates, reading does; it also refuses exponents that no float has.
        let readable = serde_json::from_str::<serde_json::Value>(&value).is_ok();
        prop_assert!(readable || value.contains('e'));
        if serde_json::from_str::<serde_json::Value>(&text).is_ok() && !text.contains(['\n', '\r']) {
            prop_assert_eq!(&value, &text);
            prop_assert_eq!(repairs, Repairs::default());
        }
        if repairs.invalid_json_as_string > 0 {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
        }
    }

    #[test]
    fn any_text_survives_as_a_string(text in any::<String>()) {
        let column: ArrayRef = Arc::new(StringArray::from(vec![text.clone()]));
        let line = lines_of(column, false);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&read["c"], &text);
    }
}
