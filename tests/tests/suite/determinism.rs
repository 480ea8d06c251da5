//! The same rows in the same order give the same bytes and keys, wherever batches begin and end.

use std::collections::BTreeMap;

use batch_export::sandbox::Limits;
use batch_export_tests::rows::{events_batch, plain_events, rebatched};
use batch_export_tests::scene::{BUCKET, Messages, Scene};
use serde_json::json;

/// How the rows are cut: at once, small, odd, with empty batches between.
const CUTS: [&[usize]; 4] = [&[usize::MAX], &[977], &[1, 4_096, 13], &[0, 3_000, 0, 2]];

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_keys_do_not_depend_on_batch_boundaries() {
    let batch = events_batch(&plain_events(12_000));
    for (format, codec) in [
        ("JSONLines", "gzip"),
        ("JSONLines", "brotli"),
        ("JSONLines", "zstd"),
        ("Parquet", "zstd"),
    ] {
        let mut first: Option<BTreeMap<String, Vec<u8>>> = None;
        for cut in CUTS {
            let scene = Scene::new().await;
            let further = json!({"file_format": format, "compression": codec, "max_file_size_mb": 1, "manifest": "detailed"});
            let configuration = scene.configuration("same/", further);
            let messages = Messages::of(&rebatched(&batch, cut));
            let outcome = scene
                .run(
                    &scene.destination(),
                    &configuration,
                    &messages,
                    Limits::default(),
                )
                .await;
            outcome.report();
            let objects: BTreeMap<String, Vec<u8>> = scene
                .store
                .keys(BUCKET)
                .into_iter()
                .map(|key| {
                    let bytes = scene
                        .store
                        .object(BUCKET, &key)
                        .expect("an object")
                        .bytes
                        .to_vec();
                    (key, bytes)
                })
                .collect();
            match &first {
                None => first = Some(objects),
                Some(first) => {
                    let keys: Vec<_> = first.keys().collect();
                    assert_eq!(
                        keys,
                        objects.keys().collect::<Vec<_>>(),
                        "{format} {codec} {cut:?}"
                    );
                    for (key, bytes) in &objects {
                        assert!(
                            first[key] == *bytes,
                            "{format} {codec} {cut:?}: {key} differs"
                        );
                    }
                }
            }
        }
    }
}
