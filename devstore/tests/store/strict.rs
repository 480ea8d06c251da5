//! What the store refuses, and what it keeps and answers, on single requests.

use devstore::{Identity, Options, Permission, Storage};

use crate::client::{Client, install_crypto};

const WRONG_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn requests_that_prove_nothing_are_refused() {
    let store = Options::default().start().await.unwrap();
    let spoilt: [(&str, &dyn Fn(&mut Client), u16, &str); 9] = [
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
            &|client| {
                client
                    .unsigned_headers
                    .push(("x-amz-acl".into(), "private".into()))
            },
            403,
            "AccessDenied",
        ),
        (
            "no signature",
            &|client| {
                client
                    .unsigned_headers
                    .push(("authorization".into(), "".into()))
            },
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
    let answer = Client::new(&store)
        .send("PUT", "test-bucket/k", &[], b"x")
        .await;
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
    store
        .put_object("test-bucket", "k", "seeded", &[])
        .await
        .unwrap();
    let client = |key: &str, secret: &str, token: Option<&str>| Client {
        access_key: key.into(),
        secret_key: secret.into(),
        token: token.map(str::to_owned),
        ..Client::new(&store)
    };
    let cases = [
        (
            client("writer", "w", None),
            "PUT",
            "test-bucket/new",
            200,
            "",
        ),
        (
            client("writer", "w", None),
            "POST",
            "test-bucket/new?uploads",
            200,
            "",
        ),
        (
            client("writer", "w", None),
            "GET",
            "test-bucket/k",
            403,
            "AccessDenied",
        ),
        (
            client("writer", "w", None),
            "HEAD",
            "test-bucket/missing",
            403,
            "",
        ),
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
        (
            client("guest", "g", Some("the-token")),
            "GET",
            "test-bucket/k",
            200,
            "",
        ),
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
    let cases: [(&str, &[(&str, &str)], u16, &str); 12] = [
        (
            "test-bucket/k",
            &[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")],
            400,
            "BadDigest",
        ),
        (
            "test-bucket/k",
            &[("content-md5", "short")],
            400,
            "InvalidDigest",
        ),
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
            &[(
                "x-amz-checksum-sha256",
                "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            )],
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
async fn an_object_comes_back_with_all_it_was_stored_with() {
    for storage in [
        Storage::Memory,
        Storage::Folder(tempfile::tempdir().unwrap().keep()),
    ] {
        let store = Options {
            storage: storage.clone(),
            ..Options::default()
        }
        .start()
        .await
        .unwrap();
        let client = Client::new(&store);
        let headers = [
            ("content-type", "application/x-ndjson"),
            ("x-amz-meta-run", "run-1"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-acl", "bucket-owner-full-control"),
            ("x-amz-tagging", "a=1&b=2"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "key-1"),
            ("x-amz-expected-bucket-owner", "111122223333"),
            ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
        ];
        let path = "test-bucket/a%20b/%2B%3A%3D%25%F0%9F%A6%94//c~.jsonl";
        let put = client.send("PUT", path, &headers, b"123456789").await;
        assert_eq!(put.status, 200, "{}", put.text());
        assert_eq!(put.header("etag"), "\"25f9e794323b453885f5181f1b624d0b\"");
        assert_eq!(put.header("x-amz-checksum-crc64nvme"), "rosUhgp5mIg=");
        assert_eq!(
            put.header("x-amz-server-side-encryption-aws-kms-key-id"),
            "key-1"
        );
        let head = client
            .send("HEAD", path, &[("x-amz-checksum-mode", "ENABLED")], b"")
            .await;
        for (name, value) in headers.iter().filter(|(name, _)| {
            !matches!(
                *name,
                "x-amz-acl" | "x-amz-tagging" | "x-amz-expected-bucket-owner"
            )
        }) {
            assert_eq!(head.header(name), *value, "{name}");
        }
        assert_eq!(head.header("content-length"), "9");
        let stored = store.object("test-bucket", "a b/+:=%🦔//c~.jsonl").unwrap();
        assert_eq!(&stored.bytes[..], b"123456789");
        assert_eq!(stored.info.headers["x-amz-tagging"], "a=1&b=2");
        assert_eq!(
            stored.info.checksum.unwrap(),
            (
                "x-amz-checksum-crc64nvme".to_owned(),
                "rosUhgp5mIg=".to_owned()
            )
        );
        for (range, status, body) in [
            ("bytes=2-4", 206, "345"),
            ("bytes=-2", 206, "89"),
            ("bytes=7-", 206, "89"),
            ("bytes=9-", 416, ""),
        ] {
            let answer = client.send("GET", path, &[("range", range)], b"").await;
            assert_eq!(answer.status, status, "{range}");
            assert!(
                status != 206 || answer.text() == body,
                "{range}: {}",
                answer.text()
            );
        }
        if let Storage::Folder(folder) = &storage {
            client
                .send("PUT", "test-bucket/plain/file.txt", &[], b"plain")
                .await;
            assert_eq!(
                std::fs::read(folder.join("test-bucket/plain/file.txt")).unwrap(),
                b"plain"
            );
            drop(store);
            let again = Options {
                storage: storage.clone(),
                ..Options::default()
            }
            .start()
            .await
            .unwrap();
            assert_eq!(
                again.keys("test-bucket").len(),
                2,
                "a store started again has its objects"
            );
            let head = Client::new(&again).send("HEAD", path, &[], b"").await;
            assert_eq!(head.header("x-amz-meta-run"), "run-1");
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}

#[tokio::test]
async fn a_key_that_is_another_ones_folder_keeps_both() {
    let folder = tempfile::tempdir().unwrap();
    let store = Options {
        storage: Storage::Folder(folder.path().into()),
        ..Options::default()
    }
    .start()
    .await
    .unwrap();
    let client = Client::new(&store);
    for key in ["a", "a/b", "c/d", "c", "x//y"] {
        assert_eq!(
            client
                .send("PUT", &format!("test-bucket/{key}"), &[], key.as_bytes())
                .await
                .status,
            200,
            "{key}"
        );
    }
    // An HTTP client resolves `..` itself, so this one does not come over HTTP.
    store
        .put_object("test-bucket", "../../outside", "../../outside", &[])
        .await
        .unwrap();
    assert!(!folder.path().join("../outside").exists());
    for object in store.objects("test-bucket") {
        let bytes = store.object("test-bucket", &object.key).unwrap().bytes;
        assert!(bytes.ends_with(object.key.as_bytes()), "{}", object.key);
        if object.key.starts_with("..") {
            continue;
        }
        assert_eq!(
            client
                .send("DELETE", &format!("test-bucket/{}", object.key), &[], b"")
                .await
                .status,
            204
        );
    }
    assert_eq!(
        std::fs::read_dir(folder.path().join("test-bucket"))
            .unwrap()
            .count(),
        0,
        "empty folders go"
    );
}

#[tokio::test]
async fn conditions_lists_and_deletes_do_what_s3_does() {
    let store = Options::default().start().await.unwrap();
    let client = Client::new(&store);
    assert_eq!(
        client
            .send("PUT", "test-bucket/a/1", &[("if-none-match", "*")], b"x")
            .await
            .status,
        200
    );
    assert_eq!(
        client
            .send("PUT", "test-bucket/a/1", &[("if-none-match", "*")], b"y")
            .await
            .code(),
        "PreconditionFailed"
    );
    for key in ["a/2", "b/1", "c"] {
        client
            .send("PUT", &format!("test-bucket/{key}"), &[], b"x")
            .await;
    }
    let list = client
        .send(
            "GET",
            "test-bucket?delimiter=%2F&list-type=2&max-keys=2",
            &[],
            b"",
        )
        .await;
    assert_eq!(
        list.text().matches("<CommonPrefixes>").count(),
        2,
        "{}",
        list.text()
    );
    let token = list.element("NextContinuationToken").unwrap();
    let list = client
        .send(
            "GET",
            &format!("test-bucket?continuation-token={token}&delimiter=%2F&list-type=2"),
            &[],
            b"",
        )
        .await;
    assert_eq!(list.element("Key").as_deref(), Some("c"), "{}", list.text());
    let list = client
        .send("GET", "test-bucket?list-type=2&prefix=a%2F", &[], b"")
        .await;
    assert_eq!(list.element("KeyCount").as_deref(), Some("2"));
    let body =
        b"<Delete><Object><Key>a/1</Key></Object><Object><Key>missing</Key></Object></Delete>";
    assert_eq!(
        client
            .send("POST", "test-bucket?delete=", &[], body)
            .await
            .code(),
        "InvalidRequest"
    );
    let wrong = [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
    assert_eq!(
        client
            .send("POST", "test-bucket?delete=", &wrong, body)
            .await
            .code(),
        "BadDigest"
    );
    assert_eq!(
        client
            .send("DELETE", "test-bucket/a/2", &[], b"")
            .await
            .status,
        204
    );
    assert_eq!(store.keys("test-bucket"), ["a/1", "b/1", "c"]);
    assert_eq!(
        client.send("GET", "test-bucket/a/2", &[], b"").await.code(),
        "NoSuchKey"
    );
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
    assert_eq!(
        client.send("PUT", "test-bucket/k", &[], b"x").await.status,
        200
    );
}

#[tokio::test]
async fn a_discarding_store_keeps_all_but_the_bytes() {
    let storage = Storage::Discard {
        verify_payload_hash: false,
    };
    let store = Options {
        storage,
        ..Options::default()
    }
    .start()
    .await
    .unwrap();
    let client = Client {
        payload_hash: Some(WRONG_HASH.into()),
        ..Client::new(&store)
    };
    assert_eq!(
        client
            .send("PUT", "test-bucket/k", &[], b"123456789")
            .await
            .status,
        200
    );
    assert_eq!(
        store.objects("test-bucket")[0].etag,
        "25f9e794323b453885f5181f1b624d0b"
    );
    assert_eq!(
        Client::new(&store)
            .send("GET", "test-bucket/k", &[], b"")
            .await
            .code(),
        "NotImplemented"
    );
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
        error
            .to_string()
            .starts_with("'No' cannot be a bucket's name"),
        "{error}"
    );
}
