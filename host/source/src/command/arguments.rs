//! The arguments of a program as the operator writes them, with places for the bounds of an interval.

use batch_export_system::Secret;
use batch_export_system::explain::Cause;
use batch_export_system::near_miss;

use crate::interval::{Interval, Moment};

/// The places at which the interval begins and ends.
const START: &str = "data_interval_start";
const END: &str = "data_interval_end";

/// What stands for a start that is left open, and the last moment of all: programs need not know of either.
const FIRST_MICROS: i64 = -62_135_596_800_000_000;
const LAST_MICROS: i64 = 253_402_300_799_999_999;

/// The arguments of a program. Never printed: variables of the configuration may have brought secrets into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arguments(Vec<Vec<Part>>);

/// A part of an argument, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Secret),
    Start,
    End,
}

impl Arguments {
    /// Reads arguments. A place that stands for nothing is an error, so that no run exports every row for a slip.
    pub(super) fn parse(written: &[String]) -> Result<Self, Cause> {
        let arguments: Result<Vec<Vec<Part>>, Cause> = written.iter().map(|text| parts(text)).collect();
        let arguments = Self(arguments?);
        match (arguments.has(&Part::Start), arguments.has(&Part::End)) {
            (true, false) => Err(without(START, END)),
            (false, true) => Err(without(END, START)),
            _ => Ok(arguments),
        }
    }

    /// Returns whether the program is told which rows belong to an interval.
    pub(super) fn have_bounds(&self) -> bool {
        self.has(&Part::Start)
    }

    fn has(&self, part: &Part) -> bool {
        self.0.iter().flatten().any(|known| known == part)
    }

    /// Returns the arguments with an interval in their places.
    pub(super) fn of(&self, interval: &Interval) -> Vec<Secret> {
        let moment = |moment: Moment| Moment(moment.0.clamp(FIRST_MICROS, LAST_MICROS)).to_string();
        let start = moment(interval.start().unwrap_or(Moment(FIRST_MICROS)));
        let end = moment(interval.end());
        let whole = |parts: &Vec<Part>| {
            let parts = parts.iter().map(|part| match part {
                Part::Text(text) => text.expose(),
                Part::Start => start.as_str(),
                Part::End => end.as_str(),
            });
            Secret::new(parts.collect::<String>())
        };
        self.0.iter().map(whole).collect()
    }
}

/// Returns what is wrong with a program or an argument.
pub fn check_argument(text: &str) -> Result<(), Cause> {
    parts(text).map(|_| ())
}

/// Takes an argument apart. Only a name between braces is a place; other braces, as in JSON, stay as they are.
fn parts(text: &str) -> Result<Vec<Part>, Cause> {
    if text.contains('\0') {
        return Err("it contains a NUL character, which arguments cannot contain".into());
    }
    let mut parts = Vec::new();
    let (mut rest, mut literal) = (text, String::new());
    while let Some(at) = rest.find('{') {
        literal.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((name, after)) = name(&rest[1..], "{", "}}") {
            literal.push_str(&format!("{{{name}}}"));
            rest = after;
        } else if let Some((name, after)) = name(rest, "{", "}") {
            parts.push(Part::Text(Secret::new(std::mem::take(&mut literal))));
            parts.push(place(name)?);
            rest = after;
        } else {
            literal.push('{');
            rest = &rest[1..];
        }
    }
    literal.push_str(rest);
    parts.push(Part::Text(Secret::new(literal)));
    Ok(parts)
}

/// Returns the name that a text begins with, between these signs, and what follows.
fn name<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str)> {
    let (name, after) = text.strip_prefix(open)?.split_once(close)?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some((name, after))
}

fn place(name: &str) -> Result<Part, Cause> {
    match name {
        START => Ok(Part::Start),
        END => Ok(Part::End),
        _ => {
            let cause = Cause::new(format!("`{{{name}}}` stands for nothing"));
            let meant = near_miss(&name.to_ascii_lowercase(), [START, END]);
            Err(cause.with_hint(match meant {
                Some(meant) => format!("did you mean `{{{meant}}}`?"),
                None => format!("use `{{{START}}}` and `{{{END}}}`, or write `{{{{{name}}}}}` to pass it as it is"),
            }))
        }
    }
}

fn without(there: &str, missing: &str) -> Cause {
    Cause::new(format!(
        "it has `{{{there}}}` but not `{{{missing}}}`, so that different intervals would export the same rows"
    ))
    .with_hint(format!(
        "pass `{{{missing}}}` as well: an interval includes its start and excludes its end"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(written: &[&str], start: &str, end: &str) -> Vec<String> {
        let written: Vec<String> = written.iter().map(|text| (*text).to_owned()).collect();
        let arguments = Arguments::parse(&written).expect("valid");
        let interval = Interval::parse(start, end).expect("an interval");
        let given = arguments.of(&interval);
        given.iter().map(|text| text.expose().to_owned()).collect()
    }

    #[test]
    fn the_interval_takes_its_places_and_other_braces_stay() {
        let written = [
            "from={data_interval_start},to={data_interval_end}",
            "{\"a\":{\"b\":[1]}} {} { x } {{name}} {",
        ];
        assert_eq!(
            given(&written, "2026-01-01T00:00:00.5Z", "2026-01-01T03:00+02:00"),
            [
                "from=2026-01-01T00:00:00.500000+00:00,to=2026-01-01T01:00:00+00:00",
                "{\"a\":{\"b\":[1]}} {} { x } {name} {",
            ]
        );
        let both = ["{data_interval_start}", "{data_interval_end}"];
        assert_eq!(
            given(&both, "beginning", "2026-01-01"),
            ["0001-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00"]
        );
        let written = both.map(str::to_owned);
        let all = Arguments::parse(&written).expect("valid").of(&Interval::always());
        assert_eq!(all[1].expose(), "9999-12-31T23:59:59.999999+00:00");
    }

    #[test]
    fn places_that_stand_for_nothing_are_refused() {
        for (written, expect) in [
            (
                "{data_interval_starts}",
                "`{data_interval_starts}` stands for nothing; did you mean `{data_interval_start}`?",
            ),
            (
                "{date}",
                "`{date}` stands for nothing; use `{data_interval_start}` and `{data_interval_end}`, or write \
                 `{{date}}` to pass it as it is",
            ),
            (
                "--since={data_interval_start}",
                "it has `{data_interval_start}` but not `{data_interval_end}`, so that different intervals would export \
                 the same rows; pass `{data_interval_end}` as well: an interval includes its start and excludes its end",
            ),
            ("a\0b", "it contains a NUL character, which arguments cannot contain"),
        ] {
            let error = Arguments::parse(&[written.to_owned()]).expect_err(written);
            assert_eq!(error.in_one_text(), expect);
        }
    }
}
