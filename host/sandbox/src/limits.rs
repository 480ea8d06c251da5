//! What one run may use at most, each limit with its reason. Only numbers: they are enforced where the thing happens.

use std::time::Duration;

use crate::contract::Plan;
use batch_export_system::explain::count;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: u64 = 1 << 30;

/// Limits of one run. `default()` is what the host uses unless its operator says otherwise; begin with it and set what
/// should differ.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Linear memory of the guest. 512 MiB is what the S3 destination says its largest settings need; usual ones stay
    /// below 128.
    pub guest_memory_bytes: usize,
    /// Time the guest may compute within one call, waiting not counted. 120 s leaves a 32 MiB batch at brotli's
    /// slowest level far from the limit, and ends an endless loop within minutes.
    pub compute_time_per_call: Duration,
    /// Time the guest may wait for responses and keys within one call. 30 minutes carry a whole retry budget against a
    /// store that is down and comes back.
    pub waiting_time_per_call: Duration,
    /// Time that a whole run may take, from its start until it is asked to clean up. A day: the longest that an honest
    /// run was seen to take is hours, and a plugin that waits and computes within its limits call after call has no
    /// other end.
    pub run_time: Duration,
    /// Memory of the process that reads files, beyond what the program itself takes. The largest row and the largest
    /// batch of an Arrow file fit several times; usual files take a tenth.
    pub source_memory_bytes: u64,
    /// Limits of the `http` capability.
    pub http: HttpLimits,
    /// Lines of log kept; further ones are counted and dropped. A healthy run writes tens.
    pub log_lines: usize,
    /// Bytes of one log line; the rest is cut off. A line is for people to read.
    pub log_line_bytes: usize,
    /// Bytes of one note; the contract's own number.
    pub note_bytes: usize,
    /// Notes of one session: two for each of the 20,000 files that a run of the S3 destination can have, and half as
    /// many again for uploads that had to be begun twice.
    pub notes: usize,
}

/// Limits of the `http` capability, for one session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpLimits {
    /// Bytes of one payload and so of one request body. Parts are at most 32 MiB; twice that leaves room.
    pub payload_bytes: usize,
    /// Bytes held in all payloads at once, those of requests in progress included: a window of eight 32 MiB parts.
    pub payloads_held_bytes: usize,
    /// Bytes held in all responses at once, from their first byte until the guest takes them: eight of the largest. An
    /// honest plugin takes each as it comes.
    pub responses_held_bytes: usize,
    /// Requests in progress at once. More would not be faster to one store.
    pub in_flight: usize,
    /// Exchanges the guest holds at once, completed ones included, with its payloads: handles are small, but not free.
    pub exchanges_open: usize,
    /// Requests of one session: 16 TiB in parts of 8 MiB. Ends a plugin that never stops asking.
    pub requests: u64,
    /// Bytes of one response's body: S3's responses to writes are small, and an object that is read back is a manifest
    /// or a check's own, not a part.
    pub response_body_bytes: usize,
    /// Bytes of one response's headers, names and values together; S3 stays below 8 KiB, metadata included.
    pub response_header_bytes: usize,
    /// Bytes of the URL of a request: a key of 1,024 bytes, each percent-encoded, and a long upload id.
    pub url_bytes: usize,
    /// Headers of a request.
    pub request_headers: usize,
    /// Bytes of all headers of a request: S3 itself refuses more than 8 KiB; the session token may take 4.
    pub request_header_bytes: usize,
    /// Longest back-off before a request.
    pub delay: Duration,
    /// Longest time from sending to the last byte of the response.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            guest_memory_bytes: 512 * MIB,
            compute_time_per_call: Duration::from_secs(120),
            waiting_time_per_call: Duration::from_secs(30 * 60),
            run_time: Duration::from_secs(24 * 60 * 60),
            source_memory_bytes: 2 * GIB,
            http: HttpLimits::default(),
            log_lines: 10_000,
            log_line_bytes: 8 * KIB,
            note_bytes: 4 * KIB,
            notes: 60_000,
        }
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            payload_bytes: 64 * MIB,
            payloads_held_bytes: 256 * MIB,
            responses_held_bytes: 64 * MIB,
            in_flight: 32,
            exchanges_open: 256,
            requests: 2_000_000,
            response_body_bytes: 8 * MIB,
            response_header_bytes: 64 * KIB,
            url_bytes: 8 * KIB,
            request_headers: 64,
            request_header_bytes: 16 * KIB,
            delay: Duration::from_secs(60),
            timeout: Duration::from_secs(10 * 60),
        }
    }
}

