//! What a seed draws for a run: files, settings and faults. Checks nothing.

use s3_destination::key::KeyNames;
use s3_destination::settings::{Run, Settings};

use crate::simulated::{Fault, Faults, LIMITS, Random, settings};

pub fn random_files(random: &mut Random, settings: &Settings, run: &Run) -> Vec<(String, Vec<u8>)> {
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

pub fn random_settings(random: &mut Random) -> Settings {
    let mut fields = vec![random.pick(&[
        r#""checksum": "none""#,
        r#""checksum": "crc64nvme""#,
        r#""checksum": "crc32c""#,
        r#""checksum": "crc32""#,
        r#""checksum": "sha256""#,
    ])];
    fields.extend(random.pick(&[
        None,
        Some(r#""payload_signing": "signed", "encryption": "AES256""#),
        Some(r#""storage_class": "STANDARD_IA""#),
        Some(r#""encryption": "aws:kms", "kms_key_id": "key-1", "payload_signing": "unsigned""#),
        Some(r#""expected_bucket_owner": "123456789012", "metadata": {"team": "blue sky"}, "tags": {"a b": "c+d=e"}"#),
    ]));
    fields.extend((random.below(3) == 0).then_some(r#""if_none_match": true"#));
    let mut settings = settings(&fields.join(", "));
    if random.below(3) == 0 {
        settings.max_file_size_bytes = None;
    }
    settings
}

pub fn random_faults(random: &mut Random) -> Faults {
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
        let reads_document = matches!(operation, "CreateMultipartUpload" | "CompleteMultipartUpload");
        let fault = match reads_document && random.below(3) == 0 {
            true => random.pick(&with_document),
            false => random.pick(&faults),
        };
        // Nobody between may repeat a POST by himself (RFC 9110, section 9.2.2), and an upload created twice behind
        // the plugin's back could only be found by listing after every run.
        let repeats_create = operation == "CreateMultipartUpload" && fault == Fault::Twice;
        // A request without a body is not timed out for sending one, and HEAD could not say so.
        let times_out = operation == "HeadObject" && fault == Fault::Error(400, "RequestTimeout");
        Some(if repeats_create {
            Fault::AnswerLost
        } else if times_out {
            Fault::Error(503, "SlowDown")
        } else {
            fault
        })
    })
}
