//! Messages as people read them: what happened apart from what to do about it, and lines that fit. Never drops or
//! changes a word.

/// Columns of a terminal that everything is made to fit into.
pub const COLUMNS: usize = 80;

/// Words with which the messages of this program begin what to do: by its own rule, that is the last thing they say,
/// after a semicolon.
const IMPERATIVES: [&str; 47] = [
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
    "make",
    "move",
    "name",
    "narrow",
    "pass",
    "put",
    "raise",
    "rebuild",
    "re-create",
    "recreate",
    "remove",
    "rename",
    "repair",
    "report",
    "run",
    "save",
    "say",
    "set",
    "shorten",
    "swap",
    "switch",
    "try",
    "turn",
    "use",
    "wait",
    "write",
];

/// A message in its two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    pub what: &'a str,
    /// What to do about it, where the message says it.
    pub hint: Option<&'a str>,
}

impl<'a> Message<'a> {
    /// Finds the first clause that tells somebody to do something, from which on the message is a hint. What stands in
    /// backticks or quotation marks is somebody else's text.
    pub fn of(text: &'a str) -> Self {
        let mut quote = None;
        for (at, c) in text.char_indices() {
            match (quote, c) {
                (None, '`' | '"') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None, ';') => {
                    let rest = text[at + 1..].trim_start();
                    if is_instruction(rest) {
                        return Self {
                            what: text[..at].trim_end(),
                            hint: Some(rest),
                        };
                    }
                }
                _ => {}
            }
        }
        Self {
            what: text,
            hint: None,
        }
    }
}

fn is_instruction(text: &str) -> bool {
    let end = text.find([' ', ',', ':']).unwrap_or(text.len());
    let first = &text[..end];
    // "to allow it, add …" tells as well.
    IMPERATIVES.contains(&first) || (matches!(first, "if" | "to") && text.contains(", "))
}

/// Breaks lines between words where they would be longer than [`COLUMNS`]; a word that is longer stays whole.
/// Continued lines begin under the first word of theirs, further in by `hanging`.
pub fn wrapped(text: &str, hanging: usize) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| wrapped_line(line, hanging))
        .collect();
    lines.join("\n")
}

fn wrapped_line(line: &str, hanging: usize) -> String {
    let indent = line.chars().take_while(|c| *c == ' ').count();
    let mut wrapped = " ".repeat(indent);
    let mut column = indent;
    for (index, word) in line.split_whitespace().enumerate() {
        let width = word.chars().count();
        if index > 0 && column + 1 + width > COLUMNS {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent + hanging));
            column = indent + hanging;
        } else if index > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += width;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_told_apart_from_what_happened() {
        for (text, what, hint) in [
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
            assert_eq!(Message::of(text), Message { what, hint }, "{text}");
        }
    }

    #[test]
    fn lines_are_broken_between_words_only() {
        let long = "x".repeat(100);
        let text = format!(
            "{}\n  {} end\n{long} {long}",
            "word ".repeat(20),
            "word ".repeat(18)
        );
        let wrapped = wrapped(&text, 2);
        let lines: Vec<&str> = wrapped.lines().collect();
        for line in &lines {
            assert!(
                line.chars().count() <= COLUMNS || line.trim() == long,
                "{line}"
            );
        }
        assert!(lines[1].starts_with("  word"), "{wrapped}");
        assert!(
            lines[3].starts_with("    word") || lines[3].starts_with("    end"),
            "{wrapped}"
        );
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&wrapped), words(&text));
        assert_eq!(
            super::wrapped("short\n\n  as it is", 2),
            "short\n\n  as it is"
        );
    }
}
