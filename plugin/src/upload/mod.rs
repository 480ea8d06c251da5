//! Files become objects here: bytes to parts, parts in flight while encoding goes on, completion only of what is
//! proven complete, and nothing left open. Knows nothing of rows or formats and never holds a file as a whole.

mod closing;
mod error;
mod leftovers;
mod multipart;
pub mod notes;
mod objects;
pub mod proof;
pub mod sweep;

use std::collections::{BTreeMap, BTreeSet};

use crate::file::MAX_FILES;
use crate::imports::{Imports, Level};
use crate::s3::checksum::ObjectChecksum;
use crate::s3::client::{Client, Counts};
use crate::s3::request::Operation;

pub use error::UploadError;
pub use leftovers::Leftovers;
pub use objects::Seen;
pub use sweep::LeftOpen;

use closing::{ClosingFile, Step, Write};
use multipart::Multipart;
use notes::Note;

/// Most parts of an upload.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub const MAX_PARTS: u32 = 10_000;
/// Uploads open at once: one being written while the one before is being finished.
pub const UPLOADS_OPEN: usize = 2;
/// What is kept free at the end of an object for what an encoder still has inside when it is told to stop: a codec's
/// buffers, a row group, a footer, a row of the largest size.
pub const RESERVE_BYTES: u64 = 512 * 1024 * 1024;

/// Sizes that tests replace by small ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Every part but the last has exactly this size; at least 1.
    pub part_size_bytes: usize,
    pub max_parts: u32,
    /// [`Uploads::parts_exhausted`] says so once less than this is free.
    pub reserve_bytes: u64,
    /// Most files of one run.
    pub max_files: u32,
}

impl Limits {
    /// S3's limits with parts of this size; small parts keep a sixteenth free rather than [`RESERVE_BYTES`].
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
    /// As it stands in the header.
    pub etag: String,
    /// Of the object's bytes, as S3 shows it; absent where no checksum is configured.
    pub checksum: Option<ObjectChecksum>,
}

/// All files of one instance. After an error nothing but [`Uploads::abort_all`] makes sense.
pub struct Uploads<I: Imports> {
    pub(crate) client: Client<I>,
    limits: Limits,
    open: Option<OpenFile>,
    closing: Vec<ClosingFile>,
    stored: BTreeMap<u64, StoredFile>,
    files_opened: u64,
    /// Keys under which a repeated CreateMultipartUpload may have left an upload of unknown id.
    in_doubt: BTreeSet<String>,
    /// Uploads that are no more, to be told with the next note.
    closed: Vec<String>,
    /// Keys under which this attempt may have left an object that nobody should read.
    condemned: BTreeSet<String>,
    warnings: Vec<String>,
}

/// The file that is being written.
struct OpenFile {
    index: u64,
    key: String,
    content_type: &'static str,
    /// At most one part; sent only when more bytes come, so that a file of one part is one PUT.
    buffer: Vec<u8>,
    bytes: u64,
    upload: Option<Multipart>,
}

impl<I: Imports> Uploads<I> {
    /// No files yet.
    pub fn new(client: Client<I>, limits: Limits) -> Self {
        Uploads {
            client,
            limits,
            open: None,
            closing: Vec::new(),
            stored: BTreeMap::new(),
            files_opened: 0,
            in_doubt: BTreeSet::new(),
            closed: Vec::new(),
            condemned: BTreeSet::new(),
            warnings: Vec::new(),
        }
    }

    /// The host's side.
    pub fn imports(&self) -> &I {
        self.client.imports()
    }

    /// Requests made so far.
    pub fn counts(&self) -> Counts {
        self.client.counts()
    }

    /// What a person should know though nothing failed, since it was last asked for.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Sends what still waits for digests: before the caller goes away for a while.
    pub fn send_prepared(&mut self) {
        self.client.send_prepared();
    }

    /// Begin a file. Waits while [`UPLOADS_OPEN`] files are being finished.
    pub fn open(&mut self, key: String, content_type: &'static str) -> Result<(), UploadError> {
        if let Some(open) = &self.open {
            return Err(UploadError::Misuse {
                key,
                what: format!("`{}` is still being written", open.key),
            });
        }
        self.finish_down_to(UPLOADS_OPEN - 1)?;
        self.open = Some(OpenFile {
            index: self.files_opened,
            key,
            content_type,
            buffer: Vec::new(),
            bytes: 0,
            upload: None,
        });
        self.files_opened += 1;
        Ok(())
    }

