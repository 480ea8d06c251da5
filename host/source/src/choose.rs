//! The columns that a destination exports of those that its source has: which, in what order, and under what names.
//! Changes no value.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use batch_export_system::explain::Cause;
use batch_export_system::{Budget, Token, near_miss};

use crate::error::{SourceError, quoted};
use crate::factory::{Source, SourceFactory};
use crate::interval::Interval;
use crate::select::Selection;
use crate::tally::Tally;

/// Marks a schema of which the operator chose the columns: a plugin then does not miss those of the model.
const CHOSEN: (&str, &str) = ("batch_export.columns", "chosen");

/// A choice of columns. The default is all of them, as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnChoice {
    /// The columns, in the order in which they are exported, by the names that the source gives them; all of them and
    /// in its order where there are none here.
    pub columns: Vec<String>,
    /// New names, by those that the source gives them.
    pub rename: BTreeMap<String, String>,
}

impl ColumnChoice {
    /// Returns a choice, or what is wrong with it: a column named twice, two of one name, a column renamed that is not
    /// chosen.
    pub fn new(columns: Vec<String>, rename: BTreeMap<String, String>) -> Result<Self, Cause> {
        let choice = Self { columns, rename };
        if let Some(twice) = first_repeated(&choice.columns) {
            return Err(Cause::new(format!("the column `{twice}` is named twice")).with_hint("remove one of them"));
        }
        let is_chosen = |name: &&String| choice.columns.is_empty() || choice.columns.contains(name);
        if let Some(other) = choice.rename.keys().find(|name| !is_chosen(name)) {
            return Err(
                Cause::new(format!("`{other}` is renamed, but it is not among the columns"))
                    .with_hint("add it to `columns`, or remove it from `rename`"),
            );
        }
        let named: Vec<String> = match choice.columns.is_empty() {
            true => choice.rename.values().cloned().collect(),
            false => choice
                .columns
                .iter()
                .map(|name| choice.new_name(name).to_owned())
                .collect(),
        };
        match first_repeated(&named) {
            Some(twice) => {
                let cause = Cause::new(format!("two columns would have the name `{twice}`"));
                Err(cause.with_hint("give one of them another name"))
            }
            None => Ok(choice),
        }
    }

    /// Returns whether every column is exported as it is.
    pub fn is_all(&self) -> bool {
        self.columns.is_empty() && self.rename.is_empty()
    }

    fn new_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.rename.get(name).map_or(name, String::as_str)
    }

    /// Returns the source's columns that are exported, by their places, and the schema that they then have.
    fn of(&self, found: &Schema) -> Result<(Vec<usize>, SchemaRef), SourceError> {
        let names: Vec<&str> = found.fields().iter().map(|field| field.name().as_str()).collect();
        let missing = self.columns.iter().chain(self.rename.keys());
        if let Some(missing) = missing.into_iter().find(|name| !names.contains(&name.as_str())) {
            let all: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            return Err(SourceError::NoSuchColumn {
                column: missing.clone(),
                meant: near_miss(missing, names.iter().copied()).map(str::to_owned),
                found: quoted(&all),
            });
        }
        let places: Vec<usize> = match self.columns.is_empty() {
            true => (0..names.len()).collect(),
            false => self
                .columns
                .iter()
                .filter_map(|name| found.index_of(name).ok())
                .collect(),
        };
        let fields: Vec<FieldRef> = places.iter().map(|place| self.renamed(found.field(*place))).collect();
        let new_names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        if let Some(twice) = first_repeated(&new_names) {
            return Err(SourceError::SameNames { name: twice.clone() });
        }
        let mark = [(CHOSEN.0.to_owned(), CHOSEN.1.to_owned())];
        Ok((places, Arc::new(Schema::new_with_metadata(fields, mark))))
    }

    fn renamed(&self, field: &Field) -> FieldRef {
        Arc::new(field.clone().with_name(self.new_name(field.name())))
    }
}

fn first_repeated(names: &[String]) -> Option<&String> {
    let is_repeated = |(index, name): &(usize, &String)| names.iter().take(*index).any(|before| before == *name);
    names.iter().enumerate().find(is_repeated).map(|(_, name)| name)
}

/// Opens a source with the chosen columns alone.
#[derive(Debug)]
pub(crate) struct ChoosingFactory {
    source: Arc<dyn SourceFactory>,
    choice: ColumnChoice,
}

/// Returns a factory whose sources have the chosen columns.
pub fn choosing(source: Arc<dyn SourceFactory>, choice: &ColumnChoice) -> Arc<dyn SourceFactory> {
    match choice.is_all() {
        true => source,
        false => Arc::new(ChoosingFactory {
            source,
            choice: choice.clone(),
        }),
    }
}

impl SourceFactory for ChoosingFactory {
    fn time_column(&self) -> Option<&str> {
        let name = self.source.time_column()?;
        let is_exported = self.choice.columns.is_empty() || self.choice.columns.iter().any(|column| column == name);
        is_exported.then(|| self.choice.new_name(name))
    }

