//! Ctrl-C and SIGTERM, as often as they come: the first asks a run to end in order, the second to end at once. Ends
//! nothing itself but a process that did not listen twice.

use batch_export_runner::{Failure, RunTokens};
use batch_export_system::Token;

use super::error::exit_code;

/// Signals after which the process ends without another word.
const PATIENCE: u32 = 3;
/// A request to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C: the work is no longer wanted.
    Interrupt,
    /// What service managers and container runtimes send first: the host is shutting down.
    Terminate,
}

impl Signal {
    /// Returns the failure of the work that it ended.
    pub fn failure(self) -> Failure {
        match self {
            Signal::Interrupt => Failure::cancelled(),
            Signal::Terminate => Failure::shut_down(),
        }
    }
}

/// Returns tokens that the signals cancel from now on; `tell` receives a line for the sender of a signal.
pub fn cancelled_by_signals(tell: impl Fn(&str) + Send + 'static) -> RunTokens {
    let tokens = RunTokens::new();
    tokio::spawn(cancel_on_signals(Signals::new(), tokens.clone(), tell));
    tokens
}

/// Does work that leaves nothing open: the first signal ends it at once, and what it does on other threads with its
/// token.
pub async fn until_first<T>(work: impl AsyncFnOnce(&Token) -> Result<T, Failure>) -> Result<T, Failure> {
    let token = Token::new();
    let _left = token.cancel_on_drop();
    let mut signals = Signals::new();
    tokio::select! {
        done = work(&token) => done,
        signal = signals.next() => Err(signal.failure()),
    }
}

async fn cancel_on_signals(mut signals: Signals, tokens: RunTokens, tell: impl Fn(&str)) {
    for count in 1.. {
        let signal = signals.next().await;
        match count {
            1 => {
                tell("stopping and cleaning up; interrupt again to quit immediately");
                match signal {
                    Signal::Interrupt => tokens.work.cancel(),
                    Signal::Terminate => tokens.shut_down(),
                }
            }
            2 => {
                tell("quitting immediately");
                tokens.clean_up.cancel();
            }
            PATIENCE => std::process::exit(exit_code(signal.failure().class()).into()),
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
            ends: signal(SignalKind::terminate()).ok(),
        }
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            () = received(&mut self.interrupts) => Signal::Interrupt,
            () = received(&mut self.ends) => Signal::Terminate,
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

    async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}
