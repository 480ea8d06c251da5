//! A store that refuses, breaks off or is not there, and plans that name no address.

use devstore::{DevStore, Fault, Operation, Options, What};
use serde_json::json;

use super::*;
use crate::exporter::Access;
use batch_export_sandbox::contract::{Grant, SigningScope};
use batch_export_sandbox::{CredentialSource, Credentials, Secret};
use batch_export_sandbox::{Network, NetworkOptions};
use batch_export_sandbox::{OperatorLists, Policy, Protocol};
use batch_export_system::explain::Cause;

pub(super) const BUCKET: &str = "test-bucket";
pub(super) const MANIFEST: &str = "x/a_manifest.json";

/// What a plugin that splits into `x/a-0.jsonl` and so on would answer.
pub(super) fn plan(endpoint: &str) -> Plan {
    let grant = |method: &str| Grant {
        operation: "Read".to_owned(),
        method: method.to_owned(),
        origin: endpoint.to_owned(),
        path_prefix: format!("/{BUCKET}/x/"),
        query: Vec::new(),
        headers: Vec::new(),
    };
    Plan {
        keys: vec!["x/a-0.jsonl".to_owned(), "x/a-{n}.jsonl".to_owned()],
        manifest_key: Some(MANIFEST.to_owned()),
        settings: Vec::new(),
        part_size_bytes: 5 << 20,
        requests_in_flight: 1,
        memory_bytes: 0,
        payload_bytes: 0,
        grants: vec![grant("HEAD"), grant("GET")],
        signing: vec![SigningScope {
            service: "s3".to_owned(),
            region: "us-east-1".to_owned(),
        }],
        required_columns: Vec::new(),
    }
}

pub(super) fn client(plan: &Plan, endpoint: &str) -> Result<Store, Failure> {
    let configuration = json!({
        "bucket_name": BUCKET, "region": "us-east-1", "prefix": "x/", "endpoint_url": endpoint,
    });
    let loopback = "127.0.0.0/8".parse().expect("a rule");
    let mut lists = OperatorLists::default();
    lists.allow_private = vec![loopback];
    let access = Access {
        network: Network::new(&NetworkOptions::default()).expect("a network"),
        credentials: CredentialSource::Static(Credentials {
            access_key_id: "test-access-key".to_owned(),
            secret_access_key: Secret::new("test-secret-key"),
            session_token: None,
            expires: None,
        }),
    };
    let policy = Policy::with_head(Protocol::S3, &configuration, &lists, "x/a").expect("a policy");
    Store::new(BUCKET, plan, &policy, access, Arc::new(|_| {}))
}

pub(super) async fn store() -> DevStore {
    Options::default().start().await.expect("a store")
}

#[tokio::test]
async fn what_a_store_does_wrong_is_said_with_the_way_out() {
    let store = store().await;
    let endpoint = store.endpoint();
    let client = client(&plan(&endpoint), &endpoint).expect("a client");
    let key = "x/a-0.jsonl";
    store
        .put_object(BUCKET, key, vec![b'x'; 100_000], &[])
        .await
        .expect("seeded");
    let status = |status, code: &str| What::Status(status, code.to_owned());
    let cases = [
        (
            status(403, "AccessDenied"),
            "the store refuses GET x/a-0.jsonl: status 403, AccessDenied: …; grant s3:GetObject on `test-bucket/x/a-0.jsonl`, and check that no policy of the bucket denies it",
        ),
        (
            status(403, "SignatureDoesNotMatch"),
            "the store refuses GET x/a-0.jsonl: status 403, SignatureDoesNotMatch: …; check aws_secret_access_key; if there is a proxy in front of the store, check that it forwards path and headers unchanged",
        ),
        (
            status(403, "InvalidAccessKeyId"),
            "the store refuses GET x/a-0.jsonl: status 403, InvalidAccessKeyId: …; check aws_access_key_id, which the store does not recognize; if the credentials are temporary, set aws_session_token as well",
        ),
        (
            status(403, "Forbidden"),
            "the store refuses GET x/a-0.jsonl: status 403, Forbidden: …; grant s3:GetObject on `test-bucket/x/a-0.jsonl`, and check that no policy of the bucket denies it",
        ),
        (
            status(503, "SlowDown"),
            "the store cannot carry out GET x/a-0.jsonl: status 503, SlowDown: …; verify again when the store has recovered",
        ),
        (
            status(301, "PermanentRedirect"),
            "the store refuses GET x/a-0.jsonl: status 301, PermanentRedirect: …; set region and endpoint_url to the bucket's location: the store redirects, and redirects are not followed",
        ),
    ];
    for (what, expect) in cases {
        store.set_faults(vec![Fault::on(Operation::GetObject, what)]);
        let answer = match client.get(key).await {
            Ok(answer) => answer.expect("an object").whole(1 << 20).await,
            Err(error) => Err(error),
        };
        let error = Cause::of(&answer.expect_err(expect)).in_one_text();
        let (start, end) = expect.split_once('…').expect("a gap");
        assert!(
            error.starts_with(start) && error.ends_with(end),
            "{error}, expected {expect}"
        );
    }
    store.set_faults(Vec::new());
    let answer = client.get(key).await.expect("an answer").expect("an object");
    assert_eq!(
        answer.whole(1_000).await.expect_err("too large").to_string(),
        "x/a-0.jsonl is larger than 1,000 bytes, which is too large for a manifest"
    );
}

