//! What an object's bytes are known by: their checksum, or where none is configured and nothing may be overwritten, the
//! MD5 that most stores return as ETag. Treats nothing as identical that it could not compare.

use md5::{Digest, Md5};

use crate::s3::checksum::{Checksum, Comparison, ObjectChecksum};
use crate::s3::reply::ObjectHead;

/// The MD5 of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Md5Digest([u8; 16]);

impl Md5Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Md5Digest(Md5::digest(bytes).into())
    }
}

/// Of one body: of a PUT or of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fingerprint {
    /// Nobody will ask.
    None,
    Checksum(Checksum),
    Md5(Md5Digest),
}

impl Fingerprint {
    /// Returns the checksum, which is sent along.
    pub fn checksum(&self) -> Option<&Checksum> {
        match self {
            Fingerprint::Checksum(checksum) => Some(checksum),
            Fingerprint::None | Fingerprint::Md5(_) => None,
        }
    }
}

/// Of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectFingerprint {
    None,
    Checksum(ObjectChecksum),
    /// What its ETag is in stores that make it of MD5, without quotes.
    Md5(String),
}

impl ObjectFingerprint {
    /// Of an object that one request wrote.
    pub fn of_body(body: &Fingerprint) -> Self {
        match body {
            Fingerprint::None => ObjectFingerprint::None,
            Fingerprint::Checksum(checksum) => ObjectFingerprint::Checksum(ObjectChecksum::of_body(checksum)),
            Fingerprint::Md5(md5) => ObjectFingerprint::Md5(hex(&md5.0)),
        }
    }

    /// Of an object that a multipart upload wrote, from its parts in order.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a Fingerprint>) -> Self {
        let mut checksums = Vec::new();
        let mut digests = Vec::new();
        for part in parts {
            match part {
                Fingerprint::None => return ObjectFingerprint::None,
                Fingerprint::Checksum(checksum) => checksums.push(checksum),
                Fingerprint::Md5(md5) => digests.push(md5),
            }
        }
        match ObjectChecksum::of_parts(&checksums) {
            Some(checksum) => ObjectFingerprint::Checksum(checksum),
            None if digests.is_empty() => ObjectFingerprint::None,
            None => {
                let md5 = digests.iter().fold(Md5::new(), |md5, part| md5.chain_update(part.0));
                let etag = format!("{}-{}", hex(&md5.finalize()), digests.len());
                ObjectFingerprint::Md5(etag)
            }
        }
    }

    /// Returns the checksum, which manifests show.
    pub fn checksum(&self) -> Option<&ObjectChecksum> {
        match self {
            ObjectFingerprint::Checksum(checksum) => Some(checksum),
            ObjectFingerprint::None | ObjectFingerprint::Md5(_) => None,
        }
    }

    /// What HEAD says of the object's bytes.
    pub fn compare(&self, head: &ObjectHead) -> Comparison {
        match self {
            ObjectFingerprint::None => Comparison::Unknown("no checksum is configured".into()),
            ObjectFingerprint::Checksum(ours) => match head.checksum(ours.algorithm()) {
                Some(reported) => ours.compare(reported),
                None => Comparison::Unknown(format!(
                    "the store shows no {} of it, so its bytes cannot be compared",
                    ours.algorithm().name()
                )),
            },
            // Another ETag proves nothing: with some encryption, and in some stores, it is not made of MD5.
            ObjectFingerprint::Md5(ours) if head.etag.trim_matches('"') == ours => Comparison::Same,
            ObjectFingerprint::Md5(_) => Comparison::Unknown(
                "its bytes are others, or cannot be compared without a checksum, which `checksum` sets".into(),
            ),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(etag: &str) -> ObjectHead {
        ObjectHead {
            etag: etag.to_owned(),
            ..ObjectHead::default()
        }
    }

    /// RFC 1321's MD5 of "abc", and S3's ETag of an upload of parts: the MD5 of their MD5s and their number.
    #[test]
    fn without_a_checksum_an_equal_etag_is_the_proof_and_another_proves_nothing() {
        let whole = ObjectFingerprint::of_body(&Fingerprint::Md5(Md5Digest::of(b"abc")));
        let etag = "\"900150983cd24fb0d6963f7d28e17f72\"";
        assert_eq!(whole.compare(&head(etag)), Comparison::Same);
        for other in ["", "\"\"", "\"900150983cd24fb0d6963f7d28e17f72-1\"", "\"5\""] {
            let said = whole.compare(&head(other));
            assert!(matches!(said, Comparison::Unknown(_)), "{other}: {said:?}");
        }
        let parts = [&b"abc"[..], b"d"].map(|part| Fingerprint::Md5(Md5Digest::of(part)));
        let parts = ObjectFingerprint::of_parts(&parts);
        let digests = [Md5::digest(b"abc"), Md5::digest(b"d")].concat();
        let etag = format!("\"{}-2\"", hex(&Md5::digest(digests)));
        assert_eq!(parts.compare(&head(&etag)), Comparison::Same);
    }

    #[test]
    fn a_checksum_of_another_algorithm_is_no_answer() {
        use crate::settings::ChecksumAlgorithm::{Crc32c, Crc64Nvme};
        let ours = Fingerprint::Checksum(Checksum::of(Crc32c, b"123456789"));
        let ours = ObjectFingerprint::of_body(&ours);
        let both = |crc32c: &str| ObjectHead {
            checksums: vec![(Crc64Nvme, "rosUhgp5mIg=".to_owned()), (Crc32c, crc32c.to_owned())],
            ..head("")
        };
        assert_eq!(ours.compare(&both("4waSgw==")), Comparison::Same);
        assert!(matches!(ours.compare(&both("4waSgg==")), Comparison::Other(_)));
        let mut only_theirs = both("");
        only_theirs.checksums.pop();
        assert!(matches!(ours.compare(&only_theirs), Comparison::Unknown(_)));
    }

    #[test]
    fn what_nobody_knows_is_no_proof() {
        let body = Fingerprint::None;
        let said = ObjectFingerprint::of_parts([&body, &body]).compare(&head(""));
        assert!(matches!(said, Comparison::Unknown(_)), "{said:?}");
    }
}
