//! Hides a session's secrets in what servers send: some stores and proxies repeat requests, or what they know, in their
//! error pages, and messages quote those. It protects from carelessness: a server that wants to give away a secret it
//! knows can always encode it in a way of its own.

mod spelling;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::HeaderMap;
use zeroize::Zeroizing;

use batch_export_system::Secret;
use spelling::Layer;

/// Request headers whose values are secret. The proxy's are not among a request's: the client adds them.
const SECRET_HEADERS: [&str; 2] = ["authorization", "x-amz-security-token"];
/// What takes a secret's place.
const HIDDEN: &[u8] = b"[***]";
/// Shorter texts are not looked for: they would be found in any response. No text grows by hiding.
const SHORTEST_SECRET_BYTES: usize = 6;
/// Escapes inside escapes that are seen through, as in a query that was percent-encoded twice and put into XML.
const LAYERS: usize = 3;
/// Bytes that are looked at together, so that a large body takes little memory.
const WINDOW_BYTES: usize = 64 << 10;
/// Bytes that one byte of a secret takes at most when it is spelled in an unusual way; windows overlap by that.
const SPELLED_BYTES: usize = 16;

/// The secrets of a session, which no text from outside may repeat: the secret access key, the session token, the
/// signing keys derived from it in hexadecimal, and the proxy's password, also as it is sent. It knows them as soon as
/// they are used. They are found in whatever case they are written, percent-encoded, as XML or HTML character
/// references, and with the escapes of JSON.
///
/// Cheap to clone; clones share what they know.
#[derive(Clone, Default)]
pub struct Redactor {
    session: Arc<RwLock<Vec<Secret>>>,
    request: Vec<Secret>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    pub(crate) fn of(secrets: &[Secret]) -> Self {
        let redactor = Redactor::default();
        redactor.add(secrets.iter().cloned());
        redactor
    }

    /// Hides these too, in every clone.
    pub(crate) fn add(&self, secrets: impl IntoIterator<Item = Secret>) {
        let mut known = self.session.write().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets {
            if secret.expose().len() >= SHORTEST_SECRET_BYTES && !known.contains(&secret) {
                known.push(secret);
            }
        }
    }

    /// Returns the same, and what one request carries besides.
    pub(crate) fn for_request(&self, headers: &HeaderMap) -> Self {
        let request = SECRET_HEADERS
            .iter()
            .filter_map(|name| headers.get(*name)?.to_str().ok())
            .filter(|value| value.len() >= SHORTEST_SECRET_BYTES)
            .map(Secret::new);
        Redactor {
            session: Arc::clone(&self.session),
            request: request.collect(),
        }
    }

    /// Returns the text with `[***]` in place of each secret.
    pub fn text(&self, text: &str) -> String {
        match self.hide(text.as_bytes()) {
            Cow::Borrowed(_) => text.to_owned(),
            Cow::Owned(hidden) => String::from_utf8_lossy(&hidden).into_owned(),
        }
    }

    /// Returns the bytes without the secrets; the very same where there are none.
    pub(crate) fn bytes(&self, bytes: Bytes) -> Bytes {
        match self.hide(&bytes) {
            Cow::Borrowed(_) => bytes,
            Cow::Owned(hidden) => Bytes::from(hidden),
        }
    }

    fn hide<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let found = self.found(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut kept = Vec::with_capacity(text.len());
        let mut done = 0;
        for Range { start, end } in found {
            // Of secrets that overlap, what the first one covers is gone already.
            if start >= done {
                kept.extend_from_slice(&text[done..start]);
                kept.extend_from_slice(HIDDEN);
            }
            done = done.max(end);
        }
        kept.extend_from_slice(&text[done..]);
        Cow::Owned(kept)
    }

    /// Returns where secrets are in the text, in order.
    fn found(&self, text: &[u8]) -> Vec<Range<usize>> {
        let session = self.session.read().unwrap_or_else(PoisonError::into_inner);
        let secrets: Vec<Zeroizing<Vec<u8>>> = session.iter().chain(&self.request).flat_map(forms).collect();
        let longest = secrets.iter().map(|secret| secret.len()).max();
        let overlap = longest.unwrap_or(0).saturating_mul(SPELLED_BYTES);
        let mut found = Vec::new();
        for start in (0..text.len()).step_by(WINDOW_BYTES) {
            let end = text.len().min(start + WINDOW_BYTES + overlap);
            let mut layer = Some(Layer::of(&text[start..end], start));
            for _ in 0..=LAYERS {
                let Some(this) = layer else { break };
                for secret in &secrets {
                    this.find(secret, &mut found);
                }
                layer = this.unescaped();
            }
        }
        found.sort_by_key(|range| (range.start, range.end));
        found
    }
}

