//! Checksums that S3 verifies on arrival: per part, and of the whole object from its parts. Bodies are left to the
//! host, which computes theirs.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use sha2::{Digest, Sha256};

use crate::imports::DigestAlgorithm;
use crate::settings::ChecksumAlgorithm;

impl ChecksumAlgorithm {
    /// All that there are.
    pub const ALL: [ChecksumAlgorithm; 4] = [
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Crc32c,
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Sha256,
    ];

    /// Returns the header that carries the value.
    pub fn header(self) -> &'static str {
        match self {
            ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
            ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
            ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// As `x-amz-checksum-algorithm` names it.
    pub fn name(self) -> &'static str {
        match self {
            ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
            ChecksumAlgorithm::Crc32c => "CRC32C",
            ChecksumAlgorithm::Crc32 => "CRC32",
            ChecksumAlgorithm::Sha256 => "SHA256",
        }
    }

    /// Returns the element that carries it in a document.
    pub fn element(self) -> &'static str {
        match self {
            ChecksumAlgorithm::Crc64Nvme => "ChecksumCRC64NVME",
            ChecksumAlgorithm::Crc32c => "ChecksumCRC32C",
            ChecksumAlgorithm::Crc32 => "ChecksumCRC32",
            ChecksumAlgorithm::Sha256 => "ChecksumSHA256",
        }
    }

    /// How a multipart object's checksum relates to its parts: CRCs can be combined into the whole object's, which a
    /// reader can compute from the object alone; SHA-256 cannot, and S3 keeps the hash of the parts' hashes.
    pub fn multipart_type(self) -> &'static str {
        match self.crc() {
            Some(_) => "FULL_OBJECT",
            None => "COMPOSITE",
        }
    }

    /// What the host computes for it.
    pub fn digest(self) -> DigestAlgorithm {
        match self {
            ChecksumAlgorithm::Crc64Nvme => DigestAlgorithm::Crc64Nvme,
            ChecksumAlgorithm::Crc32c => DigestAlgorithm::Crc32c,
            ChecksumAlgorithm::Crc32 => DigestAlgorithm::Crc32,
            ChecksumAlgorithm::Sha256 => DigestAlgorithm::Sha256,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            ChecksumAlgorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Sha256 => None,
        }
    }
}

/// The checksum of one body: of a PUT or of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    algorithm: ChecksumAlgorithm,
    value: Value,
    bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Crc(u64),
    Sha256([u8; 32]),
}

impl Checksum {
    /// Of so many bytes, from the digest that the host computed. One of another length can only be wrong, and the store
    /// that verifies it says so.
    pub fn of_digest(algorithm: ChecksumAlgorithm, digest: &[u8], bytes: u64) -> Self {
        let value = match algorithm.crc() {
            Some(_) => Value::Crc(digest.iter().fold(0, |crc, byte| (crc << 8) | u64::from(*byte))),
            None => {
                let mut sha256 = [0; 32];
                for (to, from) in sha256.iter_mut().zip(digest) {
                    *to = *from;
                }
                Value::Sha256(sha256)
            }
        };
        Checksum {
            algorithm,
            value,
            bytes,
        }
    }

    /// Of these bytes, computed here: for a few, such as the checksums of parts.
    pub fn of(algorithm: ChecksumAlgorithm, body: &[u8]) -> Self {
        let value = match algorithm.crc() {
            Some(crc) => Value::Crc(crc_fast::checksum(crc, body)),
            None => Value::Sha256(Sha256::digest(body).into()),
        };
        Checksum {
            algorithm,
            value,
            bytes: body.len() as u64,
        }
    }

    /// Which one it is.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// Returns its form in headers and documents.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.raw())
    }

    /// Returns the big-endian value.
    fn raw(&self) -> Vec<u8> {
        match (&self.value, self.algorithm) {
            (Value::Crc(value), ChecksumAlgorithm::Crc64Nvme) => value.to_be_bytes().to_vec(),
            (Value::Crc(value), _) => (*value as u32).to_be_bytes().to_vec(),
            (Value::Sha256(value), _) => value.to_vec(),
        }
    }
}

