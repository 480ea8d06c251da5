//! S3 in egress: how a configuration becomes the addresses and keys of a run, which requests an export can need, and
//! how the host reads keys back. The one place that knows buckets, regions and AWS's endpoints; what is in neither of
//! its tables is refused even on the configured bucket: `?policy` and `?acl` change access, `x-amz-copy-source` reads
//! other buckets.

mod keys;

use serde_json::Value;
use url::{Host, Url};

use super::{Operation, Protocol, Reaches, Territory};
use crate::contract::{Grant, Run, SigningScope};
use crate::egress::policy::{OperatorLists, Place, PolicyError, Reading};
use crate::egress::request::{check_path, origin_of};
use batch_export_system::explain::Cause;
use keys::RunKeys;

/// The fields of a destination that the policy is derived from.
pub(super) const FIELDS: [&str; 8] = [
    "bucket_name",
    "region",
    "prefix",
    "key_style",
    "endpoint_url",
    "use_virtual_style_addressing",
    "acl",
    "if_none_match",
];

/// S3's operations on objects and uploads (Amazon S3 API Reference, "Actions"), by method and query keys.
pub(super) const OPERATIONS: [Operation; 11] = [
    object("PUT", &[]),                         // PutObject
    object("PUT", &["partNumber", "uploadId"]), // UploadPart
    object("POST", &["uploads"]),               // CreateMultipartUpload
    object("POST", &["uploadId"]),              // CompleteMultipartUpload
    object("DELETE", &["uploadId"]),            // AbortMultipartUpload
    object("DELETE", &[]),                      // DeleteObject
    object("GET", &[]),                         // GetObject
    object("GET", &["uploadId"]),               // ListParts
    object("HEAD", &[]),                        // HeadObject
    object("HEAD", &["partNumber"]),            // HeadObject, of one part
    // ListMultipartUploads: the one operation on the bucket itself, for the run's own keys only.
    Operation {
        method: "GET",
        query: &["prefix", "uploads"],
        reaches: Reaches::Root { prefix_key: "prefix" },
    },
];

const fn object(method: &'static str, query: &'static [&'static str]) -> Operation {
    Operation {
        method,
        query,
        reaches: Reaches::Keys,
    }
}

/// Headers that these operations carry. A trailing `*` covers every ending.
pub(super) const HEADERS: [&str; 29] = [
    "accept",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-language",
    "content-md5",
    "content-type",
    "if-match",
    "if-none-match",
    "range",
    "user-agent",
    "x-amz-checksum-*",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-mode",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-expected-bucket-owner",
    "x-amz-meta-*",
    "x-amz-mp-object-size",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-context",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-goog-meta-*",
];

/// Makes an object readable by others, so it is allowed only where the configuration asks for it.
const ACL_HEADER: &str = "x-amz-acl";

/// Headers of the host's own requests: those of signing, and the one that asks for an object's checksum.
const READING_HEADERS: [&str; 5] = [
    "authorization",
    "x-amz-checksum-mode",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
];

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

/// Returns where one run may send and sign: its own keys in the bucket, where its endpoint or AWS has it.
pub(super) fn for_run(configuration: &Value, operator: &OperatorLists, run: &Run) -> Result<Territory, PolicyError> {
    let wrong = |message: String| PolicyError::Field {
        field: "prefix",
        message: message.into(),
    };
    let keys = RunKeys::of(configuration, run).map_err(wrong)?;
    for head in keys.heads() {
        check_path(&format!("/{}", encoded(head)))
            .map_err(|rule| wrong(format!("it gives keys that begin with `{head}`: {rule}")))?;
    }
    for_keys(configuration, operator, keys.heads().to_vec())
}

/// Returns the same for all keys that begin with one of these.
pub(super) fn for_keys(
    configuration: &Value,
    operator: &OperatorLists,
    key_heads: Vec<String>,
) -> Result<Territory, PolicyError> {
    let bucket = bucket(configuration)?;
    let region = region(configuration)?;
    let roots = match text(configuration, "endpoint_url") {
        Some(endpoint) => {
            let virtual_style = configuration["use_virtual_style_addressing"] == Value::Bool(true);
            at_endpoint(endpoint, bucket, virtual_style, operator)?
        }
        None => at_aws(region, bucket),
    };
    let place = |Root { origin, path }: Root| Place {
        origin,
        path_prefixes: key_heads
            .iter()
            .map(|head| format!("{path}{}", encoded(head)))
            .collect(),
        root: Some(path),
    };
    Ok(Territory {
        places: roots.into_iter().map(place).collect(),
        scopes: vec![SigningScope {
            service: "s3".to_owned(),
            region: region.to_owned(),
        }],
        key_heads,
        further_headers: match text(configuration, "acl") {
            Some(_) => vec![ACL_HEADER],
            None => Vec::new(),
        },
        never_overwrites: configuration["if_none_match"] == Value::Bool(true),
    })
}

/// Returns what the host itself needs to read a run's keys back from this place.
pub(super) fn reading(place: &Place, scope: &SigningScope) -> Option<Reading> {
    let grant = |operation: &str, method: &str, path: &String| Grant {
        operation: operation.to_owned(),
        method: method.to_owned(),
        origin: place.origin.clone(),
        path_prefix: path.clone(),
        query: Vec::new(),
        headers: READING_HEADERS.map(str::to_owned).to_vec(),
    };
    Some(Reading {
        protocol: Protocol::S3,
        origin: place.origin.clone(),
        root: place.root.clone()?,
        grants: place
            .path_prefixes
            .iter()
            .flat_map(|path| [grant("GetObject", "GET", path), grant("HeadObject", "HEAD", path)])
            .collect(),
        scope: scope.clone(),
    })
}

fn text<'a>(configuration: &'a Value, field: &str) -> Option<&'a str> {
    configuration.get(field).and_then(Value::as_str)
}

