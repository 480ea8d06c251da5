//! A TOML document as a tree in which every value knows its place and `${env:NAME}` is substituted. Decides nothing
//! about fields; syntax errors and missing variables are found here.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::problem::Places;
use crate::destination::SecretText;
use crate::pointer;
use crate::problem::{Place, Problem};
use batch_export_sandbox::Secret;
use batch_export_system::explain::Cause;

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub at: Place,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(SecretText),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A TOML date or time, as written.
    Datetime(String),
    List(Vec<Node>),
    Table(Table),
    /// Something wrong that is already reported.
    Broken,
}

/// Entries sorted by key.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Place,
    pub node: Node,
}

impl Node {
    /// What it is, with an article, for messages.
    pub(super) fn in_words(&self) -> &'static str {
        match &self.value {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date or time",
            Value::List(_) => "an array",
            Value::Table(_) => "a table",
            Value::Broken => "something unreadable",
        }
    }
}

/// Parses a document, looking variables up with `variable`. After a syntax error there is no tree; missing variables
/// leave a broken value in it.
pub(super) fn parse(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Option<Table> {
    let places = Places::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        // Only the message: the rendered error would quote the line, which may hold a secret.
        let problem = match error.message() {
            "duplicate key" => {
                let key = error.span().and_then(|span| text.get(span)).unwrap_or_default();
                Problem::new("", format!("not TOML: the key `{}` is set a second time", key.trim()))
                    .with_hint("write it once: a list takes several values, and a table several keys")
            }
            said => Problem::new("", format!("not TOML: {}", said.replace('\n', ", "))),
        };
        problems.push(problem.placed(places.at(offset)));
    }
    if !errors.is_empty() {
        return None;
    }
    let mut walk = Walk {
        places,
        variable,
        problems,
    };
    Some(walk.table(document.get_ref(), ""))
}

struct Walk<'a> {
    places: Places<'a>,
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &str) -> Table {
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let path = pointer::join(path, &name);
            entries.push(Entry {
                key_at: self.places.at(key.span().start),
                node: self.node(value, &path),
                key: name,
            });
        }
        Table { entries }
    }

    /// Depth is bounded by the parser, which refuses deep nesting.
    fn node(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Node {
        let at = self.places.at(value.span().start);
        let value = match value.get_ref() {
            DeValue::String(written) => self.text(written, at, path),
            DeValue::Integer(integer) => {
                let digits = integer.as_str();
                match i64::from_str_radix(digits, integer.radix()) {
                    Ok(integer) => Value::Integer(integer),
                    Err(_) => {
                        let message = format!("{digits} does not fit into 64 bits");
                        self.problems.push(Problem::new(path, message).placed(at));
                        Value::Broken
                    }
                }
            }
            DeValue::Float(float) => match float.as_str().parse() {
                Ok(float) => Value::Float(float),
                Err(_) => {
                    let message = format!("{} is not a number", float.as_str());
                    self.problems.push(Problem::new(path, message).placed(at));
                    Value::Broken
                }
            },
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Datetime(datetime) => Value::Datetime(datetime.to_string()),
            DeValue::Array(array) => Value::List(
                array
                    .iter()
                    .enumerate()
                    .map(|(index, value)| self.node(value, &pointer::join(path, &index.to_string())))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.table(table, path)),
        };
        Node { at, value }
    }

    fn text(&mut self, written: &str, at: Place, path: &str) -> Value {
        match substituted(written, self.variable) {
            Ok(value) => {
                let shown = written.contains("${").then(|| written.to_owned());
                Value::Text(SecretText::new(Secret::from(value), shown))
            }
            Err(message) => {
                self.problems.push(Problem::new(path, message).placed(at));
                Value::Broken
            }
        }
    }
}

/// What to do about a `${` that means nothing.
const SUBSTITUTION: &str = "write `${env:NAME}`, or `$${` for the characters themselves";

/// Replaces `${env:NAME}` by the variable's value and `$${` by `${`. A variable that is set to nothing is an error:
/// what is empty means something else in most fields, and usually something wider.
fn substituted(written: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Zeroizing<String>, Cause> {
    let mut value = Zeroizing::new(String::with_capacity(written.len()));
    let mut rest = written;
    while let Some(dollar) = rest.find("${") {
        if let Some(before) = rest[..dollar].strip_suffix('$') {
            value.push_str(before);
            value.push_str("${");
            rest = &rest[dollar + 2..];
            continue;
        }
        value.push_str(&rest[..dollar]);
        let inside = &rest[dollar + 2..];
        let Some(close) = inside.find('}') else {
            return Err(Cause::new("`${` is not closed").with_hint(SUBSTITUTION));
        };
        let reference = &inside[..close];
        let Some(name) = reference.strip_prefix("env:").filter(|name| !name.is_empty()) else {
            return Err(Cause::new(format!("`${{{reference}}}` is not a valid substitution")).with_hint(SUBSTITUTION));
        };
        let found = Zeroizing::new(variable(name).ok_or_else(|| {
            Cause::new(format!("the environment variable {name} is not set"))
                .with_hint("set it, or write the value here")
        })?);
        if found.trim().is_empty() {
            return Err(Cause::new(format!("the environment variable {name} is set, but empty"))
                .with_hint("give it a value, or write the value here"));
        }
        value.push_str(&found);
        rest = &inside[close + 1..];
    }
    value.push_str(rest);
    Ok(value)
}

/// The place of every key of a document and that of its value, by JSON pointer.
#[derive(Debug, Clone, Default)]
pub(super) struct PlaceIndex(BTreeMap<String, (Place, Place)>);

impl PlaceIndex {
    /// Takes down the places of all keys of a tree.
    pub(super) fn of(table: &Table) -> Self {
        let mut index = PlaceIndex::default();
        index.add(table, "");
        index
    }

    fn add(&mut self, table: &Table, path: &str) {
        for Entry { key, key_at, node } in &table.entries {
            let path = pointer::join(path, key);
            let value_at = match &node.value {
                Value::Table(inner) => {
                    self.add(inner, &path);
                    *key_at
                }
                _ => node.at,
            };
            self.0.insert(path, (*key_at, value_at));
        }
    }

    /// Returns the place of a value that is there.
    pub(super) fn value(&self, pointer: &str) -> Option<Place> {
        self.0.get(pointer).map(|(_, value_at)| *value_at)
    }

    /// Returns the place of a key, or of the nearest table around it that is there.
    pub(super) fn find(&self, pointer: &str) -> Option<Place> {
        let mut at = pointer;
        loop {
            if let Some((key_at, _)) = self.0.get(at) {
                return Some(*key_at);
            }
            at = at.rsplit_once('/')?.0;
        }
    }
}
