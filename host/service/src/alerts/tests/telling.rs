//! One message for each cause, in words that say what to do.

use super::*;

fn settings() -> AlertSettings {
    let mut settings = AlertSettings::default();
    settings.no_rows = 2;
    settings
}

#[test]
fn a_cause_is_told_of_once_and_its_end_once() {
    let kept = kept();
    let alerts = kept.alerts();
    let mut hour = 0;
    let mut ends = |outcome: &Outcome| {
        hour += 1;
        let (run, ended) = kept.run("archive", hour, outcome);
        alerts.run_ended(&run, &ended, &settings(), Moment(1)).unwrap();
        kept.kinds()
    };
    let none: [&str; 0] = [];
    let (good, empty) = (outcome(RunState::Completed, 5), outcome(RunState::Completed, 0));
    let bad = failed("the bucket does not exist", None);
    assert_eq!(ends(&good), none);
    assert_eq!(ends(&outcome(RunState::FailedRetryable, 0)), none);
    assert_eq!(ends(&outcome(RunState::Cancelled, 0)), none);
    assert_eq!(ends(&bad), ["run_failed"]);
    assert_eq!(ends(&outcome(RunState::TimedOut, 0)), none);
    assert_eq!(ends(&bad), ["paused"]);
    // Somebody runs one again, which works although the schedule is still paused.
    assert_eq!(ends(&good), ["recovered"]);
    assert_eq!(ends(&bad), ["run_failed"]);
    kept.ledger.unpause("archive", false, Moment(1)).unwrap();
    assert_eq!(ends(&bad), none);
    assert_eq!(ends(&bad), none);
    // Paused for the second time, which is news.
    assert_eq!(ends(&bad), ["paused"]);
    kept.ledger.unpause("archive", false, Moment(1)).unwrap();
    assert_eq!(ends(&empty), ["recovered"]);
    assert_eq!(ends(&empty), ["no_rows"]);
    assert_eq!(ends(&empty), none);
    assert_eq!(ends(&good), ["recovered"]);
    assert_eq!(ends(&good), none);
    assert!(kept.ledger.causes().unwrap().is_empty());
}

#[test]
fn what_is_open_outlives_the_process_and_other_processes_may_end_it() {
    let kept = kept();
    let (run, ended) = kept.run("archive", 1, &failed("no", None));
    kept.alerts().run_ended(&run, &ended, &settings(), Moment(1)).unwrap();
    assert_eq!(kept.kinds(), ["run_failed"]);
    let after = kept.alerts();
    let (run, ended) = kept.run("archive", 2, &failed("no", None));
    after.run_ended(&run, &ended, &settings(), Moment(2)).unwrap();
    assert!(kept.kinds().is_empty());
    let other = kept.alerts();
    let (run, ended) = kept.run("archive", 3, &outcome(RunState::Completed, 1));
    other.run_ended(&run, &ended, &settings(), Moment(3)).unwrap();
    assert_eq!(kept.kinds(), ["recovered"]);
    let (run, ended) = kept.run("archive", 4, &failed("no", None));
    after.run_ended(&run, &ended, &settings(), Moment(4)).unwrap();
    assert_eq!(kept.kinds(), ["run_failed"]);
    // A destination that leaves the configuration has no problems any more.
    after.configured(&["mirror"], &settings(), Moment(5)).unwrap();
    assert!(kept.ledger.causes().unwrap().is_empty() && kept.kinds().is_empty());
}

#[test]
fn what_a_process_did_not_get_to_tell_is_told_at_the_next_start() {
    let kept = kept();
    let mut hour = 0;
    // Each ends without a word.
    let mut ends = |outcomes: &[&Outcome]| {
        for outcome in outcomes {
            hour += 1;
            kept.run("archive", hour, outcome);
        }
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let alerts = kept.alerts();
            alerts.configured(&["archive"], &settings(), Moment(1)).unwrap();
            kinds.extend(kept.kinds());
        }
        kinds
    };
    let none: [&str; 0] = [];
    let (good, empty) = (outcome(RunState::Completed, 5), outcome(RunState::Completed, 0));
    let bad = failed("no", None);
    assert_eq!(ends(&[&good]), none);
    assert_eq!(ends(&[&bad]), ["run_failed"]);
    assert_eq!(ends(&[&good]), ["recovered"]);
    assert_eq!(ends(&[&bad, &bad, &bad]), ["run_failed", "paused"]);
    kept.ledger.unpause("archive", false, Moment(1)).unwrap();
    assert_eq!(ends(&[]), none);
    assert_eq!(ends(&[&empty, &empty]), ["recovered", "no_rows"]);
    assert_eq!(ends(&[&good]), ["recovered"]);
}

#[test]
fn lateness_is_told_once_and_skipped_intervals_once_a_day() {
    let kept = kept();
    let alerts = kept.alerts();
    let late = Late {
        interval: Interval::new(Some(Moment(0)), Moment(HOUR_MICROS)).unwrap(),
        intervals: 3,
        run_id: None,
        error: None,
    };
    let now = Moment(4 * HOUR_MICROS);
    alerts.late("archive", None, now).unwrap();
    for _ in 0..3 {
        alerts.late("archive", Some(&late), now).unwrap();
    }
    assert_eq!(kept.kinds(), ["late"]);
    alerts.late("archive", None, now).unwrap();
    alerts.late("archive", None, now).unwrap();
    assert_eq!(kept.kinds(), ["recovered"]);
    let skipped = Skipped {
        intervals: 13,
        start: Moment(0),
        end: Moment(13 * HOUR_MICROS),
        reason: "older than the last 24",
    };
    let mut told = 0;
    for hour in 0..48 {
        alerts.skipped("archive", &skipped, Moment(hour * HOUR_MICROS)).unwrap();
        told += kept.kinds().len();
    }
    assert_eq!(told, 2);
}

