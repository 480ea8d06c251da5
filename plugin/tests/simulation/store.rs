//! A strict S3 in memory: what requests do once they have arrived. Faults are somebody else's.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use s3_destination::imports::Response;
use url::Url;

pub use crate::checksums::Checksums;
use crate::checksums::{CHECKSUMS, checksum, md5, md5_hex};

const STORAGE_CLASS: &str = "x-amz-storage-class";

pub struct Arrived {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Arrived {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a key of the query; empty where there is none.
    pub fn query(&self, name: &str) -> String {
        let url = Url::parse(&self.url).unwrap();
        let found = url.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    /// Names as in S3's documentation.
    pub fn operation(&self) -> &'static str {
        let url = Url::parse(&self.url).unwrap();
        let has = |name: &str| url.query_pairs().any(|(key, _)| key == name);
        match (self.method, has("uploads"), has("uploadId")) {
            ("PUT", _, true) => "UploadPart",
            ("PUT", _, false) => "PutObject",
            ("POST", true, _) => "CreateMultipartUpload",
            ("POST", false, _) => "CompleteMultipartUpload",
            ("DELETE", _, true) => "AbortMultipartUpload",
            ("DELETE", _, false) => "DeleteObject",
            ("GET", true, _) => "ListMultipartUploads",
            ("GET", false, _) => "GetObject",
            ("HEAD", ..) => "HeadObject",
            other => panic!("no S3 operation: {other:?} {}", self.url),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Object {
    pub bytes: Vec<u8>,
    pub etag: String,
    pub headers: Vec<(String, String)>,
}

#[derive(Clone)]
pub struct Upload {
    pub key: String,
    headers: Vec<(String, String)>,
    /// Header of the checksum asked for.
    checksum: Option<&'static str>,
    parts: BTreeMap<u32, (Vec<u8>, String)>,
}

#[derive(Default)]
pub struct Store {
    pub bucket: String,
    pub objects: BTreeMap<String, Object>,
    pub uploads: BTreeMap<String, Upload>,
    /// Every upload ever created.
    pub uploads_created: usize,
    /// Objects in the order in which they came to be.
    pub written: Vec<String>,
    /// Takes the settings of encryption and does nothing, as some stores do.
    pub ignores_encryption: bool,
    /// Says that it encrypts an upload in the answers to its parts only.
    pub says_encryption_late: bool,
    /// Writes over an object whatever `If-None-Match` says, as some stores do.
    pub ignores_condition: Ignored,
    /// Which checksums it shows of objects.
    pub checksums: Checksums,
    /// Encrypts with this key, whatever it was asked for.
    pub other_key: Option<String>,
    /// Keeps other bytes than it gets, and shows the checksums of what it keeps.
    pub damages: bool,
    /// Uploads with a part that is on its way, and brings them back once they are aborted.
    pub late_parts: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ignored {
    #[default]
    Never,
    /// When an upload completes.
    Complete,
    Always,
}

pub fn xml(status: u16, body: String) -> Response {
    Response {
        status,
        headers: vec![("x-amz-request-id".into(), "REQ1".into())],
        body: body.into_bytes(),
    }
}

pub fn error(status: u16, code: &str) -> Response {
    xml(
        status,
        format!("<Error><Code>{code}</Code><Message>said by the simulator</Message></Error>"),
    )
}

fn ok(headers: Vec<(String, String)>) -> Response {
    Response {
        status: 200,
        headers,
        body: Vec::new(),
    }
}

impl Object {
    /// Kept where it must be restored from before it can be read.
    fn is_archived(&self) -> bool {
        self.headers
            .iter()
            .any(|(name, class)| name == STORAGE_CLASS && matches!(class.as_str(), "GLACIER" | "DEEP_ARCHIVE"))
    }
}

impl Store {
    pub fn handle(&mut self, request: &Arrived) -> Response {
        let url = Url::parse(&request.url).unwrap();
        let path = percent_decode_str(url.path()).decode_utf8().unwrap().into_owned();
        let path = path
            .strip_prefix(&format!("/{}", self.bucket))
            .expect("a path in the bucket");
        let key = path.strip_prefix('/').unwrap_or("").to_owned();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let upload_id = query.get("uploadId").cloned().unwrap_or_default();
        match request.operation() {
            "PutObject" => self.put(key, request),
            "CreateMultipartUpload" => self.create(key, request),
            "UploadPart" => self.part(&key, &upload_id, query["partNumber"].parse().unwrap(), request),
            "CompleteMultipartUpload" => self.complete(&key, &upload_id, request),
            "AbortMultipartUpload" => match self.uploads.remove(&upload_id) {
                Some(upload) => {
                    if self.late_parts.remove(&upload_id) {
                        self.uploads.insert(upload_id, upload);
                    }
                    Response {
                        status: 204,
                        headers: vec![],
                        body: vec![],
                    }
                }
                None => error(404, "NoSuchUpload"),
            },
            "ListMultipartUploads" => self.list(&query["prefix"]),
            "DeleteObject" => {
                self.objects.remove(&key);
                Response {
                    status: 204,
                    headers: vec![],
                    body: vec![],
                }
            }
            operation => match self.objects.get(&key) {
                None if operation == "HeadObject" => Response {
                    status: 404,
                    headers: vec![],
                    body: vec![],
                },
                None => error(404, "NoSuchKey"),
                Some(object) if operation == "GetObject" && object.is_archived() => error(403, "InvalidObjectState"),
                Some(object) => {
                    let mut headers = object.headers.clone();
                    if request.header("x-amz-checksum-mode").is_none() {
                        headers.retain(|(name, _)| !name.starts_with("x-amz-checksum-"));
                    }
                    headers.push(("content-length".into(), object.bytes.len().to_string()));
                    headers.push(("etag".into(), object.etag.clone()));
                    let body = if operation == "HeadObject" {
                        Vec::new()
                    } else {
                        object.bytes.clone()
                    };
                    Response {
                        status: 200,
                        headers,
                        body,
                    }
                }
            },
        }
    }

    /// The data's checksum as kept; an error where what was sent is not that of the bytes.
    fn verified(&self, request: &Arrived) -> Result<Vec<(String, String)>, Response> {
        let mut stored = Vec::new();
        for (header, algorithm) in CHECKSUMS {
            if let Some(sent) = request.header(header) {
                if sent != checksum(algorithm, &request.body) {
                    return Err(error(400, "BadDigest"));
                }
                let kept = checksum(algorithm, &self.kept(&request.body));
                stored.push((header.to_owned(), kept));
            }
        }
        match self.checksums {
            Checksums::Silent => stored.clear(),
            Checksums::Several => {
                let crc64 = checksum(CHECKSUMS[0].1, &self.kept(&request.body));
                stored.retain(|(name, _)| name != CHECKSUMS[0].0);
                stored.insert(0, (CHECKSUMS[0].0.to_owned(), crc64));
            }
            Checksums::AsAsked | Checksums::Composite => {}
        }
        Ok(stored)
    }

    /// What becomes of bytes in this store.
    fn kept(&self, body: &[u8]) -> Vec<u8> {
        let mut kept = body.to_vec();
        if self.damages
            && let Some(first) = kept.first_mut()
        {
            *first ^= 1;
        }
        kept
    }

    /// An object that somebody else put there.
    pub fn place(&mut self, key: &str, bytes: &[u8]) {
        let object = Object {
            bytes: bytes.to_vec(),
            etag: format!("\"{}\"", md5_hex(bytes)),
            headers: Vec::new(),
        };
        self.objects.insert(key.to_owned(), object);
    }

    fn is_occupied(&self, key: &str, request: &Arrived) -> bool {
        let ignored = match self.ignores_condition {
            Ignored::Never => false,
            Ignored::Complete => request.operation() == "CompleteMultipartUpload",
            Ignored::Always => true,
        };
        !ignored && request.header("if-none-match") == Some("*") && self.objects.contains_key(key)
    }

    fn put(&mut self, key: String, request: &Arrived) -> Response {
        if self.is_occupied(&key, request) {
            return error(412, "PreconditionFailed");
        }
        let mut headers = match self.verified(request) {
            Ok(headers) => headers,
            Err(response) => return response,
        };
        let answer = [headers.clone(), self.encryption(request)].concat();
        headers.extend(self.encryption(request));
        headers.extend(lasting(request));
        let bytes = self.kept(&request.body);
        let etag = format!("\"{}\"", md5_hex(&bytes));
        self.written.push(key.clone());
        self.objects.insert(
            key,
            Object {
                bytes,
                etag: etag.clone(),
                headers,
            },
        );
        ok([answer, vec![("etag".into(), etag)]].concat())
    }

    fn create(&mut self, key: String, request: &Arrived) -> Response {
        self.uploads_created += 1;
        let id = format!("upload&{}", self.uploads_created);
        self.uploads.insert(
            id.clone(),
            Upload {
                key,
                headers: [lasting(request), self.encryption(request)].concat(),
                checksum: CHECKSUMS.iter().map(|(header, _)| *header).find(|header| {
                    let name = request.header("x-amz-checksum-algorithm");
                    name.is_some_and(|name| header.ends_with(&name.to_lowercase()))
                }),
                parts: BTreeMap::new(),
            },
        );
        let id = id.replace('&', "&amp;");
        let mut response = xml(
            200,
            format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"),
        );
        if !self.says_encryption_late {
            response.headers.extend(self.encryption(request));
        }
        response
    }

    /// What the store says of encryption: what it was asked for, unless it pays no heed to it.
    fn encryption(&self, request: &Arrived) -> Vec<(String, String)> {
        let name = "x-amz-server-side-encryption";
        let asked = request.header(name).filter(|_| !self.ignores_encryption);
        let key_name = "x-amz-server-side-encryption-aws-kms-key-id";
        let key = request.header(key_name).filter(|_| asked.is_some()).map(|id| {
            let id = self.other_key.as_deref().unwrap_or(id);
            format!("arn:aws:kms:eu-test-1:111122223333:key/{id}")
        });
        let named = |name: &str, value: String| (name.to_owned(), value);
        asked
            .map(|asked| named(name, asked.to_owned()))
            .into_iter()
            .chain(key.map(|key| named(key_name, key)))
            .collect()
    }

    fn part(&mut self, key: &str, id: &str, number: u32, request: &Arrived) -> Response {
        assert!((1..=10_000).contains(&number));
        let checksums = match self.verified(request) {
            Ok(checksums) => checksums,
            Err(response) => return response,
        };
        let bytes = self.kept(&request.body);
        let Some(upload) = self.uploads.get_mut(id) else {
            return error(404, "NoSuchUpload");
        };
        assert_eq!(upload.key, key);
        let etag = format!("\"{}\"", md5_hex(&bytes));
        upload.parts.insert(number, (bytes, etag.clone()));
        let mut headers = [checksums, vec![("etag".into(), etag)]].concat();
        if self.says_encryption_late {
            headers.push(("x-amz-server-side-encryption".into(), "AES256".into()));
        }
        ok(headers)
    }

    fn complete(&mut self, key: &str, id: &str, request: &Arrived) -> Response {
        if !self.uploads.contains_key(id) {
            return error(404, "NoSuchUpload");
        }
        if self.is_occupied(key, request) {
            return error(412, "PreconditionFailed");
        }
        let upload = &self.uploads[id];
        assert_eq!(upload.key, key);
        let body = std::str::from_utf8(&request.body).unwrap();
        let between = |text: &str, tag: &str| {
            let (_, rest) = text.split_once(&format!("<{tag}>")).unwrap();
            rest.split_once(&format!("</{tag}>")).unwrap().0.to_owned()
        };
        let mut bytes = Vec::new();
        let mut parts: Vec<&[u8]> = Vec::new();
        let mut sizes = Vec::new();
        for (number, part) in (1..).zip(body.split("<Part>").skip(1)) {
            assert_eq!(
                between(part, "PartNumber"),
                number.to_string(),
                "parts in order, none missing"
            );
            let etag = between(part, "ETag").replace("&quot;", "\"");
            match upload.parts.get(&number) {
                Some((data, stored)) if *stored == etag => {
                    bytes.extend_from_slice(data);
                    parts.push(data);
                    sizes.push(data.len());
                }
                _ => return error(400, "InvalidPart"),
            }
        }
        let (last, full) = sizes.split_last().expect("parts");
        assert!(
            full.iter().all(|size| *size == full[0] && last <= size),
            "parts of equal size: {sizes:?}"
        );
        let mut headers = upload.headers.clone();
        for (header, algorithm) in CHECKSUMS {
            if let Some(sent) = request.header(header) {
                assert_eq!(request.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
                if sent != checksum(algorithm, &bytes) {
                    return error(400, "BadDigest");
                }
            }
        }
        let shown = self.checksums.shown(upload.checksum, &bytes, &parts);
        headers.extend(shown.iter().cloned());
        if let Some(size) = request.header("x-amz-mp-object-size") {
            assert_eq!(size, bytes.len().to_string());
        }
        let digests: Vec<u8> = parts.iter().flat_map(|part| md5(part)).collect();
        let etag = format!("\"{}-{}\"", md5_hex(&digests), sizes.len());
        self.uploads.remove(id);
        self.written.push(key.to_owned());
        self.objects.insert(
            key.to_owned(),
            Object {
                bytes,
                etag: etag.clone(),
                headers,
            },
        );
        let etag = etag.replace('"', "&quot;");
        let shown: String = shown
            .iter()
            .map(|(header, value)| {
                let name = header.trim_start_matches("x-amz-checksum-").to_uppercase();
                format!("<Checksum{name}>{value}</Checksum{name}>")
            })
            .collect();
        xml(
            200,
            format!("<CompleteMultipartUploadResult><ETag>{etag}</ETag>{shown}</CompleteMultipartUploadResult>"),
        )
    }

    fn list(&self, prefix: &str) -> Response {
        let uploads: String = self
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(prefix))
            .map(|(id, upload)| {
                let id = id.replace('&', "&amp;");
                format!("<Upload><Key>{}</Key><UploadId>{id}</UploadId></Upload>", upload.key)
            })
            .collect();
        xml(
            200,
            format!("<ListMultipartUploadsResult>{uploads}</ListMultipartUploadsResult>"),
        )
    }
}

/// Headers of a write that the object keeps and shows.
fn lasting(request: &Arrived) -> Vec<(String, String)> {
    request
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-amz-meta-") || name == STORAGE_CLASS)
        .cloned()
        .collect()
}
