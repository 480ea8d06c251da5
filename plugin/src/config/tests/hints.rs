//! Configurations that are refused with something to do about it. Repeats no message.

use serde_json::json;

use super::super::*;
use super::document;

/// Every hint: what is wrong and what the field takes is said without them.
#[test]
fn what_to_do_is_a_hint() {
    let cases = [
        (json!({"buckt_name": "x"}), "did you mean `bucket_name`?"),
        (json!({"file_format": "parquet"}), "did you mean `Parquet`?"),
        (json!({"prefix": "{yaer}"}), "did you mean `{year}`?"),
        (json!({"prefix": "%Y"}), "write `{year}`"),
        (
            json!({"metadata": {"a": "é"}}),
            "encode other text first, for example as base64",
        ),
        (
            json!({"region": "auto"}),
            "set `endpoint_url` as well where the store is Cloudflare R2",
        ),
        (
            json!({"endpoint_url": "https://h", "use_fips": true}),
            "remove it, and put the full host name in `endpoint_url`",
        ),
        (
            json!({"endpoint_url": "https://h/bucket"}),
            "put the bucket in `bucket_name`, and folders in `prefix`",
        ),
    ];
    for (more, hint) in cases {
        let Err(Failure::Config(problems)) = parse(&document(more.clone())) else {
            panic!("accepted: {more}");
        };
        assert_eq!(problems.len(), 1, "{more}");
        assert_eq!(problems[0].hint.as_deref(), Some(hint), "{more}");
        assert!(problems[0].allowed.is_some(), "{more}");
    }
}
