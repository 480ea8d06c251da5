//! Random runs against random faults: success means exactly the bytes supplied, failure the right class and nothing
//! left open that is not named.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use s3_destination::failure::{Explanation, Failure};
use s3_destination::imports::Imports;
use s3_destination::key::KeyNames;
use s3_destination::manifest;
use s3_destination::recover::recover;
use s3_destination::settings::Settings;
use s3_destination::upload::{PARTS_IN_FLIGHT, StoredFile, Uploads};

use crate::draw::{random_faults, random_files, random_settings};
use crate::simulated::{Host, LIMITS, Random, World, no_faults, run, uploads};
use crate::store::{Checksums, Ignored};
use crate::told::{messages_of, remarks_of};

/// Runs as many seeds as the issue asks for; `SIMULATION_SEEDS` gives another number (`10000`) or one seed (`=77`).
#[test]
fn success_is_complete_and_failure_is_clean() {
    let wanted = std::env::var("SIMULATION_SEEDS").unwrap_or_else(|_| "2000".into());
    let seeds = match wanted.strip_prefix('=') {
        Some(seed) => {
            let seed: u64 = seed.parse().expect("a seed");
            seed..seed + 1
        }
        None => 0..wanted.parse().expect("a number of seeds"),
    };
    let mut outcomes = [0; 3];
    for seed in seeds.clone() {
        match catch_unwind(AssertUnwindSafe(|| simulate(seed))) {
            Ok(outcome) => outcomes[outcome as usize] += 1,
            Err(panic) => {
                eprintln!("SIMULATION_SEEDS=={seed} repeats this failure");
                resume_unwind(panic);
            }
        }
    }
    if seeds.end - seeds.start >= 1_000 {
        assert!(
            outcomes.iter().all(|count| *count > 50),
            "every outcome must occur: {outcomes:?}"
        );
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Stored,
    Failed,
    Killed,
}

/// What stands in the store before the run.
struct Before {
    /// Written by somebody else, and to stay whatever happens.
    foreign: Vec<(String, Vec<u8>)>,
    /// Keys after the run's own that an earlier attempt of the run wrote.
    leftovers: Vec<String>,
    /// First file and manifest of an export with other splitting, to which the leftovers belong then.
    other: Vec<String>,
    /// Something stands under a key of the run, and is not what the run writes.
    is_occupied: bool,
}

fn simulate(seed: u64) -> Outcome {
    let mut random = Random::new(seed ^ 0x5eed);
    let settings = random_settings(&mut random);
    let run = run("attempt-1");
    let world = World::new(seed, &settings, &run, no_faults());
    let supplied = random_files(&mut random, &settings, &run);
    let before = random_past(&mut random, &world, &settings, &supplied);
    random_adversities(&mut random, &world, &settings, &before);
    let killed_at = (random.below(5) == 0).then(|| random.below(400));

    let mut instance = uploads(&world, &settings, &run);
    let result = export(&mut instance, &supplied, &mut random, killed_at);
    // The parts in flight, and one that is only compared with an object that is there.
    let bytes = world.most_payload_bytes.get();
    assert!(
        bytes <= (PARTS_IN_FLIGHT + 1) * LIMITS.part_size_bytes,
        "{bytes} bytes in payloads at once"
    );
    let outcome = match result {
        Ok(None) => {
            drop(instance);
            recovered(&world, &settings);
            Outcome::Killed
        }
        Ok(Some(stored)) => {
            assert!(!before.is_occupied, "something was overwritten or ignored");
            let keys = KeyNames::new(&settings, &run).unwrap();
            let next = (supplied.len() as u32..).map_while(|index| keys.data(index).ok());
            let leftovers = instance.store().remove_leftovers(next, keys.other_exports());
            check_listed(&world, &keys, &before, &leftovers.deleted);
            let mut warnings = messages_of(&leftovers.warnings);
            warnings.extend(instance.take_left_open().iter().map(|left| left.explanation().message));
            drop(instance);
            check_stored(&world, &supplied, &stored, &before, &warnings);
            check_open(&world, &warnings);
            Outcome::Stored
        }
        Err(failure) => {
            let remarks = remarks_of(instance.abort_all());
            drop(instance);
            check_class(&failure, &before);
            check_open(&world, &remarks);
            check_damaged(&world, &supplied, &remarks);
            recovered(&world, &settings);
            Outcome::Failed
        }
    };
    check_untouched(&world, &settings, &before);
    outcome
}

/// A manifest that stays lists nothing that this run deleted, and an export with other splitting stays whole.
fn check_listed(world: &World, keys: &KeyNames, before: &Before, deleted: &[String]) {
    assert!(
        before.other.is_empty() || deleted.is_empty(),
        "{deleted:?} may belong to {:?}",
        before.other
    );
    let store = world.store.borrow();
    for (key, object) in &store.objects {
        if !key.ends_with("_manifest.json") || Some(key) == keys.manifest().as_ref() {
            continue;
        }
        let manifest: serde_json::Value = serde_json::from_slice(&object.bytes).unwrap();
        for listed in manifest["files"].as_array().unwrap() {
            let is_deleted = deleted.iter().any(|key| listed == key.as_str());
            assert!(!is_deleted, "`{key}` lists {listed}, which was deleted");
        }
    }
}

/// Other people's objects are as they were, and with `if_none_match` nothing but this attempt's own is deleted.
fn check_untouched(world: &World, settings: &Settings, before: &Before) {
    let store = world.store.borrow();
    for (key, bytes) in &before.foreign {
        let object = store.objects.get(key).map(|object| &object.bytes);
        assert!(object == Some(bytes), "`{key}` was somebody else's");
    }
    if settings.object.if_none_match {
        for key in &before.leftovers {
            assert!(store.objects.contains_key(key), "`{key}` was deleted");
        }
    }
}

/// What stands in the store before the run: an earlier attempt's files, more or fewer, and somebody else's.
fn random_past(random: &mut Random, world: &Rc<World>, settings: &Settings, supplied: &[(String, Vec<u8>)]) -> Before {
    let mut before = Before {
        foreign: Vec::new(),
        leftovers: Vec::new(),
        other: Vec::new(),
        is_occupied: false,
    };
    let conditional = settings.object.if_none_match;
    let names = KeyNames::new(settings, &run("attempt-0")).unwrap();
    let count = supplied.len() as u32;
    let mut earlier = uploads(world, settings, &run("attempt-0"));
    let mut write = |key: &str, bytes: &[u8]| {
        let mut file = earlier.open(key.to_owned(), "application/x-ndjson").unwrap();
        earlier.write(&mut file, bytes).unwrap();
        earlier.close(file).unwrap();
    };
    if random.below(3) == 0 {
        // With `if_none_match` an earlier attempt's files are the same, or the run is refused.
        let same = random.below(4) != 0;
        for (key, bytes) in supplied.iter().take(random.below(4) as usize) {
            match conditional && same {
                true => write(key, bytes),
                false => {
                    let other: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
                    write(key, &other);
                    before.is_occupied |= conditional;
                }
            }
        }
    }
    let mut next = count;
    if random.below(3) == 0 {
        for _ in 0..1 + random.below(3) {
            let key = names.data(next).unwrap();
            write(&key, b"an earlier attempt had more");
            before.leftovers.push(key);
            next += 1;
        }
    }
    earlier.settle().unwrap();
    if count > 0 && random.below(2) == 0 {
        before.other = names.other_exports();
        let listed = before.other.iter().take(1).chain(&before.leftovers);
        let manifest = manifest::simple(listed.map(String::as_str));
        for (index, key) in before.other.iter().enumerate() {
            let bytes = match index {
                0 => b"an export with other splitting".to_vec(),
                _ => manifest.clone(),
            };
            earlier.store().put(key, "application/json", bytes).unwrap();
        }
    }
    drop(earlier);
    let mut foreign = |index: u32| {
        let key = names.data(index).unwrap();
        let bytes = b"somebody else's".to_vec();
        world.store.borrow_mut().place(&key, &bytes);
        before.foreign.push((key, bytes));
    };
    if random.below(4) == 0 {
        foreign(next);
    }
    if conditional && count > 0 && random.below(4) == 0 {
        foreign(random.below(count.into()) as u32);
        before.is_occupied = true;
    }
    world.notes.borrow_mut().clear();
    world.arrived.borrow_mut().clear();
    before
}

fn random_adversities(random: &mut Random, world: &Rc<World>, settings: &Settings, before: &Before) {
    world.set_faults(random_faults(random));
    if random.below(8) == 0 {
        world.skew_s.set(random.pick(&[-86_400, -3_600, 3_600, 86_400]));
    }
    if random.below(8) == 0 {
        world.credentials_valid_from.set(1);
    }
    if random.below(10) == 0 {
        let denied = [
            "PutObject",
            "UploadPart",
            "CompleteMultipartUpload",
            "CreateMultipartUpload",
        ];
        world.denied.borrow_mut().insert(random.pick(&denied));
    }
    if random.below(10) == 0 {
        let denied = [
            "HeadObject",
            "AbortMultipartUpload",
            "ListMultipartUploads",
            "DeleteObject",
        ];
        world.denied.borrow_mut().insert(random.pick(&denied));
    }
    let mut store = world.store.borrow_mut();
    // Without the right to look, the condition is all that there is. A clock that is wrong looks like that on HEAD.
    let may_look = !world.denied.borrow().contains("HeadObject") && world.skew_s.get() == 0;
    if may_look && random.below(4) == 0 {
        store.ignores_condition = random.pick(&[Ignored::Complete, Ignored::Always]);
    }
    store.checksums = match settings.object.if_none_match && !before.is_occupied {
        true => random.pick(&[Checksums::AsAsked, Checksums::Several]),
        false => random.pick(&[
            Checksums::AsAsked,
            Checksums::Composite,
            Checksums::Several,
            Checksums::Silent,
        ]),
    };
    let tells = !matches!(store.checksums, Checksums::Silent);
    store.damages = tells && settings.object.checksum.is_some() && random.below(30) == 0;
    if store.damages {
        // Of what nobody is told, nobody can say that it is damaged.
        world.set_faults(no_faults());
    }
}

/// An object of this attempt whose bytes are not those supplied is named: nobody may take it for good.
fn check_damaged(world: &World, supplied: &[(String, Vec<u8>)], remarks: &[String]) {
    let store = world.store.borrow();
    for (key, bytes) in supplied {
        let Some(object) = store.objects.get(key) else {
            continue;
        };
        let mark = ("x-amz-meta-batch-export-attempt", "attempt-1");
        let is_own = object
            .headers
            .iter()
            .any(|(name, value)| (name.as_str(), value.as_str()) == mark);
        let is_named = remarks.iter().any(|remark| remark.contains(&format!("`{key}`")));
        assert!(
            !is_own || object.bytes == *bytes || is_named,
            "`{key}` is damaged and nobody says so: {remarks:?}"
        );
    }
}

/// The caller's part: files one after another, then what is stored; `None` when it is killed on the way.
fn export<I: Imports>(
    uploads: &mut Uploads<I>,
    supplied: &[(String, Vec<u8>)],
    random: &mut Random,
    killed_at: Option<u64>,
) -> Result<Option<Vec<StoredFile>>, Failure> {
    let mut written = 0;
    for (key, bytes) in supplied {
        let mut file = uploads.open(key.clone(), "application/x-ndjson")?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + random.below(rest.len() as u64) as usize);
            uploads.write(&mut file, now)?;
            written += now.len() as u64;
            if killed_at.is_some_and(|at| written > at) {
                return Ok(None);
            }
            rest = later;
        }
        assert_eq!(file.bytes_written(), bytes.len() as u64);
        uploads.close(file)?;
    }
    Ok(Some(uploads.settle()?))
}

