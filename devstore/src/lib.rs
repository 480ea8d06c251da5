//! A strict S3 in this process, for the demo, the tests and the benches; listens on loopback only and is no store to
//! keep anything in.
//!
//! It refuses what real stores refuse: wrong signatures, payload hashes, checksums, clocks, regions and tokens,
//! unsigned headers, parts that are too small, unequal (if asked), out of order or not the ones uploaded. It can be
//! told to fail (see [`Fault`]) and remembers every request in order (see [`RecordedRequest`]).
//! It runs on its own threads, so it responds whatever the caller's threads do, and stops when dropped.

#![allow(clippy::print_stderr, reason = "a server for tests has no log")]

mod answer;
mod attributes;
mod checksum;
mod complete;
mod door;
mod fault;
mod front;
mod lists;
mod objects;
mod operation;
mod options;
mod receive;
mod record;
mod server;
mod service;
mod shared;
mod state;
mod storage;
mod store;
mod tls;
mod uploads;

pub use door::{Identity, Permission};
pub use fault::{Fault, What};
pub use operation::Operation;
pub use options::{Options, StartError};
pub use record::RecordedRequest;
pub use storage::Storage;
pub use store::{DevStore, ObjectInfo, OpenUpload, SeedError, StoredObject};
pub use tls::{TlsError, acceptor};

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly `N` bytes from hexadecimal.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
