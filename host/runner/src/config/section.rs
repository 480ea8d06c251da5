//! One table of the file, read field by field: collects all problems and, at the end, unknown fields. Knows
//! no field by name.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::duration;
use super::tree::{Entry, Node, PlaceIndex, Table, Value};
use crate::destination::SecretText;
use crate::pointer::{self, join};
use crate::problem::{Place, Problem};
use batch_export_system::explain::{Cause, count};
use batch_export_system::near_miss;

/// What is said of a string that is empty.
const EMPTY: &str = "empty";

/// A table being read. Each read removes the field; what is left at [`Section::finish`] is unknown.
pub(super) struct Section<'a> {
    path: String,
    /// Where the table itself is, for fields that are missing.
    pub at: Place,
    entries: Vec<Entry>,
    asked: Vec<&'static str>,
    found: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    pub(super) fn new(path: impl Into<String>, at: Place, table: Table, problems: &'a mut Vec<Problem>) -> Self {
        Self {
            path: path.into(),
            at,
            entries: table.entries,
            asked: Vec::new(),
            found: Vec::new(),
            problems,
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.asked.push(key);
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        self.found.push(key);
        Some(self.entries.remove(index))
    }

    /// Adds a problem with a field of this table.
    pub(super) fn problem(&mut self, at: Place, key: &str, cause: impl Into<Cause>) {
        let problem = Problem::new(join(&self.path, key), cause).placed(at);
        self.problems.push(problem);
    }

    /// Adds a problem with a field of this table, unless something inside of it is already known to be wrong.
    pub(super) fn problem_unless_known(&mut self, at: Place, key: &str, cause: impl Into<Cause>) {
        let path = join(&self.path, key);
        if !self
            .problems
            .iter()
            .any(|known| pointer::is_within(&known.pointer, &path))
        {
            self.problem(at, key, cause);
        }
    }

    /// Adds a problem with a part of this table, unless something inside of that part is already known to be wrong.
    pub(super) fn add(&mut self, problem: Problem, places: &PlaceIndex) {
        let path = format!("{}{}", self.path, problem.pointer);
        let is_known = |known: &Problem| pointer::is_within(&known.pointer, &path);
        if problem.pointer.is_empty() || !self.problems.iter().any(is_known) {
            let at = places.value(&path).or_else(|| places.find(&path));
            let problem = Problem {
                pointer: path,
                ..problem
            };
            self.problems.push(problem.placed(at));
        }
    }

    /// Whether there is a value, of whatever type, that was not asked for yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// A value that was not asked for yet, which stays there.
    fn peek(&self, key: &str) -> Option<&Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.map(|entry| &entry.node)
    }

    fn mistyped(&mut self, node: &Node, key: &str, expected: &str) {
        if matches!(node.value, Value::Broken) {
            return;
        }
        let message = format!("expected {expected}, found {}", node.in_words());
        self.problem(node.at, key, message);
    }

    /// Returns the place of a field that was not asked for yet.
    pub(super) fn place(&self, key: &str) -> Option<Place> {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.map(|entry| entry.key_at)
    }

    /// A field that was not asked for yet and whose name is nearly this one.
    pub(super) fn nearly(&self, key: &str) -> Option<&str> {
        let written = self.entries.iter().map(|entry| entry.key.as_str());
        near_miss(key, written)
    }

    /// A string as it may be a secret, and its place. It is not empty: in most fields that would mean something else
    /// than is written, and usually something wider.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<(Place, SecretText)> {
        let node = self.take(key)?.node;
        match node.value {
            Value::Text(text) if !text.value().trim().is_empty() => Some((node.at, text)),
            Value::Text(_) => {
                let cause = Cause::new(EMPTY).with_hint("give a value, or remove the line");
                self.problem(node.at, key, cause);
                None
            }
            _ => {
                self.mistyped(&node, key, "a string");
                None
            }
        }
    }

    /// A string and its place.
    pub(super) fn text(&mut self, key: &'static str) -> Option<(Place, String)> {
        let (at, text) = self.secret(key)?;
        Some((at, text.value().to_owned()))
    }

    /// A string that `parse` must take.
    pub(super) fn parsed<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, Cause>) -> Option<T> {
        let (at, text) = self.secret(key)?;
        match parse(text.value()) {
            Ok(value) => Some(value),
            Err(cause) => {
                self.problem(at, key, cause.each(|said| text.redacted(said)));
                None
            }
        }
    }

    /// The same for a string that may be blank.
    pub(super) fn parsed_blank<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Cause>,
    ) -> Option<T> {
        let node = self.take(key)?.node;
        let Value::Text(text) = &node.value else {
            self.mistyped(&node, key, "a string");
            return None;
        };
        match parse(text.value()) {
            Ok(value) => Some(value),
            Err(cause) => {
                self.problem(node.at, key, cause.each(|said| text.redacted(said)));
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let (at, text) = self.secret(key)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text.value()) {
            return Some(*value);
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let message = format!("`{}` is not a valid value", text.shown());
        let problem = Problem::new(join(&self.path, key), message)
            .placed(at)
            .meaning(near_miss(text.shown(), names.iter().copied()))
            .allowing(names.join(", "));
        self.problems.push(problem);
        None
    }

    /// A flag and its place.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<(Place, bool)> {
        let node = self.take(key)?.node;
        match node.value {
            Value::Boolean(flag) => Some((node.at, flag)),
            _ => {
                self.mistyped(&node, key, "true or false");
                None
            }
        }
    }

    pub(super) fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let node = self.take(key)?.node;
        let Value::Integer(integer) = node.value else {
            self.mistyped(&node, key, "an integer");
            return None;
        };
        match u64::try_from(integer) {
            Ok(integer) if range.contains(&integer) => Some(integer),
            _ => {
                let message = format!("{integer} is out of range");
                let problem = Problem::new(join(&self.path, key), message)
                    .placed(node.at)
                    .allowing(format!("{} to {}", count(*range.start()), count(*range.end())));
                self.problems.push(problem);
                None
            }
        }
    }

    /// An integer as the type that the range has.
    pub(super) fn number<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: Copy + TryFrom<u64>,
        u64: TryFrom<T>,
    {
        let bound = |number: T| u64::try_from(number).unwrap_or(u64::MAX);
        let number = self.integer(key, bound(*range.start())..=bound(*range.end()))?;
        T::try_from(number).ok()
    }

    /// A length of time in words, such as `"5 minutes"`.
    pub(super) fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        if let Some(node) = self.peek(key)
            && let Value::Integer(number) = node.value
        {
            let (at, expected) = (node.at, "expected a string, found an integer");
            let cause = Cause::new(expected).with_hint(format!("write a unit, as in {key} = \"{number} seconds\""));
            self.take(key);
            self.problem(at, key, cause);
            return None;
        }
        let (at, text) = self.secret(key)?;
        match duration::parse(text.value()) {
            Ok(duration) if range.contains(&duration) => Some(duration),
            Ok(_) => {
                let (least, most) = (duration::in_words(*range.start()), duration::in_words(*range.end()));
                let problem = Problem::new(join(&self.path, key), format!("`{}` is out of range", text.shown()))
                    .placed(at)
                    .allowing(format!("{least} to {most}"));
                self.problems.push(problem);
                None
            }
            Err(cause) => {
                self.problem(at, key, cause.each(|said| text.redacted(said)));
                None
            }
        }
    }

    /// A string that `parse` must take, or a date or time as TOML writes them.
    pub(super) fn time<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, Cause>) -> Option<T> {
        let Some(Value::Datetime(written)) = self.peek(key).map(|node| &node.value) else {
            return self.parsed(key, parse);
        };
        let read = parse(written);
        let at = self.take(key)?.node.at;
        read.map_err(|cause| self.problem(at, key, cause)).ok()
    }

    /// A string that `parse` must take, or an integer that `by_number` must take.
    pub(super) fn text_or_integer<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Cause>,
        by_number: impl FnOnce(u64) -> Result<T, Cause>,
    ) -> Option<T> {
        let Some(Value::Integer(number)) = self.peek(key).map(|node| &node.value) else {
            return self.parsed(key, parse);
        };
        let read = match u64::try_from(*number) {
            Ok(number) => by_number(number),
            Err(_) => Err(Cause::new(format!("{number} is less than 0"))),
        };
        let at = self.take(key)?.node.at;
        read.map_err(|cause| self.problem(at, key, cause)).ok()
    }

    /// A list of strings, each of which `parse` must take.
    pub(super) fn list<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, Cause>) -> Vec<T> {
        let Some(entry) = self.take(key) else {
            return Vec::new();
        };
        let nodes = match entry.node.value {
            Value::List(nodes) => nodes,
            Value::Text(text) => {
                let cause = Cause::new("expected an array of strings, found a string")
                    .with_hint(format!("write {key} = [\"{}\"]", text.shown()));
                self.problem(entry.node.at, key, cause);
                return Vec::new();
            }
            _ => {
                self.mistyped(&entry.node, key, "an array of strings");
                return Vec::new();
            }
        };
        let mut values = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let path = join(&join(&self.path, key), &index.to_string());
            let Value::Text(text) = &node.value else {
                let message = format!("expected a string, found {}", node.in_words());
                self.problems.push(Problem::new(path, message).placed(node.at));
                continue;
            };
            match parse(text.value()) {
                Ok(value) => values.push(value),
                Err(cause) => {
                    let problem = Problem::new(path, cause.each(|said| text.redacted(said)));
                    self.problems.push(problem.placed(node.at));
                }
            }
        }
        values
    }

    /// A table inside; reading it ends with its own [`Section::finish`].
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'_>> {
        let entry = self.take(key)?;
        match entry.node.value {
            Value::Table(table) => Some(Section::new(join(&self.path, key), entry.key_at, table, self.problems)),
            _ => {
                self.mistyped(&entry.node, key, "a table");
                None
            }
        }
    }

    /// Every table of a list of tables; reading each ends with its own [`Section::finish`].
    pub(super) fn tables(&mut self, key: &'static str, mut read: impl FnMut(Section<'_>)) {
        let Some(entry) = self.take(key) else {
            return;
        };
        let path = join(&self.path, key);
        let nodes = match entry.node.value {
            Value::List(nodes) => nodes,
            Value::Table(_) => {
                let name = pointer::dotted(&path);
                let cause = Cause::new("expected an array of tables, found a table");
                self.problem(entry.key_at, key, cause.with_hint(format!("write [[{name}]]")));
                return;
            }
            _ => return self.mistyped(&entry.node, key, "an array of tables"),
        };
        for (index, node) in nodes.into_iter().enumerate() {
            let path = join(&path, &index.to_string());
            match node.value {
                Value::Table(table) => read(Section::new(path, node.at, table, self.problems)),
                Value::Broken => {}
                _ => {
                    let message = format!("expected a table, found {}", node.in_words());
                    self.problems.push(Problem::new(path, message).placed(node.at));
                }
            }
        }
    }

    /// Every field as a table with a name of the user's own.
    pub(super) fn each_section(self, mut read: impl FnMut(String, Section<'_>)) {
        for entry in self.entries {
            let path = join(&self.path, &entry.key);
            match entry.node.value {
                Value::Table(table) => {
                    let section = Section::new(path, entry.key_at, table, self.problems);
                    read(entry.key, section);
                }
                Value::Broken => {}
                _ => {
                    let message = format!("expected a table, found {}", entry.node.in_words());
                    self.problems.push(Problem::new(path, message).placed(entry.node.at));
                }
            }
        }
    }

    /// Every field as a string, under a name of the user's own, that `read` must take. It gets the name first.
    pub(super) fn each_text(self, allowed: &str, mut read: impl FnMut(&str, &str) -> Result<(), Cause>) {
        for Entry { key, node, .. } in self.entries {
            let cause = match &node.value {
                Value::Broken => continue,
                Value::Text(text) => match read(&key, text.value()) {
                    Ok(()) => continue,
                    Err(cause) => cause.each(|said| text.redacted(said)),
                },
                _ => format!("expected a string, found {}", node.in_words()).into(),
            };
            let problem = Problem::new(join(&self.path, &key), cause).placed(node.at);
            self.problems.push(problem.allowing(allowed.to_owned()));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reports a required field, unless it was there and is already reported as wrong. If it is empty, what to do is
    /// the same: removing it would not help.
    pub(super) fn missing(&mut self, key: &str, hint: &str) {
        if self.found.contains(&key) {
            let path = join(&self.path, key);
            let is_empty = |problem: &&mut Problem| problem.pointer == path && problem.message == EMPTY;
            if let Some(problem) = self.problems.iter_mut().find(is_empty) {
                problem.hint = Some(hint.to_owned());
            }
            return;
        }
        self.problem(self.at, key, Cause::new("missing").with_hint(hint));
    }

    /// Removes the fields that were not read, for a caller that knows them.
    pub(super) fn rest(&mut self) -> Table {
        Table {
            entries: std::mem::take(&mut self.entries),
        }
    }

    /// Reports what was not asked for as unknown.
    pub(super) fn finish(self) {
        for entry in &self.entries {
            let path = join(&self.path, &entry.key);
            let problem = Problem::new(path, "unknown key")
                .placed(entry.key_at)
                .meaning(near_miss(&entry.key, self.asked.iter().copied()))
                .allowing(self.asked.join(", "));
            self.problems.push(problem);
        }
    }
}
