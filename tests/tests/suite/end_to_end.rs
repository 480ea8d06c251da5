//! Rows through the real component into a store that verifies signatures, and back through decoders that did not
//! write them: every format and codec, in one file and split.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, NullArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use batch_export_sandbox::Limits;
use batch_export_tests::read;
use batch_export_tests::rows::{Event, events_batch, hard_events, numbers_batch, plain_events, rebatched};
use batch_export_tests::scene::{BUCKET, Messages, Outcome, Scene};
use serde_json::{Value, json};

/// Every cell of the table of formats and codecs, with the ending of its files.
const CELLS: [(&str, Option<&str>, &str); 10] = [
    ("JSONLines", None, ".jsonl"),
    ("JSONLines", Some("gzip"), ".jsonl.gz"),
    ("JSONLines", Some("brotli"), ".jsonl.br"),
    ("JSONLines", Some("zstd"), ".jsonl.zst"),
    ("Parquet", None, ".parquet"),
    ("Parquet", Some("gzip"), ".parquet.gz"),
    ("Parquet", Some("brotli"), ".parquet.br"),
    ("Parquet", Some("zstd"), ".parquet.zst"),
    ("Parquet", Some("lz4"), ".parquet.lz4"),
    ("Parquet", Some("snappy"), ".parquet.sz"),
];

fn configuration(scene: &Scene, format: &str, codec: Option<&str>, further: Value) -> Value {
    let mut configuration = scene.configuration("exports/", json!({"file_format": format}));
    if let Some(codec) = codec {
        configuration["compression"] = json!(codec);
    }
    for (name, value) in further.as_object().expect("an object") {
        configuration[name] = value.clone();
    }
    configuration
}

async fn export(scene: &Scene, configuration: &Value, batches: &[RecordBatch]) -> Outcome {
    scene.export("attempt-1", configuration, batches).await
}

/// What a JSON Lines row of the event should hold, written down independently of the plugin.
fn expected(event: &Event, row: usize) -> Value {
    let time = |micros: Option<i64>| {
        micros.map(|micros| {
            let time = chrono::DateTime::from_timestamp_micros(micros).expect("in range");
            let fraction = if micros % 1_000_000 == 0 { "" } else { "%.6f" };
            time.format(&format!("%Y-%m-%dT%H:%M:%S{fraction}+00:00")).to_string()
        })
    };
    let nested = |text: &Option<String>| {
        text.as_deref()
            .map(|text| serde_json::from_str::<Value>(text).expect("JSON"))
    };
    json!({
        "uuid": event.uuid,
        "event": event.event,
        "distinct_id": event.distinct_id,
        "person_id": event.distinct_id,
        "properties": nested(&event.properties),
        "person_properties": nested(&event.person_properties),
        "elements_chain": event.elements_chain,
        "timestamp": time(event.timestamp_micros),
        "created_at": time(event.timestamp_micros),
        "_inserted_at": time(Some(batch_export_tests::rows::START_MICROS + row as i64)),
    })
}

