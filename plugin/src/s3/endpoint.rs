//! The location of a bucket: origin, addressing style and the exact URL of an object. Sends nothing and never
//! normalises a key: what is encoded here, once, is what is signed and sent.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::failure::{Explanation, Problem};

/// Longest host name that DNS can carry (RFC 1035, section 2.3.4).
const MAX_HOST_BYTES: usize = 253;
/// Longest label of a host name (RFC 1035, section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// AWS partitions by prefix of their region names; everything else is the standard partition.
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
const PARTITIONS: &[(&str, &str)] = &[
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];
/// Suffix of the standard partition and of GovCloud.
const STANDARD_SUFFIX: &str = "amazonaws.com";

/// The configuration fields that decide an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    pub bucket: &'a str,
    pub region: &'a str,
    /// Absent for AWS itself.
    pub endpoint_url: Option<&'a str>,
    pub virtual_style: bool,
    pub dual_stack: bool,
    pub fips: bool,
}

/// The address to which requests for one bucket are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    /// As in the `Host` header: lower case, with the port only if it is not the scheme's default.
    host: String,
    /// What precedes every key: `/bucket` in path style, nothing in virtual-hosted style.
    bucket_path: String,
    on_aws: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl Endpoint {
    /// Decides scheme, host and addressing style. AWS is addressed in virtual-hosted style, or in path style if the
    /// bucket has a dot (its certificate covers one label); an endpoint is addressed in path style unless virtual style
    /// is requested. All problems are reported. Bucket and region are assumed to be well formed.
    pub fn decide(location: &Location<'_>) -> Result<Endpoint, Vec<Problem>> {
        match location.endpoint_url {
            None => on_aws(location),
            Some(url) => at_url(location, url),
        }
    }

    /// Returns `scheme://host[:port]`, with the port only if it is not the scheme's default.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.host)
    }

    /// Returns the `Host` header to sign.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns whether TLS protects what is sent.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Returns whether this is AWS itself rather than a configured endpoint.
    pub fn is_aws(&self) -> bool {
        self.on_aws
    }

    /// Returns whether the bucket is in the path rather than in the host name.
    pub fn is_path_style(&self) -> bool {
        !self.bucket_path.is_empty()
    }

    /// Returns the canonical path of an object, or of the bucket without a key. The path of a key's prefix is a prefix
    /// of the key's path, so this also serves for grants.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
    pub fn path(&self, key: Option<&str>) -> String {
        match key {
            Some(key) => format!("{}/{}", self.bucket_path, encode_key(key)),
            None if self.bucket_path.is_empty() => "/".to_owned(),
            None => self.bucket_path.clone(),
        }
    }

    /// Returns the absolute URL of an object, or of the bucket without a key. Its query is the canonical one.
    pub fn url(&self, key: Option<&str>, query: &[(&str, &str)]) -> String {
        let mut url = self.origin();
        url.push_str(&self.path(key));
        if !query.is_empty() {
            url.push('?');
            url.push_str(&canonical_query(query));
        }
        url
    }
}

/// Percent-encodes a key once: unreserved characters (RFC 3986) and `/` are kept, every other byte becomes `%XX`.
pub fn encode_key(key: &str) -> String {
    encode(key, true)
}

/// Returns the query in canonical form: keys and values percent-encoded (including `/`) and sorted; a key without a
/// value gets `=`.
pub fn canonical_query(query: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(String, String)> = query
        .iter()
        .map(|(key, value)| (encode(key, false), encode(value, false)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join("&")
}

fn encode(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            b'/' if keep_slash => encoded.push('/'),
            other => {
                encoded.push('%');
                encoded.push(upper_hex(other >> 4));
                encoded.push(upper_hex(other & 0x0f));
            }
        }
    }
    encoded
}

fn upper_hex(nibble: u8) -> char {
    char::from(match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + nibble - 10,
    })
}

