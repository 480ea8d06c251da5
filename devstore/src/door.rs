//! Who may do what: identities, tokens, clock, region and signed headers; the signature itself is s3s's.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use chrono::NaiveDateTime;
use md5::Md5;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};
use sha2::{Digest, Sha256};

use crate::answer::refusal;
use crate::operation::Operation;
use crate::receive::{declared_md5, declared_payload_hash, payload_hash_mismatch};

/// Farthest that a request's time may be from the store's.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html> (RequestTimeTooSkewed)
const SKEW_LIMIT_SECONDS: i64 = 15 * 60;

/// The operations that an identity may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Permission {
    #[default]
    ReadWrite,
    /// Only read and list.
    ReadOnly,
    /// Only what `s3:PutObject` and `s3:AbortMultipartUpload` allow: reading, listing and deleting are `AccessDenied`.
    WriteOnly,
}

impl Permission {
    fn allows(self, operation: Operation) -> bool {
        match self {
            Self::ReadWrite => true,
            Self::ReadOnly => operation.reads(),
            Self::WriteOnly => operation.writes(),
        }
    }
}

/// Credentials that the store accepts.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// When set, every request must carry it in `x-amz-security-token`; when not, none may.
    pub session_token: Option<String>,
    pub permission: Permission,
    /// Answer `ExpiredToken` from now on.
    pub expired: bool,
    /// If set, this many more requests are admitted before the credentials expire.
    pub requests_left: Option<u64>,
}

impl Identity {
    /// Permanent credentials that may read and write.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
            permission: Permission::ReadWrite,
            expired: false,
            requests_left: None,
        }
    }

    /// The same, as temporary credentials with this token.
    pub fn with_session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// The same, but expired after this many requests.
    pub fn expiring_after(mut self, requests: u64) -> Self {
        self.requests_left = Some(requests);
        self
    }

    /// The same, limited to `permission`.
    pub fn with_permission(mut self, permission: Permission) -> Self {
        self.permission = permission;
        self
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("access_key_id", &self.access_key_id)
            .field("permission", &self.permission)
            .field("expired", &self.expired)
            .finish_non_exhaustive()
    }
}

/// The request body of an operation that is not about data, whole; checked once the signature is known to be right.
#[derive(Clone)]
pub(crate) struct WholeBody(pub Bytes);

/// The keeper of the door: identities and what every request must have.
#[derive(Clone)]
pub(crate) struct Door {
    pub identities: Arc<RwLock<Vec<Identity>>>,
    pub region: Arc<str>,
    pub owner: Arc<str>,
    pub clock_offset_seconds: i64,
}

impl Door {
    /// The store's time, in seconds since the Unix epoch.
    pub fn now_seconds(&self) -> i64 {
        // A clock before 1970 reads as 1970.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_secs());
        i64::try_from(now)
            .unwrap_or(i64::MAX)
            .saturating_add(self.clock_offset_seconds)
    }

    fn identity(&self, access_key_id: &str) -> Option<Identity> {
        let identities = self.identities.read().unwrap_or_else(PoisonError::into_inner);
        identities
            .iter()
            .find(|identity| identity.access_key_id == access_key_id)
            .cloned()
    }

    /// Counts one request of an identity that is let in only so often; whether it still was.
    fn spend(&self, access_key_id: &str) -> bool {
        let mut identities = self.identities.write().unwrap_or_else(PoisonError::into_inner);
        let left = identities
            .iter_mut()
            .filter(|identity| identity.access_key_id == access_key_id)
            .find_map(|identity| identity.requests_left.as_mut());
        let Some(left) = left else { return true };
        let spent = left.checked_sub(1);
        *left = spent.unwrap_or(0);
        spent.is_some()
    }
}

#[async_trait::async_trait]
impl S3Auth for Door {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.identity(access_key) {
            Some(identity) => Ok(identity.secret_access_key.into()),
            None => Err(unknown_key()),
        }
    }
}

fn unknown_key() -> s3s::S3Error {
    s3_error!(
        InvalidAccessKeyId,
        "The AWS Access Key Id you provided does not exist in our records."
    )
}

