//! Hostile guests that ask for more than a run needs, in their plan or in a request: nothing of it leaves, whatever
//! the operator's prefix is made of.

use batch_export_tests::scene::{BUCKET, Messages, Scene};
use serde_json::json;

use crate::sandbox::{attack, attempt, check, tight};

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_asks_for_too_much_is_refused_before_anything_runs() {
    check(
        tight(),
        &[
            ("greedy-origin", "plan", &["127.0.0.1:9", "allow"]),
            ("greedy-metadata", "plan", &["169.254.169.254"]),
            (
                "greedy-bucket",
                "plan",
                &["/another-bucket/", "configured bucket and prefix"],
            ),
            ("greedy-prefix", "plan", &["configured bucket and prefix"]),
            (
                "whole-bucket",
                "plan",
                &["paths that begin with", "this run's own keys"],
            ),
            (
                "whole-folder",
                "plan",
                &["DELETE", "paths that begin with", "this run's own keys"],
            ),
            ("greedy-region", "plan", &["other-region-1"]),
            ("greedy-service", "plan", &["iam"]),
            ("garbage-plan", "plan", &["plan asks for PutObject"]),
            ("long-plan", "plan", &["1000 grants"]),
            (
                "huge-plan",
                "plan",
                &["too much data to the host in one call", "the limit is 4194304 bytes"],
            ),
            ("request-in-plan", "plan", &["contained"]),
            ("note-in-plan", "plan", &["contained"]),
        ],
    )
    .await;
}

/// Variables do not widen what a run may touch: the host writes them out itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_of_variables_does_not_grant_the_whole_bucket() {
    let scene = Scene::new().await;
    for prefix in ["{table}/", "{table}", "{year}/{month}/", "", "/", "//"] {
        for name in ["whole-bucket", "greedy-prefix"] {
            let mut configuration = attack(&scene, name);
            configuration["prefix"] = json!(prefix);
            let outcome = scene
                .run(&scene.hostile(), &configuration, &Messages::opaque(), tight())
                .await;
            assert_eq!(outcome.step, "plan", "{prefix}");
            assert!(
                outcome.error().contains("this run's own keys"),
                "{prefix}: {}",
                outcome.error()
            );
        }
    }
    assert_eq!(scene.store.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_no_grant_covers_does_not_leave() {
    let scene = Scene::new().await;
    let names = [
        "other-host",
        "metadata-address",
        "user-info",
        "host-in-user-info",
        "other-bucket",
        "other-prefix",
        "parent-path",
        "encoded-parent-path",
        "backslash-path",
        "sibling-delete",
        "sibling-read",
        "sibling-write",
        "other-method",
        "delete",
        "file-url",
        "fragment",
        "acl-query",
        "policy-query",
        "encoded-query",
        "repeated-query",
        "url-line-break",
        "copy-header",
        "copy-header-in-capitals",
        "acl-header",
        "host-header",
        "length-header",
        "encoding-header",
        "header-line-break",
        "header-name-line-break",
        "duplicate-header",
        "oversized-header",
        "many-headers",
        "long-url",
        "other-region-key",
        "other-service-key",
    ];
    let mut wrong = Vec::new();
    for name in names {
        let outcome = attempt(&scene, name, tight()).await;
        let error = match &outcome.result {
            Err(error) => error.clone(),
            Ok(_) => "no error".to_owned(),
        };
        // The host named its rule; the guest passed it on.
        if !error.starts_with("contained: ") || !error.contains("orbidden") {
            wrong.push(format!("`{name}`: {error:.300}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    let sent = scene.store.requests();
    let foreign: Vec<_> = sent
        .iter()
        .filter(|request| !request.path.starts_with(&format!("/{BUCKET}/honest-beside-")))
        .map(|request| format!("{} {}", request.method, request.path))
        .collect();
    assert_eq!(foreign, Vec::<String>::new(), "reached the store");
}
