//! Objects as the store keeps and returns them: in memory, in a folder, or discarded.

use devstore::{Options, Storage};

use crate::client::Client;
use crate::strict::WRONG_HASH;

#[tokio::test]
async fn an_object_comes_back_with_all_it_was_stored_with() {
    for storage in [Storage::Memory, Storage::Folder(tempfile::tempdir().unwrap().keep())] {
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
            ("x-amz-tagging", "a=1&cost+centre=%2B%26"),
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
        assert_eq!(put.header("x-amz-server-side-encryption-aws-kms-key-id"), "key-1");
        let head = client
            .send("HEAD", path, &[("x-amz-checksum-mode", "ENABLED")], b"")
            .await;
        for (name, value) in headers
            .iter()
            .filter(|(name, _)| !matches!(*name, "x-amz-acl" | "x-amz-tagging" | "x-amz-expected-bucket-owner"))
        {
            assert_eq!(head.header(name), *value, "{name}");
        }
        assert_eq!(head.header("content-length"), "9");
        let stored = store.object("test-bucket", "a b/+:=%🦔//c~.jsonl").unwrap();
        assert_eq!(&stored.bytes[..], b"123456789");
        assert_eq!(stored.info.headers["x-amz-tagging"], "a=1&cost+centre=%2B%26");
        let tags = client.send("GET", &format!("{path}?tagging"), &[], b"").await;
        assert!(
            tags.text().contains(
                "<Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>cost centre</Key><Value>+&amp;</Value></Tag>"
            ),
            "{}",
            tags.text()
        );
        assert_eq!(
            stored.info.checksum.unwrap(),
            ("x-amz-checksum-crc64nvme".to_owned(), "rosUhgp5mIg=".to_owned())
        );
        for (range, status, body) in [
            ("bytes=2-4", 206, "345"),
            ("bytes=-2", 206, "89"),
            ("bytes=7-", 206, "89"),
            ("bytes=9-", 416, ""),
        ] {
            let answer = client.send("GET", path, &[("range", range)], b"").await;
            assert_eq!(answer.status, status, "{range}");
            assert!(status != 206 || answer.text() == body, "{range}: {}", answer.text());
        }
        if let Storage::Folder(folder) = &storage {
            client.send("PUT", "test-bucket/plain/file.txt", &[], b"plain").await;
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
        std::fs::read_dir(folder.path().join("test-bucket")).unwrap().count(),
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
        client.send("PUT", &format!("test-bucket/{key}"), &[], b"x").await;
    }
    let list = client
        .send("GET", "test-bucket?delimiter=%2F&list-type=2&max-keys=2", &[], b"")
        .await;
    assert_eq!(list.text().matches("<CommonPrefixes>").count(), 2, "{}", list.text());
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
    let body = b"<Delete><Object><Key>a/1</Key></Object><Object><Key>missing</Key></Object></Delete>";
    assert_eq!(
        client.send("POST", "test-bucket?delete=", &[], body).await.code(),
        "InvalidRequest"
    );
    let wrong = [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
    assert_eq!(
        client.send("POST", "test-bucket?delete=", &wrong, body).await.code(),
        "BadDigest"
    );
    assert_eq!(client.send("DELETE", "test-bucket/a/2", &[], b"").await.status, 204);
    assert_eq!(store.keys("test-bucket"), ["a/1", "b/1", "c"]);
    assert_eq!(
        client.send("GET", "test-bucket/a/2", &[], b"").await.code(),
        "NoSuchKey"
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
    assert_eq!(client.send("PUT", "test-bucket/k", &[], b"123456789").await.status, 200);
    assert_eq!(store.objects("test-bucket")[0].etag, "25f9e794323b453885f5181f1b624d0b");
    assert_eq!(
        Client::new(&store).send("GET", "test-bucket/k", &[], b"").await.code(),
        "NotImplemented"
    );
}
