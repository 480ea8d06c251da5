//! Requests that the store refuses: wrong identity, missing permission, invalid content.

use devstore::{Identity, Options, Permission};

use crate::client::{Client, install_crypto};

/// The hash of no bytes at all.
pub const WRONG_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn requests_that_prove_nothing_are_refused() {
    let store = Options::default().start().await.unwrap();
    type Spoil<'a> = (&'a str, &'a dyn Fn(&mut Client), u16, &'a str);
    let spoilt: [Spoil; 9] = [
        ("right", &|_| {}, 200, ""),
        (
            "secret",
            &|client| client.secret_key = "wrong".into(),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            "key",
            &|client| client.access_key = "unknown".into(),
            403,
            "InvalidAccessKeyId",
        ),
        (
            "region",
            &|client| client.region = "eu-west-1".into(),
            400,
            "AuthorizationHeaderMalformed",
        ),
        (
            "hash",
            &|client| client.payload_hash = Some(WRONG_HASH.into()),
            400,
            "XAmzContentSHA256Mismatch",
        ),
        (
            "unsigned payload",
            &|client| client.payload_hash = Some("UNSIGNED-PAYLOAD".into()),
            200,
            "",
        ),
        (
            "token",
            &|client| client.token = Some("unasked".into()),
            400,
            "InvalidToken",
        ),
        (
            "unsigned header",
            &|client| client.unsigned_headers.push(("x-amz-acl".into(), "private".into())),
            403,
            "AccessDenied",
        ),
        (
            "no signature",
            &|client| client.unsigned_headers.push(("authorization".into(), "".into())),
            400,
            "InvalidRequest",
        ),
    ];
    for (name, spoil, status, code) in spoilt {
        let mut client = Client::new(&store);
        spoil(&mut client);
        let answer = client.send("PUT", "test-bucket/key", &[], b"body").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{name}: {}",
            answer.text()
        );
        assert!(!answer.header("x-amz-request-id").is_empty(), "{name}");
    }
    for (seconds, status, code) in [
        (-14 * 60, 200, ""),
        (14 * 60, 200, ""),
        (-16 * 60, 403, "RequestTimeTooSkewed"),
        (16 * 60, 403, "RequestTimeTooSkewed"),
    ] {
        let answer = Client::new(&store)
            .later(seconds)
            .send("PUT", "test-bucket/key", &[], b"body")
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{seconds} s off"
        );
    }
    let log = format!("{:?}", store.requests());
    assert!(!log.contains("Signature=") && !log.contains("unasked"));
}

#[tokio::test]
async fn the_answer_to_a_wrong_region_names_the_right_one() {
    let store = Options {
        region: "eu-central-1".into(),
        ..Options::default()
    }
    .start()
    .await
    .unwrap();
    let answer = Client::new(&store)
        .send("GET", "test-bucket?list-type=2", &[], b"")
        .await;
    assert_eq!(
        answer.element("Region").as_deref(),
        Some("eu-central-1"),
        "{}",
        answer.text()
    );
    assert_eq!(answer.header("x-amz-bucket-region"), "eu-central-1");
}