impl Limits {
    /// Returns limits for the pure exports (`describe`, `plan`): they read a configuration and nothing else, so they
    /// get no request, no note, a few log lines, little memory and a few seconds.
    pub fn pure() -> Self {
        Limits {
            guest_memory_bytes: 64 * MIB,
            compute_time_per_call: Duration::from_secs(10),
            waiting_time_per_call: Duration::ZERO,
            http: HttpLimits {
                payload_bytes: 0,
                payloads_held_bytes: 0,
                responses_held_bytes: 0,
                in_flight: 0,
                exchanges_open: 1,
                requests: 0,
                ..HttpLimits::default()
            },
            log_lines: 100,
            notes: 0,
            ..Limits::default()
        }
    }
}

/// A plan needs more than one of the limits of a run allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a run with these settings needs {} {unit}, and the limit `{limit}` allows {}",
    count(*needed),
    count(*allowed)
)]
pub struct NotAdmitted {
    /// The name of the limit, as a field of [`Limits`] or [`HttpLimits`].
    pub limit: &'static str,
    /// What the plan needs.
    pub needed: u64,
    /// What the limit allows.
    pub allowed: u64,
    /// What both count.
    pub unit: &'static str,
}

impl Limits {
    /// Returns these limits with what a run needs by its plan and no more: memory for tables of usual width, payloads,
    /// and responses to the requests that it has in flight, one of them of the largest size.
    #[must_use]
    pub fn of_plan(&self, plan: &Plan) -> Limits {
        let least = |needed: u64, limit: usize| usize::try_from(needed).unwrap_or(usize::MAX).min(limit);
        let in_flight = usize::try_from(plan.requests_in_flight).unwrap_or(usize::MAX);
        let http = &self.http;
        let responses_bytes = http
            .response_header_bytes
            .saturating_mul(in_flight)
            .saturating_add(http.response_body_bytes);
        Limits {
            guest_memory_bytes: least(plan.memory_bytes, self.guest_memory_bytes),
            http: HttpLimits {
                payloads_held_bytes: least(plan.payload_bytes, http.payloads_held_bytes),
                responses_held_bytes: responses_bytes.min(http.responses_held_bytes),
                ..http.clone()
            },
            ..self.clone()
        }
    }

    /// Returns the most bytes that a session within these limits holds: memory, payloads and responses.
    pub fn held_bytes(&self) -> usize {
        self.guest_memory_bytes
            .saturating_add(self.http.payloads_held_bytes)
            .saturating_add(self.http.responses_held_bytes)
    }

    /// Checks that a run with this plan stays within the limits, before anything is sent.
    pub fn admit(&self, plan: &Plan) -> Result<(), NotAdmitted> {
        const MEMORY: &str = "MiB of memory";
        const PAYLOADS: &str = "MiB of request bodies held at once";
        const PART: &str = "MiB for one request body";
        const REQUESTS: &str = "requests in flight at once";
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let http = &self.http;
        let requests = u64::from(plan.requests_in_flight);
        for (limit, unit, needed, allowed, is_bytes) in [
            (
                "guest_memory_bytes",
                MEMORY,
                plan.memory_bytes,
                self.guest_memory_bytes,
                true,
            ),
            (
                "payloads_held_bytes",
                PAYLOADS,
                plan.payload_bytes,
                http.payloads_held_bytes,
                true,
            ),
            ("payload_bytes", PART, plan.part_size_bytes, http.payload_bytes, true),
            ("in_flight", REQUESTS, requests, http.in_flight, false),
        ] {
            let allowed = u64::try_from(allowed).unwrap_or(u64::MAX);
            if needed > allowed {
                return Err(NotAdmitted {
                    limit,
                    needed: if is_bytes { mib(needed) } else { needed },
                    allowed: if is_bytes { allowed >> 20 } else { allowed },
                    unit,
                });
            }
        }
        Ok(())
    }
}

/// Columns of a table for which a plan says how much memory its run needs, those inside structs and lists counted: the
/// contract's number.
pub const USUAL_COLUMNS: usize = 128;

