//! Sources of rows: a schema, then record batches in order, of one interval. A source never looks at a destination, and
//! hands on every row of the interval exactly as it is, duplicates included.
//!
//! A [`SourceFactory`] is made from the configuration once and opens the source for each run; [`Feed`] reads it on a
//! own thread, as the Arrow IPC messages that a plugin is given. What was read and omitted is counted
//! ([`Tally`]), and the counts must add up.
//!
//! ```
//! use batch_export_source::{EventFilter, FilesSettings, Interval, Selection, SourceSettings};
//! use batch_export_system::{Budget, Token};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let row = "{\"at\":\"2026-01-01T00:30:00Z\",\"order\":7}\n";
//! std::fs::write(folder.path().join("orders.jsonl"), row)?;
//!
//! let settings = FilesSettings::new(folder.path(), "*.jsonl", "orders", "at");
//! let factory = SourceSettings::Files(settings).factory(1 << 30);
//! let interval = Interval::parse("2026-01-01", "2026-01-01T01:00Z")?;
//! let selection = Selection::new(interval, EventFilter::default());
//! let (token, budget) = (Token::new(), Budget::new(64 << 20));
//! let mut source = factory.open(selection, &token, &budget)?;
//! assert_eq!(source.schema().field(1).name(), "order");
//! let mut rows = 0;
//! while let Some(batch) = source.next_batch()? {
//!     rows += batch.num_rows();
//! }
//! assert_eq!((rows, source.tally().files_read), (1, 1));
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs, unreachable_pub)]

mod arrow_ipc;
mod choose;
mod clickhouse;
mod command;
mod convert;
mod error;
mod factory;
mod feed;
mod files;
mod fit;
mod interval;
mod marks;
mod message;
mod model;
mod postgres;
mod preview;
mod remote;
mod sample;
mod select;
mod sql;
mod supplier;
mod survey;
mod tally;
mod time_column;
mod time_of_day;
mod tls;

pub use choose::{ColumnChoice, choosing};
pub use clickhouse::{ClickHouseFactory, ClickHouseSettings};
pub use command::{CommandFactory, CommandSettings, LineSink, check_argument, check_variable};
pub use error::{SourceError, SourceErrorKind};
pub use factory::{FilesFactory, SampleFactory, Source, SourceFactory, SourceSettings};
pub use feed::{FEED_BYTES, Feed};
pub use files::{ColumnType, Dialect, FilesSettings, TYPE_NAMES, TextFormat, check_pattern, paths};
pub use interval::{Ends, Interval, IntervalError, Moment};
pub use message::{Message, MessageSource, Stream, Summary};
pub use model::{ColumnKind, Model};
pub use postgres::{Infinity, PostgresFactory, PostgresServer, PostgresSettings, RowSecurity, SslMode};
pub use preview::{Preview, columns, preview, schema_message};
pub use remote::TASK as READ_TASK;
pub use select::{EVENT_LISTS, EventFilter, EventListError, Selection, TimeOf};
pub use sql::{Query, QuerySettings, Rows, Syntax};
pub use supplier::TimeColumns;
pub use survey::{Survey, SurveyedColumn, survey};
pub use tally::Tally;
