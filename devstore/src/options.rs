//! The options of a store; it is started in `server`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::door::Identity;
use crate::fault::Fault;
use crate::storage::Storage;
use crate::tls::TlsError;

/// Smallest part but the last that S3 takes.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const MIN_PART_SIZE_BYTES: u64 = 5 << 20;

/// Settings of a store. Start from the default and change what matters.
#[derive(Debug, Clone)]
pub struct Options {
    /// A loopback address; port 0 (the default) picks a free one.
    pub listen: SocketAddr,
    /// Buckets that exist; others cannot be created. Default: `test-bucket`.
    pub buckets: Vec<String>,
    /// Who may come in. Default: access key `test-access-key` with secret `test-secret-key`.
    pub identities: Vec<Identity>,
    /// The storage for objects. Default: memory.
    pub storage: Storage,
    /// The region that requests must be signed for. Default: `us-east-1`.
    pub region: String,
    /// The account that `x-amz-expected-bucket-owner` must name. Default: `111122223333`.
    pub owner: String,
    /// Smallest size of a part that is not the last. Default: 5 MiB, as in S3.
    pub min_part_size_bytes: u64,
    /// Refuse parts of unequal size (but a smaller last one), as Cloudflare R2 does. Default: no.
    pub equal_parts: bool,
    /// What goes wrong from the start; can be changed while running.
    pub faults: Vec<Fault>,
    /// How far the store's clock is off. Default: 0.
    pub clock_offset_seconds: i64,
    /// Domain under which `bucket.domain` addresses a bucket; path style works as well. Default: none.
    pub domain: Option<String>,
    /// Speak TLS with a certificate of a new authority, see [`DevStore::ca_pem`](crate::DevStore::ca_pem). Default: no.
    pub tls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            buckets: vec!["test-bucket".to_owned()],
            identities: vec![Identity::new("test-access-key", "test-secret-key")],
            storage: Storage::Memory,
            region: "us-east-1".to_owned(),
            owner: "111122223333".to_owned(),
            min_part_size_bytes: MIN_PART_SIZE_BYTES,
            equal_parts: false,
            faults: Vec::new(),
            clock_offset_seconds: 0,
            domain: None,
            tls: false,
        }
    }
}

/// The reason why a store did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the store listens on loopback addresses only, and {0} is not one; use 127.0.0.1")]
    NotLoopback(SocketAddr),
    #[error(
        "'{0}' cannot be a bucket's name: 3 to 63 of a-z, 0-9, '.', '-' and '_', beginning and ending with a letter or digit"
    )]
    BucketName(String),
    #[error("cannot open the store's folder {folder}: {source}")]
    Folder { folder: PathBuf, source: io::Error },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start the store's threads: {0}")]
    Threads(io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}
