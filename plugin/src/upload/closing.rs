//! A file that has all its bytes on its way to being proven stored: its parts or its PUT, Complete, and the question
//! to the store where an answer left doubts. Writes no bytes of files.

use crate::imports::Imports;
use crate::s3::client::Ticket;
use crate::s3::error::S3Error;
use crate::s3::fingerprint::ObjectFingerprint;
use crate::s3::reply::Reply;
use crate::s3::request::{Operation, Target, complete_body};
use crate::upload::multipart::Multipart;
use crate::upload::objects::free_or_head;
use crate::upload::proof::{self, Expected, Proven, Question};
use crate::upload::{OpenFile, StoredFile, UploadError, Uploads};

/// A file that has all its bytes and is being finished.
pub(super) struct ClosingFile {
    pub(super) index: u64,
    pub(super) key: String,
    bytes: u64,
    /// Known once it is sent as a whole, or once all parts are acknowledged.
    fingerprint: ObjectFingerprint,
    pub(super) upload: Option<Multipart>,
    pub(super) step: Step,
}

pub(super) enum Step {
    /// With `if_none_match` HEAD asks first whether the key is free: some stores ignore the condition of a PUT or of
    /// CompleteMultipartUpload. The write waits here.
    Look { ticket: Ticket, write: Write },
    /// One PUT is under way.
    Put(Ticket),
    /// Parts are under way.
    Parts,
    /// CompleteMultipartUpload is under way.
    Complete(Ticket),
    /// The store's answer left open whether the object is ours: HEAD is under way.
    Prove {
        ticket: Ticket,
        question: Question,
        error: S3Error,
    },
}

/// What makes an object of the file: a PUT, or the Complete of its parts.
pub(super) struct Write {
    pub(super) operation: Operation,
    pub(super) body: Vec<u8>,
}

impl Step {
    /// The request that is under way, parts aside.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        match self {
            Step::Look { ticket, .. }
            | Step::Put(ticket)
            | Step::Complete(ticket)
            | Step::Prove { ticket, .. } => Some(*ticket),
            Step::Parts => None,
        }
    }
}

impl<I: Imports> Uploads<I> {
    /// The step that leads to this write.
    pub(super) fn look_then(&mut self, write: Write) -> Step {
        if !self.client.target().object.if_none_match {
            return self.start(write);
        }
        let key = write.operation.key().to_owned();
        let ticket = self.client.start(Operation::HeadObject { key }, Vec::new());
        Step::Look { ticket, write }
    }

    fn start(&mut self, Write { operation, body }: Write) -> Step {
        let is_put = operation.carries_data();
        let ticket = self.client.start(operation, body);
        match is_put {
            true => Step::Put(ticket),
            false => Step::Complete(ticket),
        }
    }

    /// One file's next step: parts, Complete, and where that left doubts the proof.
    pub(super) fn advance_closing(
        &mut self,
        position: usize,
    ) -> Result<Option<StoredFile>, UploadError> {
        let file = &mut self.closing[position];
        let Some(ticket) = file.step.ticket() else {
            return self.complete_if_acknowledged(position).map(|()| None);
        };
        let Some(answer) = self.client.take(ticket) else {
            return Ok(None);
        };
        // Replaced by the next step, or dropped with the file.
        match std::mem::replace(&mut file.step, Step::Parts) {
            Step::Parts => Ok(None),
            Step::Look { write, .. } => self.looked(position, write, answer.result),
            Step::Put(_) => {
                file.fingerprint = ObjectFingerprint::of_body(&answer.fingerprint);
                match answer.result {
                    Ok(reply) => {
                        proof::encrypted(&file.key, &reply, self.client.target())?;
                        Ok(Some(file.stored(reply.into_etag())))
                    }
                    Err(error) => self.prove(position, error, answer.doubtful).map(|()| None),
                }
            }
            Step::Complete(_) => match answer.result {
                Ok(reply) => self.completed(position, reply).map(Some),
                Err(error) => self.prove(position, error, answer.doubtful).map(|()| None),
            },
            Step::Prove {
                question, error, ..
            } => {
                let expected = file.expected(self.client.target());
                let proven = proof::judge(question, &error, answer.result, &expected)?;
                Ok(Some(self.accept(position, proven)))
            }
        }
    }

