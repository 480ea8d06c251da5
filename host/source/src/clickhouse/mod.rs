//! Rows of a ClickHouse, over its HTTP interface as Arrow. The end of the rows is proven three times over: by HTTP and
//! Arrow, by the absence of an exception, and by a count. Writes nothing.

mod client;
mod describe;
mod exception;
mod names;
mod session;
mod statement;
mod stream;
mod transport;
mod types;
mod values;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use batch_export_system::explain::{Cause, count, counted};
use batch_export_system::{Budget, Secret, Token};
use reqwest::Url;

use self::client::{Server, Statement};
use self::describe::Column;
use self::session::Session;
use self::statement::Statements;
use self::stream::{FromServer, Shared};
use crate::arrow_ipc::Batches;
use crate::error::{SourceError, SourceErrorKind};
use crate::factory::{Source, SourceFactory};
use crate::interval::Interval;
use crate::select::{Selection, TimeOf};
use crate::sql::{QuerySettings, Rows};
use crate::supplier::{Supplied, Supplier};

/// A table or a query of a ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClickHouseSettings {
    /// The rows.
    pub query: QuerySettings,
    url: Url,
    /// The user; `None` is the server's `default`.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The database of tables that are named without one; `None` is the user's own.
    pub database: Option<String>,
    /// PEM file with certificates to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// How long the server may be silent in the middle of a query.
    pub query_timeout: Duration,
    settings: BTreeMap<String, String>,
}

/// How long a server may be silent unless configured: sorting a large interval may take minutes.
const QUERY_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes of rows that a block aims at: a few messages, and a small part of what the host may take.
const BLOCK_BYTES: u64 = 16 << 20;
/// Rows of a block: the server's own number.
const MAX_BLOCK_ROWS: u64 = 65_409;
/// Rows of a query's block: what its rows take is known only by running it.
const QUERY_BLOCK_ROWS: u64 = 8_192;
/// Parts of a table's name: database and table.
const NAME_PARTS: usize = 2;

impl ClickHouseSettings {
    /// Returns settings for the HTTP interface at a URL, such as `https://db.example.com:8443`.
    pub fn new(url: &str, query: QuerySettings) -> Result<Self, Cause> {
        Ok(Self {
            url: Self::check_url(url)?,
            query,
            user: None,
            password: None,
            database: None,
            ca_file: None,
            query_timeout: QUERY_TIMEOUT,
            settings: BTreeMap::new(),
        })
    }

    /// Reads a URL. What is wrong repeats nothing of it: it may hold a password.
    pub fn check_url(url: &str) -> Result<Url, Cause> {
        const EXAMPLE: &str = "write it like https://db.example.com:8443";
        let url = Url::parse(url).map_err(|error| Cause::new(format!("not a URL ({error})")).with_hint(EXAMPLE))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Cause::new("not the URL of an HTTP interface").with_hint(EXAMPLE));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                Cause::new("a URL must not hold user and password, which would be seen in logs")
                    .with_hint("write them in `user` and `password`"),
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Cause::new("it has parameters")
                .with_hint("write settings in `settings`, and the database in `database`"));
        }
        Ok(url)
    }

    /// Checks the name of a table: one of a database, or alone.
    pub fn check_rows(rows: &Rows) -> Result<(), Cause> {
        match rows {
            Rows::Table(parts) if parts.len() > NAME_PARTS => {
                Err(Cause::new("it has too many parts").with_hint("write it as database.table"))
            }
            _ => Ok(()),
        }
    }

    /// Checks the name of a setting: not one that the source decides itself.
    pub fn check_setting(name: &str) -> Result<(), Cause> {
        session::fault(name).map_or(Ok(()), Err)
    }

    /// Adds a setting of the server for each of its queries, such as `select_sequential_consistency`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Cause> {
        Self::check_setting(name)?;
        self.settings.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Returns what it is, to begin a sentence with.
    fn origin(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("ClickHouse at {host}:{port}")
    }
}

/// Opens the rows of a ClickHouse.
#[derive(Debug, Clone)]
pub struct ClickHouseFactory {
    settings: ClickHouseSettings,
}

impl ClickHouseFactory {
    /// Returns a factory for these rows.
    pub fn new(settings: ClickHouseSettings) -> Self {
        Self { settings }
    }
}

impl SourceFactory for ClickHouseFactory {
    fn time_column(&self) -> Option<&str> {
        self.settings.query.time_column_of(TimeOf::Arrival)
    }

