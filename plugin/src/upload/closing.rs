//! Finishes a file: sends its parts or its PUT, completes it, and asks the store what it holds if a response leaves
//! doubts. Writes no file contents.

use crate::imports::Imports;
use crate::s3::client::Ticket;
use crate::s3::error::S3Error;
use crate::s3::fingerprint::ObjectFingerprint;
use crate::s3::reply::{ObjectHead, Stored};
use crate::s3::request::{Operation, Target, complete_body};
use crate::upload::multipart::Multipart;
use crate::upload::objects::free_or_head;
use crate::upload::proof::{self, Expected, Proven, Question};
use crate::upload::store::Store;
use crate::upload::{OpenFile, StoredFile, UploadError};

/// A file that has all its bytes and is being finished.
pub(super) struct ClosingFile {
    pub(super) index: u64,
    facts: Facts,
    step: Step,
}

/// What is known about the file.
struct Facts {
    key: String,
    bytes: u64,
    /// Known once it is sent in one request, or once all parts are acknowledged.
    fingerprint: ObjectFingerprint,
    /// The upload whose parts are all acknowledged; `None` if the file is one PUT.
    upload: Option<Acknowledged>,
}

/// An upload that only lacks its completion.
struct Acknowledged {
    upload_id: String,
    is_encrypted: bool,
}

enum Step {
    /// Parts are in progress.
    Parts(Multipart),
    /// With `if_none_match`, HEAD first checks that the key is free, because some stores ignore the condition of a PUT
    /// or of CompleteMultipartUpload. The write waits here.
    Look { ticket: Ticket, write: Write },
    /// One PUT is in progress.
    Put(Ticket),
    /// CompleteMultipartUpload is in progress.
    Complete(Ticket),
    /// The store's response did not show whether the object is ours: HEAD is in progress.
    Prove {
        ticket: Ticket,
        question: Question,
        error: S3Error,
    },
}

/// The request that turns the file into an object: a PUT, or the Complete of its parts.
struct Write {
    operation: Operation,
    body: Vec<u8>,
}

/// The progress of a file.
pub(super) enum Advanced {
    Closing(ClosingFile),
    Stored(StoredFile),
}

impl Step {
    /// Returns the step that leads to this write.
    fn look_then<I: Imports>(store: &mut Store<I>, write: Write) -> Self {
        if !store.client.target().object.if_none_match {
            return Step::write(store, write);
        }
        let key = write.operation.key().to_owned();
        let ticket = store.client.start(Operation::HeadObject { key }, Vec::new());
        Step::Look { ticket, write }
    }

    fn write<I: Imports>(store: &mut Store<I>, Write { operation, body }: Write) -> Self {
        let is_put = operation.carries_data();
        let ticket = store.client.start(operation, body);
        match is_put {
            true => Step::Put(ticket),
            false => Step::Complete(ticket),
        }
    }
}

