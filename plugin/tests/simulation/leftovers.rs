//! What earlier attempts and other programs left: only what carries this run's mark is deleted, and the rest is told.

use s3_destination::failure::Explanation;
use s3_destination::s3::client::WINDOW_REQUESTS;
use s3_destination::settings::{ManifestWhen, Settings};

use crate::disasters::{Scene, scene};
use crate::runs::{LIMITS, after, exported};
use crate::simulated::{no_faults, run, settings, uploads};
use crate::told::messages_of;

fn keys(scene: &Scene) -> Vec<String> {
    scene.world.store.borrow().objects.keys().cloned().collect()
}

#[test]
fn a_rerun_with_fewer_files_deletes_the_rest_from_the_last_on() {
    let mut scene = scene("", no_faults());
    scene.export(&[b"a", b"b", b"c", b"d"]).unwrap();
    let mut second = uploads(&scene.world, &scene.settings, &run("attempt-2"));
    let next = || (2..).map(|index| scene.keys.data(index).unwrap());
    let leftovers = second.store().remove_leftovers(next(), scene.keys.other_exports());
    assert_eq!(leftovers.deleted, [scene.key(3), scene.key(2)]);
    assert_eq!(leftovers.warnings, []);
    assert_eq!(keys(&scene), [scene.key(0), scene.key(1)]);
}

/// What stays after an interruption has no gap before it, so the next run finds it.
#[test]
fn leftovers_that_could_not_be_deleted_at_once_are_found_again() {
    let mut scene = scene("", no_faults());
    scene.export(&[b"a", b"b", b"c", b"d"]).unwrap();
    let next = |scene: &Scene| [1, 2, 3, 4].map(|index| scene.keys.data(index).unwrap());
    scene.world.set_faults(Box::new(|operation, count| {
        let fault = crate::simulated::Fault::Error(403, "AccessDenied");
        (operation == "DeleteObject" && count == 2).then_some(fault)
    }));
    let next_keys = next(&scene);
    let leftovers = scene
        .uploads
        .store()
        .remove_leftovers(next_keys, scene.keys.other_exports());
    assert_eq!(leftovers.deleted, [scene.key(3)]);
    assert_eq!(leftovers.warnings.len(), 1, "{:?}", leftovers.warnings);
    let next_keys = next(&scene);
    let leftovers = scene
        .uploads
        .store()
        .remove_leftovers(next_keys, scene.keys.other_exports());
    assert_eq!(leftovers.deleted, [scene.key(2), scene.key(1)]);
    assert_eq!(keys(&scene), [scene.key(0)]);
}

#[test]
fn somebody_elses_object_under_a_next_key_stays_and_is_named() {
    for fields in ["", r#""if_none_match": true"#] {
        let mut scene = scene(fields, no_faults());
        scene.export(&[b"a"]).unwrap();
        let (foreign, third) = (scene.key(1), scene.key(2));
        scene.world.store.borrow_mut().place(&foreign, b"theirs");
        let leftovers = scene
            .uploads
            .store()
            .remove_leftovers([foreign.clone(), third.clone()], scene.keys.other_exports());
        assert_eq!(leftovers.deleted, Vec::<String>::new());
        assert_eq!(leftovers.warnings.len(), 1, "{:?}", leftovers.warnings);
        let warning = &leftovers.warnings[0].message;
        let told = format!(
            "`{foreign}`: not deleted, because this run did not write them although their numbers \
                            follow on from its files"
        );
        assert!(warning.starts_with(&told), "{warning}");
        assert_eq!(scene.stored(1), Some(b"theirs".to_vec()));
        assert_eq!(scene.world.count("DeleteObject"), 0);
    }
}

/// Behind somebody else's object this run's own are found.
#[test]
fn leftovers_behind_somebody_elses_object_are_deleted() {
    let mut scene = scene("", no_faults());
    scene.export(&[b"a", b"b", b"c"]).unwrap();
    let foreign = scene.key(1);
    scene.world.store.borrow_mut().place(&foreign, b"theirs");
    let next = [1, 2, 3].map(|index| scene.keys.data(index).unwrap());
    let leftovers = scene.uploads.store().remove_leftovers(next, scene.keys.other_exports());
    assert_eq!(leftovers.deleted, [scene.key(2)]);
    assert_eq!(keys(&scene), [scene.key(0), foreign]);
}