    /// A table may have more rows than anybody waits for.
    fn surveyed(&self, asked: Option<Interval>) -> Option<Interval> {
        asked
    }

    fn caution(&self) -> Option<Cause> {
        self.settings.query.caution()
    }

    fn open(&self, selection: Selection, token: &Token, _: &Arc<Budget>) -> Result<Box<dyn Source>, SourceError> {
        let query = &self.settings.query;
        let rows = ClickHouseRows::open(&self.settings, &selection, token)?;
        let supplied = Supplied::new(Box::new(rows), &query.model, &query.times, selection, token)?;
        Ok(Box::new(supplied))
    }
}

/// The rows of one interval.
struct ClickHouseRows {
    server: Arc<Server>,
    session: Session,
    is_table: bool,
    columns: Vec<Column>,
    statements: Statements,
    schema: SchemaRef,
    caution: Option<Cause>,
    state: State,
    received: u64,
    repaired: u64,
}

enum State {
    /// The columns are known, and no row was asked for.
    Described,
    Reading(Box<Reading>),
    Ended,
}

struct Reading {
    sql: String,
    batches: Batches,
    body: Shared,
    /// Rows that the server counted before.
    counted: u64,
}

impl ClickHouseRows {
    /// Asks for the server's settings and the columns.
    fn open(settings: &ClickHouseSettings, selection: &Selection, token: &Token) -> Result<Self, SourceError> {
        let server = Arc::new(Server::new(settings, token)?);
        let session = Session::open(&server, &settings.settings)?;
        let broken = |cause: Cause| server.error(cause, SourceErrorKind::Permanent);
        let sql = Statements::describe(&settings.query, &selection.interval).map_err(broken)?;
        let answer = server.short(Statement {
            sql: &sql,
            settings: &session.settings,
        })?;
        let columns = describe::columns(&answer).map_err(broken)?;
        let statements = Statements::new(&settings.query, &columns, selection).map_err(broken)?;
        let fields: Vec<_> = columns.iter().map(|column| column.shape.field(&column.name)).collect();
        Ok(Self {
            session,
            is_table: matches!(settings.query.rows, Rows::Table(_)),
            schema: Arc::new(Schema::new(fields)),
            columns,
            statements,
            caution: settings.query.caution(),
            state: State::Described,
            received: 0,
            repaired: 0,
            server,
        })
    }

    /// Counts the rows, and asks for them.
    fn begin(&mut self) -> Result<Reading, SourceError> {
        self.choose_blocks()?;
        let counted = self.count()?;
        let sql = self.statements.rows();
        let response = self.server.begin(Statement {
            sql: &sql,
            settings: &self.session.settings,
        })?;
        let body = Shared::new(Arc::clone(&self.server), response);
        let describe = Box::new(FromServer(Arc::clone(&self.server)));
        let batches =
            Batches::of_stream(describe, Box::new(body.clone())).map_err(|error| body.explained(error, &sql))?;
        self.check_schema(&batches.schema())?;
        Ok(Reading {
            sql,
            batches,
            body,
            counted,
        })
    }

    /// Chooses how many rows a block has by what they take.
    fn choose_blocks(&mut self) -> Result<(), SourceError> {
        if !self.session.may_choose_blocks {
            return Ok(());
        }
        let rows = match self.is_table {
            true => match self.numbers(&self.statements.row_bytes())?[..] {
                [rows, bytes] if bytes > 0 => BLOCK_BYTES.saturating_mul(rows) / bytes,
                _ => MAX_BLOCK_ROWS,
            },
            false => QUERY_BLOCK_ROWS,
        };
        let rows = rows.clamp(1, MAX_BLOCK_ROWS);
        self.session
            .settings
            .push((session::BLOCK_ROWS.to_owned(), rows.to_string()));
        self.session.may_choose_blocks = false;
        Ok(())
    }

    fn count(&self) -> Result<u64, SourceError> {
        match self.numbers(&self.statements.count())?[..] {
            [count] => Ok(count),
            _ => Err(self.unreadable()),
        }
    }

    /// Asks for one row of numbers.
    fn numbers(&self, sql: &str) -> Result<Vec<u64>, SourceError> {
        let answer = self.server.counted(Statement {
            sql,
            settings: &self.session.settings,
        })?;
        let text = String::from_utf8_lossy(&answer);
        let numbers: Result<Vec<u64>, _> = text.trim_end_matches('\n').split('\t').map(str::parse).collect();
        numbers.map_err(|_| self.unreadable())
    }

