//! The tables of the service: schedules, settings, alerts.

use std::time::Duration;

use super::*;
use batch_export_sandbox::MEMORY_BYTES;
use batch_export_schedule::{Every, Weekday};
use batch_export_source::Moment;

const DESTINATION: &str = r#"
[destinations.a]
model = "events"
bucket_name = "exports"
region = "eu-central-1"
prefix = ""
credentials = { source = "host" }
source = { type = "sample" }
"#;

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn a_schedule_is_read_with_everything_it_can_hold() {
    let schedule = r#"
[destinations.a.schedule]
every = "week"
timezone = "europe/berlin"
offset_hour = 6
offset_day = "sunday"
jitter = "10 minutes"
start_at = 2026-01-01T00:00:00Z
end_at = "2027-01-01"
settle = "90 seconds"
catch_up = 0
runs_at_once = 1
"#;
    let config = parse(&format!("{DESTINATION}{schedule}")).expect("valid");
    let schedule = config.schedule("a").expect("a schedule");
    let parts = schedule.parts();
    assert_eq!((*schedule.every(), schedule.timezone()), (Every::WEEK, "Europe/Berlin"));
    assert_eq!((parts.offset_hour, parts.offset_day), (Some(6), Some(Weekday::Sunday)));
    assert_eq!((schedule.jitter(), schedule.settle()), (seconds(600), seconds(90)));
    assert_eq!(schedule.start_at(), Moment::parse("2026-01-01").ok());
    assert_eq!(schedule.end_at(), Moment::parse("2027-01-01").ok());
    assert_eq!((schedule.catch_up(), schedule.runs_at_once()), (0, 1));
    assert_eq!(config.schedule("b"), None);
}

#[test]
fn a_week_begins_on_the_day_of_a_name_or_number() {
    for (day, expect) in [
        ("0", Weekday::Sunday),
        ("6", Weekday::Saturday),
        ("\"friday\"", Weekday::Friday),
        ("\"Fri\"", Weekday::Friday),
    ] {
        let text = format!("{DESTINATION}schedule = {{ every = \"week\", offset_day = {day} }}");
        let config = parse(&text).expect(day);
        let schedule = config.schedule("a").expect("a schedule");
        assert_eq!(schedule.parts().offset_day, Some(expect), "{day}");
    }
}

#[test]
fn without_tables_everything_is_as_usual() {
    let config = parse(DESTINATION).expect("valid");
    assert_eq!(config.schedule("a"), None);
    assert_eq!(config.service, ServiceSettings::default());
    assert_eq!(config.alerts, AlertSettings::default());
    assert_eq!(config.service.memory_bytes, MEMORY_BYTES);
    let config = parse(&format!("{DESTINATION}[service]\n[alerts]\n")).expect("valid");
    assert_eq!(
        (config.service, config.alerts),
        (ServiceSettings::default(), AlertSettings::default())
    );
}

#[test]
fn the_service_is_read_with_everything_it_can_hold() {
    let text = r#"
[service]
runs_at_once = 2
memory_mb = 1024
listen = "[::1]:0"
reload = "automatic"
stop_time = "5 minutes"
log_format = "json"
keep_runs_days = 30
keep_runs = 1000
keep_logs_days = 7
"#;
    let service = parse(&format!("{DESTINATION}{text}")).expect("valid").service;
    let expect = ServiceSettings {
        runs_at_once: 2,
        memory_bytes: 1 << 30,
        listen: Some("[::1]:0".parse().expect("an address")),
        reload: Reload::Automatic,
        stop_time: seconds(300),
        log_format: LogFormat::Json,
        keep_runs_days: 30,
        keep_runs: 1_000,
        keep_logs_days: 7,
    };
    assert_eq!(service, expect);
    for (listen, expect) in [
        ("off", None),
        ("localhost:9000", Some("127.0.0.1:9000")),
        ("127.0.0.2:1", Some("127.0.0.2:1")),
    ] {
        let text = format!("{DESTINATION}[service]\nlisten = \"{listen}\"");
        let expect = expect.map(|address| address.parse().expect("an address"));
        assert_eq!(parse(&text).expect(listen).service.listen, expect);
    }
}

