//! Input: a line with the interval's start (or nothing), its end, and flags; a line with the model's name; the prefix.
//! Whatever they are, every key that comes out is one that every store takes.

use std::num::NonZeroU64;

use s3_destination::config;
use s3_destination::failure::Failure;
use s3_destination::key::KeyNames;
use s3_destination::settings::{Format, Interval, KeyStyle, ManifestStyle, ParquetCodec, Run, Settings};
use s3_destination::template::{MAX_KEY_BYTES, Template};

/// Files whose numbers have every length.
const NUMBERS: [u32; 6] = [0, 1, 9, 10, 99_999, u32::MAX];

pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let first = lines.next().unwrap_or_default();
    let model = lines.next().unwrap_or_default();
    let prefix = lines.next().unwrap_or_default();

    let template = match Template::parse(prefix) {
        Ok(template) => template,
        Err(problem) => {
            assert_eq!(problem.field, "prefix");
            let message = problem.message;
            assert!(
                !message.is_empty() && !message.contains(char::is_control),
                "{message:?}"
            );
            return;
        }
    };
    let mut words = first.split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<i64>().ok());
    let interval = Interval {
        start_micros: number(),
        end_micros: number().unwrap_or_default(),
    };
    let settings = settings(template, number().unwrap_or_default());
    let run = Run {
        id: "run".into(),
        attempt: "attempt".into(),
        model: model.into(),
        interval,
        plugin_digest: String::new(),
        time_limit_seconds: None,
    };
    match KeyNames::new(&settings, &run) {
        Ok(names) => fit_for_every_store(&names),
        Err(failure) => assert!(matches!(failure, Failure::Config(_)), "{failure:?}"),
    }
}

fn settings(prefix: Template, flags: i64) -> Settings {
    let plain = r#"{"bucket_name": "my-exports", "region": "eu-central-1", "prefix": ""}"#;
    let mut settings = config::parse(plain).expect("a valid configuration");
    settings.prefix = prefix;
    if flags & 1 != 0 {
        settings.key_style = KeyStyle::Compact;
    }
    if flags & 2 != 0 {
        settings.max_file_size_bytes = NonZeroU64::new(1);
    }
    if flags & 4 != 0 {
        settings.manifest = ManifestStyle::Detailed;
    }
    if flags & 8 != 0 {
        settings.format = Format::Parquet(ParquetCodec::Snappy);
    }
    settings
}

fn fit_for_every_store(names: &KeyNames) {
    let mut keys: Vec<String> = NUMBERS.iter().filter_map(|number| names.data(*number).ok()).collect();
    assert!(!keys.is_empty(), "the first file's key was checked");
    keys.extend(names.manifest());
    keys.push(names.probe());
    for key in &keys {
        assert!(key.len() <= MAX_KEY_BYTES, "{} bytes", key.len());
        assert!(key.starts_with(names.stem()), "{key:?}");
        assert!(!key.starts_with('/') && !key.ends_with('/'), "{key:?}");
        assert!(!key.contains(char::is_control), "{key:?}");
        assert!(!key.split('/').any(|segment| matches!(segment, "." | "..")), "{key:?}");
    }
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), all, "two objects of one name: {keys:?}");
}
