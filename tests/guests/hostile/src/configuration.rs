//! What the tests tell the guest: which attack, and where the store is that it may use. Read leniently: only tests
//! write it.

use serde_json::Value;

/// The configuration object's fields; what is absent is empty.
#[derive(Clone, Default)]
pub struct Configuration {
    /// Which attack; `none` is honest.
    pub attack: String,
    /// The store's origin, such as `http://127.0.0.1:9000`.
    pub endpoint_url: String,
    pub bucket_name: String,
    /// The key prefix that the plan asks for, with its slash at the end.
    pub prefix: String,
    pub region: String,
    /// Rows that an honest report names: this guest does not decode what it gets.
    pub rows: u64,
    /// An origin that is not in the plan, for attacks that need a server of their own.
    pub other_origin: String,
}

impl Configuration {
    pub fn parse(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Configuration {
            attack: field("attack"),
            endpoint_url: field("endpoint_url"),
            bucket_name: field("bucket_name"),
            prefix: field("prefix"),
            region: field("region"),
            rows: value["rows"].as_u64().unwrap_or_default(),
            other_origin: field("other_origin"),
        }
    }

    /// The key of the one object that an honest run writes.
    pub fn key(&self) -> String {
        format!("{}hostile.bin", self.prefix)
    }

    /// The URL of that object.
    pub fn url(&self) -> String {
        format!("{}/{}/{}", self.endpoint_url, self.bucket_name, self.key())
    }
}