#[test]
fn alerts_are_read_and_show_nothing_of_a_webhook_but_its_host() {
    let text = r#"
[alerts]
command = ["bin/page", "--token", "${env:KEY}"]
late_after = "20 minutes"
no_rows = 3
[[alerts.webhook]]
url = "${env:HOOK}"
secret = "${env:KEY}"
[[alerts.webhook]]
url = "http://127.0.0.1:9000"
"#;
    let config = parse(&format!("{DESTINATION}{text}")).expect("valid");
    let alerts = &config.alerts;
    let shown: Vec<String> = alerts.webhooks.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["https://hooks.example.com:8443/…", "http://127.0.0.1:9000/…"]);
    let [hook, plain] = &alerts.webhooks[..] else {
        panic!("{alerts:?}");
    };
    assert!(hook.url().expose().ends_with("/canary-4711?canary=4711"));
    assert_eq!(hook.secret().map(|secret| secret.expose()), Some("canary-4711"));
    assert_eq!(plain.secret(), None);
    let command = alerts.command.as_ref().expect("a command");
    assert_eq!(command.program, "conf/bin/page");
    let arguments: Vec<&str> = command.arguments.iter().map(|argument| argument.expose()).collect();
    assert_eq!(arguments, ["--token", "canary-4711"]);
    assert_eq!((alerts.late_after, alerts.no_rows), (seconds(1_200), 3));
    assert!(!format!("{config:?}").contains("canary"), "{config:?}");

    let found_in_path = format!("{DESTINATION}[alerts]\ncommand = [\"page\"]");
    let command = parse(&found_in_path).expect("valid").alerts.command.expect("a command");
    assert_eq!(command.program, "page");
}

#[test]
fn every_problem_of_a_schedule_is_reported_at_once_with_its_line() {
    let text = r#"[destinations.a.schedule]
every = "2 days"
timezone = "Europe/Berlni"
offset_hour = 24
offset_day = 7
jitter = 5
start_at = 10:00:00
end_at = "2026-02-30"
settle = "25 hours"
catch_up = 10000
runs_at_once = 0
evry = "hour"
"#;
    let lines = [
        "2:9: destinations.a.schedule.every: `2 days` is not supported: only a single day or week begins at a time that \
         a calendar says; write \"day\" or \"week\", or a number of hours such as \"48 hours\"",
        "3:12: destinations.a.schedule.timezone: there is no time zone `Europe/Berlni`; did you mean `Europe/Berlin`?",
        "4:15: destinations.a.schedule.offset_hour: 24 is out of range; allowed: 0 to 23",
        "5:14: destinations.a.schedule.offset_day: `7` is not a day of the week; write a name such as \"monday\", or a \
         number from 0 for Sunday to 6 for Saturday",
        "6:10: destinations.a.schedule.jitter: expected a string, found an integer; write a unit, as in jitter = \"5 \
         seconds\"",
        "7:12: destinations.a.schedule.start_at: `10:00:00` is not a time; write it like 2023-07-28T01:00:00Z (without a \
         zone it is UTC)",
        "8:10: destinations.a.schedule.end_at: `2026-02-30` is not a time: there is no such day; correct the month or \
         the day",
        "9:10: destinations.a.schedule.settle: it is longer than a day; give at most \"24 hours\"; rows that arrive even \
         later are what a backfill is for",
        "10:12: destinations.a.schedule.catch_up: 10000 is out of range; allowed: 0 to 9,999",
        "11:16: destinations.a.schedule.runs_at_once: 0 is out of range; allowed: 1 to 256",
        "12:1: destinations.a.schedule.evry: unknown key; did you mean `every`?; allowed: every, timezone, offset_hour, \
         offset_day, jitter, start_at, end_at, settle, catch_up, runs_at_once",
    ];
    assert_eq!(of_schedule(text), lines);
}

/// The problems of a text that are about a schedule.
fn of_schedule(text: &str) -> Vec<String> {
    let found = problems(text).into_iter();
    found.filter(|line| line.contains(".schedule")).collect()
}

