//! Holds the pages in `docs/` and the README against the code: tables made from it, limits, names of tests, examples,
//! links. Changes nothing, unless `UPDATE_DOCS=1` asks for the generated tables to be written.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that unwraps has failed, and says where"
)]

use std::fs;
use std::path::{Path, PathBuf};

use s3_destination::config;
use s3_destination::config::fields::{FIELDS, Field, FieldKind, Literal};
use s3_destination::config::limits::{HIGHEST_LEVEL, LOWEST_LEVEL};
use s3_destination::key::KeyNames;
use s3_destination::plan;
use s3_destination::settings::{Interval, Run, Settings};
use serde_json::{Value, json};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the plugin is in the repository")
        .to_path_buf()
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pages at the repository's root and every page in `docs/`, by path from the root.
fn pages() -> Vec<(String, String)> {
    let mut names = Vec::new();
    for folder in ["", "docs/", "docs/decisions/"] {
        for entry in fs::read_dir(repository().join(folder)).expect(folder) {
            let name = entry.expect("a page").file_name();
            let name = name.to_str().expect("a page's name");
            if name.ends_with(".md") {
                names.push(format!("{folder}{name}"));
            }
        }
    }
    names.sort();
    names.into_iter().map(|name| (name.clone(), read(&name))).collect()
}

/// Texts between ``` fences of that language, each with its page.
fn blocks(language: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, text) in pages() {
        let mut rest = text.as_str();
        while let Some((_, after)) = rest.split_once(&format!("```{language}\n")) {
            let (block, after) = after.split_once("\n```").expect("a closed block");
            found.push((name.clone(), block.to_owned()));
            rest = after;
        }
    }
    found
}

/// Texts between backticks, code blocks aside.
fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

#[track_caller]
fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// A part of a page that is made from code.
fn generated(page: &str, part: &str, made: &str) {
    let text = read(page);
    let begin = format!("<!-- generated: {part} -->\n");
    let (before, rest) = text
        .split_once(&begin)
        .unwrap_or_else(|| panic!("{page} has no {begin}"));
    let (written, after) = rest.split_once("<!-- end -->").expect("an end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(
            repository().join(page),
            format!("{before}{begin}{made}<!-- end -->{after}"),
        )
        .expect("the page is written");
    } else {
        assert_eq!(
            written, made,
            "{page} is behind the code: UPDATE_DOCS=1 cargo test -p s3-destination --test docs"
        );
    }
}

