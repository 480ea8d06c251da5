//! Taking in an object's or a part's bytes: stores them and checks every digest that came with them in one pass.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{Stream, StreamExt};
use http::{Extensions, HeaderMap};
use hyper::body::Incoming;
use md5::Md5;
use s3s::dto::StreamingBlob;
use s3s::{Body, S3Error, S3Result, StdError, TrailingHeaders, s3_error};
use sha2::{Digest, Sha256};

use crate::answer::refusal;
use crate::checksum::{Algorithm, Checksum, Kind, Running};
use crate::storage::{Keeper, PartData};
use crate::unhex;

/// Largest body of one PUT or part.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const BODY_LIMIT_BYTES: u64 = 5 << 30;

/// A data body on its way past s3s: s3s checks the signature over the head, this module the body, so that a wrong
/// payload hash gets S3's own code and each byte is hashed once.
#[derive(Clone)]
pub(crate) struct DirectBody(Arc<Mutex<Option<Incoming>>>);

impl DirectBody {
    pub fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    fn take(&self) -> Option<Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The body as an operation gets it.
pub(crate) struct Upload<'a> {
    pub headers: &'a HeaderMap,
    pub extensions: &'a Extensions,
    /// Set for `aws-chunked` bodies, whose chunk signatures s3s checks.
    pub blob: Option<StreamingBlob>,
    pub trailers: Option<&'a TrailingHeaders>,
}

/// Bytes that arrived whole and agree with every digest that came with them.
pub(crate) struct Received {
    pub data: PartData,
    pub size_bytes: u64,
    pub md5: [u8; 16],
    pub checksum: Option<Checksum>,
}

/// The checksum that a request declares.
pub(crate) struct Declared {
    pub algorithm: Algorithm,
    /// Absent when it follows in the trailer.
    pub bytes: Option<Vec<u8>>,
}

/// Reads the checksum headers; more than one, or a malformed one, is an error.
pub(crate) fn declared_checksum(headers: &HeaderMap) -> S3Result<Option<Declared>> {
    let mut found = None;
    for algorithm in Algorithm::ALL {
        let Some(value) = headers.get(algorithm.header()) else {
            continue;
        };
        let bytes = value.to_str().ok().and_then(|value| algorithm.decode(value));
        let bytes =
            bytes.ok_or_else(|| s3_error!(InvalidRequest, "Value for {} header is invalid.", algorithm.header()))?;
        if found
            .replace(Declared {
                algorithm,
                bytes: Some(bytes),
            })
            .is_some()
        {
            return Err(s3_error!(
                InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            ));
        }
    }
    if found.is_none() && headers.contains_key("x-amz-checksum-sha1") {
        return Err(s3_error!(
            NotImplemented,
            "This store does not know the checksum SHA1; use CRC64NVME, CRC32C, CRC32 or SHA256."
        ));
    }
    if let (None, Some(trailer)) = (&found, headers.get("x-amz-trailer")) {
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|algorithm| trailer.as_bytes() == algorithm.header().as_bytes());
        let algorithm = algorithm.ok_or_else(|| {
            s3_error!(
                InvalidRequest,
                "The value specified in the x-amz-trailer header is not supported"
            )
        })?;
        found = Some(Declared { algorithm, bytes: None });
    }
    Ok(found)
}

/// `content-md5`, decoded.
pub(crate) fn declared_md5(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let Some(value) = headers.get("content-md5") else {
        return Ok(None);
    };
    let bytes = BASE64
        .decode(value)
        .ok()
        .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    bytes
        .map(Some)
        .ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."))
}

/// `x-amz-content-sha256`, if it is a hash.
pub(crate) fn declared_payload_hash(headers: &HeaderMap) -> Option<[u8; 32]> {
    unhex(headers.get("x-amz-content-sha256")?.to_str().ok()?)
}

/// The error for a body that does not have the payload hash its head was signed with.
pub(crate) fn payload_hash_mismatch() -> S3Error {
    refusal(
        400,
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )
}

/// Every hash that is wanted of one body.
struct Digests {
    md5: Md5,
    sha256: Option<Sha256>,
    checksum: Option<(Algorithm, Running)>,
}

impl Digests {
    fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some((_, checksum)) = &mut self.checksum {
            checksum.update(bytes);
        }
    }
}

