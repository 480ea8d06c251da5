//! A file that has all its bytes on its way to being proven stored: its parts or its PUT, Complete, and the question
//! to the store where an answer left doubts. Writes no bytes of files.

use crate::imports::Imports;
use crate::s3::checksum::{ObjectChecksum, of_object};
use crate::s3::client::Ticket;
use crate::s3::error::S3Error;
use crate::s3::reply::Reply;
use crate::s3::request::{Operation, complete_body};
use crate::upload::multipart::Multipart;
use crate::upload::notes::Note;
use crate::upload::proof::{self, Question};
use crate::upload::{StoredFile, UploadError, Uploads};

/// A file that has all its bytes and is being finished.
pub(super) struct ClosingFile {
    pub(super) index: u64,
    pub(super) key: String,
    pub(super) bytes: u64,
    /// Known once it is sent as a whole, or once all parts are acknowledged.
    pub(super) checksum: Option<ObjectChecksum>,
    pub(super) upload: Option<Multipart>,
    pub(super) step: Step,
}

pub(super) enum Step {
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

impl<I: Imports> Uploads<I> {
    /// One file's next step: parts, Complete, and where that left doubts the proof.
    pub(super) fn advance_closing(
        &mut self,
        position: usize,
    ) -> Result<Option<StoredFile>, UploadError> {
        let file = &mut self.closing[position];
        match &file.step {
            Step::Parts => self.complete_if_acknowledged(position).map(|()| None),
            Step::Put(ticket) => {
                let Some(answer) = self.client.take(*ticket) else {
                    return Ok(None);
                };
                file.checksum = of_object([answer.checksum.as_ref()]);
                match answer.result {
                    Ok(reply) => {
                        proof::encrypted(&file.key, &reply, self.client.target())?;
                        Ok(Some(file.stored(reply.into_etag())))
                    }
                    Err(error) => self.prove(position, error, answer.doubtful).map(|()| None),
                }
            }
            Step::Complete(ticket) => {
                let Some(answer) = self.client.take(*ticket) else {
                    return Ok(None);
                };
                match answer.result {
                    Ok(reply) => {
                        let reported = reply.checksum().map(str::to_owned);
                        if proof::contradicts(reported.as_deref(), file.checksum.as_ref()) {
                            return Err(UploadError::Corrupt {
                                key: file.key.clone(),
                            });
                        }
                        let stored = file.stored(reply.into_etag());
                        self.close_note(position);
                        Ok(Some(stored))
                    }
                    Err(error) => self.prove(position, error, answer.doubtful).map(|()| None),
                }
            }
            Step::Prove { ticket, .. } => {
                let Some(answer) = self.client.take(*ticket) else {
                    return Ok(None);
                };
                self.judge(position, answer.result).map(Some)
            }
        }
    }

    fn complete_if_acknowledged(&mut self, position: usize) -> Result<(), UploadError> {
        let file = &mut self.closing[position];
        let Some(upload) = &mut file.upload else {
            return Err(UploadError::Misuse {
                key: file.key.clone(),
                what: "it has no upload to complete".into(),
            });
        };
        upload.take_answers(&mut self.client)?;
        if !upload.is_acknowledged() {
            return Ok(());
        }
        let parts = upload.completed(&file.key, file.bytes)?;
        file.checksum = of_object(parts.iter().map(|part| part.checksum.as_ref()));
        let operation = Operation::CompleteMultipartUpload {
            key: file.key.clone(),
            upload_id: upload.upload_id().to_owned(),
            bytes: file.bytes,
            checksum: file.checksum.clone(),
        };
        let ticket = self.client.start(operation, complete_body(&parts));
        file.step = Step::Complete(ticket);
        Ok(())
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

    fn judge(
        &mut self,
        position: usize,
        head: Result<Reply, S3Error>,
    ) -> Result<StoredFile, UploadError> {
        let file = &self.closing[position];
        let Step::Prove {
            question, error, ..
        } = &file.step
        else {
            return Err(UploadError::Misuse {
                key: file.key.clone(),
                what: "nothing was asked about it".into(),
            });
        };
        let expected = proof::Expected {
            target: self.client.target(),
            bytes: file.bytes,
            checksum: file.checksum.as_ref(),
        };
        let proven = proof::judge(*question, error, head, &expected)?;
        let stored = file.stored(proven.etag);
        if proven.completed {
            self.close_note(position);
        } else if let Some(upload_id) = file
            .upload
            .as_ref()
            .map(|upload| upload.upload_id().to_owned())
        {
            // An earlier attempt's object stands; this attempt's upload is not needed.
            let key = file.key.clone();
            let left_open = self.abort_upload(&key, &upload_id).err();
            self.warnings.extend(left_open.map(|left| left.to_string()));
        }
        Ok(stored)
    }

    fn close_note(&mut self, position: usize) {
        let file = &self.closing[position];
        if let Some(upload) = &file.upload {
            let note = Note::Closed {
                key: file.key.clone(),
                upload_id: upload.upload_id().to_owned(),
            };
            self.note_or_log(note);
        }
    }
}

impl ClosingFile {
    fn stored(&self, etag: String) -> StoredFile {
        StoredFile {
            key: self.key.clone(),
            bytes: self.bytes,
            etag,
            checksum: self.checksum.clone(),
        }
    }
}
