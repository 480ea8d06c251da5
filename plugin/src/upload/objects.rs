//! Single objects beside the data files: the manifest, and what an earlier attempt left. Never deletes a key that
//! it was not given.

use crate::imports::Imports;
use crate::s3::checksum::of_object;
use crate::s3::error::S3Error;
use crate::s3::request::Operation;
use crate::upload::proof::{self, Expected, Question};
use crate::upload::{StoredFile, UploadError, Uploads};

/// Most leftovers that one run deletes: a run that shrank from more files than this is reported instead.
pub const MAX_LEFTOVERS: usize = 10_000;

/// What became of an earlier attempt's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    pub deleted: Vec<String>,
    /// Why the search ended early, in a sentence for the report.
    pub warning: Option<String>,
}

impl<I: Imports> Uploads<I> {
    /// Write a small object and wait for it. With `if_none_match`, an equal object of an earlier attempt will do.
    pub fn put(
        &mut self,
        key: &str,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<StoredFile, UploadError> {
        let bytes = body.len() as u64;
        let operation = Operation::PutObject {
            key: key.to_owned(),
            content_type,
        };
        let answer = self.client.call(operation, body);
        let checksum = of_object([answer.checksum.as_ref()]);
        let etag = match answer.result {
            Ok(reply) => {
                proof::encrypted(key, &reply, self.client.target())?;
                reply.into_etag()
            }
            Err(error) => {
                let Some(question) = Question::left_by(&error, answer.doubtful, false) else {
                    return Err(error.into());
                };
                let head = self
                    .client
                    .call(
                        Operation::HeadObject {
                            key: key.to_owned(),
                        },
                        Vec::new(),
                    )
                    .result;
                let expected = Expected {
                    target: self.client.target(),
                    bytes,
                    checksum: checksum.as_ref(),
                };
                proof::judge(question, &error, head, &expected)?.etag
            }
        };
        Ok(StoredFile {
            key: key.to_owned(),
            bytes,
            etag,
            checksum,
        })
    }

    /// Whether an object is there.
    pub fn exists(&mut self, key: &str) -> Result<bool, S3Error> {
        match self
            .client
            .call(
                Operation::HeadObject {
                    key: key.to_owned(),
                },
                Vec::new(),
            )
            .result
        {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Delete an object; one that is not there is deleted.
    pub fn delete(&mut self, key: &str) -> Result<(), S3Error> {
        match self
            .client
            .call(
                Operation::DeleteObject {
                    key: key.to_owned(),
                },
                Vec::new(),
            )
            .result
        {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Delete the files that an earlier attempt left under the keys that would come next, up to the first that is
    /// not there. What the credentials do not allow is reported and harms nobody: readers go by the manifest.
    pub fn remove_leftovers(&mut self, next_keys: impl IntoIterator<Item = String>) -> Leftovers {
        let mut leftovers = Leftovers::default();
        for key in next_keys {
            if leftovers.deleted.len() == MAX_LEFTOVERS {
                leftovers.warning = Some(format!(
                    "{MAX_LEFTOVERS} files of an earlier attempt were deleted, and there may be more from `{key}` on"
                ));
                break;
            }
            match self.exists(&key) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    leftovers.warning = Some(format!(
                        "whether an earlier attempt left `{key}` could not be found out: {error}"
                    ));
                    break;
                }
            }
            if let Err(error) = self.delete(&key) {
                leftovers.warning = Some(format!(
                    "an earlier attempt's file `{key}` stays beside this run's: {error}"
                ));
                break;
            }
            leftovers.deleted.push(key);
        }
        leftovers
    }
}
