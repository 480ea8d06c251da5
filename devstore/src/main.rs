//! `devstore`: the store as a separate process, for benches and manual use; prints its endpoint and runs until
//! interrupted.

#![allow(clippy::print_stdout, reason = "the endpoint is what it prints")]

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Parser};
use devstore::{Identity, Options, Permission, Storage};

/// A strict S3 on loopback, for tests, benches and looking around.
///
/// Example: devstore --listen 127.0.0.1:9000 --folder /tmp/s3 --bucket exports --access-key me --secret-key secret
#[derive(Parser)]
#[command(version, group = ArgGroup::new("storage").args(["folder", "memory", "discard"]).required(true))]
struct Arguments {
    /// Loopback address and port to listen on; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Keep objects as plain files in this folder.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Keep objects in memory.
    #[arg(long)]
    memory: bool,
    /// Keep sizes and ETags only, and do not check the payload hash: a sink for benches.
    #[arg(long)]
    discard: bool,
    /// A bucket; may be given several times.
    #[arg(long = "bucket", required = true)]
    buckets: Vec<String>,
    /// The access key id that may read and write.
    #[arg(long, env = "AWS_ACCESS_KEY_ID")]
    access_key: String,
    /// Its secret.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    secret_key: String,
    /// The region that requests must be signed for.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Refuse parts of unequal size, as Cloudflare R2 does.
    #[arg(long)]
    equal_parts: bool,
    /// Speak TLS, with a certificate for localhost of a new authority whose certificate is written to this file.
    #[arg(long)]
    tls_ca_file: Option<PathBuf>,
    /// Also take `bucket.DOMAIN` as an address.
    #[arg(long)]
    domain: Option<String>,
    /// Another access key id, which may write but neither read, list nor delete; its secret is the same.
    #[arg(long)]
    write_only_access_key: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let storage = match (arguments.folder, arguments.discard) {
        (Some(folder), _) => Storage::Folder(folder),
        (None, true) => Storage::Discard {
            verify_payload_hash: false,
        },
        (None, false) => Storage::Memory,
    };
    let writer = arguments.write_only_access_key.map(|access_key| Identity {
        permission: Permission::WriteOnly,
        ..Identity::new(access_key, arguments.secret_key.clone())
    });
    let owner = Identity::new(arguments.access_key, arguments.secret_key);
    let store = Options {
        listen: arguments.listen,
        buckets: arguments.buckets,
        identities: std::iter::once(owner).chain(writer).collect(),
        storage,
        region: arguments.region,
        equal_parts: arguments.equal_parts,
        tls: arguments.tls_ca_file.is_some(),
        domain: arguments.domain,
        ..Options::default()
    }
    .start()
    .await?;
    if let (Some(file), Some(pem)) = (&arguments.tls_ca_file, store.ca_pem()) {
        std::fs::write(file, pem)?;
    }
    println!("{}", store.endpoint());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
