//! Input: a configuration document. Whatever it is, parsing ends with settings inside their limits or with problems
//! that a person can read, and a secret in it is never repeated.

use s3_destination::config::{self, limits};
use s3_destination::failure::Failure;
use s3_destination::key::KeyNames;
use s3_destination::settings::{Interval, MIB, Run, Settings};

/// What no message may repeat. No input has it by chance.
const CANARY: &str = "canary-7f3a9c";
const SECRETS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
/// Longer than any message about one field has a reason to be, the list of all fields included.
const MAX_MESSAGE_BYTES: usize = 4096;

pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    judged(text, &config::parse(text));
    for model in ["events", "persons", "no model"] {
        judged(text, &config::parse_for_model(text, model));
    }
    for name in SECRETS {
        // Only the outermost object begins with the first brace of a document that is one.
        for value in [
            format!("\"{CANARY}\""),
            format!("[\"{CANARY}\"]"),
            format!("{{\"{CANARY}\":1}}"),
        ] {
            let planted = text.replacen('{', &format!("{{\"{name}\":{value},"), 1);
            let said = format!("{:?}", config::parse_for_model(&planted, "events"));
            assert!(!said.contains(CANARY), "a secret is repeated: {said}");
        }
    }
}

fn judged(text: &str, result: &Result<Settings, Failure>) {
    match result {
        Ok(settings) => inside_limits(settings),
        Err(Failure::Config(problems)) => {
            assert!(!problems.is_empty(), "refused without a reason: {text}");
            for problem in problems {
                let allowed = problem.allowed.as_deref().unwrap_or_default();
                for said in [problem.field.as_str(), &problem.message, allowed] {
                    assert!(said.len() <= MAX_MESSAGE_BYTES, "{} bytes", said.len());
                    assert!(!said.contains(char::is_control), "{said:?}");
                }
                assert!(!problem.message.is_empty());
            }
        }
        Err(other) => panic!("a configuration failed as {other:?}"),
    }
}

fn inside_limits(settings: &Settings) {
    assert!(limits::BUCKET_NAME_BYTES.contains(&settings.bucket.len()));
    assert!((1..=limits::MAX_REGION_BYTES).contains(&settings.region.len()));
    assert!((MIB..=limits::MAX_ROW_MB as usize * MIB).contains(&settings.max_row_bytes));
    let part_sizes = limits::MIN_PART_SIZE_BYTES..=limits::MAX_PART_SIZE_BYTES;
    assert!(part_sizes.contains(&settings.part_size_bytes));
    if let Some(bytes) = settings.max_file_size_bytes {
        assert!(settings.part_size_bytes as u64 * limits::MAX_PARTS > bytes.get());
    }
    // Only the interval can be wrong now, or the length of a key.
    let run = Run {
        id: "run".into(),
        attempt: "attempt".into(),
        model: "events".into(),
        interval: Interval {
            start_micros: None,
            end_micros: 0,
        },
        plugin_digest: String::new(),
        time_limit_seconds: None,
    };
    if let Err(failure) = KeyNames::new(settings, &run) {
        assert!(matches!(failure, Failure::Config(_)), "{failure:?}");
    }
}
