//! Checksums as stores compute and show them: shares no code with the plugin's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksums {
    /// As they were asked for.
    #[default]
    AsAsked,
    /// Of the parts' checksums, for every algorithm.
    Composite,
    /// None at all: checksums are not looked at.
    Silent,
    /// Besides the one asked for, one that nobody asked for.
    Several,
}

impl Checksums {
    /// What the store shows of an object made of these parts: S3 knows the whole object's CRC, and of SHA-256 only that
    /// of the parts' values.
    pub fn shown(self, asked: Option<&'static str>, bytes: &[u8], parts: &[&[u8]]) -> Vec<(String, String)> {
        let mut shown = Vec::new();
        for (header, algorithm) in CHECKSUMS {
            let is_extra = self == Checksums::Several && header == CHECKSUMS[0].0;
            if self == Checksums::Silent || !(asked == Some(header) || is_extra) {
                continue;
            }
            let is_composite = algorithm.is_none() || self == Checksums::Composite;
            let value = match is_composite {
                false => checksum(algorithm, bytes),
                true => {
                    let raw: Vec<u8> = parts
                        .iter()
                        .flat_map(|part| STANDARD.decode(checksum(algorithm, part)).unwrap())
                        .collect();
                    format!("{}-{}", checksum(algorithm, &raw), parts.len())
                }
            };
            shown.push((header.to_owned(), value));
        }
        shown
    }
}

pub const CHECKSUMS: [(&str, Option<crc_fast::CrcAlgorithm>); 4] = [
    ("x-amz-checksum-crc64nvme", Some(crc_fast::CrcAlgorithm::Crc64Nvme)),
    ("x-amz-checksum-crc32c", Some(crc_fast::CrcAlgorithm::Crc32Iscsi)),
    ("x-amz-checksum-crc32", Some(crc_fast::CrcAlgorithm::Crc32IsoHdlc)),
    ("x-amz-checksum-sha256", None),
];

pub fn checksum(algorithm: Option<crc_fast::CrcAlgorithm>, bytes: &[u8]) -> String {
    use sha2::Digest;
    match algorithm {
        Some(crc_fast::CrcAlgorithm::Crc64Nvme) => STANDARD.encode(crc_fast::crc64_nvme(bytes).to_be_bytes()),
        Some(crc) => STANDARD.encode((crc_fast::checksum(crc, bytes) as u32).to_be_bytes()),
        None => STANDARD.encode(sha2::Sha256::digest(bytes)),
    }
}

pub fn md5(bytes: &[u8]) -> [u8; 16] {
    use md5::Digest;
    md5::Md5::digest(bytes).into()
}

pub fn md5_hex(bytes: &[u8]) -> String {
    md5(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
