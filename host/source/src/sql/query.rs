//! A query as the operator writes it, with places for the bounds of an interval.

use batch_export_system::explain::Cause;

use super::scan::{self, Piece, Syntax};

/// The places of a query at which the interval begins and ends.
const START: &str = "data_interval_start";
const END: &str = "data_interval_end";

/// A query: one statement, which may have the bounds of an interval in it, written `{data_interval_start}` and
/// `{data_interval_end}`. Both stand for literals with a type, so that they are not written in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    parts: Vec<Part>,
}

/// A part of a query, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Start,
    End,
}

impl Query {
    /// Reads a query. What is wrong with its places is an error, so that no run exports every row, or none, for a slip.
    pub fn parse(text: &str, syntax: Syntax) -> Result<Self, Cause> {
        let mut parts: Vec<Part> = Vec::new();
        let (mut after_end, mut has_code) = (false, false);
        for piece in scan::pieces(text, syntax)? {
            let is_blank =
                matches!(&piece, Piece::Comment(_)) || matches!(&piece, Piece::Code(code) if code.trim().is_empty());
            if after_end && !is_blank {
                return Err(Cause::new("it has more than one statement").with_hint("write one query"));
            }
            has_code |= !is_blank && piece != Piece::End;
            match piece {
                Piece::Code(code) => parts.push(Part::Text(code.to_owned())),
                // What a comment says is the operator's; no bound is put into it.
                Piece::Comment(comment) => parts.push(Part::Text(comment.to_owned())),
                Piece::Quoted(quoted) => parts.push(Part::Text(checked(quoted)?.to_owned())),
                Piece::Place(name) => parts.push(place(name)?),
                Piece::End => after_end = true,
            }
        }
        if !has_code {
            return Err(Cause::new("it is empty").with_hint("write a query, as in SELECT * FROM orders"));
        }
        let query = Self { parts };
        match (query.has(&Part::Start), query.has(&Part::End)) {
            (true, false) => Err(without(START, END)),
            (false, true) => Err(without(END, START)),
            _ => Ok(query),
        }
    }

    /// Returns whether it says itself which rows belong to an interval.
    pub fn has_bounds(&self) -> bool {
        self.has(&Part::Start)
    }

    fn has(&self, part: &Part) -> bool {
        self.parts.contains(part)
    }

    /// Returns the statement with these literals in its places.
    pub(crate) fn with(&self, start: &str, end: &str) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Start => start,
            Part::End => end,
        });
        parts.collect::<String>().trim_end().to_owned()
    }
}

fn place(name: &str) -> Result<Part, Cause> {
    match name {
        START => Ok(Part::Start),
        END => Ok(Part::End),
        _ => {
            let cause = Cause::new(format!("`{{{name}}}` stands for nothing"));
            Err(cause.with_hint(format!("use `{{{START}}}` and `{{{END}}}`")))
        }
    }
}

/// Returns a quoted text, which must not hold a place: in quotes it would stay as it is written.
fn checked(quoted: &str) -> Result<&str, Cause> {
    for name in [START, END] {
        let place = format!("{{{name}}}");
        if quoted.contains(&place) {
            return Err(Cause::new(format!("`{place}` is in quotes")).with_hint(format!(
                "write {place} without quotes: a literal with its type takes its place"
            )));
        }
    }
    Ok(quoted)
}

fn without(there: &str, missing: &str) -> Cause {
    Cause::new(format!(
        "it has `{{{there}}}` but not `{{{missing}}}`, so that different intervals would export the same rows"
    ))
    .with_hint(format!(
        "use `{{{missing}}}` as well: an interval includes its start and excludes its end"
    ))
}
