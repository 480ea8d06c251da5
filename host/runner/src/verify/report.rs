//! The findings of reading back: per file and for the whole run. Bounded in number and length, whatever is wrong with
//! the files.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, make_array};
use arrow::datatypes::{DataType, FieldRef};
use arrow::util::display::array_value_to_string;
use serde::{Serialize, Serializer};

use super::checksum::Computed;
use super::times::Times;
use batch_export_sandbox::Redactor;
use batch_export_source::Tally;

/// Faults of one file that are kept; further ones are counted. A shifted row makes every row after it differ.
const FAULTS_LIMIT: usize = 10;
/// Maximum number of faults, and of notes, that are kept for a run; further ones are counted.
const RUN_LINES_LIMIT: usize = 100;
/// Characters of a value that a fault repeats.
const QUOTED_CHARS: usize = 120;

/// A kind of problem with a run that was read back; each has its own remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The run was exported with other settings.
    OtherSettings,
    /// Nothing of the run is there.
    NotRun,
    /// The run did not finish.
    Unfinished,
    /// An object of the run is not there.
    Missing,
    /// An object or the manifest is not what the run wrote: it is damaged, or somebody changed it.
    Changed,
    /// A row has other values than the source has now.
    OtherRows,
    /// The source has more rows than the files.
    MoreRows,
    /// The source has fewer rows than the files.
    FewerRows,
    /// An object of another attempt is there as well.
    LeftOver,
    /// Nothing proves that an object is what was written.
    Unproven,
    /// Counts of this program do not add up.
    Miscounted,
}

impl FaultKind {
    /// Returns what to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            FaultKind::OtherSettings => {
                "restore the settings with which the interval was exported, or run it with today's and delete what the \
                 earlier ones left"
            }
            FaultKind::NotRun => {
                "run the interval; if it was exported before, with these settings, find out what deleted its files"
            }
            FaultKind::Unfinished => "run the interval",
            FaultKind::Missing => "run the interval again to write what is missing, and find out what deleted it",
            FaultKind::Changed => {
                "do not rely on the changed objects: run the interval again, and find out what else writes to the bucket"
            }
            FaultKind::OtherRows => {
                "if values changed in the source since the run, or it gives its rows in no fixed order (set order_by), run \
                 the interval again; otherwise do not rely on the files, and report it"
            }
            FaultKind::MoreRows => {
                "if rows arrived in the source after the run, run the interval again; otherwise report the loss"
            }
            FaultKind::FewerRows => {
                "if rows were deleted from the source since the run, keep the files or run the interval again; \
                 otherwise do not rely on the files, and report it"
            }
            FaultKind::LeftOver => "delete what is left over, or run the interval again",
            FaultKind::Unproven => "set checksum = \"none\" if the store keeps no checksums",
            FaultKind::Miscounted => "report this with the source's files",
        }
    }
}

/// The findings in one file.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct FileOutcome {
    /// The object's key.
    pub key: String,
    /// The object's size.
    pub bytes: u64,
    /// Rows that were found in it.
    pub rows: u64,
    /// Rows whose values were compared with the source's.
    pub rows_compared: u64,
    /// Row groups of a Parquet file; `None` in other formats.
    pub row_groups: Option<u64>,
    /// The store's ETag, as it stands in the header.
    pub etag: String,
    /// The algorithm of the store's checksum that its bytes were found to have.
    pub checksum: Option<String>,
    /// The checksum of its bytes, with which the manifest's is compared.
    #[serde(skip)]
    pub(crate) computed: Option<Computed>,
    /// First and last moment of the source's rows that it was compared with; `None` where there is no column for it.
    #[serde(skip)]
    pub(crate) times: Option<Times>,
    /// What is wrong with it, one sentence for each fault.
    pub faults: Vec<String>,
    /// Faults beyond those listed.
    pub further_faults: u64,
    /// The kinds of all faults.
    pub kinds: BTreeSet<FaultKind>,
    /// It was not downloaded, so nothing else about it can be compared.
    #[serde(skip)]
    pub unread: bool,
}

impl FileOutcome {
    /// Returns the outcome of a file in which nothing was found yet.
    pub fn new(key: &str) -> Self {
        FileOutcome {
            key: key.to_owned(),
            ..FileOutcome::default()
        }
    }

    /// Adds something wrong with it.
    pub fn fault(&mut self, kind: FaultKind, fault: String) {
        self.kinds.insert(kind);
        if self.faults.len() < FAULTS_LIMIT {
            self.faults.push(fault);
        } else {
            self.further_faults += 1;
        }
    }

    /// Returns whether nothing is wrong with it.
    pub fn passed(&self) -> bool {
        self.faults.is_empty()
    }
}

/// The findings of reading a run back.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The destination's name.
    pub destination: String,
    /// The run that was read back.
    pub run_id: String,
    /// Its model.
    pub model: String,
    /// The format of its files, as configured.
    pub file_format: String,
    /// Their compression, as configured.
    pub compression: String,
    /// The manifest's key; null where the destination writes none.
    pub manifest_key: Option<String>,
    /// As it is in the store; null when none is written. In JSON the document itself, or the text when it is not JSON.
    #[serde(serialize_with = "document")]
    pub manifest: Option<String>,
    /// The run's files, in order.
    pub files: Vec<FileOutcome>,
    /// Rows of all files.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Rows that the source has for the interval; null when it was not read.
    pub source_rows: Option<u64>,
    /// What the source read and omitted; null when it was not read to its end.
    pub source: Option<Tally>,
    /// Problems that concern the whole run.
    pub faults: Vec<String>,
    /// Faults concerning the whole run beyond those listed.
    pub further_faults: u64,
    /// The kinds of all faults concerning the whole run.
    pub kinds: BTreeSet<FaultKind>,
    /// Remarks for the operator, though nothing is wrong.
    pub notes: Vec<String>,
    /// Notes beyond those listed.
    pub further_notes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Whether nothing is wrong with the run.
    pub passed: bool,
}

