//! The codes by which programs distinguish failures: one per cause, stable across versions, listed in
//! `docs/commands.md`.

use std::fmt;

use serde::Serialize;

/// The cause of a failure as one word in snake case. A word is never given another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct FailureCode(&'static str);

impl FailureCode {
    /// Makes a code of a program that embeds this crate.
    pub const fn new(word: &'static str) -> Self {
        FailureCode(word)
    }

    /// Returns the word.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Declares the codes, and the list of them all.
macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $word:literal;)+) => {
        impl FailureCode {
            $($(#[$doc])+ pub const $name: FailureCode = FailureCode($word);)+

            /// Every code of this crate.
            pub const ALL: &'static [FailureCode] = &[$(FailureCode::$name),+];
        }
    };
}

codes! {
    /// The configuration file cannot be read.
    CONFIGURATION_UNREADABLE = "configuration_unreadable";
    /// The configuration has problems, each of them listed.
    CONFIGURATION_INVALID = "configuration_invalid";
    /// The configuration has no destination of that name.
    DESTINATION_UNKNOWN = "destination_unknown";
    /// The configuration has several destinations, but none was selected.
    DESTINATION_NOT_CHOSEN = "destination_not_chosen";
    /// Two times are not an interval.
    INTERVAL_INVALID = "interval_invalid";
    /// The component's file cannot be read, or there is no component.
    COMPONENT_UNREADABLE = "component_unreadable";
    /// The component is not a destination plugin that this host can run.
    COMPONENT_UNUSABLE = "component_unusable";
    /// The plugin describes its configuration by something that is not a JSON Schema.
    DESCRIPTION_INVALID = "description_invalid";
    /// The WebAssembly engine does not start on this machine.
    ENGINE_UNAVAILABLE = "engine_unavailable";
    /// A field that the egress policy is derived from is wrong.
    POLICY_INVALID = "policy_invalid";
    /// A run with these settings needs more than the limits of its destination allow.
    LIMITS_TOO_LOW = "limits_too_low";
    /// The plugin's plan asks for more than the policy allows.
    GRANT_REFUSED = "grant_refused";
    /// The network settings cannot be used.
    NETWORK_INVALID = "network_invalid";
    /// The operating system gives no random numbers.
    RANDOMNESS_UNAVAILABLE = "randomness_unavailable";
    /// Notes of open uploads cannot be kept.
    STATE_UNUSABLE = "state_unusable";
    /// Another process is exporting the same interval.
    RUN_IN_PROGRESS = "run_in_progress";
    /// As many runs as may be are in progress in this process.
    HOST_BUSY = "host_busy";
    /// The run took longer than it may.
    RUN_TIMED_OUT = "run_timed_out";
    /// The source cannot be read for now.
    SOURCE_UNAVAILABLE = "source_unavailable";
    /// The source cannot be read, or its rows cannot be exported.
    SOURCE_UNREADABLE = "source_unreadable";
    /// The source handed on other rows than it counted.
    SOURCE_MISCOUNTED = "source_miscounted";
    /// The destination refused permanently.
    STORE_REFUSED = "store_refused";
    /// The destination cannot be reached, or is busy.
    STORE_UNAVAILABLE = "store_unavailable";
    /// The rows cannot be written in the chosen format.
    DATA_REFUSED = "data_refused";
    /// The plugin or this host broke the contract.
    PLUGIN_DEFECT = "plugin_defect";
    /// The plugin panicked or trapped.
    PLUGIN_CRASHED = "plugin_crashed";
    /// The plugin exceeded a limit of its sandbox.
    PLUGIN_OVER_LIMIT = "plugin_over_limit";
    /// The plugin computed for longer than it may.
    PLUGIN_COMPUTED_TOO_LONG = "plugin_computed_too_long";
    /// The plugin waited for longer than it may.
    PLUGIN_WAITED_TOO_LONG = "plugin_waited_too_long";
    /// The plugin's instance cannot be started.
    PLUGIN_NOT_STARTED = "plugin_not_started";
    /// The runs of this host together hold all the memory that they may.
    MEMORY_EXHAUSTED = "memory_exhausted";
    /// The plugin's plan is not one that the configuration supports.
    PLAN_INVALID = "plan_invalid";
    /// The plugin's report differs from what the host supplied and sent.
    REPORT_INVALID = "report_invalid";
    /// The check of the destination failed.
    CHECK_FAILED = "check_failed";
    /// A file cannot be kept while it is read back.
    DISK_UNUSABLE = "disk_unusable";
    /// A thread of this host ended before its work was done.
    THREAD_LOST = "thread_lost";
    /// Somebody asked for the end.
    CANCELLED = "cancelled";
    /// The host is shutting down.
    SHUT_DOWN = "shut_down";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_in_snake_case_and_each_is_there_once() {
        let mut words: Vec<&str> = FailureCode::ALL.iter().map(|code| code.as_str()).collect();
        for word in &words {
            let is_snake = |b: u8| b.is_ascii_lowercase() || b == b'_';
            assert!(word.bytes().all(is_snake), "{word}");
        }
        words.sort_unstable();
        let before = words.len();
        words.dedup();
        assert_eq!(words.len(), before);
    }
}
