//! The same rows give the same bytes, whatever batches they came in: random schemas, rows and boundaries.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use proptest::prelude::*;

use super::*;

/// A column of `rows` values (nulls among them) of a kind, drawn from `seed`.
fn column(kind: usize, rows: usize, seed: u64) -> ArrayRef {
    let draw = |row: usize| {
        let mixed = (seed ^ row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 29)
    };
    let some = |row: usize| (!draw(row).is_multiple_of(5)).then(|| draw(row) >> 8);
    let text = |row: usize| some(row).map(|n| "\u{e9}\"x".repeat(n as usize % 40));
    let all = || 0..rows;
    match kind % 9 {
        0 => Arc::new(
            all()
                .map(some)
                .map(|n| n.map(|n| n as i64))
                .collect::<Int64Array>(),
        ),
        1 => Arc::new(all().map(text).collect::<StringArray>()),
        2 => Arc::new(all().map(text).collect::<StringViewArray>()),
        3 => {
            let texts: Vec<_> = all().map(text).collect();
            let dictionary = texts.iter().map(Option::as_deref);
            Arc::new(dictionary.collect::<DictionaryArray<Int16Type>>())
        }
        4 => Arc::new(
            all()
                .map(some)
                .map(|n| n.map(|n| n as f64 / 7.0))
                .collect::<Float64Array>(),
        ),
        5 => Arc::new(
            all()
                .map(some)
                .map(|n| n.map(|n| n % 2 == 0))
                .collect::<BooleanArray>(),
        ),
        6 => Arc::new(
            all()
                .map(some)
                .map(|n| n.map(|n| n as i64))
                .collect::<TimestampNanosecondArray>(),
        ),
        7 => {
            let lists = all().map(|row| {
                some(row).map(|n| (0..n % 5).map(move |m| (m != 2).then_some(m as i32)))
            });
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))
        }
        _ => {
            let fields = Fields::from(vec![
                Field::new("a", DataType::Utf8, true),
                Field::new("b", DataType::Int64, true),
            ]);
            let columns = vec![column(1, rows, seed ^ 1), column(0, rows, seed ^ 2)];
            let nulls = all().map(|row| some(row).is_some()).collect::<Vec<_>>();
            Arc::new(StructArray::new(fields, columns, Some(nulls.into())))
        }
    }
}

fn batch_of(kinds: &[usize], rows: usize, seed: u64) -> RecordBatch {
    let columns = kinds.iter().enumerate().map(|(index, kind)| {
        (
            format!("c{index}"),
            column(*kind, rows, seed.wrapping_add(index as u64 * 77)),
            true,
        )
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// The batch cut after each of the rows in `cuts`; the pieces of every second copied, so that they share nothing.
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
        kinds in prop::collection::vec(0..9_usize, 1..6),
        rows in 1..400_usize,
        seed in any::<u64>(),
        cuts in prop::collection::vec(any::<u16>().prop_map(usize::from), 0..12),
        format in format(),
        limit in prop::option::of(1..20_000_u64),
        json in prop::collection::vec(any::<bool>(), 0..3),
        (max_rows, max_bytes) in (1..100_usize, 1..5_000_u64),
    ) {
        let limits = BlockLimits { max_rows, max_bytes, max_row_bytes: 1 << 20 };
        let batch = batch_of(&kinds, rows, seed);
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
        kinds in prop::collection::vec(0..9_usize, 1..6),
        rows in 1..200_usize,
        seed in any::<u64>(),
    ) {
        let batch = batch_of(&kinds, rows, seed);
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

#[test]
fn blocks_obey_both_limits() {
    let texts: Vec<String> = [10, 10, 10, 80, 10, 10, 10, 10, 10, 10]
        .map(|n| "x".repeat(n))
        .to_vec();
    let batch = RecordBatch::try_from_iter([("c", Arc::new(StringArray::from(texts)) as ArrayRef)])
        .unwrap();
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
