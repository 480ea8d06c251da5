//! A connection that lives as long as a run, with the runtime that moves its bytes. Whatever it waits for ends with the
//! run's token; when it is dropped in the middle of a statement, the server is asked to end that.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use batch_export_system::Token;
use tokio::runtime::{self, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, CopyOutStream, Error, SimpleQueryMessage, Statement};

use super::connect::Target;
use super::error::Failure;
use crate::error::SourceError;

/// The time in which a server is asked to stop, and a connection says goodbye: a run that ends does not wait longer.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// A connection.
pub(super) struct Session {
    /// Taken where the session ends: a client that is gone lets the connection end by itself.
    client: Option<Client>,
    driver: Mutex<Option<JoinHandle<Result<(), Error>>>>,
    target: Target,
    /// Whether the server may be at a statement.
    is_busy: bool,
    // The last one: what runs on it is dropped before.
    runtime: Background,
}

/// A runtime that may be dropped anywhere.
struct Background(Option<Runtime>);

impl Background {
    fn new() -> Result<Self, SourceError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(SourceError::Thread)
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> Result<T, SourceError> {
        let runtime = self.0.as_ref().ok_or(SourceError::Died)?;
        Ok(runtime.block_on(work))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Session {
    /// Connects.
    pub(super) fn open(target: Target, token: &Token) -> Result<Self, SourceError> {
        let runtime = Background::new()?;
        let connected = runtime.block_on(async {
            let (client, driver) = token
                .run(target.connect())
                .await?
                .map_err(|f| f.into_error(target.origin()))?;
            Ok::<_, SourceError>((client, tokio::spawn(driver)))
        })?;
        let (client, driver) = connected?;
        Ok(Self {
            client: Some(client),
            driver: Mutex::new(Some(driver)),
            target,
            is_busy: false,
            runtime,
        })
    }

    /// Returns what it is connected to, to begin a sentence with.
    pub(super) fn origin(&self) -> &str {
        self.target.origin()
    }

    /// Says whether the server is to be asked to end a statement when this is dropped.
    pub(super) fn set_busy(&mut self, is_busy: bool) {
        self.is_busy = is_busy;
    }

    /// Waits for some work of this session, or until the token ends it.
    pub(super) fn wait<T>(&self, token: &Token, work: impl Future<Output = T>) -> Result<T, SourceError> {
        Ok(self.runtime.block_on(token.run(work))??)
    }

    /// Runs statements whose rows do not matter.
    pub(super) fn execute(&self, statements: &str, token: &Token) -> Result<(), SourceError> {
        let client = self.client()?;
        let done = self.wait(token, client.batch_execute(statements))?;
        done.map_err(|error| self.failure(&error, Some(statements)))
    }

    /// Runs a statement, and returns the first value of its first row, as text.
    pub(super) fn query(&self, statement: &str, token: &Token) -> Result<Option<String>, SourceError> {
        let client = self.client()?;
        let messages = self.wait(token, client.simple_query(statement))?;
        let messages = messages.map_err(|error| self.failure(&error, Some(statement)))?;
        Ok(messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten().map(str::to_owned),
            _ => None,
        }))
    }

    /// Lets the server describe a statement.
    pub(super) fn prepare(&self, statement: &str, token: &Token) -> Result<Statement, SourceError> {
        let client = self.client()?;
        let prepared = self.wait(token, client.prepare(statement))?;
        prepared.map_err(|error| self.failure(&error, Some(statement)))
    }

    /// Begins a `COPY … TO STDOUT`.
    pub(super) fn copy_out(&self, statement: &str, token: &Token) -> Result<CopyOutStream, SourceError> {
        let client = self.client()?;
        let begun = self.wait(token, client.copy_out(statement))?;
        begun.map_err(|error| self.failure(&error, Some(statement)))
    }

    /// Returns what an error of the client means. Where it only says that the connection is gone, what ended that says
    /// more.
    pub(super) fn failure(&self, error: &Error, statement: Option<&str>) -> SourceError {
        let context = self.target.context(statement);
        let driver = self
            .driver
            .lock()
            .ok()
            .and_then(|mut driver| driver.take_if(|_| error.is_closed()));
        let ended = driver.and_then(|driver| {
            let waiting = async { timeout(GOODBYE_TIME, driver).await };
            self.runtime.block_on(waiting).ok()
        });
        let failure = match ended {
            Some(Ok(Ok(Err(reason)))) => Failure::of(&reason, &context),
            _ => Failure::of(error, &context),
        };
        failure.into_error(self.origin())
    }

    fn client(&self) -> Result<&Client, SourceError> {
        self.client.as_ref().ok_or(SourceError::Died)
    }

    /// Asks the server to stop what it is at, then lets the connection end.
    fn say_goodbye(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        let token = self.is_busy.then(|| client.cancel_token());
        drop(client);
        let driver = self.driver.lock().ok().and_then(|mut driver| driver.take());
        let (runtime, target) = (&self.runtime, &self.target);
        let goodbye = async move || {
            match (token, driver) {
                // Whether it does is the server's: without an answer it finds the connection closed soon.
                (Some(token), _) => drop(target.cancel(&token).await),
                (None, Some(driver)) => drop(driver.await),
                (None, None) => {}
            }
        };
        // On a thread of its own: whoever drops a source may be where nothing may block.
        thread::scope(|scope| {
            scope.spawn(move || runtime.block_on(async { timeout(GOODBYE_TIME, goodbye()).await }));
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.say_goodbye();
    }
}
