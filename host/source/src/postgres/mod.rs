//! The `postgres` source: the rows of a table or a query of a PostgreSQL database, as `COPY` sends them in binary form,
//! within one transaction that sees one state of the database and changes nothing.

mod build;
mod connect;
mod copy;
mod error;
mod guard;
mod numeric;
mod password;
mod reader;
mod service;
mod session;
mod settings;
mod statement;
mod table;
mod tls;
mod types;

use std::sync::Arc;

use batch_export_system::explain::Cause;
use batch_export_system::{Budget, Token};

use crate::error::SourceError;
use crate::factory::{Source, SourceFactory};
use crate::interval::Interval;
use crate::select::{Selection, TimeOf};
use crate::supplier::Supplied;
use reader::Reader;

pub use settings::{Infinity, PostgresServer, PostgresSettings, RowSecurity, SslMode};

/// Opens a connection to a PostgreSQL server for each run.
#[derive(Debug, Clone)]
pub struct PostgresFactory {
    settings: PostgresSettings,
}

impl PostgresFactory {
    /// Returns a factory for these rows.
    pub fn new(settings: PostgresSettings) -> Self {
        Self { settings }
    }
}

impl SourceFactory for PostgresFactory {
    fn time_column(&self) -> Option<&str> {
        self.settings.query.time_column_of(TimeOf::Arrival)
    }

    /// Reading a whole table costs its server, so only what was asked about is read.
    fn surveyed(&self, asked: Option<Interval>) -> Option<Interval> {
        asked
    }

    /// Whether a table has a key to order by is known once it is read.
    fn caution(&self) -> Option<Cause> {
        let query = &self.settings.query;
        let has_key = query.is_table() && query.order_by.is_none();
        query.caution().filter(|_| !has_key)
    }

    fn open(&self, selection: Selection, token: &Token, _: &Arc<Budget>) -> Result<Box<dyn Source>, SourceError> {
        let query = &self.settings.query;
        let reader = Reader::open(&self.settings, &selection, token)?;
        let supplied = Supplied::new(Box::new(reader), &query.model, &query.times, selection, token)?;
        Ok(Box::new(supplied))
    }
}

#[cfg(test)]
mod tests;