#[async_trait::async_trait]
impl S3Access for Door {
    /// Runs once s3s has verified the signature, before the operation.
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let credentials = cx
            .credentials()
            .ok_or_else(|| s3_error!(AccessDenied, "Access Denied"))?;
        let identity = self.identity(&credentials.access_key).ok_or_else(unknown_key)?;
        let header = |name: &str| cx.headers().get(name).and_then(|value| value.to_str().ok());
        let scope = header("authorization").and_then(Authorization::parse).ok_or_else(|| {
            s3_error!(
                InvalidRequest,
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256 in the Authorization header."
            )
        })?;
        self.check_clock(header("x-amz-date"))?;
        if scope.region != &*self.region {
            return Err(s3_error!(
                AuthorizationHeaderMalformed,
                "The authorization header is malformed; the region '{}' is wrong; expecting '{}'",
                scope.region,
                self.region
            ));
        }
        check_signed_headers(cx.headers(), &scope.signed_headers)?;
        check_token(&identity, header("x-amz-security-token"))?;
        if !self.spend(&identity.access_key_id) {
            return Err(expired());
        }
        let operation = Operation::from_name(cx.s3_op().name());
        if !identity.permission.allows(operation) {
            return Err(s3_error!(
                AccessDenied,
                "User {} is not authorized to perform: {operation:?}",
                identity.access_key_id
            ));
        }
        if header("x-amz-expected-bucket-owner").is_some_and(|owner| owner != &*self.owner) {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        let headers = cx.headers();
        if let (Some(expected), Some(body)) = (declared_payload_hash(headers), whole_body(cx)) {
            let hash: [u8; 32] = Sha256::digest(&body).into();
            if hash != expected {
                return Err(payload_hash_mismatch());
            }
        }
        if let (Some(expected), Some(body)) = (declared_md5(cx.headers())?, whole_body(cx)) {
            let hash: [u8; 16] = Md5::digest(&body).into();
            if hash != expected {
                return Err(s3_error!(
                    BadDigest,
                    "The Content-MD5 you specified did not match what we received."
                ));
            }
        }
        Ok(())
    }
}

fn whole_body(cx: &mut S3AccessContext<'_>) -> Option<Bytes> {
    cx.extensions_mut().get::<WholeBody>().map(|body| body.0.clone())
}

impl Door {
    fn check_clock(&self, amz_date: Option<&str>) -> S3Result<()> {
        let time = amz_date.and_then(|date| NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ").ok());
        let time = time.ok_or_else(|| {
            s3_error!(
                AccessDenied,
                "AWS authentication requires a valid Date or x-amz-date header"
            )
        })?;
        if (self.now_seconds() - time.and_utc().timestamp()).abs() > SKEW_LIMIT_SECONDS {
            return Err(s3_error!(
                RequestTimeTooSkewed,
                "The difference between the request time and the current time is too large."
            ));
        }
        Ok(())
    }
}

fn check_token(identity: &Identity, token: Option<&str>) -> S3Result<()> {
    match (&identity.session_token, token) {
        (Some(expected), Some(token)) if expected == token => {}
        (None, None) => {}
        // What S3 says of a temporary key without its token.
        (Some(_), None) => return Err(unknown_key()),
        _ => {
            return Err(s3_error!(
                InvalidToken,
                "The provided token is malformed or otherwise invalid."
            ));
        }
    }
    match identity.expired {
        true => Err(expired()),
        false => Ok(()),
    }
}

fn expired() -> s3s::S3Error {
    s3_error!(ExpiredToken, "The provided token has expired.")
}

/// S3 wants `host` and every `x-amz-` header signed.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
fn check_signed_headers(headers: &http::HeaderMap, signed: &BTreeSet<&str>) -> S3Result<()> {
    let must = headers
        .keys()
        .map(|name| name.as_str())
        .filter(|name| name.starts_with("x-amz-"))
        .chain(["host"]);
    let unsigned: Vec<&str> = must.filter(|name| !signed.contains(name)).collect();
    if !unsigned.is_empty() {
        return Err(refusal(
            403,
            "AccessDenied",
            format!(
                "There were headers present in the request which were not signed: {}",
                unsigned.join(", ")
            ),
        ));
    }
    Ok(())
}

/// The contents of the `Authorization` header, without the signature.
struct Authorization<'a> {
    region: &'a str,
    signed_headers: BTreeSet<&'a str>,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let fields = header.strip_prefix("AWS4-HMAC-SHA256")?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
        };
        Some(Self {
            region: field("Credential")?.rsplit('/').nth(2)?,
            signed_headers: field("SignedHeaders")?.split(';').collect(),
        })
    }
}
