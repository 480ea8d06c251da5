//! Whole runs, from Arrow messages to the report: what they say of earlier attempts, of their size, and of notes.

use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::ipc::writer::StreamWriter;
use s3_destination::failure::{Explanation, Failure};
use s3_destination::imports::NoteError;
use s3_destination::key::KeyNames;
use s3_destination::recover::recover;
use s3_destination::run::{Export, Report};
use s3_destination::settings::{ManifestName, ManifestStyle, ManifestWhen, Run, Settings};
use s3_destination::upload::Limits;
use serde_json::Value;

use crate::disasters::scene;
use crate::simulated::{Host, World, no_faults, run, settings};

/// A run of a model that the plugin does not know, so that any column is accepted.
fn own(attempt: &str) -> Run {
    Run {
        model: "own".into(),
        ..run(attempt)
    }
}

/// The schema message, and the one batch of so many rows.
pub fn messages(rows: i64) -> (Vec<u8>, Vec<u8>) {
    let numbers = Int64Array::from_iter_values(0..rows);
    let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as _)]).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    let schema = std::mem::take(writer.get_mut());
    writer.write(&batch).unwrap();
    (schema, std::mem::take(writer.get_mut()))
}

pub fn configured(world: &Rc<World>, settings: &Settings, limits: Limits) -> Export<Host> {
    let (schema, _) = messages(0);
    let host = Host(world.clone());
    Export::with_limits(host, settings.clone(), own("attempt-1"), schema, limits).unwrap()
}

pub fn exported(world: &Rc<World>, settings: &Settings, rows: i64, limits: Limits) -> Report {
    let mut export = configured(world, settings, limits);
    if rows > 0 {
        export.encode_batch(messages(rows).1).unwrap();
    }
    export.finish(rows as u64).unwrap()
}

/// A world in which an earlier attempt left these files.
pub fn after(settings: &Settings, files: u32) -> (Rc<World>, KeyNames) {
    let world = World::new(1, settings, &own("attempt-1"), no_faults());
    let keys = KeyNames::new(settings, &own("attempt-1")).unwrap();
    let mut earlier = crate::simulated::uploads(&world, settings, &own("attempt-1"));
    for index in 0..files {
        let key = keys.data(index).unwrap();
        let mut file = earlier.open(key, "application/x-ndjson").unwrap();
        earlier.write(&mut file, b"earlier").unwrap();
        earlier.close(file).unwrap();
    }
    earlier.settle().unwrap();
    (world, keys)
}

pub const LIMITS: Limits = Limits {
    part_size_bytes: 64 << 10,
    max_parts: 8,
    reserve_bytes: 480 << 10,
    max_files: 100,
};

#[test]
fn files_of_a_longer_attempt_are_deleted_and_logged() {
    let settings = settings("");
    let (world, keys) = after(&settings, 3);
    let report = exported(&world, &settings, 5, LIMITS);
    assert_eq!((report.files.len(), report.warnings.len()), (1, 0));
    let deleted = |index| {
        let key = keys.data(index).unwrap();
        format!("deleted `{key}`, left by an earlier attempt with more files")
    };
    assert_eq!(*world.log.borrow(), [deleted(2), deleted(1)]);
}

#[test]
fn a_run_without_rows_tells_of_an_earlier_one_with_some() {
    let settings = settings("");
    let (world, keys) = after(&settings, 1);
    let key = keys.data(0).unwrap();
    let told = format!(
        "this run had no rows, but `{key}` exists: an earlier attempt had rows, and its objects are \
                        kept"
    );
    let hint = "delete them if the interval should not contain any rows".to_owned();
    assert_eq!(
        exported(&world, &settings, 0, LIMITS).warnings,
        [Explanation::new(told).with_hint(hint)]
    );
    world.denied.borrow_mut().insert("HeadObject");
    let report = exported(&world, &settings, 0, LIMITS);
    let unknown = format!("could not find out whether an earlier attempt left `{key}` or other objects: ");
    assert_eq!(report.warnings.len(), 1, "asked once: {:?}", report.warnings);
    assert!(
        report.warnings[0].message.starts_with(&unknown),
        "{:?}",
        report.warnings
    );
}

