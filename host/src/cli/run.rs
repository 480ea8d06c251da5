//! `run`: exports one interval now.

use std::sync::Arc;

use clap::Args;

use super::error::CommandError;
use super::progress::Progress;
use super::{Chosen, Span, output};
use crate::capability::log::Level;
use crate::run::state::State;
use crate::run::{self, Listener, RunReport};

/// Export one interval to a destination.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  batch-export run --config exports.toml --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z"
)]
pub struct Run {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    span: Span,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Show neither progress nor the plugin's log lines.
    #[arg(long, short)]
    quiet: bool,
}

impl Run {
    pub async fn execute(self) -> Result<(), CommandError> {
        let interval = self.span.interval()?;
        let (config, target) = self.chosen.target().await?;
        let progress = Arc::new(Progress::new(self.quiet));
        let quiet = self.quiet;
        let lines = Arc::clone(&progress);
        let listener = Listener {
            progress: &|snapshot| progress.show(snapshot),
            log: Arc::new(move |level, line| {
                if !quiet && level >= Level::Warn {
                    lines.line(&format!("plugin: {line}"));
                }
            }),
        };
        let outcome = run::run(
            &target,
            &State::new(&config.state_dir),
            interval,
            &listener,
            interrupted(),
        )
        .await;
        progress.end();
        let report = outcome?;
        if self.json {
            output::json(&report)?;
        } else {
            output::lines(&summary(&report))?;
        }
        Ok(())
    }
}

/// Ends when somebody presses Ctrl-C or the system asks the process to end. Without a handler there is no interruption
/// but the system's own.
async fn interrupted() {
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        () = terminated() => {}
    }
}

/// SIGTERM: what service managers and container runtimes send first.
#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signals) => {
            if signals.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending::<()>().await;
}

fn summary(report: &RunReport) -> String {
    let exported = &report.report;
    let rate = (report.rows_supplied as f64 / report.seconds.max(0.001)) as u64;
    let mut text = format!(
        "{}: {} rows in {}, {} ({} before compression), in {:.1} s ({} rows/s)\n",
        report.destination,
        output::count(exported.rows_exported),
        output::files(exported.files.len() as u64),
        output::bytes(report.bytes_exported),
        output::bytes(exported.bytes_encoded),
        report.seconds,
        output::count(rate),
    );
    let files: Vec<_> = exported
        .files
        .iter()
        .map(|file| {
            let size = format!(
                "{} rows, {}",
                output::count(file.rows),
                output::bytes(file.bytes)
            );
            (file.key.clone(), size)
        })
        .chain(
            exported
                .manifest_key
                .iter()
                .map(|key| (key.clone(), "manifest".to_owned())),
        )
        .collect();
    text.push_str(&output::table(&files));
    if exported.rows_filtered > 0 {
        let filtered = output::count(exported.rows_filtered);
        text.push_str(&format!(
            "{filtered} rows left out by the destination's filters\n"
        ));
    }
    for (kind, times) in &exported.repairs {
        text.push_str(&format!(
            "repaired JSON, {kind}: {}\n",
            output::count(*times)
        ));
    }
    for upload in &report.recovery.aborted {
        text.push_str(&format!(
            "aborted an upload of an earlier attempt: {upload}\n"
        ));
    }
    for warning in &report.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}
