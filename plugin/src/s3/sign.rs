//! AWS Signature Version 4 for S3, from a key that is already derived. Pure: knows no secret, no clock, and never
//! normalises a path.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::fmt::Write as _;

use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::imports::ScopedKey;
use crate::s3::request::Unsigned;

/// The service that S3 signatures name.
pub const SERVICE: &str = "s3";

/// The representation of the body in the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadHash {
    /// Hex SHA-256 of the body.
    Signed(String),
    /// TLS and a checksum guard the body.
    Unsigned,
}

impl PayloadHash {
    /// Of a body with this SHA-256.
    pub fn of_digest(sha256: &[u8]) -> Self {
        PayloadHash::Signed(hex(sha256))
    }

    /// Of no body.
    pub fn of_nothing() -> Self {
        Self::of_digest(&Sha256::digest([]))
    }

    fn as_str(&self) -> &str {
        match self {
            PayloadHash::Signed(hash) => hash,
            PayloadHash::Unsigned => "UNSIGNED-PAYLOAD",
        }
    }
}

/// The request cannot be signed with that key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The host gave a time that no date can express.
    #[error("the signing time {0} is out of range")]
    Time(i64),
    /// The host gave a key that HMAC does not take.
    #[error("the signing key is malformed")]
    Key,
}

/// Returns the headers to send: the request's own, date, payload hash, session token and `authorization`. Everything
/// but `authorization` is signed, `host` too (which the carrier of the request adds by itself).
pub fn sign(
    request: &Unsigned,
    payload: &PayloadHash,
    region: &str,
    key: &ScopedKey,
) -> Result<Vec<(String, String)>, SignError> {
    let time = DateTime::from_timestamp(key.timestamp, 0).ok_or(SignError::Time(key.timestamp))?;
    let date_time = time.format("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{}/{region}/{SERVICE}/aws4_request", time.format("%Y%m%d"));

    let mut headers = request.headers.clone();
    headers.push(("x-amz-content-sha256".into(), payload.as_str().into()));
    headers.push(("x-amz-date".into(), date_time.clone()));
    if let Some(token) = &key.session_token {
        headers.push(("x-amz-security-token".into(), token.clone()));
    }

    let (canonical, signed_headers) = canonical_request(request, &headers, payload);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date_time}\n{scope}\n{}",
        hex(&Sha256::digest(canonical.as_bytes()))
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.key).map_err(|_| SignError::Key)?;
    mac.update(to_sign.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());

    headers.push((
        "authorization".into(),
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={signed_headers},Signature={signature}",
            key.access_key_id
        ),
    ));
    Ok(headers)
}

/// Returns the canonical request and the list of the signed headers' names.
fn canonical_request(request: &Unsigned, headers: &[(String, String)], payload: &PayloadHash) -> (String, String) {
    let mut sorted: Vec<(&str, String)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), canonical_value(value)))
        .collect();
    sorted.push(("host", request.host.clone()));
    sorted.sort();

    let mut lines = String::new();
    for (name, value) in &sorted {
        lines.push_str(name);
        lines.push(':');
        lines.push_str(value);
        lines.push('\n');
    }
    let names: Vec<&str> = sorted.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        request.path,
        request.query,
        payload.as_str()
    );
    (canonical, names)
}

/// Without white space around it, and with single spaces inside.
fn canonical_value(value: &str) -> String {
    let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests;
