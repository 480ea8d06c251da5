//! `alerts`: sends a test to everybody who is told what goes wrong in the service.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Chosen, Clock, usage};
use crate::about::About;
use crate::error;
use crate::output::{self, Answer, Form};
use crate::signals::until_first;
use crate::words;
use batch_export_runner::Failure;
use batch_export_service::alerts::{Receivers, Tested};
use batch_export_source::Moment;
use batch_export_system::explain::counted;

/// Test who is told what goes wrong in the service.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export alerts test --config exports.toml")]
pub struct AlertsArgs {
    #[command(subcommand)]
    command: AlertsCommand,
}

#[derive(Debug, Subcommand)]
enum AlertsCommand {
    /// Send a test alert to every configured webhook and to the command now, and show who took it.
    Test {
        /// Configuration file; defaults to `batch-export.toml` in the current folder.
        #[arg(long, value_name = "FILE", env = usage::CONFIG_VARIABLE)]
        config: Option<PathBuf>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct TestJson {
    receivers: Vec<Tested>,
}

impl AlertsArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let AlertsCommand::Test { config, json } = self.command;
        let chosen = Chosen {
            config,
            destination: None,
            component: None,
        };
        let outcome = until_first(async |_| test(&chosen, clock()).await).await;
        output::show(Form::new(json, false), clock(), &About::default(), outcome)
    }
}

async fn test(chosen: &Chosen, now: Moment) -> Result<Answer<TestJson>, Failure> {
    let config = chosen.read()?;
    let receivers = Receivers::new(&config.alerts)?;
    if receivers.is_empty() {
        return Err(error::nobody_told(&config.file));
    }
    let tested = receivers.test(now).await;
    let text = in_words(&tested);
    let failed = tested.iter().filter(|tested| tested.error.is_some()).count();
    let failure = (failed > 0).then(|| error::alert_not_taken(failed, tested.len()));
    Ok(Answer {
        failure,
        ..Answer::new(TestJson { receivers: tested }, text)
    })
}

/// Returns what every receiver did, with what to do about one that failed.
fn in_words(tested: &[Tested]) -> String {
    let rows: Vec<_> = tested
        .iter()
        .flat_map(|tested| {
            let (outcome, hint) = match &tested.error {
                None => ("told".to_owned(), None),
                Some(cause) => {
                    let (reason, hint) = cause.clone().into_parts();
                    (format!("FAILED: {reason}"), hint)
                }
            };
            let hint = hint.map(|hint| (String::new(), format!("hint: {hint}")));
            std::iter::once((tested.receiver.clone(), outcome)).chain(hint)
        })
        .collect();
    let told = tested.iter().filter(|tested| tested.error.is_none()).count();
    let all = counted(tested.len() as u64, "receiver");
    format!("{}{told} of {all} told\n", words::table(&rows))
}