/// Raises one alert, and returns it as it is sent.
fn only(kept: &Kept) -> serde_json::Value {
    let mut told = kept.told();
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

#[test]
fn an_alert_says_what_happened_and_what_to_do() {
    let kept = kept();
    let alerts = kept.alerts();
    let now = Moment(10 * HOUR_MICROS);
    let bad = failed(
        "the bucket `x` does not exist <!channel> & \u{1b}[2J",
        Some("create it"),
    );
    let (run, ended) = kept.run("archive", 0, &bad);
    alerts.run_ended(&run, &ended, &settings(), now).unwrap();
    let message = "the run of 1970-01-01T00:00:00+00:00 to 1970-01-01T01:00:00+00:00 failed for good after 1 attempt: \
                   the bucket `x` does not exist <!channel> & \\u{1b}[2J";
    let text = "batch-export, archive: the run of 1970-01-01T00:00:00+00:00 to 1970-01-01T01:00:00+00:00 failed for \
                good after 1 attempt: the bucket `x` does not exist &lt;!channel&gt; &amp; \\u{1b}[2J\n\
                What to do: create it; then run `batch-export retry archive-0`\n\
                At 1970-01-01T10:00:00+00:00";
    assert_eq!(
        only(&kept),
        serde_json::json!({
            "text": text,
            "kind": "run_failed",
            "destination": "archive",
            "run_id": "archive-0",
            "interval": {"start": "1970-01-01T00:00:00+00:00", "end": "1970-01-01T01:00:00+00:00"},
            "at": "1970-01-01T10:00:00+00:00",
            "message": message,
            "hint": "create it; then run `batch-export retry archive-0`",
            "host_version": env!("CARGO_PKG_VERSION"),
        })
    );
    let (run, ended) = kept.run("archive", 1, &outcome(RunState::Completed, 1));
    alerts.run_ended(&run, &ended, &settings(), now).unwrap();
    let recovered = only(&kept);
    let expect = "it works again; runs had failed since 1970-01-01T10:00:00+00:00";
    assert_eq!(
        (&recovered["message"], &recovered["hint"]),
        (&expect.into(), &serde_json::Value::Null)
    );

    let error = serde_json::json!({"message": "the store is down", "hint": "start it"});
    let late = Late {
        interval: run.interval().unwrap(),
        intervals: 3,
        run_id: Some("archive-1"),
        error: Some(&error),
    };
    alerts.late("archive", Some(&late), now).unwrap();
    let late = only(&kept);
    let expect = "the interval 1970-01-01T01:00:00+00:00 to 1970-01-01T02:00:00+00:00 is late: it ended 8 hours ago, \
                  and it and 2 intervals after it have not been exported; the last attempt failed with: the store is \
                  down";
    assert_eq!(late["message"], expect);
    assert_eq!(late["hint"], "start it; then see `batch-export show archive-1`");

    let skipped = Skipped {
        intervals: 1,
        start: Moment(0),
        end: Moment(HOUR_MICROS),
        reason: "it is older than the last 24",
    };
    alerts.skipped("archive", &skipped, now).unwrap();
    let skipped = only(&kept);
    let expect = "1 interval from 1970-01-01T00:00:00+00:00 to 1970-01-01T01:00:00+00:00 is not exported: it is older \
                  than the last 24";
    assert_eq!(skipped["message"], expect);
    let expect = "to export them, run `batch-export backfill archive --from 1970-01-01T00:00:00+00:00 --to \
                  1970-01-01T01:00:00+00:00`";
    assert_eq!(skipped["hint"], expect);
}

#[test]
fn texts_of_others_do_not_grow_an_alert() {
    let kept = kept();
    let long = "x".repeat(1 << 20);
    let (run, ended) = kept.run("archive", 0, &failed(&long, Some(&long)));
    kept.alerts().run_ended(&run, &ended, &settings(), Moment(1)).unwrap();
    let size = only(&kept).to_string().len();
    assert!(size < 10_000, "{size} bytes");
}

#[test]
fn the_page_describes_every_kind_and_every_field() {
    let page = include_str!("../../../../../docs/monitoring.md");
    let words = |begin: &str| {
        let (_, table) = page.split_once(begin).unwrap();
        let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| `"));
        let mut words: Vec<String> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
        words.sort();
        words
    };
    let mut kinds: Vec<String> = Kind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
    kinds.sort();
    assert_eq!(words("| `kind` | told when | told again when |"), kinds);
    let kept = kept();
    let (run, ended) = kept.run("archive", 0, &failed("no", None));
    kept.alerts().run_ended(&run, &ended, &settings(), Moment(1)).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let message = crate::alerts::receivers::Message::new(Some(1), &only(&kept).to_string()).unwrap();
    let sent = keys(&serde_json::from_str(&message.json()).unwrap());
    let example = page
        .split("```json\n")
        .find(|block| block.contains("\"host_version\""))
        .unwrap();
    let example = example.split("\n```").next().unwrap();
    assert_eq!(keys(&serde_json::from_str(example).unwrap()), sent);
    let (_, fields) = page.split_once("### Webhooks").unwrap();
    assert!(fields.contains("| field | meaning |"));
    assert_eq!(words("| field | meaning |"), sent);
    for (variable, _) in crate::alerts::command::VARIABLES {
        assert!(page.contains(&format!("`{variable}`")), "{variable}");
    }
}
