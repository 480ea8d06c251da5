//! The store: a devstore in another process that keeps sizes only, so that its work is small and its memory nobody's.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use devstore::{Fault, Identity, Options, Storage, What};

use crate::job::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY};

/// Faults strike the same requests every time.
const FAULT_SEED: u64 = 7;

/// The running process; ends when dropped.
pub struct Store {
    process: Child,
    endpoint: String,
}

impl Store {
    /// Starts it. `fault_share` of all requests fail: a third each with 503, with a cut before and with a cut after
    /// the effect.
    pub fn start(fault_share: f64) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("store")
            .arg(fault_share.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the store")?;
        let mut endpoint = String::new();
        let read = match process.stdout.take() {
            Some(stdout) => BufReader::new(stdout).read_line(&mut endpoint),
            None => Ok(0),
        };
        let store = Self {
            process,
            endpoint: endpoint.trim().to_owned(),
        };
        read.context("the store does not say where it listens")?;
        Ok(store)
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The store's own process: prints the endpoint and serves until its standard input ends, which it does with whoever
/// started it.
pub fn serve(fault_share: f64) -> Result<()> {
    let kinds = [
        What::Status(503, "SlowDown".into()),
        What::CutBeforeEffect,
        What::CutAfterEffect,
    ];
    let share = fault_share / kinds.len() as f64;
    let faults = (FAULT_SEED..)
        .zip(kinds)
        .map(|(seed, what)| Fault::always(what).share(share, seed))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let store = runtime.block_on(
        Options {
            buckets: vec![BUCKET.to_owned()],
            identities: vec![Identity::new(ACCESS_KEY, SECRET_KEY)],
            storage: Storage::Discard {
                verify_payload_hash: false,
            },
            region: REGION.to_owned(),
            min_part_size_bytes: 1,
            faults,
            ..Options::default()
        }
        .start(),
    )?;
    println!("{}", store.endpoint());
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
