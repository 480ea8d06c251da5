//! What a command is about: where it exports to, which run and which interval. Said in every report and in every
//! failure, as far as it is known by then.

use serde::{Serialize, Serializer};

use batch_export_runner::config::Destination;
use batch_export_runner::target;
use batch_export_source::{Ends, Interval};

/// Known step by step: the configuration tells the destination, the command line the interval.
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
        let field = |name| destination.fields.text(name).map(str::to_owned);
        self.bucket = field("bucket_name");
        self.endpoint_url = field("endpoint_url").filter(|url| names_nobody(url));
        self.destination = Some(destination.name.clone());
        self.model = Some(destination.model.clone());
        self.run_id = self
            .interval
            .map(|interval| target::run_id(&destination.name, &destination.model, interval));
    }

    /// What keys are shown below.
    pub fn place(&self) -> String {
        match &self.bucket {
            Some(bucket) => format!("s3://{bucket}/"),
            None => String::new(),
        }
    }

    /// The bucket and its store for a person.
    pub fn bucket_in_words(&self) -> String {
        let bucket = self.bucket.as_deref().unwrap_or("unknown");
        match &self.endpoint_url {
            Some(endpoint) => format!("{bucket} at {endpoint}"),
            None => format!("{bucket} at AWS"),
        }
    }
}
