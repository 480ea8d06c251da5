//! The example for those who embed a plugin does what its documentation says.

use batch_export_tests::components;

#[path = "../../../host/sandbox/examples/embed.rs"]
#[allow(dead_code, reason = "its `main` is for `cargo run --example`")]
mod example;

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_host_lands_a_file() {
    let (key, bytes) = example::export(&components::destination())
        .await
        .expect("the example exports");
    assert_eq!(
        key,
        "scores/2023/2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00.jsonl"
    );
    assert_eq!(
        String::from_utf8(bytes).expect("text"),
        "{\"name\":\"Ada\",\"score\":3}\n{\"name\":null,\"score\":1}\n{\"name\":\"Grace\",\"score\":2}\n"
    );
}
