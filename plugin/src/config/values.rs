//! Checks a configuration document against the table of fields: every value has the right kind or causes a problem.
//! Knows no rules that concern more than one field, and never reads or repeats a secret.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::fields::{Choice, FIELDS, Field, FieldKind, Literal};
use super::limits::MAX_CONFIGURATION_BYTES;
use crate::failure::Problem;
use crate::words::{MAX_SHOWN_CHARS, nearest, printable, shown};

/// The value of each field in a document, and the problems found so far.
#[derive(Debug, Default)]
pub struct Values {
    /// Values by field name; fields that are absent or `null` are not included.
    given: BTreeMap<&'static str, Given>,
    problems: Vec<Problem>,
}

#[derive(Debug)]
enum Given {
    Text(String),
    Whole(i64),
    Flag(bool),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
    Secret,
    /// Present, but already reported as a problem.
    Wrong,
}

impl Values {
    /// Reads a document. One that cannot be read as an object has a single problem, which concerns the whole document.
    pub fn read(configuration_json: &str) -> Values {
        let mut values = Values::default();
        match entries(configuration_json) {
            Ok(entries) => entries.into_iter().for_each(|(name, value)| values.take(&name, value)),
            Err(problem) => {
                values.problems.push(problem);
                return values;
            }
        }
        for field in FIELDS {
            if field.required && !values.is_given(field) {
                let example = match field.examples.first() {
                    Some(Literal::Text(example)) => Some(format!("add it, as in {} = \"{example}\"", field.name)),
                    _ => None,
                };
                values
                    .problems
                    .push(Problem::new(field.name, "missing").with_hint(example));
            }
        }
        values
    }

    fn take(&mut self, name: &str, value: Value) {
        let Some(field) = FIELDS.iter().find(|field| field.name == name) else {
            self.problems.push(unknown_field(name));
            return;
        };
        if value.is_null() {
            return;
        }
        let given = checked(&field.kind, value).unwrap_or_else(|wrong| {
            self.problems.push(wrong.of(field));
            Given::Wrong
        });
        if self.given.insert(field.name, given).is_some() {
            self.problem(field, "is set more than once", Some("one value"));
        }
    }

    /// Reports a problem with a field.
    pub fn problem(&mut self, field: &Field, message: &str, allowed: Option<&str>) {
        let problem = Problem::new(field.name, message);
        self.problems.push(match allowed {
            Some(allowed) => problem.allowing(allowed),
            None => problem,
        });
    }