    /// The key is free, or taken: by what an earlier attempt of this run wrote, which will do if it is the same.
    fn looked(
        &mut self,
        position: usize,
        write: Write,
        head: Result<Reply, S3Error>,
    ) -> Result<Option<StoredFile>, UploadError> {
        let Some(head) = free_or_head(head)? else {
            let step = self.start(write);
            self.closing[position].step = step;
            return Ok(None);
        };
        let file = &mut self.closing[position];
        if write.operation.carries_data() {
            let body = self.client.fingerprint(write.body);
            file.fingerprint = ObjectFingerprint::of_body(&body);
        }
        let expected = file.expected(self.client.target());
        let proven = proof::recognise(&file.key, head, &expected)?;
        Ok(Some(self.accept(position, proven)))
    }

    fn complete_if_acknowledged(&mut self, position: usize) -> Result<(), UploadError> {
        let file = &mut self.closing[position];
        let Some(upload) = &mut file.upload else {
            return Err(UploadError::Misuse {
                key: file.key.clone(),
                what: "it has no upload to complete".into(),
            });
        };
        upload.take_answers(&file.key, &mut self.client)?;
        if !upload.is_acknowledged() {
            return Ok(());
        }
        let parts = upload.completed(&file.key, file.bytes)?;
        file.fingerprint = upload.fingerprint();
        let operation = Operation::CompleteMultipartUpload {
            key: file.key.clone(),
            upload_id: upload.upload_id().to_owned(),
            bytes: file.bytes,
            checksum: file.fingerprint.checksum().cloned(),
        };
        let body = complete_body(&parts);
        let step = self.look_then(Write { operation, body });
        self.closing[position].step = step;
        Ok(())
    }

    /// The upload is an object now: there is nothing to abort, whatever the answer says of it.
    fn completed(&mut self, position: usize, reply: Reply) -> Result<StoredFile, UploadError> {
        let file = &mut self.closing[position];
        let upload = file.upload.take();
        let said = upload.as_ref().is_some_and(Multipart::is_encrypted);
        let outcome = proof::checksum_confirmed(&file.key, reply.checksum(), &file.fingerprint)
            .and_then(|()| match said {
                // It may still say otherwise.
                true => {
                    proof::confirms_encryption(&file.key, &reply, self.client.target()).map(drop)
                }
                false => proof::encrypted(&file.key, &reply, self.client.target()),
            });
        let stored = file.stored(reply.into_etag());
        let upload_id = upload.map(|upload| upload.upload_id().to_owned());
        self.closed.extend(upload_id);
        outcome.map(|()| stored)
    }

    /// Ask the store what it holds where an error leaves open whether the object is there; other errors stand.
    fn prove(
        &mut self,
        position: usize,
        error: S3Error,
        doubtful: bool,
    ) -> Result<(), UploadError> {
        let file = &mut self.closing[position];
        let Some(question) = Question::left_by(&error, doubtful, file.upload.is_some()) else {
            return Err(error.into());
        };
        let ticket = self.client.start(
            Operation::HeadObject {
                key: file.key.clone(),
            },
            Vec::new(),
        );
        file.step = Step::Prove {
            ticket,
            question,
            error,
        };
        Ok(())
    }

    fn accept(&mut self, position: usize, proven: Proven) -> StoredFile {
        let file = &mut self.closing[position];
        let stored = file.stored(proven.etag);
        if let Some(upload) = file.upload.take() {
            let upload_id = upload.upload_id().to_owned();
            if proven.completed {
                self.closed.push(upload_id);
            } else {
                // An earlier attempt's object stands; this attempt's upload is not needed.
                let key = file.key.clone();
                let left_open = self.abort_upload(&key, &upload_id).err();
                self.warnings.extend(left_open.map(|left| left.to_string()));
            }
        }
        stored
    }
}

impl ClosingFile {
    pub(super) fn new(file: OpenFile, step: Step) -> Self {
        ClosingFile {
            index: file.index,
            key: file.key,
            bytes: file.bytes,
            fingerprint: ObjectFingerprint::None,
            upload: file.upload,
            step,
        }
    }

    fn expected<'a>(&'a self, target: &'a Target) -> Expected<'a> {
        Expected {
            target,
            bytes: self.bytes,
            fingerprint: &self.fingerprint,
            is_encrypted: self.upload.as_ref().is_some_and(Multipart::is_encrypted),
        }
    }

    fn stored(&self, etag: String) -> StoredFile {
        StoredFile {
            key: self.key.clone(),
            bytes: self.bytes,
            etag,
            checksum: self.fingerprint.checksum().cloned(),
        }
    }
}
