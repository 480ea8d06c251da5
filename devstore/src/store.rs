//! The handle of a running store: looking inside, seeding, changing faults; never goes through HTTP.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use md5::{Digest, Md5};
use s3s::S3Error;
use tokio::runtime::Runtime;

use crate::attributes::Attributes;
use crate::door::Identity;
use crate::fault::Fault;
use crate::front::Front;
use crate::hex;
use crate::record::RecordedRequest;
use crate::shared::{NewObject, Shared};
use crate::state::Object;

/// A running store; stops when dropped.
pub struct DevStore {
    /// Present until the store is dropped.
    runtime: Option<Runtime>,
    address: SocketAddr,
    ca_pem: Option<String>,
    front: Arc<Front>,
    shared: Arc<Shared>,
}

/// An object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    pub key: String,
    pub size_bytes: u64,
    /// Without quotes.
    pub etag: String,
    /// The checksum header's name and value, if the object was stored with one.
    pub checksum: Option<(String, String)>,
    /// Settings as they were sent, by lower-case header name: content type, metadata, encryption, class, ACL, tags.
    pub headers: BTreeMap<String, String>,
    /// Sizes of the parts it was uploaded in; empty after a single PUT.
    pub part_sizes_bytes: Vec<u64>,
    pub modified: SystemTime,
}

/// An object with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    pub info: ObjectInfo,
    pub bytes: Bytes,
}

/// A multipart upload that was neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    pub bucket: String,
    pub key: String,
    pub upload_id: String,
    /// Number and size of each part uploaded so far.
    pub parts: Vec<(u16, u64)>,
}

/// The reason why an object was not seeded.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("there is no bucket '{0}'")]
    NoSuchBucket(String),
    #[error("'{0}' cannot be a header of an object")]
    Header(String),
    #[error("the store refuses the object: {0}")]
    Refused(S3Error),
    #[error("cannot store the object: {0}")]
    Storage(#[from] io::Error),
}

fn discarded() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "the store was started to discard data")
}

impl DevStore {
    pub(crate) fn new(
        runtime: Runtime,
        address: SocketAddr,
        ca_pem: Option<String>,
        front: Arc<Front>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            runtime: Some(runtime),
            address,
            ca_pem,
            front,
            shared,
        }
    }

    /// `http://127.0.0.1:PORT`, or `https://…` with TLS.
    pub fn endpoint(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Returns the address that the store listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate authority to trust, if the store speaks TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The objects of a bucket in key order; none for a bucket that does not exist.
    pub fn objects(&self, bucket: &str) -> Vec<ObjectInfo> {
        let buckets = self.shared.buckets();
        let objects = buckets.get(bucket).into_iter().flat_map(|bucket| &bucket.objects);
        objects.map(|(key, object)| info(key, object)).collect()
    }

    /// The keys of a bucket in order; none for a bucket that does not exist.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.objects(bucket).into_iter().map(|object| object.key).collect()
    }

    /// An object with its bytes. `NotFound` if there is none, `Unsupported` if the store discards data.
    pub fn object(&self, bucket: &str, key: &str) -> io::Result<StoredObject> {
        let found = self
            .shared
            .buckets()
            .get(bucket)
            .and_then(|bucket| bucket.objects.get(key))
            .cloned();
        let object =
            found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no object {bucket}/{key}")))?;
        let bytes = object.data.bytes()?.ok_or_else(discarded)?;
        Ok(StoredObject {
            info: info(key, &object),
            bytes,
        })
    }

    /// Uploads that were neither completed nor aborted, by bucket and age.
    pub fn open_uploads(&self) -> Vec<OpenUpload> {
        let buckets = self.shared.buckets();
        let uploads = buckets
            .iter()
            .flat_map(|(name, bucket)| bucket.uploads.iter().map(move |upload| (name, upload)));
        uploads
            .map(|(bucket, (id, upload))| OpenUpload {
                bucket: bucket.clone(),
                key: upload.key.clone(),
                upload_id: id.clone(),
                parts: upload
                    .parts
                    .iter()
                    .map(|(number, part)| (*number, part.size_bytes))
                    .collect(),
            })
            .collect()
    }

    /// Requests so far in the order they arrived (the last 100,000).
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.front.log.all()
    }

    /// Forgets the requests so far; sequence numbers go on.
    pub fn clear_requests(&self) {
        self.front.log.clear();
    }

    /// Replaces the faults; an empty list heals the store. Occurrences are counted from zero again.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.front.faults.replace(faults);
    }

    /// Replaces the identities, for credentials that are rotated or withdrawn.
    pub fn set_identities(&self, identities: Vec<Identity>) {
        *self
            .front
            .door
            .identities
            .write()
            .unwrap_or_else(PoisonError::into_inner) = identities;
    }

    /// Lets an identity's credentials expire: requests with them are `ExpiredToken` from now on.
    pub fn expire(&self, access_key_id: &str) {
        let mut identities = self
            .front
            .door
            .identities
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for identity in identities
            .iter_mut()
            .filter(|identity| identity.access_key_id == access_key_id)
        {
            identity.expired = true;
        }
    }

    /// Stores an object as a single PUT would, with settings by header name.
    pub async fn put_object(
        &self,
        bucket: &str,
        key: &str,
        bytes: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> Result<(), SeedError> {
        let bytes = bytes.into();
        if !self.shared.buckets().contains_key(bucket) {
            return Err(SeedError::NoSuchBucket(bucket.to_owned()));
        }
        let mut settings = HeaderMap::new();
        for (name, value) in headers {
            let (Ok(header), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(*value)) else {
                return Err(SeedError::Header((*name).to_owned()));
            };
            settings.insert(header, value);
        }
        let attributes = Attributes::parse(&settings).map_err(SeedError::Refused)?;
        let mut sink = self.shared.keeper.sink(bytes.len() as u64).await?;
        sink.write(&bytes).await?;
        let data = sink.finish().await?;
        let joined = self.shared.keeper.join(&[&data])?;
        let md5: [u8; 16] = Md5::digest(&bytes).into();
        let new = NewObject {
            bucket,
            key,
            size_bytes: bytes.len() as u64,
            etag: hex(&md5),
            checksum: None,
            attributes,
            part_sizes_bytes: Vec::new(),
        };
        self.shared
            .publish(&mut self.shared.buckets(), new, joined)
            .map_err(SeedError::Refused)?;
        Ok(())
    }
}

impl Drop for DevStore {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waiting: a store may be dropped inside another runtime, and hanging requests are among its faults.
            runtime.shutdown_background();
        }
    }
}

fn info(key: &str, object: &Object) -> ObjectInfo {
    ObjectInfo {
        key: key.to_owned(),
        size_bytes: object.size_bytes,
        etag: object.etag.clone(),
        checksum: object
            .checksum
            .as_ref()
            .map(|sum| (sum.algorithm.header().to_owned(), sum.value())),
        headers: object.attributes.all().clone(),
        part_sizes_bytes: object.part_sizes_bytes.clone(),
        modified: object.modified,
    }
}
