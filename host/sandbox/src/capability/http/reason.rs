//! Why a request could not be carried, in plain words: what the layers of the HTTP client say, turned into one sentence
//! that names the place. Sends nothing.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::TransportError;
use crate::capability::network::CONNECT_TIMEOUT;
use crate::capability::resolve::Unresolved;
use crate::egress::address::AddressRefused;
use batch_export_system::explain::{Cause, Explain, plain};

/// The way to a server, as far as a message needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    /// Host and port of the server.
    pub(crate) host: &'a str,
    /// The proxy before it, if there is one.
    pub(crate) proxy: Option<&'a str>,
    /// What is wrong with the certificates that this machine trusts, to add when one is not trusted.
    pub(crate) certificates: Option<&'a Cause>,
}

/// Turns an error of the client into the contract's case, one sentence and, where this host's own settings are the
/// remedy, what to do about it.
pub(crate) fn classify(error: &reqwest::Error, way: Way<'_>) -> TransportError {
    if let Some(refused) = find_cause::<AddressRefused>(error) {
        return TransportError::Forbidden(Cause::of(refused));
    }
    if let Some(unresolved) = find_cause::<Unresolved>(error) {
        return TransportError::Connect(unresolved.to_string().into());
    }
    if let Some(cause) = find_cause::<rustls::Error>(error) {
        return TransportError::Tls(tls(cause, way));
    }
    let root = root_cause(error);
    if root.contains(TUNNEL_REFUSED) {
        return proxy_wants_a_password();
    }
    if let Some(proxy) = way.proxy.filter(|_| root.contains(TUNNEL_UNSUCCESSFUL)) {
        return way.unconnected(format!("the proxy {proxy} does not connect to {}", way.host));
    }
    if error.is_connect() && error.is_timeout() {
        let seconds = CONNECT_TIMEOUT.as_secs();
        return way.unconnected(format!("no connection to {} within {seconds} s", way.place()));
    }
    if error.is_connect() {
        let message = match find_cause::<io::Error>(error) {
            Some(error) => unconnected(error, way),
            None => format!("no connection to {}: {root}", way.place()),
        };
        return way.unconnected(message);
    }
    if find_cause::<hyper::Error>(error).is_some_and(|cause| cause.is_parse() && !cause.is_parse_too_large()) {
        // It may have acted on the request all the same.
        let message = format!("the server at {} does not speak HTTP: {root}", way.place());
        let hint = match way.proxy {
            Some(_) => PROXY,
            None => "check host and port; if the server speaks TLS, write https:// in place of http://",
        };
        return TransportError::Interrupted(Cause::new(message).with_hint(hint));
    }
    if error.is_timeout() {
        return TransportError::Timeout(format!("{} did not respond in time", way.place()).into());
    }
    TransportError::Interrupted(format!("no complete response from {}: {}", way.place(), closed(error)).into())
}

/// Returns why a response's body ended early.
pub(crate) fn closed(error: &reqwest::Error) -> String {
    match find_cause::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe) => {
            "the connection was reset".to_owned()
        }
        _ => root_cause(error),
    }
}

impl Way<'_> {
    /// Returns where a connection is made to. Which hosts are reached without the proxy is the client's business, so
    /// both are named.
    pub(super) fn place(&self) -> String {
        match self.proxy {
            Some(proxy) => format!("{} or the proxy {proxy} before it", self.host),
            None => self.host.to_owned(),
        }
    }

    /// Without a proxy, the plugin knows better what to do.
    fn unconnected(&self, message: String) -> TransportError {
        let cause = Cause::new(message);
        TransportError::Connect(match self.proxy {
            Some(_) => cause.with_hint(PROXY),
            None => cause,
        })
    }
}

const PROXY: &str =
    "check `proxy` in the destination's `egress` table, that the proxy runs, and that it reaches the store";

fn unconnected(error: &io::Error, way: Way<'_>) -> String {
    let place = way.place();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("nothing listens at {place} (connection refused)"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            format!("{place} closed the connection before it was used (connection reset)")
        }
        io::ErrorKind::TimedOut => format!("no connection to {place} in time"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("no route from this machine to {place}")
        }
        io::ErrorKind::UnexpectedEof => format!("{place} closed the connection before it was used"),
        _ => format!("no connection to {place}: {}", plain(error)),
    }
}

