//! Starting a store and its listener; knows nothing of S3 beyond putting the pieces together.

use std::collections::BTreeMap;
use std::net::TcpListener as StdListener;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::path::check_bucket_name;
use s3s::service::S3ServiceBuilder;
use s3s::validation::NameValidation;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::door::Door;
use crate::fault::Plan;
use crate::front::{Domain, Front};
use crate::options::{Options, StartError};
use crate::record::Log;
use crate::service::Operations;
use crate::shared::{Rules, Shared};
use crate::state::{Bucket, Buckets, load};
use crate::storage::{Keeper, Storage};
use crate::store::DevStore;
use crate::tls;

/// Threads that answer: hashing is what they do, and test machines have few cores to spare.
const THREADS: usize = 2;

/// How long a connection may take over the head of a request; then it is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Pause after a failed accept: out of file handles, most likely, which takes a moment to pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Options {
    /// Starts the store. It answers once this returns.
    pub async fn start(self) -> Result<DevStore, StartError> {
        start(self)
    }
}

/// Starts a store on its own threads.
fn start(options: Options) -> Result<DevStore, StartError> {
    if !options.listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(options.listen));
    }
    if let Some(name) = options
        .buckets
        .iter()
        .find(|name| !BucketNames.validate_bucket_name(name))
    {
        return Err(StartError::BucketName(name.clone()));
    }
    let shared = Arc::new(open(&options)?);
    let front = Arc::new(front(&options, shared.clone()));
    let (acceptor, ca_pem) = match options.tls {
        true => {
            let names: Vec<String> = options
                .domain
                .iter()
                .flat_map(|domain| [domain.clone(), format!("*.{domain}")])
                .collect();
            let (acceptor, pem) = tls::acceptor(&names)?;
            (Some(acceptor), Some(pem))
        }
        false => (None, None),
    };
    let listen_error = |source| StartError::Listen {
        address: options.listen,
        source,
    };
    let listener = StdListener::bind(options.listen).map_err(listen_error)?;
    listener.set_nonblocking(true).map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("devstore")
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    let listener = {
        let _runtime = runtime.enter();
        TcpListener::from_std(listener).map_err(listen_error)?
    };
    runtime.spawn(accept(listener, acceptor, front.clone()));
    Ok(DevStore::new(runtime, address, ca_pem, front, shared))
}

fn open(options: &Options) -> Result<Shared, StartError> {
    let folder = match &options.storage {
        Storage::Folder(folder) => folder.clone(),
        Storage::Memory | Storage::Discard { .. } => PathBuf::new(),
    };
    let folder_error = |source| StartError::Folder {
        folder: folder.clone(),
        source,
    };
    let keeper = Keeper::open(&options.storage, &options.buckets).map_err(folder_error)?;
    let mut buckets = Buckets::new();
    for name in &options.buckets {
        let objects = match &keeper {
            Keeper::Folder(folder) => load(folder, name).map_err(folder_error)?,
            Keeper::Memory | Keeper::Discard => BTreeMap::new(),
        };
        buckets.insert(
            name.clone(),
            Bucket {
                objects,
                uploads: BTreeMap::new(),
            },
        );
    }
    Ok(Shared {
        buckets: Mutex::new(buckets),
        keeper,
        rules: Rules {
            min_part_size_bytes: options.min_part_size_bytes,
            equal_parts: options.equal_parts,
            verify_payload_hash: !matches!(
                options.storage,
                Storage::Discard {
                    verify_payload_hash: false
                }
            ),
        },
        region: options.region.as_str().into(),
        next_upload: AtomicU64::new(1),
    })
}

fn front(options: &Options, shared: Arc<Shared>) -> Front {
    let door = Door {
        identities: Arc::new(RwLock::new(options.identities.clone())),
        region: options.region.as_str().into(),
        owner: options.owner.as_str().into(),
        clock_offset_seconds: options.clock_offset_seconds,
    };
    let mut config = S3Config::default();
    // The door compares clocks itself, because the store's may be off on purpose.
    config.presigned_url_max_skew_time_secs = u32::MAX;
    let mut builder = S3ServiceBuilder::new(Operations(shared));
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(door.clone());
    builder.set_access(door.clone());
    builder.set_validation(BucketNames);
    if let Some(domain) = &options.domain {
        builder.set_host(Domain(domain.clone()));
    }
    Front {
        service: builder.build(),
        door,
        domain: options.domain.clone(),
        faults: Plan::new(options.faults.clone()),
        log: Log::default(),
    }
}

/// AWS's rules, plus `_`, which some stores allow.
struct BucketNames;

impl NameValidation for BucketNames {
    fn validate_bucket_name(&self, name: &str) -> bool {
        check_bucket_name(&name.replace('_', "-"))
    }
}

/// Takes connections until the runtime ends.
async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, front: Arc<Front>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("devstore: cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small answers must not wait for an acknowledgement; without it they are only slower.
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("devstore: cannot set TCP_NODELAY: {error}");
        }
        let front = front.clone();
        match acceptor.clone() {
            None => {
                tokio::spawn(talk(stream, front));
            }
            Some(acceptor) => {
                tokio::spawn(async move {
                    // A failed handshake is the client's to report: tests of untrusting clients rely on it.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        talk(stream, front).await;
                    }
                });
            }
        }
    }
}

async fn talk<S>(stream: S, front: Arc<Front>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| front.clone().serve(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // Connections end in errors by design here (faults, clients that give up); the other side sees them.
    if let Err(error) = connection.await
        && error.is_parse()
    {
        eprintln!("devstore: a client did not send valid HTTP: {error}");
    }
}
