//! The bindings' types from and to the host's: the one place where a guest's words come in. What people may read is
//! made short and harmless here; what a machine goes by (grants, scopes, the schema) stays as it is, and
//! is judged where it is used.

use std::time::Duration;

use super::bindings::batch_export::destination::types as wit;
use super::bindings::exports::batch_export::destination::exporter as export;
use super::contract::{
    AbortedUpload, CheckDepth, CheckStep, Description, ExportedFile, Failure, Format, Grant, LeftOpen, Plan, Problem,
    Progress, Recovery, Report, Run, SigningScope, StepOutcome,
};
use crate::capability::log::tidy;
use batch_export_system::explain::Cause;

/// Bytes of a name: a field, a setting, a column, a step, a version.
const NAME_BYTES: usize = 256;
/// Bytes of a key: twice what S3 takes, so that none is cut that a store could hold.
const KEY_BYTES: usize = 2 << 10;
/// Bytes of a message, a hint or a detail. A page of text; who needs more writes log lines.
const MESSAGE_BYTES: usize = 2 << 10;
/// Problems of a configuration. The S3 destination has fewer fields than that.
const PROBLEMS: usize = 64;
/// Lines of a list for people to read: warnings, repairs, steps, keys of a plan. An honest run has a handful.
const LINES: usize = 200;
/// Uploads named by one recovery: as many as S3 lists in one response.
const UPLOADS: usize = 1_000;

fn name(text: &str) -> String {
    tidy(text, NAME_BYTES)
}

fn key(text: &str) -> String {
    tidy(text, KEY_BYTES)
}

fn message(text: &str) -> String {
    tidy(text, MESSAGE_BYTES)
}

/// What the guest says happened and what to do, each short and harmless.
fn explained(said: &wit::Explanation) -> Cause {
    let cause = Cause::new(message(&said.message));
    match said.hint.as_deref().map(message).filter(|hint| !hint.is_empty()) {
        Some(hint) => cause.with_hint(hint),
        None => cause,
    }
}

/// At most so many entries, and how many there are besides.
fn bounded<T, U>(entries: Vec<T>, limit: usize, into: impl Fn(T) -> U) -> (Vec<U>, usize) {
    let further = entries.len().saturating_sub(limit);
    (entries.into_iter().take(limit).map(into).collect(), further)
}

/// Returns a run as the component of this digest is told of it, with the time that it may take where that is limited.
pub(super) fn run(run: Run, plugin_digest: &str, run_time: Option<Duration>) -> wit::Run {
    wit::Run {
        id: run.id,
        attempt: run.attempt,
        model: run.model,
        interval: wit::Interval {
            start: run.interval.start_micros,
            end: run.interval.end_micros,
        },
        plugin_digest: plugin_digest.to_owned(),
        time_limit_seconds: run_time.map(|limit| u32::try_from(limit.as_secs()).unwrap_or(u32::MAX)),
    }
}

impl From<wit::Failure> for Failure {
    fn from(failure: wit::Failure) -> Self {
        match failure {
            wit::Failure::Config(found) => Failure::Config(problems(&found)),
            wit::Failure::Refused(reason) => Failure::Refused(explained(&reason)),
            wit::Failure::Unavailable(u) => Failure::Unavailable {
                reason: explained(&u.reason),
                retry_after_ms: u.retry_after_ms,
            },
            wit::Failure::Data(reason) => Failure::Data(explained(&reason)),
            wit::Failure::Defect(text) => Failure::Defect(message(&text)),
        }
    }
}

fn problems(found: &[wit::Problem]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = found
        .iter()
        .take(PROBLEMS)
        .map(|problem| Problem {
            field: name(&problem.field),
            message: message(&problem.message),
            hint: problem.hint.as_deref().map(message),
            allowed: problem.allowed.as_deref().map(message),
        })
        .collect();
    if found.len() > PROBLEMS {
        problems.push(Problem {
            field: String::new(),
            message: format!("{} further problems", found.len() - PROBLEMS),
            hint: None,
            allowed: None,
        });
    }
    problems
}

/// Steps of one `check`, bounded like every list.
pub(super) fn steps(steps: Vec<export::CheckStep>) -> Vec<CheckStep> {
    steps.into_iter().take(LINES).map(CheckStep::from).collect()
}

