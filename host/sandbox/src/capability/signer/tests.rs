//! Derived keys against AWS's published ones; scopes, renewal and skew.

use std::sync::{Arc, Mutex};

use super::*;
use crate::contract::SigningScope;
use crate::egress::policy::{OperatorLists, Policy};
use crate::egress::protocol::Protocol;
use batch_export_system::Secret;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// "Examples of how to derive a signing key" in the AWS General Reference.
#[test]
fn keys_are_those_that_aws_publishes() {
    let cases = [
        (
            "20120215",
            "iam",
            "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d",
        ),
        (
            "20150830",
            "iam",
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9",
        ),
    ];
    for (date, service, expected) in cases {
        assert_eq!(hex(derive(SECRET, date, "us-east-1", service).as_slice()), expected);
    }
}

/// RFC 4231, test case 6: a key longer than the block.
#[test]
fn long_keys_are_hashed_first() {
    let mac = hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
    assert_eq!(
        hex(mac.as_slice()),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    );
}

fn signer(server_date: ServerDate) -> Signer {
    let configuration = serde_json::json!({
        "bucket_name": "reports", "region": "eu-central-1", "prefix": "",
    });
    let policy = Policy::with_head(Protocol::S3, &configuration, &OperatorLists::default(), "").unwrap();
    let scope = SigningScope {
        service: "s3".into(),
        region: "eu-central-1".into(),
    };
    let source = CredentialSource::Static(Credentials {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: Secret::new(SECRET),
        session_token: Some(Secret::new("canary-token")),
        expires: None,
    });
    Signer::new(
        source,
        Grants::decide(&[], &[scope], &policy).unwrap(),
        server_date,
        Redactor::default(),
    )
}

#[tokio::test]
async fn only_granted_scopes_get_a_key() {
    let mut signer = signer(ServerDate::default());
    let key = signer.scoped_key("s3", "eu-central-1", Refresh::None).await.unwrap();
    let date = date(key.timestamp).unwrap();
    assert_eq!(
        key.key.as_slice(),
        derive(SECRET, &date, "eu-central-1", "s3").as_slice()
    );
    assert_eq!(key.session_token.as_deref(), Some("canary-token"));
    for (service, region) in [("iam", "eu-central-1"), ("s3", "us-east-1"), ("", "")] {
        match signer.scoped_key(service, region, Refresh::None).await {
            Err(SignerError::Forbidden(cause)) => {
                assert!(cause.to_string().contains("`s3` in `eu-central-1`"), "{cause}")
            }
            other => panic!("{service} {region}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_clock_is_corrected_once_and_within_a_day() {
    let now = SystemTime::now();
    let ahead = now + Duration::from_secs(3 * 3600);
    let seen: ServerDate = Arc::new(Mutex::new(Some((ahead, now))));
    let mut skewed = signer(Arc::clone(&seen));
    let corrected = skewed.scoped_key("s3", "eu-central-1", Refresh::Skewed).await.unwrap();
    assert!((corrected.timestamp - unix_seconds(ahead)).abs() < 60);
    *seen.lock().unwrap() = Some((now, now));
    let again = skewed.scoped_key("s3", "eu-central-1", Refresh::Skewed).await.unwrap();
    assert!((again.timestamp - unix_seconds(ahead)).abs() < 60, "corrected twice");

    let far = now + SKEW_LIMIT + Duration::from_secs(3600);
    let mut refused = signer(Arc::new(Mutex::new(Some((far, now)))));
    let error = refused
        .scoped_key("s3", "eu-central-1", Refresh::Skewed)
        .await
        .unwrap_err();
    assert_eq!(
        error.cause().clone().into_parts(),
        (
            "the destination's clock differs from this machine's by 25 hours, more than the 24 hours that are corrected"
                .to_owned(),
            Some("correct this machine's clock".to_owned())
        )
    );
}

#[tokio::test]
async fn secrets_stay_out_of_debug_prints() {
    let mut signer = signer(ServerDate::default());
    let key = signer.scoped_key("s3", "eu-central-1", Refresh::None).await.unwrap();
    let printed = format!("{key:?} {:?} {:?}", signer.credentials, signer.source);
    assert!(!printed.contains(SECRET) && !printed.contains("canary"), "{printed}");
}

#[tokio::test]
async fn what_a_signer_uses_is_hidden_from_then_on() {
    let mut signer = signer(ServerDate::default());
    let redactor = signer.redactor.clone();
    let key = signer.scoped_key("s3", "eu-central-1", Refresh::None).await.unwrap();
    let key = hex(&key.key);
    let said = format!("{SECRET} canary-token {key} {}", key.to_uppercase());
    assert_eq!(redactor.text(&said), "[***] [***] [***] [***]");
}

#[test]
fn credentials_are_renewed_before_they_end_and_no_more_often_than_helps() {
    let ago = |seconds| SystemTime::now() - Duration::from_secs(seconds);
    let ahead = |seconds| SystemTime::now() + Duration::from_secs(seconds);
    let cases = [
        ("never end", None, 3600, false),
        ("end in an hour", Some(ahead(3600)), 3000, false),
        ("end in four minutes", Some(ahead(240)), 3000, true),
        ("the same, just asked for", Some(ahead(240)), 5, false),
        ("have ended, just asked for", Some(ago(1)), 5, true),
    ];
    for (name, expires, tried, expected) in cases {
        let mut signer = signer(ServerDate::default());
        signer.credentials = Some(Credentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: Secret::new(SECRET),
            session_token: None,
            expires,
        });
        signer.renewal_tried = Some(ago(tried));
        assert_eq!(signer.is_due(), expected, "{name}");
    }
}
