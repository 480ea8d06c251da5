//! The operator's policy: where one run may send, derived from the destination's configuration, the run's model and
//! interval, and the operator's own lists. The one place that knows how bucket and endpoint become addresses; trusts
//! nothing a plugin says.

use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;
use url::{Host, Url};

use super::address::{AddressPolicy, PrivateRule};
use super::keys::RunKeys;
use super::request::{check_path, decoded, origin_of};
use crate::contract::{Grant, Run, SigningScope};

/// Hosts of S3 in a region ("Amazon Simple Storage Service endpoints and quotas", AWS General Reference): plain, FIPS,
/// dual-stack, and both.
const AWS_ENDPOINTS: [&str; 4] = ["s3", "s3-fips", "s3.dualstack", "s3-fips.dualstack"];
/// The partitions' domains by the beginning of their regions' names.
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
const AWS_PARTITIONS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
];
/// The domain of all other regions, GovCloud's among them.
const AWS_DOMAIN: &str = "amazonaws.com";
/// Longest bucket name that any store takes.
const BUCKET_LIMIT_BYTES: usize = 255;
/// Longest region name; the longest of AWS has 14 characters.
const REGION_LIMIT_BYTES: usize = 63;

/// The fields of a destination that the host itself goes by, whatever the plugin's schema says of them.
pub const POLICY_FIELDS: [&str; 8] = [
    "bucket_name",
    "region",
    "prefix",
    "key_style",
    "endpoint_url",
    "use_virtual_style_addressing",
    "acl",
    "if_none_match",
];

/// Where one run may send and sign.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(super) keys: RunKeys,
    pub(super) places: Vec<Place>,
    pub(super) scopes: Vec<SigningScope>,
    pub(super) addresses: Arc<AddressPolicy>,
    /// The configuration asks for an ACL, so the header that sets one may be sent.
    pub(super) acl_configured: bool,
    pub(super) never_overwrites: bool,
}

/// How the host itself reads a run's keys back.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Scheme, host and port.
    pub origin: String,
    /// `/` or `/<bucket>/`
    pub root: String,
    /// For these requests and no others.
    pub grants: Vec<Grant>,
    /// To sign in.
    pub scope: SigningScope,
}

/// Headers of the host's own requests: those of signing, and the one that asks for an object's checksum.
const READING_HEADERS: [&str; 5] = [
    "authorization",
    "x-amz-checksum-mode",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
];

/// One origin, and the beginnings of the paths there that requests may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) origin: String,
    /// Percent-encoded: the run's own keys, or a folder that the operator lists.
    pub(super) path_prefixes: Vec<String>,
    /// The configured bucket's own path, which is not an object: `/` or `/<bucket>/`. `None` where the operator lists
    /// an address.
    pub(super) bucket: Option<String>,
}

impl Place {
    /// Whether every path that begins with this one is allowed. Two spellings of the same path are the same.
    pub(super) fn covers(&self, path_prefix: &str) -> bool {
        let asked = decoded(path_prefix);
        let mut prefixes = self.path_prefixes.iter();
        prefixes.any(|prefix| asked.starts_with(&decoded(prefix)))
    }

    /// The bucket's root, when a path is the bucket's own, which is where its open uploads are listed.
    pub(super) fn lists_at(&self, path: &str) -> bool {
        let root = self.bucket.as_deref();
        root.is_some_and(|root| path == root || Some(path) == root.strip_suffix('/'))
    }
}

/// What the operator lists for a destination beyond its configuration.
#[derive(Debug, Clone, Default)]
pub struct OperatorLists {
    /// `allow = ["https://host:port/path-prefix"]`
    pub allow: Vec<AllowedUrl>,
    /// `allow_private = ["127.0.0.1:9000", "minio.internal", "10.0.0.0/8"]`
    pub allow_private: Vec<PrivateRule>,
}

/// One entry of `allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedUrl(Place);

/// Why no policy could be made; the plugin's `plan` reports the configuration's other mistakes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A field that the policy is derived from.
    #[error("`{field}`: {message}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// An entry of `allow`.
    #[error(
        "`allow`: `{entry}` {rule}; write for example \"https://proxy.internal:8443/bucket/exports/\""
    )]
    Allow {
        /// As written.
        entry: String,
        /// What is wrong with it.
        rule: String,
    },
}

impl FromStr for AllowedUrl {
    type Err = PolicyError;

