//! Errors in two parts, by structure: what happened, and what to do about it. Decides nothing about an error.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// An error that tells what happened apart from what to do about it.
///
/// Its `Display` says what happened, to what and why; only [`hint`](Explain::hint) says what to do.
pub trait Explain: fmt::Display {
    /// Returns what happened.
    fn message(&self) -> String {
        self.to_string()
    }

    /// Returns what to do about it, if there is anything to do.
    fn hint(&self) -> Option<String>;

    /// Returns lines of what it happened to, such as a line of a query and a caret below the mistake in it; for most
    /// errors there are none.
    fn excerpt(&self) -> Option<String> {
        None
    }
}

/// A reason for the end of a sentence, and what to do about it where that is known. Its `Display` is the reason alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    // Boxed, because every error has the room for all three.
    #[serde(rename = "message")]
    text: Box<str>,
    hint: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    excerpt: Option<Box<str>>,
}

impl Cause {
    /// Returns a reason that nothing can be done about, as far as is known here.
    pub fn new(text: impl Into<String>) -> Self {
        Cause {
            text: text.into().into(),
            hint: None,
            excerpt: None,
        }
    }

    /// Returns an error as a reason, with the error's hint.
    pub fn of(error: &impl Explain) -> Self {
        Cause {
            text: error.message().into(),
            hint: error.hint().map(Into::into),
            excerpt: error.excerpt().map(Into::into),
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into());
        self
    }

    /// Adds lines of what it happened to.
    #[must_use]
    pub fn with_excerpt(mut self, excerpt: impl Into<String>) -> Self {
        self.excerpt = Some(excerpt.into().into());
        self
    }

    /// Returns the same reason within a longer text.
    #[must_use]
    pub fn map(self, longer: impl FnOnce(String) -> String) -> Self {
        Cause {
            text: longer(self.text.into()).into(),
            ..self
        }
    }

    /// Returns the same with each of its texts changed, such as freed of secrets.
    #[must_use]
    pub fn each(self, changed: impl Fn(&str) -> String) -> Self {
        let changed = |text: &str| changed(text).into();
        Cause {
            text: changed(&self.text),
            excerpt: self.excerpt.as_deref().map(changed),
            hint: self.hint.as_deref().map(changed),
        }
    }

    /// Returns the reason and what to do about it.
    pub fn into_parts(self) -> (String, Option<String>) {
        (self.text.into(), self.hint.map(Into::into))
    }

    /// Returns both as one text, for a place that has room for one.
    pub fn in_one_text(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.text),
            None => self.text.to_string(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Explain for Cause {
    fn hint(&self) -> Option<String> {
        self.hint.as_deref().map(str::to_owned)
    }

    fn excerpt(&self) -> Option<String> {
        self.excerpt.as_deref().map(str::to_owned)
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Cause::new(text)
    }
}

impl From<&str> for Cause {
    fn from(text: &str) -> Self {
        Cause::new(text)
    }
}

/// Returns what an I/O error says, in the middle of a sentence and without its number.
pub fn plain(error: &io::Error) -> String {
    let said = error.to_string();
    let said = match said.rsplit_once(" (os error ") {
        Some((said, _)) if error.raw_os_error().is_some() => said,
        _ => &said,
    };
    let mut rest = said.chars();
    match rest.next() {
        // A word in capitals, such as a name, stays as it is.
        Some(first) if !rest.as_str().starts_with(char::is_uppercase) => first.to_lowercase().chain(rest).collect(),
        _ => said.to_owned(),
    }
}

/// Returns what is wrong with JSON, without the place, which only counts within what the parser was given.
pub fn plain_json(error: &serde_json::Error) -> String {
    let said = error.to_string();
    match said.split(" at line ").next().unwrap_or(&said) {
        "expected ident" | "expected value" => "no JSON value begins like this".to_owned(),
        said => said.to_owned(),
    }
}

/// Returns a number with its thousands apart: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of things by their name in the singular: `1 row`, `2 rows`.
pub fn counted(number: u64, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        many => format!("{} {thing}s", count(many)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart_and_one_is_singular() {
        for (number, expect) in [
            (0, "0 rows"),
            (1, "1 row"),
            (999, "999 rows"),
            (1_000, "1,000 rows"),
            (99_999, "99,999 rows"),
            (1_234_567, "1,234,567 rows"),
            (u64::MAX, "18,446,744,073,709,551,615 rows"),
        ] {
            assert_eq!(counted(number, "row"), expect);
        }
    }

    #[test]
    fn an_io_error_is_told_without_its_number() {
        for (error, expect) in [
            (io::Error::from_raw_os_error(2), "no such file or directory"),
            (io::Error::other("IP is odd (os error 2)"), "IP is odd (os error 2)"),
            (io::Error::other("The disk is full"), "the disk is full"),
            (io::Error::other(""), ""),
        ] {
            assert_eq!(plain(&error), expect);
        }
    }

    #[test]
    fn an_error_of_json_is_told_in_words() {
        for (json, expect) in [
            ("nul", "no JSON value begins like this"),
            ("nope", "no JSON value begins like this"),
            ("[1", "EOF while parsing a list"),
            (
                "\"\u{1}\"",
                "control character (\\u0000-\\u001F) found while parsing a string",
            ),
        ] {
            let error = serde_json::from_str::<serde_json::Value>(json).expect_err(json);
            assert!(
                ["EOF while parsing a value", expect].contains(&plain_json(&error).as_str()),
                "{error}"
            );
        }
    }

    #[test]
    fn a_cause_keeps_what_to_do_apart_from_what_happened() {
        let cause = Cause::new("the disk is full").with_hint("free some space");
        assert_eq!(cause.message(), "the disk is full");
        assert_eq!(cause.in_one_text(), "the disk is full; free some space");
        let longer = Cause::of(&cause).map(|text| format!("cannot write: {text}"));
        assert_eq!(
            longer.into_parts(),
            (
                "cannot write: the disk is full".to_owned(),
                Some("free some space".to_owned())
            )
        );
        assert_eq!(Cause::from("no; use it").hint(), None);
    }
}