/// The checksum of an object, made of the checksums of its bodies, so that it can only be of the kind that S3 computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectChecksum {
    algorithm: ChecksumAlgorithm,
    /// Of all its bytes, in base64. The SHA-256s of parts do not give it.
    whole: Option<String>,
    /// Of the checksums of its parts, with their number: what S3 shows for SHA-256, and stores that know no other
    /// kind for any algorithm.
    composite: String,
}

impl ObjectChecksum {
    /// Of an object that one request wrote.
    pub fn of_body(body: &Checksum) -> Self {
        ObjectChecksum {
            algorithm: body.algorithm,
            whole: Some(body.base64()),
            composite: composite(body.algorithm, std::slice::from_ref(&body)),
        }
    }

    /// Of an object that a multipart upload wrote, from its parts in order; `None` without parts.
    pub fn of_parts(parts: &[&Checksum]) -> Option<Self> {
        let (first, rest) = parts.split_first()?;
        let whole = first.algorithm.crc().map(|crc| {
            let whole = rest
                .iter()
                .fold((*first).clone(), |whole, part| combine(crc, whole, part));
            whole.base64()
        });
        Some(ObjectChecksum {
            algorithm: first.algorithm,
            whole,
            composite: composite(first.algorithm, parts),
        })
    }

    /// Which one it is.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// As S3 shows it: base64, for a composite one with `-<parts>` at the end.
    pub fn text(&self) -> &str {
        self.whole.as_deref().unwrap_or(&self.composite)
    }

    /// Of all the object's bytes, where that is known.
    pub fn whole(&self) -> Option<&str> {
        self.whole.as_deref()
    }

    /// What the store's checksum of the object, of the same algorithm, says of its bytes.
    pub fn compare(&self, reported: &str) -> Comparison {
        let ours = match reported.contains('-') {
            true => Some(self.composite.as_str()),
            false => self.whole(),
        };
        match ours {
            Some(ours) if ours == reported => Comparison::Same,
            Some(_) => Comparison::Other("its checksum is another".into()),
            None => Comparison::Unknown(format!(
                "the store shows a {} of the whole object, which cannot be compared with those of the parts",
                self.algorithm.name()
            )),
        }
    }
}

/// What a store's word about an object says of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    Same,
    /// Why they are others.
    Other(String),
    /// Why it cannot be known: never a proof.
    Unknown(String),
}

/// Returns the checksum of the parts' checksums.
fn composite(algorithm: ChecksumAlgorithm, parts: &[&Checksum]) -> String {
    let raw: Vec<u8> = parts.iter().flat_map(|part| part.raw()).collect();
    format!("{}-{}", Checksum::of(algorithm, &raw).base64(), parts.len())
}