    fn unreadable(&self) -> SourceError {
        let cause = Cause::new("its number of rows cannot be read");
        self.server.error(cause, SourceErrorKind::Permanent)
    }

    /// Checks that what arrives is what was described and asked for.
    fn check_schema(&self, found: &Schema) -> Result<(), SourceError> {
        let aliases = statement::aliases(&self.columns);
        let mut wrong: Vec<String> = Vec::new();
        for ((column, alias), field) in self.columns.iter().zip(&aliases).zip(found.fields()) {
            if field.name() != alias || !column.shape.takes(field.data_type()) {
                wrong.push(format!(
                    "column `{}` ({}) arrives as {}",
                    column.name,
                    column.written,
                    field.data_type()
                ));
            }
        }
        if found.fields().len() != self.columns.len() {
            wrong.push(format!(
                "{} arrive, {} were asked for",
                counted(found.fields().len() as u64, "column"),
                count(self.columns.len() as u64)
            ));
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => {
                let cause = Cause::new(format!(
                    "its rows are not those that it described: {}",
                    wrong.join("; ")
                ));
                let hint = format!("report this with the server's version, {}", self.session.version);
                Err(self.server.error(cause.with_hint(hint), SourceErrorKind::Permanent))
            }
        }
    }

    fn converted(&mut self, batch: &RecordBatch) -> Result<RecordBatch, SourceError> {
        self.received += batch.num_rows() as u64;
        let mut columns = Vec::with_capacity(self.columns.len());
        for (column, found) in self.columns.iter().zip(batch.columns()) {
            let converted = values::converted(&column.shape, found, &mut self.repaired);
            columns.push(converted.map_err(|error| {
                let cause = Cause::new(format!("column `{}` cannot be decoded: {error}", column.name));
                self.server.error(cause, SourceErrorKind::Permanent)
            })?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|error| {
            let cause = Cause::new(format!("its rows cannot be decoded: {error}"));
            self.server.error(cause, SourceErrorKind::Permanent)
        })
    }

    /// Compares the rows received with those that the server counts: before, and if they differ, once more.
    fn check_count(&self, before: u64) -> Result<(), SourceError> {
        if before == self.received {
            return Ok(());
        }
        let after = self.count()?;
        if after == self.received {
            return Ok(());
        }
        let received = counted(self.received, "row");
        let cause = match before == after {
            true => Cause::new(format!("{received} arrived, but it counts {}", count(after))).with_hint(
                "run it again; if this repeats, the query gives other rows each time (LIMIT without an order, rand(), \
                 now()), or rows are lost on the way",
            ),
            false => Cause::new(format!(
                "the interval was still written to: {received} arrived, it counted {} before and {} after",
                count(before),
                count(after)
            ))
            .with_hint(
                "run it again, and let runs begin later after the end of their interval (`settle` in its schedule)",
            ),
        };
        Err(self.server.error(cause, SourceErrorKind::Transient))
    }
}

impl Supplier for ClickHouseRows {
    fn origin(&self) -> &str {
        self.server.origin()
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        // Taken out: whatever fails below, nothing more is read.
        let mut reading = match std::mem::replace(&mut self.state, State::Ended) {
            State::Described => Box::new(self.begin()?),
            State::Reading(reading) => reading,
            State::Ended => return Ok(None),
        };
        match reading.batches.next() {
            Some(Ok(batch)) => {
                let batch = self.converted(&batch)?;
                self.state = State::Reading(reading);
                Ok(Some(batch))
            }
            Some(Err(error)) => Err(reading.body.explained(error, &reading.sql)),
            None => {
                self.server.ended();
                self.check_count(reading.counted)?;
                Ok(None)
            }
        }
    }

    fn warnings(&self) -> Vec<Cause> {
        let repaired = (self.repaired > 0).then(|| {
            let texts = counted(self.repaired, "text");
            Cause::new(format!(
                "{texts} of ClickHouse had bytes that are not UTF-8, which are U+FFFD in the files"
            ))
            .with_hint("export such columns as hexadecimal digits with a query, as in hex(column)")
        });
        self.caution.iter().cloned().chain(repaired).collect()
    }
}

#[cfg(test)]
mod tests;
