//! One request against the grants: normal form of its URL, its path, its query keys and its headers. Knows nothing
//! of S3, and never repairs a request: what is not in normal form is refused.

use std::collections::BTreeSet;

use http::{HeaderMap, Method};
use url::Url;

use super::address::AddressRefused;
use super::{Allowed, Grants, Reach, pattern_covers, shortened};
use batch_export_system::explain::Explain;

/// The part of a request that grants speak of.
#[derive(Debug)]
pub(crate) struct RequestHead<'a> {
    /// Its method.
    pub(crate) method: &'a Method,
    /// As the guest wrote it.
    pub(crate) url: &'a str,
    /// Already parsed, so free of line breaks.
    pub(crate) headers: &'a HeaderMap,
}

/// Why a request does not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestRefused {
    /// The URL cannot be taken at its word.
    #[error("the URL `{url}` is refused: {rule}")]
    Url {
        /// As the guest wrote it, shortened and without its query.
        url: String,
        /// What is wrong with it.
        rule: String,
    },
    /// No grant covers it.
    #[error("no grant of this run covers {method} {target}: {rule}")]
    NotGranted {
        /// Its method.
        method: String,
        /// Its URL without the query's values.
        target: String,
        /// How far the nearest grants reached.
        rule: String,
    },
    /// The address is an IP literal that is not allowed.
    #[error(transparent)]
    Address(#[from] AddressRefused),
}

impl Explain for RequestRefused {
    fn hint(&self) -> Option<String> {
        match self {
            RequestRefused::Address(refused) => refused.hint(),
            _ => None,
        }
    }
}

impl Grants {
    /// Returns the URL to send to, if a grant covers the request in every respect.
    pub(crate) fn check(&self, head: &RequestHead<'_>) -> Result<(Url, &str), RequestRefused> {
        let url = parse_normal(head.url)?;
        let refuse = |rule: String| RequestRefused::NotGranted {
            method: head.method.to_string(),
            target: without_query(head.url),
            rule,
        };
        // Before anything looks into it.
        let keys = query_keys(&url).map_err(refuse)?;
        let origin = origin_of(&url);
        let mut candidates: Vec<&Allowed> = self.allowed.iter().collect();
        // One criterion after the other, so that the message names the first that nothing met.
        candidates.retain(|a| a.origin == origin);
        if candidates.is_empty() {
            return Err(refuse("no grant for this scheme, host and port".to_owned()));
        }
        candidates.retain(|a| a.reach.covers(&url));
        if candidates.is_empty() {
            return Err(refuse("no grant for this path".to_owned()));
        }
        candidates.retain(|a| a.method == *head.method);
        if candidates.is_empty() {
            return Err(refuse("no grant for this method on this path".to_owned()));
        }
        candidates.retain(|a| a.query == keys);
        if candidates.is_empty() {
            let keys: Vec<String> = keys.into_iter().collect();
            return Err(refuse(format!(
                "no grant for the query keys [{}]",
                shortened(&keys.join(", "))
            )));
        }
        let foreign: Vec<_> = candidates
            .iter()
            .map_while(|a| foreign_header(a, head.headers).map(|h| (&a.operation, h)))
            .collect();
        if foreign.len() == candidates.len()
            && let Some((operation, header)) = foreign.first()
        {
            return Err(refuse(format!(
                "the grant for {} does not include the header `{header}`",
                shortened(operation)
            )));
        }
        self.addresses().check_literal(&url)?;
        let operation = candidates.first().map_or("", |allowed| allowed.operation.as_str());
        Ok((url, operation))
    }
}

impl Reach {
    fn covers(&self, url: &Url) -> bool {
        match self {
            Reach::Keys { path_prefix, root } => url.path().starts_with(path_prefix) && url.path().len() > root.len(),
            Reach::Root {
                path,
                prefix_key,
                key_heads,
            } => {
                let is_own = |value: &str| key_heads.iter().any(|head| value.starts_with(head));
                let mut pairs = url.query_pairs();
                url.path() == path && pairs.any(|(key, value)| key == *prefix_key && is_own(&value))
            }
        }
    }
}

/// Returns the first header that the grant does not list.
fn foreign_header(allowed: &Allowed, headers: &HeaderMap) -> Option<String> {
    headers
        .keys()
        .find(|name| {
            !allowed
                .headers
                .iter()
                .any(|pattern| pattern_covers(pattern, name.as_str()))
        })
        .map(|name| shortened(name.as_str()))
}

