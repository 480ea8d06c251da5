//! Ctrl-C and SIGTERM, as often as they come: the first asks a run to end in order, the second to end at once. Ends
//! nothing itself but a process that did not listen twice.

use batch_export_runner::RunTokens;

/// Signals after which the process ends without another word.
const PATIENCE: u32 = 3;
/// 128 + SIGINT, as shells count.
const INTERRUPTED: i32 = 130;

/// Returns tokens that the signals cancel from now on; `tell` is called with a line for whoever sent one.
pub fn cancelled_by_signals(tell: impl Fn(&str) + Send + 'static) -> RunTokens {
    let tokens = RunTokens::new();
    tokio::spawn(cancel_on_signals(tokens.clone(), tell));
    tokens
}

/// Waits for the next signal.
pub async fn first() {
    Signals::new().next().await;
}

async fn cancel_on_signals(tokens: RunTokens, tell: impl Fn(&str)) {
    let mut signals = Signals::new();
    for count in 1.. {
        signals.next().await;
        match count {
            1 => {
                tell("stopping: cleaning up what is open; interrupt again to quit at once");
                tokens.work.cancel();
            }
            2 => {
                tell("quitting at once");
                tokens.clean_up.cancel();
            }
            PATIENCE => std::process::exit(INTERRUPTED),
            _ => {}
        }
    }
}

/// Both signals. Where no handler can be installed, the system's default action applies.
struct Signals {
    #[cfg(unix)]
    interrupts: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    ends: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            interrupts: signal(SignalKind::interrupt()).ok(),
            // What service managers and container runtimes send first.
            ends: signal(SignalKind::terminate()).ok(),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            () = received(&mut self.interrupts) => {}
            () = received(&mut self.ends) => {}
        }
    }
}

#[cfg(unix)]
async fn received(signals: &mut Option<tokio::signal::unix::Signal>) {
    if let Some(signals) = signals
        && signals.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self {}
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
