//! The guest's headers as a map that cannot smuggle: valid names and values, each name once, none of the host's own.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::egress::shortened;
use crate::limits::HttpLimits;
use batch_export_system::explain::count;

/// Headers that are the host's: framing and routing of the connection (RFC 9110 section 7.6.1, RFC 9112 section 6).
const HOSTS_OWN: [&str; 14] = [
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Returns the headers, or the sentence that says which is refused. Values are not repeated: one of them is a
/// signature.
pub(super) fn parse(headers: &[(String, String)], limits: &HttpLimits) -> Result<HeaderMap, String> {
    if headers.len() > limits.request_headers {
        return Err(format!(
            "the request has {} headers, the limit is {}",
            count(headers.len() as u64),
            limits.request_headers
        ));
    }
    let bytes: usize = headers.iter().map(|(n, v)| n.len() + v.len()).sum();
    if bytes > limits.request_header_bytes {
        return Err(format!(
            "the request's headers have {} bytes, the limit is {}",
            count(bytes as u64),
            count(limits.request_header_bytes as u64)
        ));
    }
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let shown = shortened(name);
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{shown}` is not a valid header name"))?;
        if HOSTS_OWN.contains(&parsed.as_str()) {
            return Err(format!("the header `{shown}` is the host's own"));
        }
        let value = HeaderValue::from_str(value).map_err(|_| {
            format!("the header `{shown}` has a line break or another character that no header may hold")
        })?;
        if map.insert(parsed, value).is_some() {
            return Err(format!("the header `{shown}` is repeated"));
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_one(name: &str, value: &str) -> Result<HeaderMap, String> {
        parse(&[(name.into(), value.into())], &HttpLimits::default())
    }

    #[test]
    fn smuggling_is_refused_by_name_and_never_repeats_a_value() {
        let cases = [
            ("x-amz-date", "1\r\nx-amz-copy-source: /other/secret", "line break"),
            ("x-amz-date", "1\nx: secret", "line break"),
            ("x-amz-date", "secret\0", "line break"),
            ("x y", "secret", "not a valid header name"),
            ("x:y", "secret", "not a valid header name"),
            ("x\r\ny", "secret", "not a valid header name"),
            ("", "secret", "not a valid header name"),
            ("Host", "secret", "host's own"),
            ("Content-Length", "secret", "host's own"),
            ("Transfer-Encoding", "secret", "host's own"),
            ("TE", "secret", "host's own"),
            ("Connection", "secret", "host's own"),
            ("Expect", "secret", "host's own"),
        ];
        for (name, value, expected) in cases {
            let error = parse_one(name, value).expect_err(name);
            assert!(error.contains(expected), "{name}: {error}");
            assert!(!error.contains("secret"), "{name}: {error}");
        }
    }

    #[test]
    fn a_name_stands_once_whatever_its_case() {
        let twice = [
            ("Range".into(), "bytes=0-1".into()),
            ("range".into(), "bytes=0-".into()),
        ];
        let error = parse(&twice, &HttpLimits::default()).unwrap_err();
        assert!(error.contains("is repeated"), "{error}");
    }

    #[test]
    fn count_and_size_are_bounded() {
        let limits = HttpLimits::default();
        let many: Vec<_> = (0..=limits.request_headers)
            .map(|i| (format!("x-amz-meta-{i}"), String::new()))
            .collect();
        assert!(parse(&many, &limits).unwrap_err().contains("headers, the limit"));
        let error = parse_one("x-amz-tagging", &"a".repeat(limits.request_header_bytes)).unwrap_err();
        assert!(error.contains("bytes, the limit"), "{error}");
    }

    #[test]
    fn ordinary_headers_pass() {
        let map = parse_one("X-Amz-Meta-Name", "a, b;c=\"d\"").unwrap();
        assert_eq!(map.get("x-amz-meta-name").unwrap(), "a, b;c=\"d\"");
    }
}