fn bucket(configuration: &Value) -> Result<&str, PolicyError> {
    let rule = "must be letters, digits, `-`, `_` and single dots between them";
    name(configuration, "bucket_name", BUCKET_LIMIT_BYTES, rule, |name| {
        let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
        !dots && name.bytes().all(|b| is_plain(b) || b == b'.')
    })
}

fn region(configuration: &Value) -> Result<&str, PolicyError> {
    let rule = "must be letters, digits and `-`, such as eu-central-1";
    name(configuration, "region", REGION_LIMIT_BYTES, rule, |name| {
        name.bytes().all(is_plain)
    })
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Returns a name whose characters cannot turn a host or path into another one; the plugin checks the finer rules.
fn name<'a>(
    configuration: &'a Value,
    field: &'static str,
    limit_bytes: usize,
    rule: &str,
    is_good: impl FnOnce(&str) -> bool,
) -> Result<&'a str, PolicyError> {
    let wrong = |message: &str| PolicyError::Field {
        field,
        message: message.into(),
    };
    let name = text(configuration, field).ok_or_else(|| wrong("missing, or not a string"))?;
    match !name.is_empty() && name.len() <= limit_bytes && is_good(name) {
        true => Ok(name),
        false => Err(wrong(rule)),
    }
}

/// A bucket's own path at an origin: `/` or `/<bucket>/`.
struct Root {
    origin: String,
    path: String,
}

fn at_endpoint(
    endpoint: &str,
    bucket: &str,
    virtual_style: bool,
    operator: &OperatorLists,
) -> Result<Vec<Root>, PolicyError> {
    let wrong = |message: Cause| PolicyError::Field {
        field: "endpoint_url",
        message,
    };
    let url = Url::parse(endpoint).map_err(|e| wrong(format!("not a URL ({e})").into()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must begin with http:// or https://".into()));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty() {
        return Err(wrong(
            Cause::new("must consist of scheme, host and port only")
                .with_hint("put bucket and prefix in `bucket_name` and `prefix`"),
        ));
    }
    refuse_bucket_in_host(&url, bucket, operator).map_err(wrong)?;
    let mut places = vec![path_style(origin_of(&url), bucket)];
    if virtual_style {
        let Some(Host::Domain(host)) = url.host() else {
            return Err(wrong(
                Cause::new("an IP address, which virtual-hosted addressing cannot use")
                    .with_hint("use a host name, or turn use_virtual_style_addressing off"),
            ));
        };
        let mut with_bucket = url.clone();
        with_bucket
            .set_host(Some(&format!("{bucket}.{host}")))
            .map_err(|e| wrong(format!("cannot have the bucket in its host name ({e})").into()))?;
        places.push(virtual_hosted(origin_of(&with_bucket)));
    }
    Ok(places)
}

/// Some providers show an endpoint with the bucket in front of its host. Used unchanged, files go to a folder named
/// after the bucket inside the bucket, and every check passes.
fn refuse_bucket_in_host(endpoint: &Url, bucket: &str, operator: &OperatorLists) -> Result<(), Cause> {
    let Some(Host::Domain(host)) = endpoint.host() else {
        return Ok(());
    };
    let front = format!("{}.", bucket.to_ascii_lowercase());
    let origin = origin_of(endpoint);
    let is_meant = operator.allow.iter().any(|allowed| allowed.origin() == origin);
    match host.strip_prefix(&front) {
        Some(rest) if !is_meant => Err(Cause::new(format!(
            "it already contains the bucket, whose name is added to it, so files would go to `{bucket}/{bucket}/…`"
        ))
        .with_hint(format!(
            "write the endpoint without it, as {}://{rest}{}, with use_virtual_style_addressing = true where the store wants the bucket in the host's name. If `{host}` is the store's own name, say so under `egress`: allow = [\"{origin}/{bucket}/\"]",
            endpoint.scheme(),
            endpoint.port().map_or_else(String::new, |port| format!(":{port}")),
        ))),
        _ => Ok(()),
    }
}

fn at_aws(region: &str, bucket: &str) -> Vec<Root> {
    let (region, bucket_host) = (region.to_ascii_lowercase(), bucket.to_ascii_lowercase());
    let partition = AWS_PARTITIONS.iter().find(|(front, _)| region.starts_with(front));
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

fn path_style(origin: String, bucket: &str) -> Root {
    Root {
        origin,
        path: format!("/{bucket}/"),
    }
}

fn virtual_hosted(origin: String) -> Root {
    Root {
        origin,
        path: "/".to_owned(),
    }
}

/// Encodes a key as in a canonical request: everything but unreserved characters and slashes (S3 User Guide, "Signature
/// Calculations", `UriEncode`).
pub(super) fn encoded(key: &str) -> String {
    key.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
