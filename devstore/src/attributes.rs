//! The settings an object is stored with, kept as the headers they came in; never the checksums, which belong to the
//! bytes.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::dto::{ObjectCannedACL, StorageClass};
use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};

use crate::answer::refusal;

/// Headers kept and echoed by HeadObject and GetObject.
const ECHOED: &[&str] = &[
    "content-type",
    "content-encoding",
    "content-disposition",
    "content-language",
    "cache-control",
    "expires",
    "x-amz-storage-class",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-website-redirect-location",
];

/// Headers kept, but not echoed.
const KEPT: &[&str] = &["x-amz-acl", "x-amz-tagging", "x-amz-server-side-encryption-context"];

/// Those that every answer to a write carries as well.
const ENCRYPTION: &str = "x-amz-server-side-encryption";

const METADATA: &str = "x-amz-meta-";

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
const METADATA_LIMIT_BYTES: usize = 2048;

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>
const TAGS_LIMIT: usize = 10;
const TAG_KEY_LIMIT_CHARS: usize = 128;
const TAG_VALUE_LIMIT_CHARS: usize = 256;

const STORAGE_CLASSES: &[&str] = &[
    StorageClass::STANDARD,
    StorageClass::STANDARD_IA,
    StorageClass::ONEZONE_IA,
    StorageClass::INTELLIGENT_TIERING,
    StorageClass::GLACIER,
    StorageClass::GLACIER_IR,
    StorageClass::DEEP_ARCHIVE,
    StorageClass::REDUCED_REDUNDANCY,
];

const ACLS: &[&str] = &[
    ObjectCannedACL::PRIVATE,
    ObjectCannedACL::PUBLIC_READ,
    ObjectCannedACL::PUBLIC_READ_WRITE,
    ObjectCannedACL::AUTHENTICATED_READ,
    ObjectCannedACL::AWS_EXEC_READ,
    ObjectCannedACL::BUCKET_OWNER_READ,
    ObjectCannedACL::BUCKET_OWNER_FULL_CONTROL,
];

/// Settings of one object, by lower-case header name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Attributes(BTreeMap<String, String>);

impl Attributes {
    /// Takes them from a request that creates an object; anything S3 would not accept is an error.
    pub fn parse(headers: &HeaderMap) -> S3Result<Self> {
        let mut kept = BTreeMap::new();
        for (name, value) in headers {
            let name = name.as_str();
            if ECHOED.contains(&name) || KEPT.contains(&name) || name.starts_with(METADATA) {
                let value = String::from_utf8(value.as_bytes().to_vec())
                    .map_err(|_| s3_error!(InvalidArgument, "The value of {name} is not UTF-8."))?;
                kept.insert(name.to_owned(), value);
            }
        }
        let attributes = Self(kept);
        attributes.check()?;
        Ok(attributes)
    }

    fn check(&self) -> S3Result<()> {
        if let Some(class) = self
            .get("x-amz-storage-class")
            .filter(|class| !STORAGE_CLASSES.contains(class))
        {
            return Err(s3_error!(
                InvalidStorageClass,
                "The storage class you specified is not valid: {class}"
            ));
        }
        if let Some(acl) = self.get("x-amz-acl").filter(|acl| !ACLS.contains(acl)) {
            return Err(s3_error!(InvalidArgument, "The canned ACL is not valid: {acl}"));
        }
        self.check_encryption()?;
        self.tags()?;
        let metadata = self
            .0
            .iter()
            .filter_map(|(name, value)| Some(name.strip_prefix(METADATA)?.len() + value.len()));
        if metadata.sum::<usize>() > METADATA_LIMIT_BYTES {
            return Err(s3_error!(
                MetadataTooLarge,
                "Your metadata headers exceed {METADATA_LIMIT_BYTES} bytes."
            ));
        }
        Ok(())
    }

