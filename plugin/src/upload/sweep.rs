//! Removes uploads: aborts them by id, or finds them by key if the id is unknown. Touches only uploads of exactly the
//! keys that this run writes.

use crate::failure::Explanation;
use crate::imports::Imports;
use crate::s3::client::Client;
use crate::s3::error::S3Error;
use crate::s3::reply::ListedUpload;
use crate::s3::request::Operation;

/// An upload that could not be cleaned up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOpen {
    pub key: String,
    /// Absent if the response that contained it was lost.
    pub upload_id: Option<String>,
    pub why: Explanation,
}

impl LeftOpen {
    /// Returns the same as one sentence, and what to do about it.
    pub fn explanation(&self) -> Explanation {
        let message = match &self.upload_id {
            Some(id) => format!("upload `{id}` of `{}` is left open: {}", self.key, self.why.message),
            None => format!(
                "an upload of `{}` whose id is unknown may be left open: {}",
                self.key, self.why.message
            ),
        };
        Explanation::new(message).with_hint(self.why.hint.clone())
    }
}

/// The way in which an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// This abort ended it.
    Aborted,
    /// It was completed or aborted before.
    Before,
}

/// Aborts an upload, and once more if that ended it: a part that was in progress is stored after the abort, and remains
/// until the next one.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>
pub fn abort<I: Imports>(client: &mut Client<I>, key: &str, upload_id: &str) -> Result<Gone, LeftOpen> {
    let gone = abort_once(client, key, upload_id)?;
    if gone == Gone::Aborted {
        abort_once(client, key, upload_id)?;
    }
    Ok(gone)
}

fn abort_once<I: Imports>(client: &mut Client<I>, key: &str, upload_id: &str) -> Result<Gone, LeftOpen> {
    let operation = Operation::AbortMultipartUpload {
        key: key.to_owned(),
        upload_id: upload_id.to_owned(),
    };
    match client.call(operation, Vec::new()).result {
        Ok(()) => Ok(Gone::Aborted),
        Err(error) if error.is_not_found() => Ok(Gone::Before),
        Err(error) => Err(LeftOpen {
            key: key.to_owned(),
            upload_id: Some(upload_id.to_owned()),
            why: error.explanation(),
        }),
    }
}

/// Finds the uploads of exactly this key, whoever started them: keys identify destination and interval, and only one
/// instance at a time writes them.
pub fn find<I: Imports>(client: &mut Client<I>, key: &str) -> Result<Vec<String>, S3Error> {
    let operation = Operation::ListMultipartUploads { prefix: key.to_owned() };
    // Longer keys may begin with this one, but S3 lists by key: ours come first, and one page holds a thousand.
    let uploads: Vec<ListedUpload> = client.call(operation, Vec::new()).result?;
    Ok(uploads
        .into_iter()
        .filter(|upload| upload.key == key)
        .map(|upload| upload.upload_id)
        .collect())
}

/// Finds and aborts the uploads of a key, except those to keep; returns the ids that are gone and what is left.
pub fn sweep<I: Imports>(client: &mut Client<I>, key: &str, keep: &[&str]) -> (Vec<String>, Vec<LeftOpen>) {
    let found = match find(client, key) {
        Ok(found) => found,
        Err(error) => {
            let why = if error.is_not_found() {
                Explanation::new("this store does not list uploads")
                    .with_hint("add a lifecycle rule in the store that aborts incomplete uploads".to_owned())
            } else {
                error.explanation()
            };
            return (
                Vec::new(),
                vec![LeftOpen {
                    key: key.to_owned(),
                    upload_id: None,
                    why,
                }],
            );
        }
    };
    let mut gone = Vec::new();
    let mut left_open = Vec::new();
    for upload_id in found.into_iter().filter(|id| !keep.contains(&id.as_str())) {
        match abort(client, key, &upload_id) {
            Ok(_) => gone.push(upload_id),
            Err(left) => left_open.push(left),
        }
    }
    (gone, left_open)
}
