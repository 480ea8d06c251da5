//! What is told of what happened, and whom it reaches, with real receivers on this machine.

mod delivery;
mod receivers;
mod telling;

use std::time::Duration;

use super::*;
use crate::ledger::{Due, Ended, Outcome};
use batch_export_runner::Header;
use batch_export_source::Interval;

const HOUR_MICROS: i64 = 3_600_000_000;

/// A ledger in a folder of its own.
struct Kept {
    ledger: Ledger,
    _folder: tempfile::TempDir,
}

fn kept() -> Kept {
    let folder = tempfile::tempdir().unwrap();
    Kept {
        ledger: Ledger::open(folder.path()).unwrap(),
        _folder: folder,
    }
}

impl Kept {
    fn alerts(&self) -> Alerts {
        Alerts::new(&self.ledger).unwrap()
    }

    /// Ends a run of the hour with that number, and returns what that came to.
    fn run(&self, destination: &str, hour: i64, outcome: &Outcome) -> (Run, Ended) {
        let (start, end) = (hour * HOUR_MICROS, (hour + 1) * HOUR_MICROS);
        let now = Moment(end + 1);
        let header = Header {
            destination: destination.to_owned(),
            id: format!("{destination}-{hour}"),
            model: "events".to_owned(),
            start_micros: Some(start),
            end_micros: end,
        };
        let id = header.id.clone();
        let due = Due {
            header,
            not_before: now,
            skipped: None,
        };
        self.ledger.cover(&[(destination, Moment(end))], &[due], now).unwrap();
        self.ledger.retry(&id, now).unwrap();
        let started = self.ledger.start(&id, "sha", now).unwrap().unwrap();
        let ended = self.ledger.end(&id, started.attempt, outcome, now).unwrap();
        (self.ledger.run(&id).unwrap().unwrap(), ended)
    }

    /// Every alert so far, as bodies.
    fn told(&self) -> Vec<serde_json::Value> {
        let reader = vec!["reader".to_owned()];
        let far = Duration::MAX;
        self.ledger.address(&reader, far, Moment(i64::MAX)).unwrap();
        let mut told = Vec::new();
        while let Some(delivery) = self.ledger.next_delivery("reader", Moment(i64::MAX)).unwrap() {
            told.push(serde_json::from_str(&delivery.body).unwrap());
            let sent = crate::ledger::Delivered {
                state: crate::ledger::DeliveryState::Sent,
                not_before: Moment(0),
                error: None,
            };
            self.ledger.delivered(&delivery, &sent).unwrap();
        }
        told
    }

    /// The kinds of the alerts since the last look.
    fn kinds(&self) -> Vec<String> {
        let kind = |body: &serde_json::Value| body["kind"].as_str().unwrap().to_owned();
        self.told().iter().map(kind).collect()
    }
}

fn outcome(state: RunState, rows: u64) -> Outcome {
    Outcome {
        state,
        not_before: Moment(0),
        used_ms: 1_000,
        counts: true,
        rows,
        bytes: rows * 10,
        files: 1,
        warnings: 0,
        report: None,
        error: None,
        reason: None,
    }
}

fn failed(message: &str, hint: Option<&str>) -> Outcome {
    Outcome {
        error: Some(serde_json::json!({"message": message, "hint": hint})),
        ..outcome(RunState::Failed, 0)
    }
}
