//! Why no answer came, or one that is not ClickHouse's, in plain words. Sends nothing.

use std::error::Error;
use std::io;

use batch_export_system::explain::{Cause, plain};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION};
use rustls::{CertificateError, InvalidMessage};

use crate::error::SourceErrorKind::{self, Permanent, Transient};

/// A reason, and what it means for a run.
pub(super) type Reason = (Cause, SourceErrorKind);

/// Returns why the client got no answer, or not all of it.
pub(super) fn reason(error: &reqwest::Error) -> Reason {
    if let Some(error) = find::<rustls::Error>(error) {
        return (tls(error), Permanent);
    }
    if error.is_connect() {
        return (unconnected(error), Transient);
    }
    if let Some(cause) = find::<hyper::Error>(error) {
        if cause.is_parse_too_large() {
            let cause = Cause::new("its answer has more headers than are read");
            return (
                cause.with_hint("let the administrator set send_progress_in_http_headers = 0"),
                Permanent,
            );
        }
        if cause.is_parse() {
            let cause = Cause::new(format!("it does not speak HTTP ({cause})")).with_hint(
                "use the port of the HTTP interface (8123, or 8443 with TLS); if that speaks TLS, write https:// in place \
                 of http://",
            );
            return (cause, Permanent);
        }
    }
    (format!("its answer broke off: {}", root(error)).into(), Transient)
}

fn unconnected(error: &reqwest::Error) -> Cause {
    if error.is_timeout() {
        return "no connection in time".into();
    }
    match find::<io::Error>(error) {
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Cause::new("nothing listens there (connection refused)")
                .with_hint("check host and port in the source's `url`, and that the server runs")
        }
        Some(error) => {
            Cause::new(format!("no connection: {}", plain(error))).with_hint("check the host in the source's `url`")
        }
        None => format!("no connection: {}", root(error)).into(),
    }
}

fn tls(error: &rustls::Error) -> Cause {
    match error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Cause::new("it speaks plain HTTP")
            .with_hint("write http:// in place of https://, or give the port at which it speaks TLS (8443)"),
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            Cause::new("its certificate is signed by an authority that is not trusted here")
                .with_hint("if the authority is private, let the source's `ca_file` name its PEM file")
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Cause::new("its certificate is for another name")
            .with_hint("write the name of the certificate in the source's `url`, or replace the certificate"),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Cause::new("its certificate has expired, or this machine's clock is wrong")
                .with_hint("renew the certificate, or correct the clock")
        }
        rustls::Error::InvalidCertificate(other) => format!("its certificate is not accepted: {other}").into(),
        other => format!("TLS failed: {other}").into(),
    }
}

/// Characters of a page that a message repeats.
const SHOWN_CHARS: usize = 120;

/// Returns what an answer means that is not an exception of ClickHouse.
pub(super) fn foreign(status: StatusCode, headers: &HeaderMap, body: &str) -> Reason {
    let location = headers.get(LOCATION).and_then(|place| place.to_str().ok());
    if status.is_redirection() {
        let place = location
            .map(|place| format!(" to {}", shown(place)))
            .unwrap_or_default();
        let cause = Cause::new(format!("it redirects{place} ({})", status.as_u16()));
        return (
            cause.with_hint("write the address of the server itself in the source's `url`"),
            Permanent,
        );
    }
    let kind = match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Transient,
        status if status.is_server_error() => Transient,
        _ => Permanent,
    };
    let said = match shown(body) {
        said if said.is_empty() => String::new(),
        said => format!(": {said}"),
    };
    let cause = Cause::new(format!(
        "its answer is not ClickHouse's (HTTP status {}){said}",
        status.as_u16()
    ));
    let cause = match kind {
        Transient => cause.with_hint("check that the server behind this address runs"),
        _ => cause.with_hint(
            "check that the source's `url` is that of ClickHouse's HTTP interface (port 8123, or 8443 with TLS)",
        ),
    };
    (cause, kind)
}

/// Returns the beginning of a text on one line, without a page's tags.
pub(super) fn shown(text: &str) -> String {
    let mut plain = String::new();
    let mut is_tag = false;
    for c in text.chars() {
        match c {
            '<' => is_tag = true,
            '>' if is_tag => {
                is_tag = false;
                plain.push(' ');
            }
            _ if is_tag => {}
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    let words: Vec<&str> = plain.split_whitespace().collect();
    words.join(" ").chars().take(SHOWN_CHARS).collect()
}

/// Causes that are looked through.
const MAX_CAUSES: usize = 16;

/// Looks through an error's causes, into I/O errors too, whose `source` skips what they wrap.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    for _ in 0..MAX_CAUSES {
        let error = next?;
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = inner(error);
    }
    None
}

/// Returns the innermost reason: what wraps it says only that a request failed.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    for _ in 0..MAX_CAUSES {
        match inner(root) {
            Some(cause) => root = cause,
            None => break,
        }
    }
    match root.downcast_ref::<io::Error>() {
        Some(error) => plain(error),
        // Its own text would repeat the URL.
        None if root.is::<reqwest::Error>() => "the request could not be carried".to_owned(),
        None => root.to_string(),
    }
}

fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_do_not_do_are_told_apart() {
        let certificate = |error| tls(&rustls::Error::InvalidCertificate(error)).in_one_text();
        for (error, expect) in [
            (
                CertificateError::UnknownIssuer,
                "an authority that is not trusted here; if the authority is private, let",
            ),
            (
                CertificateError::NotValidForName,
                "its certificate is for another name; write the name of",
            ),
            (
                CertificateError::Expired,
                "its certificate has expired, or this machine's clock is wrong",
            ),
            (CertificateError::Revoked, "its certificate is not accepted"),
        ] {
            let said = certificate(error);
            assert!(said.contains(expect), "{said}");
        }
    }

    #[test]
    fn a_page_is_told_on_one_short_line_without_its_tags() {
        for (page, expect) in [
            ("<html>\n<b>502</b>\r\n<i>Bad\u{1b} Gateway", "502 Bad Gateway"),
            ("a > b", "a > b"),
            ("<script", ""),
        ] {
            assert_eq!(shown(page), expect);
        }
        assert_eq!(shown(&"x".repeat(1_000)).len(), SHOWN_CHARS);
    }
}