fn with_separators(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A value as TOML writes it.
fn literal(literal: Literal) -> String {
    let text = match literal {
        Literal::Text(text) => json!(text).to_string(),
        Literal::Whole(number) => number.to_string(),
        Literal::Flag(flag) => flag.to_string(),
        Literal::List(list) => json!(list).to_string().replace(',', ", "),
        Literal::Map([]) => "{}".to_owned(),
        Literal::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(name, value)| format!("{name} = {}", json!(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    };
    format!("`{text}`")
}

fn field_row(field: &Field) -> String {
    let (kind, allowed) = match &field.kind {
        FieldKind::Text => ("text", String::new()),
        FieldKind::Choice(choices) => {
            let values: Vec<String> = choices.iter().map(|c| format!("`{}`", c.value)).collect();
            ("choice", values.join(", "))
        }
        FieldKind::Whole { min, max } => (
            "integer",
            format!("{} to {}", with_separators(*min), with_separators(*max)),
        ),
        FieldKind::Flag => ("flag", "`true`, `false`".to_owned()),
        FieldKind::TextList => ("list of text", String::new()),
        FieldKind::TextMap { max_entries } => ("table of text", format!("up to {max_entries} entries")),
        FieldKind::Secret => ("secret", String::new()),
    };
    let default = match (field.required, field.default) {
        (true, _) => "required".to_owned(),
        (false, Some(default)) => literal(default),
        (false, None) => String::new(),
    };
    let example = field.examples.first().map_or_else(String::new, |e| literal(*e));
    format!(
        "| `{}` | {kind} | {default} | {allowed} | {} | {example} |\n",
        field.name, field.description
    )
}

#[test]
fn every_field_and_choice_is_in_the_configuration_page() {
    let mut table =
        String::from("| field | type | default | allowed | meaning | example |\n|---|---|---|---|---|---|\n");
    FIELDS.iter().for_each(|field| table.push_str(&field_row(field)));
    generated("docs/configuration.md", "fields", &table);

    let mut table = String::from("| field | choice | meaning |\n|---|---|---|\n");
    for field in FIELDS {
        let FieldKind::Choice(choices) = &field.kind else {
            continue;
        };
        for (index, choice) in choices.iter().enumerate() {
            let name = match index {
                0 => format!("`{}`", field.name),
                _ => String::new(),
            };
            let (value, meaning) = (choice.value, choice.meaning);
            table.push_str(&format!("| {name} | `{value}` | {meaning} |\n"));
        }
    }
    generated("docs/configuration.md", "choices", &table);

    let schema = config::json_schema();
    let in_schema = schema["properties"].as_object().expect("properties");
    assert_eq!(in_schema.len(), FIELDS.len());
}

fn settings(more: Value) -> Option<Settings> {
    let mut document = json!({"bucket_name": "exports", "region": "eu-central-1", "prefix": ""});
    for (name, value) in more.as_object().expect("an object") {
        document[name] = value.clone();
    }
    config::parse(&document.to_string()).ok()
}

fn an_hour(model: &str) -> Run {
    Run {
        id: "run".to_owned(),
        attempt: "attempt".to_owned(),
        model: model.to_owned(),
        interval: Interval {
            start_micros: Some(0),
            end_micros: 3_600_000_000,
        },
        plugin_digest: String::new(),
        time_limit_seconds: None,
    }
}

fn extension(settings: &Settings) -> String {
    let names = KeyNames::new(settings, &an_hour("events")).expect("names");
    let key = names.data(0).expect("a key");
    format!("`{}`", &key[names.stem().len()..])
}

#[test]
fn every_codec_is_in_the_formats_page() {
    let mut table = String::from(
        "| format | compression | levels | name ends in | with `parquet_extension = \"plain\"` | Content-Type |\n\
         |---|---|---|---|---|---|\n",
    );
    for format in plan::describe().formats {
        for compression in &format.compressions {
            let fields = json!({"file_format": format.name, "compression": compression});
            let decided = settings(fields.clone()).expect("a format that is described");
            let accepted: Vec<i64> = (LOWEST_LEVEL..=HIGHEST_LEVEL)
                .filter(|level| {
                    let mut fields = fields.clone();
                    fields["compression_level"] = json!(level);
                    settings(fields).is_some()
                })
                .collect();
            let levels = match (accepted.first(), accepted.last(), decided.format.level()) {
                (Some(first), Some(last), Some(usual)) => {
                    format!("{first} to {last}, default {usual}")
                }
                _ => String::new(),
            };
            let plain = match format.name.as_str() {
                "Parquet" => {
                    let mut fields = fields.clone();
                    fields["parquet_extension"] = json!("plain");
                    extension(&settings(fields).expect("plain names"))
                }
                _ => String::new(),
            };
            table.push_str(&format!(
                "| {} | `{compression}` | {levels} | {} | {plain} | `{}` |\n",
                format.name,
                extension(&decided),
                decided.format.content_type(),
            ));
        }
    }
    generated("docs/formats.md", "codecs", &table);
}

/// A product, shift or duration of numbers, as constants are written; `None` for anything else.
fn value(expression: &str) -> Option<u64> {
    let expression = expression.trim();
    if let Some(seconds) = expression.strip_prefix("Duration::from_secs(") {
        return value(seconds.strip_suffix(')')?);
    }
    if let Some((left, right)) = expression.split_once("<<") {
        return Some(value(left)? << value(right)?);
    }
    if let Some((left, right)) = expression.split_once('*') {
        return Some(value(left)? * value(right)?);
    }
    match expression {
        "KIB" => Some(1 << 10),
        "MIB" => Some(1 << 20),
        "GIB" => Some(1 << 30),
        digits => digits.replace('_', "").parse().ok(),
    }
}

/// The value of a constant or of a field that is set in a file.
fn constant(source: &str, name: &str) -> Option<u64> {
    source.lines().find_map(|line| {
        let line = line.trim();
        let line = line.split_once("const ").map_or(line, |(_, named)| named);
        let rest = line.strip_prefix(name)?.strip_prefix(':')?;
        let expression = rest.split_once('=').map_or(rest, |(_, value)| value);
        value(expression.trim_end_matches([',', ';']))
    })
}

/// `5 MiB`, `10,000`, `120 s`
fn in_words(text: &str) -> Option<u64> {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number: u64 = number.replace(',', "").parse().ok()?;
    match unit {
        "" | "s" => Some(number),
        "KiB" => Some(number << 10),
        "MiB" => Some(number << 20),
        "GiB" => Some(number << 30),
        "TiB" => Some(number << 40),
        _ => None,
    }
}

#[test]
fn limits_are_those_of_the_code() {
    let page = read("docs/architecture.md");
    let mut compared = 0;
    let mut wrong = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, name, text, file, _, _] = cells[..] else {
            continue;
        };
        let Some(written) = in_words(text) else {
            continue;
        };
        compared += 1;
        match constant(&read(file), name) {
            Some(value) if value == written => {}
            found => wrong.push(format!("{name} is {text} in the page, {found:?} in {file}")),
        }
    }
    none(wrong);
    assert!(compared > 50, "only {compared} limits were found");
}

#[test]
fn what_the_plugin_says_of_itself_is_in_the_embedding_page() {
    let page = read("docs/embedding.md");
    let description = plan::describe();
    let mib = |bytes: u64| bytes >> 20;
    for words in [
        format!("{} MiB of memory", mib(description.memory_limit_bytes)),
        format!("{} requests in flight", description.requests_in_flight),
        format!("{} MiB in payloads", mib(description.payload_limit_bytes)),
    ] {
        assert!(page.contains(&words), "{words}");
    }
}

#[test]
fn tests_that_guard_invariants_exist() {
    let mut found = 0;
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        for name in quoted(&text) {
            let Some((file, function)) = name.split_once(".rs::") else {
                continue;
            };
            found += 1;
            let file = format!("{file}.rs");
            if !read(&file).contains(&format!("fn {function}(")) {
                wrong.push(format!("{page}: {file} has no test {function}"));
            }
        }
    }
    none(wrong);
    assert!(found > 30, "only {found} tests are named");
}

