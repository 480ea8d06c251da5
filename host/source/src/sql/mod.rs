//! Queries of SQL sources: which rows the operator asks for, and the pieces of a statement that asks a database for
//! those of an interval. What a value looks like in SQL is the dialect's; no text reaches a statement but through it.

mod query;
mod scan;

use batch_export_system::explain::Cause;

use crate::interval::{Interval, Moment};
use crate::model::Model;
use crate::select::{EventFilter, TimeOf};
use crate::supplier::TimeColumns;

pub use query::Query;
pub use scan::Syntax;

/// The rows of a database that a source supplies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuerySettings {
    /// The name of the model: its columns must be among those of the rows. Another name than those of
    /// [`Model`](crate::Model) stands for whatever columns there are.
    pub model: String,
    /// Where the rows are.
    pub rows: Rows,
    /// The columns by which rows belong to an interval; needed where the query does not say it itself.
    pub times: TimeColumns,
    /// The columns that decide the order of the rows; no columns leave it to the database. `None` is the time column,
    /// and `uuid` where the model has it.
    pub order_by: Option<Vec<String>>,
}

/// Where the rows of a source are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// A table or a view, by the parts of its name: schema or database, and name.
    Table(Vec<String>),
    /// A query.
    Query(Query),
}

/// The columns that identify a row in a model, to order by after the time.
const ROW_ID: &str = "uuid";
/// Parts of a table's name: schema and table; PostgreSQL also takes the name of the database at hand in front of them.
const MAX_NAME_PARTS: usize = 3;

impl QuerySettings {
    /// Returns settings, unless nothing in them says which rows belong to an interval.
    pub fn new(model: impl Into<String>, rows: Rows, times: TimeColumns) -> Result<Self, Cause> {
        let needs_time = match &rows {
            Rows::Table(_) => true,
            Rows::Query(query) => !query.has_bounds(),
        };
        if needs_time && times.arrival.is_none() {
            return Err(match rows {
                Rows::Table(_) => Cause::new("nothing says which rows belong to an interval")
                    .with_hint("set time_column to the column with the time at which a row arrived"),
                Rows::Query(_) => Cause::new(
                    "nothing says which rows belong to an interval: every run would export all of them",
                )
                .with_hint(
                    "use {data_interval_start} and {data_interval_end} in the query, or set time_column to the column \
                         with the time at which a row arrived",
                ),
            });
        }
        Ok(Self {
            model: model.into(),
            times: match needs_time {
                true => times,
                false => times.beside_bounds("the query")?,
            },
            rows,
            order_by: None,
        })
    }

    /// Returns the column by which an interval selects rows, if there is one.
    pub fn time_column_of(&self, by: TimeOf) -> Option<&str> {
        self.times.of(&self.model, by)
    }

    /// Returns the columns to order by. Empty where the database decides.
    pub fn order_of(&self, by: TimeOf) -> Vec<&str> {
        match &self.order_by {
            Some(columns) => columns.iter().map(String::as_str).collect(),
            None => {
                let id = (self.model == Model::Events.name()).then_some(ROW_ID);
                let time = self.time_column_of(by);
                time.into_iter().chain(id.filter(|_| time.is_some())).collect()
            }
        }
    }

    /// Returns what is not guaranteed of the order of the rows; `None` where it is the operator's own, or ends with
    /// what identifies a row.
    pub fn caution(&self) -> Option<Cause> {
        let order = self.order_of(TimeOf::Arrival);
        let which = match order[..] {
            [] => "no order of the rows is asked of the database".to_owned(),
            [time] if self.order_by.is_none() => {
                format!("rows are ordered by `{time}` alone, and those with the same time come in any order")
            }
            _ => return None,
        };
        let cause = Cause::new(format!(
            "{which}: a second run of an interval may write the same rows in another order, so that its files differ and \
             `verify` cannot compare them row by row"
        ));
        Some(cause.with_hint("set the source's order_by to columns that identify a row"))
    }