fn document<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let document =
        |text: &String| serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::from(text.as_str()));
    text.as_ref().map(document).serialize(serializer)
}

impl VerifyReport {
    /// Adds a problem that concerns the whole run.
    pub fn fault(&mut self, kind: FaultKind, fault: String) {
        self.kinds.insert(kind);
        keep(&mut self.faults, &mut self.further_faults, fault);
    }

    /// Adds a remark for the operator.
    pub fn note(&mut self, note: String) {
        keep(&mut self.notes, &mut self.further_notes, note);
    }

    /// Hides secrets in what it repeats of the store's objects.
    pub(super) fn hide(&mut self, redactor: &Redactor) {
        let in_files = self.files.iter_mut().flat_map(|file| &mut file.faults);
        let texts = self.manifest.iter_mut().chain(in_files);
        for text in texts.chain(&mut self.faults).chain(&mut self.notes) {
            *text = redactor.text(text);
        }
    }

    /// Returns what to do about the problems, once for each kind.
    pub fn hints(&self) -> Vec<&'static str> {
        let in_files = self.files.iter().flat_map(|file| &file.kinds);
        let kinds: BTreeSet<FaultKind> = in_files.chain(&self.kinds).copied().collect();
        kinds.into_iter().map(FaultKind::hint).collect()
    }

    /// Returns the number of things that are wrong.
    pub fn faults_found(&self) -> u64 {
        let in_files = self
            .files
            .iter()
            .map(|file| (file.faults.len() as u64).saturating_add(file.further_faults));
        in_files
            .fold(self.faults.len() as u64, u64::saturating_add)
            .saturating_add(self.further_faults)
    }
}

fn keep(lines: &mut Vec<String>, further: &mut u64, line: String) {
    if lines.len() < RUN_LINES_LIMIT {
        lines.push(line);
    } else {
        *further = further.saturating_add(1);
    }
}

/// Returns a value of a file for a message: shortened, and without control characters.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(QUOTED_CHARS)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(QUOTED_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// Returns a value of a column for a message, as JSON Lines files have it: in quotes, unless it is a number or holds
/// others.
pub(super) fn shown(column: &ArrayRef, row: usize) -> String {
    let data_type = column.data_type();
    let is_bare = data_type.is_nested() || data_type.is_numeric() || *data_type == DataType::Boolean;
    match column.is_null(row) || is_bare {
        true => bare(column, row),
        false => quoted(&serde_json::Value::from(in_words(column, row)).to_string()),
    }
}

/// Returns the same without quotes.
pub(super) fn bare(column: &ArrayRef, row: usize) -> String {
    match column.is_null(row) {
        true => "null".to_owned(),
        false => quoted(&in_words(column, row)),
    }
}

fn in_words(column: &ArrayRef, row: usize) -> String {
    let value = make_array(zone_as_offset(column.slice(row, 1).to_data()));
    array_value_to_string(&value, 0).unwrap_or_else(|error| error.to_string())
}

/// Returns the same values with their times in UTC: names of zones could only be shown with a table of all zones, and a
/// zone changes no instant.
fn zone_as_offset(data: ArrayData) -> ArrayData {
    let children = data.child_data().iter().cloned().map(zone_as_offset);
    let data_type = zone_as_offset_in(data.data_type());
    let shown = data
        .clone()
        .into_builder()
        .data_type(data_type)
        .child_data(children.collect());
    // Types that are not in the table below stay as they are.
    shown.build().unwrap_or(data)
}

fn zone_as_offset_in(data_type: &DataType) -> DataType {
    let inner = |field: &FieldRef| -> FieldRef {
        let data_type = zone_as_offset_in(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        DataType::List(field) => DataType::List(inner(field)),
        DataType::LargeList(field) => DataType::LargeList(inner(field)),
        DataType::FixedSizeList(field, length) => DataType::FixedSizeList(inner(field), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::Map(field, is_sorted) => DataType::Map(inner(field), *is_sorted),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, ListArray, StructArray, TimestampMicrosecondArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    /// Names of zones are in no table here, and the value must be shown all the same, however deep it is.
    #[test]
    fn a_time_with_a_named_zone_is_shown_as_its_value() {
        for zone in ["UTC", "Europe/Berlin", "+02:00"] {
            let times = TimestampMicrosecondArray::from(vec![1, 1_709_269_200_000_000]).with_timezone(zone);
            let times: ArrayRef = Arc::new(times);
            assert_eq!(shown(&times, 1), "\"2024-03-01T05:00:00Z\"", "{zone}");
            let field = Arc::new(Field::new("item", times.data_type().clone(), true));
            let offsets = OffsetBuffer::from_lengths([1, 1]);
            let list = ListArray::new(field, offsets, Arc::clone(&times), None);
            let list: ArrayRef = Arc::new(list);
            assert_eq!(shown(&list, 1), "[2024-03-01T05:00:00Z]", "{zone}");
            let field = Arc::new(Field::new("t", list.data_type().clone(), true));
            let both: ArrayRef = Arc::new(StructArray::from(vec![(field, list)]));
            assert_eq!(shown(&both, 1), "{t: [2024-03-01T05:00:00Z]}", "{zone}");
        }
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
        assert_eq!((shown(&numbers, 0), shown(&numbers, 1)), ("7".into(), "null".into()));
    }
}
