//! Checksums that S3 verifies on arrival: per part, and of the whole object from its parts. Never reads a body twice.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use sha2::{Digest, Sha256};

use crate::settings::ChecksumAlgorithm;

impl ChecksumAlgorithm {
    /// The header that carries the value.
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

    /// The element that carries it in a document.
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

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            ChecksumAlgorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Sha256 => None,
        }
    }
}

/// The checksum of one body.
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
    /// Of these bytes.
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

    /// As it stands in headers and documents: base64 of the big-endian value.
    pub fn base64(&self) -> String {
        match (&self.value, self.algorithm) {
            (Value::Crc(value), ChecksumAlgorithm::Crc64Nvme) => {
                STANDARD.encode(value.to_be_bytes())
            }
            (Value::Crc(value), _) => STANDARD.encode((*value as u32).to_be_bytes()),
            (Value::Sha256(value), _) => STANDARD.encode(value),
        }
    }
}

/// The checksum of a multipart object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectChecksum {
    pub algorithm: ChecksumAlgorithm,
    /// As S3 shows it: base64, for a composite one with `-<parts>` behind.
    pub text: String,
}

/// The object's checksum from its parts', in order; `None` without parts, or where a part has none.
pub fn of_object<'a>(
    parts: impl IntoIterator<Item = Option<&'a Checksum>>,
) -> Option<ObjectChecksum> {
    let parts: Vec<&Checksum> = parts.into_iter().collect::<Option<_>>()?;
    let algorithm = parts.first()?.algorithm;
    let text = match algorithm.crc() {
        Some(crc) => {
            let combined = parts
                .iter()
                .copied()
                .cloned()
                .reduce(|whole, part| combine(crc, whole, &part))?;
            combined.base64()
        }
        None => {
            let mut hash = Sha256::new();
            for part in &parts {
                if let Value::Sha256(value) = &part.value {
                    hash.update(value);
                }
            }
            format!("{}-{}", STANDARD.encode(hash.finalize()), parts.len())
        }
    };
    Some(ObjectChecksum { algorithm, text })
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

    const ALL: [ChecksumAlgorithm; 4] = [
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Crc32c,
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Sha256,
    ];

    /// Check values of the CRC catalogue (for "123456789") and FIPS 180's SHA-256 of "abc", in base64.
    #[test]
    fn known_values() {
        let known: [(ChecksumAlgorithm, &[u8], &[u8]); 4] = [
            (
                ChecksumAlgorithm::Crc64Nvme,
                b"123456789",
                &0xae8b_1486_0a79_9888_u64.to_be_bytes(),
            ),
            (
                ChecksumAlgorithm::Crc32c,
                b"123456789",
                &0xe306_9283_u32.to_be_bytes(),
            ),
            (
                ChecksumAlgorithm::Crc32,
                b"123456789",
                &0xcbf4_3926_u32.to_be_bytes(),
            ),
            (
                ChecksumAlgorithm::Sha256,
                b"abc",
                &[
                    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d,
                    0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10,
                    0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
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

    /// The parts' CRCs combine into the CRC of the whole, wherever the cuts are.
    #[test]
    fn parts_combine_into_the_whole() {
        let body: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        for algorithm in ALL
            .into_iter()
            .filter(|a| a.multipart_type() == "FULL_OBJECT")
        {
            for part_size in [1_000, 4_096, 39_999, 40_000, 50_000] {
                let parts: Vec<Checksum> = body
                    .chunks(part_size)
                    .map(|part| Checksum::of(algorithm, part))
                    .collect();
                let whole = of_object(parts.iter().map(Some)).unwrap();
                assert_eq!(
                    whole.text,
                    Checksum::of(algorithm, &body).base64(),
                    "{algorithm:?} {part_size}"
                );
            }
        }
    }

    #[test]
    fn sha256_of_parts_is_composite() {
        let parts =
            [b"abc".as_slice(), b"def"].map(|part| Checksum::of(ChecksumAlgorithm::Sha256, part));
        let digests: Vec<u8> = [b"abc".as_slice(), b"def"]
            .iter()
            .flat_map(Sha256::digest)
            .collect();
        let whole = of_object(parts.iter().map(Some)).unwrap();
        assert_eq!(
            whole.text,
            format!("{}-2", STANDARD.encode(Sha256::digest(&digests)))
        );
    }

    #[test]
    fn no_parts_or_a_part_without_checksum_has_none() {
        assert_eq!(of_object([]), None);
        let part = Checksum::of(ChecksumAlgorithm::Crc32, b"x");
        assert_eq!(of_object([Some(&part), None]), None);
    }
}
