//! Rules for single fields and their combinations, and the resulting settings. Reads no document.

use std::num::NonZeroU64;

use super::fields::{self, Field};
use super::format::{format, max_file_size_mb};
use super::limits;
use super::values::Values;
use crate::failure::Problem;
use crate::models;
use crate::s3::endpoint::{Endpoint, Location};
use crate::s3::reply::MAX_KMS_KEY_ID_BYTES;
use crate::settings::{
    ChecksumAlgorithm, Encryption, KeyStyle, MIB, ManifestName, ManifestStyle, ManifestWhen, ObjectSettings,
    ParquetExtension, PayloadSigning, Settings,
};
use crate::template::Template;
use crate::words::shown;

/// Decides the settings and adds problems to `values`. Returns `None` only if there is a problem.
pub fn decide(values: &mut Values, model: Option<&str>) -> Option<Settings> {
    let endpoint = endpoint(values);
    let prefix = prefix(values);
    let format = format(values);
    let object = object(values, endpoint.as_ref());
    credentials(values);
    event_lists(values, model);
    let endpoint = endpoint?;
    let max_file_size_mb = max_file_size_mb(values, format);
    let manifest = match values.choice(&fields::MANIFEST) {
        "detailed" => ManifestStyle::Detailed,
        _ => ManifestStyle::Simple,
    };
    Some(Settings {
        bucket: values.text(&fields::BUCKET_NAME)?.to_owned(),
        region: values.text(&fields::REGION)?.to_owned(),
        prefix: prefix?,
        key_style: match values.choice(&fields::KEY_STYLE) {
            "compact" => KeyStyle::Compact,
            _ => KeyStyle::Iso,
        },
        format,
        max_file_size_bytes: NonZeroU64::new(max_file_size_mb * MIB as u64),
        part_size_bytes: limits::part_size_bytes(max_file_size_mb),
        parquet_extension: match values.choice(&fields::PARQUET_EXTENSION) {
            "plain" => ParquetExtension::Plain,
            _ => ParquetExtension::WithCodec,
        },
        manifest,
        manifest_name: match values.choice(&fields::MANIFEST_NAME) {
            "hidden" => ManifestName::Hidden,
            _ => ManifestName::Visible,
        },
        manifest_when: match (values.choice(&fields::MANIFEST_WHEN), manifest) {
            ("always", _) => ManifestWhen::Always,
            ("rows", _) | (_, ManifestStyle::Detailed) => ManifestWhen::Rows,
            (_, ManifestStyle::Simple) => ManifestWhen::Split,
        },
        payload_signing: match values.choice(&fields::PAYLOAD_SIGNING) {
            "signed" => PayloadSigning::Signed,
            "unsigned" => PayloadSigning::Unsigned,
            _ if endpoint.is_https() && object.checksum.is_some() => PayloadSigning::Unsigned,
            _ => PayloadSigning::Signed,
        },
        endpoint,
        object,
        include_events: Some(values.list(&fields::INCLUDE_EVENTS).to_vec()).filter(|events| !events.is_empty()),
        exclude_events: values.list(&fields::EXCLUDE_EVENTS).to_vec(),
        max_row_bytes: values
            .whole(&fields::MAX_ROW_MB)
            .and_then(|mb| usize::try_from(mb).ok())
            .map(|mb| mb * MIB)?,
    })
}

fn endpoint(values: &mut Values) -> Option<Endpoint> {
    let endpoint_url = values.text(&fields::ENDPOINT_URL).map(str::to_owned);
    let on_aws = !values.is_given(&fields::ENDPOINT_URL);
    let bucket = checked(values, &fields::BUCKET_NAME, |bucket| bucket_name(bucket, on_aws));
    let region = checked(values, &fields::REGION, |region| region_name(region, on_aws));
    let addressed = Endpoint::decide(&Location {
        // A problem with the bucket or region must not hide one with the endpoint.
        bucket: bucket.as_deref().unwrap_or("bucket"),
        region: region.as_deref().unwrap_or("region"),
        endpoint_url: endpoint_url.as_deref(),
        virtual_style: values.flag(&fields::USE_VIRTUAL_STYLE_ADDRESSING),
        dual_stack: values.flag(&fields::USE_DUAL_STACK),
        fips: values.flag(&fields::USE_FIPS),
    });
    match addressed {
        Ok(endpoint) => Some(endpoint),
        // An endpoint of the wrong type says nothing about AWS.
        Err(_) if !on_aws && endpoint_url.is_none() => None,
        Err(problems) => {
            values.extend(problems);
            None
        }
    }
}

