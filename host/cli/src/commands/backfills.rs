//! `backfills`: lists backfills, the newest first.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Clock;
use crate::about::About;
use crate::grid::{Side, grid};
use crate::history::{BackfillJson, History, Place, ServiceJson, Times};
use crate::output::{self, Answer, Form};
use crate::words;
use batch_export_runner::Failure;
use batch_export_service::ledger::{Backfill, RunState};
use batch_export_source::Moment;

/// List backfills, the newest first, and how far they are.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export backfills")]
pub struct BackfillsArgs {
    #[command(flatten)]
    place: Place,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print the backfills as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct BackfillsJson {
    backfills: Vec<BackfillJson>,
    service: ServiceJson,
}

impl BackfillsArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let outcome = self.place.open().and_then(|history| self.list(&history, clock()));
        output::show(Form::new(self.json, false), clock(), &About::default(), outcome)
    }

    fn list(&self, history: &History, now: Moment) -> Result<Answer<BackfillsJson>, Failure> {
        let backfills = history.ledger.backfills(self.limit)?;
        let text = match backfills.is_empty() {
            true => "no backfills\n".to_owned(),
            false => format!("{}{}\n", table(&backfills, now), history.service_in_words()),
        };
        let json = BackfillsJson {
            backfills: backfills.iter().map(BackfillJson::from).collect(),
            service: history.service_json(),
        };
        Ok(Answer::new(json, text))
    }
}

fn table(backfills: &[Backfill], now: Moment) -> String {
    let times = Times::for_output();
    let zone = format!("interval ({})", times.zone(now));
    let header = [
        ("#", Side::Right),
        ("destination", Side::Left),
        (zone.as_str(), Side::Left),
        ("state", Side::Left),
        ("runs over", Side::Right),
        ("failed", Side::Right),
    ];
    let row = |backfill: &Backfill| {
        let over = backfill.count(RunState::is_over);
        let failed = backfill.count(|state| matches!(state, RunState::Failed | RunState::TimedOut));
        vec![
            backfill.id.to_string(),
            backfill.destination.clone(),
            times.interval(Some(backfill.start), backfill.end),
            backfill.state().to_string(),
            format!("{} of {}", words::count(over), words::count(backfill.count(|_| true))),
            words::count(failed),
        ]
    };
    grid(&header, &backfills.iter().map(row).collect::<Vec<_>>())
}