/// <https://docs.aws.amazon.com/general/latest/gr/s3.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/dual-stack-endpoints.html>
fn on_aws(location: &Location<'_>) -> Result<Endpoint, Vec<Problem>> {
    let Location {
        bucket,
        region,
        virtual_style,
        dual_stack,
        fips,
        ..
    } = *location;
    let mut problems = Vec::new();
    if region == "auto" {
        let problem = Problem::new("region", "`auto` is not an AWS region")
            .with_hint("set `endpoint_url` as well where the store is Cloudflare R2".to_owned());
        problems.push(problem.allowing("the bucket's region, such as `eu-central-1`"));
    }
    if virtual_style && bucket.contains('.') {
        let message =
            format!("AWS's certificate does not cover `{bucket}` as a host name, because the name contains a dot");
        let problem = Problem::new("use_virtual_style_addressing", message);
        problems.push(problem.allowing("false, which addresses this bucket in path style"));
    }
    if fips && region.starts_with("cn-") {
        let message = format!("AWS has no FIPS endpoints in China (`{region}`)");
        problems.push(Problem::new("use_fips", message).allowing("false"));
    }
    if !problems.is_empty() {
        return Err(problems);
    }

    let mut service = String::from(if fips { "s3-fips" } else { "s3" });
    if dual_stack {
        service.push_str(".dualstack");
    }
    let suffix = PARTITIONS
        .iter()
        .find(|(beginning, _)| region.starts_with(beginning))
        .map_or(STANDARD_SUFFIX, |(_, suffix)| suffix);
    let regional = format!("{service}.{region}.{suffix}");
    let path_style = bucket.contains('.');
    Ok(Endpoint {
        scheme: Scheme::Https,
        host: if path_style {
            regional
        } else {
            format!("{bucket}.{regional}")
        },
        bucket_path: bucket_path(bucket, path_style),
        on_aws: true,
    })
}

fn at_url(location: &Location<'_>, url: &str) -> Result<Endpoint, Vec<Problem>> {
    let bucket = location.bucket;
    let mut problems = Vec::new();
    for (field, set) in [("use_dual_stack", location.dual_stack), ("use_fips", location.fips)] {
        if set {
            let message = "selects one of AWS's own endpoints, but `endpoint_url` names another endpoint";
            let problem = Problem::new(field, message)
                .with_hint("remove it, and put the full host name in `endpoint_url`".to_owned());
            problems.push(problem.allowing("only one of the two"));
        }
    }
    let authority = Authority::parse(url).map_err(|Explanation { message, hint }| {
        Problem::new("endpoint_url", message)
            .with_hint(hint)
            .allowing("`http://` or `https://`, a host and an optional port, such as `https://minio.internal:9000`")
    });
    let authority = match authority {
        Ok(authority) => authority,
        Err(problem) => {
            problems.push(problem);
            return Err(problems);
        }
    };
    if location.virtual_style
        && let Some(obstacle) = authority.virtual_style_obstacle(bucket)
    {
        let problem = Problem::new("use_virtual_style_addressing", obstacle);
        problems.push(problem.allowing("false, which addresses the bucket in path style"));
    }
    if !problems.is_empty() {
        return Err(problems);
    }

    let mut host = String::new();
    if location.virtual_style {
        host.push_str(bucket);
        host.push('.');
    }
    host.push_str(&authority.host);
    if let Some(port) = authority.port {
        host.push_str(&format!(":{port}"));
    }
    Ok(Endpoint {
        scheme: authority.scheme,
        host,
        bucket_path: bucket_path(bucket, !location.virtual_style),
        on_aws: false,
    })
}

fn bucket_path(bucket: &str, path_style: bool) -> String {
    if path_style {
        format!("/{}", encode_key(bucket))
    } else {
        String::new()
    }
}

/// Scheme, host and port of an `endpoint_url`.
struct Authority {
    scheme: Scheme,
    /// Lower case; IPv6 in brackets and in its short form.
    host: String,
    /// Absent if it is the scheme's default.
    port: Option<u16>,
    is_address: bool,
}

