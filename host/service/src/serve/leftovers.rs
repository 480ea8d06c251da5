//! Cleaning up, once at the start and beside the runs, what processes that are gone left open.

use tracing::{info, warn};

use super::Service;
use batch_export_runner::RunTokens;

impl Service {
    /// Cleans up one destination after the other. Runs that start meanwhile look after what they left themselves: each
    /// is held by one of the two.
    pub(super) fn recover_leftovers(&self) {
        let exporters: Vec<_> = self.fleet.exporters.values().cloned().collect();
        let runner = self.runner.clone();
        tokio::spawn(async move {
            // What is not done when the service ends stays noted.
            let tokens = RunTokens::new();
            for exporter in exporters {
                let destination = exporter.name.as_str();
                match runner.recover(&exporter, None, &tokens).await {
                    Ok(left) => {
                        let aborted = left.recovery.aborted.len();
                        if aborted > 0 {
                            info!(
                                destination,
                                uploads = aborted,
                                "aborted uploads that earlier processes left open"
                            );
                        }
                        for open in &left.recovery.left_open {
                            warn!(destination, "{}", open.still_open("run").in_one_text());
                        }
                        for warning in &left.warnings {
                            warn!(destination, "{}", warning.in_one_text());
                        }
                    }
                    Err(failure) => {
                        let text = failure.in_one_text();
                        warn!(destination, "cannot clean up what earlier processes left open: {text}");
                    }
                }
            }
        });
    }
}