/// With `always`, a manifest that names no file says that the interval was exported and had no rows.
#[test]
fn a_run_without_rows_writes_a_manifest_where_it_always_does() {
    for (style, when, written) in [
        (ManifestStyle::Simple, ManifestWhen::Split, false),
        (ManifestStyle::Detailed, ManifestWhen::Rows, false),
        (ManifestStyle::Simple, ManifestWhen::Always, true),
        (ManifestStyle::Detailed, ManifestWhen::Always, true),
    ] {
        for name in [ManifestName::Visible, ManifestName::Hidden] {
            let mut settings = settings("");
            settings.manifest = style;
            settings.manifest_when = when;
            settings.manifest_name = name;
            let (world, keys) = after(&settings, 0);
            let report = exported(&world, &settings, 0, LIMITS);
            assert_eq!(report.files, []);
            assert_eq!(report.manifest_key, keys.manifest().filter(|_| written));
            let Some(key) = report.manifest_key else {
                continue;
            };
            let store = world.store.borrow();
            let manifest: Value = serde_json::from_slice(&store.objects[&key].bytes).unwrap();
            assert_eq!(manifest["files"], Value::Array(vec![]), "{key}");
        }
    }
}

#[test]
fn an_unsplit_export_that_outgrows_a_file_says_so() {
    let mut settings = settings("");
    settings.max_file_size_bytes = None;
    let (world, _) = after(&settings, 0);
    assert_eq!(
        exported(&world, &settings, 12_000, LIMITS).warnings,
        [Explanation::new(
            "the export was split into 3 files, because it exceeds the largest file that the format and the store allow"
        )
        .with_hint("set max_file_size_mb to choose their size".to_owned())]
    );
}

#[test]
fn a_run_that_failed_goes_on_no_more() {
    let settings = settings("");
    let (world, _) = after(&settings, 0);
    let mut export = configured(&world, &settings, LIMITS);
    export.encode_batch(b"no rows".to_vec()).unwrap_err();
    let ended = || Failure::Defect("an instance was called again after its run had failed or ended".to_owned());
    assert_eq!(export.encode_batch(messages(1).1).unwrap_err(), ended());
    assert_eq!(export.finish(1).unwrap_err(), ended());
}

/// Rows that do not add up end the run before it deletes or says anything: no leftover goes, no manifest is written.
#[test]
fn rows_that_did_not_come_in_are_found_before_anything_is_deleted_or_listed() {
    let settings = settings("");
    for supplied in [0, 4, 6, u64::MAX] {
        let (world, keys) = after(&settings, 3);
        let before: Vec<String> = world.store.borrow().objects.keys().cloned().collect();
        let mut export = configured(&world, &settings, LIMITS);
        export.encode_batch(messages(5).1).unwrap();
        let Failure::Defect(message) = export.finish(supplied).unwrap_err() else {
            panic!("another case");
        };
        assert_eq!(
            message,
            format!("the host supplied {supplied} rows, but 5 were received")
        );
        let store = world.store.borrow();
        assert_eq!(store.objects.keys().cloned().collect::<Vec<_>>(), before);
        assert!(!store.objects.contains_key(&keys.manifest().unwrap()));
        assert_eq!(world.count("DeleteObject"), 0);
    }
}

#[test]
fn notes_that_cannot_be_read_or_kept_are_told() {
    let mut scene = scene("", no_faults());
    let key = scene.keys.data(0).unwrap();
    let mut file = scene.uploads.open(key, "application/x-ndjson").unwrap();
    scene.uploads.write(&mut file, &[0; 64]).unwrap();
    drop(scene.uploads); // Killed: no abort_all.
    let mut notes = scene.world.notes.borrow().clone();
    notes.push(b"no note".to_vec());
    let disk_full = NoteError::Unavailable("disk full".into());
    scene.world.notes_fail.replace(Some(disk_full));
    let host = Rc::new(Host(scene.world.clone()));
    let recovery = recover(host, &scene.settings, &run("attempt-2"), &notes);
    assert_eq!(recovery.left_open, []);
    let hidden = Explanation::new("a note could not be read, and an upload that it names may be left open")
        .with_hint("look for open uploads in the store, and abort them".to_owned());
    assert_eq!(recovery.hidden(), Some(hidden));
    assert_eq!(recovery.aborted.len(), 1);
    assert_eq!(
        *scene.world.log.borrow(),
        ["could not save a note about a finished upload: disk full"]
    );
}
