//! The configuration as JSON Schema (draft 2020-12), for editors and forms, made from the table of fields. It agrees
//! with the parser on fields, types, choices, bounds and defaults; rules that a schema cannot express are in the
//! descriptions.

use serde_json::{Map, Value, json};

use super::fields::{self, FIELDS, Field, FieldKind, JSON_LINES_COMPRESSIONS, Literal};
use super::limits;

/// Returns the schema of the configuration object.
pub fn json_schema() -> Value {
    let properties: Map<String, Value> = FIELDS
        .iter()
        .zip(1..)
        .map(|(field, order)| (field.name.to_owned(), property(field, order)))
        .collect();
    let required: Vec<&str> = FIELDS
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "S3 destination",
        "description": "Where and how batch exports are written to an S3 bucket. For an optional field, `null` is the \
         same as omitting it.",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "dependentRequired": {
            fields::AWS_ACCESS_KEY_ID.name: [fields::AWS_SECRET_ACCESS_KEY.name],
            fields::AWS_SECRET_ACCESS_KEY.name: [fields::AWS_ACCESS_KEY_ID.name],
            fields::AWS_SESSION_TOKEN.name: [fields::AWS_ACCESS_KEY_ID.name, fields::AWS_SECRET_ACCESS_KEY.name],
        },
        "allOf": [
            {
                "if": { "not": has(&fields::FILE_FORMAT, "Parquet") },
                "then": { "properties": { fields::COMPRESSION.name: one_of(JSON_LINES_COMPRESSIONS) } },
            },
            {
                "if": has(&fields::FILE_FORMAT, "Parquet"),
                "then": { "properties": { fields::MAX_FILE_SIZE_MB.name: { "maximum": limits::MAX_PARQUET_FILE_SIZE_MB } } },
            },
            {
                "if": has(&fields::ENCRYPTION, "aws:kms"),
                "then": { "required": [fields::KMS_KEY_ID.name], "properties": { fields::KMS_KEY_ID.name: { "type": "string" } } },
                "else": { "properties": { fields::KMS_KEY_ID.name: { "type": "null" } } },
            },
        ],
    })
}

/// Returns the condition that the field is set to this value.
fn has(field: &Field, value: &str) -> Value {
    json!({ "properties": { field.name: { "const": value } }, "required": [field.name] })
}

fn one_of(values: &[&str]) -> Value {
    let mut values: Vec<Value> = values.iter().map(|value| json!(value)).collect();
    values.push(Value::Null);
    json!({ "enum": values })
}

/// Returns the schema of a field; `order` is its position in a form.
fn property(field: &Field, order: u32) -> Value {
    let mut schema = Map::new();
    let mut set = |name: &str, value: Value| {
        schema.insert(name.to_owned(), value);
    };
    set("title", json!(field.title));
    set("description", json!(description(field)));
    set("x-group", json!(field.group.name()));
    set("x-order", json!(order));
    let kind = match field.kind {
        FieldKind::Text | FieldKind::Choice(_) | FieldKind::Secret => "string",
        FieldKind::Whole { .. } => "integer",
        FieldKind::Flag => "boolean",
        FieldKind::TextList => "array",
        FieldKind::TextMap { .. } => "object",
    };
    set(
        "type",
        match field.required {
            true => json!(kind),
            false => json!([kind, "null"]),
        },
    );
    match &field.kind {
        FieldKind::Text | FieldKind::Flag => {}
        FieldKind::Choice(choices) => {
            let mut values: Vec<Value> = choices.iter().map(|choice| json!(choice.value)).collect();
            if !field.required {
                values.push(Value::Null);
            }
            set("enum", Value::Array(values));
        }
        FieldKind::Whole { min, max } => {
            set("minimum", json!(min));
            set("maximum", json!(max));
        }
        FieldKind::TextList => set("items", json!({ "type": "string" })),
        FieldKind::TextMap { max_entries } => {
            set("additionalProperties", json!({ "type": "string" }));
            set("maxProperties", json!(max_entries));
        }
        FieldKind::Secret => set("writeOnly", json!(true)),
    }
    if let Some(default) = field.default {
        set("default", literal(default));
    }
    if !field.examples.is_empty() {
        let examples = field.examples.iter().copied().map(literal).collect();
        set("examples", Value::Array(examples));
    }
    Value::Object(schema)
}

/// Returns the description, including the meaning of each choice.
fn description(field: &Field) -> String {
    let mut text = field.description.to_owned();
    if let FieldKind::Choice(choices) = &field.kind {
        for choice in *choices {
            text.push_str(&format!("\n- `{}`: {}", choice.value, choice.meaning));
        }
    }
    text
}

fn literal(literal: Literal) -> Value {
    match literal {
        Literal::Text(text) => json!(text),
        Literal::Whole(number) => json!(number),
        Literal::Flag(flag) => json!(flag),
        Literal::List(list) => json!(list),
        Literal::Map(entries) => {
            let entries: Map<String, Value> = entries
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect();
            Value::Object(entries)
        }
    }
}
