//! What a source gives for an interval, without exporting it: its columns, its first rows as texts, and how many rows
//! there are. Keeps no row but those.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use batch_export_system::explain::Cause;
use batch_export_system::{Budget, Token};

use crate::error::SourceError;
use crate::factory::{Source, SourceFactory};
use crate::interval::Moment;
use crate::message::Stream;
use crate::select::{EventFilter, Selection, timestamps};
use crate::survey::{NO_ROWS, micros};
use crate::tally::Tally;

/// What a source gives.
#[derive(Debug)]
#[non_exhaustive]
pub struct Preview {
    /// The columns as a plugin is given them.
    pub schema: SchemaRef,
    /// The first rows: for each column a text, or `None` for null.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows of the interval that were read.
    pub rows_read: u64,
    /// Whether these are all of them.
    pub is_complete: bool,
    /// What was read and omitted.
    pub tally: Tally,
    /// What the operator should know of it.
    pub warnings: Vec<Cause>,
}

/// Opens a source for its columns alone, and returns them. Blocking.
pub fn columns(factory: &dyn SourceFactory, token: &Token, budget: &Arc<Budget>) -> Result<SchemaRef, SourceError> {
    let interval = factory.surveyed(None).unwrap_or(NO_ROWS);
    let selection = Selection::new(interval, EventFilter::default());
    Ok(factory.open(selection, token, budget)?.schema())
}

/// Returns columns as the message that a plugin is configured with.
pub fn schema_message(schema: &SchemaRef) -> Result<Vec<u8>, SourceError> {
    Ok(Stream::new(schema)?.schema().to_vec())
}

/// Reads the first `shown` rows of a selection and, where `counts_all`, the others too, and tells `watch` how many they
/// are so far. Blocking.
pub fn preview(
    factory: &dyn SourceFactory,
    selection: Selection,
    shown: usize,
    counts_all: bool,
    token: &Token,
    budget: &Arc<Budget>,
    watch: impl Fn(u64),
) -> Result<Preview, SourceError> {
    let mut source = factory.open(selection, token, budget)?;
    let mut preview = Preview {
        schema: source.schema(),
        rows: Vec::with_capacity(shown),
        rows_read: 0,
        is_complete: false,
        tally: Tally::default(),
        warnings: Vec::new(),
    };
    preview.read(source.as_mut(), shown, counts_all, watch)?;
    preview.tally = source.tally();
    preview.warnings = source.warnings();
    Ok(preview)
}

impl Preview {
    fn read(
        &mut self,
        source: &mut dyn Source,
        shown: usize,
        counts_all: bool,
        watch: impl Fn(u64),
    ) -> Result<(), SourceError> {
        while counts_all || self.rows.len() < shown {
            let Some(batch) = source.next_batch()? else {
                self.is_complete = true;
                return Ok(());
            };
            let missing = shown.saturating_sub(self.rows.len()).min(batch.num_rows());
            self.rows
                .extend(texts(&batch.slice(0, missing)).map_err(SourceError::Encode)?);
            self.rows_read += batch.num_rows() as u64;
            watch(self.rows_read);
        }
        Ok(())
    }
}

fn texts(batch: &RecordBatch) -> Result<Vec<Vec<Option<String>>>, ArrowError> {
    (0..batch.num_rows())
        .map(|row| batch.columns().iter().map(|column| text(column, row)).collect())
        .collect()
}

