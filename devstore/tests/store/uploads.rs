//! Multipart uploads, with everything that can be wrong about them.

use devstore::{DevStore, Options, Storage};

use crate::client::{Answer, Client};

async fn create(client: &Client, key: &str, headers: &[(&str, &str)]) -> String {
    let answer = client
        .send("POST", &format!("test-bucket/{key}?uploads="), headers, b"")
        .await;
    answer
        .element("UploadId")
        .unwrap_or_else(|| panic!("{}", answer.text()))
}

async fn part(client: &Client, key: &str, id: &str, number: i32, body: &[u8]) -> Answer {
    client
        .send(
            "PUT",
            &format!("test-bucket/{key}?partNumber={number}&uploadId={id}"),
            &[],
            body,
        )
        .await
}

async fn complete(client: &Client, key: &str, id: &str, parts: &[(i32, &str)], headers: &[(&str, &str)]) -> Answer {
    let parts: String = parts
        .iter()
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect();
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    client
        .send(
            "POST",
            &format!("test-bucket/{key}?uploadId={id}"),
            headers,
            body.as_bytes(),
        )
        .await
}

async fn store_with(options: Options) -> (DevStore, Client) {
    let store = options.start().await.unwrap();
    let client = Client::new(&store);
    (store, client)
}

#[tokio::test]
async fn parts_become_one_object_in_every_storage() {
    let folder = tempfile::tempdir().unwrap();
    for storage in [Storage::Memory, Storage::Folder(folder.path().into())] {
        let (store, client) = store_with(Options {
            storage,
            min_part_size_bytes: 5,
            ..Options::default()
        })
        .await;
        let id = create(
            &client,
            "k",
            &[("x-amz-meta-a", "b"), ("x-amz-checksum-algorithm", "CRC64NVME")],
        )
        .await;
        let two = part(&client, "k", &id, 2, b"6789").await;
        let one = part(&client, "k", &id, 1, b"12345").await;
        assert_eq!(store.open_uploads()[0].parts, [(1, 5), (2, 4)]);
        let listed = client
            .send("GET", &format!("test-bucket/k?max-parts=1&uploadId={id}"), &[], b"")
            .await;
        assert_eq!(
            listed.element("NextPartNumberMarker").as_deref(),
            Some("1"),
            "{}",
            listed.text()
        );
        let listed = client.send("GET", "test-bucket?prefix=k&uploads=", &[], b"").await;
        assert_eq!(listed.element("UploadId").as_ref(), Some(&id));
        let parts = [(1, one.header("etag")), (2, two.header("etag"))];
        let wrong = [("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")];
        assert_eq!(complete(&client, "k", &id, &parts, &wrong).await.code(), "BadDigest");
        let done = complete(
            &client,
            "k",
            &id,
            &parts,
            &[("x-amz-checksum-crc64nvme", "rosUhgp5mIg=")],
        )
        .await;
        assert_eq!(done.status, 200, "{}", done.text());
        // md5(md5("12345") + md5("6789")), by coreutils.
        assert_eq!(
            done.element("ETag").as_deref(),
            Some("\"324730582f20c3f18cbb66d63a6137d2-2\"")
        );
        assert_eq!(done.element("ChecksumCRC64NVME").as_deref(), Some("rosUhgp5mIg="));
        let stored = store.object("test-bucket", "k").unwrap();
        assert_eq!(&stored.bytes[..], b"123456789");
        assert_eq!(stored.info.part_sizes_bytes, [5, 4]);
        assert_eq!(stored.info.headers["x-amz-meta-a"], "b");
        assert_eq!(
            client
                .send("GET", "test-bucket/k", &[("range", "bytes=4-5")], b"")
                .await
                .text(),
            "56"
        );
        assert_eq!(
            complete(&client, "k", &id, &parts, &[]).await.code(),
            "NoSuchUpload",
            "a second time"
        );
        assert!(store.open_uploads().is_empty());
    }
    assert_eq!(
        std::fs::read_dir(folder.path().join(".devstore/parts"))
            .unwrap()
            .count(),
        0,
        "no part stays behind"
    );
}