impl From<export::Description> for Description {
    fn from(d: export::Description) -> Self {
        Description {
            name: name(&d.name),
            version: name(&d.version),
            summary: message(&d.summary),
            configuration_schema: d.configuration_schema,
            formats: d
                .formats
                .into_iter()
                .map(|f| Format {
                    name: f.name,
                    compressions: f.compressions,
                })
                .collect(),
            memory_limit_bytes: d.memory_limit_bytes,
            requests_in_flight: d.requests_in_flight,
            payload_limit_bytes: d.payload_limit_bytes,
        }
    }
}

impl From<export::RunPlan> for Plan {
    fn from(p: export::RunPlan) -> Self {
        Plan {
            keys: p.keys.iter().take(LINES).map(|text| key(text)).collect(),
            manifest_key: p.manifest_key.as_deref().map(key),
            settings: p
                .settings
                .iter()
                .take(LINES)
                .map(|(setting, value)| (name(setting), message(value)))
                .collect(),
            part_size_bytes: p.part_size_bytes,
            requests_in_flight: p.requests_in_flight,
            memory_bytes: p.memory_bytes,
            payload_bytes: p.payload_bytes,
            grants: p
                .grants
                .into_iter()
                .map(|g| Grant {
                    operation: g.operation,
                    method: http::Method::from(g.method).to_string(),
                    origin: g.origin,
                    path_prefix: g.path_prefix,
                    query: g.query,
                    headers: g.headers,
                })
                .collect(),
            signing: p
                .signing
                .into_iter()
                .map(|s| SigningScope {
                    service: s.service,
                    region: s.region,
                })
                .collect(),
            required_columns: p
                .required_columns
                .iter()
                .map(|(column, kind)| (name(column), name(kind)))
                .collect(),
        }
    }
}

impl From<export::Progress> for Progress {
    fn from(p: export::Progress) -> Self {
        Progress {
            rows: p.rows,
            bytes: p.bytes,
            files: p.files,
        }
    }
}

impl From<export::Report> for Report {
    fn from(r: export::Report) -> Self {
        let (mut warnings, further) = bounded(r.warnings, LINES, |said| explained(&said));
        if further > 0 {
            warnings.push(format!("{further} further warnings are omitted").into());
        }
        Report {
            rows_received: r.rows_received,
            rows_exported: r.rows_exported,
            rows_filtered: r.rows_filtered,
            bytes_encoded: r.bytes_encoded,
            files: r
                .files
                .into_iter()
                .map(|f| ExportedFile {
                    key: key(&f.key),
                    rows: f.rows,
                    bytes: f.bytes,
                    etag: name(&f.etag),
                })
                .collect(),
            manifest_key: r.manifest_key.as_deref().map(key),
            repairs: r
                .repairs
                .iter()
                .take(LINES)
                .map(|(kind, times)| (name(kind), *times))
                .collect(),
            requests: r.requests,
            retries: r.retries,
            warnings,
        }
    }
}

impl From<CheckDepth> for export::CheckDepth {
    fn from(depth: CheckDepth) -> Self {
        match depth {
            CheckDepth::Full => export::CheckDepth::Full,
            CheckDepth::Traceless => export::CheckDepth::Traceless,
        }
    }
}

impl From<export::CheckStep> for CheckStep {
    fn from(s: export::CheckStep) -> Self {
        CheckStep {
            name: name(&s.name),
            outcome: match s.outcome {
                export::StepOutcome::Passed => StepOutcome::Passed,
                export::StepOutcome::Failed => StepOutcome::Failed,
                export::StepOutcome::Unavailable => StepOutcome::Unavailable,
                export::StepOutcome::Skipped => StepOutcome::Skipped,
            },
            detail: message(&s.detail),
            hint: s.hint.as_deref().map(message),
            retry_after_ms: s.retry_after_ms,
        }
    }
}

impl From<export::Recovery> for Recovery {
    fn from(r: export::Recovery) -> Self {
        let (aborted, _) = bounded(r.aborted, UPLOADS, AbortedUpload::from);
        let (mut left_open, further) = bounded(r.left_open, UPLOADS, LeftOpen::from);
        if further > 0 {
            left_open.push(LeftOpen {
                key: None,
                upload_id: None,
                reason: format!("{further} further uploads are left open").into(),
            });
        }
        Recovery { aborted, left_open }
    }
}