    fn from_str(entry: &str) -> Result<Self, PolicyError> {
        let refuse = |rule: String| PolicyError::Allow {
            // What stands before the host may be a password.
            entry: match entry.rsplit_once('@') {
                Some((_, after)) => format!("…@{after}"),
                None => entry.to_owned(),
            },
            rule,
        };
        let url = Url::parse(entry).map_err(|e| refuse(format!("is no URL ({e})")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("is neither http nor https".to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() || has_user(&url) {
            return Err(refuse("holds more than address and path".to_owned()));
        }
        check_path(url.path()).map_err(|rule| refuse(format!("is refused: {rule}")))?;
        // A folder, as a prefix is: `/exports` is not to cover `/exports-of-others/`.
        let folder = match url.path() {
            folder if folder.ends_with('/') => folder.to_owned(),
            folder => format!("{folder}/"),
        };
        Ok(AllowedUrl(Place {
            origin: origin_of(&url),
            path_prefixes: vec![folder],
            bucket: None,
        }))
    }
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

impl Policy {
    /// The policy for one run of a destination: its own keys in the bucket, where its endpoint or AWS has it, and what
    /// the operator lists. Of `configuration` it reads [`POLICY_FIELDS`].
    pub fn for_run(
        configuration: &Value,
        operator: &OperatorLists,
        run: &Run,
    ) -> Result<Policy, PolicyError> {
        Policy::for_keys(configuration, operator, keys(configuration, run)?)
    }

    /// The same for all keys that begin with `head`, for a host that chooses the keys of its runs itself.
    pub fn with_head(
        configuration: &Value,
        operator: &OperatorLists,
        head: &str,
    ) -> Result<Policy, PolicyError> {
        Policy::for_keys(configuration, operator, RunKeys::beginning_with(head))
    }

    fn for_keys(
        configuration: &Value,
        operator: &OperatorLists,
        keys: RunKeys,
    ) -> Result<Policy, PolicyError> {
        let bucket = bucket(configuration)?;
        let region = region(configuration)?;
        let mut places = match text(configuration, "endpoint_url") {
            Some(endpoint) => {
                let virtual_style =
                    configuration["use_virtual_style_addressing"] == Value::Bool(true);
                at_endpoint(endpoint, bucket, virtual_style, operator)?
            }
            None => at_aws(region, bucket),
        };
        for place in &mut places {
            let root = place.bucket.as_deref().unwrap_or_default();
            let heads = keys.heads().iter();
            place.path_prefixes = heads
                .map(|head| format!("{root}{}", encoded(head)))
                .collect();
        }
        places.extend(operator.allow.iter().map(|a| a.0.clone()));
        Ok(Policy {
            keys,
            places,
            scopes: vec![SigningScope {
                service: "s3".to_owned(),
                region: region.to_owned(),
            }],
            addresses: Arc::new(AddressPolicy::new(operator.allow_private.clone())),
            acl_configured: text(configuration, "acl").is_some(),
            never_overwrites: configuration["if_none_match"] == Value::Bool(true),
        })
    }

    /// What the host itself needs to read the run's keys back from the bucket at an address: checked like a plugin's
    /// grants. `None` where the policy does not have the bucket at this address.
    pub fn reading(&self, origin: &str) -> Option<Reading> {
        let place = self.places.iter().find(|place| place.origin == origin)?;
        let root = place.bucket.clone()?;
        let grant = |method: &str, path: &String| Grant {
            operation: format!("{method} by verify"),
            method: method.to_owned(),
            origin: place.origin.clone(),
            path_prefix: path.clone(),
            query: Vec::new(),
            headers: READING_HEADERS.map(str::to_owned).to_vec(),
        };
        let grants = place
            .path_prefixes
            .iter()
            .flat_map(|path| [grant("GET", path), grant("HEAD", path)])
            .collect();
        Some(Reading {
            origin: place.origin.clone(),
            root,
            grants,
            scope: self.scopes.first()?.clone(),
        })
    }

    /// Whether the operator forbids overwriting, so that a rerun leaves an equal object as it is and sends no bytes.
    pub fn never_overwrites(&self) -> bool {
        self.never_overwrites
    }

    /// Whether a key is one of the run's own; otherwise the rule that it breaks.
    pub fn check_key(&self, key: &str) -> Result<(), String> {
        check_path(&format!("/{}", encoded(key)))
            .map_err(|rule| format!("which is refused: {rule}"))?;
        let heads = self.keys.heads();
        if heads.iter().any(|head| key.starts_with(head.as_str())) {
            return Ok(());
        }
        Err(format!(
            "which is outside the keys of this run; those begin with `{}`",
            heads.first().map(String::as_str).unwrap_or_default()
        ))
    }
}

fn keys(configuration: &Value, run: &Run) -> Result<RunKeys, PolicyError> {
    let wrong = |message: String| PolicyError::Field {
        field: "prefix",
        message,
    };
    let keys = RunKeys::of(configuration, run).map_err(wrong)?;
    for head in keys.heads() {
        check_path(&format!("/{}", encoded(head)))
            .map_err(|rule| wrong(format!("gives keys that begin with `{head}`: {rule}")))?;
    }
    Ok(keys)
}

fn text<'a>(configuration: &'a Value, field: &str) -> Option<&'a str> {
    configuration.get(field).and_then(Value::as_str)
}

/// Characters that cannot turn a host or path into another one; the plugin checks the finer rules.
fn bucket(configuration: &Value) -> Result<&str, PolicyError> {
    let field = "bucket_name";
    let wrong = |message: &str| PolicyError::Field {
        field,
        message: message.to_owned(),
    };
    let name = text(configuration, field).ok_or_else(|| wrong("is missing, or no text"))?;
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    if name.is_empty() || name.len() > BUCKET_LIMIT_BYTES || !letters || dots {
        return Err(wrong(
            "must be letters, digits, `-`, `_` and single dots between them",
        ));
    }
    Ok(name)
}

fn region(configuration: &Value) -> Result<&str, PolicyError> {
    let field = "region";
    let wrong = |message: &str| PolicyError::Field {
        field,
        message: message.to_owned(),
    };
    let name = text(configuration, field).ok_or_else(|| wrong("is missing, or no text"))?;
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if name.is_empty() || name.len() > REGION_LIMIT_BYTES || !letters {
        return Err(wrong(
            "must be letters, digits and `-`, such as eu-central-1",
        ));
    }
    Ok(name)
}

fn at_endpoint(
    endpoint: &str,
    bucket: &str,
    virtual_style: bool,
    operator: &OperatorLists,
) -> Result<Vec<Place>, PolicyError> {
    let wrong = |message: String| PolicyError::Field {
        field: "endpoint_url",
        message,
    };
    let url = Url::parse(endpoint).map_err(|e| wrong(format!("is no URL ({e})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must begin with http:// or https://".to_owned()));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty() {
        return Err(wrong(
            "must be scheme, host and port alone; bucket and prefix have fields of their own"
                .to_owned(),
        ));
    }
    refuse_bucket_in_host(&url, bucket, operator).map_err(wrong)?;
    let mut places = vec![path_style(origin_of(&url), bucket)];
    if virtual_style {
        let Some(Host::Domain(host)) = url.host() else {
            return Err(wrong(
                "is an IP address, which virtual-hosted addressing cannot use; name a host, or switch use_virtual_style_addressing off"
                    .to_owned(),
            ));
        };
        let mut with_bucket = url.clone();
        with_bucket
            .set_host(Some(&format!("{bucket}.{host}")))
            .map_err(|e| wrong(format!("cannot carry the bucket in its host name ({e})")))?;
        places.push(virtual_hosted(origin_of(&with_bucket)));
    }
    Ok(places)
}

/// Some providers show an endpoint with the bucket in front of its host. Used as it stands, files go to a folder named
/// after the bucket inside the bucket, and every check passes.
fn refuse_bucket_in_host(
    endpoint: &Url,
    bucket: &str,
    operator: &OperatorLists,
) -> Result<(), String> {
    let Some(Host::Domain(host)) = endpoint.host() else {
        return Ok(());
    };
    let front = format!("{}.", bucket.to_ascii_lowercase());
    let origin = origin_of(endpoint);
    let is_meant = operator
        .allow
        .iter()
        .any(|allowed| allowed.0.origin == origin);
    match host.strip_prefix(&front) {
        Some(rest) if !is_meant => Err(format!(
            "holds the bucket already: the bucket's name is added to it, so files would go to `{bucket}/{bucket}/…`; write the endpoint without it, as {}://{rest}{}, with use_virtual_style_addressing = true where the store wants the bucket in the host's name. If `{host}` is the store's own name, say so under `egress`: allow = [\"{origin}/{bucket}/\"]",
            endpoint.scheme(),
            endpoint
                .port()
                .map_or_else(String::new, |port| format!(":{port}")),
        )),
        _ => Ok(()),
    }
}

fn at_aws(region: &str, bucket: &str) -> Vec<Place> {
    let (region, bucket_host) = (region.to_ascii_lowercase(), bucket.to_ascii_lowercase());
    let partition = AWS_PARTITIONS
        .iter()
        .find(|(front, _)| region.starts_with(front));
    let domain = partition.map_or(AWS_DOMAIN, |(_, domain)| domain);
    AWS_ENDPOINTS
        .iter()
        .flat_map(|s3| {
            let host = format!("{s3}.{region}.{domain}");
            [
                virtual_hosted(format!("https://{bucket_host}.{host}")),
                path_style(format!("https://{host}"), bucket),
            ]
        })
        .collect()
}

fn path_style(origin: String, bucket: &str) -> Place {
    in_bucket(origin, format!("/{bucket}/"))
}

fn virtual_hosted(origin: String) -> Place {
    in_bucket(origin, "/".to_owned())
}

fn in_bucket(origin: String, root: String) -> Place {
    Place {
        origin,
        path_prefixes: Vec::new(),
        bucket: Some(root),
    }
}

/// Encoded as in a canonical request: everything but unreserved characters and slashes (S3 User Guide, "Signature
/// Calculations", `UriEncode`).
pub fn encoded(key: &str) -> String {
    key.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                char::from(b).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
