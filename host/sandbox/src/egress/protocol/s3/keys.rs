//! Which keys are one run's own: the folder that the operator's prefix gives for its model and interval, and the names
//! of files in it. Worked out from configuration and run alone; no plugin has a say in it.

use chrono::format::SecondsFormat;
use chrono::{DateTime, Datelike, Timelike, Utc};
use serde_json::Value;

use crate::contract::{Interval, Run};

/// Years that four digits can say.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;
/// Stands for the start of an interval that has none.
const NO_START: &str = "START";
/// In front of a file's name, it hides the file from programs that read whole folders.
const HIDDEN: &str = "_";

/// The keys of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunKeys {
    /// What every key of the run begins with: folder and `<start>-<end>`, plain and hidden.
    heads: [String; 2],
}

impl RunKeys {
    /// Returns the keys by the operator's prefix and key style. The error says what is wrong with the prefix or the
    /// interval.
    pub(super) fn of(configuration: &Value, run: &Run) -> Result<Self, String> {
        let text = |field: &str| configuration.get(field).and_then(Value::as_str);
        let times = Times::of(&run.interval, text("key_style") == Some("compact"))?;
        let rendered = rendered(text("prefix").unwrap_or_default(), &times, &run.model)?;
        // Exactly one slash between folder and name, none in front; those inside stay.
        let folder = match rendered.trim_matches('/') {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let name = format!("{}-{}", times.start_written, times.end_written);
        Ok(RunKeys {
            heads: [format!("{folder}{name}"), format!("{folder}{HIDDEN}{name}")],
        })
    }

    /// Returns what the run's keys begin with.
    pub(super) fn heads(&self) -> &[String] {
        &self.heads
    }
}

/// An interval's two moments.
struct Times {
    start: Option<DateTime<Utc>>,
    end: DateTime<Utc>,
    start_written: String,
    end_written: String,
}

impl Times {
    fn of(interval: &Interval, is_compact: bool) -> Result<Self, String> {
        let start = interval.start_micros.map(moment).transpose()?;
        let end = moment(interval.end_micros)?;
        Ok(Times {
            start_written: start.map_or_else(|| NO_START.to_owned(), |start| written(start, is_compact)),
            end_written: written(end, is_compact),
            start,
            end,
        })
    }