#[test]
fn files_and_commands_that_are_named_exist() {
    let xtask = read("xtask/src/main.rs");
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        let folder = repository().join(&page);
        let folder = folder.parent().expect("a folder").to_path_buf();
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().expect("a target");
            if target.starts_with("http") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => repository().join(&page),
                file => folder.join(file),
            };
            if !path.exists() {
                wrong.push(format!("{page}: there is no {target}"));
            } else if !anchor.is_empty() && !has_anchor(&path, anchor) {
                wrong.push(format!("{page}: {file} has no heading #{anchor}"));
            }
        }
        for call in text.split("cargo xtask ").skip(1) {
            let name: String = call
                .chars()
                .take_while(|c| c.is_ascii_alphabetic() || *c == '-')
                .collect();
            if !name.is_empty() && !xtask.contains(&format!("name: \"{name}\"")) {
                wrong.push(format!("{page}: there is no `cargo xtask {name}`"));
            }
        }
    }
    none(wrong);
}

/// Headings become anchors: lower case, blanks as `-`, other signs dropped.
fn has_anchor(page: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(page).expect("a page");
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let made: String = heading
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c),
                _ => None,
            })
            .collect();
        made == anchor
    })
}

#[test]
fn examples_are_configurations_that_can_be_planned() {
    let mut planned = 0;
    for (page, block) in blocks("toml") {
        let document: Value = toml::from_str(&block).unwrap_or_else(|e| panic!("{page}: {e}"));
        let Some(destinations) = document["destinations"].as_object() else {
            continue;
        };
        for (name, destination) in destinations {
            let mut fields = destination.as_object().expect("a table").clone();
            let model = fields.remove("model").expect("a model");
            for host in [
                "source",
                "columns",
                "rename",
                "egress",
                "limits",
                "credentials",
                "schedule",
            ] {
                fields.remove(host);
            }
            let run = an_hour(model.as_str().expect("a name"));
            let plan = plan::plan_from_json(&Value::Object(fields).to_string(), &run);
            assert!(plan.is_ok(), "{page}, {name}: {plan:?}");
            planned += 1;
        }
    }
    assert!(planned > 10, "only {planned} examples were found");
    for (page, block) in blocks("json") {
        let read: Result<Value, _> = serde_json::from_str(&block);
        assert!(read.is_ok(), "{page}: {read:?}");
    }
}