    fn check_encryption(&self) -> S3Result<()> {
        let key = self.get("x-amz-server-side-encryption-aws-kms-key-id");
        match (self.get(ENCRYPTION), key) {
            (Some("aws:kms" | "aws:kms:dsse"), _) | (Some("AES256") | None, None) => Ok(()),
            (Some("AES256") | None, Some(_)) => Err(s3_error!(
                InvalidArgument,
                "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
            )),
            (Some(_), _) => Err(refusal(
                400,
                "InvalidEncryptionAlgorithmError",
                "The encryption request that you specified is not valid. The valid values are AES256, aws:kms and aws:kms:dsse.",
            )),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them, as sent.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// What reading the object answers.
    pub fn echoed(&self) -> S3Result<HeaderMap> {
        // S3 leaves the class out of the answer when it is the default one.
        self.headers(|name, value| {
            (ECHOED.contains(&name) && (name, value) != ("x-amz-storage-class", StorageClass::STANDARD))
                || name.starts_with(METADATA)
        })
    }

    /// What writing the object answers.
    pub fn encryption(&self) -> S3Result<HeaderMap> {
        self.headers(|name, _| name.starts_with(ENCRYPTION))
    }

    /// Names and values, in the order they were sent.
    pub fn tags(&self) -> S3Result<Vec<(String, String)>> {
        self.get("x-amz-tagging").map_or(Ok(Vec::new()), parse_tags)
    }

    pub fn tag_count(&self) -> Option<i32> {
        let tags = self.tags().ok()?.len();
        i32::try_from(tags).ok().filter(|count| *count > 0)
    }

    fn headers(&self, wanted: impl Fn(&str, &str) -> bool) -> S3Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.0.iter().filter(|(name, value)| wanted(name, value)) {
            let name = HeaderName::try_from(name).map_err(S3Error::internal_error)?;
            headers.insert(
                name,
                HeaderValue::from_bytes(value.as_bytes()).map_err(S3Error::internal_error)?,
            );
        }
        Ok(headers)
    }
}

/// Tags come as a query string: at most ten, keys unique.
fn parse_tags(tagging: &str) -> S3Result<Vec<(String, String)>> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for pair in tagging.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced)
                .decode_utf8()
                .map(|text| text.into_owned())
        };
        let (Ok(key), Ok(value)) = (decode(key), decode(value)) else {
            return Err(s3_error!(
                InvalidTag,
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded."
            ));
        };
        if key.is_empty() || key.chars().count() > TAG_KEY_LIMIT_CHARS {
            return Err(s3_error!(InvalidTag, "The TagKey you have provided is invalid"));
        }
        if value.chars().count() > TAG_VALUE_LIMIT_CHARS {
            return Err(s3_error!(InvalidTag, "The TagValue you have provided is invalid"));
        }
        if tags.iter().any(|(known, _)| *known == key) {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key"));
        }
        tags.push((key, value));
    }
    if tags.len() > TAGS_LIMIT {
        return Err(refusal(
            400,
            "BadRequest",
            format!("Object tags cannot be greater than {TAGS_LIMIT}"),
        ));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&'static str, &str)]) -> Result<Attributes, String> {
        let headers = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        });
        Attributes::parse(&headers.collect()).map_err(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn what_s3_would_refuse_is_refused() {
        let large = "m".repeat(2048);
        let tags = (0..11).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join("&");
        let cases: [(&[(&'static str, &str)], &str); 10] = [
            (&[("x-amz-storage-class", "FROZEN")], "InvalidStorageClass"),
            (&[("x-amz-acl", "everybody")], "InvalidArgument"),
            (
                &[("x-amz-server-side-encryption", "rot13")],
                "InvalidEncryptionAlgorithmError",
            ),
            (
                &[("x-amz-server-side-encryption-aws-kms-key-id", "k")],
                "InvalidArgument",
            ),
            (
                &[
                    ("x-amz-server-side-encryption", "AES256"),
                    ("x-amz-server-side-encryption-aws-kms-key-id", "k"),
                ],
                "InvalidArgument",
            ),
            (&[("x-amz-meta-a", &large)], "MetadataTooLarge"),
            (&[("x-amz-tagging", &tags)], "BadRequest"),
            (&[("x-amz-tagging", "a=1&a=2")], "InvalidTag"),
            (&[("x-amz-tagging", "=1")], "InvalidTag"),
            (&[("x-amz-tagging", "a=%ff")], "InvalidTag"),
        ];
        for (headers, code) in cases {
            assert_eq!(parse(headers).unwrap_err(), code, "{headers:?}");
        }
    }

    #[test]
    fn settings_come_back_as_they_were_sent() {
        let attributes = parse(&[
            ("content-type", "application/x-ndjson"),
            ("x-amz-meta-run", "é"),
            ("x-amz-storage-class", "STANDARD"),
            ("x-amz-tagging", "a=1&b=%20"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-other", "dropped"),
        ])
        .unwrap();
        let echoed = attributes.echoed().unwrap();
        assert_eq!(echoed["x-amz-meta-run"].as_bytes(), "é".as_bytes());
        assert_eq!(echoed["content-type"], "application/x-ndjson");
        assert!(!echoed.contains_key("x-amz-storage-class") && !echoed.contains_key("x-amz-tagging"));
        assert_eq!(attributes.tag_count(), Some(2));
        assert_eq!(attributes.encryption().unwrap().len(), 1);
        assert_eq!(attributes.all().len(), 5);
    }
}
