//! The key prefix: a text with variables. Knows neither runs nor times.

mod strftime;

use chrono::{DateTime, Datelike, Timelike, Utc};

use crate::failure::Problem;
use crate::words::{nearest, shown};

/// Longest key in bytes of UTF-8. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
pub const MAX_KEY_BYTES: usize = 1024;

/// A parsed prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Variable(Variable),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    Start(TimePart),
    End(TimePart),
    Table,
    DataIntervalStart,
    DataIntervalEnd,
}

/// A component of a time in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimePart {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl TimePart {
    pub(crate) fn of(self, time: DateTime<Utc>) -> String {
        match self {
            TimePart::Year => format!("{:04}", time.year()),
            TimePart::Month => format!("{:02}", time.month()),
            TimePart::Day => format!("{:02}", time.day()),
            TimePart::Hour => format!("{:02}", time.hour()),
            TimePart::Minute => format!("{:02}", time.minute()),
            TimePart::Second => format!("{:02}", time.second()),
        }
    }
}

const VARIABLES: &[(&str, Variable)] = &[
    ("year", Variable::End(TimePart::Year)),
    ("month", Variable::End(TimePart::Month)),
    ("day", Variable::End(TimePart::Day)),
    ("hour", Variable::End(TimePart::Hour)),
    ("minute", Variable::End(TimePart::Minute)),
    ("second", Variable::End(TimePart::Second)),
    ("start_year", Variable::Start(TimePart::Year)),
    ("start_month", Variable::Start(TimePart::Month)),
    ("start_day", Variable::Start(TimePart::Day)),
    ("start_hour", Variable::Start(TimePart::Hour)),
    ("start_minute", Variable::Start(TimePart::Minute)),
    ("start_second", Variable::Start(TimePart::Second)),
    ("table", Variable::Table),
    ("data_interval_start", Variable::DataIntervalStart),
    ("data_interval_end", Variable::DataIntervalEnd),
];

impl Template {
    /// Parses a prefix; the problem names the field `prefix`.
    pub fn parse(text: &str) -> Result<Template, Problem> {
        if text.len() > MAX_KEY_BYTES {
            return Err(problem(
                format!("is {} bytes long", text.len()),
                format!("at most {MAX_KEY_BYTES} bytes including the file name"),
            ));
        }
        if let Some((notation, variable)) = strftime::found(text) {
            return Err(problem(
                format!("contains `{notation}`, which is strftime notation"),
                known_variables(),
            )
            .with_hint(format!("write `{variable}`")));
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..];
            if let Some(after) = brace.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = brace.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else {
                let (name, after) = brace
                    .strip_prefix('{')
                    .and_then(|inside| inside.split_once('}'))
                    .filter(|(name, _)| !name.contains('{'))
                    .ok_or_else(|| unbalanced(text, text.len() - brace.len()))?;
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                pieces.push(Piece::Variable(variable(name)?));
                rest = after;
            }
        }
        literal.push_str(rest);
        pieces.push(Piece::Literal(literal));
        let template = Template { pieces };
        // The values of variables are never a dot, a slash or a control character.
        check_path(&template.render(|_| "x".to_owned()))
            .map_err(|message| problem(message, "printable text in which every folder has a name".to_owned()))?;
        Ok(template)
    }

    /// Returns the prefix with a value in place of each variable.
    pub(crate) fn render(&self, value: impl Fn(Variable) -> String) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text.clone(),
                Piece::Variable(variable) => value(*variable),
            })
            .collect()
    }
}

fn variable(name: &str) -> Result<Variable, Problem> {
    if let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name) {
        return Ok(*variable);
    }
    let guess = nearest(name, VARIABLES.iter().map(|(known, _)| *known));
    Err(problem(
        format!("contains the unknown variable {}", shown(&format!("{{{name}}}"))),
        known_variables(),
    )
    .with_hint(guess.map(|known| format!("did you mean `{{{known}}}`?"))))
}

fn known_variables() -> String {
    let known: Vec<String> = VARIABLES.iter().map(|(name, _)| format!("`{{{name}}}`")).collect();
    format!("{}; `{{{{` and `}}}}` for literal braces", known.join(", "))
}

fn unbalanced(text: &str, at: usize) -> Problem {
    let brace = &text[at..=at];
    problem(
        format!(
            "contains an unmatched `{brace}` at character {}",
            text[..at].chars().count() + 1
        ),
        known_variables(),
    )
}

pub(crate) fn problem(message: String, allowed: String) -> Problem {
    Problem::new("prefix", message).allowing(allowed)
}

/// Checks a path: stores and URL libraries disagree on dot segments, and listings (XML 1.0) cannot represent control
/// characters.
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    if let Some(dots) = path.split('/').find(|segment| matches!(*segment, "." | "..")) {
        return Err(format!(
            "contains a folder named `{dots}`, which stores interpret in different ways"
        ));
    }
    match path.chars().find(|c| c.is_control()) {
        Some(control) => Err(format!(
            "contains the control character U+{:04X}, which bucket listings cannot represent",
            u32::from(control)
        )),
        None => Ok(()),
    }
}
