//! Events of a web shop: page views, clicks and orders of about 900 bytes, with nested properties, Unicode, nulls and
//! numbers that careless JSON code breaks.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder, TimestampMicrosecondArray};
use arrow::error::ArrowError;

use super::Row;
use super::random::{PERSONS, Random, person_id};
use crate::model::Model;

const SALT: u64 = 0x6576_656e_7473;

/// Names by how often they occur.
const NAMES: [&str; 16] = [
    "$pageview",
    "$pageview",
    "$pageview",
    "$pageview",
    "$pageview",
    "$autocapture",
    "$autocapture",
    "$autocapture",
    "$pageleave",
    "$pageleave",
    "$identify",
    "$feature_flag_called",
    "product viewed",
    "product added",
    "order completed",
    "$exception",
];
const PATHS: [&str; 8] = [
    "/",
    "/products",
    "/products/rain-jacket",
    "/products/café-crème",
    "/cart",
    "/checkout",
    "/blog/日本語",
    "/search",
];
const BROWSERS: [(&str, &str); 4] = [
    (
        "Chrome",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    ),
    (
        "Firefox",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
    ),
    (
        "Safari",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    ),
    (
        "Mobile Safari",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
    ),
];
const CITIES: [(&str, &str); 6] = [
    ("Berlin", "DE"),
    ("São Paulo", "BR"),
    ("東京", "JP"),
    ("Zürich", "CH"),
    ("New York", "US"),
    ("Łódź", "PL"),
];
const NOTES: [&str; 4] = [
    "👍🏽",
    "line one\\nline two",
    "quote \\\" and backslash \\\\",
    "\\u00fcber",
];

/// Returns the event's name: what the event lists choose by.
pub(crate) fn name(row: Row) -> &'static str {
    Random::new(SALT, row.number).pick(&NAMES)
}

pub(crate) fn batch(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let columns = rows.len();
    let text = |bytes: usize| StringBuilder::with_capacity(columns, columns * bytes);
    let (mut uuids, mut names, mut distinct_ids, mut person_ids) = (text(36), text(16), text(36), text(36));
    let (mut properties, mut person_properties, mut chains) = (text(700), text(160), text(64));
    let mut buffer = String::with_capacity(2048);
    for row in rows {
        let mut random = Random::new(SALT, row.number);
        let name = random.pick(&NAMES);
        let person = random.below(PERSONS);
        let known = !random.one_in(4);

        add(&mut uuids, &mut buffer, |to| random.uuid().write(to));
        names.append_value(name);
        add(&mut distinct_ids, &mut buffer, |to| {
            if known {
                write!(to, "user-{person}@example.com").ok();
            } else {
                random.uuid().write(to);
            }
        });
        add(&mut person_ids, &mut buffer, |to| person_id(person).write(to));
        add(&mut properties, &mut buffer, |to| {
            write_properties(to, name, *row, &mut random)
        });
        if known {
            add(&mut person_properties, &mut buffer, |to| {
                write_person(to, person, &mut random);
            });
        } else {
            person_properties.append_null();
        }
        if name == "$autocapture" {
            chains.append_value(
                "button.primary:attr__class=\"primary\"nth-child=\"2\"nth-of-type=\"1\"text=\"In den Warenkorb\"",
            );
        } else {
            chains.append_null();
        }
    }
    let times: ArrayRef = Arc::new(
        TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.at_micros)).with_timezone("UTC"),
    );
    RecordBatch::try_new(
        Model::Events.schema(),
        vec![
            Arc::new(uuids.finish()),
            Arc::new(names.finish()),
            Arc::new(distinct_ids.finish()),
            Arc::new(person_ids.finish()),
            Arc::new(properties.finish()),
            Arc::new(person_properties.finish()),
            Arc::new(chains.finish()),
            times.clone(),
            times.clone(),
            times,
        ],
    )
}

fn add(column: &mut StringBuilder, buffer: &mut String, write: impl FnOnce(&mut String)) {
    buffer.clear();
    write(buffer);
    column.append_value(&buffer);
}

fn write_properties(to: &mut String, name: &str, row: Row, random: &mut Random) {
    let path = random.pick(&PATHS);
    let (browser, agent) = random.pick(&BROWSERS.each_ref());
    let (city, country) = random.pick(&CITIES.each_ref());
    // Writing to a string cannot fail.
    write!(
        to,
        "{{\"$current_url\":\"https://shop.example.com{path}\",\"$pathname\":\"{path}\",\"$host\":\"shop.example.com\",\
         \"$browser\":\"{browser}\",\"$raw_user_agent\":\"{agent}\",\"$screen_width\":{},\"$screen_height\":{},\
         \"$lib\":\"web\",\"$lib_version\":\"1.{}.{}\",\"$geoip_city_name\":\"{city}\",\"$geoip_country_code\":\"{country}\",\
         \"$session_id\":\"",
        1024 + random.below(8) * 128,
        720 + random.below(8) * 90,
        random.below(200),
        random.below(10),
    )
    .ok();
    random.uuid().write(to);
    write!(
        to,
        "\",\"$insert_id\":\"{:016x}\",\"$time\":{}.{:03},\"$referrer\":",
        random.next(),
        row.at_micros / 1_000_000,
        row.at_micros / 1_000 % 1_000,
    )
    .ok();
    if random.one_in(3) {
        to.push_str("null");
    } else {
        to.push_str("\"https://www.example.org/search?q=rain+jacket\"");
    }
    match name {
        "order completed" | "product added" => {
            write!(
                to,
                ",\"order\":{{\"id\":{},\"currency\":\"EUR\",\"total\":{}.{}0,\"items\":[{{\"sku\":\"RJ-{}\",\"quantity\":{},\"tags\":[]}}]}}",
                // Beyond what a double can hold.
                9_007_199_254_740_993 + random.below(1_000_000),
                1 + random.below(500),
                random.below(10),
                random.below(10_000),
                1 + random.below(3),
            )
            .ok();
        }
        "$feature_flag_called" => {
            to.push_str(",\"$feature_flag\":\"new-checkout\",\"$feature_flag_response\":\"variant-b\"");
        }
        "$exception" => {
            to.push_str(",\"$exception_list\":[{\"type\":\"TypeError\",\"value\":\"x is undefined\",\"stacktrace\":{\"frames\":[{\"lineno\":42,\"colno\":7,\"in_app\":true}]}}]");
        }
        _ => {}
    }
    if random.one_in(16) {
        write!(to, ",\"note\":\"{}\"", random.pick(&NOTES)).ok();
    }
    to.push('}');
}

fn write_person(to: &mut String, person: u64, random: &mut Random) {
    let (city, country) = random.pick(&CITIES.each_ref());
    write!(
        to,
        "{{\"email\":\"user-{person}@example.com\",\"$initial_city\":\"{city}\",\"$initial_country\":\"{country}\",\
         \"plan\":\"{}\",\"orders\":{},\"consent\":{{\"newsletter\":{},\"since\":null}}}}",
        ["free", "plus", "team"][(person % 3) as usize],
        person % 40,
        person.is_multiple_of(2),
    )
    .ok();
}
