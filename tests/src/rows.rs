//! Rows as sources supply them: plain ones in any number, and ones that hurt. All deterministic.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// 2023-07-28T00:00:00Z, where the intervals of these tests begin.
pub const START_MICROS: i64 = 1_690_502_400_000_000;
/// One hour.
pub const HOUR_MICROS: i64 = 3_600_000_000;

/// A column of JSON text, marked as such.
fn json_field(name: &str) -> Field {
    let mark = [("ARROW:extension:name".to_owned(), "arrow.json".to_owned())];
    Field::new(name, DataType::Utf8, true).with_metadata(mark)
}

fn timestamp_field(name: &str) -> Field {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Field::new(name, utc, true)
}

/// The schema of the events model.
pub fn events_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("uuid"),
        text("event"),
        text("distinct_id"),
        text("person_id"),
        json_field("properties"),
        json_field("person_properties"),
        text("elements_chain"),
        timestamp_field("timestamp"),
        timestamp_field("created_at"),
        timestamp_field("_inserted_at"),
    ]))
}

/// Columns of events, row by row, before they become arrays.
#[derive(Debug, Clone, Default)]
pub struct Event {
    pub uuid: Option<String>,
    pub event: Option<String>,
    pub distinct_id: Option<String>,
    pub properties: Option<String>,
    pub person_properties: Option<String>,
    pub elements_chain: Option<String>,
    pub timestamp_micros: Option<i64>,
}

/// One batch of events; `_inserted_at` is within the tests' first hour whatever `timestamp` is.
pub fn events_batch(events: &[Event]) -> RecordBatch {
    let text = |of: fn(&Event) -> &Option<String>| -> ArrayRef {
        Arc::new(events.iter().map(|event| of(event).as_deref()).collect::<StringArray>())
    };
    let times = |values: Vec<Option<i64>>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
    };
    let inserted = (0..events.len() as i64).map(|row| Some(START_MICROS + row)).collect();
    let columns = vec![
        text(|event| &event.uuid),
        text(|event| &event.event),
        text(|event| &event.distinct_id),
        text(|event| &event.distinct_id),
        text(|event| &event.properties),
        text(|event| &event.person_properties),
        text(|event| &event.elements_chain),
        times(events.iter().map(|event| event.timestamp_micros).collect()),
        times(events.iter().map(|event| event.timestamp_micros).collect()),
        times(inserted),
    ];
    RecordBatch::try_new(events_schema(), columns).expect("columns match the schema")
}

/// Plain events, about 500 bytes each, no two alike.
pub fn plain_events(count: usize) -> Vec<Event> {
    let names = ["$pageview", "$autocapture", "signed up", "$identify"];
    (0..count)
        .map(|row| {
            // A multiplicative hash: spread, so that compression is neither perfect nor useless.
            let spread = (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            Event {
                uuid: Some(format!("0189a0b0-{:04x}-7000-8000-{:012x}", row & 0xffff, spread >> 16)),
                event: Some(names[spread as usize % names.len()].to_owned()),
                distinct_id: Some(format!("user-{}", spread % 997)),
                properties: Some(format!(
                    r#"{{"$current_url":"https://example.com/page/{}","$browser":"Firefox","$session_id":"{spread:016x}","n":{row},"price":1.10}}"#,
                    spread % 331
                )),
                person_properties: Some(r#"{"email":"someone@example.com"}"#.to_owned()),
                elements_chain: (row % 3 == 0).then(|| format!("a:href=\"/{row}\";div:nth-child=\"2\"")),
                timestamp_micros: Some(START_MICROS + (row as i64 * 997) % HOUR_MICROS),
            }
        })
        .collect()
}

/// Events that are legal and hurt: nulls, emptiness, control characters, numbers no float holds, times out of range,
/// JSON that is broken in every way.
pub fn hard_events() -> Vec<Event> {
    let controls: String = (1..32).filter_map(char::from_u32).collect();
    let nested = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let json = [
        "{}",
        "null",
        "",
        " ",
        "not json",
        "{\"open\":",
        "{\"a\":1}{\"b\":2}",
        r#"{"big":1234567890123456789012345678901234567890,"price":1.10,"exp":1e400}"#,
        r#"{"a":1,"a":2,"b":{"a":3}}"#,
        r#"{"lone":"\ud800","pair":"\ud83d\ude00","low":"\udc00"}"#,
        "{\"raw\":\"line\nbreak\ttab\u{1}\"}",
        "{\n  \"pretty\" : [ 1,\r\n 2 ]\n}",
        r#"{"nan":NaN}"#,
        r#"{"quote":"\"","slash":"\/","nul":"\u0000"}"#,
        "\u{feff}{\"bom\":true}",
    ];
    let texts = [
        "",
        " ",
        "null",
        "\"quoted\", with comma",
        "日本語 😀 e\u{301}",
        &controls,
        "\u{0}",
    ];
    let times = [
        0,
        -1,
        -62_135_596_800_000_000,
        253_402_300_800_000_000,
        i64::MAX,
        i64::MIN,
        START_MICROS + 123_456,
    ];
    let mut events: Vec<Event> = json
        .iter()
        .copied()
        .chain([nested.as_str()])
        .map(|text| Event {
            event: Some("json".into()),
            properties: Some(text.to_owned()),
            ..Event::default()
        })
        .collect();
    events.extend(texts.iter().map(|text| Event {
        uuid: Some((*text).to_owned()),
        event: Some((*text).to_owned()),
        distinct_id: Some((*text).to_owned()),
        elements_chain: Some((*text).to_owned()),
        ..Event::default()
    }));
    events.extend(times.map(|micros| Event {
        event: Some("time".into()),
        timestamp_micros: Some(micros),
        ..Event::default()
    }));
    events.push(Event::default());
    for (row, event) in events.iter_mut().enumerate() {
        event.uuid.get_or_insert_with(|| format!("hard-{row}"));
    }
    events
}

/// Floats and integers at their ends, in a model of the tests' own.
pub fn numbers_batch() -> RecordBatch {
    let floats = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        f64::MIN_POSITIVE,
        f64::MAX,
        0.1,
    ];
    let integers = [i64::MIN, i64::MAX, 0, -1, 1 << 53, (1 << 53) + 1, 7];
    let inserted: Vec<i64> = (0..floats.len() as i64).map(|row| START_MICROS + row).collect();
    let schema = Schema::new(vec![
        Field::new("float", DataType::Float64, true),
        Field::new("integer", DataType::Int64, true),
        timestamp_field("_inserted_at"),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(floats.to_vec())),
        Arc::new(Int64Array::from(integers.to_vec())),
        Arc::new(TimestampMicrosecondArray::from(inserted).with_timezone("UTC")),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).expect("columns match the schema")
}

/// The same rows in batches whose sizes follow the pattern, repeated.
pub fn rebatched(batch: &RecordBatch, sizes: &[usize]) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut at = 0;
    for size in sizes.iter().copied().cycle() {
        let size = size.min(batch.num_rows() - at);
        batches.push(batch.slice(at, size));
        at += size;
        if at == batch.num_rows() {
            return batches;
        }
    }
    batches
}