impl From<export::AbortedUpload> for AbortedUpload {
    fn from(upload: export::AbortedUpload) -> Self {
        AbortedUpload {
            key: key(&upload.key),
            upload_id: key(&upload.upload_id),
        }
    }
}

impl From<export::LeftOpen> for LeftOpen {
    fn from(left: export::LeftOpen) -> Self {
        LeftOpen {
            key: left.key.as_deref().map(key),
            upload_id: left.upload_id.as_deref().map(key),
            reason: explained(&left.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_system::explain::Explain;

    const EVIL: &str = "\u{1b}[2Jcleared\r\nforged: line\u{0}\u{9b}";

    #[track_caller]
    fn harmless(shown: &str, limit: usize) {
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert!(shown.len() <= limit + " …".len(), "{} bytes", shown.len());
    }

    #[test]
    fn failures_are_short_and_on_one_line() {
        let huge = EVIL.repeat(100_000);
        let reason = || wit::Explanation {
            message: huge.clone(),
            hint: Some(huge.clone()),
        };
        let unavailable = wit::Unavailable {
            reason: reason(),
            retry_after_ms: Some(7),
        };
        for failure in [
            wit::Failure::Refused(reason()),
            wit::Failure::Data(reason()),
            wit::Failure::Unavailable(unavailable),
        ] {
            let failure = Failure::from(failure);
            harmless(&failure.to_string(), MESSAGE_BYTES);
            harmless(&failure.hint().expect("kept"), MESSAGE_BYTES);
        }
        harmless(
            &Failure::from(wit::Failure::Defect(huge.clone())).to_string(),
            MESSAGE_BYTES,
        );
        let problem = wit::Problem {
            field: huge.clone(),
            message: huge.clone(),
            hint: Some(huge.clone()),
            allowed: Some(huge),
        };
        let Failure::Config(problems) = Failure::from(wit::Failure::Config(vec![problem; PROBLEMS + 5])) else {
            panic!("another case");
        };
        assert_eq!(problems.len(), PROBLEMS + 1);
        assert_eq!(problems[PROBLEMS].message, "5 further problems");
        harmless(&problems[0].field, NAME_BYTES);
        harmless(&problems[0].message, MESSAGE_BYTES);
        harmless(problems[0].hint.as_deref().expect("kept"), MESSAGE_BYTES);
        harmless(problems[0].allowed.as_deref().expect("kept"), MESSAGE_BYTES);
    }

    #[test]
    fn what_is_short_and_harmless_stays_as_it_is() {
        let text = "PUT exports/ä.jsonl: 403 AccessDenied (\u{1f600})";
        let said = |hint: Option<&str>| wit::Explanation {
            message: text.to_owned(),
            hint: hint.map(str::to_owned),
        };
        assert_eq!(explained(&said(None)), Cause::new(text));
        assert_eq!(explained(&said(Some(""))), Cause::new(text));
        assert_eq!(
            explained(&said(Some("grant it"))),
            Cause::new(text).with_hint("grant it")
        );
        let key_of_a_store = "k".repeat(1_024);
        assert_eq!(key(&key_of_a_store), key_of_a_store);
    }

    #[test]
    fn lists_end_with_what_is_missing() {
        let reason = || wit::Explanation {
            message: EVIL.to_owned(),
            hint: None,
        };
        let left = |_| export::LeftOpen {
            key: Some(EVIL.to_owned()),
            upload_id: Some(EVIL.to_owned()),
            reason: reason(),
        };
        let upload = |_| export::AbortedUpload {
            key: EVIL.to_owned(),
            upload_id: EVIL.to_owned(),
        };
        let recovery = Recovery::from(export::Recovery {
            aborted: (0..UPLOADS + 3).map(upload).collect(),
            left_open: (0..UPLOADS + 3).map(left).collect(),
        });
        assert_eq!(
            (recovery.aborted.len(), recovery.left_open.len()),
            (UPLOADS, UPLOADS + 1)
        );
        let last = &recovery.left_open[UPLOADS];
        assert_eq!(last.reason.to_string(), "3 further uploads are left open");
        let first = &recovery.left_open[0];
        for text in [&first.key, &first.upload_id] {
            harmless(text.as_deref().expect("kept"), KEY_BYTES);
        }
        harmless(&recovery.aborted[0].key, KEY_BYTES);
        harmless(&recovery.aborted[0].upload_id, KEY_BYTES);
    }
}
