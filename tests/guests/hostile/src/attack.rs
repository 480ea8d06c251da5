//! The attacks. A request that the host refuses ends the run with `contained: <its reason>`, one that goes through with
//! `ESCAPED`: tests look for these words.

use std::hint::black_box;

use crate::bindings::batch_export::destination::http::{
    DigestAlgorithm, Method, Payload, Request, TransportError, send, wait_any,
};
use crate::bindings::batch_export::destination::journal::note;
use crate::bindings::batch_export::destination::log::{Level, write};
use crate::bindings::batch_export::destination::signer::{Refresh, scoped_key};
use crate::bindings::batch_export::destination::types::Failure;
use crate::bindings::exports::batch_export::destination::exporter::{Grant, Report, RunPlan};
use crate::configuration::Configuration;
use crate::exports::said;
use crate::store::{self, Draft};

const MIB: usize = 1 << 20;
/// How often a flood tries: far more than any host should bear, yet not endless, so that a host without a limit fails
/// the test rather than hanging it.
const FLOOD: usize = 30_000;

/// What clears a terminal, fakes a line and turns the direction of what stands beside it.
pub const EVIL: &str = "\u{1b}[2Jevil\n\u{202e}forged\u{9b}31m";
/// Answers that are hoarded, each nearly as large as one may be.
const HOARDED: usize = 250;

/// `loop`, `trap`, `panic`, `overflow` and `memory`, in any export: `loop-in-plan`, or bare for any.
pub fn everywhere(attack: &str, export: &str) {
    let attack = match attack.split_once("-in-") {
        Some((attack, target)) if target == export => attack,
        Some(_) => return,
        None => attack,
    };
    match attack {
        "loop" => loop {
            black_box(());
        },
        "trap" => core::arch::wasm32::unreachable(),
        "panic" => panic!("the guest panics in {export}"),
        "overflow" => {
            black_box(overflow(black_box(1)));
        }
        "memory" => eat_memory(),
        _ => {}
    }
}

#[allow(unconditional_recursion, reason = "the point of it: the stack must run out")]
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    1 + overflow(frame[(depth % 64) as usize] + 1) + frame[0]
}

/// Take memory until none is given, and touch it.
fn eat_memory() {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(black_box(vec![1; 4 * MIB]));
    }
}

/// What goes wrong in `plan`.
pub fn in_plan(configuration: &Configuration, mut plan: RunPlan) -> Result<RunPlan, Failure> {
    match configuration.attack.as_str() {
        "greedy-origin" => plan.grants[0].origin = configuration.other_origin.clone(),
        "greedy-bucket" => plan.grants[0].path_prefix = "/another-bucket/".into(),
        "greedy-prefix" => plan.grants[0].path_prefix = "/".into(),
        "whole-bucket" => {
            for grant in &mut plan.grants {
                grant.path_prefix = format!("/{}/", configuration.bucket_name);
            }
            plan.grants.extend(further(&plan, &[Method::Get, Method::Delete]));
        }
        // Every interval's files, its own among them.
        "whole-folder" => {
            let mut grants = further(&plan, &[Method::Delete]);
            for grant in &mut grants {
                grant.path_prefix = format!("/{}/{}", configuration.bucket_name, configuration.prefix);
            }
            plan.grants.extend(grants);
        }
        "sibling-delete" | "sibling-read" | "sibling-write" => {
            plan.grants.extend(further(&plan, &[Method::Get, Method::Delete]));
        }
        // Where `verify` would go if it believed this.
        "verify-deputy" => {
            plan.keys = vec![configuration.other_origin.clone()];
            plan.manifest_key = Some(configuration.other_origin.clone());
            plan.grants.extend(further(&plan, &[Method::Get, Method::Head]));
        }
        "verify-deputy-by-manifest" => {
            plan.manifest_key = Some(configuration.other_origin.clone());
            plan.grants.extend(further(&plan, &[Method::Get, Method::Head]));
        }
        "parts-of-nothing" => plan.part_size_bytes = 0,
        "greedy-metadata" => plan.grants[0].origin = "http://169.254.169.254".into(),
        "greedy-region" => plan.signing[0].region = "other-region-1".into(),
        "greedy-service" => plan.signing[0].service = "iam".into(),
        "garbage-plan" => {
            plan.grants[0].origin = "\u{0}ht!tp:/\\[::".into();
            plan.grants[0].path_prefix = "..\n\u{1b}[2J".into();
        }
        "evil-plan" => plan.grants[0].operation = EVIL.into(),
        // The one attack that must be able to read.
        "hoard-answers" => {
            let mut grant = plan.grants[0].clone();
            grant.operation = "GetObject".into();
            grant.method = Method::Get;
            plan.grants.push(grant);
        }
        "long-plan" => plan.grants = vec![plan.grants[0].clone(); 1_000],
        "huge-plan" => plan.keys = vec!["k".repeat(MIB); 16],
        "request-in-plan" => {
            let draft = Draft::new(Method::Put, configuration.url());
            return Err(verdict(send(&plain(&draft)).wait().map(|answer| answer.status)));
        }
        "note-in-plan" => return Err(note_verdict(b"planned")),
        _ => {}
    }
    Ok(plan)
}

