//! A response whose body is still to be read, and what of a response is hidden: everything but the bytes of an object.

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use url::Url;

use super::reason;
use crate::capability::redact::Redactor;

/// Bytes of an error document that are given; of a longer one nothing is, since a secret could be cut in two. S3's are
/// below one KiB.
const DOCUMENT_BYTES: usize = 64 << 10;

/// A response to a request of the host's own. Nothing that it gives repeats a secret, but for the bytes of an object
/// that was asked for: they are given as they are stored, and a text that quotes them goes through
/// `Http::redactor`.
pub struct Opened {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
    redactor: Redactor,
}

enum Body {
    Object(reqwest::Response),
    Document(reqwest::Response),
    Read,
}

/// Whether the body is the bytes of an object: they stay as they are.
pub(super) fn is_object(method: &Method, url: &Url, status: StatusCode) -> bool {
    *method == Method::GET && status.is_success() && url.query().is_none()
}

/// Returns the headers without what must not be repeated; those that are not UTF-8 are omitted.
pub(super) fn headers(response: &reqwest::Response, redactor: &Redactor) -> Vec<(String, String)> {
    let headers = response.headers().iter();
    headers
        .filter_map(|(name, value)| {
            let value = std::str::from_utf8(value.as_bytes()).ok()?;
            Some((redactor.text(name.as_str()), redactor.text(value)))
        })
        .collect()
}

impl Opened {
    pub(super) fn new(method: &Method, url: &Url, response: reqwest::Response, redactor: Redactor) -> Self {
        Opened {
            status: response.status().as_u16(),
            headers: headers(&response, &redactor),
            body: match is_object(method, url, response.status()) {
                true => Body::Object(response),
                false => Body::Document(response),
            },
            redactor,
        }
    }

    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the headers in order, with names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.headers.iter();
        headers.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Returns the next piece of the body, or `None` at its end. An error says why the body ended early.
    ///
    /// What is not an object comes in one piece, and not at all when it is longer than 64 KiB.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        let read = match std::mem::replace(&mut self.body, Body::Read) {
            Body::Object(mut response) => {
                let piece = response.chunk().await;
                self.body = Body::Object(response);
                piece
            }
            Body::Document(response) => {
                let document = document(response).await;
                document.map(|document| document.map(|bytes| self.redactor.bytes(bytes)))
            }
            Body::Read => Ok(None),
        };
        read.map_err(|error| self.redactor.text(&reason::closed(&error)))
    }
}

async fn document(mut response: reqwest::Response) -> Result<Option<Bytes>, reqwest::Error> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = response.chunk().await? {
        if bytes.len() + piece.len() > DOCUMENT_BYTES {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((!bytes.is_empty()).then(|| bytes.freeze()))
}
