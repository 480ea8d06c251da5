//! Failures as people read them, and lines that fit a terminal. Never drops or changes a word.

use batch_export_runner::Failure;
use batch_export_system::terminal::one_line;

/// Columns of a terminal that everything is made to fit into.
pub const COLUMNS: usize = 80;

/// The beginning of a line that shows what an error happened to: it is not wrapped, and passes for no other line.
const EXCERPT: &str = "  | ";

/// Returns what is said of a failure after the word `error:`: what happened, to which lines, each problem of the
/// configuration, what to do, and what stays open, each on a line of its own.
pub fn of_failure(failure: &Failure) -> String {
    let mut lines = vec![one_line(failure.message()).into_owned()];
    let excerpt = failure.excerpt().unwrap_or_default();
    lines.extend(excerpt.lines().map(|line| format!("{EXCERPT}{}", one_line(line))));
    for problem in failure.problems() {
        let mut line = String::from(" ");
        if let Some(file) = failure.file() {
            line.push_str(&format!(" {}:", file.display()));
            if let Some(at) = problem.at {
                line.push_str(&format!("{}:{}:", at.line, at.column));
            }
        } else {
            line.push(' ');
        }
        let field = problem.field();
        if !field.is_empty() {
            line.push_str(&format!(" {field}:"));
        }
        lines.push(format!("{} {}", one_line(&line), one_line(&problem.message)));
        for (head, text) in [("hint", &problem.hint), ("allowed", &problem.allowed)] {
            lines.extend(text.iter().map(|text| format!("    {head}: {}", one_line(text))));
        }
    }
    lines.extend(failure.hint().map(|hint| format!("hint: {}", one_line(hint))));
    for left in failure.left_open() {
        lines.push(format!("left open until the next run: {}", one_line(&left.to_string())));
        // One permission may be missing for both.
        let is_said = |hint: &&String| failure.hint().is_some_and(|said| said.contains(hint.as_str()));
        let unsaid = left.hint.iter().filter(|hint| !is_said(hint));
        lines.extend(unsaid.map(|hint| format!("    hint: {}", one_line(hint))));
    }
    lines.join("\n")
}

/// Breaks lines between words where they would be longer than [`COLUMNS`]; a word that is longer stays whole.
/// Continued lines begin under the first word of theirs, further in by `hanging`.
pub fn wrapped(text: &str, hanging: usize) -> String {
    let lines: Vec<String> = text.lines().map(|line| wrapped_line(line, hanging)).collect();
    lines.join("\n")
}

fn wrapped_line(line: &str, hanging: usize) -> String {
    if line.starts_with(EXCERPT) {
        return line.to_owned();
    }
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
    use batch_export_runner::{FailureClass, FailureCode, LeftOpen, Place, Problem};
    use batch_export_source::{SourceError, SourceErrorKind};
    use batch_export_system::explain::Cause;
    use std::path::Path;

    #[test]
    fn a_failure_is_told_with_all_that_it_holds() {
        let at = |line, column| Place { line, column };
        let region = || {
            Problem::new("/destinations/a/region", "`x` is unknown")
                .with_hint("remove it")
                .placed(at(3, 3))
                .allowing("auto".to_owned())
        };
        let problems = vec![
            Problem::new("", "b").placed(at(7, 1)),
            region(),
            Problem::new("", "the component is damaged"),
            region(),
        ];
        let file = Some(Path::new("x.toml"));
        let failure = Failure::of_problems(file, FailureClass::Configuration, problems);
        assert_eq!(
            of_failure(&failure.expect("problems")),
            "the configuration has 3 problems
  x.toml: the component is damaged
  x.toml:3:3: destinations.a.region: `x` is unknown
    hint: remove it
    allowed: auto
  x.toml:7:1: b"
        );
        assert!(Failure::of_problems(file, FailureClass::Configuration, Vec::new()).is_none());
        let left = |key: &str, hint: &str| LeftOpen::new(Cause::new("403").with_hint(hint)).of_upload(key, "id");
        let failure = Failure::new(FailureClass::Failed, FailureCode::STORE_REFUSED, "no\nroom")
            .with_hint("free some")
            .leaving_open(vec![left("x/a", "free some"), left("x/b", "grant it")]);
        assert_eq!(
            of_failure(&failure),
            "no\\nroom
hint: free some
left open until the next run: upload `id` of `x/a`: 403
left open until the next run: upload `id` of `x/b`: 403
    hint: grant it"
        );
    }

    #[test]
    fn an_excerpt_keeps_its_lines_and_blanks() {
        let cause = Cause::new("syntax error")
            .with_excerpt("SELECT  FRM x\n        ^\nerror:\u{1b}")
            .with_hint("correct it");
        let error = SourceError::Supplier {
            origin: "the database".to_owned(),
            cause,
            kind: SourceErrorKind::Permanent,
        };
        let text = of_failure(&Failure::from(error));
        let expect =
            "the database: syntax error\n  | SELECT  FRM x\n  |         ^\n  | error:\\u{1b}\nhint: correct it";
        assert_eq!(text, expect);
        assert_eq!(wrapped(&text, 2), expect);
    }

    #[test]
    fn lines_are_broken_between_words_only() {
        let long = "x".repeat(100);
        let text = format!("{}\n  {} end\n{long} {long}", "word ".repeat(20), "word ".repeat(18));
        let wrapped = wrapped(&text, 2);
        let lines: Vec<&str> = wrapped.lines().collect();
        for line in &lines {
            assert!(line.chars().count() <= COLUMNS || line.trim() == long, "{line}");
        }
        assert!(lines[1].starts_with("  word"), "{wrapped}");
        assert!(
            lines[3].starts_with("    word") || lines[3].starts_with("    end"),
            "{wrapped}"
        );
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&wrapped), words(&text));
        assert_eq!(super::wrapped("short\n\n  as it is", 2), "short\n\n  as it is");
    }
}