fn check_stored(
    world: &World,
    supplied: &[(String, Vec<u8>)],
    stored: &[StoredFile],
    before: &Before,
    warnings: &[String],
) {
    let store = world.store.borrow();
    let keys: Vec<&String> = supplied.iter().map(|(key, _)| key).collect();
    assert_eq!(
        stored.iter().map(|file| &file.key).collect::<Vec<_>>(),
        keys,
        "the files reported"
    );
    let is_foreign = |key: &String| before.foreign.iter().any(|(other, _)| other == key);
    for key in store.objects.keys() {
        let is_known = keys.contains(&key) || is_foreign(key) || before.other.contains(key);
        assert!(
            is_known || (before.leftovers.contains(key) && !warnings.is_empty()),
            "`{key}` is left and nobody says so"
        );
    }
    for ((key, bytes), file) in supplied.iter().zip(stored) {
        let object = &store.objects[key];
        assert!(object.bytes == *bytes, "`{key}` holds other bytes");
        assert_eq!(file.bytes, bytes.len() as u64);
        let algorithm = file.checksum.as_ref().map(|checksum| checksum.algorithm());
        let shown = algorithm.and_then(|algorithm| {
            let header = object.headers.iter().find(|(name, _)| name == algorithm.header());
            header.map(|(_, value)| value.as_str())
        });
        if let Some(shown) = shown.filter(|_| store.checksums != Checksums::Composite) {
            let reported = file.checksum.as_ref().map(|checksum| checksum.text());
            assert_eq!(reported, Some(shown), "the checksum of `{key}`");
        }
    }
}