/// Stores the body. `computed` is the algorithm to compute when the request declares none.
pub(crate) async fn receive(
    keeper: &Keeper,
    upload: Upload<'_>,
    computed: Option<Algorithm>,
    verify_payload_hash: bool,
) -> S3Result<Received> {
    let declared = declared_checksum(upload.headers)?;
    let expected_md5 = declared_md5(upload.headers)?;
    let length = content_length(upload.headers)?;
    let direct = upload.extensions.get::<DirectBody>().and_then(DirectBody::take);
    let expected_sha256 = match direct {
        Some(_) if verify_payload_hash => declared_payload_hash(upload.headers),
        _ => None,
    };
    let algorithm = declared.as_ref().map(|declared| declared.algorithm).or(computed);
    let digests = Digests {
        md5: Md5::new(),
        sha256: expected_sha256.map(|_| Sha256::new()),
        checksum: algorithm.map(|algorithm| (algorithm, Running::new(algorithm))),
    };
    let (data, digests) = match (direct, upload.blob) {
        (Some(body), _) => store(keeper, Body::from(body), length, digests).await?,
        (None, Some(blob)) => store(keeper, blob, length, digests).await?,
        (None, None) => store(keeper, Body::empty(), length, digests).await?,
    };
    if digests.sha256.map(|sha256| sha256.finalize().into()) != expected_sha256 {
        return Err(payload_hash_mismatch());
    }
    let md5: [u8; 16] = digests.md5.finalize().into();
    if expected_md5.is_some_and(|expected| expected != md5) {
        return Err(s3_error!(
            BadDigest,
            "The Content-MD5 you specified did not match what we received."
        ));
    }
    let checksum = digests.checksum.map(|(algorithm, running)| Checksum {
        algorithm,
        kind: Kind::FullObject,
        bytes: running.finish(),
    });
    if let (Some(declared), Some(checksum)) = (declared, &checksum) {
        check(declared, checksum, upload.trailers)?;
    }
    Ok(Received {
        data,
        size_bytes: length,
        md5,
        checksum,
    })
}

fn check(declared: Declared, computed: &Checksum, trailers: Option<&TrailingHeaders>) -> S3Result<()> {
    let algorithm = declared.algorithm;
    let expected = declared.bytes.or_else(|| {
        let trailer =
            trailers?.read(|trailers| trailers.get(algorithm.header())?.to_str().ok().map(str::to_owned))??;
        algorithm.decode(&trailer)
    });
    let expected = expected.ok_or_else(|| {
        refusal(
            400,
            "MalformedTrailerError",
            format!("The trailer {} is missing or malformed.", algorithm.header()),
        )
    })?;
    if expected != computed.bytes {
        return Err(s3_error!(
            BadDigest,
            "The {} you specified did not match the calculated checksum.",
            algorithm.name()
        ));
    }
    Ok(())
}

/// The length of the (decoded) body.
fn content_length(headers: &HeaderMap) -> S3Result<u64> {
    let length = headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let length: u64 =
        length.ok_or_else(|| s3_error!(MissingContentLength, "You must provide the Content-Length HTTP header."))?;
    if length > BODY_LIMIT_BYTES {
        return Err(s3_error!(
            EntityTooLarge,
            "Your proposed upload exceeds the maximum allowed size of {BODY_LIMIT_BYTES} bytes."
        ));
    }
    Ok(length)
}

async fn store<S>(keeper: &Keeper, mut body: S, length: u64, mut digests: Digests) -> S3Result<(PartData, Digests)>
where
    S: Stream<Item = Result<bytes::Bytes, StdError>> + Unpin,
{
    let mut sink = keeper.sink(length).await.map_err(S3Error::internal_error)?;
    let mut received = 0;
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(broken_body)?;
        received += bytes.len() as u64;
        if received > length {
            break;
        }
        digests.update(&bytes);
        sink.write(&bytes).await.map_err(S3Error::internal_error)?;
    }
    if received != length {
        return Err(s3_error!(
            IncompleteBody,
            "You did not provide the number of bytes specified by the Content-Length HTTP header: {length} announced, {received} received."
        ));
    }
    Ok((sink.finish().await.map_err(S3Error::internal_error)?, digests))
}

/// s3s does not export the type of its chunk errors; their text distinguishes a wrong chunk signature from a broken
/// stream.
fn broken_body(error: StdError) -> S3Error {
    if error.to_string().contains("SignatureMismatch") {
        return s3_error!(SignatureDoesNotMatch, "The signature of a chunk does not match.");
    }
    s3_error!(IncompleteBody, "The request body ended before its announced length.")
}