    fn surveyed(&self, asked: Option<Interval>) -> Option<Interval> {
        self.source.surveyed(asked)
    }

    fn caution(&self) -> Option<Cause> {
        self.source.caution()
    }

    fn open(&self, selection: Selection, token: &Token, budget: &Arc<Budget>) -> Result<Box<dyn Source>, SourceError> {
        let source = self.source.open(selection, token, budget)?;
        let (places, schema) = self.choice.of(&source.schema())?;
        Ok(Box::new(Choosing { source, places, schema }))
    }
}

/// A source's rows with the chosen columns.
struct Choosing {
    source: Box<dyn Source>,
    places: Vec<usize>,
    schema: SchemaRef,
}

impl Source for Choosing {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        let Some(batch) = self.source.next_batch()? else {
            return Ok(None);
        };
        let columns = self
            .places
            .iter()
            .map(|place| Arc::clone(batch.column(*place)))
            .collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(SourceError::Encode)?;
        Ok(Some(batch))
    }

    fn file(&self) -> Option<&Path> {
        self.source.file()
    }

    fn tally(&self) -> Tally {
        self.source.tally()
    }

    fn warnings(&self) -> Vec<Cause> {
        self.source.warnings()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::SampleFactory;
    use crate::model::Model;
    use crate::select::EventFilter;
    use batch_export_system::explain::Explain;

    fn choice(columns: &[&str], rename: &[(&str, &str)]) -> Result<ColumnChoice, Cause> {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        let rename = rename.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
        ColumnChoice::new(columns, rename.collect())
    }

    fn opened(choice: &ColumnChoice) -> Result<Box<dyn Source>, SourceError> {
        let interval = Interval::parse("2026-01-01T00:00Z", "2026-01-01T00:01Z").expect("an interval");
        let selection = Selection::new(interval, EventFilter::default());
        let source = Arc::new(SampleFactory::new(Model::Events, 600));
        choosing(source, choice).open(selection, &Token::new(), &Budget::unlimited())
    }

    fn names(source: &dyn Source) -> Vec<String> {
        source
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect()
    }

    #[test]
    fn columns_come_in_the_order_and_under_the_names_that_were_chosen() {
        let chosen = choice(&["timestamp", "properties", "event"], &[("event", "name")]).expect("a choice");
        let mut source = opened(&chosen).expect("a source");
        let mut all = opened(&ColumnChoice::default()).expect("a source");
        assert_eq!(names(source.as_ref()), ["timestamp", "properties", "name"]);
        let (chosen, all) = (source.next_batch(), all.next_batch());
        let (chosen, all) = (chosen.expect("rows").expect("rows"), all.expect("rows").expect("rows"));
        for (new, old) in [
            ("timestamp", "timestamp"),
            ("properties", "properties"),
            ("name", "event"),
        ] {
            assert_eq!(chosen.column_by_name(new), all.column_by_name(old), "{new}");
        }
        assert!(chosen.schema().field(1).metadata().contains_key("ARROW:extension:name"));
        assert_eq!(source.tally().rows_read, chosen.num_rows() as u64);

        let renamed = choice(&[], &[("uuid", "id")]).expect("a choice");
        let source = opened(&renamed).expect("a source");
        assert_eq!(source.schema().fields().len(), 10);
        assert_eq!(source.schema().field(0).name(), "id");
    }

    #[test]
    fn a_choice_that_means_nothing_is_refused() {
        for (columns, rename, expect) in [
            (
                &["a", "a"][..],
                &[][..],
                "the column `a` is named twice; remove one of them",
            ),
            (
                &["a"],
                &[("b", "c")],
                "`b` is renamed, but it is not among the columns; add it to `columns`, or remove it from `rename`",
            ),
            (
                &["a", "b"],
                &[("a", "b")],
                "two columns would have the name `b`; give one of them another name",
            ),
            (
                &[],
                &[("a", "c"), ("b", "c")],
                "two columns would have the name `c`; give one of them another name",
            ),
        ] {
            let cause = choice(columns, rename).expect_err(expect);
            assert_eq!(cause.in_one_text(), expect);
        }
        choice(&["a", "b"], &[("a", "b"), ("b", "a")]).expect("names that change places");
        for (columns, rename, message, hint) in [
            (
                &["event", "distinctid"][..],
                &[][..],
                "the source has no column `distinctid`; it has `uuid`, `event`, `distinct_id`, ",
                "did you mean `distinct_id`?",
            ),
            (
                &[],
                &[("color", "colour")],
                "the source has no column `color`",
                "correct the name in the destination's `columns` or `rename`",
            ),
            (
                &[],
                &[("uuid", "event")],
                "two columns would have the name `event`",
                "give one of them another name in the destination's `rename`",
            ),
        ] {
            let error = opened(&choice(columns, rename).expect("a choice"))
                .err()
                .expect(message);
            assert!(error.to_string().starts_with(message), "{error}");
            assert_eq!(error.hint().as_deref(), Some(hint));
        }
    }
}
