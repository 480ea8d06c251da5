//! Where files end, how large rows may be, and what the widest and the smallest inputs do.

use std::sync::Arc;

use arrow::array::{Array, BinaryArray, BooleanArray, ListArray, NullArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};

use super::*;

const MIB: u64 = 1 << 20;

fn longest_line(text: &str) -> u64 {
    text.split_inclusive('\n').map(str::len).max().unwrap_or(0) as u64
}

/// Rows that no codec can make smaller than three quarters.
fn noise(rows: usize, row_bytes: usize) -> RecordBatch {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let values: Vec<Vec<u8>> = (0..rows)
        .map(|_| {
            (0..row_bytes)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    (state >> 32) as u8
                })
                .collect()
        })
        .collect();
    let column = BinaryArray::from_iter_values(values);
    RecordBatch::try_from_iter([("blob", Arc::new(column) as ArrayRef)]).unwrap()
}

#[test]
fn a_json_lines_file_ends_at_most_one_record_past_its_limit() {
    let levels = [
        JsonLinesCodec::Gzip(0),
        JsonLinesCodec::Gzip(9),
        JsonLinesCodec::Brotli(0),
        JsonLinesCodec::Brotli(9),
        JsonLinesCodec::Zstd(19),
    ];
    for codec in LINES_CODECS.into_iter().chain(levels) {
        for (batch, limit) in [
            (events(0, 12_000), 100_000),
            (events(0, 3_000), 5_000),
            (events(0, 300), 1),
            (noise(3_000, 300), 200_000),
            (noise(40, 100_000), 500_000),
        ] {
            let rows = batch.num_rows() as u64;
            let format = Format::JsonLines(codec);
            let files = export(&[batch], format, Some(limit), &[], limits()).unwrap();
            assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), rows);
            assert!(files.len() > 1, "{codec:?} {limit}");
            for (index, file) in files.iter().enumerate() {
                let text = text_of(&file.bytes, codec);
                assert_eq!(text.lines().count() as u64, file.rows);
                assert_eq!(text.len() as u64, file.bytes_encoded);
                assert!(file.rows > 0, "no empty file");
                let size = file.bytes.len() as u64;
                let most = limit + json_lines_overshoot_bytes(codec, longest_line(&text));
                // A full file has less than its limit without its last record.
                assert!(size < most, "{codec:?}, limit {limit}: {size} bytes, at most {most}");
                if index + 1 < files.len() {
                    assert!(size >= limit, "{codec:?}, limit {limit}: {size} bytes");
                }
            }
        }
    }
}

/// A codec that is not told how much is to come may choose tables for little: brotli did, and its files were larger
/// than gzip's.
#[test]
fn a_better_codec_makes_smaller_files() {
    let batches = [events(0, 60_000)];
    let size = |codec| one_file(&batches, Format::JsonLines(codec), &[]).bytes.len();
    let gzip = size(JsonLinesCodec::Gzip(6));
    let brotli = size(JsonLinesCodec::Brotli(5));
    assert!(brotli < gzip, "brotli {brotli} bytes, gzip {gzip}");
    assert!(brotli < size(JsonLinesCodec::Brotli(4)), "brotli 5: {brotli}");
}

#[test]
fn splitting_hardly_costs_compression() {
    let batches = [events(0, 60_000)];
    for codec in &LINES_CODECS[1..] {
        let format = Format::JsonLines(*codec);
        let whole = one_file(&batches, format, &[]).bytes.len();
        let limit = Some(whole as u64 / 2);
        let files = export(&batches, format, limit, &[], limits()).unwrap();
        let split: usize = files.iter().map(|file| file.bytes.len()).sum();
        assert!(
            split < whole + whole / 20,
            "{codec:?}: {whole} bytes whole, {split} split"
        );
    }
}

#[test]
fn a_parquet_file_ends_at_most_a_few_mib_past_its_limit() {
    for codec in PARQUET_CODECS {
        let batches: Vec<_> = (0..8).map(|part| noise_with_ids(part, 8_000)).collect();
        for limit in [MIB, 5 * MIB] {
            let format = Format::Parquet(codec);
            let files = export(&batches, format, Some(limit), &[], limits()).unwrap();
            assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 64_000);
            assert!(files.len() > 1);
            for (index, file) in files.iter().enumerate() {
                let size = file.bytes.len() as u64;
                let most = limit + parquet_overshoot_bytes(2, 16, MIB);
                assert!(size < most, "{codec:?}, limit {limit}: {size} bytes, at most {most}");
                if index + 1 < files.len() {
                    assert!(size >= limit, "{codec:?}, limit {limit}: {size} bytes");
                }
            }
        }
    }
}

fn noise_with_ids(part: usize, rows: usize) -> RecordBatch {
    let blob = noise(rows, 300).column(0).clone();
    let first = (part * rows) as i64;
    let ids = Int64Array::from_iter_values(first..first + rows as i64);
    RecordBatch::try_from_iter([("id", Arc::new(ids) as ArrayRef), ("blob", blob)]).unwrap()
}

#[test]
fn a_file_that_the_last_row_fills_is_not_followed_by_an_empty_one() {
    let batch = events(0, 10);
    for format in every_format() {
        let files = export(std::slice::from_ref(&batch), format, Some(1), &[], limits()).unwrap();
        assert!(files.iter().all(|file| file.rows > 0), "{format:?}");
    }
}

