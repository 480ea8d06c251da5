//! The subject of a command: where it exports to, which run and which interval. Named in every report and every
//! failure, as far as it is known.

use serde::{Serialize, Serializer};

use batch_export_runner::Destination;
use batch_export_runner::exporter;
use batch_export_source::{Ends, Interval};

/// Filled step by step: the configuration determines the destination, the command line the interval.
#[derive(Debug, Clone, Default, Serialize)]
pub struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The address of a store that is not AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "ends")]
    pub interval: Option<Interval>,
}

fn ends<S: Serializer>(interval: &Option<Interval>, serializer: S) -> Result<S::Ok, S::Error> {
    interval.map(Ends::from).serialize(serializer)
}

/// Whether a URL is without a user, whose password it may hold.
fn names_nobody(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| url.username().is_empty() && url.password().is_none())
}

impl About {
    pub fn new(interval: Option<Interval>) -> Self {
        About {
            interval,
            ..About::default()
        }
    }

    /// Takes down what the configuration says of a destination.
    pub fn learn(&mut self, destination: &Destination) {
        let field = |name| destination.configuration.text(name).map(str::to_owned);
        self.bucket = field("bucket_name");
        self.endpoint_url = field("endpoint_url").filter(|url| names_nobody(url));
        self.destination = Some(destination.name.clone());
        self.model = Some(destination.model.clone());
        self.run_id = self
            .interval
            .map(|interval| exporter::run_id(&destination.name, &destination.model, interval));
    }

    /// Returns the address below which keys are shown.
    pub fn place(&self) -> String {
        match &self.bucket {
            Some(bucket) => format!("s3://{bucket}/"),
            None => String::new(),
        }
    }

    /// Returns the bucket and its store in words.
    pub fn bucket_in_words(&self) -> String {
        let bucket = self.bucket.as_deref().unwrap_or("unknown");
        match &self.endpoint_url {
            Some(endpoint) => format!("{bucket} at {endpoint}"),
            None => format!("{bucket} at AWS"),
        }
    }
}
