//! The `signer` capability: SigV4 keys scoped to one date, region and service, for granted scopes only. The
//! long-lived secret never leaves this file and `credentials`.

use std::collections::HashMap;
use std::fmt;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::http::ServerDate;
use super::redact::Redactor;
use crate::credentials::{CredentialError, CredentialSource, Credentials, RENEW_BEFORE_EXPIRY};
use crate::egress::{Grants, shortened};
use batch_export_system::Secret;
use batch_export_system::explain::{Cause, Explain, count};

/// While temporary credentials near their end and the source cannot be reached, it is asked at most this often.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);
/// Times that a session may declare its credentials expired: each costs a request to the credential source. Sessions
/// of an hour over a whole day stay below.
const REFRESHES_LIMIT: u32 = 32;
/// Farthest that a server's clock is believed. A wrong time zone or a flat battery stays below a day; beyond it a key
/// would be valid at a time that this host cannot judge.
const SKEW_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);
/// What to do when this machine's clock is wrong.
const SET_CLOCK: &str = "correct this machine's clock";
/// Derived keys kept: granted scopes times the two dates of a run over midnight.
const KEYS_LIMIT: usize = 16;

/// What the plugin learnt about its last key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Nothing.
    None,
    /// The destination says that the credentials expired.
    Expired,
    /// The destination says that the clock is wrong.
    Skewed,
}

/// A SigV4 key for one date, region and service.
#[derive(Clone, PartialEq, Eq)]
pub struct ScopedKey {
    /// Public part of the credentials.
    pub access_key_id: String,
    /// Of temporary credentials.
    pub session_token: Option<String>,
    /// Seconds since the Unix epoch, corrected where the clock was found wrong.
    pub timestamp: i64,
    /// 32 bytes.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ScopedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedKey")
            .field("access_key_id", &self.access_key_id)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

/// The reasons why there is no key; the cases are the contract's. Each says what happened and, where the host knows it,
/// what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Not granted, or asked for too often.
    #[error("{0}")]
    Forbidden(Cause),
    /// No credentials.
    #[error("{0}")]
    Missing(Cause),
    /// The source cannot be reached for now.
    #[error("{0}")]
    Unavailable(Cause),
}

impl SignerError {
    /// Returns what happened and what to do about it.
    pub fn cause(&self) -> &Cause {
        match self {
            SignerError::Forbidden(cause) | SignerError::Missing(cause) | SignerError::Unavailable(cause) => cause,
        }
    }
}

impl Explain for SignerError {
    fn hint(&self) -> Option<String> {
        self.cause().hint()
    }
}

impl From<CredentialError> for SignerError {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Missing(cause) => SignerError::Missing(cause),
            CredentialError::Unavailable(cause) => SignerError::Unavailable(cause),
        }
    }
}

type Scope = (String, String, String);

/// One session's signer.
pub(crate) struct Signer {
    source: CredentialSource,
    grants: Grants,
    credentials: Option<Credentials>,
    keys: HashMap<Scope, Zeroizing<[u8; 32]>>,
    refreshes: u32,
    renewal_tried: Option<SystemTime>,
    server_date: ServerDate,
    /// Told of every secret before it is used.
    redactor: Redactor,
    /// What to add to this host's clock; set at most once.
    skew_seconds: Option<i64>,
}

impl Signer {
    /// Returns a signer for the requests of one [`Http`](super::http::Http), from which the clock and the redactor
    /// come.
    pub(crate) fn new(source: CredentialSource, grants: Grants, server_date: ServerDate, redactor: Redactor) -> Self {
        if let CredentialSource::Static(credentials) = &source {
            redactor.add(secrets(credentials));
        }
        Signer {
            source,
            grants,
            credentials: None,
            keys: HashMap::new(),
            refreshes: 0,
            renewal_tried: None,
            server_date,
            redactor,
            skew_seconds: None,
        }
    }

    /// Returns the key to sign the next request with.
    pub(crate) async fn scoped_key(
        &mut self,
        service: &str,
        region: &str,
        refresh: Refresh,
    ) -> Result<ScopedKey, SignerError> {
        if !self.grants.may_sign(service, region) {
            let granted: Vec<String> = self
                .grants
                .scopes()
                .iter()
                .map(|s| format!("`{}` in `{}`", s.service, s.region))
                .collect();
            let granted = match granted.is_empty() {
                true => "none".to_owned(),
                false => granted.join(", "),
            };
            let message = format!(
                "no key for service `{}` in region `{}`: the run is granted {granted}",
                shortened(service),
                shortened(region)
            );
            return Err(SignerError::Forbidden(message.into()));
        }
        if refresh == Refresh::Skewed {
            self.correct_clock()?;
        }
        self.renew(refresh == Refresh::Expired).await?;
        let timestamp = unix_seconds(SystemTime::now()) + self.skew_seconds.unwrap_or(0);
        let Some(credentials) = &self.credentials else {
            return Err(SignerError::Missing("no credentials were found".into()));
        };
        let date = date(timestamp)?;
        if self.keys.len() >= KEYS_LIMIT {
            self.keys.clear();
        }
        let secret = credentials.secret_access_key.expose();
        let key = self
            .keys
            .entry((date.clone(), region.to_owned(), service.to_owned()))
            .or_insert_with(|| {
                let key = derive(secret, &date, region, service);
                self.redactor.add([Secret::new(hex(key.as_slice()))]);
                key
            });
        Ok(ScopedKey {
            access_key_id: credentials.access_key_id.clone(),
            session_token: credentials.session_token.as_ref().map(|t| t.expose().to_owned()),
            timestamp,
            key: Zeroizing::new(key.to_vec()),
        })
    }

