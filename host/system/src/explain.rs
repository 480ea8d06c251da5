//! Errors in two parts: what happened, and what to do about it. Decides nothing about an error but where its text is
//! divided.

use std::fmt;

/// An error that tells what happened apart from what to do about it.
///
/// Both have a default for errors whose text ends with what to do, after a semicolon.
pub trait Explain: fmt::Display {
    /// Returns what happened.
    fn message(&self) -> String {
        divided(&self.to_string()).0.to_owned()
    }

    /// Returns what to do about it, where there is anything to do.
    fn hint(&self) -> Option<String> {
        divided(&self.to_string()).1.map(str::to_owned)
    }
}

/// Words with which an instruction begins in the texts of this project's errors.
const IMPERATIVES: [&str; 52] = [
    "add",
    "allow",
    "ask",
    "build",
    "check",
    "choose",
    "convert",
    "correct",
    "decompress",
    "delete",
    "describe",
    "do",
    "end",
    "export",
    "free",
    "give",
    "grant",
    "install",
    "keep",
    "leave",
    "list",
    "look",
    "lower",
    "make",
    "move",
    "name",
    "narrow",
    "omit",
    "pass",
    "put",
    "raise",
    "re-create",
    "rebuild",
    "recreate",
    "remove",
    "rename",
    "repair",
    "report",
    "retry",
    "run",
    "save",
    "say",
    "set",
    "shorten",
    "split",
    "swap",
    "switch",
    "try",
    "turn",
    "use",
    "wait",
    "write",
];

/// Divides a text into what happened and what to do, which begins with the first clause after a semicolon that is an
/// instruction. Text in backticks or quotation marks is somebody else's and never divided.
pub fn divided(text: &str) -> (&str, Option<&str>) {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '`' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ';') => {
                let rest = text[at + 1..].trim_start();
                if is_instruction(rest) {
                    return (text[..at].trim_end(), Some(rest));
                }
            }
            _ => {}
        }
    }
    (text, None)
}

fn is_instruction(text: &str) -> bool {
    let end = text.find([' ', ',', ':']).unwrap_or(text.len());
    let first = &text[..end];
    // "to allow it, add …" and "did you mean `…`?" say what to do as well.
    IMPERATIVES.contains(&first)
        || ["did you mean ", "verify again"]
            .iter()
            .any(|words| text.starts_with(words))
        || (matches!(first, "if" | "to") && text.contains(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_told_apart_from_what_happened() {
        for (text, message, hint) in [
            (
                "cannot read x.toml: No such file; name an existing file with --config",
                "cannot read x.toml: No such file",
                Some("name an existing file with --config"),
            ),
            (
                "it exports no plugin; it exports nothing",
                "it exports no plugin; it exports nothing",
                None,
            ),
            (
                "write: 403 AccessDenied; the bucket's policy refuses; grant s3:PutObject; run `batch-export check` again",
                "write: 403 AccessDenied; the bucket's policy refuses",
                Some("grant s3:PutObject; run `batch-export check` again"),
            ),
            (
                "the column `a; use b` is missing; rename it",
                "the column `a; use b` is missing",
                Some("rename it"),
            ),
            (
                "not public (loopback); to allow it, add it to allow_private",
                "not public (loopback)",
                Some("to allow it, add it to allow_private"),
            ),
            (
                "a `quote that never ends; use it",
                "a `quote that never ends; use it",
                None,
            ),
            ("", "", None),
            (";", ";", None),
        ] {
            assert_eq!(divided(text), (message, hint), "{text}");
        }
    }

    #[test]
    fn an_error_explains_itself_by_its_text() {
        #[derive(Debug, thiserror::Error)]
        #[error("the disk is full; free some space")]
        struct Full;
        impl Explain for Full {}
        assert_eq!(Full.message(), "the disk is full");
        assert_eq!(Full.hint().as_deref(), Some("free some space"));
    }
}