    /// Returns what follows `FROM`: the table, or the query in brackets and on lines of its own, so that neither a
    /// comment nor a quote that it ends with takes in what follows. An alias is not part of it.
    pub(crate) fn from(&self, dialect: &dyn Dialect, interval: &Interval) -> Result<String, Cause> {
        match &self.rows {
            Rows::Table(parts) => {
                let parts: Result<Vec<String>, Cause> = parts.iter().map(|part| dialect.identifier(part)).collect();
                Ok(parts?.join("."))
            }
            Rows::Query(query) => {
                let start = interval
                    .start()
                    .map_or_else(|| dialect.beginning(), |start| dialect.moment(start));
                Ok(format!("(\n{}\n)", query.with(&start, &dialect.moment(interval.end()))))
            }
        }
    }

    /// Returns whether the rows are those of a table or a view.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.rows, Rows::Table(_))
    }

    /// Returns whether the interval is to be asked for by the time column: the query does not do it itself.
    pub(crate) fn selects_by_time(&self) -> bool {
        match &self.rows {
            Rows::Table(_) => true,
            Rows::Query(query) => !query.has_bounds(),
        }
    }
}

impl Rows {
    /// Reads the name of a table, as in `orders`, `public.orders` or `"Odd.name"."table"`: exactly as the database
    /// stores it, and in double quotes where it holds dots.
    pub fn table(name: &str) -> Result<Self, Cause> {
        let parts = scan::name_parts(name)?;
        match parts.len() > MAX_NAME_PARTS {
            true => Err(Cause::new("it has too many parts").with_hint("write it as schema.table")),
            false => Ok(Rows::Table(parts)),
        }
    }
}

/// The way in which a database writes names and values.
pub(crate) trait Dialect {
    /// Returns a name in quotes.
    fn identifier(&self, name: &str) -> Result<String, Cause>;

    /// Returns a text in quotes.
    fn text(&self, text: &str) -> Result<String, Cause>;

    /// Returns a moment as a literal whose type says that it is one, in UTC.
    fn moment(&self, moment: Moment) -> String;

    /// Returns a moment before all others.
    fn beginning(&self) -> String;
}

/// Returns the condition that the event lists are, of a column or an expression that is text; `None` where they take
/// all rows.
pub(crate) fn events(dialect: &dyn Dialect, column: &str, filter: &EventFilter) -> Result<Option<String>, Cause> {
    let list = |names: Vec<&str>| -> Result<String, Cause> {
        let names: Result<Vec<String>, Cause> = names.into_iter().map(|name| dialect.text(name)).collect();
        Ok(names?.join(", "))
    };
    let included = match filter.included() {
        Some(names) if names.is_empty() => Some("1 = 0".to_owned()),
        Some(names) => Some(format!("{column} IN ({})", list(names)?)),
        None => None,
    };
    let excluded = filter.excluded();
    let excluded = match excluded.is_empty() {
        true => None,
        false => Some(format!("({column} IS NULL OR {column} NOT IN ({}))", list(excluded)?)),
    };
    Ok(match (included, excluded) {
        (Some(included), Some(excluded)) => Some(format!("{included} AND {excluded}")),
        (included, excluded) => included.or(excluded),
    })
}

/// Characters of a line that are shown around a mistake.
const SHOWN_CHARS: usize = 70;

/// Returns the line of a statement with a mistake, and under it a caret at the character, which counts from 1.
pub(crate) fn caret(statement: &str, character: usize) -> String {
    let before: String = statement.chars().take(character.saturating_sub(1)).collect();
    let line = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let shown = statement.lines().nth(before.matches('\n').count()).unwrap_or_default();
    let start = line.saturating_sub(SHOWN_CHARS * 2 / 3);
    let cut: String = shown.chars().skip(start).take(SHOWN_CHARS).collect();
    let pad: String = cut
        .chars()
        .take(line - start)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    format!("{cut}\n{pad}^")
}

#[cfg(test)]
mod tests;