#[test]
fn with_if_none_match_leftovers_stay_and_are_named() {
    let mut scene = scene(r#""if_none_match": true"#, no_faults());
    scene.export(&[b"a", b"b"]).unwrap();
    let next = [scene.key(1), scene.key(2)];
    let leftovers = scene.uploads.store().remove_leftovers(next, scene.keys.other_exports());
    assert_eq!(leftovers.deleted, Vec::<String>::new());
    let told = format!(
        "`{}`: left by an earlier attempt with more files; not deleted because if_none_match is set",
        scene.key(1)
    );
    let hint = "delete it, because anyone who reads the whole folder reads rows twice".to_owned();
    assert_eq!(leftovers.warnings, [Explanation::new(told).with_hint(hint)]);
    assert_eq!(scene.world.count("DeleteObject"), 0);
}

#[test]
fn leftovers_that_may_not_be_looked_at_or_deleted_are_reported() {
    for (operation, said) in [("HeadObject", "failed: 403"), ("DeleteObject", "403 AccessDenied")] {
        let mut scene = scene("", no_faults());
        scene.export(&[b"a", b"b"]).unwrap();
        scene.world.denied.borrow_mut().insert(operation);
        let leftovers = scene.uploads.store().remove_leftovers(
            [scene.keys.data(1).unwrap(), scene.keys.data(2).unwrap()],
            scene.keys.other_exports(),
        );
        assert_eq!(leftovers.deleted, Vec::<String>::new());
        let warning = messages_of(&leftovers.warnings).join("\n");
        assert!(warning.contains(&scene.key(1)) && warning.contains(said), "{warning}");
    }
}

fn unsplit() -> Settings {
    let mut settings = settings("");
    settings.max_file_size_bytes = None;
    settings
}

#[test]
fn an_unsplit_run_that_shrinks_to_one_file_deletes_the_second() {
    let settings = unsplit();
    let (world, keys) = after(&settings, 2);
    let report = exported(&world, &settings, 5, LIMITS);
    assert_eq!((report.files.len(), report.warnings), (1, Vec::new()));
    let left: Vec<String> = world.store.borrow().objects.keys().cloned().collect();
    assert_eq!(left, [keys.data(0).unwrap()]);
}

/// A file of the earlier export that this run did not write, in the store with this run's mark.
fn mark(world: &std::rc::Rc<crate::simulated::World>, settings: &Settings, key: &str) {
    uploads(world, settings, &run("attempt-1"))
        .store()
        .put(key, "application/json", b"earlier".to_vec())
        .unwrap();
}

/// Files numbered like the next ones may be those of an export with other splitting, or that a manifest lists which
/// this run does not write: it stays whole, and the run says so.
#[test]
fn an_export_with_other_settings_is_deleted_by_no_half() {
    let mut listed = unsplit();
    listed.manifest_when = ManifestWhen::Rows;
    // Earlier settings and number of files, whether a manifest was written, later settings, what of it is named.
    for (earlier, files, manifest, later, shown, named) in [
        (settings(""), 3, true, unsplit(), 0, vec![1, 2]),
        (settings(""), 3, false, unsplit(), 0, vec![1, 2]),
        (unsplit(), 2, false, settings(""), 0, vec![1]),
    ] {
        let (world, keys) = after(&earlier, files);
        if manifest {
            mark(&world, &earlier, &keys.manifest().unwrap());
        }
        let before: Vec<String> = world.store.borrow().objects.keys().cloned().collect();
        let report = exported(&world, &later, 5, LIMITS);
        assert_eq!(report.files.len(), 1);
        let named: Vec<String> = named
            .into_iter()
            .map(|index| format!("`{}`", keys.data(index).unwrap()))
            .collect();
        let told = format!(
            "{}: not deleted, because they may belong to the export that `{}` is part of",
            named.join(", "),
            keys.data(shown).unwrap()
        );
        assert!(
            report.warnings.iter().any(|warning| warning.message.starts_with(&told)),
            "{:?}, expected {told}",
            report.warnings
        );
        for key in before {
            assert!(world.store.borrow().objects.contains_key(&key), "{key}");
        }
        assert_eq!(world.count("DeleteObject"), 0);
    }
    // Without the first file of a split export, its manifest alone is enough.
    let (world, keys) = after(&listed, 2);
    let manifest = keys.manifest().unwrap();
    mark(&world, &listed, &manifest);
    let report = exported(&world, &unsplit(), 5, LIMITS);
    let told = format!("the export that `{manifest}` is part of");
    assert!(report.warnings[0].message.contains(&told), "{:?}", report.warnings);
    assert_eq!(world.count("DeleteObject"), 0);
    // The same run again rewrites that manifest, so nothing lists what it deletes.
    let report = exported(&world, &listed, 5, LIMITS);
    assert_eq!(report.warnings, []);
    assert_eq!(world.count("DeleteObject"), 1);
}

/// What is not known to belong to nobody else stays.
#[test]
fn where_another_export_cannot_be_looked_for_nothing_is_deleted() {
    let (world, keys) = after(&unsplit(), 2);
    world.set_faults(Box::new(|operation, count| {
        // The second key, and where numbers end, are seen; the first of the other form is not.
        let fault = crate::simulated::Fault::Error(403, "AccessDenied");
        (operation == "HeadObject" && count > 2).then_some(fault)
    }));
    let report = exported(&world, &unsplit(), 5, LIMITS);
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    let told = format!(
        "`{}`: not deleted, although their numbers follow on from this run's files: could not find out whether an \
         earlier attempt left ",
        keys.data(1).unwrap()
    );
    assert!(report.warnings[0].message.starts_with(&told), "{:?}", report.warnings);
    assert_eq!(world.count("DeleteObject"), 0);
}

/// Another format, codec or splitting has other keys: what an earlier attempt left under them is named and stays.
#[test]
fn what_an_earlier_attempt_wrote_with_other_settings_is_named() {
    for (earlier, rows) in [
        (settings(r#""compression": "zstd""#), 5),
        (settings(r#""file_format": "Parquet", "compression": "snappy""#), 5),
        (unsplit(), 5),
        (settings(r#""compression": "gzip""#), 0),
    ] {
        let (world, keys) = after(&earlier, 1);
        let key = keys.data(0).unwrap();
        let report = exported(&world, &settings(""), rows, LIMITS);
        assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
        let told = format!("`{key}`: left by an earlier attempt of this run with another format");
        assert!(report.warnings[0].message.starts_with(&told), "{:?}", report.warnings);
        assert!(world.store.borrow().objects.contains_key(&key));
        assert_eq!(world.count("DeleteObject"), 0);
    }
}

/// At the end of every run: on a slow link the looks cost a few waits, not one each.
#[test]
fn keys_of_other_settings_are_looked_at_side_by_side_and_named_in_order() {
    let mut scene = scene("", no_faults());
    let siblings = scene.keys.siblings();
    let [first, middle, last] = [0, siblings.len() / 2, siblings.len() - 1].map(|n| &siblings[n]);
    for key in [last, first, middle] {
        scene
            .uploads
            .store()
            .put(key, "text/plain", b"earlier".to_vec())
            .unwrap();
    }
    scene.world.most_in_flight.set(0);
    let warnings = scene.uploads.store().older_objects(siblings.clone());
    assert_eq!(scene.world.most_in_flight.get(), WINDOW_REQUESTS);
    assert_eq!(scene.world.count("HeadObject"), siblings.len());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let told = format!("`{first}`, `{middle}`, `{last}`: left by an earlier attempt of this run");
    assert!(warnings[0].message.starts_with(&told), "{warnings:?}");
}

/// Two destinations may write one folder in two formats: the other's files are no leftovers.
#[test]
fn files_of_another_run_in_another_format_are_nobodys_business() {
    let (world, keys) = after(&settings(""), 0);
    let stem = keys.stem();
    world.store.borrow_mut().place(&format!("{stem}-0.parquet"), b"theirs");
    let report = exported(&world, &settings(""), 5, LIMITS);
    assert_eq!(report.warnings, []);
}