/// Like the first grant, for other methods.
fn further(plan: &RunPlan, methods: &[Method]) -> Vec<Grant> {
    methods
        .iter()
        .map(|method| Grant {
            method: *method,
            ..plan.grants[0].clone()
        })
        .collect()
}

/// What goes wrong while rows come in.
pub fn in_batch(configuration: &Configuration) -> Result<(), Failure> {
    match configuration.attack.as_str() {
        "open-exchange" => {
            let draft = Draft::new(Method::Put, configuration.url());
            let mut request = plain(&draft);
            request.delay_ms = 50_000;
            // Never dropped, never asked: the host must do it.
            std::mem::forget(send(&request));
        }
        "wait-twice" => {
            let draft = Draft::new(Method::Put, configuration.url());
            let exchange = send(&plain(&draft));
            // The first answer does not matter here (the store refuses what is not signed).
            drop(exchange.wait());
            return Err(verdict(exchange.wait().map(|answer| answer.status)));
        }
        "wait-any-of-none" => drop(wait_any(&[])),
        "wait-forever" => {
            let draft = Draft::new(Method::Put, configuration.url());
            let mut request = plain(&draft);
            request.timeout_ms = u32::MAX;
            return Err(verdict(send(&request).wait().map(|answer| answer.status)));
        }
        "open-upload-then-trap" => {
            let id = store::create_upload(configuration).map_err(|why| Failure::Refused(said(why)))?;
            note(id.as_bytes(), true).map_err(|why| Failure::Refused(said(format!("{why:?}"))))?;
            core::arch::wasm32::unreachable();
        }
        "flood-requests" => {
            let draft = Draft::new(Method::Put, configuration.url());
            let exchanges: Vec<_> = (0..FLOOD).map(|_| send(&plain(&draft))).collect();
            return Err(Failure::Data(said(format!(
                "ESCAPED: {} requests open",
                exchanges.len()
            ))));
        }
        "flood-dropped-requests" => {
            let draft = Draft::new(Method::Put, configuration.url());
            for _ in 0..FLOOD {
                drop(send(&plain(&draft)));
            }
            return Err(verdict(send(&plain(&draft)).wait().map(|answer| answer.status)));
        }
        "flood-payloads" => {
            let bytes = vec![0; 8 * MIB];
            let payloads: Vec<_> = (0..FLOOD).map(|_| Payload::new(&bytes, &[])).collect();
            return Err(Failure::Data(said(format!("ESCAPED: {} payloads", payloads.len()))));
        }
        "hoard-answers" => return Err(hoard_answers(configuration)),
        "huge-payload" => {
            drop(Payload::new(&vec![0; 100 * MIB], &[]));
            return Err(Failure::Data(said("ESCAPED: 100 MiB in one payload")));
        }
        "flood-digests" => {
            let bytes = vec![0; 8 * MIB];
            // More than a session may compute at once, again and again, and none of it is waited for.
            for _ in 0..FLOOD / 100 {
                drop(Payload::new(&bytes, &[DigestAlgorithm::Sha256; 64]));
            }
        }
        "wrong-digest" => {
            let empty = Payload::new(&[], &[]).digest(DigestAlgorithm::Sha256);
            let twice = [DigestAlgorithm::Crc32c; 2];
            let check = Payload::new(b"123456789", &twice).digest(DigestAlgorithm::Crc32c);
            return Err(Failure::Data(said(format!("{} {check:x?}", empty.len()))));
        }
        "flood-log" => (0..FLOOD).for_each(|n| write(Level::Info, &format!("line {n}"))),
        "huge-log-line" => write(Level::Warn, &"long ".repeat(MIB / 8)),
        "evil-log-line" => write(Level::Warn, "\u{1b}[2Jscreen cleared\r\n{\"level\":\"forged\"}\u{0}"),
        "flood-notes" => {
            for _ in 0..FLOOD {
                note(b"kept", false).map_err(|why| Failure::Refused(said(format!("contained: {why:?}"))))?;
            }
            return Err(Failure::Data(said("ESCAPED: every note was kept")));
        }
        "huge-note" => {
            return Err(note_verdict(&vec![b'n'; MIB]));
        }
        "other-region-key" => return Err(key_verdict("s3", "other-region-1")),
        "other-service-key" => return Err(key_verdict("iam", &configuration.region)),
        "huge-error" => return Err(Failure::Refused(said("\u{1b}[31mhuge ".repeat(2 * MIB)))),
        attack => {
            if let Some(draft) = forbidden_request(configuration, attack) {
                return Err(verdict(store::call(configuration, draft).map(|answer| answer.status)));
            }
        }
    }
    Ok(())
}

