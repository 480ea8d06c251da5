//! The contents of the source: its columns, rows and times, for `plan`, `validate` and runs without rows.

use std::sync::Arc;
use std::time::Instant;

use super::progress::Progress;
use super::words;
use batch_export_runner::Failure;
use batch_export_runner::exporter::Exporter;
use batch_export_source::Interval;
use batch_export_source::SourceSettings;
use batch_export_source::{Survey, survey};
use batch_export_system::Token;
use batch_export_system::explain::Cause;

/// Rows looked at after a run without rows to say which times there are: enough to see a wrong year or a wrong column,
/// and quickly read, because quiet hours are frequent.
const GLANCE_ROWS: u64 = 100_000;

/// Reads the whole source on a thread for blocking work. The thread ends when nobody waits for it any more.
pub async fn whole(
    exporter: &Exporter,
    interval: Option<Interval>,
    token: &Token,
    progress: &Arc<Progress>,
) -> Result<Survey, Failure> {
    let progress = Arc::clone(progress);
    let watch = move |rows| {
        progress.message(format!("reading the source: {}", words::counted(rows, "row")));
    };
    on_thread(exporter, interval, u64::MAX, token, watch).await
}

/// Reads a source as a run does: with its memory and its time.
async fn on_thread(
    exporter: &Exporter,
    interval: Option<Interval>,
    rows_limit: u64,
    token: &Token,
    watch: impl Fn(u64) + Send + 'static,
) -> Result<Survey, Failure> {
    let limits = &exporter.limits;
    let factory = exporter.rows();
    let budget = Arc::clone(exporter.plugin.sandbox().budget());
    let token = token.child().with_deadline(Instant::now() + limits.run_time);
    let _left = token.cancel_on_drop();
    let reading = token.clone();
    let work = move || {
        let (factory, token) = (factory.as_ref(), reading);
        survey(factory, interval, rows_limit, &token, &budget, watch)
    };
    let survey = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::thread_lost("reads the source"))?;
    Ok(survey?)
}

/// Returns what a run without rows says about the times that the source does hold.
pub async fn glance(exporter: &Exporter, token: &Token) -> Option<Cause> {
    let SourceSettings::Files(_) = exporter.source else {
        return None;
    };
    match on_thread(exporter, None, GLANCE_ROWS, token, |_| {}).await {
        Ok(survey) => times(&survey),
        // The run itself read the source without an error: what is wrong now is not its outcome.
        Err(failure) => {
            Some(Cause::of(&failure).map(|message| format!("cannot read the times in the source: {message}")))
        }
    }
}

/// Returns the times of the first and the last row in words.
fn times(survey: &Survey) -> Option<Cause> {
    let rows = words::counted(survey.rows, "row");
    let which = match survey.is_complete {
        true => rows,
        false => format!("the first {rows}"),
    };
    match (survey.earliest, survey.latest) {
        (Some(earliest), Some(latest)) => Some(Cause::new(format!(
            "the times in the source's `{}` are from {earliest} to {latest} ({which})",
            survey.time_column.as_deref().unwrap_or_default()
        ))),
        _ if survey.rows_without_time > 0 => {
            let column = survey.time_column.as_deref().unwrap_or_default();
            let none = Cause::new(format!("no row of the source has a time in `{column}`"));
            Some(none.with_hint("set the source's `time_column` to the column that does"))
        }
        _ => Some("the source's files contain no rows".into()),
    }
}

/// Returns the columns and the times as tables.
pub fn in_words(survey: &Survey) -> String {
    let columns: Vec<_> = survey
        .columns
        .iter()
        .map(|column| (column.name.clone(), column.type_name.clone()))
        .collect();
    let mut text = format!("source columns\n{}source rows\n", words::table(&columns));
    let rows = match survey.is_complete {
        true => words::count(survey.rows),
        false => "not counted; give --start and --end to count those of an interval".to_owned(),
    };
    let mut rows = vec![("rows".to_owned(), rows)];
    if survey.files > 0 {
        rows.insert(0, ("files".to_owned(), words::count(survey.files)));
    }
    if let Some(column) = &survey.time_column {
        rows.push(("time column".to_owned(), column.clone()));
    }
    if let (Some(earliest), Some(latest)) = (survey.earliest, survey.latest) {
        rows.push(("earliest".to_owned(), earliest.to_string()));
        rows.push(("latest".to_owned(), latest.to_string()));
    }
    if survey.rows_without_time > 0 {
        let count = words::count(survey.rows_without_time);
        rows.push(("without a time".to_owned(), count));
    }
    if let Some(inside) = survey.rows_in_interval {
        rows.push(("in the interval".to_owned(), words::count(inside)));
    }
    text.push_str(&words::table(&rows));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_source::Moment;
    use batch_export_source::SurveyedColumn;

    fn found() -> Survey {
        Survey {
            columns: vec![SurveyedColumn {
                name: "id".to_owned(),
                type_name: "Int64".to_owned(),
            }],
            time_column: Some("at".to_owned()),
            files: 1,
            rows: 1_000,
            rows_without_time: 2,
            earliest: Some(Moment(0)),
            latest: Some(Moment(1_000_000)),
            rows_in_interval: Some(0),
            is_complete: true,
        }
    }

    #[test]
    fn a_run_without_rows_says_which_times_there_are() {
        let in_part = Survey {
            is_complete: false,
            ..found()
        };
        let untimed = Survey {
            earliest: None,
            latest: None,
            ..found()
        };
        let empty = Survey {
            rows: 0,
            rows_without_time: 0,
            ..untimed.clone()
        };
        for (survey, expect) in [
            (
                found(),
                "the times in the source's `at` are from 1970-01-01T00:00:00+00:00 to 1970-01-01T00:00:01+00:00 (1,000 rows)",
            ),
            (
                in_part,
                "the times in the source's `at` are from 1970-01-01T00:00:00+00:00 to 1970-01-01T00:00:01+00:00 (the first 1,000 rows)",
            ),
            (
                untimed,
                "no row of the source has a time in `at`; set the source's `time_column` to the column that does",
            ),
            (empty, "the source's files contain no rows"),
        ] {
            assert_eq!(times(&survey).map(|told| told.in_one_text()).as_deref(), Some(expect));
        }
    }

    #[test]
    fn what_the_source_holds_is_a_table() {
        assert_eq!(
            in_words(&found()),
            "source columns
  id  Int64
source rows
  files            1
  rows             1,000
  time column      at
  earliest         1970-01-01T00:00:00+00:00
  latest           1970-01-01T00:00:01+00:00
  without a time   2
  in the interval  0
"
        );
    }
}