    /// Returns what a variable of the prefix stands for; `None` for an unknown name.
    fn value(&self, name: &str, model: &str) -> Option<String> {
        Some(match name {
            "table" => model.to_owned(),
            "data_interval_start" => self.start_written.clone(),
            "data_interval_end" => self.end_written.clone(),
            name => match name.strip_prefix("start_") {
                Some(part) => {
                    let digits = part_of(self.start.unwrap_or(self.end), part)?;
                    self.start.map_or_else(|| NO_START.to_owned(), |_| digits)
                }
                None => part_of(self.end, name)?,
            },
        })
    }
}

fn moment(micros: i64) -> Result<DateTime<Utc>, String> {
    DateTime::from_timestamp_micros(micros)
        .filter(|time| YEARS.contains(&time.year()))
        .ok_or_else(|| format!("the interval ({micros} µs since 1970) is outside the years 1 to 9999"))
}

fn part_of(time: DateTime<Utc>, part: &str) -> Option<String> {
    Some(match part {
        "year" => format!("{:04}", time.year()),
        "month" => format!("{:02}", time.month()),
        "day" => format!("{:02}", time.day()),
        "hour" => format!("{:02}", time.hour()),
        "minute" => format!("{:02}", time.minute()),
        "second" => format!("{:02}", time.second()),
        _ => return None,
    })
}

fn written(time: DateTime<Utc>, is_compact: bool) -> String {
    let fraction = time.timestamp_subsec_micros();
    match (is_compact, fraction) {
        (false, 0) => time.to_rfc3339_opts(SecondsFormat::Secs, false),
        (false, _) => time.to_rfc3339_opts(SecondsFormat::Micros, false),
        (true, 0) => time.format("%Y%m%dT%H%M%SZ").to_string(),
        (true, micros) => format!("{}.{micros:06}Z", time.format("%Y%m%dT%H%M%S")),
    }
}

/// Returns the template with its variables written out; doubled braces are literal ones.
fn rendered(template: &str, times: &Times, model: &str) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = brace.strip_prefix("{{") {
            out.push('{');
            rest = after;
        } else if let Some(after) = brace.strip_prefix("}}") {
            out.push('}');
            rest = after;
        } else {
            let (name, after) = brace
                .strip_prefix('{')
                .and_then(|inside| inside.split_once('}'))
                .ok_or_else(|| "contains an unmatched brace".to_owned())?;
            let value = times
                .value(name, model)
                .ok_or_else(|| format!("has the unknown variable `{{{name}}}`"))?;
            out.push_str(&value);
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(start_micros: Option<i64>, end_micros: i64) -> Run {
        Run {
            id: "r".to_owned(),
            attempt: "1".to_owned(),
            model: "events".to_owned(),
            interval: Interval {
                start_micros,
                end_micros,
            },
        }
    }

    /// 2023-07-28T23:00:00Z and an hour later.
    const START: i64 = 1_690_585_200_000_000;
    const END: i64 = START + 3_600_000_000;

    #[test]
    fn the_folder_is_that_of_the_run_and_no_other() {
        let name = "2023-07-28T23:00:00+00:00-2023-07-29T00:00:00+00:00";
        for (prefix, folder) in [
            ("", ""),
            ("/", ""),
            ("//", ""),
            ("a", "a/"),
            ("a/", "a/"),
            ("a//", "a/"),
            ("//a//b///", "a//b/"),
            ("{table}/", "events/"),
            ("{table}//", "events/"),
            ("a{{b}}", "a{b}/"),
            ("{year}/{month}/{day}/{hour}{minute}{second}", "2023/07/29/000000/"),
            (
                "{start_year}/{start_month}/{start_day}/{start_hour}{start_minute}{start_second}",
                "2023/07/28/230000/",
            ),
            (
                "{data_interval_start}/{data_interval_end}",
                "2023-07-28T23:00:00+00:00/2023-07-29T00:00:00+00:00/",
            ),
        ] {
            let keys = RunKeys::of(&json!({"prefix": prefix}), &run(Some(START), END)).expect(prefix);
            assert_eq!(
                keys.heads(),
                [format!("{folder}{name}"), format!("{folder}_{name}")],
                "{prefix}"
            );
        }
    }

    #[test]
    fn times_are_written_as_the_key_style_says() {
        for (style, start, end, expect) in [
            ("iso", None, END, "START-2023-07-29T00:00:00+00:00"),
            ("compact", None, END, "START-20230729T000000Z"),
            (
                "compact",
                Some(START + 5),
                END,
                "20230728T230000.000005Z-20230729T000000Z",
            ),
            (
                "iso",
                Some(START + 5),
                END,
                "2023-07-28T23:00:00.000005+00:00-2023-07-29T00:00:00+00:00",
            ),
        ] {
            let configuration = json!({"prefix": "", "key_style": style});
            let keys = RunKeys::of(&configuration, &run(start, end)).expect("keys");
            assert_eq!(keys.heads()[0], expect);
        }
        let open = RunKeys::of(&json!({"prefix": "{start_year}/{start_hour}"}), &run(None, END));
        let head = open.expect("keys").heads()[0].clone();
        assert_eq!(head, "START/START/START-2023-07-29T00:00:00+00:00");
    }

    #[test]
    fn what_cannot_be_rendered_is_an_error() {
        for prefix in [
            "{yaer}",
            "{",
            "a}b",
            "{start_}",
            "{start_table}",
            "{start_data_interval_end}",
        ] {
            RunKeys::of(&json!({"prefix": prefix}), &run(Some(START), END)).expect_err(prefix);
        }
        RunKeys::of(&json!({"prefix": ""}), &run(None, i64::MAX)).expect_err("far");
    }
}