/// Returns a URL that means to every reader what it says: parsing and writing it again changes nothing, so that neither
/// dot segments, nor backslashes, nor numeric spellings of an address, nor white space can hide in it.
fn parse_normal(text: &str) -> Result<Url, RequestRefused> {
    let refuse = |rule: String| RequestRefused::Url {
        url: without_query(text),
        rule,
    };
    let url = Url::parse(text).map_err(|e| refuse(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("only http and https are supported".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it contains user information".to_owned()));
    }
    if url.fragment().is_some() {
        return Err(refuse("it contains a fragment".to_owned()));
    }
    if url.as_str() != text {
        return Err(refuse(format!(
            "it is not in normal form, which is `{}`",
            without_query(url.as_str())
        )));
    }
    check_path(url.path()).map_err(refuse)?;
    Ok(url)
}

/// Returns scheme, host and port of a grant: a URL with nothing else.
pub(super) fn parse_origin(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("its origin is not a URL: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("its origin is neither http nor https".to_owned());
    }
    if origin_of(&url) != text {
        return Err(format!(
            "its origin must consist of scheme, host and port only, in normal form: `{}`",
            origin_of(&url)
        ));
    }
    Ok(url)
}

/// Returns `https://host:port`, the port omitted where it is the scheme's own.
pub(super) fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Checks the rules of a path, which hold for grants and requests alike.
pub(super) fn check_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err("its path does not begin with `/`".to_owned());
    }
    if let Some(c) = path
        .chars()
        .find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '?' | '#' | '"' | '<' | '>'))
    {
        return Err(format!("its path contains {c:?}, which must be percent-encoded"));
    }
    check_escapes(path)?;
    let mut reading = decoded(path);
    for _ in 0..DECODINGS_LIMIT {
        check_reading(&reading)?;
        let again = decoded_bytes(&reading);
        if again == reading {
            break;
        }
        reading = again;
    }
    if decoded_bytes(&reading) != reading {
        return Err(format!(
            "its path is percent-encoded more than {DECODINGS_LIMIT} times over"
        ));
    }
    if path.to_ascii_lowercase().contains("%2f") {
        return Err("its path contains an encoded slash (`%2F`)".to_owned());
    }
    Ok(())
}

/// How often a path may be decoded on its way: a proxy and a server behind it may each do so, and more than a few
/// layers are not an accident.
const DECODINGS_LIMIT: usize = 8;

/// Checks that what a path means climbs nowhere, however a server reads it.
fn check_reading(reading: &[u8]) -> Result<(), String> {
    // Both kinds of slash divide, because some servers take them for the same.
    for segment in reading.split(|b| matches!(b, b'/' | b'\\')) {
        if is_dots(segment) {
            return Err(
                "its path contains a `.` or `..` segment, or something that some servers treat as \
                        one"
                .to_owned(),
            );
        }
    }
    // Never in UTF-8: other spellings of characters that have shorter ones, such as C0 AE for a dot.
    let is_overlong = |pair: &[u8]| matches!(pair, [0xc0 | 0xc1, _] | [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]);
    if reading.windows(2).any(is_overlong) || reading.last().is_some_and(|b| matches!(b, 0xc0 | 0xc1)) {
        return Err("its path contains overlong UTF-8".to_owned());
    }
    if reading.contains(&0) {
        return Err("its path contains a zero byte (`%00`)".to_owned());
    }
    Ok(())
}

/// `.`, `..` and what is cut down to them: servlets end a segment's name at `;`, programs in C at a zero byte, Windows
/// drops blanks and dots at its end.
fn is_dots(segment: &[u8]) -> bool {
    let is_blank = |b: &u8| *b == b' ' || b.is_ascii_control();
    let begins = segment.iter().position(|b| !is_blank(b)).unwrap_or_default();
    let name = segment[begins..]
        .split(|b| *b == b';' || b.is_ascii_control())
        .next()
        .unwrap_or_default();
    !name.is_empty() && name.iter().all(|b| matches!(b, b'.' | b' '))
}

/// Checks that every `%` is followed by two hexadecimal digits.
fn check_escapes(path: &str) -> Result<(), String> {
    let bytes = path.as_bytes();
    let broken = bytes.iter().enumerate().any(|(i, b)| {
        *b == b'%'
            && !bytes
                .get(i + 1..i + 3)
                .is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
    });
    match broken {
        true => Err("its path contains a `%` without two hexadecimal digits after it".to_owned()),
        false => Ok(()),
    }
}

/// Returns a path as the bytes that it stands for.
pub(super) fn decoded(path: &str) -> Vec<u8> {
    decoded_bytes(path.as_bytes())
}

fn decoded_bytes(path: &[u8]) -> Vec<u8> {
    let hex = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(*first),
        }
    }
    out
}

/// Returns the query's keys, decoded; each at most once. What servers divide or decode in different ways is refused.
fn query_keys(url: &Url) -> Result<BTreeSet<String>, String> {
    let query = url.query().unwrap_or_default();
    if let Some(c) = query.chars().find(|c| matches!(c, ';' | '+')) {
        return Err(format!(
            "the query contains a bare `{c}`, which servers interpret in different ways; percent-encode it"
        ));
    }
    check_escapes(query).map_err(|_| "the query contains a `%` without two hexadecimal digits after it".to_owned())?;
    if decoded(query).contains(&0) {
        return Err("the query contains a zero byte (`%00`)".to_owned());
    }
    let mut keys = BTreeSet::new();
    for (key, _) in url.query_pairs() {
        if !keys.insert(key.to_string()) {
            return Err(format!("the query key `{}` is repeated", shortened(&key)));
        }
    }
    Ok(keys)
}

/// For messages: a query may hold what does not belong in a log.
fn without_query(url: &str) -> String {
    shortened(url.split(['?', '#']).next().unwrap_or_default())
}
