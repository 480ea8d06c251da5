//! Keeps or drops rows by the exact name of their event, as Arrow kernels; counts what it drops. Never looks at any
//! other column.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArrayType};
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::{DataType, Schema};
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take;

use super::EncodeError;

/// The column that contains event names.
const EVENT_COLUMN: &str = "event";

/// Decides row by row on the name in column `event`. A row is exported when its name is among the included ones (or
/// none are named) and not among the excluded ones. A null is not a name: included only when no names are.
#[derive(Debug)]
pub struct EventFilter {
    column: usize,
    include: HashSet<String>,
    exclude: HashSet<String>,
    filtered_rows: u64,
}

impl EventFilter {
    /// Returns the filter for batches of `schema`, or `None` where nothing is to be filtered. An empty list of included
    /// names means all, like none.
    ///
    /// # Errors
    /// There is no column `event`, or it is not a string column (plain, large, view, or a dictionary of these).
    pub fn new(schema: &Schema, include: Option<&[String]>, exclude: &[String]) -> Result<Option<Self>, EncodeError> {
        let include: HashSet<String> = include.unwrap_or_default().iter().cloned().collect();
        let exclude: HashSet<String> = exclude.iter().cloned().collect();
        if include.is_empty() && exclude.is_empty() {
            return Ok(None);
        }
        let column = schema
            .index_of(EVENT_COLUMN)
            .map_err(|_| EncodeError::EventColumn("there is no column `event`".to_owned()))?;
        let data_type = schema.field(column).data_type();
        let names = match data_type {
            DataType::Dictionary(_, values) => values.as_ref(),
            other => other,
        };
        match names {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(Some(EventFilter {
                column,
                include,
                exclude,
                filtered_rows: 0,
            })),
            _ => Err(EncodeError::EventColumn(format!(
                "column `event` has the type {data_type}"
            ))),
        }
    }

    /// Returns the rows to export, in order; the batch itself when all are.
    ///
    /// # Errors
    /// The batch has another schema than the filter was made for.
    pub fn apply(&mut self, batch: RecordBatch) -> Result<RecordBatch, EncodeError> {
        let mask = self.mask(batch.column(self.column))?;
        let kept = mask.true_count();
        if kept == batch.num_rows() {
            return Ok(batch);
        }
        self.filtered_rows += (batch.num_rows() - kept) as u64;
        Ok(filter_record_batch(&batch, &mask)?)
    }

    /// Returns the number of rows dropped so far.
    pub fn filtered_rows(&self) -> u64 {
        self.filtered_rows
    }

    /// Returns which rows to keep, without nulls.
    fn mask(&self, names: &ArrayRef) -> Result<BooleanArray, EncodeError> {
        match names.data_type() {
            DataType::Utf8 => Ok(self.mask_of(names.as_string::<i32>())),
            DataType::LargeUtf8 => Ok(self.mask_of(names.as_string::<i64>())),
            DataType::Utf8View => Ok(self.mask_of(names.as_string_view())),
            DataType::Dictionary(_, _) => {
                // Decide once per distinct name, then look the decision up by key; a null key is a null name.
                let dictionary = names.as_any_dictionary();
                let decisions: ArrayRef = std::sync::Arc::new(self.mask(dictionary.values())?);
                let by_row = take(&decisions, dictionary.keys(), None)?;
                let by_row = by_row.as_boolean();
                let keep_null = self.keeps(None);
                Ok((0..by_row.len())
                    .map(|row| {
                        Some(if by_row.is_null(row) {
                            keep_null
                        } else {
                            by_row.value(row)
                        })
                    })
                    .collect())
            }
            other => Err(EncodeError::EventColumn(format!("column `event` has the type {other}"))),
        }
    }

    fn mask_of<'a>(&self, names: impl StringArrayType<'a>) -> BooleanArray {
        let mut keep = BooleanBufferBuilder::new(names.len());
        for name in names.iter() {
            keep.append(self.keeps(name));
        }
        BooleanArray::new(keep.finish(), None)
    }

    fn keeps(&self, name: Option<&str>) -> bool {
        match name {
            Some(name) => (self.include.is_empty() || self.include.contains(name)) && !self.exclude.contains(name),
            None => self.include.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, Int64Array, LargeStringArray, StringArray, StringViewArray};
    use arrow::datatypes::{Field, Int8Type};

    use super::*;

    fn batch(events: ArrayRef) -> RecordBatch {
        let rows = Int64Array::from_iter_values(0..events.len() as i64);
        RecordBatch::try_from_iter_with_nullable([("event", events, true), ("row", Arc::new(rows) as ArrayRef, false)])
            .unwrap()
    }

    fn kinds_of_string_column(events: &[Option<&str>]) -> Vec<ArrayRef> {
        let owned: Vec<Option<&str>> = events.to_vec();
        vec![
            Arc::new(StringArray::from(owned.clone())),
            Arc::new(LargeStringArray::from(owned.clone())),
            Arc::new(StringViewArray::from(owned.clone())),
            Arc::new(owned.into_iter().collect::<DictionaryArray<Int8Type>>()),
        ]
    }

    #[test]
    fn include_and_exclude_are_both_obeyed_on_every_kind_of_string_column() {
        let events = [Some("$pageview"), None, Some("signed up"), Some("$pageview"), Some("")];
        let cases: [(&[&str], &[&str], &[i64]); 6] = [
            (&["$pageview"], &[], &[0, 3]),
            (&[], &["$pageview"], &[1, 2, 4]),
            (&["$pageview", "signed up"], &["$pageview"], &[2]),
            (&["$Pageview"], &[], &[]),
            (&[""], &[], &[4]),
            (&[], &["nothing of that name"], &[0, 1, 2, 3, 4]),
        ];
        for (include, exclude, expected) in cases {
            let include: Vec<String> = include.iter().map(|s| s.to_string()).collect();
            let exclude: Vec<String> = exclude.iter().map(|s| s.to_string()).collect();
            for column in kinds_of_string_column(&events) {
                let batch = batch(column);
                let mut filter = EventFilter::new(&batch.schema(), Some(&include), &exclude)
                    .unwrap()
                    .unwrap();
                let kept = filter.apply(batch).unwrap();
                let rows = kept.column(1).as_primitive::<arrow::datatypes::Int64Type>();
                assert_eq!(rows.values(), expected, "{include:?} {exclude:?}");
                assert_eq!(filter.filtered_rows(), 5 - expected.len() as u64);
            }
        }
    }

    #[test]
    fn without_names_there_is_no_filter() {
        let schema = Schema::empty();
        assert!(EventFilter::new(&schema, None, &[]).unwrap().is_none());
        assert!(EventFilter::new(&schema, Some(&[]), &[]).unwrap().is_none());
    }

    #[test]
    fn a_missing_or_mistyped_event_column_is_named() {
        let names = ["a".to_owned()];
        let missing = EventFilter::new(&Schema::empty(), Some(&names), &[]).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "there is no column `event`, and filtering by event name needs a string column `event`"
        );
        let schema = Schema::new(vec![Field::new("event", DataType::Int64, true)]);
        let mistyped = EventFilter::new(&schema, None, &names).unwrap_err();
        assert_eq!(
            mistyped.to_string(),
            "column `event` has the type Int64, and filtering by event name needs a string column `event`"
        );
    }
}