impl Authority {
    /// Parses a URL. Messages quote nothing from user-info, path, query or fragment, because people put secrets there.
    fn parse(url: &str) -> Result<Authority, Explanation> {
        let other_scheme = || Explanation::new("does not begin with `http://` or `https://`");
        let (scheme, rest) = url.split_once("://").ok_or_else(other_scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(other_scheme()),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if authority.contains('@') {
            return Err(Explanation::new("contains a user name or password before the host")
                .with_hint("put credentials in `aws_access_key_id` and `aws_secret_access_key`".to_owned()));
        }
        if !matches!(tail, "" | "/") {
            return Err(match tail.contains(['?', '#']) {
                true => Explanation::new("contains a query or fragment after the host"),
                false => Explanation::new("contains a path after the host")
                    .with_hint("put the bucket in `bucket_name`, and folders in `prefix`".to_owned()),
            });
        }
        let (host, port) = split_port(authority)?;
        let (host, is_address) = checked_host(host)?;
        Ok(Authority {
            scheme,
            host,
            port: port.filter(|port| *port != scheme.default_port()),
            is_address,
        })
    }

    fn virtual_style_obstacle(&self, bucket: &str) -> Option<String> {
        if self.is_address {
            Some(format!(
                "a bucket name cannot be put in front of the IP address `{}`",
                self.host
            ))
        } else if bucket.contains('_') {
            Some(format!("`{bucket}` contains a `_`, which is not allowed in host names"))
        } else if bucket.len() + 1 + self.host.len() > MAX_HOST_BYTES {
            Some(format!(
                "bucket and host together are longer than {MAX_HOST_BYTES} bytes"
            ))
        } else {
            None
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), Explanation> {
    let host_end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok((host, None)),
        None => Err(Explanation::new(
            "contains something other than a port after the `]` of its address",
        )),
        // Digits only: `u16::from_str` would accept a `+`.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
            Ok(number @ 1..) => Ok((host, Some(number))),
            _ => Err(Explanation::new(format!(
                "contains the port `{digits}`, but ports range from 1 to 65535"
            ))),
        },
        Some(_) => Err(Explanation::new("contains a port that is not a number")
            .with_hint("write an IPv6 address in `[ ]`".to_owned())),
    }
}

/// Returns the host as URL libraries write it, so that what is signed is what they send; forms that they would rewrite
/// differently are refused.
fn checked_host(host: &str) -> Result<(String, bool), Explanation> {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or(address);
        return match address.parse::<Ipv6Addr>() {
            Ok(address) if address.to_ipv4_mapped().is_none() => Ok((format!("[{address}]"), true)),
            Ok(_) => Err(Explanation::new("contains an IPv4 address written as an IPv6 address")
                .with_hint("write it as an IPv4 address".to_owned())),
            Err(_) => Err(Explanation::new(
                "does not contain a valid IPv6 address in `[ ]` (zones are not supported)",
            )),
        };
    }
    let host = host.to_ascii_lowercase();
    if host.is_empty() {
        return Err(Explanation::new("does not contain a host"));
    }
    let well_formed = host.len() <= MAX_HOST_BYTES
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= MAX_LABEL_BYTES
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
    if !well_formed {
        return Err(Explanation::new(
            "does not contain a valid host name (letters, digits, `-` and `.`; other alphabets as `xn--…`)",
        ));
    }
    // URL libraries interpret a numeric last label as an IPv4 address in one of many spellings.
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        return match host.parse::<Ipv4Addr>() {
            Ok(_) => Ok((host, true)),
            Err(_) => Err(Explanation::new(format!(
                "contains the host `{host}`, which is not an IPv4 address of four numbers"
            ))),
        };
    }
    Ok((host, false))
}

#[cfg(test)]
mod tests;