/// No upload is open that no message names: by its id, or by its key where the id is unknown.
fn check_open(world: &World, messages: &[String]) {
    for (id, key) in world.open_uploads() {
        let named =
            |text: &String| text.contains(&format!("`{id}`")) || (text.contains(&key) && text.contains("unknown"));
        assert!(
            messages.iter().any(named),
            "upload {id} of {key} is open and nobody says so: {messages:?}"
        );
    }
}

/// A person is called for what only a person can change, and for nothing else.
fn check_class(failure: &Failure, before: &Before) {
    match failure {
        Failure::Refused(Explanation { message, .. }) => assert!(
            message.contains("AccessDenied")
                || message.contains("the credentials do not allow reading it")
                || message.contains("does not respond like S3")
                || (before.is_occupied && message.contains("already exists")),
            "refused: {message}"
        ),
        Failure::Unavailable { reason, .. } => {
            let message = &reason.message;
            assert!(
                !message.contains("403 AccessDenied: said by the simulator (request id"),
                "unavailable: {message}"
            );
            assert!(message.contains("t ä+b/"), "it names no key: {message}");
        }
        other => panic!("{other:?}"),
    }
}

/// A fresh instance cleans up from the notes once the store is well again.
fn recovered(world: &Rc<World>, settings: &Settings) {
    world.set_faults(Box::new(|_, _| None));
    world.denied.borrow_mut().clear();
    let notes = world.notes.borrow().clone();
    let recovery = recover(Rc::new(Host(world.clone())), settings, &run("attempt-2"), &notes);
    assert_eq!(recovery.left_open, []);
    assert_eq!(world.open_uploads(), []);
    // Twice does no harm: the notes say by now that nothing is left.
    let notes = world.notes.borrow().clone();
    let again = recover(Rc::new(Host(world.clone())), settings, &run("attempt-3"), &notes);
    assert_eq!(again.aborted, []);
}
