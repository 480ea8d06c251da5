//! Sends an alert to a webhook: one POST, signed where there is a secret, to exactly the address that the operator
//! gave. Reads no more of a response than its status, and shows no more of the address than its host.

use std::fmt::{self, Write};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderName};
use reqwest::{Client, StatusCode, Url};
use sha2::{Digest, Sha256};

use super::receivers::Message;
use batch_export_runner::config::Webhook;
use batch_export_sandbox::{Network, NetworkError, Secret};
use batch_export_source::Moment;
use batch_export_system::explain::Cause;

/// Time for a webhook to respond.
pub(super) const WEBHOOK_TIME: Duration = Duration::from_secs(10);
/// The header with the signature: `sha256=` and the HMAC of time, a full stop and body in hexadecimal.
pub(super) const SIGNATURE_HEADER: &str = "x-batch-export-signature";
/// The header with the time of sending, in seconds since 1970, so that nobody can send an old alert again.
pub(super) const TIMESTAMP_HEADER: &str = "x-batch-export-timestamp";
/// Bytes of the hash by which the ledger knows a webhook.
const ID_BYTES: usize = 8;

/// A webhook of the configuration, and the client that carries alerts there.
pub(super) struct WebhookClient {
    id: String,
    place: String,
    webhook: Webhook,
    network: Network,
    client: Client,
}

impl fmt::Debug for WebhookClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookClient({})", self.place)
    }
}

impl WebhookClient {
    pub(super) fn new(webhook: &Webhook, network: &Network) -> Result<Self, NetworkError> {
        let url = webhook.url().expose();
        let origin = Url::parse(url).map(|url| url.origin().ascii_serialization());
        Ok(WebhookClient {
            id: format!("webhook-{}", hex(&Sha256::digest(url.as_bytes())[..ID_BYTES])),
            // A webhook's URL is one.
            place: origin.unwrap_or_default(),
            webhook: webhook.clone(),
            network: network.clone(),
            client: network.operators_client()?,
        })
    }

    /// Returns scheme, host and port: all of the address that may be shown.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) async fn deliver(&self, message: &Message, now: Moment) -> Result<(), Cause> {
        let body = message.json();
        let mut request = self
            .client
            .post(self.webhook.url().expose())
            .timeout(WEBHOOK_TIME)
            .header(CONTENT_TYPE, "application/json");
        if let Some(secret) = self.webhook.secret() {
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
        let webhook = Webhook::new(url, Some(Secret::new("canary"))).unwrap();
        let client = WebhookClient::new(&webhook, &network).unwrap();
        assert_eq!(client.place(), "https://hooks.example:8443");
        let shown = format!("{client:?} {}", client.id());
        assert!(!shown.contains("canary"), "{shown}");
    }
}
