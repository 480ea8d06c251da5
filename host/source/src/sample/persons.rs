//! Persons: a distinct id, the person that it belongs to, and their properties.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondArray};
use arrow::error::ArrowError;

use super::Row;
use super::random::{PERSONS, Random, person_id};
use crate::model::Model;

const SALT: u64 = 0x7065_7273;
/// Persons of the sample belong to one team.
pub(crate) const TEAM_ID: i64 = 1;
/// The oldest person is so much older than their row.
const YEAR_MICROS: u64 = 365 * 24 * 3_600_000_000;

pub(crate) fn batch(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let mut teams = Int64Builder::new();
    let (mut distinct_ids, mut person_ids, mut properties) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let (mut id_versions, mut versions) = (Int64Builder::new(), Int64Builder::new());
    let mut created = Vec::with_capacity(rows.len());
    let mut deleted = BooleanBuilder::new();
    let mut buffer = String::new();
    for row in rows {
        let mut random = Random::new(SALT, row.number);
        let person = random.below(PERSONS);
        teams.append_value(TEAM_ID);
        distinct_ids.append_value(format!("user-{person}@example.com"));
        buffer.clear();
        person_id(person).write(&mut buffer);
        person_ids.append_value(&buffer);
        buffer.clear();
        // Writing to a string cannot fail.
        write!(
            buffer,
            "{{\"email\":\"user-{person}@example.com\",\"name\":\"{}\",\"logins\":{},\"score\":{}.{}0}}",
            random.pick(&["Åsa", "李雷", "Zoë 🦊", "O\\\"Neil", "José"]),
            random.below(10_000),
            random.below(100),
            random.below(10),
        )
        .ok();
        properties.append_value(&buffer);
        id_versions.append_value(random.below(4).cast_signed());
        versions.append_value(random.below(30).cast_signed());
        created.push(row.at_micros - random.below(YEAR_MICROS).cast_signed());
        deleted.append_value(random.one_in(50));
    }
    let inserted: ArrayRef = Arc::new(
        TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.at_micros)).with_timezone("UTC"),
    );
    RecordBatch::try_new(
        Model::Persons.schema(),
        vec![
            Arc::new(teams.finish()),
            Arc::new(distinct_ids.finish()),
            Arc::new(person_ids.finish()),
            Arc::new(properties.finish()),
            Arc::new(id_versions.finish()),
            Arc::new(versions.finish()),
            Arc::new(TimestampMicrosecondArray::from(created).with_timezone("UTC")),
            inserted,
            Arc::new(deleted.finish()),
        ],
    )
}
