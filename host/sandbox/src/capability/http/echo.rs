//! Hides a request's secrets in the answer to it: some servers and proxies repeat request headers in their error pages,
//! and messages quote those. Judges nothing.

use bytes::Bytes;
use http::HeaderMap;

use crate::credentials::Secret;

/// Request headers whose values are secret. The proxy's are not among a request's: the client adds them.
const SECRET_HEADERS: [&str; 2] = ["authorization", "x-amz-security-token"];
/// What takes a secret's place.
const HIDDEN: &[u8] = b"[***]";
/// Shorter texts are not looked for: they would be found in any answer. No answer grows by this.
const SHORTEST_SECRET_BYTES: usize = 6;

/// The secrets that an answer must not repeat.
pub(super) struct Echo(Vec<Secret>);

impl Echo {
    /// Those of a request's headers and of the way to the server.
    pub(super) fn of(headers: &HeaderMap, proxy: &[Secret]) -> Self {
        let of_headers = SECRET_HEADERS
            .iter()
            .filter_map(|name| headers.get(*name)?.to_str().ok())
            .map(Secret::new);
        let all = of_headers.chain(proxy.iter().cloned());
        Echo(
            all.filter(|secret| secret.expose().len() >= SHORTEST_SECRET_BYTES)
                .collect(),
        )
    }

    /// The bytes without the secrets; the very same where there are none.
    pub(super) fn hidden(&self, bytes: Bytes) -> Bytes {
        self.0.iter().fold(bytes, |bytes, secret| {
            without(&bytes, secret.expose().as_bytes()).unwrap_or(bytes)
        })
    }

    /// The same for a header's value.
    pub(super) fn hidden_text(&self, text: String) -> String {
        let hidden = self.hidden(Bytes::from(text.into_bytes()));
        String::from_utf8_lossy(&hidden).into_owned()
    }
}

fn without(bytes: &[u8], secret: &[u8]) -> Option<Bytes> {
    let mut rest = bytes;
    let mut kept = Vec::new();
    while let Some(at) = rest.windows(secret.len()).position(|text| text == secret) {
        kept.extend_from_slice(&rest[..at]);
        kept.extend_from_slice(HIDDEN);
        rest = &rest[at + secret.len()..];
    }
    if rest.len() == bytes.len() {
        return None;
    }
    kept.extend_from_slice(rest);
    Some(Bytes::from(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_repeats_of_a_request_is_hidden() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-amz-security-token",
            "TOKEN/1+2==".parse().expect("a value"),
        );
        headers.insert("authorization", "AWS4 canary".parse().expect("a value"));
        headers.insert("content-type", "text/plain".parse().expect("a value"));
        let proxy = [Secret::new("cGFzczp3b3Jk"), Secret::new("pw")];
        let echo = Echo::of(&headers, &proxy);
        for (answer, expect) in [
            ("<Message>none</Message>", "<Message>none</Message>"),
            ("t: TOKEN/1+2==; TOKEN/1+2==", "t: [***]; [***]"),
            ("AWS4 canary, Basic cGFzczp3b3Jk", "[***], Basic [***]"),
            ("text/plain pw", "text/plain pw"),
            ("", ""),
        ] {
            assert_eq!(echo.hidden(Bytes::from(answer)), expect);
            assert_eq!(echo.hidden_text(answer.to_owned()), expect);
        }
    }
}
