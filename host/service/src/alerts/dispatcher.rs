//! Takes alerts from the ledger to their receivers: to all of them at once, and to each one after the other. What fails
//! is tried again, later each time, for a day. Nothing else waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Alerts;
use super::receivers::{Message, Receiver, Receivers};
use crate::ledger::{Delivered, Delivery, DeliveryState, Ledger, LedgerError};
use crate::metrics::Metrics;
use batch_export_source::Moment;
use batch_export_system::Token;
use batch_export_system::explain::{Cause, Explain};

/// The time after which an alert that a receiver does not take is given up.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// The wait after the first attempt that failed; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// How often the ledger is asked for alerts, which other processes raise too, and for attempts that are due.
const LOOK_TIME: Duration = Duration::from_secs(1);
/// Time for deliveries that are in progress when the service ends; the others are made after the next start.
const ENDING_TIME: Duration = Duration::from_secs(3);

/// Delivers alerts until the token ends it, to whichever receivers there are.
pub async fn dispatch(
    alerts: Alerts,
    receivers: watch::Receiver<Receivers>,
    metrics: Metrics,
    clock: impl Fn() -> Moment,
    token: Token,
) {
    let mut dispatcher = Dispatcher {
        ledger: alerts.ledger().clone(),
        receivers,
        metrics,
        under_way: JoinSet::new(),
        busy: BTreeSet::new(),
        unwritten: Vec::new(),
    };
    while !token.cancelled() {
        dispatcher.start_due(clock()).await;
        tokio::select! {
            _ = token.interrupted() => {}
            Some(done) = dispatcher.under_way.join_next() => dispatcher.ended(done, clock()).await,
            () = alerts.raised() => {}
            () = tokio::time::sleep(LOOK_TIME) => {}
        }
    }
    let rest = async {
        while let Some(done) = dispatcher.under_way.join_next().await {
            dispatcher.ended(done, clock()).await;
        }
    };
    tokio::time::timeout(ENDING_TIME, rest).await.ok();
}

struct Dispatcher {
    ledger: Ledger,
    receivers: watch::Receiver<Receivers>,
    metrics: Metrics,
    under_way: JoinSet<Attempt>,
    /// Receivers to which a delivery is in progress, or whose last outcome the ledger does not know yet.
    busy: BTreeSet<String>,
    unwritten: Vec<(Delivery, Delivered)>,
}

/// An attempt to deliver that is over.
struct Attempt {
    delivery: Delivery,
    receiver: Arc<Receiver>,
    outcome: Result<(), Cause>,
}

impl Dispatcher {
    /// Starts what is due to receivers to which no delivery is in progress.
    async fn start_due(&mut self, now: Moment) {
        self.write_outcomes().await;
        let receivers = self.receivers.borrow().clone();
        let (ids, busy) = (receivers.ids(), self.busy.clone());
        let due = self.on_ledger(move |ledger| {
            ledger.address(&ids, GIVE_UP_AFTER, now)?;
            let free = ids.iter().filter(|id| !busy.contains(*id));
            free.map(|id| ledger.next_delivery(id, now))
                .collect::<Result<Vec<_>, _>>()
        });
        for delivery in due.await.into_iter().flatten().flatten() {
            let receiver = receivers.iter().find(|receiver| receiver.id() == delivery.receiver);
            if let Some(receiver) = receiver {
                self.busy.insert(delivery.receiver.clone());
                self.under_way.spawn(attempt(Arc::clone(receiver), delivery, now));
            }
        }
    }

