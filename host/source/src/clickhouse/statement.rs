//! The statements that ask ClickHouse for the rows of an interval, for their number and for their size. Every name and
//! text in them is in quotes of our own making, or the operator's own query.

use batch_export_system::explain::Cause;
use chrono::DateTime;

use super::describe::Column;
use super::names;
use crate::interval::{Interval, Moment};
use crate::model::Model;
use crate::select::{Selection, TimeOf};
use crate::sql::{Dialect, QuerySettings, Rows, events};

/// The way in which ClickHouse writes names and values.
pub(super) struct ClickHouse;

/// The times that `DateTime64` has: what is outside is an error of the server, in some versions the nearest inside.
const EARLIEST: Moment = Moment(-2_208_988_800_000_000);
const LATEST: Moment = Moment(10_413_791_999_999_999);
/// The same for nanoseconds, which 64 bits count up to the year 2262.
const LATEST_NANOS: Moment = Moment(9_223_372_036_000_000);
const MICROS_OF_A_DAY: i64 = 86_400_000_000;
/// Days since 1970 that `Date` has, and those of `Date32`.
const DATE_DAYS: (i64, i64) = (0, 65_535);
const DATE32_DAYS: (i64, i64) = (-25_567, 120_529);

impl Dialect for ClickHouse {
    fn identifier(&self, name: &str) -> Result<String, Cause> {
        Ok(names::quoted(name, '`'))
    }

    fn text(&self, text: &str) -> Result<String, Cause> {
        Ok(names::quoted(text, '\''))
    }

    fn moment(&self, moment: Moment) -> String {
        let moment = moment.clamp(EARLIEST, LATEST);
        let time = DateTime::from_timestamp_micros(moment.0).unwrap_or_default();
        format!("toDateTime64('{}', 6, 'UTC')", time.format("%Y-%m-%d %H:%M:%S%.6f"))
    }

    fn beginning(&self) -> String {
        self.moment(EARLIEST)
    }
}

/// The rows of an interval, as SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statements {
    /// Each column with its cast and its alias.
    list: String,
    /// The columns as they are.
    columns: String,
    /// The table, or the query in brackets.
    from: String,
    /// ` WHERE …`, or nothing.
    condition: String,
    /// ` ORDER BY …`, or nothing.
    order: String,
}

/// Rows whose size is looked at before the others are asked for.
const SAMPLED_ROWS: u32 = 1_000;

impl Statements {
    /// Makes them for columns that were described.
    pub(super) fn new(settings: &QuerySettings, columns: &[Column], selection: &Selection) -> Result<Self, Cause> {
        let order = order(settings, columns, selection.by)?;
        let identifier = |column: &Column| names::quoted(&column.name, '`');
        let aliases = aliases(columns);
        let list = columns.iter().zip(&aliases).map(|(column, alias)| {
            let sql = names::quoted(&column.shape.sql, '\'');
            format!("CAST({}, {sql}) AS {alias}", identifier(column))
        });
        Ok(Self {
            list: list.collect::<Vec<_>>().join(", "),
            columns: columns.iter().map(identifier).collect::<Vec<_>>().join(", "),
            from: settings.from(&ClickHouse, &selection.interval)?,
            condition: condition(settings, columns, selection)?,
            order,
        })
    }

    /// Returns the statement that describes the columns.
    pub(super) fn describe(settings: &QuerySettings, interval: &Interval) -> Result<String, Cause> {
        let from = settings.from(&ClickHouse, interval)?;
        Ok(match settings.rows {
            Rows::Table(_) => format!("DESCRIBE TABLE (SELECT * FROM {from})\nFORMAT JSONCompactEachRow"),
            Rows::Query(_) => format!("DESCRIBE TABLE {from}\nFORMAT JSONCompactEachRow"),
        })
    }

    pub(super) fn rows(&self) -> String {
        let Self {
            list,
            from,
            condition,
            order,
            ..
        } = self;
        format!("SELECT {list}\nFROM {from}{condition}{order}\nFORMAT ArrowStream")
    }

    pub(super) fn count(&self) -> String {
        let Self { from, condition, .. } = self;
        format!("SELECT count()\nFROM {from}{condition}\nFORMAT TabSeparated")
    }

    /// Returns the statement that tells how many bytes a row takes.
    pub(super) fn row_bytes(&self) -> String {
        let Self {
            columns,
            from,
            condition,
            ..
        } = self;
        format!(
            "SELECT count(), sum(byteSize({columns}))\nFROM (SELECT {columns} FROM {from}{condition} LIMIT {SAMPLED_ROWS})\n\
             FORMAT TabSeparated"
        )
    }
}