/// Returns the secret as it is, and with the escapes undone that it holds itself: undoing those around it undoes them
/// too.
fn forms(secret: &Secret) -> Vec<Zeroizing<Vec<u8>>> {
    let mut forms = Vec::new();
    let mut layer = Some(Layer::of(secret.expose().as_bytes(), 0));
    for _ in 0..=LAYERS {
        let Some(this) = layer else { break };
        layer = this.unescaped();
        forms.push(Zeroizing::new(this.into_bytes()));
    }
    forms.retain(|form| form.len() >= SHORTEST_SECRET_BYTES);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let session = Redactor::of(&["cGFzczp3b3Jk=", "pw", "canary/1+2&3\"é"].map(Secret::new));
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-amz-security-token", "TOKEN/1+2=="),
            ("authorization", "AWS4 canary"),
            ("content-type", "text/plain"),
        ] {
            headers.insert(name, value.parse().expect("a value"));
        }
        session.for_request(&headers)
    }

    #[test]
    fn what_a_server_repeats_of_a_request_is_hidden() {
        let redactor = redactor();
        for (response, expect) in [
            ("<Message>none</Message>", "<Message>none</Message>"),
            ("t: TOKEN/1+2==; TOKEN/1+2==", "t: [***]; [***]"),
            ("TOKEN/1+2==TOKEN/1+2==", "[***][***]"),
            ("token/1+2==", "[***]"),
            ("AWS4 canary/1+2&3\"é, Basic cGFzczp3b3Jk=", "[***], Basic [***]"),
            ("text/plain pw", "text/plain pw"),
            ("100%, &c; \\", "100%, &c; \\"),
            ("", ""),
        ] {
            assert_eq!(redactor.text(response), expect);
            assert_eq!(redactor.bytes(Bytes::from(response)), expect);
        }
    }

    #[test]
    fn no_spelling_of_a_secret_gets_through() {
        let redactor = redactor();
        for spelled in [
            "TOKEN%2F1%2B2%3D%3D",
            "TOKEN%2f1%2b2%3d%3d",
            "%54OKEN/1%2B2==",
            "TOKEN%252F1%252B2%253D%253D",
            "TOKEN&#47;1&#x2b;2&#X3D;&#061;",
            "TOKEN&sol;1&plus;2&equals;&equals;",
            "TOKEN&amp;#47;1+2==",
            r"TOKEN\/1\u002b2\u003D=",
            r"TOKEN\\/1\\u002b2==",
            "TOKEN%26%2347%3B1+2==",
            "canary/1+2&amp;3&quot;é",
            "canary/1+2%263%22%C3%A9",
            r#"canary/1+2&3\"\u00e9"#,
            "canary/1+2&amp;3&#34;&#233;",
            "cGFzczp3b3Jk%3D",
        ] {
            assert_eq!(redactor.text(&format!("<{spelled}>")), "<[***]>", "{spelled}");
        }
    }

    #[test]
    fn a_secret_that_holds_escapes_itself_is_hidden_in_every_spelling() {
        for (secret, spelled) in [
            ("aaaa%26bbbb\"cccc", "aaaa%26bbbb\"cccc"),
            ("aaaa%26bbbb\"cccc", "aaaa%26bbbb&quot;cccc"),
            ("aaaa%26bbbb\"cccc", "aaaa%2526bbbb%22cccc"),
            ("aaaa%26bbbb<x>cccc", "aaaa%26bbbb&lt;x&gt;cccc"),
            ("aaaa&#65;aaaa%41bbbb", "aaaa&amp;#65;aaaa%41bbbb"),
            (r"aaaa\u0041&bbbb", r"aaaa\u0041&amp;bbbb"),
            ("aaaa%2541&bbbb", "aaaa%2541&amp;bbbb"),
        ] {
            let redactor = Redactor::of(&[Secret::new(secret)]);
            assert_eq!(
                redactor.text(&format!("<{spelled}>")),
                "<[***]>",
                "{secret} as {spelled}"
            );
        }
    }

    #[test]
    fn a_secret_across_windows_is_hidden() {
        let redactor = redactor();
        for before in [WINDOW_BYTES - 20, WINDOW_BYTES - 1, WINDOW_BYTES, WINDOW_BYTES + 1] {
            let (before, after) = ("x".repeat(before), "y".repeat(WINDOW_BYTES));
            let hidden = redactor.text(&format!("{before}TOKEN%252F1%252B2%253D%253D{after}"));
            assert!(hidden == format!("{before}[***]{after}"), "{}", before.len());
        }
    }

    #[test]
    fn what_is_added_later_is_hidden_by_every_clone() {
        let session = Redactor::default();
        let clone = session.for_request(&HeaderMap::new());
        session.add([Secret::new("added-later")]);
        assert_eq!(clone.text("an added-later one"), "an [***] one");
    }

    #[test]
    fn a_redactor_shows_no_secret() {
        let shown = format!("{:?}", redactor());
        assert!(!shown.contains("canary") && !shown.contains("TOKEN"), "{shown}");
    }
}