impl ClosingFile {
    /// Begins to finish a file; if it has parts, its last part is sent.
    pub(super) fn new<I: Imports>(file: OpenFile, store: &mut Store<I>) -> Self {
        let OpenFile {
            index,
            key,
            content_type,
            buffer,
            bytes,
            upload,
            ..
        } = file;
        let step = match upload {
            Some(upload) => Step::Parts(upload),
            None => {
                let operation = Operation::PutObject {
                    key: key.clone(),
                    content_type,
                };
                let write = Write {
                    operation,
                    body: buffer,
                };
                Step::look_then(store, write)
            }
        };
        ClosingFile {
            index,
            facts: Facts {
                key,
                bytes,
                fingerprint: ObjectFingerprint::None,
                upload: None,
            },
            step,
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.facts.key
    }

    /// Returns whether the file is one PUT, which cannot be aborted.
    pub(super) fn is_one_put(&self) -> bool {
        self.facts.upload.is_none() && !matches!(self.step, Step::Parts(_))
    }

    /// Takes the store's response to the write of the object, if there is one: an error may condemn the object. Starts
    /// nothing else.
    pub(super) fn give_up<I: Imports>(self, store: &mut Store<I>) -> Result<(), UploadError> {
        match self.step {
            Step::Put(ticket) => match store.client.take::<Stored>(ticket) {
                Some(put) => proof::encrypted(&self.facts.key, &put.result?.encryption, store.client.target()),
                None => Ok(()),
            },
            Step::Complete(ticket) => match store.client.take::<Stored>(ticket) {
                Some(complete) => self.facts.completed(complete.result?, store).map(|_| ()),
                None => Ok(()),
            },
            Step::Parts(_) | Step::Look { .. } | Step::Prove { .. } => Ok(()),
        }
    }

    /// Takes the outcome that is available and starts what it makes possible: parts, Complete, and the proof if that
    /// left doubts.
    pub(super) fn advance<I: Imports>(mut self, store: &mut Store<I>) -> Result<Advanced, UploadError> {
        match self.step {
            Step::Parts(mut upload) => {
                upload.take_outcomes(&self.facts.key, &mut store.client)?;
                self.step = match upload.is_acknowledged() {
                    false => Step::Parts(upload),
                    true => self.facts.complete(upload, store)?,
                };
            }
            Step::Look { ticket, write } => match store.client.take(ticket) {
                None => self.step = Step::Look { ticket, write },
                Some(head) => match free_or_head(head.result)? {
                    None => self.step = Step::write(store, write),
                    Some(head) => return self.facts.found(write, head, store),
                },
            },
            Step::Put(ticket) => match store.client.take::<Stored>(ticket) {
                None => {}
                Some(put) => {
                    self.facts.fingerprint = ObjectFingerprint::of_body(&put.fingerprint);
                    match put.result {
                        Ok(stored) => {
                            let target = store.client.target();
                            proof::encrypted(&self.facts.key, &stored.encryption, target)?;
                            return Ok(self.facts.stored(stored.etag));
                        }
                        Err(error) => self.step = self.facts.ask(error, put.doubtful, store)?,
                    }
                }
            },
            Step::Complete(ticket) => match store.client.take::<Stored>(ticket) {
                None => {}
                Some(complete) => match complete.result {
                    Ok(stored) => return self.facts.completed(stored, store),
                    Err(error) => self.step = self.facts.ask(error, complete.doubtful, store)?,
                },
            },
            Step::Prove {
                ticket,
                question,
                error,
            } => match store.client.take(ticket) {
                None => {
                    self.step = Step::Prove {
                        ticket,
                        question,
                        error,
                    };
                }
                Some(head) => {
                    let expected = self.facts.expected(store.client.target());
                    let proven = proof::judge(question, &error, head.result, &expected)?;
                    return Ok(self.facts.accept(proven, store));
                }
            },
        }
        Ok(Advanced::Closing(self))
    }
}

impl Facts {
    /// Completes the upload once every part is acknowledged.
    fn complete<I: Imports>(&mut self, upload: Multipart, store: &mut Store<I>) -> Result<Step, UploadError> {
        let parts = upload.completed(&self.key, self.bytes)?;
        self.fingerprint = upload.fingerprint();
        let upload_id = upload.upload_id().to_owned();
        let operation = Operation::CompleteMultipartUpload {
            key: self.key.clone(),
            upload_id: upload_id.clone(),
            bytes: self.bytes,
            checksum: self.fingerprint.checksum().cloned(),
        };
        self.upload = Some(Acknowledged {
            upload_id,
            is_encrypted: upload.is_encrypted(),
        });
        let body = complete_body(&parts);
        Ok(Step::look_then(store, Write { operation, body }))
    }

    /// Handles a key that is taken: an object that an earlier attempt of this run wrote is accepted if it is identical.
    fn found<I: Imports>(
        mut self,
        write: Write,
        head: ObjectHead,
        store: &mut Store<I>,
    ) -> Result<Advanced, UploadError> {
        if write.operation.carries_data() {
            let body = store.client.fingerprint(write.body);
            self.fingerprint = ObjectFingerprint::of_body(&body);
        }
        let expected = self.expected(store.client.target());
        let proven = proof::recognise(&self.key, head, &expected)?;
        Ok(self.accept(proven, store))
    }

    /// Notes that the upload is now an object: there is nothing to abort, whatever the response says about it.
    fn completed<I: Imports>(self, stored: Stored, store: &mut Store<I>) -> Result<Advanced, UploadError> {
        if let Some(upload) = &self.upload {
            store.is_gone(&upload.upload_id);
        }
        let target = store.client.target();
        proof::checksum_confirmed(&self.key, stored.checksum.as_deref(), &self.fingerprint)?;
        match self.is_encrypted() {
            // It may still say otherwise.
            true => {
                proof::confirms_encryption(&self.key, &stored.encryption, target)?;
            }
            false => proof::encrypted(&self.key, &stored.encryption, target)?,
        }
        Ok(self.stored(stored.etag))
    }

    /// Asks the store what it holds if an error does not show whether the object exists; other errors are returned
    /// unchanged.
    fn ask<I: Imports>(&self, error: S3Error, doubtful: bool, store: &mut Store<I>) -> Result<Step, UploadError> {
        let Some(question) = Question::left_by(&error, doubtful, self.upload.is_some()) else {
            return Err(error.into());
        };
        let operation = Operation::HeadObject { key: self.key.clone() };
        Ok(Step::Prove {
            ticket: store.client.start(operation, Vec::new()),
            question,
            error,
        })
    }

    fn accept<I: Imports>(self, proven: Proven, store: &mut Store<I>) -> Advanced {
        if let Some(upload) = &self.upload {
            match proven.completed {
                true => store.is_gone(&upload.upload_id),
                // An earlier attempt's object is kept; this attempt's upload is not needed.
                false => store.abort_or_warn(&self.key, &upload.upload_id),
            }
        }
        self.stored(proven.etag)
    }

    fn is_encrypted(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.is_encrypted)
    }

    fn expected<'a>(&'a self, target: &'a Target) -> Expected<'a> {
        Expected {
            target,
            bytes: self.bytes,
            fingerprint: &self.fingerprint,
            is_encrypted: self.is_encrypted(),
        }
    }

    fn stored(self, etag: String) -> Advanced {
        Advanced::Stored(StoredFile {
            checksum: self.fingerprint.checksum().cloned(),
            key: self.key,
            bytes: self.bytes,
            etag,
        })
    }
}