/// Returns a value as people read it; `None` for null.
fn text(column: &ArrayRef, row: usize) -> Result<Option<String>, ArrowError> {
    if column.is_null(row) || *column.data_type() == DataType::Null {
        return Ok(None);
    }
    let items = |items: ArrayRef| -> Result<String, ArrowError> {
        let texts: Result<Vec<String>, ArrowError> = (0..items.len()).map(|row| nested(&items, row)).collect();
        Ok(format!("[{}]", texts?.join(", ")))
    };
    let text = match column.data_type() {
        // Arrow would look the zone up in a database that it is built without.
        DataType::Timestamp(unit, _) => moment(column.as_ref(), *unit, row),
        DataType::Dictionary(_, _) => {
            let dictionary = column.as_any_dictionary();
            let key = dictionary.normalized_keys()[row];
            return text(dictionary.values(), key);
        }
        DataType::List(_) => items(column.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => items(column.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(_, _) => items(column.as_fixed_size_list().value(row))?,
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(column.as_struct().columns());
            let texts: Result<Vec<String>, ArrowError> = columns
                .map(|(field, column)| Ok(format!("{}: {}", field.name(), nested(column, row)?)))
                .collect();
            format!("{{{}}}", texts?.join(", "))
        }
        DataType::Map(_, _) => {
            let entries: ArrayRef = Arc::new(column.as_map().value(row));
            let [keys, values] = entries.as_struct().columns() else {
                return Err(ArrowError::SchemaError(
                    "a map's entries are not a key and a value".to_owned(),
                ));
            };
            let texts: Result<Vec<String>, ArrowError> = (0..keys.len())
                .map(|row| Ok(format!("{}: {}", nested(keys, row)?, nested(values, row)?)))
                .collect();
            format!("{{{}}}", texts?.join(", "))
        }
        _ => {
            let options = FormatOptions::default().with_display_error(false);
            ArrayFormatter::try_new(column.as_ref(), &options)?
                .value(row)
                .try_to_string()?
        }
    };
    Ok(Some(text))
}

fn nested(column: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    Ok(text(column, row)?.unwrap_or_else(|| "null".to_owned()))
}

fn moment(column: &dyn Array, unit: TimeUnit, row: usize) -> String {
    let moment = Moment(micros(timestamps(column, unit)[row], unit));
    match moment.is_in_range() {
        true => moment.to_string(),
        false => format!("{} µs since 1970", moment.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::SampleFactory;
    use crate::interval::Interval;
    use crate::model::Model;
    use arrow::array::{
        BinaryArray, Decimal128Array, DictionaryArray, FixedSizeBinaryArray, Int32Array, ListArray, MapBuilder,
        NullArray, StringArray, StringBuilder, StructArray, TimestampNanosecondArray, TimestampSecondArray,
    };
    use arrow::datatypes::{Field, Int32Type};

    fn selection() -> Selection {
        let interval = Interval::parse("2026-01-01T00:00Z", "2026-01-01T01:00Z").expect("an interval");
        Selection::new(interval, EventFilter::default())
    }

    #[test]
    fn the_first_rows_are_shown_and_all_are_counted_where_that_is_wanted() {
        let source = SampleFactory::new(Model::Persons, 50_000);
        for (shown, counts_all, expect) in [(10, true, (10, 50_000, true)), (0, true, (0, 50_000, true))] {
            let found = preview(
                &source,
                selection(),
                shown,
                counts_all,
                &Token::new(),
                &Budget::unlimited(),
                |_| {},
            );
            let found = found.expect("a preview");
            assert_eq!((found.rows.len(), found.rows_read, found.is_complete), expect);
            assert!(found.rows.iter().all(|row| row.len() == found.schema.fields().len()));
        }
        let few = preview(
            &source,
            selection(),
            3,
            false,
            &Token::new(),
            &Budget::unlimited(),
            |_| {},
        );
        let few = few.expect("a preview");
        assert!(few.rows.len() == 3 && few.rows_read < 50_000 && !few.is_complete);
        assert_eq!(few.rows[0][0].as_deref(), Some("1"));
    }

    #[test]
    fn columns_are_known_without_a_row() {
        let source = SampleFactory::new(Model::Events, 1);
        let found = columns(&source, &Token::new(), &Budget::unlimited()).expect("columns");
        assert_eq!(found.fields().len(), 10);
        assert!(!schema_message(&found).expect("a message").is_empty());
    }

    #[test]
    fn every_type_has_a_text() {
        let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        map.keys().append_value("k");
        map.values().append_null();
        map.append(true).expect("an entry");
        let nested = StructArray::from(vec![(
            Arc::new(Field::new(
                "at",
                DataType::Timestamp(TimeUnit::Second, Some("UTC".into())),
                true,
            )),
            Arc::new(TimestampSecondArray::from(vec![Some(0)]).with_timezone("UTC")) as ArrayRef,
        )]);
        let far = TimestampSecondArray::from(vec![i64::MAX]).with_timezone("UTC");
        let columns: Vec<(ArrayRef, Option<&str>)> = vec![
            (Arc::new(Int32Array::from(vec![-7])), Some("-7")),
            (Arc::new(Int32Array::from(vec![None])), None),
            (Arc::new(NullArray::new(1)), None),
            (Arc::new(StringArray::from(vec!["größe"])), Some("größe")),
            (
                Arc::new(TimestampNanosecondArray::from(vec![1_500]).with_timezone("Europe/Berlin")),
                Some("1970-01-01T00:00:00.000001+00:00"),
            ),
            (Arc::new(far), Some("9223372036854775807 µs since 1970")),
            (
                Arc::new(
                    Decimal128Array::from(vec![110])
                        .with_precision_and_scale(5, 2)
                        .expect("a decimal"),
                ),
                Some("1.10"),
            ),
            (Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]])), Some("00ff")),
            (
                Arc::new(FixedSizeBinaryArray::try_from_iter([[1_u8, 2]].iter()).expect("bytes")),
                Some("0102"),
            ),
            (
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([
                    Some(1),
                    None,
                ])])),
                Some("[1, null]"),
            ),
            (
                Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("a")])),
                Some("a"),
            ),
            (Arc::new(nested), Some("{at: 1970-01-01T00:00:00+00:00}")),
            (Arc::new(map.finish()), Some("{k: null}")),
        ];
        for (column, expect) in columns {
            assert_eq!(
                text(&column, 0).expect("a text").as_deref(),
                expect,
                "{}",
                column.data_type()
            );
        }
    }
}