/// Bytes of a component: the S3 destination has 8 MiB, and compiling takes time and memory with its size.
pub const COMPONENT_BYTES: usize = 32 * MIB;
/// Modules and components in a component; the S3 destination has 5.
pub(crate) const COMPONENT_PARTS: usize = 32;
/// Functions of a component; the S3 destination has 9,013, and each costs the compiler half a millisecond.
pub(crate) const COMPONENT_FUNCTIONS: usize = 40_000;
/// Bytes of one function; the S3 destination's largest has 47,367.
pub(crate) const FUNCTION_BYTES: usize = 256 * KIB;
/// Variables of one function; the S3 destination has at most 114.
pub(crate) const FUNCTION_LOCALS: u64 = 1_000;
/// Parameters and results of one signature; the S3 destination has at most 24.
pub(crate) const FUNCTION_SIGNATURE: usize = 128;
/// Bytes of one function times its variables, by which compiling it grows; the S3 destination has at most 4 million.
pub(crate) const FUNCTION_WORK: u64 = 32_000_000;
/// The same over all functions; the S3 destination has 124 million.
pub(crate) const COMPONENT_WORK: u64 = 1_000_000_000;
/// Memory for compiling, on top of the program's own.
pub(crate) const COMPILE_MEMORY_BYTES: u64 = 2 << 30;
/// Time on processors for compiling anything at all.
pub(crate) const COMPILE_BASE_SECONDS: u64 = 20;
/// Time on processors for each MiB: five times what the S3 destination takes.
pub(crate) const COMPILE_SECONDS_PER_MIB: u64 = 20;
/// Time for compiling, however busy the machine is.
pub(crate) const COMPILE_WALL_TIME: Duration = Duration::from_secs(900);

/// Guest memory, payloads and responses of all sessions of a sandbox together. More than one run can take at the
/// largest settings that a configuration may have (4,096 MiB of guest memory and 320 MiB in payloads and responses),
/// and enough for a dozen runs with usual settings at once, each with what its plan says that it may need.
pub const MEMORY_BYTES: usize = 6 << 30;

/// Pure exports (`describe`, `plan`) that are called at once; each may take the memory of [`Limits::pure`] for some
/// milliseconds, whatever the runs hold.
pub(crate) const PURE_CALLS: usize = 4;

/// Threads that compute digests of payloads, in all sessions of the process together. One computes 1 GB/s or more, as
/// much as any network takes.
pub(crate) const DIGEST_THREADS: usize = 4;
/// Digests of one session that are computed at once: two parts, or two algorithms.
pub(crate) const DIGESTS_PER_SESSION: usize = 2;

/// Core instances of one session: a component made of one core module has three (module, shims, fixups).
pub(crate) const CORE_INSTANCES: usize = 16;
/// Tables of one session; a component made of one core module has two.
pub(crate) const TABLES: usize = 8;
/// Memories of one session; the contract's plugins have one.
pub(crate) const MEMORIES: usize = 4;
/// Elements of one table: function pointers of a large plugin are tens of thousands.
pub(crate) const TABLE_ELEMENTS: usize = 200_000;
/// Bytes that one import call may hand to the host in addition to a payload: log lines, notes, headers.
pub(crate) const HOSTCALL_BYTES: usize = 4 * MIB;
/// Native stack of guest code. Deep JSON nesting recurses; 2 MiB hold tens of thousands of frames.
pub(crate) const GUEST_STACK_BYTES: usize = 2 * MIB;
/// Stack of a session's thread: the guest's and as much again for the host's imports.
pub(crate) const THREAD_STACK_BYTES: usize = 4 * MIB;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_needs_more_than_a_limit_is_refused_by_its_name() {
        let fits = Plan {
            keys: Vec::new(),
            manifest_key: None,
            settings: Vec::new(),
            part_size_bytes: 64 << 20,
            requests_in_flight: 32,
            memory_bytes: 512 << 20,
            payload_bytes: 256 << 20,
            grants: Vec::new(),
            signing: Vec::new(),
            required_columns: Vec::new(),
        };
        let limits = Limits::default();
        assert_eq!(limits.admit(&fits), Ok(()));
        type Change = fn(&mut Plan);
        let table: [(Change, &str); 4] = [
            (
                |plan| plan.memory_bytes += 1,
                "needs 513 MiB of memory, and the limit `guest_memory_bytes` allows 512",
            ),
            (
                |plan| plan.payload_bytes = u64::MAX,
                "needs 17,592,186,044,416 MiB of request bodies held at once, and the limit `payloads_held_bytes` allows 256",
            ),
            (
                |plan| plan.part_size_bytes += 1,
                "needs 65 MiB for one request body, and the limit `payload_bytes` allows 64",
            ),
            (
                |plan| plan.requests_in_flight += 1,
                "needs 33 requests in flight at once, and the limit `in_flight` allows 32",
            ),
        ];
        for (change, expected) in table {
            let mut plan = fits.clone();
            change(&mut plan);
            let refused = limits.admit(&plan).unwrap_err().to_string();
            assert_eq!(refused, format!("a run with these settings {expected}"));
        }
    }
}
