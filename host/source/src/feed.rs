//! A source on its own thread, with its messages in a bounded channel. Never changes a message.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use batch_export_system::{Budget, Token};
use tokio::sync::mpsc;

use crate::error::SourceError;
use crate::factory::SourceFactory;
use crate::message::{MESSAGE_BYTES, Message, Summary, read_schema};
use crate::select::Selection;

/// Messages waiting between source and sandbox: one being taken, one ready. More only costs memory.
const MESSAGES_WAITING: usize = 1;
/// Bytes of messages between a source and a plugin: one being made, one that waits, one in the plugin's hands. A row
/// that is larger than a message takes more.
pub const FEED_BYTES: usize = (2 + MESSAGES_WAITING) * MESSAGE_BYTES;
/// The longest time that closing a feed waits for its thread, which ends within one second.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// The items that come out of a source, in this order.
enum Item {
    Schema(Vec<u8>),
    Batch(Message),
    End(Summary),
}

type Received = Result<Item, SourceError>;

/// An open source that reads ahead. Dropping it ends the reading at its next batch, and a child process within a tenth
/// of a second; [`close`](Feed::close) waits for that.
#[derive(Debug)]
pub struct Feed {
    schema: Vec<u8>,
    columns: usize,
    items: mpsc::Receiver<Received>,
    /// The reading's own.
    token: Token,
    summary: Option<Summary>,
}

impl Feed {
    /// Opens the source and waits for its columns. Messages that wait count against `budget`; when `token` says that
    /// the work must end, so does the reading, and what is asked of the feed is [`SourceError::Interrupted`].
    pub async fn start(
        factory: Arc<dyn SourceFactory>,
        selection: Selection,
        token: &Token,
        budget: &Arc<Budget>,
    ) -> Result<Self, SourceError> {
        let (sender, items) = mpsc::channel(MESSAGES_WAITING);
        let (token, budget) = (token.child(), Arc::clone(budget));
        let mut feed = Self {
            schema: Vec::new(),
            columns: 0,
            items,
            token: token.clone(),
            summary: None,
        };
        let work = move || {
            // A receiver that is gone is a run that ended before its source.
            if let Err(error) = read(factory.as_ref(), selection, &token, &budget, &sender) {
                sender.blocking_send(Err(error)).ok();
            }
        };
        thread::Builder::new()
            .name("source".into())
            .spawn(work)
            .map_err(SourceError::Thread)?;
        match feed.begin().await {
            Ok(()) => Ok(feed),
            Err(error) => {
                // What the source started ends with it, and not with this process.
                feed.close().await;
                Err(error)
            }
        }
    }

    async fn begin(&mut self) -> Result<(), SourceError> {
        match self.receive().await? {
            Item::Schema(schema) => {
                let columns = read_schema(&schema).map_err(SourceError::Encode)?;
                self.columns = columns.flattened_fields().len();
                self.schema = schema;
                Ok(())
            }
            // The schema always comes first.
            _ => Err(SourceError::Died),
        }
    }

    /// Returns the schema message of the stream.
    pub fn schema(&self) -> &[u8] {
        &self.schema
    }

    /// Returns how many columns there are, those inside structs and lists counted.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Returns the next message; `None` when every row was returned. A message counts against the budget until it is
    /// dropped.
    pub async fn next(&mut self) -> Result<Option<Message>, SourceError> {
        if self.summary.is_some() {
            return Ok(None);
        }
        match self.receive().await? {
            Item::Batch(message) => Ok(Some(message)),
            Item::End(summary) => {
                summary.tally.check_files()?;
                self.summary = Some(summary);
                Ok(None)
            }
            Item::Schema(_) => Err(SourceError::Died),
        }
    }

    /// Returns what was read, and what was not; known at the end.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// Ends the reading and waits until its thread holds nothing any more. A disk that does not respond is not waited
    /// for: its thread ends when it does.
    pub async fn close(mut self) {
        self.token.cancel();
        // Not closed: a message that could not be sent would still be held when that is known.
        let ended = async { while self.items.recv().await.is_some() {} };
        tokio::time::timeout(CLOSING_TIME, ended).await.ok();
    }

    async fn receive(&mut self) -> Received {
        let received = self.token.run(self.items.recv()).await?;
        // A thread that panicked sends nothing.
        received.unwrap_or(Err(SourceError::Died))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// Reads a source to its end, or until the receiver is gone.
fn read(
    factory: &dyn SourceFactory,
    selection: Selection,
    token: &Token,
    budget: &Arc<Budget>,
    sender: &mpsc::Sender<Received>,
) -> Result<(), SourceError> {
    let send = |item| sender.blocking_send(Ok(item)).is_ok();
    let mut source = factory.open_messages(selection, token, budget)?;
    let mut is_heard = send(Item::Schema(source.schema().to_vec()));
    while is_heard {
        match source.next_message()? {
            Some(message) => is_heard = send(Item::Batch(message)),
            None => {
                send(Item::End(source.summary()));
                break;
            }
        }
    }
    Ok(())
}
