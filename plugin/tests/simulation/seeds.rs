//! Random runs against random faults: success means exactly the bytes supplied, failure the right class and nothing
//! left open that is not named.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use s3_destination::failure::Failure;
use s3_destination::imports::Imports;
use s3_destination::key::KeyNames;
use s3_destination::recover::recover;
use s3_destination::settings::{Run, Settings};
use s3_destination::upload::{StoredFile, Uploads};

use crate::simulated::{Fault, Faults, Host, LIMITS, Random, World, run, settings, uploads};

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

fn simulate(seed: u64) -> Outcome {
    let mut random = Random::new(seed ^ 0x5eed);
    let settings = random_settings(&mut random);
    let run = run("attempt-1");
    let world = World::new(seed, &settings, &run, random_faults(&mut random));
    if random.below(8) == 0 {
        world
            .skew_s
            .set(random.pick(&[-86_400, -3_600, 3_600, 86_400]));
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
        let denied = ["HeadObject", "AbortMultipartUpload", "ListMultipartUploads"];
        world.denied.borrow_mut().insert(random.pick(&denied));
    }
    let supplied = random_files(&mut random, &settings, &run);
    let killed_at = (random.below(5) == 0).then(|| random.below(400));

    let mut instance = uploads(&world, &settings, &run);
    let result = export(&mut instance, &supplied, &mut random, killed_at);
    assert!(
        world.most_payloads.get() <= 4,
        "{} payloads at once",
        world.most_payloads.get()
    );
    match result {
        Ok(None) => {
            drop(instance);
            recovered(&world, &settings);
            Outcome::Killed
        }
        Ok(Some(stored)) => {
            let warnings = instance.take_warnings();
            drop(instance);
            check_stored(&world, &supplied, &stored);
            check_open(&world, &warnings);
            Outcome::Stored
        }
        Err(failure) => {
            let left_open: Vec<String> = instance
                .abort_all()
                .iter()
                .map(ToString::to_string)
                .collect();
            drop(instance);
            check_class(&failure);
            check_open(&world, &left_open);
            recovered(&world, &settings);
            Outcome::Failed
        }
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
        uploads.open(key.clone(), "application/x-ndjson")?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + random.below(rest.len() as u64) as usize);
            uploads.write(now)?;
            written += now.len() as u64;
            if killed_at.is_some_and(|at| written > at) {
                return Ok(None);
            }
            rest = later;
        }
        assert_eq!(uploads.bytes_written(), bytes.len() as u64);
        uploads.close()?;
    }
    Ok(Some(uploads.settle()?))
}

fn check_stored(world: &World, supplied: &[(String, Vec<u8>)], stored: &[StoredFile]) {
    let store = world.store.borrow();
    let keys: Vec<&String> = supplied.iter().map(|(key, _)| key).collect();
    assert_eq!(
        store.objects.keys().collect::<Vec<_>>(),
        keys,
        "the objects in the store"
    );
    assert_eq!(
        stored.iter().map(|file| &file.key).collect::<Vec<_>>(),
        keys,
        "the files reported"
    );
    for ((key, bytes), file) in supplied.iter().zip(stored) {
        let object = &store.objects[key];
        assert!(object.bytes == *bytes, "`{key}` holds other bytes");
        assert_eq!(file.bytes, bytes.len() as u64);
    }
}

/// No upload is open that no message names: by its id, or by its key where the id is unknown.
fn check_open(world: &World, messages: &[String]) {
    for (id, key) in world.open_uploads() {
        let named = |text: &String| {
            text.contains(&format!("`{id}`")) || (text.contains(&key) && text.contains("unknown"))
        };
        assert!(
            messages.iter().any(named),
            "upload {id} of {key} is open and nobody says so: {messages:?}"
        );
    }
}

