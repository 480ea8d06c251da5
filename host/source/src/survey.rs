//! A survey of a source, without exporting any of it: its columns, the times of its rows, and how many of them belong
//! to an interval. Changes nothing and keeps no row.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, TimeUnit};
use batch_export_system::{Budget, Token};
use serde::Serialize;

use crate::error::SourceError;
use crate::factory::SourceFactory;
use crate::interval::{Interval, Moment};
use crate::select::{EventFilter, Selection, timestamps};

/// What a source holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// The columns of every row.
    pub columns: Vec<SurveyedColumn>,
    /// The name of the column by which rows belong to an interval; null where the source alone decides it.
    pub time_column: Option<String>,
    /// Files that were read; none where the source has no files.
    pub files: u64,
    /// Rows with a time that were examined.
    pub rows: u64,
    /// Rows whose time is null: no run exports them.
    pub rows_without_time: u64,
    /// The earliest time of the rows that were examined.
    #[serde(serialize_with = "text")]
    pub earliest: Option<Moment>,
    /// The latest time of the rows that were examined.
    #[serde(serialize_with = "text")]
    pub latest: Option<Moment>,
    /// Rows in the interval that was asked about, whatever their event; null without an interval.
    pub rows_in_interval: Option<u64>,
    /// Whether all rows were examined.
    pub is_complete: bool,
}

/// A column of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SurveyedColumn {
    /// Its name.
    pub name: String,
    /// Its type as Arrow writes it.
    #[serde(rename = "type")]
    pub type_name: String,
}

fn text<S: serde::Serializer>(moment: &Option<Moment>, serializer: S) -> Result<S::Ok, S::Error> {
    moment.map(|moment| moment.to_string()).serialize(serializer)
}

/// The interval for which a source is opened where only its columns are wanted: one moment, of which no row is read.
pub(crate) const NO_ROWS: Interval = Interval::instant(Moment(0));

/// Reads a source, as a run would, until its end or until `rows_limit` rows were examined, and tells `watch` how many
/// they are so far. Blocking.
pub fn survey(
    factory: &dyn SourceFactory,
    interval: Option<Interval>,
    rows_limit: u64,
    token: &Token,
    budget: &Arc<Budget>,
    watch: impl Fn(u64),
) -> Result<Survey, SourceError> {
    let time_column = factory.time_column();
    let surveyed = factory.surveyed(interval);
    let selection = Selection::new(surveyed.unwrap_or(NO_ROWS), EventFilter::default());
    let mut source = factory.open(selection, token, budget)?;
    let schema = source.schema();
    let fields = schema.fields().iter();
    let mut survey = Survey {
        columns: fields
            .map(|field| SurveyedColumn {
                name: field.name().clone(),
                type_name: field.data_type().to_string(),
            })
            .collect(),
        time_column: time_column.map(str::to_owned),
        files: 0,
        rows: 0,
        rows_without_time: 0,
        earliest: None,
        latest: None,
        rows_in_interval: interval.map(|_| 0),
        is_complete: surveyed.is_some(),
    };
    if surveyed.is_none() {
        return Ok(survey);
    }
    let column = time_column.and_then(|name| schema.index_of(name).ok());
    while let Some(batch) = source.next_batch()? {
        survey.rows += batch.num_rows() as u64;
        match (column, &mut survey.rows_in_interval) {
            (Some(column), _) => survey.take_in(batch.column(column).as_ref(), interval),
            // The source was asked for these rows alone.
            (None, Some(inside)) => *inside += batch.num_rows() as u64,
            (None, None) => {}
        }
        watch(survey.rows);
        if survey.rows >= rows_limit {
            survey.is_complete = false;
            break;
        }
    }
    let tally = source.tally();
    survey.files = tally.files_read;
    survey.rows_without_time = tally.rows_without_time;
    Ok(survey)
}

impl Survey {
    fn take_in(&mut self, times: &dyn Array, interval: Option<Interval>) {
        let DataType::Timestamp(unit, _) = times.data_type() else {
            return;
        };
        let values = timestamps(times, *unit);
        for row in (0..times.len()).filter(|row| times.is_valid(*row)) {
            let moment = Moment(micros(values[row], *unit));
            self.earliest = Some(self.earliest.map_or(moment, |known| known.min(moment)));
            self.latest = Some(self.latest.map_or(moment, |known| known.max(moment)));
            if let (Some(interval), Some(inside)) = (interval, &mut self.rows_in_interval)
                && interval.contains(moment)
            {
                *inside += 1;
            }
        }
    }
}

