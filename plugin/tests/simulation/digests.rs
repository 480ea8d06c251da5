//! What the host is asked to compute of bodies: all that signatures and checksums need, nothing more, and in time.

use crc_fast::CrcAlgorithm;
use s3_destination::imports::DigestAlgorithm::{self, Crc32, Crc32c, Crc64Nvme, Sha256};
use sha2::Digest;

use crate::disasters::{four_parts, scene};
use crate::simulated::no_faults;

/// As the contract says: CRCs are big-endian.
pub fn digest(algorithm: DigestAlgorithm, bytes: &[u8]) -> Vec<u8> {
    let crc = |algorithm| crc_fast::checksum(algorithm, bytes).to_be_bytes();
    match algorithm {
        Sha256 => sha2::Sha256::digest(bytes).to_vec(),
        Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme).to_vec(),
        Crc32c => crc(CrcAlgorithm::Crc32Iscsi)[4..].to_vec(),
        Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc)[4..].to_vec(),
    }
}

/// For the parts and the small object, and for the document that completes the upload.
#[test]
fn nothing_is_computed_in_vain() {
    let table: [(&str, &[DigestAlgorithm]); 6] = [
        (r#""checksum": "none""#, &[Sha256]),
        (r#""checksum": "none", "payload_signing": "unsigned""#, &[]),
        (r#""checksum": "crc64nvme""#, &[Crc64Nvme]),
        (r#""checksum": "crc32""#, &[Crc32]),
        (
            r#""checksum": "crc32c", "payload_signing": "signed""#,
            &[Sha256, Crc32c],
        ),
        (r#""checksum": "sha256", "payload_signing": "signed""#, &[Sha256]),
    ];
    for (fields, of_data) in table {
        let mut scene = scene(fields, no_faults());
        scene.export(&[&four_parts(), b"small"]).unwrap();
        let mut expected = [of_data; 5].concat();
        expected.push(Sha256);
        let mut asked = scene.world.digests.borrow().clone();
        asked.sort_by_key(|algorithm| format!("{algorithm:?}"));
        expected.sort_by_key(|algorithm| format!("{algorithm:?}"));
        assert_eq!(asked, expected, "{fields}");
        assert!(scene.world.computed.get() >= asked.len(), "{fields}");
    }
}

/// While the host computes, the caller goes on: the part is sent with the next request, or when the caller says so.
#[test]
fn a_part_is_sent_only_when_its_digest_is_needed() {
    let mut scene = scene(r#""checksum": "crc64nvme""#, no_faults());
    let world = scene.world.clone();
    let part = [7; 16];
    let mut file = scene.uploads.open(scene.key(0), "text/plain").unwrap();
    scene.uploads.write(&mut file, &part).unwrap();
    scene.uploads.write(&mut file, &part).unwrap();
    let asked = || (world.digests.borrow().len(), world.computed.get());
    assert_eq!(asked(), (1, 0));
    scene.uploads.write(&mut file, &part).unwrap();
    assert_eq!(asked(), (2, 1));
    scene.uploads.send_prepared();
    assert_eq!(asked(), (2, 2));
    scene.uploads.send_prepared();
    assert_eq!(asked(), (2, 2));
}