#[test]
fn what_is_wrong_with_a_schedule_is_said_in_one_sentence() {
    for (text, expect) in [
        (
            "jitter = \"1 minute\"",
            "1:17: destinations.a.schedule.every: missing; say how often to export, as in every = \"hour\"",
        ),
        (
            "every = \"hour\"\ntimezone = \"UTC\"",
            "3:12: destinations.a.schedule.timezone: it has no effect on intervals of minutes or hours, which are \
             counted from the Unix epoch in UTC; remove it, or set every to \"day\" or \"week\"",
        ),
        (
            "every = \"day\"\noffset_day = -1",
            "3:14: destinations.a.schedule.offset_day: -1 is less than 0",
        ),
        (
            "every = \"day\"\njitter = \"24 hours\"",
            "3:10: destinations.a.schedule.jitter: it is not shorter than the interval, so a run could start after the \
             next one; give less than the length of an interval",
        ),
        (
            "every = \"day\"\nstart_at = 2026-01-02\nend_at = 2026-01-01",
            "4:10: destinations.a.schedule.end_at: it is not after start_at: 2026-01-01T00:00:00+00:00 is not later \
             than 2026-01-02T00:00:00+00:00; give a later time, or remove one of the two",
        ),
        (
            "every = \"day\"\ntimezone = \"${env:KEY}\"",
            "3:12: destinations.a.schedule.timezone: there is no time zone `${env:KEY}`; give a name of the IANA time \
             zone database, such as Europe/Berlin",
        ),
        (
            "every = \"day\"\nsettle = \"${env:KEY}\"",
            "3:10: destinations.a.schedule.settle: `${env:KEY}` is not a length of time; write a whole number of \
             seconds, minutes, hours, days or weeks, such as \"90 seconds\"",
        ),
    ] {
        assert_eq!(
            of_schedule(&format!("[destinations.a.schedule]\n{text}")),
            [expect],
            "{text}"
        );
    }
}

#[test]
fn every_problem_of_the_service_and_its_alerts_is_reported_at_once() {
    let text = r#"[service]
runs_at_once = 0
memory_mb = 16
listen = "0.0.0.0:7464"
reload = "on_sgnal"
stop_time = "2 days"
log_format = true
keep_runs_days = 0
port = 7464
[alerts]
command = []
late_after = "1 second"
no_rows = "3"
[[alerts.webhook]]
url = "ftp://canary"
[[alerts.webhook]]
secret = "x"
urll = "https://canary"
"#;
    let text = format!("{text}{DESTINATION}");
    assert_eq!(
        problems(&text),
        [
            "2:16: service.runs_at_once: 0 is out of range; allowed: 1 to 1,024",
            "3:13: service.memory_mb: 16 is out of range; allowed: 256 to 1,048,576",
            "4:10: service.listen: `0.0.0.0` can be reached by other machines, and what is served there has neither \
             password nor encryption; write \"127.0.0.1:7464\"; to read it from elsewhere, put a proxy in front of it",
            "5:10: service.reload: `on_sgnal` is not a valid value; did you mean `on_signal`?; allowed: on_signal, \
             automatic",
            "6:13: service.stop_time: `2 days` is out of range; allowed: 0 seconds to 1 day",
            "7:14: service.log_format: expected a string, found a boolean",
            "8:18: service.keep_runs_days: 0 is out of range; allowed: 1 to 36,500",
            "9:1: service.port: unknown key; allowed: runs_at_once, memory_mb, listen, reload, stop_time, log_format, \
             keep_runs_days, keep_runs, keep_logs_days",
            "11:11: alerts.command: names no program; name a program and its arguments, as in \
             [\"/usr/local/bin/page\", \"--team\", \"data\"]",
            "12:14: alerts.late_after: `1 second` is out of range; allowed: 1 minute to 30 days",
            "13:11: alerts.no_rows: expected an integer, found a string",
            "15:7: alerts.webhook[0].url: not a webhook's URL; write it like https://hooks.example.com/alerts",
            "16:1: alerts.webhook[1].url: missing; say where to post alerts, as in url = \"${env:WEBHOOK}\"",
            "18:1: alerts.webhook[1].urll: unknown key; did you mean `url`?; allowed: url, secret",
        ]
    );
    for (text, expect) in [
        (
            "[service]\nlisten = \"7464\"",
            "2:10: service.listen: `7464` is not an address with a port; write it like \"127.0.0.1:7464\", or \"off\"",
        ),
        (
            "[alerts.webhook]\nurl = \"https://canary\"",
            "1:9: alerts.webhook: expected an array of tables, found a table; write [[alerts.webhook]]",
        ),
        (
            "[alerts]\nwebhook = [5]",
            "2:12: alerts.webhook[0]: expected a table, found an integer",
        ),
        (
            "[alerts]\nwebhook = 5",
            "2:11: alerts.webhook: expected an array of tables, found an integer",
        ),
        (
            "[alerts]\ncommand = [5]",
            "2:12: alerts.command[0]: expected a string, found an integer",
        ),
    ] {
        assert_eq!(problems(&format!("{text}\n{DESTINATION}")), [expect], "{text}");
    }
}