#[tokio::test]
async fn a_store_whose_clock_is_off_says_so_in_its_date() {
    let store = Options {
        clock_offset_seconds: 3600,
        ..Options::default()
    }
    .start()
    .await
    .unwrap();
    let answer = Client::new(&store).send("PUT", "test-bucket/k", &[], b"x").await;
    assert_eq!(answer.code(), "RequestTimeTooSkewed");
    let answer = Client::new(&store)
        .later(3600)
        .send("PUT", "test-bucket/k", &[], b"x")
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn identities_may_do_what_they_are_allowed() {
    let identities = vec![
        Identity::new("test-access-key", "test-secret-key"),
        Identity::new("writer", "w").with_permission(Permission::WriteOnly),
        Identity::new("reader", "r").with_permission(Permission::ReadOnly),
        Identity::new("guest", "g").with_session_token("the-token"),
    ];
    let store = Options {
        identities,
        ..Options::default()
    }
    .start()
    .await
    .unwrap();
    store.put_object("test-bucket", "k", "seeded", &[]).await.unwrap();
    let client = |key: &str, secret: &str, token: Option<&str>| Client {
        access_key: key.into(),
        secret_key: secret.into(),
        token: token.map(str::to_owned),
        ..Client::new(&store)
    };
    let cases = [
        (client("writer", "w", None), "PUT", "test-bucket/new", 200, ""),
        (client("writer", "w", None), "POST", "test-bucket/new?uploads", 200, ""),
        (client("writer", "w", None), "GET", "test-bucket/k", 403, "AccessDenied"),
        (client("writer", "w", None), "HEAD", "test-bucket/missing", 403, ""),
        (
            client("writer", "w", None),
            "DELETE",
            "test-bucket/k",
            403,
            "AccessDenied",
        ),
        (
            client("writer", "w", None),
            "GET",
            "test-bucket?list-type=2",
            403,
            "AccessDenied",
        ),
        (client("reader", "r", None), "GET", "test-bucket/k", 200, ""),
        (
            client("reader", "r", None),
            "PUT",
            "test-bucket/new",
            403,
            "AccessDenied",
        ),
        (client("guest", "g", Some("the-token")), "GET", "test-bucket/k", 200, ""),
        (
            client("guest", "g", Some("other")),
            "GET",
            "test-bucket/k",
            400,
            "InvalidToken",
        ),
        (
            client("guest", "g", None),
            "GET",
            "test-bucket/k",
            403,
            "InvalidAccessKeyId",
        ),
    ];
    for (client, method, path, status, code) in cases {
        let body: &[u8] = if method == "PUT" { b"x" } else { b"" };
        let answer = client.send(method, path, &[], body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{} {method} {path}",
            client.access_key
        );
    }
    store.expire("guest");
    let answer = client("guest", "g", Some("the-token"))
        .send("GET", "test-bucket/k", &[], b"")
        .await;
    assert_eq!(answer.code(), "ExpiredToken");
}

#[tokio::test]
async fn wrong_digests_and_bad_requests_are_refused_and_leave_nothing() {
    let store = Options::default().start().await.unwrap();
    let client = Client::new(&store);
    let long = format!("test-bucket/{}", "k".repeat(1025));
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);
    let cases: [Case; 12] = [
        (
            "test-bucket/k",
            &[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")],
            400,
            "BadDigest",
        ),
        ("test-bucket/k", &[("content-md5", "short")], 400, "InvalidDigest"),
        (
            "test-bucket/k",
            &[("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")],
            400,
            "BadDigest",
        ),
        (
            "test-bucket/k",
            &[("x-amz-checksum-crc32c", "AAAAAA==")],
            400,
            "BadDigest",
        ),
        (
            "test-bucket/k",
            &[("x-amz-checksum-crc32", "AAAAAA==")],
            400,
            "BadDigest",
        ),
        (
            "test-bucket/k",
            &[("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")],
            400,
            "BadDigest",
        ),
        (
            "test-bucket/k",
            &[("x-amz-checksum-crc32", "AAAAAAAA")],
            400,
            "InvalidRequest",
        ),
        (
            "test-bucket/k",
            &[
                ("x-amz-checksum-crc32", "y/Q5Jg=="),
                ("x-amz-checksum-crc32c", "4waSgw=="),
            ],
            400,
            "InvalidRequest",
        ),
        (
            "test-bucket/k",
            &[("x-amz-expected-bucket-owner", "999999999999")],
            403,
            "AccessDenied",
        ),
        (
            "test-bucket/k",
            &[("x-amz-storage-class", "FROZEN")],
            400,
            "InvalidStorageClass",
        ),
        ("other-bucket/k", &[], 404, "NoSuchBucket"),
        (&long, &[], 400, "KeyTooLongError"),
    ];
    for (path, headers, status, code) in cases {
        let answer = client.send("PUT", path, headers, b"123456789").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{path} {headers:?}: {}",
            answer.text()
        );
    }
    assert!(store.keys("test-bucket").is_empty());
}

#[tokio::test]
async fn tls_is_trusted_by_those_who_have_the_authority() {
    install_crypto();
    let store = Options {
        tls: true,
        ..Options::default()
    }
    .start()
    .await
    .unwrap();
    let mut client = Client::new(&store);
    assert!(client.endpoint.starts_with("https://"));
    let authority = reqwest::Certificate::from_pem(store.ca_pem().unwrap().as_bytes()).unwrap();
    client.http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .build()
        .unwrap();
    assert_eq!(client.send("PUT", "test-bucket/k", &[], b"x").await.status, 200);
}

#[tokio::test]
async fn a_store_does_not_start_where_it_should_not() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let error = Options {
        listen,
        ..Options::default()
    }
    .start()
    .await
    .err()
    .unwrap();
    assert!(error.to_string().contains("loopback"), "{error}");
    let buckets = vec!["No".to_owned()];
    let error = Options {
        buckets,
        ..Options::default()
    }
    .start()
    .await
    .err()
    .unwrap();
    assert!(
        error.to_string().starts_with("'No' cannot be a bucket's name"),
        "{error}"
    );
}
