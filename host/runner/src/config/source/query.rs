//! The rows that a database is asked for: the keys that all SQL sources have in common.

use crate::config::section::Section;
use batch_export_source::{Query, QuerySettings, Rows, Syntax, TimeColumns};
use batch_export_system::explain::Cause;

/// Reads the keys. `None` leaves at least one problem behind.
pub(super) fn read(model: Option<&str>, syntax: Syntax, section: &mut Section<'_>) -> Option<QuerySettings> {
    let at = section.at;
    let places = ["table", "query"].map(|key| section.place(key));
    let table = section.parsed("table", Rows::table);
    let query = section.parsed("query", |text| Query::parse(text, syntax).map(Rows::Query));
    match places {
        [None, None] => section.missing("table", "name a table with `table`, or write a query with `query`"),
        [Some(_), Some(at)] => {
            let both = Cause::new("there is a `table` too").with_hint("remove one of them");
            section.problem(at, "query", both);
        }
        _ => {}
    }
    let times = TimeColumns {
        arrival: section.text("time_column").map(|(_, name)| name),
        event: section.text("backfill_time_column").map(|(_, name)| name),
    };
    let order_by = section
        .has("order_by")
        .then(|| section.list("order_by", |name| Ok(name.to_owned())));
    let rows = match places {
        [Some(_), Some(_)] => return None,
        _ => table.or(query)?,
    };
    match QuerySettings::new(model?, rows, times) {
        Ok(mut settings) => {
            settings.order_by = order_by;
            Some(settings)
        }
        Err(cause) => {
            section.problem(at, "time_column", cause);
            None
        }
    }
}