/// Ask for a large object again and again, wait until each answer is there, and take none of them before the last.
fn hoard_answers(configuration: &Configuration) -> Failure {
    let mut draft = Draft::new(Method::Put, configuration.url());
    draft.body = vec![b'a'; 8 * MIB - (64 << 10)];
    if let Err(why) = store::call(configuration, draft) {
        return Failure::Refused(said(format!("no object to hoard: {why:?}")));
    }
    let mut hoard = Vec::new();
    for _ in 0..HOARDED {
        let draft = Draft::new(Method::Get, configuration.url());
        match store::start(configuration, draft) {
            Ok(exchange) => {
                wait_any(&[&exchange]);
                hoard.push(exchange);
            }
            Err(why) => return Failure::Refused(said(format!("contained: {why:?}"))),
        }
    }
    match hoard.iter().find_map(|exchange| exchange.wait().err()) {
        Some(why) => Failure::Refused(said(format!("contained: {why:?}"))),
        None => Failure::Data(said(format!("ESCAPED: {HOARDED} answers of 8 MiB held at once"))),
    }
}

/// Requests that no grant covers, or that are none; signed, so that only the host can stop them.
fn forbidden_request(configuration: &Configuration, attack: &str) -> Option<Draft> {
    let Configuration {
        endpoint_url,
        bucket_name,
        prefix,
        other_origin,
        ..
    } = configuration;
    let honest = configuration.url();
    let put = |url: String| Draft::new(Method::Put, url);
    Some(match attack {
        "other-host" => put(honest.replace(endpoint_url.as_str(), other_origin)),
        "metadata-address" => Draft::new(Method::Get, "http://169.254.169.254/latest/meta-data/"),
        "user-info" => put(honest.replace("://", "://user:word@")),
        "host-in-user-info" => {
            let host = endpoint_url.trim_start_matches("http://");
            put(format!("http://{host}@169.254.169.254/{bucket_name}/{prefix}x"))
        }
        "other-bucket" => put(format!("{endpoint_url}/another-bucket/{prefix}x")),
        "other-prefix" => put(format!("{endpoint_url}/{bucket_name}/elsewhere/x")),
        "parent-path" => put(format!("{endpoint_url}/{bucket_name}/{prefix}../elsewhere/x")),
        "encoded-parent-path" => put(format!("{endpoint_url}/{bucket_name}/{prefix}%2e%2E/elsewhere/x")),
        "backslash-path" => put(format!("{endpoint_url}/{bucket_name}/{prefix}..\\..\\x")),
        "sibling-delete" => Draft::new(Method::Delete, configuration.sibling_url()),
        "sibling-read" => Draft::new(Method::Get, configuration.sibling_url()),
        "sibling-write" => put(configuration.sibling_url()),
        "other-method" => Draft::new(Method::Get, honest),
        "delete" => Draft::new(Method::Delete, honest),
        "file-url" => put("file:///etc/passwd".into()),
        "fragment" => put(format!("{honest}#fragment")),
        "acl-query" => put(format!("{honest}?acl=")),
        "policy-query" => put(format!("{endpoint_url}/{bucket_name}?policy=")),
        "encoded-query" => put(format!("{honest}?%61cl=")),
        "repeated-query" => Draft::new(Method::Post, format!("{honest}?uploads=&uploads=&acl=")),
        "url-line-break" => put(format!("{honest} HTTP/1.1\r\nx-evil: 1\r\n\r\n")),
        "copy-header" => put(honest).header("x-amz-copy-source", "/another-bucket/secret"),
        "copy-header-in-capitals" => put(honest).header("X-Amz-Copy-Source", "/another-bucket/secret"),
        "acl-header" => put(honest).header("x-amz-acl", "public-read"),
        "host-header" => put(honest).header("Host", "169.254.169.254"),
        "length-header" => put(honest).header("content-length", "0"),
        "encoding-header" => put(honest).header("transfer-encoding", "chunked"),
        "header-line-break" => put(honest).header("x-amz-date", "now\r\nx-amz-copy-source: /a/b"),
        "header-name-line-break" => put(honest).header("x-amz-date: now\r\nx-amz-copy-source", "/a/b"),
        "duplicate-header" => put(honest).header("x-amz-date", "20000101T000000Z"),
        "oversized-header" => put(honest).header("x-amz-date", "9".repeat(MIB)),
        "many-headers" => (0..10_000).fold(put(honest), |draft, _| draft.header("x-amz-date", "1")),
        "long-url" => put(format!("{honest}{}", "x".repeat(MIB))),
        _ => return None,
    })
}

