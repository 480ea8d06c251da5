//! The operator's policy: where a destination's runs may send, derived from its configuration and the operator's own
//! lists. The one place that knows how bucket, prefix and endpoint become addresses; trusts nothing a plugin says.

use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;
use url::{Host, Url};

use super::address::{AddressPolicy, PrivateRule};
use super::request::{check_path, decoded, origin_of};
use crate::sandbox::contract::SigningScope;

/// Hosts of S3 in a region ("Amazon Simple Storage Service endpoints and quotas", AWS General Reference): plain, FIPS,
/// dual-stack, and both.
const AWS_ENDPOINTS: [&str; 4] = ["s3", "s3-fips", "s3.dualstack", "s3-fips.dualstack"];
/// The partitions' domains, all of them AWS's own; GovCloud uses the first.
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
const AWS_DOMAINS: [&str; 7] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];
/// Longest bucket name that any store takes.
const BUCKET_LIMIT_BYTES: usize = 255;
/// Longest region name; the longest of AWS has 14 characters.
const REGION_LIMIT_BYTES: usize = 63;

/// Where runs of one destination may send and sign.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(super) places: Vec<Place>,
    pub(super) scopes: Vec<SigningScope>,
    pub(super) addresses: Arc<AddressPolicy>,
    /// The configuration asks for an ACL, so the header that sets one may be sent.
    pub(super) acl_configured: bool,
}

/// One origin and path prefix that requests may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) origin: String,
    /// Percent-encoded, for messages.
    pub(super) path_prefix: String,
    /// What it stands for: two spellings of the same path compare equal.
    pub(super) decoded_prefix: Vec<u8>,
    /// The configured bucket; `None` where the operator lists an address.
    pub(super) bucket: Option<Bucket>,
}

/// The configured bucket at one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Its own path, which is no object: `/` or `/<bucket>/`.
    pub(super) root: String,
    /// What every key of a run begins with.
    pub(super) key_head: String,
}

impl Bucket {
    /// Whether a path is the bucket's own.
    pub(super) fn is_at(&self, path: &str) -> bool {
        path == self.root || format!("{path}/") == self.root
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
        Ok(AllowedUrl(Place::new(
            origin_of(&url),
            url.path().to_owned(),
            None,
        )))
    }
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

impl Place {
    fn new(origin: String, path_prefix: String, bucket: Option<Bucket>) -> Self {
        Place {
            origin,
            decoded_prefix: decoded(&path_prefix),
            path_prefix,
            bucket,
        }
    }

    fn in_bucket(origin: String, root: String, head: &str) -> Self {
        let path_prefix = format!("{root}{}", encoded(head));
        let bucket = Bucket {
            root,
            key_head: head.to_owned(),
        };
        Place::new(origin, path_prefix, Some(bucket))
    }
}

impl Policy {
    /// The policy for a destination: its bucket under the literal head of its prefix, where its endpoint or AWS has
    /// it, and what the operator lists. `configuration` is the JSON object that the plugin gets too.
    pub fn for_destination(
        configuration: &Value,
        operator: &OperatorLists,
    ) -> Result<Policy, PolicyError> {
        let bucket = bucket(configuration)?;
        let region = region(configuration)?;
        let head = literal_head(text(configuration, "prefix").unwrap_or_default());
        let mut places = match text(configuration, "endpoint_url") {
            Some(endpoint) => {
                let virtual_style =
                    configuration["use_virtual_style_addressing"] == Value::Bool(true);
                at_endpoint(endpoint, bucket, &head, virtual_style)?
            }
            None => at_aws(region, bucket, &head),
        };
        places.extend(operator.allow.iter().map(|a| a.0.clone()));
        Ok(Policy {
            places,
            scopes: vec![SigningScope {
                service: "s3".to_owned(),
                region: region.to_owned(),
            }],
            addresses: Arc::new(AddressPolicy::new(operator.allow_private.clone())),
            acl_configured: text(configuration, "acl").is_some(),
        })
    }
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

/// What every key begins with, whatever the run: the prefix template up to its first brace, as a folder when there is
/// none. Leading slashes are dropped, as in keys.
fn literal_head(template: &str) -> String {
    let template = template.trim_start_matches('/');
    match template.split_once(['{', '}']) {
        Some((head, _)) => head.to_owned(),
        None if template.is_empty() || template.ends_with('/') => template.to_owned(),
        None => format!("{template}/"),
    }
}

fn at_endpoint(
    endpoint: &str,
    bucket: &str,
    head: &str,
    virtual_style: bool,
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
    let mut places = vec![path_style(origin_of(&url), bucket, head)];
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
        places.push(virtual_hosted(origin_of(&with_bucket), head));
    }
    Ok(places)
}

fn at_aws(region: &str, bucket: &str, head: &str) -> Vec<Place> {
    let bucket_host = bucket.to_ascii_lowercase();
    AWS_DOMAINS
        .iter()
        .flat_map(|domain| AWS_ENDPOINTS.iter().map(move |s3| (s3, domain)))
        .flat_map(|(s3, domain)| {
            let host = format!("{s3}.{}.{domain}", region.to_ascii_lowercase());
            [
                virtual_hosted(format!("https://{bucket_host}.{host}"), head),
                path_style(format!("https://{host}"), bucket, head),
            ]
        })
        .collect()
}

fn path_style(origin: String, bucket: &str, head: &str) -> Place {
    Place::in_bucket(origin, format!("/{bucket}/"), head)
}

fn virtual_hosted(origin: String, head: &str) -> Place {
    Place::in_bucket(origin, "/".to_owned(), head)
}

/// Encoded as in a canonical request: everything but unreserved characters and slashes (S3 User Guide, "Signature
/// Calculations", `UriEncode`).
fn encoded(head: &str) -> String {
    head.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                char::from(b).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