/// Returns a time in microseconds, finer ones cut, as a run compares them; beyond 64 bits the nearest that fits.
pub(crate) fn micros(value: i64, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => value.saturating_mul(1_000_000),
        TimeUnit::Millisecond => value.saturating_mul(1_000),
        TimeUnit::Microsecond => value,
        TimeUnit::Nanosecond => value.div_euclid(1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::SourceSettings;
    use crate::files::FilesSettings;
    use crate::model::Model;

    fn files(folder: &std::path::Path) -> SourceSettings {
        SourceSettings::Files(FilesSettings::new(folder, "*.jsonl", "orders", "at"))
    }

    fn surveyed(settings: &SourceSettings, interval: Option<Interval>, rows_limit: u64) -> Result<Survey, SourceError> {
        let (token, budget) = (Token::new(), Budget::unlimited());
        let factory = settings.factory(1 << 30);
        survey(factory.as_ref(), interval, rows_limit, &token, &budget, |_| {})
    }

    const ROWS: &str = r#"{"id":1,"at":"2026-01-01T00:30:00Z"}
{"id":2,"at":"2026-01-01T01:00:00Z"}
{"id":3,"at":"2026-01-03T00:00:00.5Z"}
{"id":4,"at":null}
"#;

    #[test]
    fn columns_times_and_rows_of_the_interval_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.jsonl"), ROWS).expect("a file");
        let settings = files(folder.path());
        let hour = Interval::parse("2026-01-01", "2026-01-01T01:00Z").expect("an hour");
        let found = surveyed(&settings, Some(hour), u64::MAX).expect("readable");
        let names: Vec<_> = found.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["id", "at"]);
        assert_eq!(found.columns[0].type_name, "Int64");
        let text = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
        assert_eq!(text(found.earliest).as_deref(), Some("2026-01-01T00:30:00+00:00"));
        assert_eq!(text(found.latest).as_deref(), Some("2026-01-03T00:00:00.500000+00:00"));
        assert_eq!(
            (found.files, found.rows, found.rows_without_time, found.rows_in_interval),
            (1, 3, 1, Some(1))
        );
        assert!(found.is_complete);

        let without = surveyed(&settings, None, u64::MAX).expect("readable");
        assert_eq!((without.rows, without.rows_in_interval), (3, None));
        assert!(!surveyed(&settings, None, 1).expect("readable").is_complete);
    }

    #[test]
    fn what_a_run_would_refuse_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = surveyed(&files(folder.path()), None, u64::MAX);
        assert!(matches!(error, Err(SourceError::NothingMatches { .. })), "{error:?}");
        std::fs::write(folder.path().join("a.jsonl"), "{\"id\":1}\n").expect("a file");
        let error = surveyed(&files(folder.path()), None, u64::MAX);
        assert!(matches!(error, Err(SourceError::Columns { .. })), "{error:?}");
    }

    #[test]
    fn sample_rows_are_those_of_the_interval() {
        let settings = SourceSettings::Sample {
            model: Model::Events,
            rows_per_hour: 40,
        };
        let half = Interval::parse("2023-07-28", "2023-07-28T00:30Z").expect("half an hour");
        let found = surveyed(&settings, Some(half), u64::MAX).expect("rows");
        assert_eq!((found.rows, found.rows_in_interval), (20, Some(20)));
        let hour = surveyed(&settings, None, u64::MAX).expect("rows");
        assert_eq!((hour.rows, hour.rows_in_interval), (40, None));
    }

    #[test]
    fn a_survey_of_what_never_ends_ends_with_its_token() {
        let settings = SourceSettings::Sample {
            model: Model::Events,
            rows_per_hour: 4_000_000_000,
        };
        let token = Token::new();
        let working = {
            let token = token.clone();
            std::thread::spawn(move || {
                let factory = settings.factory(1 << 30);
                survey(factory.as_ref(), None, u64::MAX, &token, &Budget::new(1 << 30), |_| {})
            })
        };
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!working.is_finished());
        let told = std::time::Instant::now();
        token.cancel();
        let ended = working.join().expect("no panic");
        assert!(matches!(ended, Err(SourceError::Interrupted(_))), "{ended:?}");
        assert!(told.elapsed() < std::time::Duration::from_secs(1));
    }

    #[test]
    fn times_of_every_unit_are_cut_to_microseconds() {
        for (value, unit, expect) in [
            (-1, TimeUnit::Nanosecond, -1),
            (1_999, TimeUnit::Nanosecond, 1),
            (-7, TimeUnit::Microsecond, -7),
            (5, TimeUnit::Millisecond, 5_000),
            (-5, TimeUnit::Second, -5_000_000),
            (i64::MAX, TimeUnit::Second, i64::MAX),
        ] {
            assert_eq!(micros(value, unit), expect, "{value} {unit:?}");
        }
    }
}
