//! A TOML document as a tree in which every value knows its place and `${env:NAME}` is substituted. Decides nothing
//! about fields; syntax errors and missing variables are found here.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::problem::{Place, Places, Problem};
use batch_export_sandbox::Secret;

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Node {
    pub at: Place,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub enum Value {
    Text(Text),
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

/// A string after substitution. Any may be a secret: it is wiped when dropped, `Debug` does not show it, and what a
/// message says about it goes through [`Text::redacted`].
#[derive(Debug, Clone)]
pub struct Text {
    value: Secret,
    /// As it stands in the file, where a variable was put in.
    written: Option<String>,
}

impl Text {
    pub fn value(&self) -> &str {
        self.value.expose()
    }

    pub fn secret(&self) -> &Secret {
        &self.value
    }

    /// What a message may repeat: the value that somebody wrote into the file, or the variable's name instead of it.
    pub fn shown(&self) -> &str {
        self.written.as_deref().unwrap_or(self.value())
    }

    /// Whether a message holds what a variable put into this string; what is short may stand there by chance.
    pub fn is_told_by(&self, message: &str) -> bool {
        const TOO_SHORT_LETTERS: usize = 6;
        let value = letters(self.value());
        self.written.is_some()
            && value.chars().count() >= TOO_SHORT_LETTERS
            && letters(message).contains(&value)
    }

    /// A message about this string without anything that a variable held: what it quotes of the value is replaced by
    /// what stands in the file, and where that is not enough, so is the message.
    pub fn redacted(&self, message: &str) -> String {
        let Some(written) = &self.written else {
            return message.to_owned();
        };
        let value = letters(self.value());
        let tells = |piece: &str| {
            let piece = letters(piece);
            !piece.is_empty() && (piece.contains(&value) || value.contains(&piece))
        };
        // Messages quote in backquotes, cut and tidied, so that only letters and digits are compared.
        let pieces = message.split('`').enumerate().map(|(index, piece)| {
            let is_quoted = index % 2 == 1;
            match is_quoted && tells(piece) {
                true => written.as_str(),
                false => piece,
            }
        });
        let redacted = pieces.collect::<Vec<_>>().join("`");
        let rest = letters(&redacted.replace(written.as_str(), ""));
        match self.value().contains('`') || rest.contains(&value) {
            true => format!("the value of `{written}` is not allowed"),
            false => redacted,
        }
    }
}

/// What of a text is compared: its letters and digits.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Entries sorted by key.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub key_at: Place,
    pub node: Node,
}

impl Table {
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Node {
    /// What it is, with an article, for messages.
    pub fn in_words(&self) -> &'static str {
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
pub fn parse(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Option<Table> {
    let places = Places::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        // Only the message: the rendered error would quote the line, which may hold a secret.
        let message = format!("not TOML: {}", error.message().replace('\n', ", "));
        problems.push(Problem::new(places.at(offset), "", message));
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
            let path = join(path, &name);
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
                        self.problems.push(Problem::new(at, path, message));
                        Value::Broken
                    }
                }
            }
            DeValue::Float(float) => match float.as_str().parse() {
                Ok(float) => Value::Float(float),
                Err(_) => {
                    let message = format!("{} is not a number", float.as_str());
                    self.problems.push(Problem::new(at, path, message));
                    Value::Broken
                }
            },
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Datetime(datetime) => Value::Datetime(datetime.to_string()),
            DeValue::Array(array) => Value::List(
                array
                    .iter()
                    .enumerate()
                    .map(|(index, value)| self.node(value, &format!("{path}[{index}]")))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.table(table, path)),
        };
        Node { at, value }
    }

    fn text(&mut self, written: &str, at: Place, path: &str) -> Value {
        match substituted(written, self.variable) {
            Ok(value) => Value::Text(Text {
                written: written.contains("${").then(|| written.to_owned()),
                value: Secret::from(value),
            }),
            Err(message) => {
                self.problems.push(Problem::new(at, path, message));
                Value::Broken
            }
        }
    }
}

/// Replaces `${env:NAME}` by the variable's value and `$${` by `${`. A variable that is set to nothing is an error:
/// what is empty means something else in most fields, and usually something wider.
fn substituted(
    written: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Zeroizing<String>, String> {
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
            return Err(
                "`${` is not closed; write `${env:NAME}`, or `$${` for the characters themselves"
                    .into(),
            );
        };
        let reference = &inside[..close];
        let Some(name) = reference
            .strip_prefix("env:")
            .filter(|name| !name.is_empty())
        else {
            return Err(format!(
                "`${{{reference}}}` is not a valid substitution; write `${{env:NAME}}`, or `$${{` for the characters themselves"
            ));
        };
        let found = Zeroizing::new(variable(name).ok_or_else(|| {
            format!("the environment variable {name} is not set; set it, or write the value here")
        })?);
        if found.trim().is_empty() {
            return Err(format!(
                "the environment variable {name} is set, but empty; give it a value, or write the value here"
            ));
        }
        value.push_str(&found);
        rest = &inside[close + 1..];
    }
    value.push_str(rest);
    Ok(value)
}

/// A dotted path; an empty name means the table itself.
pub fn join(path: &str, name: &str) -> String {
    match (path, name) {
        ("", name) => name.to_owned(),
        (path, "") => path.to_owned(),
        (path, name) => format!("{path}.{name}"),
    }
}
