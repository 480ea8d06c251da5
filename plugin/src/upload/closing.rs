//! A file that has all its bytes on its way to being proven stored: its parts or its PUT, Complete, and the question
//! to the store where an answer left doubts. Writes no bytes of files.

use crate::imports::Imports;
use crate::s3::checksum::{ObjectChecksum, of_object};
use crate::s3::client::Ticket;
use crate::s3::error::S3Error;
use crate::s3::reply::Reply;
use crate::s3::request::{Operation, Target, complete_body};
use crate::upload::multipart::Multipart;
use crate::upload::notes::Note;
use crate::upload::proof::{self, Expected, Proven, Question};
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
    /// All parts are there, and with `if_none_match` HEAD asks first whether the key is free: some stores honour the
    /// condition of a PUT and ignore that of CompleteMultipartUpload, whose body waits here.
    Look { ticket: Ticket, body: Vec<u8> },
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
        match &mut file.step {
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
            Step::Look { ticket, body } => {
                let Some(answer) = self.client.take(*ticket) else {
                    return Ok(None);
                };
                let body = std::mem::take(body);
                match answer.result {
                    Ok(head) => self.recognise(position, head).map(Some),
                    // The key is free, or may not be looked at: the condition that Complete carries has to do.
                    Err(_) => self.complete(position, body).map(|()| None),
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
                        let said = file.upload.as_ref().is_some_and(Multipart::is_encrypted);
                        let encrypted = match said {
                            true => Ok(()),
                            false => proof::encrypted(&file.key, &reply, self.client.target()),
                        };
                        let stored = file.stored(reply.into_etag());
                        self.close_note(position);
                        // It is an object now: there is nothing to abort.
                        self.closing[position].upload = None;
                        encrypted.map(|()| Some(stored))
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
            return Err(nothing_to_complete(&file.key));
        };
        upload.take_answers(&file.key, &mut self.client)?;
        if !upload.is_acknowledged() {
            return Ok(());
        }
        let parts = upload.completed(&file.key, file.bytes)?;
        file.checksum = of_object(parts.iter().map(|part| part.checksum.as_ref()));
        let body = complete_body(&parts);
        if !self.client.target().object.if_none_match {
            return self.complete(position, body);
        }
        let key = file.key.clone();
        let ticket = self.client.start(Operation::HeadObject { key }, Vec::new());
        file.step = Step::Look { ticket, body };
        Ok(())
    }

    fn complete(&mut self, position: usize, body: Vec<u8>) -> Result<(), UploadError> {
        let file = &mut self.closing[position];
        let Some(upload) = &file.upload else {
            return Err(nothing_to_complete(&file.key));
        };
        let operation = Operation::CompleteMultipartUpload {
            key: file.key.clone(),
            upload_id: upload.upload_id().to_owned(),
            bytes: file.bytes,
            checksum: file.checksum.clone(),
        };
        file.step = Step::Complete(self.client.start(operation, body));
        Ok(())
    }

    /// The key is taken: by what an earlier attempt of this run wrote, which will do if it is the same, or refused.
    fn recognise(&mut self, position: usize, head: Reply) -> Result<StoredFile, UploadError> {
        let file = &self.closing[position];
        let expected = file.expected(self.client.target());
        let proven = proof::recognise(&file.key, head.into_head(), &expected)?;
        Ok(self.accept(position, proven))
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
        let expected = file.expected(self.client.target());
        let proven = proof::judge(*question, error, head, &expected)?;
        Ok(self.accept(position, proven))
    }

    fn accept(&mut self, position: usize, proven: Proven) -> StoredFile {
        let file = &self.closing[position];
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
        stored
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

fn nothing_to_complete(key: &str) -> UploadError {
    UploadError::Misuse {
        key: key.to_owned(),
        what: "it has no upload to complete".into(),
    }
}

impl ClosingFile {
    fn expected<'a>(&'a self, target: &'a Target) -> Expected<'a> {
        Expected {
            target,
            bytes: self.bytes,
            checksum: self.checksum.as_ref(),
        }
    }

    fn stored(&self, etag: String) -> StoredFile {
        StoredFile {
            key: self.key.clone(),
            bytes: self.bytes,
            etag,
            checksum: self.checksum.clone(),
        }
    }
}
