//! Single objects other than data files: the manifest, and objects that should not exist. Never deletes a key that it
//! was not given, nor an object without this run's mark.

use crate::failure::{Explanation, joined};
use crate::imports::Imports;
use crate::s3::client::Ticket;
use crate::s3::error::S3Error;
use crate::s3::fingerprint::ObjectFingerprint;
use crate::s3::reply::{ObjectHead, Stored};
use crate::s3::request::Operation;
use crate::upload::proof::{self, Expected, Question};
use crate::upload::store::Store;
use crate::upload::{StoredFile, UploadError};

/// What exists under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Nothing,
    /// An object that carries this run's mark: one of its attempts wrote it.
    Ours(ObjectHead),
    /// Somebody else's object.
    Foreign,
}

impl<I: Imports> Store<I> {
    /// Writes a small object and waits for it. With `if_none_match`, an identical object of an earlier attempt is
    /// accepted.
    pub fn put(&mut self, key: &str, content_type: &'static str, body: Vec<u8>) -> Result<StoredFile, UploadError> {
        let stored = self.try_put(key, content_type, body);
        if let Err(error) = &stored {
            self.condemn_after(error);
            if self.client.saw_damage() {
                self.condemned.insert(key.to_owned());
            }
        }
        stored
    }

    fn try_put(&mut self, key: &str, content_type: &'static str, body: Vec<u8>) -> Result<StoredFile, UploadError> {
        let bytes = body.len() as u64;
        let found = match self.client.target().object.if_none_match {
            true => free_or_head(self.head(key))?,
            false => None,
        };
        let (etag, fingerprint) = match found {
            Some(head) => {
                let fingerprint = ObjectFingerprint::of_body(&self.client.fingerprint(body));
                let proven = proof::recognise(key, head, &self.expecting(bytes, &fingerprint))?;
                (proven.etag, fingerprint)
            }
            None => {
                let operation = Operation::PutObject {
                    key: key.to_owned(),
                    content_type,
                };
                let outcome = self.client.call::<Stored>(operation, body);
                let fingerprint = ObjectFingerprint::of_body(&outcome.fingerprint);
                let etag = match outcome.result {
                    Ok(stored) => {
                        proof::encrypted(key, &stored.encryption, self.client.target())?;
                        stored.etag
                    }
                    Err(error) => {
                        let Some(question) = Question::left_by(&error, outcome.doubtful, false) else {
                            return Err(error.into());
                        };
                        let head = self.head(key);
                        let expected = self.expecting(bytes, &fingerprint);
                        proof::judge(question, &error, head, &expected)?.etag
                    }
                };
                (etag, fingerprint)
            }
        };
        Ok(StoredFile {
            key: key.to_owned(),
            bytes,
            etag,
            checksum: fingerprint.checksum().cloned(),
        })
    }

    fn expecting<'a>(&'a self, bytes: u64, fingerprint: &'a ObjectFingerprint) -> Expected<'a> {
        Expected {
            target: self.client.target(),
            bytes,
            fingerprint,
            is_encrypted: false,
        }
    }

    fn head(&mut self, key: &str) -> Result<ObjectHead, S3Error> {
        let operation = Operation::HeadObject { key: key.to_owned() };
        self.client.call(operation, Vec::new()).result
    }

    /// What exists under a key.
    pub fn look(&mut self, key: &str) -> Result<Seen, S3Error> {
        let head = self.head(key);
        self.seen(head)
    }

    /// Returns what exists under each of several keys, looked up concurrently. Stops at the first that cannot be
    /// determined.
    pub fn look_at_all(&mut self, keys: Vec<String>) -> Result<Vec<(String, Seen)>, S3Error> {
        let looks: Vec<(Operation, Ticket)> = keys
            .into_iter()
            .map(|key| {
                let operation = Operation::HeadObject { key };
                let ticket = self.client.start(operation.clone(), Vec::new());
                (operation, ticket)
            })
            .collect();
        let mut all_seen = Vec::with_capacity(looks.len());
        let mut looks = looks.into_iter();
        while let Some((operation, ticket)) = looks.next() {
            let head = self.client.outcome(&operation, ticket).result;
            match self.seen(head) {
                Ok(seen) => all_seen.push((operation.key().to_owned(), seen)),
                Err(error) => {
                    looks.for_each(|(_, ticket)| self.client.cancel(ticket));
                    return Err(error);
                }
            }
        }
        Ok(all_seen)
    }

    fn seen(&self, head: Result<ObjectHead, S3Error>) -> Result<Seen, S3Error> {
        match head {
            Ok(head) => match head.is_of(&self.client.target().run_id) {
                true => Ok(Seen::Ours(head)),
                false => Ok(Seen::Foreign),
            },
            Err(error) if error.is_not_found() => Ok(Seen::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object; one that does not exist counts as deleted.
    pub fn delete(&mut self, key: &str) -> Result<(), S3Error> {
        let operation = Operation::DeleteObject { key: key.to_owned() };
        match self.client.call(operation, Vec::new()).result {
            Ok(()) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Remembers what a write left behind that nobody should read, for [`Store::delete_condemned`].
    pub(super) fn condemn_after(&mut self, error: &UploadError) {
        let key = error.condemned_key().map(str::to_owned);
        self.condemned.extend(key);
    }

    /// Deletes what this attempt wrote and nobody should read. Each remark names an object that is gone, or that
    /// remains and why. What another attempt or program wrote in the meantime is left alone.
    pub(super) fn delete_condemned(&mut self) -> Vec<Explanation> {
        let mut remarks = Vec::new();
        for key in std::mem::take(&mut self.condemned) {
            let attempt = self.client.target().attempt.clone();
            let stays = |why: Explanation| {
                let message = format!("`{key}` may still be in the store: {}", why.message);
                Explanation::new(message).with_hint(joined([Some(format!("do not use `{key}`")), why.hint]))
            };
            match self.look(&key) {
                Ok(Seen::Ours(head)) if head.attempt.as_deref() == Some(attempt.as_str()) => {
                    remarks.push(match self.delete(&key) {
                        Ok(()) => Explanation::new(format!("`{key}` has been deleted")),
                        Err(error) => stays(error.explanation()),
                    });
                }
                // Nothing of this attempt exists.
                Ok(Seen::Nothing | Seen::Ours(_)) => {}
                Ok(Seen::Foreign) => {
                    remarks.push(stays("the object there does not carry this run's mark".into()));
                }
                Err(error) => remarks.push(stays(error.explanation_with_good_keys())),
            }
        }
        remarks
    }
}

/// Checks that a key is free if nothing may be overwritten. It is free if the store says that no object exists, or that
/// the credentials do not allow looking: then the condition sent with the write has to be relied on. Any other error
/// proves nothing and is returned.
pub(super) fn free_or_head(looked: Result<ObjectHead, S3Error>) -> Result<Option<ObjectHead>, S3Error> {
    match looked {
        Ok(head) => Ok(Some(head)),
        Err(error) if error.is_not_found() || error.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}