/// A description of what is wrong with a text, and of what is allowed.
type Wrong = (String, &'static str);

/// Returns the field's text if the check finds nothing wrong with it.
fn checked(values: &mut Values, field: &Field, check: impl FnOnce(&str) -> Result<(), Wrong>) -> Option<String> {
    let text = values.text(field)?.to_owned();
    match check(&text) {
        Ok(()) => Some(text),
        Err((message, allowed)) => {
            values.problem(field, &message, Some(allowed));
            None
        }
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
fn bucket_name(bucket: &str, on_aws: bool) -> Result<(), Wrong> {
    const ALLOWED: &str = "3 to 63 characters from `a-z`, `0-9`, `.` and `-`, beginning and ending with a letter or \
                           digit, without `..`, and not an IP address";
    let wrong = |what: &str| Err((format!("{} {what}", shown(bucket)), ALLOWED));
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = bucket.as_bytes();
    if !limits::BUCKET_NAME_BYTES.contains(&bytes.len()) {
        let plural = if bytes.len() == 1 { "" } else { "s" };
        return wrong(&format!("has {} byte{plural}", bytes.len()));
    }
    if let Some(other) = bucket
        .chars()
        .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-') || (*c == '_' && !on_aws)))
    {
        return wrong(&format!("has a {}", shown(&other.to_string())));
    }
    if !bytes.first().is_some_and(alphanumeric) || !bytes.last().is_some_and(alphanumeric) {
        return wrong("does not begin and end with a letter or digit");
    }
    if bucket.contains("..") {
        return wrong("has `..`");
    }
    if bucket.parse::<std::net::Ipv4Addr>().is_ok() {
        return wrong("is an IP address");
    }
    if on_aws && bucket.ends_with("--x-s3") {
        return Err((
            format!(
                "{} is a directory bucket (S3 Express One Zone), which needs session-based signing that this \
                 destination does not support",
                shown(bucket)
            ),
            "a general purpose bucket",
        ));
    }
    Ok(())
}

fn region_name(region: &str, on_aws: bool) -> Result<(), Wrong> {
    let well_formed = |byte: u8| match on_aws {
        true => byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-',
        false => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
    };
    if (1..=limits::MAX_REGION_BYTES).contains(&region.len()) && region.bytes().all(well_formed) {
        Ok(())
    } else {
        Err((
            format!("{} is not a region", shown(region)),
            "a region such as `eu-central-1`, or with an `endpoint_url` the store's own name for it (`auto` for \
             Cloudflare R2)",
        ))
    }
}

fn prefix(values: &mut Values) -> Option<Template> {
    let template = Template::parse(values.text(&fields::PREFIX)?);
    template.map_err(|problem| values.extend([problem])).ok()
}

fn object(values: &mut Values, endpoint: Option<&Endpoint>) -> ObjectSettings {
    ObjectSettings {
        encryption: encryption(values),
        checksum: match values.choice(&fields::CHECKSUM) {
            "crc64nvme" => Some(ChecksumAlgorithm::Crc64Nvme),
            "crc32c" => Some(ChecksumAlgorithm::Crc32c),
            "crc32" => Some(ChecksumAlgorithm::Crc32),
            "sha256" => Some(ChecksumAlgorithm::Sha256),
            "auto" if endpoint.is_some_and(Endpoint::is_aws) => Some(ChecksumAlgorithm::Crc64Nvme),
            _ => None,
        },
        storage_class: checked(values, &fields::STORAGE_CLASS, storage_class),
        acl: Some(values.choice(&fields::ACL).to_owned()).filter(|acl| !acl.is_empty()),
        tags: tags(values),
        metadata: metadata(values),
        expected_bucket_owner: checked(values, &fields::EXPECTED_BUCKET_OWNER, account_id),
        if_none_match: values.flag(&fields::IF_NONE_MATCH),
    }
}

fn encryption(values: &mut Values) -> Encryption {
    let key_id = checked(values, &fields::KMS_KEY_ID, kms_key_id);
    let encryption = values.choice(&fields::ENCRYPTION).to_owned();
    let key_given = values.is_given(&fields::KMS_KEY_ID);
    match (encryption.as_str(), key_id) {
        ("aws:kms", Some(key_id)) => return Encryption::Kms { key_id },
        ("aws:kms", None) if !key_given => values.problem(
            &fields::KMS_KEY_ID,
            "is required with encryption `aws:kms`",
            Some("the id or ARN of a KMS key"),
        ),
        ("aws:kms", None) => {}
        (other, _) if key_given => values.problem(
            &fields::KMS_KEY_ID,
            &format!("is set, but encryption is `{other}`"),
            Some("encryption `aws:kms`, or no `kms_key_id`"),
        ),
        ("AES256", _) => return Encryption::Aes256,
        _ => {}
    }
    Encryption::BucketDefault
}

fn kms_key_id(key_id: &str) -> Result<(), Wrong> {
    let well_formed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'/' | b'_' | b'-');
    if (1..=MAX_KMS_KEY_ID_BYTES).contains(&key_id.len()) && key_id.bytes().all(well_formed) {
        Ok(())
    } else {
        Err((
            format!("{} is neither the id nor the ARN of a KMS key", shown(key_id)),
            "a value such as `1234abcd-12ab-34cd-56ef-1234567890ab`, `alias/exports` or `arn:aws:kms:…`",
        ))
    }
}

fn storage_class(class: &str) -> Result<(), Wrong> {
    let well_formed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if (1..=limits::MAX_STORAGE_CLASS_BYTES).contains(&class.len()) && class.bytes().all(well_formed) {
        Ok(())
    } else {
        Err((
            format!("{} is not a storage class", shown(class)),
            "capital letters, digits and `_`, such as `STANDARD_IA`",
        ))
    }
}

fn account_id(owner: &str) -> Result<(), Wrong> {
    if owner.len() == 12 && owner.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(())
    } else {
        Err((
            format!("{} is not an AWS account id", shown(owner)),
            "12 digits, written as text",
        ))
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Tag.html>
fn tags(values: &mut Values) -> Vec<(String, String)> {
    let well_formed = |text: &str| {
        text.chars()
            .all(|c| c.is_alphanumeric() || matches!(c, ' ' | '+' | '-' | '=' | '.' | '_' | ':' | '/' | '@'))
    };
    let tags = values.entries(&fields::TAGS);
    for (key, value) in &tags {
        let name = shown(key);
        let wrong = if key.is_empty() || key.chars().count() > limits::MAX_TAG_KEY_CHARS {
            Some((
                format!("key {name} has {} characters", key.chars().count()),
                "keys of 1 to 128 characters",
            ))
        } else if value.chars().count() > limits::MAX_TAG_VALUE_CHARS {
            Some((
                format!("the value of {name} has {} characters", value.chars().count()),
                "values of up to 256 characters",
            ))
        } else if !well_formed(key) || !well_formed(value) {
            Some((
                format!(
                    "{name} = {} contains a character that is not allowed in tags",
                    shown(value)
                ),
                "letters, digits, spaces and `+ - = . _ : / @`",
            ))
        } else if key.starts_with("aws:") {
            Some((
                format!("key {name} begins with `aws:`, which is reserved for AWS"),
                "another key",
            ))
        } else {
            None
        };
        if let Some((message, allowed)) = wrong {
            values.problem(&fields::TAGS, &message, Some(allowed));
        }
    }
    tags
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
fn metadata(values: &mut Values) -> Vec<(String, String)> {
    let metadata = values.entries(&fields::METADATA);
    for (name, value) in &metadata {
        let name_is_header = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.'));
        let value_is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            && value.trim() == value
            // Signatures treat repeated spaces as one.
            && !value.contains("  ");
        let wrong = if !name_is_header {
            Some((
                format!("{} is not a valid header name", shown(name)),
                "names of `a-z`, `0-9`, `-`, `_` and `.`",
            ))
        } else if name.starts_with(limits::RESERVED_METADATA) {
            Some((
                format!(
                    "{} begins with `{}`, which is reserved for this destination",
                    shown(name),
                    limits::RESERVED_METADATA
                ),
                "another name",
            ))
        } else if !value_is_plain {
            Some((
                format!("{} = {} is not a valid header value", shown(name), shown(value)),
                "printable ASCII without leading, trailing or repeated spaces",
            ))
        } else {
            None
        };
        if let Some((message, allowed)) = wrong {
            let hint = (name_is_header && !value_is_plain).then(|| {
                "encode other text first, for example as \
                                                             base64"
                    .to_owned()
            });
            let problem = Problem::new(fields::METADATA.name, message).with_hint(hint);
            values.extend([problem.allowing(allowed)]);
        }
    }
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > limits::MAX_METADATA_BYTES {
        values.problem(
            &fields::METADATA,
            &format!("has {bytes} bytes in names and values"),
            Some("at most 2048 bytes in total"),
        );
    }
    metadata
}

/// Checks that credentials are complete. The host removes secrets before the plugin sees a configuration, so only their
/// presence is known.
fn credentials(values: &mut Values) {
    let id = values.is_given(&fields::AWS_ACCESS_KEY_ID);
    let secret = values.is_given(&fields::AWS_SECRET_ACCESS_KEY);
    let token = values.is_given(&fields::AWS_SESSION_TOKEN);
    const ALLOWED: Option<&str> =
        Some("both `aws_access_key_id` and `aws_secret_access_key`, or neither to use the host's credential chain");
    if secret && !id {
        values.problem(
            &fields::AWS_ACCESS_KEY_ID,
            "missing, although `aws_secret_access_key` is set",
            ALLOWED,
        );
    }
    if id && !secret {
        values.problem(
            &fields::AWS_SECRET_ACCESS_KEY,
            "missing, although `aws_access_key_id` is set",
            ALLOWED,
        );
    }
    if token && !id && !secret {
        values.problem(
            &fields::AWS_SESSION_TOKEN,
            "is set without the access key that it belongs to",
            ALLOWED,
        );
    }
}

fn event_lists(values: &mut Values, model: Option<&str>) {
    let Some(model) = model.filter(|model| *model != models::EVENTS.name) else {
        return;
    };
    for field in [&fields::INCLUDE_EVENTS, &fields::EXCLUDE_EVENTS] {
        if !values.list(field).is_empty() {
            values.problem(
                field,
                &format!("selects events, but the model is {}", shown(model)),
                Some("use an empty list, or the model `events`"),
            );
        }
    }
}
