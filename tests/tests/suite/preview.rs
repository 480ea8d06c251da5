//! What `preview` and `schema` say before anything is written, and the columns that a destination chooses: the same as
//! in the files that are then written.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, DurationSecondArray, RecordBatch, TimestampMicrosecondArray};
use arrow::ipc::writer::FileWriter;
use batch_export_tests::components;
use batch_export_tests::program::{self, Printed, Program};
use batch_export_tests::read;
use batch_export_tests::rows::START_MICROS;
use batch_export_tests::scene::{BUCKET, Scene};
use parquet::basic::{LogicalType, TimeUnit, Type as Physical};
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::Type;
use serde_json::Value;

use super::verify_types;

const HOUR: [&str; 4] = ["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"];

/// Runs a command for the first hour of the tests, with the shipped component.
fn run(program: &Program, command: &str, further: &[&str]) -> Printed {
    let component = components::destination();
    let mut arguments = vec![command, "--config", "exports.toml", "--component"];
    arguments.push(component.to_str().expect("UTF-8"));
    arguments.extend(further);
    program.run(&arguments)
}

fn for_hour(program: &Program, command: &str, further: &[&str]) -> Printed {
    run(program, command, &[&HOUR[..], further].concat())
}

fn json(printed: &Printed) -> Value {
    serde_json::from_str(&printed.stdout).unwrap_or_else(|error| panic!("{error}: {printed:?}"))
}

/// A file's own type in the words of a preview.
fn words(column: &Type) -> String {
    if column.is_group() {
        return match column.get_basic_info().logical_type_ref() {
            Some(LogicalType::List) => {
                let repeated = &column.get_fields()[0];
                format!("LIST of {}", words(&repeated.get_fields()[0]))
            }
            _ => {
                let fields = column.get_fields().iter();
                let fields: Vec<String> = fields
                    .map(|field| format!("{}: {}", field.name(), words(field)))
                    .collect();
                format!("group ({})", fields.join(", "))
            }
        };
    }
    let length = match column {
        Type::PrimitiveType { type_length, .. } => *type_length,
        Type::GroupType { .. } => 0,
    };
    match column.get_basic_info().logical_type_ref() {
        Some(LogicalType::String) => "STRING".to_owned(),
        Some(LogicalType::Json) => "JSON".to_owned(),
        Some(LogicalType::Uuid) => "UUID".to_owned(),
        Some(LogicalType::Date) => "DATE".to_owned(),
        Some(LogicalType::Decimal(decimal)) => format!("DECIMAL({}, {})", decimal.precision, decimal.scale),
        Some(LogicalType::Timestamp(time)) if time.is_adjusted_to_u_t_c && time.unit == TimeUnit::MICROS => {
            "TIMESTAMP (µs, UTC)".to_owned()
        }
        Some(LogicalType::Time(time)) if time.unit == TimeUnit::MILLIS => "TIME (ms)".to_owned(),
        Some(LogicalType::Time(time)) if time.unit == TimeUnit::MICROS => "TIME (µs)".to_owned(),
        Some(LogicalType::Integer(integer)) => {
            let physical = column.get_physical_type();
            let whole = matches!(
                (physical, integer.bit_width),
                (Physical::INT32, 32) | (Physical::INT64, 64)
            );
            match (whole, integer.is_signed) {
                (true, true) => physical.to_string(),
                (true, false) => format!("{physical} (unsigned)"),
                (false, true) => format!("{physical} ({} bits)", integer.bit_width),
                (false, false) => format!("{physical} ({} bits, unsigned)", integer.bit_width),
            }
        }
        None if column.get_physical_type() == Physical::FIXED_LEN_BYTE_ARRAY => {
            format!("FIXED_LEN_BYTE_ARRAY({length})")
        }
        None => column.get_physical_type().to_string(),
        Some(other) => panic!("{}: {other:?}", column.name()),
    }
}