    /// Asks the source when there are none yet, when they near their end, or when the destination calls them expired.
    async fn renew(&mut self, declared_expired: bool) -> Result<(), SignerError> {
        if declared_expired && self.source.is_renewable() {
            if self.refreshes >= REFRESHES_LIMIT {
                let renewed = format!(
                    "the credentials were renewed {REFRESHES_LIMIT} times and the destination still calls them expired"
                );
                let hint = "check the clocks of this machine and of the store, and what gives the credentials";
                return Err(SignerError::Forbidden(Cause::new(renewed).with_hint(hint)));
            }
            self.refreshes += 1;
        } else if !self.is_due() {
            return Ok(());
        }
        self.renewal_tried = Some(SystemTime::now());
        match self.source.fetch(self.credentials.as_ref()).await {
            Ok(fresh) => {
                if self.credentials.as_ref() != Some(&fresh) {
                    self.redactor.add(secrets(&fresh));
                    self.keys.clear();
                    self.credentials = Some(fresh);
                }
                Ok(())
            }
            // Credentials that still hold are better than none; the source is asked again soon.
            Err(CredentialError::Unavailable(_)) if !declared_expired && self.still_valid() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn is_due(&self) -> bool {
        let Some(credentials) = &self.credentials else {
            return true;
        };
        let now = SystemTime::now();
        let near_end = !credentials.outlast(RENEW_BEFORE_EXPIRY);
        let paused = self
            .renewal_tried
            .and_then(|tried| now.duration_since(tried).ok())
            .is_none_or(|since| since >= RENEWAL_PAUSE);
        near_end && (paused || !self.still_valid())
    }

    fn still_valid(&self) -> bool {
        self.credentials
            .as_ref()
            .is_some_and(|credentials| credentials.outlast(Duration::ZERO))
    }

    /// Believes the last response's `Date` header, once and within bounds.
    fn correct_clock(&mut self) -> Result<(), SignerError> {
        if self.skew_seconds.is_some() {
            return Ok(());
        }
        let seen = *self.server_date.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((server, at)) = seen else {
            return Ok(());
        };
        let skew_seconds = unix_seconds(server) - unix_seconds(at);
        if skew_seconds.unsigned_abs() > SKEW_LIMIT.as_secs() {
            let apart = format!(
                "the destination's clock differs from this machine's by {} hours, more than the {} hours that are \
                 corrected",
                count(skew_seconds.unsigned_abs() / 3600),
                SKEW_LIMIT.as_secs() / 3600
            );
            return Err(SignerError::Forbidden(Cause::new(apart).with_hint(SET_CLOCK)));
        }
        self.skew_seconds = Some(skew_seconds);
        Ok(())
    }
}

/// Returns what no response may repeat of them.
fn secrets(credentials: &Credentials) -> impl Iterator<Item = Secret> {
    let token = credentials.session_token.clone();
    [Some(credentials.secret_access_key.clone()), token]
        .into_iter()
        .flatten()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unix_seconds(time: SystemTime) -> i64 {
    let seconds = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => seconds(after),
        Err(before) => -seconds(before.duration()),
    }
}

/// Returns `YYYYMMDD`, as in a credential scope.
fn date(timestamp: i64) -> Result<String, SignerError> {
    DateTime::from_timestamp(timestamp, 0)
        .map(|t| t.format("%Y%m%d").to_string())
        .ok_or_else(|| {
            let cause = Cause::new("this machine's clock shows no date of the calendar");
            SignerError::Unavailable(cause.with_hint(SET_CLOCK))
        })
}

/// AWS Signature Version 4, "Derive a signing key" (IAM User Guide, "Create a signed AWS API request", step 4).
fn derive(secret: &str, date: &str, region: &str, service: &str) -> Zeroizing<[u8; 32]> {
    let seed = Zeroizing::new([b"AWS4", secret.as_bytes()].concat());
    let dated = hmac_sha256(&seed, date.as_bytes());
    let regional = hmac_sha256(dated.as_slice(), region.as_bytes());
    let for_service = hmac_sha256(regional.as_slice(), service.as_bytes());
    hmac_sha256(for_service.as_slice(), b"aws4_request")
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    // RFC 2104: a key longer than the hash's block is hashed first, a shorter one is padded with zeros.
    const BLOCK_BYTES: usize = 64;
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    match block.get_mut(..key.len()) {
        Some(start) => start.copy_from_slice(key),
        None => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests;
