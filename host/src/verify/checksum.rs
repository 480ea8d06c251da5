//! Checksums of objects, computed while they are read and compared with what the store answers. Knows the algorithms,
//! not whether one is required.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use sha2::{Digest, Sha256};

/// A checksum in the making, and what it should come to.
pub struct Expected {
    value: String,
    running: Running,
    /// Of one part, where the value is made from parts.
    parts: Option<Parts>,
}

/// A checksum of checksums: each part's raw value, hashed in order.
struct Parts {
    part_size_bytes: u64,
    left_bytes: u64,
    raw: Vec<u8>,
}

enum Running {
    Crc { crc: Crc, width_bytes: usize },
    Sha256(Sha256),
}

impl Expected {
    /// For the algorithm and value of a header; `None` for algorithms that this program does not know.
    pub fn new(algorithm: &str, value: &str, part_size_bytes: u64) -> Option<Self> {
        let parts = value.contains('-').then(|| Parts {
            part_size_bytes,
            left_bytes: part_size_bytes,
            raw: Vec::new(),
        });
        Some(Expected {
            value: value.to_owned(),
            running: Running::new(algorithm)?,
            parts,
        })
    }

    pub fn update(&mut self, mut bytes: &[u8]) {
        while let Some(parts) = &mut self.parts
            && bytes.len() as u64 >= parts.left_bytes
        {
            let (part, rest) = bytes.split_at(parts.left_bytes as usize);
            self.running.update(part);
            parts.raw.extend(self.running.take());
            parts.left_bytes = parts.part_size_bytes;
            bytes = rest;
        }
        if let Some(parts) = &mut self.parts {
            parts.left_bytes -= bytes.len() as u64;
        }
        self.running.update(bytes);
    }

    /// What is wrong, if anything.
    pub fn fault(mut self) -> Option<String> {
        let found = match self.parts.take() {
            None => BASE64.encode(self.running.take()),
            Some(mut parts) => {
                if parts.left_bytes < parts.part_size_bytes {
                    parts.raw.extend(self.running.take());
                }
                let count = parts.raw.len() / self.running.width_bytes();
                self.running.update(&parts.raw);
                format!("{}-{count}", BASE64.encode(self.running.take()))
            }
        };
        (found != self.value).then(|| {
            format!(
                "the store's checksum is {}, its bytes have {found}",
                self.value
            )
        })
    }
}

impl Running {
    fn new(algorithm: &str) -> Option<Self> {
        let crc = |algorithm, width_bytes| {
            Some(Running::Crc {
                crc: Crc::new(algorithm),
                width_bytes,
            })
        };
        match algorithm.to_ascii_lowercase().as_str() {
            "crc64nvme" => crc(CrcAlgorithm::Crc64Nvme, 8),
            "crc32c" => crc(CrcAlgorithm::Crc32Iscsi, 4),
            "crc32" => crc(CrcAlgorithm::Crc32IsoHdlc, 4),
            "sha256" => Some(Running::Sha256(Sha256::new())),
            _ => None,
        }
    }

    fn width_bytes(&self) -> usize {
        match self {
            Running::Crc { width_bytes, .. } => *width_bytes,
            Running::Sha256(_) => 32,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Running::Crc { crc, .. } => crc.update(bytes),
            Running::Sha256(sha) => sha.update(bytes),
        }
    }

    /// The raw value; begins anew.
    fn take(&mut self) -> Vec<u8> {
        match self {
            Running::Crc { crc, width_bytes } => {
                let value = crc.finalize_reset().to_be_bytes();
                value[8 - *width_bytes..].to_vec()
            }
            Running::Sha256(sha) => sha.finalize_reset().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_whole_objects_and_of_parts_are_recomputed() {
        // The check values of `123456789` in the CRC catalogue, and SHA-256 of FIPS 180.
        let cases = [
            ("crc32", "y/Q5Jg=="),
            ("crc32c", "4waSgw=="),
            ("crc64nvme", "rosUhgp5mIg="),
            ("sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ];
        for (algorithm, value) in cases {
            for (text, good) in [("123456789", true), ("123456780", false)] {
                let mut expected = Expected::new(algorithm, value, 4).expect(algorithm);
                for piece in text.as_bytes().chunks(2) {
                    expected.update(piece);
                }
                let fault = expected.fault();
                assert_eq!(fault.is_none(), good, "{algorithm} {fault:?}");
                let says = format!("the store's checksum is {value}, its bytes have ");
                assert!(fault.is_none_or(|fault| fault.starts_with(&says)));
            }
        }
        let raw: Vec<u8> = [&b"1234"[..], b"5678", b"9"]
            .iter()
            .flat_map(Sha256::digest)
            .collect();
        let value = format!("{}-3", BASE64.encode(Sha256::digest(&raw)));
        for step in [1, 3, 4, 9] {
            let mut expected = Expected::new("sha256", &value, 4).expect("known");
            for piece in b"123456789".chunks(step) {
                expected.update(piece);
            }
            assert_eq!(expected.fault(), None, "in steps of {step}");
        }
        assert!(Expected::new("md5", "x", 4).is_none());
    }
}
