//! The columns of a table or a query as the server describes them: names and shapes. Every column that cannot be
//! exported is named at once.

use batch_export_system::explain::Cause;
use serde_json::Value;

use super::names;
use super::types::Shape;

/// A column of the rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub name: String,
    /// The type as the server writes it.
    pub written: String,
    pub shape: Shape,
}

/// Columns of a table: as many as files may have.
const MAX_COLUMNS: usize = 10_000;
/// Problems that a message lists.
const LISTED_PROBLEMS: usize = 20;

impl Column {
    /// Returns the type without what only says how it is stored or that it may be null.
    pub(super) fn scalar(&self) -> &str {
        let mut scalar = self.written.as_str();
        loop {
            let inner = match names::parts(scalar) {
                Some(("Nullable" | "LowCardinality", arguments)) => arguments.first().copied(),
                Some(("SimpleAggregateFunction", arguments)) => arguments.get(1).copied(),
                _ => None,
            };
            match inner {
                Some(inner) => scalar = inner,
                None => return scalar,
            }
        }
    }
}

/// Reads what the server answers to `DESCRIBE` in the format `JSONCompactEachRow`: in each line an array that begins
/// with name and type.
pub(super) fn columns(answer: &[u8]) -> Result<Vec<Column>, Cause> {
    let text = std::str::from_utf8(answer).map_err(|_| {
        Cause::new("the name of a column is not valid UTF-8").with_hint("give it another name in a query")
    })?;
    let mut columns = Vec::new();
    let mut problems = Vec::new();
    let mut hint = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (name, written) = described(line).ok_or_else(|| {
            Cause::new("its description of the columns cannot be read")
                .with_hint("report this with the server's version")
        })?;
        match Shape::of(&written) {
            Ok(shape) => columns.push(Column { name, written, shape }),
            Err(cause) => {
                let (problem, way_out) = cause.into_parts();
                problems.push(format!("column `{name}`: {problem}"));
                hint = hint.or(way_out);
            }
        }
        if columns.len() + problems.len() > MAX_COLUMNS {
            return Err(
                Cause::new(format!("there are more than {MAX_COLUMNS} columns")).with_hint("name fewer in a query")
            );
        }
    }
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(LISTED_PROBLEMS);
        problems.truncate(LISTED_PROBLEMS);
        let mut said = problems.join("; ");
        if more > 0 {
            said.push_str(&format!("; and {more} more"));
        }
        let cause = Cause::new(said);
        return Err(match hint {
            Some(hint) => cause.with_hint(hint),
            None => cause,
        });
    }
    if columns.is_empty() {
        return Err(Cause::new("there are no columns").with_hint("select at least one"));
    }
    Ok(columns)
}

fn described(line: &str) -> Option<(String, String)> {
    let row: Vec<Value> = serde_json::from_str(line).ok()?;
    let [Value::String(name), Value::String(written), ..] = row.as_slice() else {
        return None;
    };
    Some((name.clone(), written.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_system::explain::Explain;

    #[test]
    fn names_and_types_are_read_exactly() {
        let answer = "[\"a\\u00e9\\\"\\n\", \"LowCardinality(Nullable(DateTime('Europe\\/Berlin')))\", \"\"]\n\n[\"`x`\",\"String\"]\n";
        let found = columns(answer.as_bytes()).expect("columns");
        let names: Vec<&str> = found.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["aé\"\n", "`x`"]);
        assert_eq!(found[0].scalar(), "DateTime('Europe/Berlin')");
    }

    #[test]
    fn every_column_that_cannot_be_exported_is_named() {
        let answer = "[\"a\",\"AggregateFunction(sum, UInt8)\"]\n[\"b\",\"UInt8\"]\n[\"c\",\"Dynamic\"]\n";
        let cause = columns(answer.as_bytes()).expect_err("refused");
        assert_eq!(
            cause.message(),
            "column `a`: its type AggregateFunction cannot be exported; column `c`: its type Dynamic cannot be exported"
        );
        for (answer, expect) in [
            (&b""[..], "there are no columns"),
            (b"<html>", "its description of the columns cannot be read"),
            (b"[1,2]", "its description of the columns cannot be read"),
            (b"[\"\xff\",\"UInt8\"]", "the name of a column is not valid UTF-8"),
        ] {
            assert_eq!(columns(answer).expect_err("refused").message(), expect);
        }
    }
}