fn tls(error: &rustls::Error, way: Way<'_>) -> Cause {
    let host = way.host;
    match error {
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            Cause::new(format!("the server at {host} speaks plain HTTP"))
                .with_hint("write http:// in place of https://, or give the port at which it speaks TLS")
        }
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => untrusted(way),
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName) => {
            format!("the certificate of {host} is for another name").into()
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => {
            format!("the certificate of {host} is for another name{}", names(presented)).into()
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Cause::new(format!(
                "the certificate of {host} has expired, or this machine's clock is wrong"
            ))
            .with_hint("renew the certificate, or correct the clock")
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Cause::new(format!(
            "the certificate of {host} is not valid yet, or this machine's clock is wrong"
        ))
        .with_hint("correct the clock, or replace the certificate"),
        rustls::Error::InvalidCertificate(other) => {
            format!("the certificate of {host} is not accepted: {other}").into()
        }
        other => format!("TLS with {host} failed: {other}").into(),
    }
}

/// Where the authority is missing: among those of this machine, or in the file that the operator names.
pub(super) fn untrusted(way: Way<'_>) -> Cause {
    const PRIVATE: &str =
        "if the authority is private, let `ca_file` in the destination's `egress` table name its PEM file";
    let untrusted = format!(
        "the certificate of {} is signed by an authority that is not trusted here",
        way.host
    );
    let Some(own) = way.certificates else {
        return Cause::new(untrusted).with_hint(PRIVATE);
    };
    let hint = match own.hint() {
        Some(hint) => format!("{hint}; {PRIVATE}"),
        None => PRIVATE.to_owned(),
    };
    Cause::new(format!("{untrusted}: {own}")).with_hint(hint)
}

/// Names of a certificate that a message lists.
const NAMES_SHOWN: usize = 5;

fn names(presented: &[String]) -> String {
    // rustls writes them as `DnsName("localhost")` and `IpAddress(127.0.0.1)`.
    let inside = |name: &String| {
        let (_, inside) = name.split_once('(').unwrap_or(("", name));
        inside.trim_matches(['"', ')']).to_owned()
    };
    let shown: Vec<String> = presented.iter().take(NAMES_SHOWN).map(inside).collect();
    match (shown.is_empty(), presented.len().saturating_sub(NAMES_SHOWN)) {
        (true, _) => String::new(),
        (false, 0) => format!(" (it names {})", shown.join(", ")),
        (false, more) => format!(" (it names {} and {more} more)", shown.join(", ")),
    }
}

/// What the HTTP client says when a proxy responds to CONNECT with 407; it has no type for it. If an update changes
/// these words, `tests/tests/suite/proxies.rs::a_proxy_gets_its_user_and_password_and_the_store_does_not` fails.
const TUNNEL_REFUSED: &str = "proxy authorization required";
/// The same for any other refusal of CONNECT.
const TUNNEL_UNSUCCESSFUL: &str = "tunnel error: unsuccessful";

/// Only a proxy responds with 407 (RFC 9110, section 15.5.8), and asking again changes nothing.
pub(super) fn proxy_wants_a_password() -> TransportError {
    TransportError::Forbidden(
        Cause::new("the proxy refuses the request without the right user and password (407)")
            .with_hint("write both in the proxy's URL, as in proxy = \"http://user:password@proxy.internal:3128\""),
    )
}

/// Returns the innermost reason: what wraps it says only that a request failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    const CAUSES_LIMIT: usize = 16;
    let mut root = error;
    for _ in 0..CAUSES_LIMIT {
        match inner(root) {
            Some(cause) => root = cause,
            None => break,
        }
    }
    match root.downcast_ref::<io::Error>() {
        Some(error) => plain(error),
        // Its own text would repeat the URL with its query.
        None if root.is::<reqwest::Error>() => "the request could not be carried".to_owned(),
        None => root.to_string(),
    }
}

/// Looks through an error's causes, into I/O errors too, whose `source` skips what they wrap.
fn find_cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = inner(error);
    }
    None
}

fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
