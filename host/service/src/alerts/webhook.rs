//! Sends an alert to a webhook: one POST, signed where there is a secret, to exactly the address that the operator gave.
//! Reads no more of a response than its status, and shows no more of the address than its host.

use std::fmt::{self, Write};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderName};
use reqwest::{Client, StatusCode, Url};
use sha2::{Digest, Sha256};

use super::receivers::Message;
use batch_export_sandbox::{Network, NetworkError, Secret};
use batch_export_source::Moment;
use batch_export_system::explain::Cause;

/// Time for a webhook to respond.
pub const WEBHOOK_TIME: Duration = Duration::from_secs(10);
/// The header with the signature: `sha256=` and the HMAC of time, a full stop and body in hexadecimal.
pub const SIGNATURE_HEADER: &str = "x-batch-export-signature";
/// The header with the time of sending, in seconds since 1970, so that nobody can send an old alert again.
pub const TIMESTAMP_HEADER: &str = "x-batch-export-timestamp";
/// Bytes of the hash by which the ledger knows a webhook.
const ID_BYTES: usize = 8;

/// An address that alerts are sent to.
pub struct Webhook {
    id: String,
    place: String,
    url: Secret,
    secret: Option<Secret>,
    network: Network,
    client: Client,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// Takes an `http://` or `https://` URL, and the secret that alerts to it are signed with.
    pub fn new(url: Secret, secret: Option<Secret>, network: &Network) -> Result<Self, Cause> {
        let parsed = Url::parse(url.expose()).map_err(|error| Cause::new(format!("it is not a URL: {error}")))?;
        let host = parsed
            .host_str()
            .filter(|_| matches!(parsed.scheme(), "http" | "https"));
        let Some(host) = host else {
            return Err("it is not a URL with http:// or https://".into());
        };
        let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
        let unusable = |error: NetworkError| Cause::of(&error);
        Ok(Webhook {
            id: format!("webhook-{}", hex(&Sha256::digest(url.expose().as_bytes())[..ID_BYTES])),
            place: format!("{}://{host}{port}", parsed.scheme()),
            url,
            secret,
            network: network.clone(),
            client: network.operators_client().map_err(unusable)?,
        })
    }

    /// Returns scheme, host and port: all of the address that may be shown.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) async fn deliver(&self, message: &Message, now: Moment) -> Result<(), Cause> {
        let body = message.json();
        let mut request = self
            .client
            .post(self.url.expose())
            .timeout(WEBHOOK_TIME)
            .header(CONTENT_TYPE, "application/json");
        if let Some(secret) = &self.secret {
            let timestamp = now.0.div_euclid(1_000_000).to_string();
            let signature = signature(secret, &timestamp, &body).ok_or("its secret cannot sign")?;
            request = request
                .header(HeaderName::from_static(TIMESTAMP_HEADER), timestamp)
                .header(HeaderName::from_static(SIGNATURE_HEADER), signature);
        }
        match request.body(body).send().await {
            Ok(response) => self.judged(response.status()),
            Err(error) => {
                let error = self.network.explain(&error.without_url(), &self.place);
                Err(Cause::of(error.cause()))
            }
        }
    }

    fn judged(&self, status: StatusCode) -> Result<(), Cause> {
        if status.is_success() {
            return Ok(());
        }
        let refused = Cause::new(format!("{} responded with {status}", self.place));
        Err(if status.is_redirection() {
            refused.with_hint("redirects are not followed: let the URL be that of the webhook itself")
        } else if matches!(status.as_u16(), 400..=499) && !matches!(status.as_u16(), 408 | 429) {
            refused.with_hint("check that the URL is complete and that the webhook still exists")
        } else {
            refused
        })
    }
}

/// Returns the value of [`SIGNATURE_HEADER`].
fn signature(secret: &Secret, timestamp: &str, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    for part in [timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    Some(format!("sha256={}", hex(&mac.finalize().into_bytes())))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_other_tools() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let signature = signature(&Secret::new("secret"), "1700000000", r#"{"a":1}"#);
        let expect = "sha256=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(signature.as_deref(), Some(expect));
    }

    #[test]
    fn nothing_of_a_url_is_shown_but_its_host() {
        let network = Network::new(&batch_export_sandbox::NetworkOptions::default()).unwrap();
        let url = "https://user:canary@hooks.example:8443/canary/canary?token=canary";
        let webhook = Webhook::new(Secret::new(url), Some(Secret::new("canary")), &network).unwrap();
        assert_eq!(webhook.place(), "https://hooks.example:8443");
        let shown = format!("{webhook:?} {}", webhook.id());
        assert!(!shown.contains("canary"), "{shown}");
        for wrong in ["canary", "ftp://canary/", "file:///canary", "https://"] {
            let cause = Webhook::new(Secret::new(wrong), None, &network).unwrap_err();
            assert!(!cause.in_one_text().contains("canary"), "{cause}");
        }
    }
}