    async fn ended(&mut self, done: Result<Attempt, tokio::task::JoinError>, now: Moment) {
        let Ok(Attempt {
            delivery,
            receiver,
            outcome,
        }) = done
        else {
            // It panicked, and nobody knows which it was: all are free again, at the risk of one delivery more.
            self.busy.clear();
            return;
        };
        let delivered = outcome_of(&delivery, &outcome, now);
        match &outcome {
            Ok(()) => self.metrics.alert_sent(),
            Err(cause) => {
                let given_up = delivered.state == DeliveryState::GivenUp;
                self.metrics.alert_failed(given_up);
                let (receiver, reason) = (receiver.name(), cause.in_one_text());
                match given_up {
                    true => tracing::error!(receiver, reason, "an alert was given up"),
                    false => tracing::warn!(receiver, reason, "an alert was not taken, and is sent again later"),
                }
            }
        }
        self.unwritten.push((delivery, delivered));
        self.write_outcomes().await;
    }

    /// Writes down what attempts came to. Until that worked nothing more goes to their receivers, which would only get
    /// the same again.
    async fn write_outcomes(&mut self) {
        let mut left = Vec::new();
        for (delivery, delivered) in std::mem::take(&mut self.unwritten) {
            let (of, outcome) = (delivery.clone(), delivered.clone());
            match self.on_ledger(move |ledger| ledger.delivered(&of, &outcome)).await {
                Some(()) => {
                    self.busy.remove(&delivery.receiver);
                }
                None => left.push((delivery, delivered)),
            }
        }
        self.unwritten = left;
    }

    /// Works with the ledger on a thread that may wait; `None` where that failed.
    async fn on_ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Option<T> {
        let ledger = self.ledger.clone();
        match tokio::task::spawn_blocking(move || work(&ledger)).await {
            Ok(Ok(done)) => Some(done),
            Ok(Err(error)) => {
                self.metrics.ledger_failed();
                let reason = error.message();
                tracing::error!(reason, "alerts wait for the ledger");
                None
            }
            Err(_) => None,
        }
    }
}

async fn attempt(receiver: Arc<Receiver>, delivery: Delivery, now: Moment) -> Attempt {
    let outcome = match Message::new(Some(delivery.alert), &delivery.body) {
        Ok(message) => receiver.deliver(&message, now).await,
        Err(error) => Err(format!("the ledger holds an alert that is not JSON: {error}").into()),
    };
    Attempt {
        delivery,
        receiver,
        outcome,
    }
}

/// Returns what the ledger is to know of an attempt.
fn outcome_of(delivery: &Delivery, outcome: &Result<(), Cause>, now: Moment) -> Delivered {
    let wait = FIRST_WAIT.saturating_mul(1 << delivery.tries.min(16)).min(LONGEST_WAIT);
    let give_up = delivery.since.0.saturating_add(micros(GIVE_UP_AFTER));
    let state = match outcome {
        Ok(()) => DeliveryState::Sent,
        Err(_) if now.0 >= give_up => DeliveryState::GivenUp,
        Err(_) => DeliveryState::Waiting,
    };
    Delivered {
        state,
        not_before: Moment(now.0.saturating_add(micros(wait))),
        error: outcome.as_ref().err().map(Cause::in_one_text),
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_again_later_each_time_for_a_day() {
        let mut delivery = Delivery {
            alert: 1,
            receiver: "webhook".to_owned(),
            body: "{}".to_owned(),
            since: Moment(0),
            tries: 0,
        };
        let failed = Err(Cause::new("it is down").with_hint("start it"));
        let (mut now, mut waits) = (Moment(0), Vec::new());
        loop {
            let delivered = outcome_of(&delivery, &failed, now);
            assert_eq!(delivered.error.as_deref(), Some("it is down; start it"));
            if delivered.state == DeliveryState::GivenUp {
                break;
            }
            assert_eq!(delivered.state, DeliveryState::Waiting);
            waits.push((delivered.not_before.0 - now.0) / 1_000_000);
            delivery.tries += 1;
            now = delivered.not_before;
        }
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!(waits[12..], vec![3_600; waits.len() - 12]);
        assert!((86_400..90_000).contains(&(now.0 / 1_000_000)), "{now}");
        let sent = outcome_of(&delivery, &Ok(()), now);
        assert_eq!((sent.state, sent.error), (DeliveryState::Sent, None));
    }
}
