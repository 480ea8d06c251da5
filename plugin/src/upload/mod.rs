//! Turns files into objects: bytes become parts, parts are sent while encoding continues, only what is proven complete
//! is completed, and nothing is left open. Knows nothing about rows or formats and never holds a whole file.

mod closing;
mod error;
mod leftovers;
mod multipart;
pub mod notes;
mod objects;
pub mod proof;
mod store;
pub mod sweep;

use std::collections::BTreeMap;

use crate::failure::Explanation;
use crate::file::MAX_FILES;
use crate::imports::Imports;
use crate::s3::checksum::ObjectChecksum;
use crate::s3::client::{Client, Counts, WINDOW_REQUESTS};
use crate::s3::request::Operation;

pub use error::UploadError;
pub use leftovers::Leftovers;
pub use objects::Seen;
pub(crate) use store::NotBegun;
pub use store::Store;
pub use sweep::LeftOpen;

use closing::{Advanced, ClosingFile};
use multipart::Multipart;

/// Maximum number of parts of an upload.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub const MAX_PARTS: u32 = 10_000;
/// Maximum number of open uploads: one being written while the previous one is being finished.
pub const UPLOADS_OPEN: usize = 2;
/// Files open at once, most of which are one PUT each: as many as the client sends at once, and the one being written.
pub const FILES_OPEN: usize = WINDOW_REQUESTS + 1;
/// Parts in flight at once, in bytes: enough to keep a link busy while one is encoded, and as many payloads of the
/// host's memory. Smaller bodies share the same bytes.
pub const PARTS_IN_FLIGHT: usize = 4;
/// Room kept free at the end of an object for what an encoder still buffers when it is told to stop: a codec's buffers,
/// a row group, a footer, a row of the largest size.
pub const RESERVE_BYTES: u64 = 512 * 1024 * 1024;

/// Sizes, which tests replace with small ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Every part but the last has exactly this size; at least 1.
    pub part_size_bytes: usize,
    pub max_parts: u32,
    /// [`OpenFile::parts_exhausted`] becomes true once less than this is free.
    pub reserve_bytes: u64,
    /// Maximum number of files of one run.
    pub max_files: u32,
}

impl Limits {
    /// Returns S3's limits with parts of this size; with small parts a sixteenth is kept free instead of
    /// [`RESERVE_BYTES`].
    pub fn with_part_size(part_size_bytes: usize) -> Self {
        let capacity_bytes = part_size_bytes as u64 * u64::from(MAX_PARTS);
        Limits {
            part_size_bytes,
            max_parts: MAX_PARTS,
            reserve_bytes: RESERVE_BYTES.min(capacity_bytes / 16),
            max_files: MAX_FILES,
        }
    }

    fn capacity_bytes(&self) -> u64 {
        self.part_size_bytes as u64 * u64::from(self.max_parts)
    }
}

/// An object that is proven to be in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    pub key: String,
    pub bytes: u64,
    /// Exactly as in the header.
    pub etag: String,
    /// Of the object's bytes, as S3 shows it; absent where no checksum is configured.
    pub checksum: Option<ObjectChecksum>,
}

/// What remains of the files that were given up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    /// Uploads that could not be aborted.
    pub left_open: Vec<LeftOpen>,
    /// What happened to objects that nobody should read.
    pub condemned: Vec<Explanation>,
}

/// All files of one instance. After an error, only [`Uploads::abort_all`] makes sense.
pub struct Uploads<I: Imports> {
    store: Store<I>,
    limits: Limits,
    closing: Vec<ClosingFile>,
    stored: BTreeMap<u64, StoredFile>,
    files_opened: u64,
}

/// A file that is being written. Dropping it leaves its upload to [`Uploads::abort_all`].
pub struct OpenFile {
    index: u64,
    key: String,
    content_type: &'static str,
    limits: Limits,
    /// At most one part; sent only when more bytes arrive, so that a file of one part is one PUT.
    buffer: Vec<u8>,
    bytes: u64,
    upload: Option<Multipart>,
}

impl OpenFile {
    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        self.bytes
    }

    /// Returns how many more bytes the file can take: writing more fails without truncating anything.
    pub fn remaining_bytes(&self) -> u64 {
        self.limits.capacity_bytes() - self.bytes
    }

    /// Returns whether the file is near the last part that S3 allows: close it and open the next.
    pub fn parts_exhausted(&self) -> bool {
        self.remaining_bytes() < self.limits.reserve_bytes
    }
}

impl<I: Imports> Uploads<I> {
    /// Starts without files.
    pub fn new(client: Client<I>, limits: Limits) -> Self {
        let window_bytes = PARTS_IN_FLIGHT as u64 * limits.part_size_bytes as u64;
        Uploads {
            store: Store::new(client.with_window_bytes(window_bytes)),
            limits,
            closing: Vec::new(),
            stored: BTreeMap::new(),
            files_opened: 0,
        }
    }

    /// Returns the store, for objects other than data files.
    pub fn store(&mut self) -> &mut Store<I> {
        &mut self.store
    }

    /// Returns the host's side.
    pub fn imports(&self) -> &I {
        self.store.client.imports()
    }

    /// Returns the number of requests made so far.
    pub fn counts(&self) -> Counts {
        self.store.client.counts()
    }

    /// Takes the uploads that were not needed but could not be aborted, since the last call.
    pub fn take_left_open(&mut self) -> Vec<LeftOpen> {
        self.store.take_left_open()
    }

    /// Sends what still waits for digests, before the caller is busy for a while.
    pub fn send_prepared(&mut self) {
        self.store.client.send_prepared();
    }

