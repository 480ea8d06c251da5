//! The parts of one upload: which are in progress, which are acknowledged, and the proof that none is missing. Starts
//! no requests.

use crate::imports::Imports;
use crate::s3::client::{Client, Ticket};
use crate::s3::fingerprint::{Fingerprint, ObjectFingerprint};
use crate::s3::reply::Stored;
use crate::s3::request::CompletedPart;
use crate::upload::{UploadError, proof};

/// An upload that is open in the store.
#[derive(Debug)]
pub struct Multipart {
    upload_id: String,
    /// In order: the first is part 1.
    parts: Vec<Part>,
    unacknowledged: usize,
    /// Whether the store said that it encrypts as requested, or nothing was requested.
    is_encrypted: bool,
}

#[derive(Debug)]
enum Part {
    InProgress {
        ticket: Ticket,
        bytes: u64,
    },
    Acknowledged {
        etag: String,
        fingerprint: Fingerprint,
        bytes: u64,
    },
}

impl Multipart {
    /// Makes an upload without parts; `is_encrypted` comes from the reply that opened it.
    pub fn new(upload_id: String, is_encrypted: bool) -> Self {
        Multipart {
            upload_id,
            parts: Vec::new(),
            unacknowledged: 0,
            is_encrypted,
        }
    }

    pub fn upload_id(&self) -> &str {
        &self.upload_id
    }

    /// Returns the number of the next part to send, counting from 1.
    pub fn next_number(&self) -> u32 {
        u32::try_from(self.parts.len() + 1).unwrap_or(u32::MAX)
    }

    /// Adds the next part, which is in progress.
    pub fn sent(&mut self, ticket: Ticket, bytes: u64) {
        self.parts.push(Part::InProgress { ticket, bytes });
        self.unacknowledged += 1;
    }

    /// Takes the available outcomes. The first failure is returned, and its part never counts as acknowledged.
    pub fn take_outcomes<I: Imports>(&mut self, key: &str, client: &mut Client<I>) -> Result<(), UploadError> {
        if self.unacknowledged == 0 {
            return Ok(());
        }
        for part in &mut self.parts {
            let Part::InProgress { ticket, bytes } = *part else {
                continue;
            };
            let Some(outcome) = client.take::<Stored>(ticket) else {
                continue;
            };
            let stored = outcome.result?;
            let encryption = &stored.encryption;
            self.is_encrypted |= proof::confirms_encryption(key, encryption, client.target())?;
            *part = Part::Acknowledged {
                etag: stored.etag,
                fingerprint: outcome.fingerprint,
                bytes,
            };
            self.unacknowledged -= 1;
        }
        Ok(())
    }

    /// Returns whether a reply so far says that the object is encrypted as requested.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Returns whether every part sent is acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.unacknowledged == 0
    }

    /// Of the object that the acknowledged parts make.
    pub fn fingerprint(&self) -> ObjectFingerprint {
        ObjectFingerprint::of_parts(self.parts.iter().filter_map(|part| match part {
            Part::Acknowledged { fingerprint, .. } => Some(fingerprint),
            Part::InProgress { .. } => None,
        }))
    }

    /// Returns the parts that make up the object, proven to be complete: 1 to n, each with an ETag, and together as
    /// many bytes as were encoded.
    pub fn completed(&self, key: &str, encoded_bytes: u64) -> Result<Vec<CompletedPart>, UploadError> {
        let incomplete = |what: String| UploadError::Incomplete {
            key: key.to_owned(),
            what,
        };
        let mut acknowledged_bytes = 0;
        let mut completed = Vec::with_capacity(self.parts.len());
        for (number, part) in (1..).zip(&self.parts) {
            let Part::Acknowledged {
                etag,
                fingerprint,
                bytes,
            } = part
            else {
                return Err(incomplete(format!("part {number} is not acknowledged")));
            };
            if etag.is_empty() {
                return Err(incomplete(format!("part {number} has no ETag")));
            }
            acknowledged_bytes += bytes;
            completed.push(CompletedPart {
                number,
                etag: etag.clone(),
                checksum: fingerprint.checksum().cloned(),
            });
        }
        if completed.is_empty() {
            return Err(incomplete("it has no parts".into()));
        }
        if acknowledged_bytes != encoded_bytes {
            return Err(incomplete(format!(
                "{encoded_bytes} bytes were encoded, but {acknowledged_bytes} acknowledged"
            )));
        }
        Ok(completed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(etag: &str, bytes: u64) -> Part {
        Part::Acknowledged {
            etag: etag.into(),
            fingerprint: Fingerprint::None,
            bytes,
        }
    }

    fn upload(parts: Vec<Part>) -> Multipart {
        Multipart {
            upload_id: "id".into(),
            parts,
            unacknowledged: 0,
            is_encrypted: true,
        }
    }

    #[test]
    fn complete_parts_are_listed_in_order() {
        let parts = upload(vec![acknowledged("\"a\"", 5), acknowledged("\"b\"", 3)])
            .completed("k", 8)
            .unwrap();
        let listed: Vec<(u32, &str)> = parts.iter().map(|part| (part.number, part.etag.as_str())).collect();
        assert_eq!(listed, [(1, "\"a\""), (2, "\"b\"")]);
    }

    #[test]
    fn whatever_is_missing_is_named() {
        let without_parts = Multipart::new("id".into(), true);
        let table = [
            (without_parts, "it has no parts"),
            (
                upload(vec![acknowledged("a", 5), acknowledged("", 3)]),
                "part 2 has no ETag",
            ),
            (
                upload(vec![acknowledged("a", 5), acknowledged("b", 2)]),
                "8 bytes were encoded, but 7 acknowledged",
            ),
            (
                upload(vec![acknowledged("a", 8), acknowledged("b", 8)]),
                "8 bytes were encoded, but 16 acknowledged",
            ),
        ];
        for (upload, expected) in table {
            let error = upload.completed("k", 8).unwrap_err();
            assert_eq!(error.to_string(), format!("`k` was not completed: {expected}"));
        }
    }
}