/// Whether a value of JSON Lines is what a preview says of its column.
fn is_like(value: &Value, said: &str) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) => said == "true or false",
        Value::Number(_) => said == "number",
        Value::String(_) => said.starts_with("string"),
        Value::Array(_) => said.starts_with("array of "),
        Value::Object(_) => said == "object" || said == "nested JSON",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_what_the_files_then_hold_and_writes_nothing() {
    let scene = Scene::new().await;
    for format in ["Parquet", "JSONLines"] {
        let program = Program::new(&verify_types::configuration(&scene, "rows.arrow", format, "at"));
        verify_types::write(program.folder.path(), &verify_types::every_type());
        let before = scene.store.keys(BUCKET);
        let preview = for_hour(&program, "preview", &["--json"]);
        assert_eq!(preview.code, Some(0), "{preview:?}");
        assert_eq!(scene.store.keys(BUCKET), before, "nothing is written");
        let preview = json(&preview);
        assert_eq!(preview["rows_in_interval"], 3);
        let schema = json(&run(&program, "schema", &["--destination", "archive", "--json"]));
        assert_eq!(schema["columns"], preview["columns"]);
        let columns = preview["columns"].as_array().expect("columns");

        let exported = for_hour(&program, "run", &[]);
        assert_eq!(exported.code, Some(0), "{exported:?}");
        let keys = scene.store.keys(BUCKET);
        let file = keys
            .iter()
            .find(|key| !before.contains(key) && !key.ends_with("manifest.json"))
            .expect("a file");
        let bytes = scene.bytes(file);
        match format {
            "Parquet" => {
                let file = SerializedFileReader::new(bytes::Bytes::from(bytes)).expect("a Parquet file");
                let root = file.metadata().file_metadata().schema_descr().root_schema();
                assert_eq!(root.get_fields().len(), columns.len());
                for (field, column) in root.get_fields().iter().zip(columns) {
                    assert_eq!(column["name"], field.name());
                    assert_eq!(column["parquet"], words(field), "{}", field.name());
                }
            }
            _ => {
                for (row, previewed) in read::json_lines(file, &bytes)
                    .iter()
                    .zip(preview["rows"].as_array().expect("rows"))
                {
                    for (place, column) in columns.iter().enumerate() {
                        let (name, said) = (&column["name"], &column["json_lines"]);
                        let value = &row[name.as_str().expect("a name")];
                        assert!(is_like(value, said.as_str().expect("words")), "{name}: {value} {said}");
                        assert_eq!(value.is_null(), previewed[place].is_null(), "{name}");
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_cannot_be_exported_is_named_before_anything_is_written() {
    let scene = Scene::new().await;
    let program = Program::new(&verify_types::configuration(&scene, "rows.arrow", "Parquet", "at"));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![START_MICROS]))),
        ("took", Arc::new(DurationSecondArray::from(vec![1]))),
        ("waited", Arc::new(DurationSecondArray::from(vec![2]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("a row");
    let file = File::create(program.folder.path().join("rows.arrow")).expect("a file");
    let mut writer = FileWriter::try_new(file, &rows.schema()).expect("a writer");
    writer.write(&rows).expect("written");
    writer.finish().expect("written");
    for printed in [
        for_hour(&program, "preview", &[]),
        run(&program, "schema", &["--destination", "archive"]),
        for_hour(&program, "run", &[]),
    ] {
        assert_eq!(printed.code, Some(1), "{printed:?}");
        for column in ["took", "waited"] {
            let expect = format!("column `{column}` is of type Duration(s): durations cannot be exported");
            assert!(printed.stderr.contains(&expect), "{printed:?}");
        }
    }
    assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_columns_are_all_that_is_exported_and_are_read_back() {
    let scene = Scene::new().await;
    let configure = |fields: &str| program::configuration(&scene, "archive", 100, fields);
    let program = Program::new(&configure(
        "columns = [\"timestamp\", \"event\", \"properties\", \"uuid\"]\n\
         rename = { event = \"name\", uuid = \"id\" }\n",
    ));
    let preview = json(&for_hour(&program, "preview", &["--json", "--rows", "1"]));
    let names: Vec<&str> = preview["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|column| column["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["timestamp", "name", "properties", "id"]);
    for command in ["run", "verify"] {
        let printed = for_hour(&program, command, &[]);
        assert_eq!(printed.code, Some(0), "{command}: {printed:?}");
    }
    let keys = scene.store.keys(BUCKET);
    let file = keys.iter().find(|key| !key.ends_with("manifest.json")).expect("a file");
    let rows = read::json_lines(file, &scene.bytes(file));
    assert_eq!(rows.len(), 100);
    for row in &rows {
        let row = row.as_object().expect("an object");
        assert_eq!(row.len(), 4, "{row:?}");
        assert!(
            row["properties"].is_object() && row["name"].is_string() && row["id"].is_string(),
            "{row:?}"
        );
    }

    // The lists apply to the source's own column, whatever its name is then.
    let listed = "columns = [\"uuid\"]\ninclude_events = [\"order completed\"]\n";
    let swapped = "rename = { event = \"uuid\", uuid = \"event\" }\ninclude_events = [\"order completed\"]\n";
    let mut found = Vec::new();
    for fields in [listed, swapped] {
        program.configure(&configure(fields));
        let exported = for_hour(&program, "run", &["--json"]);
        assert_eq!(exported.code, Some(0), "{exported:?}");
        found.push(json(&exported)["report"]["rows_exported"].as_u64().expect("rows"));
        let verified = for_hour(&program, "verify", &[]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
    }
    assert!(found[0] == found[1] && (1..100).contains(&found[0]), "{found:?}");

    for (fields, code, expect) in [
        (
            "columns = [\"uuid\", \"evnt\"]\n",
            1,
            "the source has no column `evnt`; it has `uuid`, `event`, ",
        ),
        ("columns = []\n", 2, "no column is named"),
        (
            "columns = [\"uuid\", \"uuid\"]\n",
            2,
            "the column `uuid` is named twice",
        ),
        (
            "rename = { uuid = \"event\" }\n",
            1,
            "two columns would have the name `event`",
        ),
        ("rename = { uuid = 1 }\n", 2, "expected a string, found an integer"),
        (
            "columns = [\"uuid\"]\nrename = { event = \"name\" }\n",
            2,
            "`event` is renamed, but it is not among the columns",
        ),
    ] {
        program.configure(&configure(fields));
        let printed = for_hour(&program, "preview", &[]);
        assert_eq!(printed.code, Some(code), "{fields}: {printed:?}");
        assert!(printed.stderr.contains(expect), "{fields}: {printed:?}");
    }
}
