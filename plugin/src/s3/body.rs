//! The body of a request: bytes that the host holds, and what it computes of them for the signature and the checksum.
//! Never hashes what the host can hash, and asks it for no digest that nobody needs.

use crate::imports::{DigestAlgorithm, Imports};
use crate::s3::checksum::Checksum;
use crate::s3::fingerprint::{Fingerprint, Md5Digest};
use crate::s3::request::Target;
use crate::s3::sign::PayloadHash;
use crate::settings::{ChecksumAlgorithm, ObjectSettings, PayloadSigning};

/// What the host was given, and which digests of it are needed.
pub struct Body<P> {
    /// Absent where there are no bytes.
    payload: Option<P>,
    bytes: u64,
    is_signed: bool,
    known_by: KnownBy,
}

/// What the object will be known by, where it is data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KnownBy {
    Nothing,
    Checksum(ChecksumAlgorithm),
    Md5(Md5Digest),
}

impl KnownBy {
    /// As the settings need it: without `if_none_match`, an object is known by the attempt that wrote it.
    fn of(settings: &ObjectSettings, bytes: &[u8]) -> Self {
        match (settings.checksum, settings.if_none_match) {
            (Some(algorithm), _) => KnownBy::Checksum(algorithm),
            (None, true) => KnownBy::Md5(Md5Digest::of(bytes)),
            (None, false) => KnownBy::Nothing,
        }
    }
}

impl<P> Body<P> {
    /// Hands bytes over to the host, which begins to compute what the settings of the target need. Data are the bytes
    /// of an object; other bodies are small documents, which are always signed.
    pub fn new<I>(imports: &I, target: &Target, is_data: bool, bytes: Vec<u8>) -> Self
    where
        I: Imports<Payload = P>,
    {
        let is_signed = match target.payload_signing {
            PayloadSigning::Signed => true,
            PayloadSigning::Unsigned => !is_data,
        };
        Self::with(imports, &target.object, is_data, is_signed, bytes)
    }

    /// Returns the fingerprint of bytes that are not sent.
    pub fn fingerprint_of<I>(imports: &I, settings: &ObjectSettings, bytes: Vec<u8>) -> Fingerprint
    where
        I: Imports<Payload = P>,
    {
        Self::with(imports, settings, true, false, bytes).fingerprint(imports)
    }

    fn with<I>(imports: &I, settings: &ObjectSettings, is_data: bool, is_signed: bool, bytes: Vec<u8>) -> Self
    where
        I: Imports<Payload = P>,
    {
        let known_by = match is_data {
            true => KnownBy::of(settings, &bytes),
            false => KnownBy::Nothing,
        };
        let mut body = Body {
            payload: None,
            bytes: bytes.len() as u64,
            is_signed,
            known_by,
        };
        if !bytes.is_empty() {
            body.payload = Some(imports.payload(bytes, &body.digests()));
        }
        body
    }

    /// What the host must compute before the request can be signed.
    fn digests(&self) -> Vec<DigestAlgorithm> {
        let mut digests = Vec::new();
        if self.is_signed {
            digests.push(DigestAlgorithm::Sha256);
        }
        if let KnownBy::Checksum(algorithm) = self.known_by
            && !digests.contains(&algorithm.digest())
        {
            digests.push(algorithm.digest());
        }
        digests
    }

    /// Returns how many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns whether the request can be signed without waiting for the host.
    pub fn is_ready(&self) -> bool {
        self.payload.is_none() || self.digests().is_empty()
    }

    /// What the host holds; absent where there are no bytes.
    pub fn payload(&self) -> Option<&P> {
        self.payload.as_ref()
    }

    /// What the signature says of the body. Waits for the host.
    pub fn hash<I: Imports<Payload = P>>(&self, imports: &I) -> PayloadHash {
        match (self.is_signed, &self.payload) {
            (false, _) => PayloadHash::Unsigned,
            (true, None) => PayloadHash::of_nothing(),
            (true, Some(payload)) => PayloadHash::of_digest(&imports.digest(payload, DigestAlgorithm::Sha256)),
        }
    }

    /// What the object will be known by. Waits for the host.
    pub fn fingerprint<I: Imports<Payload = P>>(&self, imports: &I) -> Fingerprint {
        match (self.known_by, &self.payload) {
            (KnownBy::Nothing, _) => Fingerprint::None,
            (KnownBy::Md5(md5), _) => Fingerprint::Md5(md5),
            (KnownBy::Checksum(algorithm), None) => Fingerprint::Checksum(Checksum::of(algorithm, &[])),
            (KnownBy::Checksum(algorithm), Some(payload)) => {
                let digest = imports.digest(payload, algorithm.digest());
                Fingerprint::Checksum(Checksum::of_digest(algorithm, &digest, self.bytes))
            }
        }
    }
}
