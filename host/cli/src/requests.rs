//! Requests of a run that fail or get no response, for the operator: which, how often and since when. Changes nothing
//! about them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use batch_export_sandbox::{Event, EventKind, TransportError};
use batch_export_system::terminal::one_line;
use percent_encoding::percent_decode_str;

/// Requests without a response that are remembered; a session has fewer in progress.
const MAX_WAITING: usize = 256;
/// A request that takes this long is mentioned to somebody who watches.
const SLOW: Duration = Duration::from_secs(10);
/// Failures that pass within this time are not worth a line in a log.
const FIRST_LINE: Duration = Duration::from_secs(5);
/// A log gets another line after this time.
const NEXT_LINE: Duration = Duration::from_secs(30);
/// Characters of a path that are shown: its end, where the file's name is.
const PATH_CHARS: usize = 60;

/// Observes every request and its response.
#[derive(Debug, Default)]
pub struct Requests(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Requests without a response.
    waiting: BTreeMap<u64, Waiting>,
    trouble: Option<Trouble>,
    last_answer: Option<Instant>,
    last_line: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    /// Method and path.
    what: String,
    operation: String,
    host: String,
}

#[derive(Debug)]
struct Trouble {
    since: Instant,
    failures: u64,
    last: String,
}

impl Requests {
    pub fn event(&self, event: &Event, now: Instant) {
        let mut state = self.state();
        match &event.kind {
            EventKind::Sent {
                operation,
                host,
                method,
                path,
                ..
            } => {
                if state.waiting.len() == MAX_WAITING {
                    state.waiting.pop_first();
                }
                let request = Waiting {
                    since: now,
                    what: format!("{method} {}", shown(path)),
                    operation: operation.clone(),
                    host: host.clone(),
                };
                state.waiting.insert(event.request, request);
            }
            EventKind::Responded { status } => {
                let what = state.answered(event.request, now);
                match is_trouble(*status) {
                    true => state.failed(format!("{what}: status {status}"), now),
                    false => state.trouble = None,
                }
            }
            EventKind::Failed { error } => {
                let what = state.answered(event.request, now);
                // The host itself refused it: nothing is the matter with the destination.
                if !matches!(error, TransportError::Forbidden(_)) {
                    state.failed(format!("{what}: {error}"), now);
                }
            }
            EventKind::Cancelled => {
                state.waiting.remove(&event.request);
            }
            _ => {}
        }
    }

    /// Returns the current problem, for a display that is rewritten.
    pub fn status(&self, now: Instant) -> Option<String> {
        let state = self.state();
        if let Some(trouble) = &state.trouble {
            let seconds = now.duration_since(trouble.since).as_secs();
            let failures = match trouble.failures {
                1 => "1 request has failed".to_owned(),
                many => format!("{many} requests have failed"),
            };
            return Some(format!("retrying: {}; {failures} in {seconds} s", trouble.last));
        }
        let oldest = state.waiting.values().min_by_key(|request| request.since)?;
        // Others may be answered meanwhile: then it is the network that is slow, and counters move.
        let quiet_since = state.last_answer.map_or(oldest.since, |last| last.max(oldest.since));
        let waited = now.duration_since(quiet_since);
        let Waiting { operation, host, .. } = oldest;
        (waited >= SLOW).then(|| {
            format!(
                "waiting for {host}: no response to {operation} for {} s",
                waited.as_secs()
            )
        })
    }

    /// Returns the same for a log, where every line stays: now and then.
    pub fn line(&self, now: Instant) -> Option<String> {
        let status = self.status(now);
        let mut state = self.state();
        let Some(status) = status else {
            return state
                .last_line
                .take()
                .map(|_| "the destination responds again".to_owned());
        };
        let is_due = match (state.last_line, &state.trouble) {
            (Some(last), _) => now.duration_since(last) >= NEXT_LINE,
            (None, Some(trouble)) => now.duration_since(trouble.since) >= FIRST_LINE,
            (None, None) => true,
        };
        if !is_due {
            return None;
        }
        state.last_line = Some(now);
        Some(status)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answered(&mut self, request: u64, now: Instant) -> String {
        self.last_answer = Some(now);
        match self.waiting.remove(&request) {
            Some(request) => request.what,
            None => "a request".to_owned(),
        }
    }

    fn failed(&mut self, last: String, now: Instant) {
        let trouble = self.trouble.get_or_insert(Trouble {
            since: now,
            failures: 0,
            last: String::new(),
        });
        trouble.failures += 1;
        trouble.last = last;
    }
}

/// Returns whether clients retry after such a response: the store is overloaded, restarting, or asks for less.
fn is_trouble(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 425 | 429)
}

/// Returns the end of a path as people write it: keys are percent-encoded on the wire.
fn shown(path: &str) -> String {
    end_of(&one_line(&percent_decode_str(path).decode_utf8_lossy()))
}