    /// Append to the open file: one copy into the part that is being filled. Full parts are sent without waiting for
    /// their answers, unless the client's window is full.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), UploadError> {
        let part_size_bytes = self.limits.part_size_bytes;
        let capacity_bytes = self.limits.capacity_bytes();
        let mut file = self.take_open("bytes came for no file")?;
        if bytes.len() as u64 > capacity_bytes - file.bytes {
            let error = UploadError::TooManyParts {
                key: file.key.clone(),
                max_parts: self.limits.max_parts,
            };
            self.open = Some(file);
            return Err(error);
        }
        while !bytes.is_empty() {
            if file.buffer.len() == part_size_bytes {
                let sent = self.send_part(&mut file);
                if sent.is_err() {
                    self.open = Some(file);
                    return sent;
                }
            }
            if file.buffer.capacity() == 0 {
                file.buffer.reserve_exact(part_size_bytes);
            }
            let (now, later) = bytes.split_at(bytes.len().min(part_size_bytes - file.buffer.len()));
            file.buffer.extend_from_slice(now);
            file.bytes += now.len() as u64;
            bytes = later;
        }
        self.open = Some(file);
        self.advance()
    }

    /// Bytes written to the open file; 0 where there is none.
    pub fn bytes_written(&self) -> u64 {
        self.open.as_ref().map_or(0, |file| file.bytes)
    }

    /// Bytes that the open file still takes: a write of more fails and truncates nothing.
    pub fn remaining_bytes(&self) -> u64 {
        self.limits.capacity_bytes() - self.bytes_written()
    }

    /// Whether the open file nears the last part that S3 allows: close it and open the next.
    pub fn parts_exhausted(&self) -> bool {
        self.remaining_bytes() < self.limits.reserve_bytes
    }

    /// The open file has all its bytes: send what is left of it and finish it while the next is written.
    pub fn close(&mut self) -> Result<(), UploadError> {
        let mut file = self.take_open("no file is open to be closed")?;
        let step = if file.upload.is_some() {
            let sent = if file.buffer.is_empty() {
                Ok(())
            } else {
                self.send_part(&mut file)
            };
            if sent.is_err() {
                self.open = Some(file);
                return sent;
            }
            Step::Parts
        } else {
            let body = std::mem::take(&mut file.buffer);
            let operation = Operation::PutObject {
                key: file.key.clone(),
                content_type: file.content_type,
            };
            self.look_then(Write { operation, body })
        };
        self.closing.push(ClosingFile::new(file, step));
        self.advance()
    }

    /// Wait until every closed file is proven to be stored, and return them in the order in which they were opened.
    pub fn settle(&mut self) -> Result<Vec<StoredFile>, UploadError> {
        if let Some(open) = &self.open {
            return Err(UploadError::Misuse {
                key: open.key.clone(),
                what: "it is still being written".into(),
            });
        }
        self.finish_down_to(0)?;
        let left_open = self.sweep_in_doubt();
        self.warnings
            .extend(left_open.iter().map(LeftOpen::to_string));
        self.tell_closed();
        Ok(std::mem::take(&mut self.stored).into_values().collect())
    }

    /// Give up every file that is not stored, and delete what is stored and should not be read; returns what could not
    /// be cleaned up, and which objects were deleted.
    pub fn abort_all(&mut self) -> Vec<String> {
        let open = self
            .open
            .take()
            .and_then(|file| Some((file.key, file.upload?)));
        let mut uploads: Vec<(String, Multipart)> = open.into_iter().collect();
        for file in std::mem::take(&mut self.closing) {
            if let Some(ticket) = file.step.ticket() {
                self.client.cancel(ticket);
            }
            // A store that damaged one object may have damaged the others that it has not answered for.
            if file.upload.is_none() && self.client.saw_damage() {
                self.condemned.insert(file.key.clone());
            }
            uploads.extend(file.upload.map(|upload| (file.key, upload)));
        }
        for ticket in uploads.iter().flat_map(|(_, upload)| upload.tickets()) {
            self.client.cancel(ticket);
        }
        let mut left_open = Vec::new();
        for (key, upload) in uploads {
            left_open.extend(self.abort_upload(&key, upload.upload_id()).err());
        }
        left_open.extend(self.sweep_in_doubt());
        self.tell_closed();
        let mut remarks = self.take_warnings();
        remarks.extend(left_open.iter().map(LeftOpen::to_string));
        remarks.extend(self.delete_condemned());
        remarks
    }

    fn take_open(&mut self, what: &str) -> Result<OpenFile, UploadError> {
        self.open.take().ok_or_else(|| UploadError::Misuse {
            key: String::new(),
            what: what.into(),
        })
    }

    /// Hand the buffer over as the next part, beginning the upload first where it is none yet.
    fn send_part(&mut self, file: &mut OpenFile) -> Result<(), UploadError> {
        if file.upload.is_none() {
            self.begin_upload(file)?;
        }
        let Some(upload) = &mut file.upload else {
            return Err(UploadError::Misuse {
                key: file.key.clone(),
                what: "its upload has not begun".into(),
            });
        };
        let body = std::mem::take(&mut file.buffer);
        let bytes = body.len() as u64;
        let operation = Operation::UploadPart {
            key: file.key.clone(),
            upload_id: upload.upload_id().to_owned(),
            part_number: upload.next_number(),
        };
        let ticket = self.client.start(operation, body);
        upload.sent(ticket, bytes);
        upload.take_answers(&file.key, &mut self.client)?;
        self.advance()
    }

    fn begin_upload(&mut self, file: &mut OpenFile) -> Result<(), UploadError> {
        let (upload, begun) = self.create(&file.key, file.content_type);
        // From here on `abort_all` knows of it, even if what followed failed.
        file.upload = upload;
        self.condemn_after(&begun);
        begun
    }

    /// Note first, then create, then note the id: at no moment can a crash leave an upload that no note tells of. An
    /// upload that exists is returned even when something about it is wrong.
    pub(crate) fn create(
        &mut self,
        key: &str,
        content_type: &'static str,
    ) -> (Option<Multipart>, Result<(), UploadError>) {
        let begun = Note::Begun {
            key: key.to_owned(),
        };
        if let Err(error) = self.note(&begun) {
            return (None, Err(error));
        }
        let operation = Operation::CreateMultipartUpload {
            key: key.to_owned(),
            content_type,
        };
        let answer = self.client.call(operation, Vec::new());
        let (upload_id, encrypted) = match answer.result {
            Ok(reply) => {
                let encrypted = proof::confirms_encryption(key, &reply, self.client.target());
                (reply.into_upload_id(), encrypted)
            }
            Err(error) => {
                if answer.doubtful {
                    self.in_doubt.insert(key.to_owned());
                } else {
                    self.note_or_log(&Note::Settled {
                        key: key.to_owned(),
                    });
                }
                return (None, Err(error.into()));
            }
        };
        let upload = Multipart::new(upload_id.clone(), encrypted == Ok(true));
        let opened = Note::Opened {
            key: key.to_owned(),
            upload_id,
        };
        let mut noted = self.note(&opened);
        if answer.doubtful {
            // An earlier attempt may have created another upload, whose id nobody knows.
            noted = noted.and_then(|()| self.note(&begun));
            self.in_doubt.insert(key.to_owned());
        }
        (Some(upload), noted.and(encrypted.map(|_| ())))
    }

    /// Wait until at most `count` closed files are unfinished.
    fn finish_down_to(&mut self, count: usize) -> Result<(), UploadError> {
        self.advance()?;
        while self.closing.len() > count {
            let waited = self.client.progress();
            // Answers may have come in while another request was waited for.
            let taken = self.client.taken();
            self.advance()?;
            if !waited && self.client.taken() == taken && self.closing.len() > count {
                let key = self
                    .closing
                    .first()
                    .map(|file| file.key.clone())
                    .unwrap_or_default();
                return Err(UploadError::Misuse {
                    key,
                    what: "nothing is under way that would finish it".into(),
                });
            }
        }
        Ok(())
    }

    /// Take the answers that are there and start what they make possible; never waits for one, unless the client's
    /// window is full.
    fn advance(&mut self) -> Result<(), UploadError> {
        if let Some(OpenFile {
            key,
            upload: Some(upload),
            ..
        }) = &mut self.open
        {
            upload.take_answers(key, &mut self.client)?;
        }
        let mut position = 0;
        while position < self.closing.len() {
            let advanced = self.advance_closing(position);
            self.condemn_after(&advanced);
            match advanced? {
                Some(stored) => {
                    let file = self.closing.remove(position);
                    self.stored.insert(file.index, stored);
                }
                None => position += 1,
            }
        }
        Ok(())
    }

    /// Keeps a note durably, and with it which uploads no longer exist.
    pub(crate) fn note(&mut self, note: &Note) -> Result<(), UploadError> {
        let bytes = notes::with_closed(Some(note), &mut self.closed);
        Ok(self.imports().note(&bytes, true)?)
    }

    /// Keeps a note that only spares `recover` some work: it need not be durable.
    pub(crate) fn note_or_log(&mut self, note: &Note) {
        let bytes = notes::with_closed(Some(note), &mut self.closed);
        self.keep_or_log(&bytes);
    }

    /// Note the uploads that are no more, where no other note will take them along.
    pub(crate) fn tell_closed(&mut self) {
        while !self.closed.is_empty() {
            let bytes = notes::with_closed(None, &mut self.closed);
            self.keep_or_log(&bytes);
        }
    }

    fn keep_or_log(&self, note: &[u8]) {
        if let Err(error) = self.imports().note(note, false) {
            self.imports().log(
                Level::Warn,
                &format!("a note about a finished upload could not be kept: {error}"),
            );
        }
    }
}
