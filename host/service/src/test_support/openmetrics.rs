//! A strict reader of OpenMetrics text: every line is what the specification allows, in the order that it asks for.

use std::collections::{BTreeMap, BTreeSet};

/// Every series, by its name and its labels in the order in which they are written, without quotes.
#[derive(Debug, Default)]
pub(crate) struct Series(BTreeMap<String, f64>);

impl Series {
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Names without labels.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let name = |series: &'_ str| series.find('{').unwrap_or(series.len());
        self.0.keys().map(|series| &series[..name(series)]).collect()
    }

    /// Names of labels of the series of that name.
    pub(crate) fn labels(&self, name: &str) -> BTreeSet<&str> {
        let prefix = format!("{name}{{");
        let of_name = self.0.keys().filter_map(|series| series.strip_prefix(&prefix));
        of_name
            .flat_map(|labels| labels.trim_end_matches('}').split(','))
            .filter_map(|label| label.split_once('='))
            .map(|(label, _)| label)
            .collect()
    }
}

/// Reads a whole exposition.
pub(crate) fn parse(text: &str) -> Result<Series, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
    let mut series = Series::default();
    let mut seen = BTreeSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    for line in body.lines() {
        let wrong = |what: &str| format!("{what}: {line}");
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (Some(key), Some(name), Some(value)) = (words.next(), words.next(), words.next()) else {
                return Err(wrong("not a comment of three words"));
            };
            if name != family {
                family = name.to_owned();
                kind.clear();
                if !seen.insert(family.clone()) {
                    return Err(wrong("a family that is not in one piece"));
                }
            }
            match key {
                "TYPE" if ["counter", "gauge", "histogram", "info"].contains(&value) => kind = value.to_owned(),
                "UNIT" if name.ends_with(&format!("_{value}")) => {}
                "HELP" if !value.is_empty() && value.ends_with('.') => {}
                _ => return Err(wrong("a comment that is not allowed")),
            }
            continue;
        }
        let (name, value) = sample(line).ok_or_else(|| wrong("not a sample"))?;
        let suffix = name.split('{').next().and_then(|name| name.strip_prefix(&family));
        let allowed: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => return Err(wrong("a sample before its type")),
        };
        if !suffix.is_some_and(|suffix| allowed.contains(&suffix)) {
            return Err(wrong("a sample of another family or type"));
        }
        if series.0.insert(name, value).is_some() {
            return Err(wrong("twice"));
        }
    }
    Ok(series)
}

/// Reads `name{label="value",…} number`.
fn sample(line: &str) -> Option<(String, f64)> {
    let is_name = |text: &str| {
        let mut chars = text.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, value) = rest.split_once("=\"")?;
            let (value, after) = quoted(value)?;
            if !is_name(label) {
                return None;
            }
            labels.push(format!("{label}={value}"));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let number = rest.strip_prefix(' ')?;
    let name = match labels.is_empty() {
        true => name.to_owned(),
        false if is_name(name) => format!("{name}{{{}}}", labels.join(",")),
        false => return None,
    };
    Some((name, number.parse().ok()?))
}

/// Reads a text up to its closing quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                '"' => '"',
                '\\' => '\\',
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}