    /// Reports problems that another module found.
    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.extend(problems);
    }

    /// Returns all problems in the order of the table; those that do not concern a known field come first.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems;
        problems.sort_by_key(|problem| {
            FIELDS
                .iter()
                .position(|field| field.name == problem.field)
                .map_or(0, |position| position + 1)
        });
        problems
    }

    /// Returns whether the document has the field, whatever its value.
    pub fn is_given(&self, field: &Field) -> bool {
        self.given.contains_key(field.name)
    }

    /// Returns the text, if the field is set to one.
    pub fn text(&self, field: &Field) -> Option<&str> {
        match self.given.get(field.name) {
            Some(Given::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns the chosen value, or the default, or an empty text.
    pub fn choice(&self, field: &Field) -> &str {
        match (self.given.get(field.name), field.default) {
            (Some(Given::Text(text)), _) => text,
            (_, Some(Literal::Text(text))) => text,
            _ => "",
        }
    }

    /// Returns the number that is set, or the default.
    pub fn whole(&self, field: &Field) -> Option<i64> {
        match (self.given.get(field.name), field.default) {
            (Some(Given::Whole(number)), _) => Some(*number),
            (_, Some(Literal::Whole(number))) => Some(number),
            _ => None,
        }
    }

    /// Returns the flag that is set, or the default.
    pub fn flag(&self, field: &Field) -> bool {
        match (self.given.get(field.name), field.default) {
            (Some(Given::Flag(flag)), _) => *flag,
            (_, Some(Literal::Flag(flag))) => flag,
            _ => false,
        }
    }

    /// Returns the list that is set, or an empty one.
    pub fn list(&self, field: &Field) -> &[String] {
        match self.given.get(field.name) {
            Some(Given::List(list)) => list,
            _ => &[],
        }
    }

    /// Returns the entries that are set, sorted by name.
    pub fn entries(&self, field: &Field) -> Vec<(String, String)> {
        match self.given.get(field.name) {
            Some(Given::Map(map)) => map.clone().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

fn unknown_field(name: &str) -> Problem {
    // Bounded, because computing an edit distance takes time proportional to the product of both lengths.
    let guess = match name.len() {
        0..=MAX_SHOWN_CHARS => nearest(name, FIELDS.iter().map(|field| field.name)),
        _ => None,
    };
    let known: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
    let message = format!("{} is not a field of this destination", shown(name));
    let problem = Problem::new(&printable(name), message);
    match guess {
        Some(guess) => problem.with_hint(meant(guess)).allowing(format!("`{guess}`")),
        None => problem.allowing(known.join(", ")),
    }
}

/// Returns the hint for a name that is close to a known one.
pub(crate) fn meant(guess: &str) -> String {
    format!("did you mean `{guess}`?")
}

/// A description of what is wrong with a value, for any field.
struct Wrong {
    message: String,
    hint: Option<String>,
    allowed: String,
}

impl Wrong {
    fn new(message: String, allowed: impl Into<String>) -> Self {
        Wrong {
            message,
            hint: None,
            allowed: allowed.into(),
        }
    }

    fn of(self, field: &Field) -> Problem {
        Problem::new(field.name, self.message)
            .with_hint(self.hint)
            .allowing(self.allowed)
    }
}

/// Returns the value as its kind, or what is wrong with it and what is allowed.
fn checked(kind: &FieldKind, value: Value) -> Result<Given, Wrong> {
    match (kind, value) {
        (FieldKind::Secret, _) => Ok(Given::Secret),
        (FieldKind::Text, Value::String(text)) => Ok(Given::Text(text)),
        (FieldKind::Text, other) => Err(Wrong::new(wrong_type(&other, "text"), "text")),
        (FieldKind::Choice(choices), Value::String(text)) => chosen(choices, text),
        (FieldKind::Choice(choices), other) => Err(Wrong::new(wrong_type(&other, "text"), listed(choices))),
        (FieldKind::Flag, Value::Bool(flag)) => Ok(Given::Flag(flag)),
        (FieldKind::Flag, other) => Err(Wrong::new(wrong_type(&other, "true or false"), "true or false")),
        (FieldKind::Whole { min, max }, value) => {
            let allowed = format!("a whole number from {min} to {max}");
            match whole(&value) {
                Some(number) if (*min..=*max).contains(&number) => Ok(Given::Whole(number)),
                Some(number) => Err(Wrong::new(format!("`{number}` is out of range"), allowed)),
                None => Err(Wrong::new(wrong_type(&value, "a whole number"), allowed)),
            }
        }
        (FieldKind::TextList, Value::Array(items)) => texts(items),
        (FieldKind::TextList, other) => Err(Wrong::new(wrong_type(&other, "a list of strings"), "a list of strings")),
        (FieldKind::TextMap { max_entries }, Value::Object(map)) => named_texts(*max_entries, map),
        (FieldKind::TextMap { .. }, other) => Err(Wrong::new(
            wrong_type(&other, "an object whose values are strings"),
            "an object whose values are strings",
        )),
    }
}

fn chosen(choices: &[Choice], text: String) -> Result<Given, Wrong> {
    if choices.iter().any(|choice| choice.value == text) {
        return Ok(Given::Text(text));
    }
    let guess = match text.len() {
        0..=MAX_SHOWN_CHARS => nearest(&text, choices.iter().map(|choice| choice.value)),
        _ => None,
    };
    Err(Wrong {
        message: format!("{} is not a valid value", shown(&text)),
        hint: guess.map(meant),
        allowed: listed(choices),
    })
}

fn listed(choices: &[Choice]) -> String {
    let values: Vec<String> = choices.iter().map(|choice| format!("`{}`", choice.value)).collect();
    values.join(", ")
}

/// Returns a whole number, which may be written `100.0`, as JSON Schema's `integer` allows.
fn whole(value: &Value) -> Option<i64> {
    /// Above this, floats cannot represent every whole number.
    const EXACT: f64 = (1_u64 << 53) as f64;
    value.as_i64().or_else(|| {
        value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && number.abs() <= EXACT)
            .map(|number| number as i64)
    })
}

fn texts(items: Vec<Value>) -> Result<Given, Wrong> {
    let mut list = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Value::String(text) => list.push(text),
            other => {
                return Err(Wrong::new(
                    format!("entry {}: {}", index + 1, wrong_type(&other, "text")),
                    "a list of strings",
                ));
            }
        }
    }
    Ok(Given::List(list))
}

fn named_texts(max_entries: usize, map: serde_json::Map<String, Value>) -> Result<Given, Wrong> {
    if map.len() > max_entries {
        return Err(Wrong::new(
            format!("has {} entries", map.len()),
            format!("at most {max_entries} entries"),
        ));
    }
    let mut named = BTreeMap::new();
    for (name, value) in map {
        match value {
            Value::String(text) => named.insert(name, text),
            other => {
                return Err(Wrong::new(
                    format!("entry {}: {}", shown(&name), wrong_type(&other, "text")),
                    "an object whose values are strings",
                ));
            }
        };
    }
    Ok(Given::Map(named))
}

fn wrong_type(value: &Value, wanted: &str) -> String {
    let is = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    // Covers both fractions and numbers beyond 64 bits; the value shows which it is.
    match is == "a number" && wanted == "a whole number" {
        true => format!("{} is not {wanted}", shown(&value.to_string())),
        false => format!("{} is {is}, not {wanted}", shown(&value.to_string())),
    }
}

/// The document's entries in order, including repeated names.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entries, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

fn entries(configuration_json: &str) -> Result<Vec<(String, Value)>, Problem> {
    let whole =
        |message: String| Problem::new("", message).allowing("a single JSON object with the destination's fields");
    if configuration_json.len() > MAX_CONFIGURATION_BYTES {
        return Err(whole(format!(
            "the configuration is {} bytes long, more than the limit of {MAX_CONFIGURATION_BYTES}",
            configuration_json.len()
        )));
    }
    // For a wrong type, the library's message repeats the value, which may be a secret; its other messages name the
    // position.
    serde_json::from_str(configuration_json)
        .map(|Entries(entries)| entries)
        .map_err(|error| {
            whole(match error.is_data() {
                true => "the configuration is not a JSON object".to_owned(),
                false => format!("the configuration is not valid JSON: {error}"),
            })
        })
}
