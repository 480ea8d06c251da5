//! The `[service]` table: how the service as a whole works. Every setting has a default.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::section::Section;
use batch_export_sandbox::MEMORY_BYTES;
use batch_export_system::explain::Cause;

/// How the service works.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceSettings {
    /// Runs under way at the same time, over all destinations.
    pub runs_at_once: usize,
    /// Memory that all runs may take together.
    pub memory_bytes: usize,
    /// Where health and metrics are served, on a loopback address; `None` is nowhere.
    pub listen: Option<SocketAddr>,
    /// When the configuration is read again.
    pub reload: Reload,
    /// How long runs may take to finish when the service is stopped, before they are aborted.
    pub stop_time: Duration,
    /// How the log is written.
    pub log_format: LogFormat,
    /// Finished runs that are older than so many days are deleted from the ledger.
    pub keep_runs_days: u64,
    /// So many finished runs are kept at most.
    pub keep_runs: u64,
    /// Log lines that are older than so many days are deleted from the ledger.
    pub keep_logs_days: u64,
}

/// When the configuration is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reload {
    /// When SIGHUP comes.
    #[default]
    OnSignal,
    /// Also when the file has changed.
    Automatic,
}

/// How the service writes its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where health and metrics are served unless configured.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7464);

impl Default for ServiceSettings {
    fn default() -> Self {
        ServiceSettings {
            runs_at_once: 16,
            memory_bytes: MEMORY_BYTES,
            listen: Some(DEFAULT_LISTEN),
            reload: Reload::default(),
            stop_time: Duration::from_secs(30),
            log_format: LogFormat::default(),
            keep_runs_days: 400,
            keep_runs: 1_000_000,
            keep_logs_days: 30,
        }
    }
}

/// A service manager that waits longer than this before it kills has been told so on purpose.
const MAX_STOP_TIME: Duration = Duration::from_secs(86_400);
/// A hundred years: for ever.
const MAX_DAYS: u64 = 36_500;
/// Some 250 GB of ledger.
const MAX_RUNS_KEPT: u64 = 100_000_000;
const MIB: usize = 1 << 20;

/// Reads the table, or takes the defaults if there is none.
pub(super) fn read(root: &mut Section<'_>) -> ServiceSettings {
    let mut settings = ServiceSettings::default();
    let Some(mut section) = root.section("service") else {
        return settings;
    };
    let set = &mut settings;
    set.runs_at_once = section.number("runs_at_once", 1..=1_024).unwrap_or(set.runs_at_once);
    let mib: Option<usize> = section.number("memory_mb", 256..=1_048_576);
    set.memory_bytes = mib.map_or(set.memory_bytes, |mib| mib.saturating_mul(MIB));
    set.listen = section.parsed("listen", listen).unwrap_or(set.listen);
    let reloads = [("on_signal", Reload::OnSignal), ("automatic", Reload::Automatic)];
    set.reload = section.choice("reload", &reloads).unwrap_or(set.reload);
    let stop_time = section.duration("stop_time", Duration::ZERO..=MAX_STOP_TIME);
    set.stop_time = stop_time.unwrap_or(set.stop_time);
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    set.log_format = section.choice("log_format", &formats).unwrap_or(set.log_format);
    let mut kept = |key, most, default| section.number(key, 1..=most).unwrap_or(default);
    set.keep_runs_days = kept("keep_runs_days", MAX_DAYS, set.keep_runs_days);
    set.keep_runs = kept("keep_runs", MAX_RUNS_KEPT, set.keep_runs);
    set.keep_logs_days = kept("keep_logs_days", MAX_DAYS, set.keep_logs_days);
    section.finish();
    settings
}

/// Reads where to listen: a loopback address and port, or `off`.
fn listen(text: &str) -> Result<Option<SocketAddr>, Cause> {
    if text == "off" {
        return Ok(None);
    }
    let address = match text.strip_prefix("localhost:") {
        Some(port) => format!("{}:{port}", Ipv4Addr::LOCALHOST),
        None => text.to_owned(),
    };
    match address.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(Some(address)),
        Ok(address) => {
            let text = format!(
                "`{}` can be reached by other machines, and what is served there has neither password nor encryption",
                address.ip()
            );
            let hint = format!(
                "write \"127.0.0.1:{}\"; to read it from elsewhere, put a proxy in front of it",
                address.port()
            );
            Err(Cause::new(text).with_hint(hint))
        }
        Err(_) => Err(Cause::new(format!("`{text}` is not an address with a port"))
            .with_hint(format!("write it like \"{DEFAULT_LISTEN}\", or \"off\""))),
    }
}