/// Returns a name for each column that no column has: in ClickHouse a name given in the list takes a column's place in
/// conditions and in the order as well.
pub(super) fn aliases(columns: &[Column]) -> Vec<String> {
    let mut prefix = "c".to_owned();
    while columns.iter().any(|column| column.name.starts_with(&prefix)) {
        prefix.push('_');
    }
    (0..columns.len()).map(|index| format!("{prefix}{index}")).collect()
}

fn order(settings: &QuerySettings, columns: &[Column], by: TimeOf) -> Result<String, Cause> {
    let wanted = settings.order_of(by);
    // The time column and the model's own are looked at where the columns are fitted to the model.
    let named = settings.order_by.iter().flatten();
    let missing: Vec<String> = named
        .filter(|name| !columns.iter().any(|column| column.name == **name))
        .map(|name| format!("`{name}`"))
        .collect();
    if !missing.is_empty() {
        let found: Vec<String> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
        return Err(Cause::new(format!(
            "order_by names {}, which the rows do not have",
            missing.join(", ")
        ))
        .with_hint(format!("use the names of columns: {}", found.join(", "))));
    }
    let wanted: Vec<String> = wanted.into_iter().map(|name| names::quoted(name, '`')).collect();
    Ok(match wanted.is_empty() {
        true => String::new(),
        false => format!("\nORDER BY {}", wanted.join(", ")),
    })
}

fn condition(settings: &QuerySettings, columns: &[Column], selection: &Selection) -> Result<String, Cause> {
    let find = |name: &str| columns.iter().find(|column| column.name == name);
    let mut conditions = Vec::new();
    if settings.selects_by_time()
        && let Some(column) = settings.time_column_of(selection.by).and_then(find)
    {
        let bounds = bounds(column.scalar(), &selection.interval);
        let name = names::quoted(&column.name, '`');
        conditions.extend(bounds.start.map(|start| format!("{name} >= {start}")));
        conditions.extend(bounds.end.map(|end| format!("{name} < {end}")));
    }
    if settings.model == Model::Events.name()
        && let Some(column) = find("event").filter(|column| column.shape.is_text())
    {
        let name = names::quoted(&column.name, '`');
        let text = match column.scalar() {
            "String" => name,
            // An enum refuses to be compared with a name that it does not have.
            _ => format!("CAST({name}, {})", names::quoted(&column.shape.sql, '\'')),
        };
        conditions.extend(events(&ClickHouse, &text, &selection.events)?);
    }
    Ok(match conditions.is_empty() {
        true => String::new(),
        false => format!("\nWHERE {}", conditions.join(" AND ")),
    })
}

/// The ends of an interval as literals; `None` where no value can be outside. They may be wider than the interval,
/// whose rows are chosen again as they arrive, and never narrower.
struct Ends {
    start: Option<String>,
    end: Option<String>,
}

fn bounds(scalar: &str, interval: &Interval) -> Ends {
    let start = interval.start();
    let end = interval.end();
    match scalar.split('(').next().unwrap_or_default() {
        "Date" => days("toDate", DATE_DAYS, start, end),
        "Date32" => days("toDate32", DATE32_DAYS, start, end),
        "DateTime" | "DateTime64" => {
            // Compared with fewer digits, the literal gets as many as the column has.
            let is_nanos = scalar.starts_with("DateTime64(9");
            let latest = if is_nanos { LATEST_NANOS } else { LATEST };
            Ends {
                start: start
                    .filter(|start| *start > EARLIEST)
                    .map(|start| ClickHouse.moment(start.min(latest))),
                end: (end <= latest).then(|| ClickHouse.moment(end)),
            }
        }
        // Not a time: refused before any row is asked for.
        _ => Ends { start: None, end: None },
    }
}

/// A date is its first moment in UTC, so that a bound within a day stands for the next one.
fn days(function: &str, (first, last): (i64, i64), start: Option<Moment>, end: Moment) -> Ends {
    let day_of =
        |moment: Moment| moment.0.div_euclid(MICROS_OF_A_DAY) + i64::from(moment.0.rem_euclid(MICROS_OF_A_DAY) != 0);
    let literal = |day: i64| {
        let micros = day.clamp(first, last).saturating_mul(MICROS_OF_A_DAY);
        let date = DateTime::from_timestamp_micros(micros).unwrap_or_default();
        format!("{function}('{}')", date.format("%Y-%m-%d"))
    };
    Ends {
        start: start.map(day_of).filter(|day| *day > first).map(literal),
        end: Some(day_of(end)).filter(|day| *day <= last).map(literal),
    }
}
