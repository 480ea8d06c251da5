//! The S3 requests that even a hostile guest needs signed properly: what it sends must fail for being forbidden, not
//! for a wrong signature.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::bindings::batch_export::destination::http::{
    Exchange, Method, Payload, Request, Response, TransportError, send,
};
use crate::bindings::batch_export::destination::signer::{Refresh, scoped_key};
use crate::configuration::Configuration;
use crate::exports::said;

/// Longest that an honest request may take.
const TIMEOUT_MS: u32 = 10_000;

/// A request before it is signed.
pub struct Draft {
    pub method: Method,
    pub url: String,
    /// Further headers, signed as they are.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Draft {
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Draft {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Sign, send and wait.
pub fn call(configuration: &Configuration, draft: Draft) -> Result<Response, TransportError> {
    start(configuration, draft)?.wait()
}

/// Sign and send.
pub fn start(configuration: &Configuration, draft: Draft) -> Result<Exchange, TransportError> {
    let headers = sign(configuration, &draft).map_err(|why| TransportError::Forbidden(said(why)))?;
    let payload = Payload::new(&draft.body, &[]);
    let request = Request {
        method: draft.method,
        url: draft.url,
        headers,
        body: Some(&payload),
        delay_ms: 0,
        timeout_ms: TIMEOUT_MS,
    };
    Ok(send(&request))
}

/// The headers of a signed request.
fn sign(configuration: &Configuration, draft: &Draft) -> Result<Vec<(String, String)>, String> {
    let key = scoped_key("s3", &configuration.region, Refresh::None).map_err(|error| format!("no key: {error:?}"))?;
    let (date, time) = calendar(key.timestamp);
    let body_hash = hex(&Sha256::digest(&draft.body));
    let after_scheme = draft.url.split_once("://").map_or("", |(_, rest)| rest);
    let (host, path_and_query) = after_scheme.split_at(after_scheme.find('/').unwrap_or(after_scheme.len()));
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));

    let mut headers = draft.headers.clone();
    headers.push(("x-amz-content-sha256".into(), body_hash.clone()));
    headers.push(("x-amz-date".into(), time.clone()));
    let mut signed = headers.clone();
    signed.push(("host".into(), host.to_owned()));
    signed.sort();
    let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = signed.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
    let method = match draft.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Put => "PUT",
        Method::Post => "POST",
        Method::Delete => "DELETE",
    };
    let query = canonical_query(query);
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{body_hash}");
    let scope = format!("{date}/{}/s3/aws4_request", configuration.region);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.key).map_err(|error| error.to_string())?;
    mac.update(text.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    let credential = format!("{}/{scope}", key.access_key_id);
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}");
    headers.push(("authorization".into(), authorization));
    Ok(headers)
}

/// Sorted, and every key with its `=`.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            if pair.contains('=') {
                pair.into()
            } else {
                format!("{pair}=")
            }
        })
        .collect();
    pairs.sort();
    pairs.join("&")
}

/// `YYYYMMDD` and `YYYYMMDDTHHMMSSZ`, by the civil-from-days formula of the proleptic Gregorian calendar.
pub fn calendar(timestamp: i64) -> (String, String) {
    let days = timestamp.div_euclid(86_400);
    let seconds = timestamp.rem_euclid(86_400);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let date = format!("{year:04}{month:02}{day:02}");
    let time = format!(
        "{date}T{:02}{:02}{:02}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    );
    (date, time)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Begin a multipart upload of the honest key and return its id.
pub fn create_upload(configuration: &Configuration) -> Result<String, String> {
    let url = format!("{}?uploads=", configuration.url());
    let answer = call(configuration, Draft::new(Method::Post, url)).map_err(|error| format!("{error:?}"))?;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let id = body
        .split_once("<UploadId>")
        .and_then(|(_, rest)| rest.split_once("</UploadId>"));
    match id {
        Some((id, _)) => Ok(id.to_owned()),
        None => Err(format!("status {}: {body}", answer.status)),
    }
}

/// Abort an upload that a note names; the status of the answer.
pub fn abort_upload(configuration: &Configuration, id: &str) -> Result<u16, String> {
    let url = format!("{}?uploadId={}", configuration.url(), encode(id));
    let answer = call(configuration, Draft::new(Method::Delete, url));
    answer.map(|answer| answer.status).map_err(|error| format!("{error:?}"))
}

/// Percent-encode everything but the unreserved characters of RFC 3986.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => (byte as char).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