/// Value by value, whatever the format.
fn assert_same(files: &[(String, Vec<u8>)], batch: &RecordBatch, events: &[Event]) {
    if files[0].0.contains(".parquet") {
        let read: Vec<_> = files.iter().map(|(_, bytes)| read::parquet(bytes)).collect();
        let read = arrow::compute::concat_batches(&read[0].schema(), &read).expect("one schema");
        assert_eq!(read.num_rows(), batch.num_rows());
        for (name, column) in batch
            .schema()
            .fields()
            .iter()
            .map(|field| field.name())
            .zip(batch.columns())
        {
            let found = read.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
            assert_eq!(found, column, "column {name}");
        }
    } else {
        let read: Vec<Value> = files
            .iter()
            .flat_map(|(key, bytes)| read::json_lines(key, bytes))
            .collect();
        assert_eq!(read.len(), events.len());
        for (row, (found, event)) in read.iter().zip(events).enumerate() {
            assert_eq!(*found, expected(event, row), "row {row}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_and_codec_reads_back_equal_from_one_file() {
    let events = plain_events(5_000);
    let batch = events_batch(&events);
    for (format, codec, ending) in CELLS {
        let scene = Scene::new().await;
        let configuration = configuration(&scene, format, codec, json!({}));
        let outcome = export(&scene, &configuration, &rebatched(&batch, &[1_700])).await;
        assert_eq!(outcome.report().rows_exported, 5_000, "{format} {codec:?}");
        let files = scene.files(&outcome);
        let stem = "exports/2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00";
        assert_eq!(scene.store.keys(BUCKET), [format!("{stem}{ending}")]);
        assert_same(&files, &batch, &events);
        assert_eq!(scene.store.open_uploads(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_and_codec_splits_numbers_and_lists_its_files() {
    let events = plain_events(40_000);
    let batch = events_batch(&events);
    for (format, codec, ending) in CELLS {
        let scene = Scene::new().await;
        let configuration = configuration(&scene, format, codec, json!({"max_file_size_mb": 1}));
        let outcome = export(&scene, &configuration, &rebatched(&batch, &[7_000, 1, 300])).await;
        let files = scene.files(&outcome);
        let stem = "exports/2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00";
        for (number, (key, bytes)) in files.iter().enumerate() {
            assert_eq!(*key, format!("{stem}-{number}{ending}"));
            let last = number + 1 == files.len();
            assert!(
                last || bytes.len() >= 1 << 20,
                "{key} was closed at {} bytes",
                bytes.len()
            );
        }
        assert_same(&files, &batch, &events);
        let manifest = scene
            .store
            .object(BUCKET, &format!("{stem}_manifest.json"))
            .expect("a manifest");
        let manifest: Value = serde_json::from_slice(&manifest.bytes).expect("JSON");
        let keys: Vec<&String> = files.iter().map(|(key, _)| key).collect();
        assert_eq!(manifest, json!({"files": keys}));
        // The manifest is last: whoever sees it sees every file.
        let written = scene.store.requests();
        let last = written
            .iter()
            .rev()
            .find(|request| request.status == Some(200))
            .expect("requests");
        assert!(last.path.ends_with("_manifest.json"), "{}", last.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_hurt_arrive_each_once_and_in_order() {
    let events = hard_events();
    let batch = events_batch(&events);
    let uuids = batch.column(0).clone();
    let uuids = uuids.as_any().downcast_ref::<StringArray>().expect("text");
    for (format, codec, _) in [CELLS[1], CELLS[7]] {
        let scene = Scene::new().await;
        let configuration = configuration(&scene, format, codec, json!({}));
        let outcome = export(&scene, &configuration, &rebatched(&batch, &[1, 0, 5])).await;
        let (key, bytes) = &scene.files(&outcome)[0];
        if format == "Parquet" {
            let read = read::parquet(bytes);
            for (name, column) in batch
                .schema()
                .fields()
                .iter()
                .map(|field| field.name())
                .zip(batch.columns())
            {
                assert_eq!(read.column_by_name(name).expect("a column"), column, "column {name}");
            }
        } else {
            // Nesting beyond a parser's patience is still one line each; the identifiers tell that none is lost.
            let text = String::from_utf8(read::decoded(key, bytes)).expect("UTF-8");
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), events.len());
            for (line, uuid) in lines.iter().zip(uuids) {
                let uuid = serde_json::to_string(uuid.expect("all have one")).expect("JSON");
                assert!(line.starts_with(&format!("{{\"uuid\":{uuid},")), "{line:.100}");
                assert!(!line.contains(|c: char| c < ' '), "{line:.100}");
            }
            assert!(text.contains(r#""big":1234567890123456789012345678901234567890,"price":1.10"#));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_at_their_ends_survive() {
    let batch = numbers_batch();
    let mut run = batch_export_tests::scene::run();
    run.model = "numbers".into();
    let scene = Scene::new().await;
    let configuration = configuration(&scene, "JSONLines", None, json!({}));
    let messages = Messages::of(std::slice::from_ref(&batch));
    let plugin = scene.destination();
    let outcome = scene
        .run_as(&run, &plugin, &configuration, &messages, Limits::default())
        .await;
    let (key, bytes) = &scene.files(&outcome)[0];
    let text = String::from_utf8(read::decoded(key, bytes)).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[..3] {
        assert!(line.starts_with(r#"{"float":null,"#), "{line}");
    }
    assert!(
        lines[0].contains("-9223372036854775808") && lines[1].contains("9223372036854775807"),
        "{text}"
    );
    assert!(lines[5].contains("9007199254740993"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_rows_succeeds_and_leaves_nothing() {
    for further in [json!({}), json!({"max_file_size_mb": 1})] {
        let scene = Scene::new().await;
        let configuration = configuration(&scene, "Parquet", Some("zstd"), further);
        let outcome = export(&scene, &configuration, &[events_batch(&[])]).await;
        assert_eq!(outcome.report().rows_exported, 0);
        assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new());
        assert_eq!(scene.store.open_uploads(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_overlap_each_other_and_the_encoding() {
    let scene = Scene::new().await;
    let events = plain_events(60_000);
    let batch = events_batch(&events);
    let configuration = configuration(&scene, "JSONLines", None, json!({}));
    // The first part is answered late, so that whoever waits for it before sending the next shows it. The delay is
    // far more than encoding the next part takes on a busy machine.
    let slow = devstore::Fault::on(devstore::Operation::UploadPart, devstore::What::Delay(3_000));
    let slow = slow.nth(1);
    scene.store.set_faults(vec![slow]);
    let outcome = export(&scene, &configuration, &rebatched(&batch, &[5_000])).await;
    let requests = scene.store.requests();
    let parts: Vec<_> = requests
        .iter()
        .filter(|r| r.operation == devstore::Operation::UploadPart)
        .collect();
    assert!(parts.len() >= 3, "{} parts", parts.len());
    assert!(
        parts.windows(2).any(|pair| pair[0].overlaps(pair[1])),
        "parts went one after the other"
    );
    assert_same(&scene.files(&outcome), &batch, &events);
}

/// Six bytes of text for each of the row: what the component has memory for arrives, more is refused by name.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_grow_in_json_arrive_or_are_named_and_never_crash_the_component() {
    let scene = Scene::new().await;
    let configuration = scene.configuration("exports/", json!({"compression": "zstd"}));
    let with_elements = |chain: String| {
        let mut rows = plain_events(3);
        rows[1].elements_chain = Some(chain);
        events_batch(&rows)
    };
    let fits = with_elements("\u{1}".repeat(21 << 20));
    let outcome = scene.export("attempt-1", &configuration, &[fits]).await;
    assert_eq!(outcome.report().rows_exported, 3);
    let (key, bytes) = &scene.files(&outcome)[0];
    let text = String::from_utf8(read::decoded(key, bytes)).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1].matches("\\u0001").count(), 21 << 20);

    let grows = with_elements("\u{1}".repeat(31 << 20));
    let outcome = scene.export("attempt-2", &configuration, &[grows]).await;
    let error = outcome.error();
    assert!(error.starts_with("row 1 (counted from 0"), "{error}");
    assert!(error.contains("shorten the row in the source"), "{error}");
}

/// 48 Mi structs of a null are eight to a byte in a message: counting them shall not take 384 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn values_that_take_no_bytes_are_refused_before_they_take_memory() {
    const ELEMENTS: usize = 48 << 20;
    let nulls: ArrayRef = Arc::new(NullArray::new(ELEMENTS));
    let fields = Fields::from(vec![Field::new("n", DataType::Null, true)]);
    let structs = StructArray::try_new(fields, vec![nulls], None).expect("structs");
    let item = Arc::new(Field::new("item", structs.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([ELEMENTS]);
    let list: ArrayRef = Arc::new(ListArray::new(item, offsets, Arc::new(structs), None));
    // The body that the claim is held against: a byte may be eight values.
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(ELEMENTS / 8)]));
    let batch = RecordBatch::try_from_iter([("list", list), ("text", text)]).expect("a batch");
    let mut run = batch_export_tests::scene::run();
    run.model = "nulls".into();
    let scene = Scene::new().await;
    let configuration = configuration(&scene, "JSONLines", None, json!({}));
    let messages = Messages::of(std::slice::from_ref(&batch));
    let plugin = scene.destination();
    let outcome = scene
        .run_as(&run, &plugin, &configuration, &messages, Limits::default())
        .await;
    let error = outcome.error();
    assert!(
        error.contains("nested values, more than the limit of 25165824"),
        "{error}"
    );
}
