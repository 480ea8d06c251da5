//! How a run is asked to end, from a keyboard or by whoever embeds it: first in order, then at once. Handles no signal
//! itself.

use std::time::Instant;

use tokio::sync::watch;

/// How a run was asked to end, if it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Not,
    /// What is open is cleaned up first.
    InOrder {
        since: Instant,
    },
    /// What is open stays noted.
    AtOnce {
        since: Instant,
    },
}

/// Asks a run to end. Dropping it asks for nothing.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Asked>);

/// What a run looks at. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Asked>);

/// A stopper and what it stops.
pub fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(Asked::Not);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks once more: the first time in order, the second time at once.
    pub fn ask(&self) {
        let now = Instant::now();
        self.0.send_modify(|asked| {
            *asked = match *asked {
                Asked::Not => Asked::InOrder { since: now },
                Asked::InOrder { since } | Asked::AtOnce { since } => Asked::AtOnce { since },
            };
        });
    }
}

impl Stop {
    /// A run that nobody stops.
    pub fn never() -> Self {
        stop().1
    }

    /// Whether the run was asked to end.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() != Asked::Not
    }

    /// When the run was asked to end; waits until it is.
    pub async fn asked(&self) -> Instant {
        self.until(|asked| match asked {
            Asked::Not => None,
            Asked::InOrder { since } | Asked::AtOnce { since } => Some(since),
        })
        .await
    }

    /// Waits until the run is asked to end at once.
    pub async fn asked_at_once(&self) {
        self.until(|asked| match asked {
            Asked::AtOnce { since } => Some(since),
            _ => None,
        })
        .await;
    }

    async fn until(&self, reached: impl Fn(Asked) -> Option<Instant>) -> Instant {
        let mut receiver = self.0.clone();
        let asked = receiver
            .wait_for(|asked| reached(*asked).is_some())
            .await
            .map(|asked| *asked);
        match asked.ok().and_then(reached) {
            Some(since) => since,
            // Nobody is left who could ask.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_time_asks_for_order_and_the_second_for_haste() {
        let (stopper, stop) = stop();
        assert!(!ready(stop.asked()).await && !ready(stop.asked_at_once()).await);
        assert!(!stop.is_asked());
        stopper.ask();
        assert!(stop.is_asked());
        assert!(ready(stop.asked()).await && !ready(stop.asked_at_once()).await);
        let since = stop.asked().await;
        stopper.ask();
        stopper.ask();
        assert!(ready(stop.asked()).await && ready(stop.asked_at_once()).await);
        assert_eq!(stop.asked().await, since, "the first time counts");
        drop(stopper);
        assert!(ready(stop.asked_at_once()).await);
        assert!(!ready(Stop::never().asked()).await);
    }

    /// Whether a future is ready at once.
    async fn ready<T>(future: impl Future<Output = T>) -> bool {
        tokio::select! {
            biased;
            _ = future => true,
            () = std::future::ready(()) => false,
        }
    }
}