/// What goes wrong in the report of a run that did its work.
pub fn in_report(configuration: &Configuration, mut report: Report) -> Result<Report, Failure> {
    match configuration.attack.as_str() {
        "too-many-rows" => report.rows_received += 1,
        "lost-rows" => {
            report.rows_received = 0;
            report.rows_exported = 0;
        }
        "rows-that-do-not-add-up" => report.rows_exported += 5,
        "no-files" => report.files.clear(),
        "filters-everything" => {
            report.rows_filtered = report.rows_received;
            report.rows_exported = 0;
            report.files.clear();
        }
        // More rows than the counter holds: added up without a check, they are as many as were supplied.
        "overflowing-rows" => {
            let mut file = report.files[0].clone();
            file.key.push('2');
            file.rows = u64::MAX;
            report.files[0].rows += 1;
            report.files.push(file);
        }
        "overflowing-filter" => {
            report.rows_exported = u64::MAX;
            report.rows_filtered = report.rows_received + 1;
        }
        "overflowing-bytes" => {
            let mut file = report.files[0].clone();
            file.key.push('2');
            file.rows = 1;
            file.bytes = u64::MAX;
            report.files[0].rows -= 1;
            report.files.push(file);
        }
        "invented-bytes" => report.files[0].bytes += 1 << 40,
        "invented-requests" => report.requests += 1,
        "foreign-file" => report.files[0].key = "elsewhere/x".into(),
        "foreign-manifest" => report.manifest_key = Some("elsewhere/x".into()),
        "huge-report" => report.warnings = vec![said("w".repeat(MIB)); 16],
        _ => {}
    }
    Ok(report)
}

/// An unsigned request that borrows nothing.
fn plain(draft: &Draft) -> Request<'static> {
    Request {
        method: draft.method,
        url: draft.url.clone(),
        headers: draft.headers.clone(),
        body: None,
        delay_ms: 0,
        timeout_ms: 10_000,
    }
}

fn key_verdict(service: &str, region: &str) -> Failure {
    match scoped_key(service, region, Refresh::None) {
        Ok(_) => Failure::Data(said(format!("ESCAPED: a key for {service} in {region}"))),
        Err(why) => Failure::Refused(said(format!("contained: {why:?}"))),
    }
}

fn note_verdict(text: &[u8]) -> Failure {
    match note(text, true) {
        Ok(()) => Failure::Data(said("ESCAPED: a note was kept")),
        Err(why) => Failure::Refused(said(format!("contained: {why:?}"))),
    }
}

fn verdict<T: std::fmt::Debug>(result: Result<T, TransportError>) -> Failure {
    match result {
        Ok(answer) => Failure::Data(said(format!("ESCAPED: {answer:?}"))),
        Err(why) => Failure::Refused(said(format!("contained: {why:?}"))),
    }
}
