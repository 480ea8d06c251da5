//! The statements that a PostgreSQL server is given. No text of the configuration reaches one but as a name or a
//! literal in quotes, or as the operator's own query.

use batch_export_system::explain::Cause;
use chrono::DateTime;

use super::settings::{PostgresSettings, RowSecurity};
use super::types::{Cast, Kind};
use crate::error::quoted;
use crate::interval::Moment;
use crate::model::Model;
use crate::select::Selection;
use crate::sql::{self, Dialect};

/// The name under which a statement has the rows. It stands before every column, so that nothing else can be meant.
const ROWS: &str = "source_rows";
/// The column of a model with its event's name.
const EVENT: &str = "event";
/// A longer name is cut by the server, and may then be another's.
const MAX_NAME_BYTES: usize = 63;

/// A column of the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
    pub cast: Cast,
    /// Whether its type is `text` or `varchar`, whose values compare as they are written.
    pub is_text: bool,
}

/// PostgreSQL's way to write names and values, with `standard_conforming_strings` on.
pub(super) struct Postgres;

impl Dialect for Postgres {
    fn identifier(&self, name: &str) -> Result<String, Cause> {
        if name.is_empty() || name.contains('\0') || name.len() > MAX_NAME_BYTES {
            return Err(Cause::new(format!(
                "`{}` is not a valid name in PostgreSQL: one has 1 to {MAX_NAME_BYTES} bytes",
                name.escape_debug()
            ))
            .with_hint("correct it"));
        }
        Ok(format!("\"{}\"", name.replace('"', "\"\"")))
    }

    fn text(&self, text: &str) -> Result<String, Cause> {
        match text.contains('\0') {
            true => Err(Cause::new("a text in PostgreSQL has no zero byte").with_hint("remove it")),
            false => Ok(format!("'{}'", text.replace('\'', "''"))),
        }
    }

    fn moment(&self, moment: Moment) -> String {
        literal(moment, true)
    }

    fn beginning(&self) -> String {
        beginning(true)
    }
}

/// Returns a moment as a literal with its type; one that no year has is before or after all others.
fn literal(moment: Moment, is_zoned: bool) -> String {
    let (name, zone) = type_of(is_zoned);
    let time = DateTime::from_timestamp_micros(moment.0).filter(|_| moment.is_in_range());
    match time {
        Some(time) => format!("{name} '{}{zone}'", time.format("%Y-%m-%d %H:%M:%S%.6f")),
        None if moment.0 < 0 => beginning(is_zoned),
        None => format!("{name} 'infinity'"),
    }
}

fn beginning(is_zoned: bool) -> String {
    format!("{} '-infinity'", type_of(is_zoned).0)
}

fn type_of(is_zoned: bool) -> (&'static str, &'static str) {
    match is_zoned {
        true => ("TIMESTAMPTZ", "+00"),
        false => ("TIMESTAMP", ""),
    }
}

/// Returns what begins the one transaction: a snapshot that nothing changes, and texts that do not depend on the
/// server's settings.
pub(super) fn begin(settings: &PostgresSettings) -> String {
    let mut text = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                    SET LOCAL standard_conforming_strings = on; \
                    SET LOCAL TimeZone = 'UTC'; \
                    SET LOCAL DateStyle = 'ISO, YMD'; \
                    SET LOCAL IntervalStyle = 'postgres'; \
                    SET LOCAL bytea_output = 'hex'; \
                    SET LOCAL extra_float_digits = 1"
        .to_owned();
    // With it off, a policy that could hide rows is an error.
    if settings.row_security == RowSecurity::Refuse {
        text.push_str("; SET LOCAL row_security = off");
    }
    if let Some(limit) = settings.statement_timeout {
        text.push_str(&format!("; SET LOCAL statement_timeout = {}", limit.as_millis()));
    }
    text
}

/// Fails where the transaction did, which a `COMMIT` alone does not: it would end it without a word.
pub(super) const COMMIT: &str = "SELECT 1; COMMIT";

/// Returns the statement whose columns are those of the rows.
pub(super) fn describe(settings: &PostgresSettings, selection: &Selection) -> Result<String, Cause> {
    let from = settings.query.from(&Postgres, &selection.interval)?;
    Ok(format!("SELECT * FROM {from} AS {ROWS}"))
}

/// Returns the statement that says whether a column of a table can be null.
pub(super) fn is_not_null(table: u32, column: i16) -> String {
    format!(
        "SELECT attnotnull FROM pg_catalog.pg_attribute WHERE attrelid = {table} AND attnum = {column} AND attnotnull"
    )
}

/// Returns the statement that lists the columns of a table's primary key, as a JSON array in their order. A table whose
/// rows are also those of tables that inherit from it has none: theirs are not in it.
pub(super) fn primary_key(table: u32) -> String {
    format!(
        "SELECT pg_catalog.json_agg(a.attname ORDER BY pg_catalog.array_position(i.indkey::pg_catalog.int2[], a.attnum)) \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY \
         (i.indkey::pg_catalog.int2[]) WHERE i.indrelid = {table} AND i.indisprimary AND NOT EXISTS \
         (SELECT 1 FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhparent WHERE h.inhparent = \
         {table} AND c.relkind <> 'p')"
    )
}

