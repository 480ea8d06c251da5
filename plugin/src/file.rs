//! One run's data files: gives blocks to an encoder, its bytes to an upload, and begins the next file when one is
//! full. Knows no requests and no Arrow IPC, and never holds a file as a whole.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowTimestampType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_schema::{DataType, TimeUnit};

use crate::encode::{self, Block, FileEncoder, Finished, Layout, OUTPUT_CHUNK_BYTES, Repairs};
use crate::failure::{Explanation, Failure};
use crate::imports::Imports;
use crate::key::KeyNames;
use crate::settings::Format;
use crate::upload::{OpenFile, Uploads};

/// Maximum number of files of one run. The report of that many, with keys of 1,024 bytes, and the detailed manifest
/// stay below what a host takes at once (64 MiB), and the notes of their uploads below what it keeps.
pub const MAX_FILES: u32 = 20_000;

/// What a file holds, known once its last byte was handed to the upload.
#[derive(Debug, Clone)]
pub struct WrittenFile {
    pub key: String,
    pub rows: u64,
    /// Least and greatest value of the time column, in microseconds since 1970; more than 64 bits where its unit is
    /// coarser.
    pub times_micros: Option<(i128, i128)>,
}

/// What all files of the run held.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub rows: u64,
    /// Before compression.
    pub bytes_encoded: u64,
    /// As handed to uploads.
    pub bytes_written: u64,
    pub repairs: Repairs,
}

/// The files of one run, one open at a time.
pub struct Files {
    layout: Layout,
    keys: KeyNames,
    content_type: &'static str,
    /// Column whose least and greatest values are kept, where the manifest wants them.
    time_column: Option<usize>,
    max_files: u32,
    open: Option<BegunFile>,
    written: Vec<WrittenFile>,
    totals: Totals,
}

struct BegunFile {
    encoder: FileEncoder,
    upload: OpenFile,
    key: String,
    times_micros: Option<(i128, i128)>,
}

impl Files {
    /// Starts without files.
    pub fn new(layout: Layout, keys: KeyNames, format: Format, time_column: Option<usize>, max_files: u32) -> Self {
        Files {
            layout,
            keys,
            content_type: format.content_type(),
            time_column,
            max_files,
            open: None,
            written: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// Encodes the rows of a block into as many files as they take.
    pub fn write<I: Imports>(&mut self, block: &Block, uploads: &mut Uploads<I>) -> Result<(), Failure> {
        let mut row = 0;
        while row < block.rows.num_rows() {
            let mut file = match self.open.take() {
                Some(file) => file,
                None => self.begin(uploads)?,
            };
            let written = file.encoder.write(block, row);
            let taken = written.map_err(|error| error.counted_from(block.first_row))?;
            if let Some(column) = self.time_column {
                let times = block.rows.column(column).slice(row, taken);
                file.times_micros = widest(file.times_micros, bounds(&times));
            }
            row += taken;
            let full = file.encoder.is_full();
            if full || file.encoder.output_len() >= OUTPUT_CHUNK_BYTES {
                let output = file.encoder.take_output();
                self.hand_over(&mut file.upload, &output, uploads)?;
            }
            // Checked after every step: what a step adds is far below what `parts_exhausted` keeps free.
            if full || file.upload.parts_exhausted() {
                self.end(file, uploads)?;
            } else {
                self.open = Some(file);
            }
        }
        Ok(())
    }

    /// No more rows: end the open file.
    pub fn finish<I: Imports>(&mut self, uploads: &mut Uploads<I>) -> Result<(), Failure> {
        match self.open.take() {
            Some(file) => self.end(file, uploads),
            None => Ok(()),
        }
    }

    /// Files that have all their bytes, in order.
    pub fn written(&self) -> &[WrittenFile] {
        &self.written
    }

    /// Files begun, the open one included.
    pub fn begun(&self) -> u32 {
        self.written.len() as u32 + u32::from(self.open.is_some())
    }

    /// What the files held so far; rows and repairs only of those that have all their bytes.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn begin<I: Imports>(&self, uploads: &mut Uploads<I>) -> Result<BegunFile, Failure> {
        let index = u32::try_from(self.written.len())
            .ok()
            .filter(|index| *index < self.max_files)
            .ok_or_else(|| {
                let message = format!("the run needs more than {} files (limit MAX_FILES)", self.max_files);
                let hint = "raise max_file_size_mb, or export shorter intervals".to_owned();
                Failure::Refused(Explanation::new(message).with_hint(hint))
            })?;
        let key = self.keys.data(index)?;
        Ok(BegunFile {
            upload: uploads.open(key.clone(), self.content_type)?,
            encoder: FileEncoder::new(&self.layout)?,
            key,
            times_micros: None,
        })
    }

    fn end<I: Imports>(&mut self, mut file: BegunFile, uploads: &mut Uploads<I>) -> Result<(), Failure> {
        let Finished {
            output,
            rows,
            bytes_encoded,
            repairs,
        } = file.encoder.finish()?;
        self.hand_over(&mut file.upload, &output, uploads)?;
        uploads.close(file.upload)?;
        self.totals.rows += rows;
        self.totals.bytes_encoded += bytes_encoded;
        self.totals.repairs += repairs;
        self.written.push(WrittenFile {
            key: file.key,
            rows,
            times_micros: file.times_micros,
        });
        Ok(())
    }

    fn hand_over<I: Imports>(
        &mut self,
        file: &mut OpenFile,
        bytes: &[u8],
        uploads: &mut Uploads<I>,
    ) -> Result<(), Failure> {
        self.totals.bytes_written += bytes.len() as u64;
        Ok(uploads.write(file, bytes)?)
    }
}

/// Least and greatest of a column of times, as files show them; `None` when all are null.
fn bounds(times: &dyn Array) -> Option<(i128, i128)> {
    match times.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => bounds_of::<TimestampSecondType>(times),
        DataType::Timestamp(TimeUnit::Millisecond, _) => bounds_of::<TimestampMillisecondType>(times),
        DataType::Timestamp(TimeUnit::Microsecond, _) => bounds_of::<TimestampMicrosecondType>(times),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => bounds_of::<TimestampNanosecondType>(times),
        _ => None,
    }
}

fn bounds_of<T: ArrowTimestampType>(times: &dyn Array) -> Option<(i128, i128)> {
    let times = times.as_primitive::<T>();
    let micros = |value: i64| encode::micros(value, T::UNIT);
    let bounds = match times.null_count() {
        0 => least_and_greatest(times.values().iter().copied()),
        _ => least_and_greatest(times.iter().flatten()),
    };
    bounds.map(|(least, greatest)| (micros(least), micros(greatest)))
}

fn least_and_greatest(times: impl Iterator<Item = i64>) -> Option<(i64, i64)> {
    times
        .map(|time| (time, time))
        .reduce(|(least, greatest), (time, _)| (least.min(time), greatest.max(time)))
}

fn widest(a: Option<(i128, i128)>, b: Option<(i128, i128)>) -> Option<(i128, i128)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}