    /// Begins a file. Waits until with it no more than [`FILES_OPEN`] files and [`UPLOADS_OPEN`] uploads are open.
    pub fn open(&mut self, key: String, content_type: &'static str) -> Result<OpenFile, UploadError> {
        self.finish_until(|closing| {
            let uploads = closing.iter().filter(|file| !file.is_one_put()).count();
            closing.len() < FILES_OPEN && uploads < UPLOADS_OPEN
        })?;
        let index = self.files_opened;
        self.files_opened += 1;
        Ok(OpenFile {
            index,
            key,
            content_type,
            limits: self.limits,
            buffer: Vec::new(),
            bytes: 0,
            upload: None,
        })
    }

    /// Appends to a file: one copy into the part that is being filled. Full parts are sent without waiting for their
    /// outcomes, unless the client's window is full.
    pub fn write(&mut self, file: &mut OpenFile, mut bytes: &[u8]) -> Result<(), UploadError> {
        let part_size_bytes = self.limits.part_size_bytes;
        if bytes.len() as u64 > file.remaining_bytes() {
            return Err(UploadError::TooManyParts {
                key: file.key.clone(),
                max_parts: self.limits.max_parts,
            });
        }
        while !bytes.is_empty() {
            if file.buffer.len() == part_size_bytes {
                self.send_part(file)?;
            }
            if file.buffer.capacity() == 0 {
                file.buffer.reserve_exact(part_size_bytes);
            }
            let (now, later) = bytes.split_at(bytes.len().min(part_size_bytes - file.buffer.len()));
            file.buffer.extend_from_slice(now);
            file.bytes += now.len() as u64;
            bytes = later;
        }
        self.take_outcomes(file)?;
        self.advance()
    }

    /// Closes a file that has all its bytes: sends the rest and finishes it while the next file is written.
    pub fn close(&mut self, mut file: OpenFile) -> Result<(), UploadError> {
        if file.upload.is_some() && !file.buffer.is_empty() {
            self.send_part(&mut file)?;
        }
        self.closing.push(ClosingFile::new(file, &mut self.store));
        self.advance()
    }

    /// Waits until every closed file is proven to be stored, and returns them in the order in which they were opened.
    pub fn settle(&mut self) -> Result<Vec<StoredFile>, UploadError> {
        self.finish_until(<[_]>::is_empty)?;
        self.store.settle();
        Ok(std::mem::take(&mut self.stored).into_values().collect())
    }

    /// Gives up every file that is not stored, and deletes what is stored and should not be read.
    pub fn abort_all(&mut self) -> Remains {
        self.store.client.drain();
        for file in std::mem::take(&mut self.closing) {
            let (key, is_one_put) = (file.key().to_owned(), file.is_one_put());
            if let Err(error) = file.give_up(&mut self.store) {
                self.store.condemn_after(&error);
            }
            self.condemn_if_damaged(&key, is_one_put);
        }
        self.store.client.cancel_all();
        let mut left_open = self.take_left_open();
        left_open.extend(self.store.abort_open());
        Remains {
            left_open,
            condemned: self.store.delete_condemned(),
        }
    }

    /// Condemns objects without a response: a store that damaged one object may have damaged these as well.
    fn condemn_if_damaged(&mut self, key: &str, is_one_put: bool) {
        if is_one_put && self.store.client.saw_damage() {
            self.store.condemned.insert(key.to_owned());
        }
    }

    /// Hands the buffer over as the next part, beginning the upload first where there is none yet.
    fn send_part(&mut self, file: &mut OpenFile) -> Result<(), UploadError> {
        let upload = match &mut file.upload {
            Some(upload) => upload,
            slot @ None => {
                let begun = self.store.create(&file.key, file.content_type);
                slot.insert(begun.map_err(|NotBegun { error, .. }| {
                    self.store.condemn_after(&error);
                    *error
                })?)
            }
        };
        let body = std::mem::take(&mut file.buffer);
        let bytes = body.len() as u64;
        let operation = Operation::UploadPart {
            key: file.key.clone(),
            upload_id: upload.upload_id().to_owned(),
            part_number: upload.next_number(),
        };
        let ticket = self.store.client.start(operation, body);
        upload.sent(ticket, bytes);
        self.take_outcomes(file)?;
        self.advance()
    }

    fn take_outcomes(&mut self, file: &mut OpenFile) -> Result<(), UploadError> {
        match &mut file.upload {
            Some(upload) => upload.take_outcomes(&file.key, &mut self.store.client),
            None => Ok(()),
        }
    }

    /// Waits until so much of what is closed is finished.
    fn finish_until(&mut self, enough: impl Fn(&[ClosingFile]) -> bool) -> Result<(), UploadError> {
        self.advance()?;
        while !enough(&self.closing) {
            let waited = self.store.client.progress();
            // Outcomes may have arrived while another request was awaited.
            let taken = self.store.client.taken();
            self.advance()?;
            if !waited
                && self.store.client.taken() == taken
                && let Some(file) = self.closing.first()
            {
                return Err(UploadError::Incomplete {
                    key: file.key().to_owned(),
                    what: "nothing that would finish it is in progress".into(),
                });
            }
        }
        Ok(())
    }

    /// Takes the outcomes that are there and starts what they make possible; never waits for one, unless the client's
    /// window is full.
    fn advance(&mut self) -> Result<(), UploadError> {
        let mut files = std::mem::take(&mut self.closing).into_iter();
        while let Some(file) = files.next() {
            let (index, key, is_one_put) = (file.index, file.key().to_owned(), file.is_one_put());
            match file.advance(&mut self.store) {
                Ok(Advanced::Closing(file)) => self.closing.push(file),
                Ok(Advanced::Stored(stored)) => {
                    self.stored.insert(index, stored);
                }
                Err(error) => {
                    self.closing.extend(files);
                    self.store.condemn_after(&error);
                    self.condemn_if_damaged(&key, is_one_put);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
