//! The rules of the house that a machine can check and no lint does (those are in `Cargo.toml`). A rule that stops
//! being worth it is deleted here, not worked around.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use batch_export_tests::components::repository;
use wit_parser::{Docs, Resolve, TypeDefKind, WorldItem};

/// Most lines of a file: one sitting.
const LINES: usize = 500;
/// Most columns of a comment and of a page; code has rustfmt's.
const COLUMNS: usize = 120;

/// A source file, with its path from the repository's root.
struct Source {
    path: String,
    text: String,
}

/// Rust files that git tracks or would track.
fn sources() -> Vec<Source> {
    let root = repository();
    let mut files = Vec::new();
    for folder in ["plugin", "host", "devstore", "tests", "xtask", "benches", "fuzz"] {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    assert!(files.len() > 20, "the sources are not where they used to be");
    files
        .into_iter()
        .map(|file| Source {
            text: fs::read_to_string(&file).expect("a source file"),
            path: file.strip_prefix(&root).expect("inside").display().to_string(),
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

impl Source {
    fn is_test(&self) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        parts
            .iter()
            .any(|part| matches!(*part, "tests" | "tests.rs" | "test_support.rs"))
    }

    /// Lines of code that is shipped, each with its number: no comments, and nothing after `#[cfg(test)]` before a
    /// module, which stands last in a file.
    fn code(&self) -> Vec<(usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let end = lines
            .windows(2)
            .position(|pair| {
                pair[0].trim() == "#[cfg(test)]" && pair[1].trim().starts_with("mod ") && pair[1].trim().ends_with('{')
            })
            .unwrap_or(lines.len());
        let numbered = lines[..end].iter().enumerate();
        numbered
            .map(|(number, line)| (number + 1, line.trim()))
            .filter(|(_, line)| !line.starts_with("//"))
            .collect()
    }
}

/// Every line of the files chosen that holds one of the words.
fn lines_with(choose: impl Fn(&Source) -> bool, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| choose(source)) {
        for (number, line) in source.code() {
            if let Some(word) = words.iter().find(|word| line.contains(*word)) {
                found.push(format!("{}:{number}: `{word}`", source.path));
            }
        }
    }
    found
}

#[track_caller]
fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_file_is_one_sitting() {
    let long = sources()
        .into_iter()
        .map(|source| (source.text.lines().count(), source.path));
    none(
        long.filter(|(lines, _)| *lines > LINES)
            .map(|(lines, path)| format!("{path}: {lines} lines"))
            .collect(),
    );
}

#[test]
fn comments_and_pages_fit_the_width() {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    let is_too_wide = |line: &str| line.chars().count() > COLUMNS;
    let mut wide = Vec::new();
    for source in sources() {
        let lines = source.text.lines().enumerate();
        wide.extend(
            lines
                .filter(|(_, line)| is_comment(line) && is_too_wide(line))
                .map(|(number, _)| format!("{}:{}", source.path, number + 1)),
        );
    }
    for page in tracked().iter().filter(|name| name.ends_with(".md")) {
        let text = fs::read_to_string(repository().join(page)).expect("a page");
        let mut in_block = false;
        for (number, line) in text.lines().enumerate() {
            in_block ^= line.starts_with("```");
            // Rows of tables and addresses cannot be wrapped.
            let can_wrap = !in_block && !line.starts_with('|') && line.trim().contains(' ');
            if can_wrap && is_too_wide(line) {
                wide.push(format!("{page}:{}", number + 1));
            }
        }
    }
    none(wide);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//! "));
    none(silent.map(|source| source.path).collect());
}

#[test]
fn nothing_is_left_for_later() {
    // In two pieces, or this file would find itself.
    let words = ["TO", "FIX", "#[ig"];
    let ends = ["DO", "ME", "nore"];
    let words: Vec<String> = words
        .iter()
        .zip(ends)
        .map(|(word, end)| format!("{word}{end}"))
        .collect();
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{}: `{word}`", source.path, number + 1));
            }
        }
    }
    none(found);
}

