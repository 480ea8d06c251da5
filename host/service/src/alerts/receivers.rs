//! Who is told: the webhooks and the command of the configuration. Knows of addresses and secrets no more than how they
//! are shown: a webhook's URL often is a secret itself.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;

use super::command::Command;
use super::texts;
use super::webhook::WebhookClient;
use batch_export_runner::Failure;
use batch_export_runner::config::AlertSettings;
use batch_export_sandbox::{Network, NetworkOptions};
use batch_export_source::Moment;
use batch_export_system::explain::Cause;

/// A webhook or a command.
#[derive(Debug)]
pub(super) enum Receiver {
    Webhook(Box<WebhookClient>),
    Command(Command),
}

impl Receiver {
    /// Returns by what the ledger knows it: the same as long as its address is the same.
    pub(super) fn id(&self) -> &str {
        match self {
            Receiver::Webhook(webhook) => webhook.id(),
            Receiver::Command(_) => "command",
        }
    }

    /// Returns how it is called in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Receiver::Webhook(webhook) => format!("webhook {}", webhook.place()),
            Receiver::Command(command) => format!("command {}", command.program()),
        }
    }

    pub(super) async fn deliver(&self, message: &Message, now: Moment) -> Result<(), Cause> {
        match self {
            Receiver::Webhook(webhook) => webhook.deliver(message, now).await,
            Receiver::Command(command) => command.deliver(message).await,
        }
    }
}

/// An alert as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message(Value);

impl Message {
    /// Adds the alert's number to its body, so that a receiver that gets it twice knows.
    pub(super) fn new(id: Option<i64>, body: &str) -> Result<Self, serde_json::Error> {
        Ok(Message::of(id, serde_json::from_str(body)?))
    }

    fn of(id: Option<i64>, mut body: Value) -> Self {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("id".to_owned(), id.into());
        }
        Message(body)
    }

    pub(super) fn json(&self) -> String {
        self.0.to_string()
    }

    /// Returns a field that is a text.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.0[field].as_str()
    }
}

/// All receivers of a configuration. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Receivers(Vec<Arc<Receiver>>);

/// What a test of a receiver came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tested {
    /// How the receiver is called.
    pub receiver: String,
    /// Why the test alert did not arrive, if it did not.
    pub error: Option<Cause>,
}

impl Receivers {
    /// Prepares what the configuration names; sends nothing.
    pub fn new(settings: &AlertSettings) -> Result<Self, Failure> {
        let network = Network::new(&NetworkOptions::default())?;
        let webhooks = settings.webhooks.iter();
        let webhooks = webhooks
            .map(|webhook| WebhookClient::new(webhook, &network).map(|client| Receiver::Webhook(Box::new(client))));
        let mut receivers = webhooks.collect::<Result<Vec<_>, _>>()?;
        receivers.extend(
            settings
                .command
                .as_ref()
                .map(|command| Receiver::Command(Command::new(command))),
        );
        Ok(Self::of(receivers))
    }

    /// Takes receivers over; of several with the same address the first counts.
    pub(super) fn of(receivers: Vec<Receiver>) -> Self {
        let mut known: Vec<Arc<Receiver>> = Vec::new();
        for receiver in receivers {
            if known.iter().all(|other| other.id() != receiver.id()) {
                known.push(Arc::new(receiver));
            }
        }
        Receivers(known)
    }

    /// Returns whether nobody is told of anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends every receiver a test alert now, all at once.
    pub async fn test(&self, now: Moment) -> Vec<Tested> {
        let message = Message::of(None, serde_json::json!(texts::of_test().into_body(now)));
        let mut tests = JoinSet::new();
        for (place, receiver) in self.0.iter().cloned().enumerate() {
            let message = message.clone();
            tests.spawn(async move { (place, receiver.deliver(&message, now).await) });
        }
        let mut tested: Vec<Tested> = self.0.iter().map(|receiver| unfinished(receiver)).collect();
        while let Some(done) = tests.join_next().await {
            if let Ok((place, outcome)) = done {
                tested[place].error = outcome.err();
            }
        }
        tested
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.0.iter().map(|receiver| receiver.id().to_owned()).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Receiver>> {
        self.0.iter()
    }
}

fn unfinished(receiver: &Receiver) -> Tested {
    Tested {
        receiver: receiver.name(),
        error: Some(Cause::new("the test did not end")),
    }
}
