//! How a service ends: nothing new is started, runs may finish for a while, then they are ended in order, and at once
//! if somebody asks again.

use std::time::Instant;

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{LEDGER_WAIT, LOOK, Order, Service};

/// Times that the outcomes of the last runs are tried to be stored. Those that are lost run again at the next start.
const SAVE_ATTEMPTS: u32 = 5;

impl Service {
    /// Ends the service because of `by`.
    pub(super) async fn stop(mut self, by: &'static str, orders: &mut mpsc::Receiver<Order>) {
        let patience = self.fleet.config.service.stop_time;
        let until = Instant::now() + patience;
        self.housekeeping.stopping();
        if !self.underway.is_empty() {
            info!(
                runs_in_progress = self.underway.len(),
                seconds = patience.as_secs(),
                "stopping: nothing new is started, and runs in progress may finish; stop again to end them at once"
            );
        }
        let mut asked = 1;
        let mut is_over = false;
        while !self.attempts.is_empty() {
            self.housekeeping.beat();
            let deadline = tokio::time::Instant::from_std(until);
            tokio::select! {
                Some(finished) = self.attempts.join_next() => self.finished(finished),
                // Whoever waits looks at the clocks all the same, or the wait would pass for a standstill.
                () = tokio::time::sleep(LOOK) => {
                    let now = self.now();
                    self.compare_clocks(now);
                }
                () = tokio::time::sleep_until(deadline), if !is_over => {
                    is_over = true;
                    warn!(runs_in_progress = self.underway.len(), "their time is up: runs in progress are ended now");
                    self.end_runs(by);
                }
                order = orders.recv(), if asked < 3 => {
                    if matches!(order, Some(Order::Reload)) {
                        continue;
                    }
                    asked += 1;
                    is_over = true;
                    self.end_runs(by);
                    if asked > 2 {
                        warn!("quitting immediately: what is open stays noted and is cleaned up at the next start");
                        self.underway.values().for_each(|underway| underway.tokens.clean_up.cancel());
                    }
                }
            }
        }
        for _ in 0..SAVE_ATTEMPTS {
            match self.save(self.now()) {
                Ok(()) => break,
                Err(error) => warn!("{error}"),
            }
            tokio::time::sleep(LEDGER_WAIT).await;
        }
        self.housekeeping.end().await;
        info!("the service has stopped");
    }

    fn end_runs(&self, by: &'static str) {
        self.underway
            .values()
            .for_each(|underway| underway.tokens.shut_down(by));
    }
}
