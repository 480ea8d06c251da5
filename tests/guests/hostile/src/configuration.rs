//! What the tests tell the guest: which attack, and where the store is that it may use. Read leniently: only tests
//! write it.

use serde_json::Value;

use crate::bindings::batch_export::destination::types::Run;
use crate::store::calendar;

/// The configuration object's fields; what is absent is empty.
#[derive(Clone, Default)]
pub struct Configuration {
    /// Which attack; `none` is honest.
    pub attack: String,
    /// The store's origin, such as `http://127.0.0.1:9000`.
    pub endpoint_url: String,
    pub bucket_name: String,
    /// The key prefix that the plan asks for, with its slash at the end and without variables.
    pub prefix: String,
    /// What names of the run's files begin with, in the compact style: `<start>-<end>`.
    pub stem: String,
    pub region: String,
    /// Rows that an honest report names: this guest does not decode what it gets.
    pub rows: u64,
    /// An origin that is not in the plan, for attacks that need a server of their own.
    pub other_origin: String,
}

impl Configuration {
    pub fn parse(text: &str, run: &Run) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Configuration {
            attack: field("attack"),
            endpoint_url: field("endpoint_url"),
            bucket_name: field("bucket_name"),
            prefix: field("prefix"),
            stem: stem(run),
            region: field("region"),
            rows: value["rows"].as_u64().unwrap_or_default(),
            other_origin: field("other_origin"),
        }
    }

    /// The key of the one object that an honest run writes.
    pub fn key(&self) -> String {
        format!("{}{}.bin", self.prefix, self.stem)
    }

    /// A key that a run of the next hour would write.
    pub fn sibling_key(&self) -> String {
        let last = self.stem.rsplit('-').next().unwrap_or_default();
        format!("{}{last}-{last}.bin", self.prefix)
    }

    /// Its URL.
    pub fn sibling_url(&self) -> String {
        let key = self.sibling_key();
        format!("{}/{}/{key}", self.endpoint_url, self.bucket_name)
    }

    /// The URL of the object of an honest run.
    pub fn url(&self) -> String {
        format!("{}/{}/{}", self.endpoint_url, self.bucket_name, self.key())
    }
}

fn stem(run: &Run) -> String {
    let written = |micros: i64| calendar(micros.div_euclid(1_000_000)).1;
    let start = run.interval.start.map_or_else(|| "START".to_owned(), written);
    format!("{start}-{}", written(run.interval.end))
}
