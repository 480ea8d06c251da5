//! The same rows give the same bytes, whatever batches they came in: random schemas, rows and boundaries.

use std::sync::Arc;

use arrow::array::{StringArray, UInt32Array};
use proptest::prelude::*;

use super::columns::{Draw, KINDS, column};
use super::*;

/// Nulls among the values, as many as catch whatever treats them in another way.
const OFTEN_NULL: u64 = 5;
/// A null in some blocks and none in others.
const SELDOM_NULL: u64 = 9_000;

fn batch_of(kinds: &[usize], draw: Draw) -> RecordBatch {
    let columns = kinds.iter().enumerate().map(|(index, kind)| {
        let draw = Draw {
            seed: draw.seed.wrapping_add(index as u64 * 77),
            ..draw
        };
        (format!("c{index}"), column(*kind, draw), true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Returns the batch cut after each of the rows in `cuts`; the pieces of every second copied, so that they share
/// nothing.
fn cut(batch: &RecordBatch, mut cuts: Vec<usize>) -> Vec<RecordBatch> {
    cuts.iter_mut().for_each(|cut| *cut %= batch.num_rows() + 1);
    cuts.sort_unstable();
    cuts.push(batch.num_rows());
    let mut from = 0;
    let mut pieces = Vec::new();
    for (index, to) in cuts.into_iter().enumerate() {
        let piece = batch.slice(from, to - from);
        pieces.push(if index % 2 == 0 { piece } else { copy(&piece) });
        from = to;
    }
    pieces
}

fn copy(batch: &RecordBatch) -> RecordBatch {
    let rows = UInt32Array::from_iter_values(0..batch.num_rows() as u32);
    arrow::compute::take_record_batch(batch, &rows).unwrap()
}

fn format() -> impl Strategy<Value = Format> {
    prop::sample::select(every_format())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn batch_boundaries_leave_no_trace(
        kinds in prop::collection::vec(0..KINDS, 1..6),
        rows in 1..400_usize,
        seed in any::<u64>(),
        cuts in prop::collection::vec(any::<u16>().prop_map(usize::from), 0..12),
        format in format(),
        limit in prop::option::of(1..20_000_u64),
        json in prop::collection::vec(any::<bool>(), 0..3),
        (max_rows, max_bytes) in (1..100_usize, 1..5_000_u64),
    ) {
        let limits = BlockLimits { max_rows, max_bytes, max_row_bytes: 1 << 20 };
        let batch = batch_of(&kinds, Draw { rows, seed, null_one_in: OFTEN_NULL });
        let whole = export(std::slice::from_ref(&batch), format, limit, &json, limits).unwrap();
        let pieces = cut(&batch, cuts);
        let cut = export(&pieces, format, limit, &json, limits).unwrap();
        prop_assert_eq!(whole.len(), cut.len());
        for (a, b) in whole.iter().zip(&cut) {
            prop_assert_eq!(a.rows, b.rows);
            prop_assert_eq!(a.bytes_encoded, b.bytes_encoded);
            prop_assert_eq!(a.repairs, b.repairs);
            prop_assert!(a.bytes == b.bytes);
        }
        prop_assert_eq!(whole.iter().map(|file| file.rows).sum::<u64>(), rows as u64);
    }

    #[test]
    fn random_rows_read_back(
        kinds in prop::collection::vec(0..KINDS, 1..6),
        rows in 1..200_usize,
        seed in any::<u64>(),
    ) {
        let batch = batch_of(&kinds, Draw { rows, seed, null_one_in: OFTEN_NULL });
        let file = one_file(std::slice::from_ref(&batch), Format::Parquet(ParquetCodec::Zstd(1)), &[]);
        let (read, _) = parquet_files::read(&file.bytes);
        // The same text from what was read as from what was written: one comparison for all types.
        let lines = |batch: &RecordBatch| one_file(std::slice::from_ref(batch), LINES, &[]).bytes;
        prop_assert!(lines(&read) == lines(&batch));
        for line in String::from_utf8(lines(&batch)).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            prop_assert_eq!(row.as_object().unwrap().len(), kinds.len());
        }
    }
}

/// Returns the cuts of a file into so many of equal size, and of others that a seed draws.
fn cuts_of(rows: usize, seed: u64) -> Vec<Vec<usize>> {
    let equal = |pieces: usize| (1..pieces).map(|piece| piece * rows / pieces).collect();
    let mut state = seed;
    let random = (0..17)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state as usize >> 16
        })
        .collect();
    vec![equal(2), equal(100), random]
}

/// With the limits of an export: pages that fill up, dictionaries that overflow, blocks with and without a null.
#[test]
fn every_type_gives_the_same_pages_from_1_2_100_and_random_batches() {
    let rows = 45_000;
    for kind in 0..KINDS {
        for null_one_in in [SELDOM_NULL, 700] {
            let seed = 0x5EED_0000 + kind as u64;
            let draw = Draw {
                rows,
                seed,
                null_one_in,
            };
            let batch = batch_of(&[kind], draw);
            let format = Format::Parquet(ParquetCodec::None);
            let whole = one_file(std::slice::from_ref(&batch), format, &[]);
            for cuts in cuts_of(rows, seed) {
                let pieces = cut(&batch, cuts.clone());
                let again = one_file(&pieces, format, &[]);
                assert!(
                    whole.bytes == again.bytes,
                    "{draw:?}, {}: {} bytes whole, {} cut at {cuts:?}",
                    batch.schema().field(0).data_type(),
                    whole.bytes.len(),
                    again.bytes.len(),
                );
            }
        }
    }
}

/// All columns at once, in every format: blocks end by their bytes, files by their limit.
#[test]
fn wide_rows_give_the_same_files_from_1_2_100_and_random_batches() {
    let rows = 6_000;
    let kinds: Vec<usize> = (0..KINDS).collect();
    for format in every_format() {
        let seed = 0x0DD_5EED;
        let draw = Draw {
            rows,
            seed,
            null_one_in: 1_500,
        };
        let batch = batch_of(&kinds, draw);
        let files = |batches: &[RecordBatch]| -> Vec<Vec<u8>> {
            let files = export(batches, format, Some(1 << 20), &[], limits()).unwrap();
            files.into_iter().map(|file| file.bytes).collect()
        };
        let whole = files(std::slice::from_ref(&batch));
        for cuts in cuts_of(rows, seed) {
            let again = files(&cut(&batch, cuts.clone()));
            assert!(whole == again, "{format:?}, {draw:?}, cut at {cuts:?}");
        }
    }
}

#[test]
fn blocks_obey_both_limits() {
    let texts: Vec<String> = [10, 10, 10, 80, 10, 10, 10, 10, 10, 10].map(|n| "x".repeat(n)).to_vec();
    let batch = RecordBatch::try_from_iter([("c", Arc::new(StringArray::from(texts)) as ArrayRef)]).unwrap();
    let layout = Layout::new(&batch.schema(), LINES, None, &[]).unwrap();
    // A row counts its text and four bytes of length.
    let limits = BlockLimits {
        max_rows: 4,
        max_bytes: 42,
        max_row_bytes: 84,
    };
    let mut rechunker = Rechunker::new(&layout, limits);
    let mut blocks = rechunker.push(&batch.slice(0, 5)).unwrap();
    blocks.extend(rechunker.push(&batch.slice(5, 5)).unwrap());
    blocks.extend(rechunker.finish().unwrap());
    let blocks: Vec<_> = blocks
        .iter()
        .map(|block| (block.first_row, block.rows.num_rows()))
        .collect();
    assert_eq!(blocks, [(0, 3), (3, 1), (4, 3), (7, 3)]);
}