#[test]
fn a_row_of_30_mib_is_a_block_of_its_own_and_one_over_the_limit_is_named() {
    let large = "x".repeat(30 << 20);
    let column: ArrayRef = Arc::new(StringArray::from(vec!["a", &large, "b"]));
    let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
    for format in [
        LINES,
        Format::JsonLines(JsonLinesCodec::Zstd(1)),
        Format::Parquet(ParquetCodec::Zstd(1)),
    ] {
        let layout = Layout::new(&batch.schema(), format, None, &[]).unwrap();
        let mut rechunker = Rechunker::new(&layout, limits());
        let mut blocks = rechunker.push(&batch).unwrap();
        blocks.extend(rechunker.finish().unwrap());
        let rows: Vec<_> = blocks.iter().map(|b| (b.first_row, b.rows.num_rows())).collect();
        assert_eq!(rows, [(0, 1), (1, 1), (2, 1)]);
        assert_eq!(one_file(std::slice::from_ref(&batch), format, &[]).rows, 3);

        let limits = BlockLimits::of_export(20 << 20);
        let batches = [batch.slice(2, 1), batch.clone()];
        let error = export(&batches, format, None, &[], limits).err().unwrap();
        assert_eq!(
            error.to_string(),
            "row 2 (counted from 0 in this run, excluding filtered rows) holds 31,457,284 bytes, more than the limit \
             of 20,971,520"
        );
        assert_eq!(error.hint(), Some("raise max_row_mb, or shorten the row in the source"));
        assert!(matches!(Failure::from(error), Failure::Data(_)));
    }
}

/// Lists of nulls take four bytes each whatever they hold, and structs of nothing but nulls none at all.
#[test]
fn values_that_take_no_bytes_take_no_memory_to_be_counted() {
    const ELEMENTS: usize = 48 << 20;
    let nulls: ArrayRef = Arc::new(NullArray::new(ELEMENTS));
    let field = Arc::new(Field::new("n", DataType::Null, true));
    let structs = StructArray::try_new(vec![field.clone()].into(), vec![nulls.clone()], None);
    let cases: [(ArrayRef, &str); 2] = [
        (nulls, "row 0 (counted from 0 in this run"),
        (Arc::new(structs.unwrap()), "a batch contains 50331649 nested values"),
    ];
    for (elements, expected) in cases {
        let item = Field::new("item", elements.data_type().clone(), true);
        let offsets = OffsetBuffer::from_lengths([ELEMENTS]);
        let list = ListArray::new(Arc::new(item), offsets, elements, None);
        let batch = RecordBatch::try_from_iter([("c", Arc::new(list) as ArrayRef)]).unwrap();
        let error = export(&[batch], LINES, None, &[], limits()).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// A list of structs repeats the struct's keys with every element; control characters take six bytes.
#[test]
fn a_row_whose_text_would_not_fit_into_memory_is_refused_before_it_is_written() {
    let key = "k".repeat(1_000);
    let field = Field::new(&key, DataType::Boolean, false);
    let elements = 200_000;
    let structs = StructArray::from(vec![(
        Arc::new(field.clone()),
        Arc::new(BooleanArray::from(vec![true; elements])) as ArrayRef,
    )]);
    let item = Field::new("item", DataType::Struct(vec![field].into()), false);
    let lengths = [1, elements - 1];
    let repeated = ListArray::new(
        Arc::new(item),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(structs),
        None,
    );
    let controls = StringArray::from(vec!["\u{1}", &"\u{1}".repeat(30 << 20)]);
    for (column, row, bytes) in [
        (Arc::new(repeated) as ArrayRef, 1, "204,798,992"),
        (Arc::new(controls), 0, "188,743,696"),
    ] {
        let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
        let error = export(&[batch], LINES, None, &[], limits()).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!(
                "row {row} (counted from 0 in this run, excluding filtered rows) would be about {bytes} bytes of JSON, \
                 more than 134,217,728 (control characters take six bytes, and keys are repeated in every element of a \
                 list)"
            )
        );
        assert_eq!(
            error.hint(),
            Some("shorten the row in the source, or export to Parquet")
        );
        assert!(matches!(
            Failure::from(error.counted_from(7)),
            Failure::Data(reason) if reason.message.starts_with(&format!("row {} (", row + 7))
        ));
    }
}

#[test]
fn blocks_share_the_memory_of_the_batch_that_covers_them() {
    let batch = events(0, 10_000);
    let layout = Layout::new(&batch.schema(), LINES, None, &[]).unwrap();
    let mut rechunker = Rechunker::new(&layout, limits());
    let blocks = rechunker.push(&batch).unwrap();
    assert!(blocks.len() > 1);
    let whole = batch.column(2).to_data();
    for block in blocks {
        let values = block.rows.column(2).to_data();
        assert_eq!(values.buffers()[1].as_ptr(), whole.buffers()[1].as_ptr());
    }
}

#[test]
fn a_thousand_columns_an_empty_batch_and_a_single_row() {
    let columns = (0..1000).map(|n| {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(n), None]));
        (format!("column {n}"), values, true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    for format in every_format() {
        let batches = [
            batch.slice(0, 0),
            batch.slice(0, 1),
            batch.slice(1, 0),
            batch.slice(1, 1),
        ];
        let file = one_file(&batches, format, &[]);
        assert_eq!(file.rows, 2);
        if let Format::JsonLines(codec) = format {
            let text = text_of(&file.bytes, codec);
            let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            assert_eq!(first.as_object().unwrap().len(), 1000);
            assert_eq!(first["column 999"], 999);
        }
        let nothing = export(&batches[..1], format, None, &[], limits()).unwrap();
        assert!(nothing.is_empty(), "no rows, no file");
    }
}
