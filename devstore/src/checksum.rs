//! The checksums S3 knows: computing, combining and naming them; never decides whether one is required.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A checksum algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Algorithm {
    Crc64Nvme,
    Crc32c,
    Crc32,
    Sha256,
}

impl Algorithm {
    pub const ALL: [Self; 4] = [Self::Crc64Nvme, Self::Crc32c, Self::Crc32, Self::Sha256];

    /// As in `x-amz-checksum-algorithm`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "CRC64NVME",
            Self::Crc32c => "CRC32C",
            Self::Crc32 => "CRC32",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header that carries the value.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    fn length_bytes(self) -> usize {
        match self {
            Self::Crc64Nvme => 8,
            Self::Crc32c | Self::Crc32 => 4,
            Self::Sha256 => 32,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Sha256 => None,
        }
    }

    /// Raw bytes of a header value, if it is base64 of the right length.
    pub fn decode(self, value: &str) -> Option<Vec<u8>> {
        BASE64
            .decode(value)
            .ok()
            .filter(|bytes| bytes.len() == self.length_bytes())
    }
}

/// How an object's checksum came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Over all bytes of the object.
    FullObject,
    /// Computed over the checksums of this many parts.
    Composite(usize),
}

/// A value with how it came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksum {
    pub algorithm: Algorithm,
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

impl Checksum {
    /// As in the header: base64, with `-<parts>` behind it when composite.
    pub fn value(&self) -> String {
        match self.kind {
            Kind::FullObject => BASE64.encode(&self.bytes),
            Kind::Composite(parts) => format!("{}-{parts}", BASE64.encode(&self.bytes)),
        }
    }

    /// As in `x-amz-checksum-type`.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::FullObject => "FULL_OBJECT",
            Kind::Composite(_) => "COMPOSITE",
        }
    }
}

/// A checksum being computed.
pub(crate) enum Running {
    Crc(Algorithm, Crc),
    Sha256(Sha256),
}

impl Running {
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm.crc() {
            Some(crc) => Self::Crc(algorithm, Crc::new(crc)),
            None => Self::Sha256(Sha256::new()),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, crc) => crc.update(bytes),
            Self::Sha256(sha256) => sha256.update(bytes),
        }
    }

    pub fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(algorithm, crc) => crc_bytes(algorithm, crc.finalize()),
            Self::Sha256(sha256) => sha256.finalize().to_vec(),
        }
    }
}

/// The checksum over the parts' checksums.
pub(crate) fn composite<'a>(algorithm: Algorithm, parts: impl ExactSizeIterator<Item = &'a [u8]>) -> Checksum {
    let kind = Kind::Composite(parts.len());
    let mut running = Running::new(algorithm);
    parts.for_each(|part| running.update(part));
    Checksum {
        algorithm,
        kind,
        bytes: running.finish(),
    }
}

/// The checksum of the whole from those of its parts and their sizes; `None` if the algorithm cannot be combined.
pub(crate) fn combined<'a>(algorithm: Algorithm, parts: impl Iterator<Item = (&'a [u8], u64)>) -> Option<Checksum> {
    let crc = algorithm.crc()?;
    let mut whole = crc_fast::checksum(crc, &[]);
    for (part, size_bytes) in parts {
        let part = part.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        whole = crc_fast::checksum_combine(crc, whole, part, size_bytes);
    }
    Some(Checksum {
        algorithm,
        kind: Kind::FullObject,
        bytes: crc_bytes(algorithm, whole),
    })
}

/// Big-endian, in as many bytes as the algorithm has.
fn crc_bytes(algorithm: Algorithm, value: u64) -> Vec<u8> {
    value.to_be_bytes()[8 - algorithm.length_bytes()..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum_of(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
        let mut running = Running::new(algorithm);
        running.update(bytes);
        running.finish()
    }

    #[test]
    fn values_are_those_of_the_published_check_inputs() {
        // "123456789": the check values of the CRC catalogue, and SHA-256 by coreutils.
        let cases = [
            (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
            (Algorithm::Crc32c, "4waSgw=="),
            (Algorithm::Crc32, "y/Q5Jg=="),
            (Algorithm::Sha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ];
        for (algorithm, expected) in cases {
            assert_eq!(
                BASE64.encode(checksum_of(algorithm, b"123456789")),
                expected,
                "{}",
                algorithm.name()
            );
        }
    }

    #[test]
    fn combining_the_parts_gives_the_whole() {
        let parts: [&[u8]; 4] = [b"12", b"", b"34567", b"89"];
        for algorithm in [Algorithm::Crc64Nvme, Algorithm::Crc32c, Algorithm::Crc32] {
            let sums: Vec<_> = parts
                .iter()
                .map(|part| (checksum_of(algorithm, part), part.len() as u64))
                .collect();
            let whole = combined(algorithm, sums.iter().map(|(sum, size)| (sum.as_slice(), *size))).unwrap();
            assert_eq!(
                whole.bytes,
                checksum_of(algorithm, b"123456789"),
                "{}",
                algorithm.name()
            );
        }
        assert!(combined(Algorithm::Sha256, std::iter::empty()).is_none());
    }
}
