//! One run's rows from a PostgreSQL server: one connection, one transaction, one `COPY`. The end is proven by the
//! data's own trailer, the protocol's end of the copy, and a transaction that could be committed after it.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use batch_export_system::Token;
use batch_export_system::explain::{Cause, count};
use futures::StreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{CopyOutStream, Error};

use super::connect::Target;
use super::copy::{Decoder, Fault, MAX_ROW_BYTES};
use super::error::Failure;
use super::session::Session;
use super::settings::PostgresSettings;
use super::statement::{self, Column};
use super::table::Table;
use super::types;
use crate::error::{SourceError, SourceErrorKind};
use crate::select::Selection;
use crate::supplier::Supplier;

/// The rows of a selection.
pub(super) struct Reader {
    session: Session,
    settings: PostgresSettings,
    selection: Selection,
    columns: Vec<Column>,
    /// The columns that identify a row, to order by where the operator names none.
    key: Vec<String>,
    /// The statement that counts the rows without a time, where there can be any.
    counting: Option<String>,
    rows_without_time: u64,
    state: State,
    table: Table,
    decoder: Decoder,
    token: Token,
}

enum State {
    /// The columns are known; no row was asked for.
    Described,
    Copying {
        statement: String,
        rows: Pin<Box<CopyOutStream>>,
    },
    /// All rows are there, which is proven.
    Complete,
    /// Nothing more can come.
    Failed,
}

impl Reader {
    /// Connects, and asks for the columns.
    pub(super) fn open(settings: &PostgresSettings, selection: &Selection, token: &Token) -> Result<Self, SourceError> {
        let target = Target::new(&settings.server)
            .map_err(|(origin, cause)| SourceError::supplier(&origin, cause, SourceErrorKind::Permanent))?;
        let session = Session::open(target, token)?;
        let wrong = |cause: Cause| Failure::permanent(cause).into_error(session.origin());
        session.execute(&statement::begin(settings), token)?;
        let describing = statement::describe(settings, selection).map_err(wrong)?;
        let described = session.prepare(&describing, token)?;
        let found = described.columns().iter();
        let columns: Vec<Column> = found
            .map(|column| {
                let (kind, cast) = types::of(column.type_(), column.type_modifier());
                let is_text = matches!(*column.type_(), Type::TEXT | Type::VARCHAR);
                let name = column.name().to_owned();
                Column {
                    name,
                    kind,
                    cast,
                    is_text,
                }
            })
            .collect();
        // The time column, which is the default, is checked with the others.
        if settings.query.order_by.is_some() {
            statement::order(settings, selection, &columns, &[]).map_err(wrong)?;
        }
        let table = described.columns().iter().find_map(|column| column.table_oid());
        let key = match table.filter(|_| settings.query.is_table() && settings.query.order_by.is_none()) {
            Some(table) => {
                let names = session.query(&statement::primary_key(table), token)?;
                names.map_or_else(Vec::new, |names| serde_json::from_str(&names).unwrap_or_default())
            }
            None => Vec::new(),
        };
        let counting = match settings.query.time_column_of(selection.by) {
            Some(time) if settings.query.selects_by_time() => {
                let column = described.columns().iter().find(|column| column.name() == time);
                let place = column.and_then(|column| Some((column.table_oid()?, column.column_id()?)));
                let is_filled = match place.filter(|_| settings.query.is_table()) {
                    Some((table, number)) => {
                        let found = session.query(&statement::is_not_null(table, number), token)?;
                        found.is_some()
                    }
                    None => false,
                };
                // A column that is not there is said where all of them are checked.
                let is_time = columns
                    .iter()
                    .any(|column| column.name == time && column.kind.is_time());
                (column.is_some() && is_time)
                    .then(|| statement::count_without_time(settings, selection, time, is_filled).map_err(wrong))
                    .transpose()?
            }
            _ => None,
        };
        let schema = Schema::new(
            columns
                .iter()
                .map(|column| column.kind.field(&column.name))
                .collect::<Vec<_>>(),
        );
        let kinds = columns.iter().map(|column| column.kind.clone());
        Ok(Self {
            table: Table::new(Arc::new(schema), kinds, settings.infinity),
            decoder: Decoder::new(columns.len()),
            settings: settings.clone(),
            selection: selection.clone(),
            session,
            columns,
            key,
            counting,
            rows_without_time: 0,
            state: State::Described,
            token: token.clone(),
        })
    }

