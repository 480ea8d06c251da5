//! A reader of as much YAML as our pages are written in: blocks of mappings and sequences, two blanks deeper each, with
//! plain or double-quoted texts on one line. Everything else is refused, so that every reader reads the same.

use serde_json::{Map, Value};

struct Line<'a> {
    number: usize,
    depth: usize,
    text: &'a str,
}

pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let text = line.trim_start_matches(' ');
        let line = Line {
            number: at + 1,
            depth: line.len() - text.len(),
            text,
        };
        if text.contains('\t') || text.ends_with(' ') || line.depth % 2 == 1 {
            return Err(format!("line {}: tabs, blanks at the end or an odd depth", line.number));
        }
        if !text.is_empty() && !text.starts_with('#') {
            lines.push(line);
        }
    }
    let mut at = 0;
    let value = block(&mut lines, &mut at, 0)?;
    match lines.get(at) {
        Some(line) => Err(format!("line {}: not as deep as what it belongs to", line.number)),
        None => Ok(value),
    }
}

fn block(lines: &mut [Line<'_>], at: &mut usize, depth: usize) -> Result<Value, String> {
    match lines.get(*at) {
        Some(line) if line.depth != depth => Err(format!("line {}: the wrong depth", line.number)),
        Some(line) if line.text.starts_with("- ") => sequence(lines, at, depth),
        Some(_) => mapping(lines, at, depth),
        None => Err("the end comes too early".to_owned()),
    }
}

fn sequence(lines: &mut [Line<'_>], at: &mut usize, depth: usize) -> Result<Value, String> {
    let mut items = Vec::new();
    while let Some(line) = lines.get_mut(*at).filter(|line| line.depth == depth) {
        let Some(item) = line.text.strip_prefix("- ") else {
            break;
        };
        if key(item).is_some() {
            // What follows the dash is the first line of a mapping that is two deeper.
            (line.depth, line.text) = (depth + 2, item);
            items.push(mapping(lines, at, depth + 2)?);
        } else {
            items.push(scalar(item).ok_or_else(|| format!("line {}: not a text", line.number))?);
            *at += 1;
        }
    }
    Ok(items.into())
}

fn mapping(lines: &mut [Line<'_>], at: &mut usize, depth: usize) -> Result<Value, String> {
    let mut map = Map::new();
    while let Some(line) = lines.get(*at).filter(|line| line.depth == depth) {
        let wrong = format!("line {}: not a key and its value", line.number);
        let Some((name, value)) = key(line.text) else {
            return Err(wrong);
        };
        let name = name.to_owned();
        *at += 1;
        let value = match value {
            "" => block(lines, at, depth + 2)?,
            value => scalar(value).ok_or(wrong)?,
        };
        if map.insert(name.clone(), value).is_some() {
            return Err(format!("{name} is there twice"));
        }
    }
    Ok(map.into())
}

/// Splits `key: value`; the value of a block is empty.
fn key(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once(": ").or_else(|| Some((text.strip_suffix(':')?, "")))?;
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (is_name && !name.is_empty()).then_some((name, value))
}

fn scalar(text: &str) -> Option<Value> {
    if text.starts_with('"') {
        let value: Value = serde_json::from_str(text).ok()?;
        return value.is_string().then_some(value);
    }
    let begins_badly = text.starts_with(|c: char| "-?:,[]{}#&*!|>'%@` ".contains(c));
    let is_ambiguous = text.contains(": ") || text.contains(" #") || text.ends_with(':');
    (!text.is_empty() && !begins_badly && !is_ambiguous).then(|| text.into())
}

#[test]
fn what_other_readers_might_read_otherwise_is_refused() {
    let good = "a: b c\nd:\n  - e: \"f: #\"\n    g:\n      h: i\n  - j\n";
    let expect = serde_json::json!({"a": "b c", "d": [{"e": "f: #", "g": {"h": "i"}}, "j"]});
    assert_eq!(parse(good), Ok(expect));
    for bad in [
        "a: b: c",
        "a: [b]",
        "a:\tb",
        "a: b #c",
        "a:\n   b: c",
        "a:\n    b: c",
        "a: b\n  c: d",
        "a: b\na: c",
        "a: 'b",
    ] {
        assert!(parse(bad).is_err(), "{bad:?} is read as {:?}", parse(bad));
    }
}
