//! The store's contents: buckets, objects and open uploads; never the bytes themselves (see `storage`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::checksum::{Algorithm, Checksum};
use crate::storage::{Folder, ObjectData, PartData};

/// Buckets by name.
pub(crate) type Buckets = BTreeMap<String, Bucket>;

#[derive(Default)]
pub(crate) struct Bucket {
    pub objects: BTreeMap<String, Arc<Object>>,
    /// By upload id.
    pub uploads: BTreeMap<String, Upload>,
}

/// A finished object.
pub(crate) struct Object {
    pub data: ObjectData,
    pub size_bytes: u64,
    /// Without quotes.
    pub etag: String,
    pub checksum: Option<Checksum>,
    pub attributes: Attributes,
    pub modified: SystemTime,
    /// Sizes of the parts it was uploaded in; empty after a single PUT.
    pub part_sizes_bytes: Vec<u64>,
}

/// An open multipart upload.
pub(crate) struct Upload {
    pub key: String,
    pub initiated: SystemTime,
    pub attributes: Attributes,
    pub checksum: Option<UploadChecksum>,
    pub parts: BTreeMap<u16, Arc<Part>>,
}

/// The checksum that an upload was created with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UploadChecksum {
    pub algorithm: Algorithm,
    /// Composite if not over the full object.
    pub full_object: bool,
}

impl UploadChecksum {
    /// As in `x-amz-checksum-type`.
    pub fn type_name(self) -> &'static str {
        if self.full_object { "FULL_OBJECT" } else { "COMPOSITE" }
    }
}

/// One uploaded part.
pub(crate) struct Part {
    pub data: PartData,
    pub size_bytes: u64,
    pub md5: [u8; 16],
    pub checksum: Option<Checksum>,
    pub modified: SystemTime,
}

/// The form in which a folder remembers an object.
#[derive(Serialize, Deserialize)]
struct IndexEntry {
    key: String,
    file: PathBuf,
    size_bytes: u64,
    etag: String,
    checksum: Option<Checksum>,
    attributes: Attributes,
    modified_ms: u64,
    part_sizes_bytes: Vec<u64>,
}

/// Remembers an object next to its file.
pub(crate) fn save(folder: &Folder, bucket: &str, key: &str, object: &Object) -> io::Result<()> {
    let ObjectData::File(file) = &object.data else {
        return Ok(());
    };
    let age = object.modified.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    let entry = IndexEntry {
        key: key.to_owned(),
        file: file.clone(),
        size_bytes: object.size_bytes,
        etag: object.etag.clone(),
        checksum: object.checksum.clone(),
        attributes: object.attributes.clone(),
        modified_ms: u64::try_from(age.as_millis()).map_err(io::Error::other)?,
        part_sizes_bytes: object.part_sizes_bytes.clone(),
    };
    folder.write_whole(&folder.index_entry(bucket, key), &serde_json::to_vec_pretty(&entry)?)
}

/// Forgets an object.
pub(crate) fn forget(folder: &Folder, bucket: &str, key: &str) -> io::Result<()> {
    fs::remove_file(folder.index_entry(bucket, key))
}

/// Returns the objects that an earlier process left in the folder, except those whose file was removed or changed in
/// size.
pub(crate) fn load(folder: &Folder, bucket: &str) -> io::Result<BTreeMap<String, Arc<Object>>> {
    let mut objects = BTreeMap::new();
    for file in fs::read_dir(folder.index(bucket))? {
        let entry: IndexEntry = serde_json::from_slice(&fs::read(file?.path())?)?;
        if !fs::metadata(&entry.file).is_ok_and(|file| file.is_file() && file.len() == entry.size_bytes) {
            continue;
        }
        let object = Object {
            data: ObjectData::File(entry.file),
            size_bytes: entry.size_bytes,
            etag: entry.etag,
            checksum: entry.checksum,
            attributes: entry.attributes,
            modified: UNIX_EPOCH + Duration::from_millis(entry.modified_ms),
            part_sizes_bytes: entry.part_sizes_bytes,
        };
        objects.insert(entry.key, Arc::new(object));
    }
    Ok(objects)
}
