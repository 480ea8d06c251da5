//! What all operations work on, and the lookups they share; holds no operation itself.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use s3s::dto::{ETag, ETagCondition};
use s3s::{S3Error, S3Result, s3_error};

use crate::attributes::Attributes;
use crate::checksum::Checksum;
use crate::state::{self, Bucket, Buckets, Object};
use crate::storage::{Joined, Keeper, ObjectData};

/// How strict the store is about parts and payloads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub min_part_size_bytes: u64,
    pub equal_parts: bool,
    pub verify_payload_hash: bool,
}

/// The store behind the operations.
pub(crate) struct Shared {
    pub buckets: Mutex<Buckets>,
    pub keeper: Keeper,
    pub rules: Rules,
    pub region: Arc<str>,
    pub next_upload: AtomicU64,
}

/// Everything about a new object but where its bytes are.
pub(crate) struct NewObject<'a> {
    pub bucket: &'a str,
    pub key: &'a str,
    pub size_bytes: u64,
    pub etag: String,
    pub checksum: Option<Checksum>,
    pub attributes: Attributes,
    pub part_sizes_bytes: Vec<u64>,
}

impl Shared {
    pub fn buckets(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a bucket that does not exist.
    pub fn check_bucket(&self, name: &str) -> S3Result<()> {
        bucket(&mut self.buckets(), name).map(|_| ())
    }

    /// The object of this key.
    pub fn object(&self, bucket_name: &str, key: &str) -> S3Result<Arc<Object>> {
        let mut buckets = self.buckets();
        let found = bucket(&mut buckets, bucket_name)?.objects.get(key).cloned();
        found.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// Makes an object visible, replacing one of the same key.
    pub fn publish(&self, buckets: &mut Buckets, new: NewObject<'_>, joined: Joined) -> S3Result<Arc<Object>> {
        let bucket = bucket(buckets, new.bucket)?;
        let data = self
            .keeper
            .place(new.bucket, new.key, joined)
            .map_err(S3Error::internal_error)?;
        let object = Arc::new(Object {
            data,
            size_bytes: new.size_bytes,
            etag: new.etag,
            checksum: new.checksum,
            attributes: new.attributes,
            modified: SystemTime::now(),
            part_sizes_bytes: new.part_sizes_bytes,
        });
        if let Keeper::Folder(folder) = &self.keeper {
            state::save(folder, new.bucket, new.key, &object).map_err(S3Error::internal_error)?;
        }
        if let Some(old) = bucket.objects.insert(new.key.to_owned(), object.clone())
            && old.data != object.data
            && matches!(old.data, ObjectData::File(_))
        {
            self.keeper.remove(&old.data).map_err(S3Error::internal_error)?;
        }
        Ok(object)
    }
}

/// The bucket of this name.
pub(crate) fn bucket<'a>(buckets: &'a mut Buckets, name: &str) -> S3Result<&'a mut Bucket> {
    buckets
        .get_mut(name)
        .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
}

/// `If-Match` and `If-None-Match` on a write.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
pub(crate) fn check_write_condition(
    existing: Option<&Arc<Object>>,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let failed = || {
        s3_error!(
            PreconditionFailed,
            "At least one of the pre-conditions you specified did not hold"
        )
    };
    match if_none_match {
        Some(ETagCondition::Any) if existing.is_some() => return Err(failed()),
        Some(ETagCondition::ETag(_)) => {
            return Err(s3_error!(
                NotImplemented,
                "If-None-Match on a write takes only the value *."
            ));
        }
        Some(ETagCondition::Any) | None => {}
    }
    match (if_match, existing) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
        (Some(ETagCondition::Any), Some(_)) => Ok(()),
        (Some(ETagCondition::ETag(etag)), Some(object)) if etag.value() == object.etag => Ok(()),
        (Some(ETagCondition::ETag(_)), Some(_)) => Err(failed()),
    }
}

/// An ETag as S3 sends it.
pub(crate) fn strong(etag: &str) -> Option<ETag> {
    Some(ETag::Strong(etag.to_owned()))
}

/// A size as the wire types have it.
pub(crate) fn signed(size_bytes: u64) -> Option<i64> {
    i64::try_from(size_bytes).ok()
}

/// Set the field of an output that belongs to the checksum's algorithm.
macro_rules! set_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            let value = Some(checksum.value());
            match checksum.algorithm {
                $crate::checksum::Algorithm::Crc64Nvme => $output.checksum_crc64nvme = value,
                $crate::checksum::Algorithm::Crc32c => $output.checksum_crc32c = value,
                $crate::checksum::Algorithm::Crc32 => $output.checksum_crc32 = value,
                $crate::checksum::Algorithm::Sha256 => $output.checksum_sha256 = value,
            }
        }
    };
}
pub(crate) use set_checksum;
