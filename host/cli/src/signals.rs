//! Ctrl-C, SIGTERM and SIGHUP, as often as they come: the first asks a run to end in order, the second to end at once.
//! Ends nothing itself but a process that did not listen twice.

use std::sync::atomic::{AtomicBool, Ordering};

use batch_export_runner::{Failure, RunTokens};
use batch_export_service::Order;
use batch_export_system::Token;

use tokio::sync::mpsc;

use super::error::exit_code;

/// Signals after which the process ends without another word.
const PATIENCE: u32 = 3;
/// Signals that wait until a service looks at them: more than anybody sends.
const ORDERS_WAITING: usize = 16;

/// A request to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C: the work is no longer wanted.
    Interrupt,
    /// What service managers and container runtimes send first.
    Terminate,
    /// The terminal or the connection that the program was started from is gone.
    HangUp,
}

/// Whether the program was ended by a hang-up, so that its exit code can say so.
static HUNG_UP: AtomicBool = AtomicBool::new(false);

/// Returns whether what ended the program was a hang-up.
pub fn hung_up() -> bool {
    HUNG_UP.load(Ordering::Relaxed)
}

impl Signal {
    /// Returns the failure of the work that it ended.
    pub fn failure(self) -> Failure {
        match self {
            Signal::Interrupt => Failure::cancelled(),
            Signal::Terminate | Signal::HangUp => Failure::shut_down(self.name()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
            Signal::HangUp => "SIGHUP",
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

/// Returns what signals ask of a service from now on: SIGHUP to read the configuration again, the others to stop.
pub fn orders() -> mpsc::Receiver<Order> {
    let (sender, receiver) = mpsc::channel(ORDERS_WAITING);
    tokio::spawn(async move {
        let mut signals = Signals::of_service();
        loop {
            let order = match signals.next_of_service().await {
                Signal::HangUp => Order::Reload,
                signal => Order::Stop(signal.name()),
            };
            if sender.send(order).await.is_err() {
                return;
            }
        }
    });
    receiver
}

async fn cancel_on_signals(mut signals: Signals, tokens: RunTokens, tell: impl Fn(&str)) {
    for count in 1.. {
        let signal = signals.next().await;
        match count {
            1 => {
                tell("stopping and cleaning up; interrupt again to quit immediately");
                match signal {
                    Signal::Interrupt => tokens.work.cancel(),
                    Signal::Terminate | Signal::HangUp => tokens.shut_down(signal.name()),
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

/// All signals. Where no handler can be installed, the system's default action applies.
struct Signals {
    #[cfg(unix)]
    interrupts: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    ends: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    hang_ups: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            interrupts: signal(SignalKind::interrupt()).ok(),
            ends: signal(SignalKind::terminate()).ok(),
            hang_ups: match ignores_hang_ups() {
                true => None,
                false => signal(SignalKind::hangup()).ok(),
            },
        }
    }

    /// A service takes hang-ups, even if it was started so that they do not end it.
    fn of_service() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            hang_ups: signal(SignalKind::hangup()).ok(),
            ..Self::new()
        }
    }

    async fn next(&mut self) -> Signal {
        let signal = self.next_of_service().await;
        if signal == Signal::HangUp {
            HUNG_UP.store(true, Ordering::Relaxed);
        }
        signal
    }

    async fn next_of_service(&mut self) -> Signal {
        tokio::select! {
            () = received(&mut self.interrupts) => Signal::Interrupt,
            () = received(&mut self.ends) => Signal::Terminate,
            () = received(&mut self.hang_ups) => Signal::HangUp,
        }
    }
}

/// Returns whether hang-ups are ignored, as `nohup` arranges it, or nobody can say: then they stay as they are.
#[cfg(unix)]
fn ignores_hang_ups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is the first signal.
    ignored.is_none_or(|mask| mask & 1 == 1)
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

    fn of_service() -> Self {
        Self::new()
    }

    async fn next_of_service(&mut self) -> Signal {
        self.next().await
    }

    async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}
