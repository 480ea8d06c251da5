//! Checksums of objects, computed while they are read: what S3 must show for them, and what others claim about them
//! compared with that. Knows the algorithms, not whether one is required, and calls nothing equal that it could not
//! compare. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use sha2::{Digest, Sha256};

/// A running checksum: of all bytes, and of the parts in which they were sent.
pub(super) struct Running {
    algorithm: String,
    whole: Sum,
    part: Sum,
    part_size_bytes: u64,
    left_bytes: u64,
    /// The raw values of the parts that are complete.
    raw: Vec<u8>,
}

/// The checksum of an object's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Computed {
    /// In lower case, as in headers.
    pub algorithm: String,
    whole: String,
    /// Of the parts' values, with their number.
    composite: String,
    parts: usize,
}

enum Sum {
    Crc { crc: Crc, width_bytes: usize },
    Sha256(Sha256),
}

impl Running {
    /// `None` for algorithms that this program does not know.
    pub(super) fn new(algorithm: &str, part_size_bytes: u64) -> Option<Self> {
        let part_size_bytes = part_size_bytes.max(1);
        let algorithm = algorithm.to_ascii_lowercase();
        Some(Running {
            whole: Sum::new(&algorithm)?,
            part: Sum::new(&algorithm)?,
            algorithm,
            part_size_bytes,
            left_bytes: part_size_bytes,
            raw: Vec::new(),
        })
    }

    /// The next bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        while bytes.len() as u64 >= self.left_bytes {
            let (part, rest) = bytes.split_at(self.left_bytes as usize);
            self.part.update(part);
            self.end_part();
            bytes = rest;
        }
        self.left_bytes -= bytes.len() as u64;
        self.part.update(bytes);
    }

    fn end_part(&mut self) {
        self.raw.extend(self.part.take());
        self.left_bytes = self.part_size_bytes;
    }

    /// No more bytes.
    pub(super) fn finish(mut self) -> Computed {
        if self.left_bytes < self.part_size_bytes || self.raw.is_empty() {
            self.end_part();
        }
        let parts = self.raw.len() / self.part.width_bytes();
        self.part.update(&self.raw);
        Computed {
            algorithm: self.algorithm,
            whole: BASE64.encode(self.whole.take()),
            composite: format!("{}-{parts}", BASE64.encode(self.part.take())),
            parts,
        }
    }
}

impl Computed {
    /// Returns what S3 shows: an object of one part is one PUT, and its checksum is that of its bytes; so it is with
    /// CRCs of several parts, while of SHA-256 there is only that of the parts' values.
    pub(crate) fn right(&self) -> &str {
        match (self.algorithm.as_str(), self.parts) {
            ("sha256", parts) if parts > 1 => &self.composite,
            _ => &self.whole,
        }
    }

    /// Returns what is wrong with a checksum that the store shows. Stores that know no other kind show that of the
    /// parts.
    pub(crate) fn fault(&self, shown: &str) -> Option<String> {
        let is_right = shown == self.whole || (self.parts > 1 && shown == self.composite);
        if is_right {
            return None;
        }
        let of_parts = shown.rsplit_once('-').map(|(_, parts)| parts);
        Some(match of_parts {
            Some(count) if count != self.parts.to_string() => format!(
                "the store's checksum {shown} is that of {count} parts, but the file has {}, so it cannot be compared with \
                 {}",
                self.parts,
                self.right()
            ),
            _ => format!("the store's checksum is {shown}, but its bytes have {}", self.right()),
        })
    }
}

impl Sum {
    fn new(algorithm: &str) -> Option<Self> {
        let crc = |algorithm, width_bytes| {
            Some(Sum::Crc {
                crc: Crc::new(algorithm),
                width_bytes,
            })
        };
        match algorithm {
            "crc64nvme" => crc(CrcAlgorithm::Crc64Nvme, 8),
            "crc32c" => crc(CrcAlgorithm::Crc32Iscsi, 4),
            "crc32" => crc(CrcAlgorithm::Crc32IsoHdlc, 4),
            "sha256" => Some(Sum::Sha256(Sha256::new())),
            _ => None,
        }
    }

    fn width_bytes(&self) -> usize {
        match self {
            Sum::Crc { width_bytes, .. } => *width_bytes,
            Sum::Sha256(_) => 32,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Sum::Crc { crc, .. } => crc.update(bytes),
            Sum::Sha256(sha) => sha.update(bytes),
        }
    }

    /// The raw value; begins again.
    fn take(&mut self) -> Vec<u8> {
        match self {
            Sum::Crc { crc, width_bytes } => {
                let value = crc.finalize_reset().to_be_bytes();
                value[8 - *width_bytes..].to_vec()
            }
            Sum::Sha256(sha) => sha.finalize_reset().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of `123456789` in the CRC catalogue, and SHA-256 of FIPS 180.
    const KNOWN: [(&str, &str); 4] = [
        ("crc32", "y/Q5Jg=="),
        ("crc32c", "4waSgw=="),
        ("crc64nvme", "rosUhgp5mIg="),
        ("sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ];

    fn computed(algorithm: &str, text: &str, part_size_bytes: u64, step: usize) -> Computed {
        let mut running = Running::new(algorithm, part_size_bytes).expect("known");
        for piece in text.as_bytes().chunks(step) {
            running.update(piece);
        }
        running.finish()
    }

    #[test]
    fn the_right_value_is_that_of_the_bytes_but_for_the_sha256_of_several_parts() {
        let raw: Vec<u8> = [&b"1234"[..], b"5678", b"9"].iter().flat_map(Sha256::digest).collect();
        let composite = format!("{}-3", BASE64.encode(Sha256::digest(&raw)));
        for (algorithm, value) in KNOWN {
            for step in [1, 3, 4, 9] {
                for part_size_bytes in [9, 10, 1 << 40] {
                    let one = computed(algorithm, "123456789", part_size_bytes, step);
                    assert_eq!((one.algorithm.as_str(), one.right()), (algorithm, value));
                }
                let parts = computed(algorithm, "123456789", 4, step);
                let right = if algorithm == "sha256" { &composite } else { value };
                assert_eq!(parts.right(), right, "in steps of {step}");
                assert_eq!(parts.fault(right), None);
            }
        }
        assert!(Running::new("md5", 4).is_none());
    }

    #[test]
    fn what_is_another_or_cannot_be_compared_is_a_fault() {
        for (algorithm, value) in KNOWN {
            let one = computed(algorithm, "123456789", 9, 9);
            let other = computed(algorithm, "123456780", 9, 9);
            let says = format!("the store's checksum is {value}, but its bytes have ");
            assert!(other.fault(value).is_some_and(|fault| fault.starts_with(&says)));
            // One PUT has no checksum of parts, although one can be computed.
            assert!(one.fault(&one.composite).is_some(), "{algorithm}");
            let in_parts = computed(algorithm, "123456789", 4, 9);
            assert_eq!(in_parts.fault(&in_parts.composite), None, "{algorithm}");
            let other_cut = computed(algorithm, "123456789", 5, 9);
            let fault = in_parts.fault(&other_cut.composite).expect("a fault");
            assert!(fault.contains("cannot be compared"), "{fault}");
        }
    }
}