    /// Asks for the rows.
    fn start(&mut self) -> Result<(), SourceError> {
        let session = &mut self.session;
        let wrong = |cause: Cause| Failure::permanent(cause).into_error(session.origin());
        let statement = statement::copy(&self.settings, &self.selection, &self.columns, &self.key).map_err(wrong)?;
        session.set_busy(true);
        if let Some(counting) = self.counting.take() {
            let found = session.query(&counting, &self.token)?;
            let rows = found.and_then(|count| count.parse().ok());
            self.rows_without_time = rows.ok_or_else(|| wrong_count(session.origin()))?;
        }
        let rows = session.copy_out(&statement, &self.token)?;
        self.state = State::Copying {
            statement,
            rows: Box::pin(rows),
        };
        Ok(())
    }

    /// Reads until a batch is full or the rows end. Returns whether they do.
    fn fill(&mut self) -> Result<bool, SourceError> {
        let Self {
            session,
            state,
            table,
            decoder,
            token,
            columns,
            ..
        } = self;
        let State::Copying { statement, rows } = state else {
            return Ok(true);
        };
        let reading = async {
            while !table.is_full() {
                match rows.next().await {
                    Some(Ok(piece)) => decoder.feed(&piece, table).map_err(Stopped::Fault)?,
                    Some(Err(error)) => return Err(Stopped::Error(error)),
                    None => return decoder.finish().map(|()| true).map_err(Stopped::Fault),
                }
            }
            Ok(false)
        };
        let read = session.wait(token, reading)?;
        read.map_err(|stopped| match stopped {
            Stopped::Error(error) => session.failure(&error, Some(statement)),
            Stopped::Fault(fault) => explained(fault, columns).into_error(session.origin()),
        })
    }

    /// Proves that nothing went wrong after the last row.
    fn prove(&mut self) -> Result<(), SourceError> {
        self.session.execute(statement::COMMIT, &self.token)?;
        self.session.set_busy(false);
        self.state = State::Complete;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        match self.state {
            State::Described => self.start()?,
            State::Copying { .. } => {}
            State::Complete => return Ok(None),
            // The error was told already.
            State::Failed => {
                let cause = "reading its rows failed before".into();
                return Err(Failure::transient(cause).into_error(self.session.origin()));
            }
        }
        if self.fill()? {
            self.prove()?;
        }
        let batch = self.table.take();
        batch.map_err(|cause| {
            let cause = Cause::new(format!("its rows cannot be decoded: {cause}"));
            let cause = cause.with_hint("report this with the source's columns and their types");
            Failure::permanent(cause).into_error(self.session.origin())
        })
    }
}

/// What ends the reading of rows.
enum Stopped {
    Error(Error),
    Fault(Fault),
}

fn wrong_count(origin: &str) -> SourceError {
    let cause = Cause::new("it does not say how many rows have no time");
    Failure::permanent(cause.with_hint("report this")).into_error(origin)
}

/// Returns what is wrong with the data.
fn explained(fault: Fault, columns: &[Column]) -> Failure {
    match fault {
        Fault::Cut => Failure::transient(
            Cause::new("its rows ended without the mark that says they are complete; rows are missing").with_hint(
                "run it again; if it happens every time, look into the log of the server, or of what is between",
            ),
        ),
        Fault::Malformed(what) => Failure::permanent(
            Cause::new(format!("its rows cannot be read: {what}"))
                .with_hint("report this with the server's version and what is between"),
        ),
        Fault::TooLarge(row) => Failure::permanent(
            Cause::new(format!(
                "row {} takes more than the {} bytes that are allowed for one row",
                count(row),
                count(MAX_ROW_BYTES as u64)
            ))
            .with_hint("leave the row or its largest column out in a query"),
        ),
        Fault::Value { row, column, cause } => {
            let name = columns.get(column).map_or("", |column| column.name.as_str());
            Failure::permanent(cause.map(|text| format!("row {}, column `{name}`: {text}", count(row))))
        }
    }
}

impl Supplier for Reader {
    fn origin(&self) -> &str {
        self.session.origin()
    }

    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        loop {
            match self.next() {
                // The last rows may have been the last of the batch before.
                Ok(None) if !matches!(self.state, State::Complete) => {}
                Ok(batch) => return Ok(batch),
                Err(error) => {
                    self.state = State::Failed;
                    return Err(error);
                }
            }
        }
    }

    fn rows_without_time(&self) -> u64 {
        self.rows_without_time
    }

    fn warnings(&self) -> Vec<Cause> {
        let caution = self.settings.query.caution().filter(|_| self.key.is_empty());
        caution.into_iter().collect()
    }
}
