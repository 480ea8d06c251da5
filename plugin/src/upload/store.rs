//! The store as one attempt uses it: what it has open there, what it noted, and what it must clean up before it ends.
//! Knows nothing about files and their order.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::{Imports, Level};
use crate::s3::client::Client;
use crate::s3::reply::Created;
use crate::s3::request::Operation;
use crate::upload::multipart::Multipart;
use crate::upload::notes::{self, Note};
use crate::upload::sweep::{self, LeftOpen};
use crate::upload::{UploadError, proof};

/// One attempt's view of the store.
pub struct Store<I: Imports> {
    pub(crate) client: Client<I>,
    /// Existing uploads: their keys by id.
    open: BTreeMap<String, String>,
    /// Keys under which a repeated CreateMultipartUpload may have left an upload with an unknown id.
    in_doubt: BTreeSet<String>,
    /// Uploads that no longer exist, to be recorded with the next note.
    closed: Vec<String>,
    /// Keys under which this attempt may have left an object that nobody should read.
    pub(super) condemned: BTreeSet<String>,
    /// Uploads that were not needed but could not be aborted.
    left_open: Vec<LeftOpen>,
}

/// An upload that could not be started as requested; if it exists, it is aborted with everything else that is open.
#[derive(Debug)]
pub(crate) struct NotBegun {
    /// Absent if no upload exists, or none with a known id.
    pub(crate) upload_id: Option<String>,
    pub(crate) error: Box<UploadError>,
}

impl<I: Imports> Store<I> {
    /// Starts with nothing open.
    pub fn new(client: Client<I>) -> Self {
        Store {
            client,
            open: BTreeMap::new(),
            in_doubt: BTreeSet::new(),
            closed: Vec::new(),
            condemned: BTreeSet::new(),
            left_open: Vec::new(),
        }
    }

    /// Takes the uploads that were not needed but could not be aborted, since the last call.
    pub(super) fn take_left_open(&mut self) -> Vec<LeftOpen> {
        std::mem::take(&mut self.left_open)
    }

    /// Begins an upload. Notes first, then creates, then notes the id: a crash can never leave an upload that no note
    /// mentions.
    pub(crate) fn create(&mut self, key: &str, content_type: &'static str) -> Result<Multipart, NotBegun> {
        let nothing = |error| NotBegun {
            upload_id: None,
            error: Box::new(error),
        };
        let begun = Note::Begun { key: key.to_owned() };
        self.note(&begun).map_err(nothing)?;
        let operation = Operation::CreateMultipartUpload {
            key: key.to_owned(),
            content_type,
        };
        let outcome = self.client.call::<Created>(operation, Vec::new());
        let Created { upload_id, encryption } = match outcome.result {
            Ok(created) => created,
            Err(error) => {
                if outcome.doubtful {
                    self.in_doubt.insert(key.to_owned());
                } else {
                    self.note_or_log(&Note::Settled { key: key.to_owned() });
                }
                return Err(nothing(error.into()));
            }
        };
        self.open.insert(upload_id.clone(), key.to_owned());
        let opened = Note::Opened {
            key: key.to_owned(),
            upload_id: upload_id.clone(),
        };
        let mut noted = self.note(&opened);
        if outcome.doubtful {
            // An earlier attempt may have created another upload, whose id is unknown.
            noted = noted.and_then(|()| self.note(&begun));
            self.in_doubt.insert(key.to_owned());
        }
        let encrypted = proof::confirms_encryption(key, &encryption, self.client.target());
        match noted.and(encrypted) {
            Ok(is_encrypted) => Ok(Multipart::new(upload_id, is_encrypted)),
            Err(error) => Err(NotBegun {
                upload_id: Some(upload_id),
                error: Box::new(error),
            }),
        }
    }

    /// Records that the upload was completed and no longer exists.
    pub(super) fn is_gone(&mut self, upload_id: &str) {
        self.open.remove(upload_id);
        self.closed.push(upload_id.to_owned());
    }

    /// Aborts an upload that is not needed.
    pub(super) fn abort_or_warn(&mut self, key: &str, upload_id: &str) {
        self.open.remove(upload_id);
        match sweep::abort(&mut self.client, key, upload_id) {
            Ok(_) => self.closed.push(upload_id.to_owned()),
            Err(left) => self.left_open.push(left),
        }
    }

    /// Aborts every upload that is or may be open, and notes which are gone; returns what remains open.
    pub(crate) fn abort_open(&mut self) -> Vec<LeftOpen> {
        let mut all_left_open = Vec::new();
        for (upload_id, key) in std::mem::take(&mut self.open) {
            match sweep::abort(&mut self.client, &key, &upload_id) {
                Ok(_) => self.closed.push(upload_id),
                Err(left) => all_left_open.push(left),
            }
        }
        all_left_open.extend(self.sweep_in_doubt());
        self.tell_closed();
        all_left_open
    }

    /// Cleans up what repeated requests may have left once the files are stored; what remains is reported as a warning.
    pub(super) fn settle(&mut self) {
        let left_open = self.sweep_in_doubt();
        self.left_open.extend(left_open);
        self.tell_closed();
    }

    /// Cleans up under the keys where a repeated CreateMultipartUpload may have left an upload with an unknown id.
    fn sweep_in_doubt(&mut self) -> Vec<LeftOpen> {
        let mut all_left_open = Vec::new();
        for key in std::mem::take(&mut self.in_doubt) {
            let keep: Vec<&str> = self.open.keys().map(String::as_str).collect();
            let (_, left_open) = sweep::sweep(&mut self.client, &key, &keep);
            if left_open.is_empty() {
                self.note_or_log(&Note::Settled { key });
            }
            all_left_open.extend(left_open);
        }
        all_left_open
    }

    /// Saves a note durably, including which uploads no longer exist.
    fn note(&mut self, note: &Note) -> Result<(), UploadError> {
        let bytes = notes::with_closed(Some(note), &mut self.closed);
        Ok(self.client.imports().note(&bytes, true)?)
    }

    /// Saves a note that only saves `recover` some work, so it need not be durable.
    fn note_or_log(&mut self, note: &Note) {
        let bytes = notes::with_closed(Some(note), &mut self.closed);
        self.keep_or_log(&bytes);
    }

    /// Notes the uploads that no longer exist if no other note will include them.
    fn tell_closed(&mut self) {
        while !self.closed.is_empty() {
            let bytes = notes::with_closed(None, &mut self.closed);
            self.keep_or_log(&bytes);
        }
    }

    fn keep_or_log(&self, note: &[u8]) {
        let imports = self.client.imports();
        if let Err(error) = imports.note(note, false) {
            imports.log(
                Level::Warn,
                &format!(
                    "could not save a note about a finished upload: {}",
                    error.explanation().message
                ),
            );
        }
    }
}