fn combine(crc: CrcAlgorithm, whole: Checksum, part: &Checksum) -> Checksum {
    let value = match (&whole.value, &part.value) {
        (Value::Crc(first), Value::Crc(second)) => {
            Value::Crc(crc_fast::checksum_combine(crc, *first, *second, part.bytes))
        }
        (value, _) => value.clone(),
    };
    Checksum {
        algorithm: whole.algorithm,
        value,
        bytes: whole.bytes + part.bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check values of the CRC catalogue (for "123456789") and FIPS 180's SHA-256 of "abc", in base64.
    #[test]
    fn known_values() {
        let known: [(ChecksumAlgorithm, &[u8], &[u8]); 4] = [
            (
                ChecksumAlgorithm::Crc64Nvme,
                b"123456789",
                &0xae8b_1486_0a79_9888_u64.to_be_bytes(),
            ),
            (ChecksumAlgorithm::Crc32c, b"123456789", &0xe306_9283_u32.to_be_bytes()),
            (ChecksumAlgorithm::Crc32, b"123456789", &0xcbf4_3926_u32.to_be_bytes()),
            (
                ChecksumAlgorithm::Sha256,
                b"abc",
                &[
                    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
                ],
            ),
        ];
        for (algorithm, body, expected) in known {
            assert_eq!(
                Checksum::of(algorithm, body).base64(),
                STANDARD.encode(expected),
                "{algorithm:?}"
            );
        }
    }

    fn of(algorithm: ChecksumAlgorithm, bodies: &[&[u8]]) -> Vec<Checksum> {
        bodies.iter().map(|body| Checksum::of(algorithm, body)).collect()
    }

    /// What S3 shows: the value of the bytes themselves, but for the SHA-256 of several parts.
    #[test]
    fn an_object_of_one_put_has_the_checksum_of_its_bytes() {
        for algorithm in ChecksumAlgorithm::ALL {
            let body = Checksum::of(algorithm, b"123456789");
            let object = ObjectChecksum::of_body(&body);
            assert_eq!(object.text(), body.base64(), "{algorithm:?}");
            assert_eq!(object.whole(), Some(object.text()), "{algorithm:?}");
        }
        // FIPS 180's SHA-256 of "abc".
        let abc = Checksum::of(ChecksumAlgorithm::Sha256, b"abc");
        assert_eq!(
            ObjectChecksum::of_body(&abc).text(),
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
        );
    }

    /// The parts' CRCs combine into the CRC of the whole, wherever the cuts are.
    #[test]
    fn parts_combine_into_the_whole() {
        let body: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        for algorithm in ChecksumAlgorithm::ALL
            .into_iter()
            .filter(|a| a.multipart_type() == "FULL_OBJECT")
        {
            for part_size in [1_000, 4_096, 39_999, 40_000, 50_000] {
                let parts = of(algorithm, &body.chunks(part_size).collect::<Vec<_>>());
                let whole = ObjectChecksum::of_parts(&parts.iter().collect::<Vec<_>>()).unwrap();
                assert_eq!(
                    whole.text(),
                    Checksum::of(algorithm, &body).base64(),
                    "{algorithm:?} {part_size}"
                );
            }
        }
    }

    #[test]
    fn sha256_of_parts_is_composite() {
        let parts = of(ChecksumAlgorithm::Sha256, &[b"abc", b"def"]);
        let digests: Vec<u8> = [b"abc".as_slice(), b"def"].iter().flat_map(Sha256::digest).collect();
        let object = ObjectChecksum::of_parts(&[&parts[0], &parts[1]]).unwrap();
        let composite = format!("{}-2", STANDARD.encode(Sha256::digest(&digests)));
        assert_eq!((object.text(), object.whole()), (composite.as_str(), None));
    }

    #[test]
    fn without_parts_there_is_none() {
        assert_eq!(ObjectChecksum::of_parts(&[]), None);
    }

    /// Whatever kind the store shows, it is the same, another, or told to be unknown: never taken for the same.
    #[test]
    fn every_kind_is_compared_or_told_to_be_unknown() {
        for algorithm in ChecksumAlgorithm::ALL {
            let parts = of(algorithm, &[b"abc", b"def"]);
            let others = of(algorithm, &[b"abc", b"DEF"]);
            let in_parts = ObjectChecksum::of_parts(&[&parts[0], &parts[1]]).unwrap();
            let as_one = ObjectChecksum::of_body(&Checksum::of(algorithm, b"abcdef"));
            let other = ObjectChecksum::of_parts(&[&others[0], &others[1]]).unwrap();
            for (ours, theirs, same) in [
                (&in_parts, &in_parts, true),
                (&as_one, &as_one, true),
                (&in_parts, &other, false),
                (&as_one, &other, false),
            ] {
                let composite = ours.compare(&theirs.composite);
                assert_eq!(composite == Comparison::Same, same, "{algorithm:?}");
                if let Some(whole) = &theirs.whole {
                    let whole = ours.compare(whole);
                    assert_eq!(whole == Comparison::Same, same, "{algorithm:?}");
                }
            }
            // The same bytes in other parts: a composite of them cannot be ours.
            assert_ne!(as_one.compare(&in_parts.composite), Comparison::Same);
            let whole = in_parts.compare(as_one.text());
            match algorithm.crc() {
                Some(_) => assert_eq!(whole, Comparison::Same),
                None => assert!(matches!(whole, Comparison::Unknown(_)), "{whole:?}"),
            }
        }
    }
}