/// The host's own requests go through the same door as a plugin's: keys outside the run's own do not leave.
#[tokio::test]
async fn a_key_of_another_run_or_bucket_is_not_asked_for() {
    let store = store().await;
    let endpoint = store.endpoint();
    let client = client(&plan(&endpoint), &endpoint).expect("a client");
    for key in [
        "y/secret.json",
        "x/b",
        "../other-bucket/secret.json",
        "x/a/../../../other-bucket/secret.json",
        "",
    ] {
        let error = match client.get(key).await {
            Ok(_) => panic!("{key} was asked for"),
            Err(error) => error,
        };
        assert!(matches!(error, StoreError::NotSent { .. }), "{key}: {error}");
        assert!(!error.is_transient());
    }
    assert_eq!(store.requests().len(), 0);
}

#[tokio::test]
async fn what_keeps_a_client_from_reading_is_said() {
    let endpoint = "http://127.0.0.1:9";
    let without_head = Plan {
        grants: Vec::new(),
        ..plan(endpoint)
    };
    assert_eq!(
        client(&without_head, endpoint).err().expect("no address").to_string(),
        "the plan does not include HeadObject in the configured bucket, so verify has no address to read from"
    );
    let elsewhere = Plan {
        grants: plan("http://store.example.com").grants,
        ..plan(endpoint)
    };
    let error = client(&elsewhere, endpoint).err().expect("no address");
    assert!(error.to_string().contains("in the configured bucket"), "{error}");
    let key = || "x/a-0.jsonl".to_owned();
    let errors = [
        (
            StoreError::NotSent {
                key: key(),
                cause: Cause::new("the proxy refuses it").with_hint("name it"),
            },
            "cannot request x/a-0.jsonl: the proxy refuses it; name it",
        ),
        (
            StoreError::NotSent {
                key: key(),
                cause: "no grant for this path".into(),
            },
            "cannot request x/a-0.jsonl: no grant for this path",
        ),
        (
            StoreError::TooLong {
                key: key(),
                limit_bytes: 7,
                said: "the store announced",
            },
            "x/a-0.jsonl continued after the 7 bytes that the store announced; the store contradicts itself; find out \
             who wrote this object, and run the interval again",
        ),
        (
            StoreError::Unreachable {
                key: key(),
                cause: Cause::new("no room in memory").with_hint("run it again when fewer run"),
            },
            "no response for x/a-0.jsonl: no room in memory; run it again when fewer run",
        ),
        (
            StoreError::Unreachable {
                key: key(),
                cause: "connection refused".into(),
            },
            "no response for x/a-0.jsonl: connection refused; start the store if you run it yourself, or correct \
             endpoint_url, then verify again",
        ),
        (
            StoreError::BrokeOff {
                key: key(),
                bytes: 7,
                message: "connection reset".to_owned(),
            },
            "the connection closed after 7 bytes of x/a-0.jsonl: connection reset; verify again",
        ),
        (
            StoreError::Signing {
                key: key(),
                cause: Cause::new("the clock is wrong").with_hint("set it"),
            },
            "cannot sign the request for x/a-0.jsonl: the clock is wrong; set it",
        ),
        (
            StoreError::Signing {
                key: key(),
                cause: "no credentials found".into(),
            },
            "cannot sign the request for x/a-0.jsonl: no credentials found; correct the credentials, and verify again",
        ),
        (
            StoreError::Temporary {
                key: key(),
                source: std::io::Error::other("the disk is full"),
            },
            "cannot keep x/a-0.jsonl in a temporary file: the disk is full; free some disk space, or set TMPDIR to a folder on another disk",
        ),
    ];
    for (error, expect) in errors {
        assert_eq!(Cause::of(&error).in_one_text(), expect);
    }
}