/// A person is called for what only a person can change, and for nothing else.
fn check_class(failure: &Failure) {
    match failure {
        Failure::Refused(message) => assert!(
            message.contains("AccessDenied") || message.contains("the credentials may not read it"),
            "refused: {message}"
        ),
        Failure::Unavailable { message, .. } => {
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
    let recovery = recover(
        Rc::new(Host(world.clone())),
        settings,
        &run("attempt-2"),
        &notes,
    );
    assert_eq!(recovery.left_open, Vec::<String>::new());
    assert_eq!(world.open_uploads(), []);
    // Twice does no harm: the notes say by now that nothing is left.
    let notes = world.notes.borrow().clone();
    let again = recover(
        Rc::new(Host(world.clone())),
        settings,
        &run("attempt-3"),
        &notes,
    );
    assert_eq!(again.aborted, Vec::<String>::new());
}

fn random_files(random: &mut Random, settings: &Settings, run: &Run) -> Vec<(String, Vec<u8>)> {
    let names = KeyNames::new(settings, run).unwrap();
    let capacity = LIMITS.part_size_bytes as u64 * u64::from(LIMITS.max_parts);
    (0..random.below(6) as u32)
        .map(|index| {
            let len = 1 + match random.below(3) {
                0 => random.below(LIMITS.part_size_bytes as u64),
                _ => random.below(capacity),
            };
            (names.data(index).unwrap(), random.bytes(len as usize))
        })
        .collect()
}

fn random_settings(random: &mut Random) -> Settings {
    settings(random.pick(&[
        "",
        r#""checksum": "crc64nvme""#,
        r#""checksum": "crc32c", "payload_signing": "signed""#,
        r#""checksum": "crc32", "encryption": "AES256""#,
        r#""checksum": "sha256", "storage_class": "STANDARD_IA""#,
        r#""encryption": "aws:kms", "kms_key_id": "key-1", "payload_signing": "unsigned""#,
        r#""if_none_match": true, "checksum": "crc64nvme""#,
        r#""expected_bucket_owner": "123456789012", "metadata": {"team": "blue sky"}, "tags": {"a b": "c+d=e"}"#,
    ]))
}

fn random_faults(random: &mut Random) -> Faults {
    let percent = random.pick(&[0, 5, 20, 40, 70]);
    let damaging = random.below(20) == 0;
    let outage_after = (random.below(12) == 0).then(|| random.below(40));
    let mut random = Random::new(random.below(u64::MAX));
    let mut requests = 0;
    Box::new(move |operation, _| {
        requests += 1;
        if outage_after.is_some_and(|after| requests > after) {
            return Some(Fault::Error(503, "ServiceUnavailable"));
        }
        if random.below(100) >= percent {
            return None;
        }
        if damaging && operation == "UploadPart" && random.below(4) == 0 {
            return Some(Fault::WrongEtag);
        }
        let faults = [
            Fault::Unconnected,
            Fault::AnswerLost,
            Fault::AnswerLate,
            Fault::Twice,
            Fault::Error(500, "InternalError"),
            Fault::Error(503, "SlowDown"),
            Fault::Error(400, "RequestTimeout"),
            Fault::Error(409, "OperationAborted"),
            Fault::ErrorAfter(500, "InternalError"),
            Fault::ErrorAfter(504, "GatewayTimeout"),
            Fault::Page(502),
        ];
        let with_document = [
            Fault::Error(200, "InternalError"),
            Fault::ErrorAfter(200, "InternalError"),
            Fault::Page(200),
            Fault::PageAfter(200),
        ];
        let reads_document = matches!(
            operation,
            "CreateMultipartUpload" | "CompleteMultipartUpload"
        );
        let fault = match reads_document && random.below(3) == 0 {
            true => random.pick(&with_document),
            false => random.pick(&faults),
        };
        // Nobody between may repeat a POST by himself (RFC 9110, section 9.2.2), and an upload created twice behind
        // the plugin's back could only be found by listing after every run.
        let repeats_create = operation == "CreateMultipartUpload" && fault == Fault::Twice;
        Some(if repeats_create {
            Fault::AnswerLost
        } else {
            fault
        })
    })
}
