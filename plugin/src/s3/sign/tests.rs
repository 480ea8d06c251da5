//! AWS's published examples, and an independent signer on random requests.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;

use super::*;
use crate::imports::Method;
use crate::s3::endpoint::{canonical_query, encode_key};

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// What the host does with the secret.
fn scoped(access_key_id: &str, secret: &str, token: Option<&str>, timestamp: i64, region: &str) -> ScopedKey {
    let date = DateTime::from_timestamp(timestamp, 0)
        .unwrap()
        .format("%Y%m%d")
        .to_string();
    let key = mac(format!("AWS4{secret}").as_bytes(), &date);
    ScopedKey {
        access_key_id: access_key_id.into(),
        session_token: token.map(str::to_owned),
        timestamp,
        key: mac(&mac(&mac(&key, region), SERVICE), "aws4_request"),
    }
}

fn request(method: Method, host: &str, path: &str, query: &[(&str, &str)], headers: &[(&str, &str)]) -> Unsigned {
    let query = canonical_query(query);
    let question = if query.is_empty() { "" } else { "?" };
    Unsigned {
        method,
        url: format!("https://{host}{path}{question}{query}"),
        host: host.into(),
        path: path.into(),
        query,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
    }
}

fn signature(headers: &[(String, String)]) -> &str {
    let (_, authorization) = headers.iter().find(|(name, _)| name == "authorization").unwrap();
    authorization.rsplit_once("Signature=").unwrap().1
}

/// The four requests of 24 May 2013 in "Examples: Signature Calculations" of the S3 API reference.
#[test]
fn published_examples() {
    // 2013-05-24T00:00:00Z
    let key = scoped(
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        None,
        1_369_353_600,
        "us-east-1",
    );
    let host = "examplebucket.s3.amazonaws.com";
    let table = [
        (
            request(Method::Get, host, "/test.txt", &[], &[("range", "bytes=0-9")]),
            &b""[..],
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            request(
                Method::Put,
                host,
                "/test%24file.text",
                &[],
                &[
                    ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ],
            ),
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            request(Method::Get, host, "/", &[("lifecycle", "")], &[]),
            b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            request(Method::Get, host, "/", &[("max-keys", "2"), ("prefix", "J")], &[]),
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ];
    for (request, body, expected) in table {
        let headers = sign(
            &request,
            &PayloadHash::of_digest(&Sha256::digest(body)),
            "us-east-1",
            &key,
        )
        .unwrap();
        assert_eq!(signature(&headers), expected, "{} {}", request.method, request.path);
    }
}

#[test]
fn a_key_or_time_that_cannot_sign_is_an_error() {
    let mut key = scoped("AK", "secret", None, 0, "r");
    key.timestamp = i64::MAX;
    let request = request(Method::Get, "h", "/", &[], &[]);
    assert_eq!(
        sign(&request, &PayloadHash::Unsigned, "r", &key),
        Err(SignError::Time(i64::MAX))
    );
}

/// Returns the same request, signed by the `aws-sigv4` crate.
fn independently(request: &Unsigned, payload: &PayloadHash, region: &str, secret: &str, key: &ScopedKey) -> String {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = Credentials::new(&key.access_key_id, secret, key.session_token.clone(), None, "test").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(key.timestamp as u64))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let body = match payload {
        PayloadHash::Signed(hash) => SignableBody::Precomputed(hash.clone()),
        PayloadHash::Unsigned => SignableBody::UnsignedPayload,
    };
    let headers = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let signable = SignableRequest::new(request.method.as_str(), &request.url, headers, body).unwrap();
    aws_sigv4::http_request::sign(signable, &parameters)
        .unwrap()
        .signature()
        .to_owned()
}

/// Keys as people have them, and as they should not.
fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9 +:=&%#?~*'\"/._-]{1,40}",
        "\\PC{1,30}",
        Just("a/../b/./c//d".to_owned()),
        Just("2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00.jsonl.gz".to_owned()),
        Just("emoji 🗝/ключ".to_owned()),
        Just("k".repeat(1_024)),
    ]
}

proptest! {
    #[test]
    fn random_requests_are_signed_as_an_independent_signer_does(
        key in any_key(),
        method in prop::sample::select(vec![Method::Get, Method::Head, Method::Put, Method::Post, Method::Delete]),
        host in prop::sample::select(vec!["bucket.s3.eu-central-1.amazonaws.com", "127.0.0.1:9000", "store.test:8443"]),
        query in prop::collection::btree_map("[a-zA-Z0-9-]{1,10}", "[ -~é]{0,20}", 0..4),
        values in prop::collection::btree_map("x-amz-[a-z][a-z0-9-]{0,12}q", "[!-~]{0,8} {0,3}[!-~]{1,8}", 0..4),
        token in prop::option::of("[A-Za-z0-9/+=]{1,60}"),
        secret in "[A-Za-z0-9/+]{1,40}",
        region in prop::sample::select(vec!["eu-central-1", "auto", "us-gov-west-1", "cn-north-1"]),
        timestamp in 0_i64..4_000_000_000,
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
    ) {
        let path = format!("/{}", encode_key(&key));
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let headers: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let request = request(method, host, &path, &query, &headers);
        let payload = body.map_or(PayloadHash::Unsigned, |body| PayloadHash::of_digest(&Sha256::digest(body)));
        let scoped = scoped("AKTEST", &secret, token.as_deref(), timestamp, region);
        let signed = sign(&request, &payload, region, &scoped).unwrap();
        prop_assert_eq!(signature(&signed), independently(&request, &payload, region, &secret, &scoped));
    }
}