#[tokio::test]
async fn a_wrong_complete_is_refused_and_leaves_the_upload_open() {
    let (store, client) = store_with(Options {
        min_part_size_bytes: 3,
        equal_parts: true,
        ..Options::default()
    })
    .await;
    let id = create(&client, "k", &[]).await;
    let mut etags = Vec::new();
    for (number, body) in [(1, "aaa"), (2, "bb"), (3, "cccc"), (4, "ddd")] {
        etags.push(
            part(&client, "k", &id, number, body.as_bytes())
                .await
                .header("etag")
                .to_owned(),
        );
    }
    let [a, b, c, d] = &etags[..] else { panic!() };
    let cases: [(&[(i32, &str)], &str); 8] = [
        (&[], "MalformedXML"),
        (&[(1, "\"wrong\"")], "InvalidPart"),
        (&[(1, a), (5, a)], "InvalidPart"),
        (&[(4, d), (1, a)], "InvalidPartOrder"),
        (&[(1, a), (1, a)], "InvalidPartOrder"),
        (&[(2, b), (4, d)], "EntityTooSmall"),
        (&[(1, a), (3, c), (4, d)], "InvalidPart"),
        (&[(0, a)], "InvalidArgument"),
    ];
    for (parts, code) in cases {
        let answer = complete(&client, "k", &id, parts, &[]).await;
        assert_eq!(answer.code(), code, "{parts:?}: {}", answer.text());
    }
    store.put_object("test-bucket", "k", "first", &[]).await.unwrap();
    let answer = complete(&client, "k", &id, &[(1, a), (4, d)], &[("if-none-match", "*")]).await;
    assert_eq!((answer.status, answer.code().as_str()), (412, "PreconditionFailed"));
    assert_eq!(store.open_uploads().len(), 1);
    assert_eq!(complete(&client, "k", &id, &[(1, a), (4, d)], &[]).await.status, 200);
}

#[tokio::test]
async fn part_numbers_checksums_and_upload_ids_are_checked() {
    let (store, client) = store_with(Options::default()).await;
    let id = create(&client, "k", &[]).await;
    for number in [0, -1, 10_001] {
        assert_eq!(
            part(&client, "k", &id, number, b"x").await.code(),
            "InvalidArgument",
            "{number}"
        );
    }
    assert_eq!(part(&client, "k", &id, 10_000, b"x").await.status, 200);
    assert_eq!(part(&client, "other", &id, 1, b"x").await.code(), "NoSuchUpload");
    let path = format!("test-bucket/k?partNumber=1&uploadId={id}");
    let undeclared = client
        .send("PUT", &path, &[("x-amz-checksum-crc32", "y/Q5Jg==")], b"123456789")
        .await;
    assert_eq!(undeclared.code(), "InvalidRequest", "{}", undeclared.text());
    let sha = create(&client, "s", &[("x-amz-checksum-algorithm", "SHA256")]).await;
    let one = part(&client, "s", &sha, 1, b"x").await;
    assert!(!one.header("x-amz-checksum-sha256").is_empty());
    let answer = complete(&client, "s", &sha, &[(1, one.header("etag"))], &[]).await;
    assert!(
        answer.text().contains("must include the checksum for each part"),
        "{}",
        answer.text()
    );
    for (key, id) in [("k", &id), ("s", &sha)] {
        assert_eq!(
            client
                .send("DELETE", &format!("test-bucket/{key}?uploadId={id}"), &[], b"")
                .await
                .status,
            204
        );
    }
    let again = client
        .send("DELETE", &format!("test-bucket/k?uploadId={id}"), &[], b"")
        .await;
    assert_eq!(again.code(), "NoSuchUpload");
    assert!(store.open_uploads().is_empty());
    let answer = client
        .send(
            "POST",
            "test-bucket/k?uploads=",
            &[
                ("x-amz-checksum-algorithm", "CRC64NVME"),
                ("x-amz-checksum-type", "COMPOSITE"),
            ],
            b"",
        )
        .await;
    assert_eq!(answer.code(), "InvalidRequest");
}
