//! What objects are stored with, and in which parts: the same settings on every object of a run, and parts as the
//! strictest stores want them.

use batch_export_tests::components;
use batch_export_tests::rows::{events_batch, plain_events, rebatched};
use batch_export_tests::scene::{BUCKET, Scene};
use devstore::{Operation, Options};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_on_data_multipart_and_manifest_alike() {
    let scene = Scene::new().await;
    let key_id = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let further = json!({
        "max_file_size_mb": 20,
        "encryption": "aws:kms",
        "kms_key_id": key_id,
        "storage_class": "STANDARD_IA",
        "acl": "bucket-owner-full-control",
        "tags": {"team": "data", "cost centre": "a/b+c"},
        "metadata": {"source": "tests"},
        "expected_bucket_owner": "111122223333",
    });
    let configuration = scene.configuration("exports/", further);
    let batch = events_batch(&plain_events(55_000));
    let outcome = scene
        .export("attempt-1", &configuration, &rebatched(&batch, &[9_000]))
        .await;
    outcome.report();
    let objects = scene.store.objects(BUCKET);
    let in_parts = objects.iter().filter(|object| !object.part_sizes_bytes.is_empty());
    let data = objects.iter().filter(|object| object.key.ends_with(".jsonl"));
    assert!(in_parts.count() > 0, "no file was uploaded in parts");
    assert!(data.count() > 1, "the export was not split");
    assert!(objects.iter().any(|o| o.key.ends_with("_manifest.json")));
    for object in &objects {
        for (name, value) in [
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", key_id),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-acl", "bucket-owner-full-control"),
            ("x-amz-meta-source", "tests"),
        ] {
            let found = object.headers.get(name).map(String::as_str);
            assert_eq!(found, Some(value), "{name} of {}", object.key);
        }
        let tags = object.headers.get("x-amz-tagging").expect("tags");
        let mut pairs: Vec<&str> = tags.split('&').collect();
        pairs.sort();
        assert_eq!(pairs, ["cost%20centre=a%2Fb%2Bc", "team=data"]);
        let content = object.headers.get("content-type").map(String::as_str);
        let expected = match object.key.ends_with(".jsonl") {
            true => "application/x-ndjson",
            false => "application/json",
        };
        assert_eq!(content, Some(expected), "{}", object.key);
        assert_eq!(object.headers.get("content-encoding"), None);
    }
    for request in scene.store.requests() {
        let owner = request.header("x-amz-expected-bucket-owner");
        assert_eq!(owner, Some("111122223333"), "{:?}", request.operation);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn managed_encryption_is_asked_for_too() {
    let scene = Scene::new().await;
    let further = json!({"encryption": "AES256", "manifest": "detailed"});
    let configuration = scene.configuration("exports/", further);
    let batch = events_batch(&plain_events(55_000));
    scene.export("attempt-1", &configuration, &[batch]).await.report();
    let objects = scene.store.objects(BUCKET);
    assert_eq!(objects.len(), 2, "a file and its manifest");
    for object in objects {
        let found = object.headers.get("x-amz-server-side-encryption");
        assert_eq!(found.map(String::as_str), Some("AES256"), "{}", object.key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detailed_manifest_names_the_very_component_that_wrote_it() {
    let scene = Scene::new().await;
    let configuration = scene.configuration("exports/", json!({"manifest": "detailed"}));
    let batch = events_batch(&plain_events(10));
    let outcome = scene.export("attempt-1", &configuration, &[batch]).await;
    let key = outcome.report().manifest_key.as_deref().expect("a manifest");
    let manifest: Value = serde_json::from_slice(&scene.bytes(key)).expect("JSON");
    let component = std::fs::read(components::destination()).expect("the component");
    let digest: String = Sha256::digest(component)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(manifest["plugin"]["sha256"], digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_wants_equal_parts_gets_them() {
    let scene = Scene::with(Options {
        equal_parts: true,
        region: "auto".to_owned(),
        ..Options::default()
    })
    .await;
    let batch = events_batch(&plain_events(100_000));
    for further in [
        json!({"region": "auto"}),
        json!({"region": "auto", "max_file_size_mb": 20}),
        json!({"region": "auto", "file_format": "Parquet", "max_file_size_mb": 9}),
    ] {
        let configuration = scene.configuration("exports/", further);
        let outcome = scene
            .export("attempt-1", &configuration, &rebatched(&batch, &[7_777]))
            .await;
        assert_eq!(outcome.report().rows_exported, 100_000);
        let mut in_parts = 0;
        for file in &outcome.report().files {
            let object = scene.store.object(BUCKET, &file.key).expect("an object");
            if let [equal @ .., last] = object.info.part_sizes_bytes.as_slice() {
                in_parts += 1;
                assert!(equal.windows(2).all(|pair| pair[0] == pair[1]));
                assert!(equal.iter().all(|size| last <= size));
            }
        }
        assert!(in_parts > 0, "{configuration}");
    }
    let requests = scene.store.requests();
    let refused = requests
        .iter()
        .filter(|request| request.operation == Operation::CompleteMultipartUpload)
        .filter(|request| request.status != Some(200));
    assert_eq!(refused.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_checksum_and_signature_of_the_payload_is_accepted_by_a_store_that_verifies() {
    let batch = events_batch(&plain_events(40_000));
    for checksum in ["crc64nvme", "crc32c", "crc32", "sha256", "none"] {
        for payload_signing in ["auto", "signed"] {
            let scene = Scene::new().await;
            let further = json!({
                "checksum": checksum,
                "payload_signing": payload_signing,
                "max_file_size_mb": 18,
                "manifest": "detailed",
            });
            let configuration = scene.configuration("exports/", further);
            let batches = rebatched(&batch, &[8_000]);
            let outcome = scene.export("attempt-1", &configuration, &batches).await;
            let report = outcome.report();
            assert_eq!(report.rows_exported, 40_000);
            let objects = scene.store.objects(BUCKET);
            assert!(objects.iter().any(|o| !o.part_sizes_bytes.is_empty()));
            let manifest = scene.bytes(report.manifest_key.as_deref().expect("a manifest"));
            let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
            for file in manifest["file_details"].as_array().expect("files") {
                let object = objects.iter().find(|o| file["key"] == o.key.as_str());
                let kept = object.expect("an object").checksum.clone();
                let kept = kept.map_or(Value::Null, |(_, value)| Value::from(value));
                assert_eq!(file["checksum"]["value"], kept, "{checksum}: {file}");
            }
            for object in objects {
                let found = object.checksum.map(|(header, _)| header);
                let expected = match checksum {
                    "none" => None,
                    named => Some(format!("x-amz-checksum-{named}")),
                };
                assert_eq!(found, expected, "{}", object.key);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_character_arrive_as_they_are_written() {
    let batch = events_batch(&plain_events(10));
    for prefix in [
        "with space/a+b/",
        ":=&%#?~*'\"()!$,;@[]^`{{}}|\\/",
        "100%/%2F/%zz/",
        "日本語/😀/e\u{301}/",
        "inner//slashes/",
        "/leading/",
    ] {
        let scene = Scene::new().await;
        let configuration = scene.configuration(prefix, json!({"max_file_size_mb": 1}));
        let outcome = scene
            .export("attempt-1", &configuration, std::slice::from_ref(&batch))
            .await;
        outcome.report();
        let folder = prefix.trim_start_matches('/');
        let folder = folder.replace("{{", "{").replace("}}", "}");
        let stem = "2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00";
        let mut expected = [
            format!("{folder}{stem}-0.jsonl"),
            format!("{folder}{stem}_manifest.json"),
        ];
        expected.sort();
        assert_eq!(scene.store.keys(BUCKET), expected);
    }
}
