//! Texts that nobody sees: redacted when printed, wiped when dropped. Knows nothing of what they open.

use std::fmt;

use zeroize::Zeroizing;

/// A text that is never printed and is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret over.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }

    /// Returns the secret itself: to derive from or to sign with, never to print.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns why this cannot be a key, in words that repeat nothing of it. Keys are printable ASCII without blanks:
    /// whatever else there is came with copying, ends as a signature that does not match, and is never meant.
    pub fn fault_as_key(&self) -> Option<&'static str> {
        let key = self.expose();
        let is_break = |c: char| matches!(c, '\n' | '\r');
        let is_blank = |c: char| c.is_whitespace() && !is_break(c);
        Some(if key.is_empty() {
            "is empty"
        } else if key.ends_with(is_break) {
            "ends with a line break"
        } else if key.contains(is_break) {
            "has a line break in it"
        } else if key.starts_with(is_blank) {
            "begins with a blank"
        } else if key.ends_with(is_blank) {
            "ends with a blank"
        } else if key.contains(is_blank) {
            "has a blank in it"
        } else if key.contains(char::is_control) {
            "has a control character in it"
        } else if !key.is_ascii() {
            "has a character in it that is not ASCII"
        } else {
            return None;
        })
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(text: Zeroizing<String>) -> Self {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