/// Returns the statement that counts the rows that belong to no interval: those without a time, unless there are none,
/// and those before or after all others.
pub(super) fn count_without_time(
    settings: &PostgresSettings,
    selection: &Selection,
    column: &str,
    is_filled: bool,
) -> Result<String, Cause> {
    let from = settings.query.from(&Postgres, &selection.interval)?;
    let column = named(column)?;
    // A run whose start is open takes what is before all others.
    let infinities = match selection.interval.start() {
        Some(_) => "'infinity', '-infinity'",
        None => "'infinity'",
    };
    let null = match is_filled {
        true => String::new(),
        false => format!(" OR {column} IS NULL"),
    };
    Ok(format!(
        "SELECT pg_catalog.count(*) FROM {from} AS {ROWS} WHERE {column} IN ({infinities}){null}"
    ))
}

/// Returns the statement that copies the rows of a selection. `key` has the columns that identify a row, to order by
/// where the operator names none.
pub(super) fn copy(
    settings: &PostgresSettings,
    selection: &Selection,
    columns: &[Column],
    key: &[String],
) -> Result<String, Cause> {
    let from = settings.query.from(&Postgres, &selection.interval)?;
    let list: Result<Vec<String>, Cause> = columns.iter().map(selected).collect();
    let mut text = format!("COPY (SELECT {} FROM {from} AS {ROWS}", list?.join(", "));
    let conditions = conditions(settings, selection, columns)?;
    if !conditions.is_empty() {
        text.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
    }
    let order = order(settings, selection, columns, key)?;
    if !order.is_empty() {
        text.push_str(&format!(" ORDER BY {}", order.join(", ")));
    }
    text.push_str(") TO STDOUT (FORMAT binary)");
    Ok(text)
}

fn conditions(settings: &PostgresSettings, selection: &Selection, columns: &[Column]) -> Result<Vec<String>, Cause> {
    let query = &settings.query;
    let mut conditions = Vec::new();
    let time = query.time_column_of(selection.by).filter(|_| query.selects_by_time());
    if let Some(time) = time {
        // A date compares with a time without a zone, and is its first moment.
        let is_zoned = columns
            .iter()
            .any(|column| column.name == time && column.kind == Kind::Timestamp { is_zoned: true });
        let time = named(time)?;
        let start = selection.interval.start();
        let start = start.map_or_else(|| beginning(is_zoned), |start| literal(start, is_zoned));
        let end = literal(selection.interval.end(), is_zoned);
        conditions.push(format!("{time} >= {start} AND {time} < {end}"));
    }
    // The lists are applied to what arrives as well. Here they only save what they omit for certain: compared byte by
    // byte, whatever the column takes for equal, and of types that are compared as they are written.
    if query.model == Model::Events.name() && columns.iter().any(|column| column.name == EVENT && column.is_text) {
        let event = format!("{} COLLATE pg_catalog.\"C\"", named(EVENT)?);
        conditions.extend(sql::events(&Postgres, &event, &selection.events)?);
    }
    Ok(conditions)
}

/// Returns the columns that the rows are ordered by. Those that are not there are an error.
pub(super) fn order(
    settings: &PostgresSettings,
    selection: &Selection,
    columns: &[Column],
    key: &[String],
) -> Result<Vec<String>, Cause> {
    let mut order = settings.query.order_of(selection.by);
    if settings.query.order_by.is_none() {
        for name in key {
            if !order.contains(&name.as_str()) {
                order.push(name);
            }
        }
    }
    let is_there = |name: &str| columns.iter().any(|column| column.name == name);
    let missing: Vec<String> = order
        .iter()
        .filter(|name| !is_there(name))
        .map(|name| (*name).to_owned())
        .collect();
    if !missing.is_empty() {
        let found: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        return Err(Cause::new(format!(
            "order_by names {}, which the rows do not have; their columns are {}",
            quoted(&missing),
            quoted(&found)
        ))
        .with_hint("correct the source's order_by"));
    }
    order.into_iter().map(named).collect()
}

/// Returns a column of the rows by its name.
fn named(name: &str) -> Result<String, Cause> {
    Ok(format!("{ROWS}.{}", Postgres.identifier(name)?))
}

/// Returns a column as the server is to send it.
fn selected(column: &Column) -> Result<String, Cause> {
    let name = named(&column.name)?;
    Ok(match column.cast {
        Cast::None => name,
        Cast::Text => format!("{name}::pg_catalog.text"),
        Cast::TextOfEach => format!("{name}::pg_catalog.text[]"),
        // The cast to text adds /32 or /128 to a single host.
        Cast::Address => format!("pg_catalog.abbrev({name})"),
        Cast::AddressOfEach => format!("{name}::pg_catalog.text::pg_catalog.text[]"),
    })
}
