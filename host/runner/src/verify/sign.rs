//! Signs the requests of `verify`, with the key that the signer derived; written apart from the plugin's signing so
//! that neither is the only evidence for the other. Sends nothing and never sees the long-lived secret.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use batch_export_sandbox::ScopedKey;

/// SHA-256 of nothing: requests that only read have no body.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A request without query and body.
pub(super) struct Unsigned<'a> {
    pub method: &'a str,
    /// Host and, unless it is the scheme's own, port.
    pub host: &'a str,
    /// Percent-encoded.
    pub path: &'a str,
    /// Header names in lower case, with their values.
    pub headers: &'a [(&'static str, &'static str)],
}

/// The headers to send, `host` aside; `None` when the clock's time or the key cannot be used for signing.
pub(super) fn sign(
    request: &Unsigned<'_>,
    region: &str,
    service: &str,
    key: &ScopedKey,
) -> Option<Vec<(&'static str, String)>> {
    let time = DateTime::from_timestamp(key.timestamp, 0)?;
    let date_time = time.format("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{}/{region}/{service}/aws4_request", time.format("%Y%m%d"));
    let mut headers: Vec<(&'static str, String)> = request
        .headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    headers.push(("x-amz-content-sha256", EMPTY_SHA256.to_owned()));
    headers.push(("x-amz-date", date_time.clone()));
    if let Some(token) = &key.session_token {
        headers.push(("x-amz-security-token", token.clone()));
    }

    let mut signed = headers.clone();
    signed.push(("host", request.host.to_owned()));
    signed.sort();
    let lines: String = signed
        .iter()
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let canonical = format!(
        "{}\n{}\n\n{lines}\n{names}\n{EMPTY_SHA256}",
        request.method, request.path
    );
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date_time}\n{scope}\n{}",
        hex(&Sha256::digest(canonical.as_bytes()))
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.key).ok()?;
    mac.update(to_sign.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    headers.push((
        "authorization",
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
            key.access_key_id
        ),
    ));
    Some(headers)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