fn end_of(path: &str) -> String {
    let characters = path.chars().count();
    match characters.checked_sub(PATH_CHARS) {
        None | Some(0) => path.to_owned(),
        Some(cut) => format!("…{}", path.chars().skip(cut).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> EventKind {
        EventKind::Sent {
            operation: "PutObject".to_owned(),
            host: "store:9000".to_owned(),
            method: http::Method::PUT,
            path: "/bucket/a%3A.jsonl".to_owned(),
            body_bytes: 1,
        }
    }

    fn refused() -> EventKind {
        EventKind::Failed {
            error: TransportError::Connect("store:9000: Connection refused".into()),
        }
    }

    /// Requests, and a clock that is set by hand.
    struct Scene {
        requests: Requests,
        begun: Instant,
        seconds: u64,
    }

    impl Scene {
        fn new() -> Self {
            Self {
                requests: Requests::default(),
                begun: Instant::now(),
                seconds: 0,
            }
        }

        fn now(&self) -> Instant {
            self.begun + Duration::from_secs(self.seconds)
        }

        fn event(&self, request: u64, kind: EventKind) {
            let event = Event {
                sequence: 0,
                request,
                kind,
            };
            self.requests.event(&event, self.now());
        }
    }

    #[test]
    fn failures_are_told_at_once_where_somebody_looks_and_now_and_then_in_a_log() {
        let mut scene = Scene::new();
        let mut lines = Vec::new();
        for second in 0..=70 {
            scene.seconds = second;
            if second % 10 == 0 {
                scene.event(second, sent());
                scene.event(second, refused());
            }
            if second == 0 {
                assert_eq!(
                    scene.requests.status(scene.now()).as_deref(),
                    Some("retrying: PUT /bucket/a:.jsonl: store:9000: Connection refused; 1 request has failed in 0 s")
                );
            }
            lines.extend(scene.requests.line(scene.now()).map(|line| (second, line)));
        }
        let what = "retrying: PUT /bucket/a:.jsonl: store:9000: Connection refused; ";
        assert_eq!(
            lines,
            [
                (5, format!("{what}1 request has failed in 5 s")),
                (35, format!("{what}4 requests have failed in 35 s")),
                (65, format!("{what}7 requests have failed in 65 s")),
            ]
        );
        scene.event(99, sent());
        scene.event(99, EventKind::Responded { status: 200 });
        assert_eq!(scene.requests.status(scene.now()), None);
        let back = scene.requests.line(scene.now());
        assert_eq!(back.as_deref(), Some("the destination responds again"));
        assert_eq!(scene.requests.line(scene.now()), None);
    }

    #[test]
    fn answers_are_trouble_when_they_ask_to_come_back() {
        for (status, is_trouble) in [
            (200, false),
            (404, false),
            (403, false),
            (409, false),
            (408, true),
            (429, true),
            (500, true),
            (503, true),
        ] {
            let scene = Scene::new();
            scene.event(1, sent());
            scene.event(1, EventKind::Responded { status });
            let said = scene.requests.status(scene.now());
            assert_eq!(said.is_some(), is_trouble, "{status}: {said:?}");
        }
    }

    #[test]
    fn a_request_that_nobody_answers_is_told_of_unless_others_are_answered() {
        let mut scene = Scene::new();
        scene.event(1, sent());
        scene.seconds = 9;
        assert_eq!(scene.requests.status(scene.now()), None);
        scene.event(2, sent());
        scene.event(2, EventKind::Responded { status: 200 });
        scene.seconds = 18;
        assert_eq!(scene.requests.status(scene.now()), None);
        scene.seconds = 19;
        let said = "waiting for store:9000: no response to PutObject for 10 s";
        assert_eq!(scene.requests.status(scene.now()).as_deref(), Some(said));
        assert_eq!(scene.requests.line(scene.now()).as_deref(), Some(said));
        assert_eq!(scene.requests.line(scene.now()), None);
        scene.event(1, EventKind::Cancelled);
        assert_eq!(scene.requests.status(scene.now()), None);
    }

    #[test]
    fn what_the_host_refuses_and_what_never_answers_leaves_no_trace() {
        let scene = Scene::new();
        scene.event(
            1,
            EventKind::Failed {
                error: TransportError::Forbidden("no grant".into()),
            },
        );
        assert_eq!(scene.requests.status(scene.now()), None);
        for request in 0..2_000 {
            scene.event(request, sent());
        }
        assert_eq!(scene.requests.state().waiting.len(), MAX_WAITING);
        assert_eq!(end_of(&"x".repeat(60)).chars().count(), 60);
        assert_eq!(end_of(&format!("/{}", "x".repeat(60))), format!("…{}", "x".repeat(60)));
    }
}