#[test]
fn the_plugin_reads_no_time_randomness_files_or_environment() {
    none(lines_with(
        |source| source.path.starts_with("plugin/src/") && !source.is_test(),
        &[
            "SystemTime",
            "Instant::",
            "std::env",
            "std::fs",
            "std::net::Tcp",
            "std::net::Udp",
            "ToSocketAddrs",
            "std::process",
            "std::thread",
            "rand::",
            "getrandom",
        ],
    ));
}

#[test]
fn the_plugin_has_no_schedule_word() {
    none(lines_with(
        |source| source.path.starts_with("plugin/src/") && !source.is_test(),
        &[
            "schedule", "Schedule", "cron", "backfill", "Backfill", "ledger", "Ledger",
        ],
    ));
}

#[test]
fn no_file_is_shared_past_the_manifests() {
    none(lines_with(
        |source| {
            source.path.contains("/src/") && (source.path.starts_with("plugin/") || source.path.starts_with("host/"))
        },
        &["#[path", "include!(\"../../"],
    ));
}

/// Names of what git tracks.
fn tracked() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(repository())
        .output()
        .expect("git");
    let names = String::from_utf8(listed.stdout).expect("names");
    names.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn nothing_committed_names_a_machine() {
    let mut found = Vec::new();
    for name in tracked() {
        let Ok(text) = fs::read_to_string(repository().join(&name)) else {
            continue;
        };
        // In two pieces, or this file would find itself.
        for (start, end) in [("/wo", "rk/main"), ("/ro", "ot/."), ("../sha", "red")] {
            let word = format!("{start}{end}");
            if text.contains(&word) {
                found.push(format!("{name}: `{word}`"));
            }
        }
    }
    none(found);
}

#[test]
fn every_item_of_the_contract_is_documented() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(repository().join("wit")).expect("wit/ parses");
    let mut silent = Vec::new();
    let mut check = |name: String, docs: &Docs| {
        if docs.contents.as_deref().is_none_or(|text| text.trim().is_empty()) {
            silent.push(name);
        }
    };
    check("the package".into(), &resolve.packages[package].docs);
    for (name, world) in &resolve.packages[package].worlds {
        check(format!("world {name}"), &resolve.worlds[*world].docs);
        let functions = resolve.worlds[*world].imports.values().filter_map(|item| match item {
            WorldItem::Function(function) => Some(function),
            _ => None,
        });
        functions.for_each(|function| check(format!("world function {}", function.name), &function.docs));
    }
    for (interface_name, interface) in &resolve.packages[package].interfaces {
        let interface = &resolve.interfaces[*interface];
        check(format!("interface {interface_name}"), &interface.docs);
        for (name, function) in &interface.functions {
            check(format!("{interface_name}.{name}"), &function.docs);
        }
        for (name, id) in &interface.types {
            let definition = &resolve.types[*id];
            let name = format!("{interface_name}.{name}");
            let mut members = Vec::new();
            match &definition.kind {
                TypeDefKind::Record(record) => members.extend(record.fields.iter().map(|m| (&m.name, &m.docs))),
                TypeDefKind::Variant(variant) => members.extend(variant.cases.iter().map(|m| (&m.name, &m.docs))),
                TypeDefKind::Enum(cases) => members.extend(cases.cases.iter().map(|m| (&m.name, &m.docs))),
                TypeDefKind::Flags(flags) => members.extend(flags.flags.iter().map(|m| (&m.name, &m.docs))),
                // A `use` of another interface's type: documented where it is made.
                TypeDefKind::Type(_) => continue,
                _ => {}
            }
            check(name.clone(), &definition.docs);
            members
                .into_iter()
                .for_each(|(member, docs)| check(format!("{name}.{member}"), docs));
        }
    }
    none(silent);
}
