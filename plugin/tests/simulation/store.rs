//! A strict S3 in memory: what requests do once they have arrived. Faults are somebody else's.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use s3_destination::imports::Response;
use url::Url;

use crate::verify::sha256_hex;

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

pub struct Upload {
    pub key: String,
    headers: Vec<(String, String)>,
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
    /// Completes an upload over an object whatever `If-None-Match` says, as some stores do.
    pub ignores_condition_of_complete: bool,
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

const CHECKSUMS: [(&str, Option<crc_fast::CrcAlgorithm>); 4] = [
    (
        "x-amz-checksum-crc64nvme",
        Some(crc_fast::CrcAlgorithm::Crc64Nvme),
    ),
    (
        "x-amz-checksum-crc32c",
        Some(crc_fast::CrcAlgorithm::Crc32Iscsi),
    ),
    (
        "x-amz-checksum-crc32",
        Some(crc_fast::CrcAlgorithm::Crc32IsoHdlc),
    ),
    ("x-amz-checksum-sha256", None),
];

fn checksum(algorithm: Option<crc_fast::CrcAlgorithm>, bytes: &[u8]) -> String {
    use sha2::Digest;
    match algorithm {
        Some(crc_fast::CrcAlgorithm::Crc64Nvme) => {
            STANDARD.encode(crc_fast::crc64_nvme(bytes).to_be_bytes())
        }
        Some(crc) => STANDARD.encode((crc_fast::checksum(crc, bytes) as u32).to_be_bytes()),
        None => STANDARD.encode(sha2::Sha256::digest(bytes)),
    }
}

impl Store {
    pub fn handle(&mut self, request: &Arrived) -> Response {
        let url = Url::parse(&request.url).unwrap();
        let path = percent_decode_str(url.path())
            .decode_utf8()
            .unwrap()
            .into_owned();
        let path = path
            .strip_prefix(&format!("/{}", self.bucket))
            .expect("a path in the bucket");
        let key = path.strip_prefix('/').unwrap_or("").to_owned();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let upload_id = query.get("uploadId").cloned().unwrap_or_default();
        match request.operation() {
            "PutObject" => self.put(key, request),
            "CreateMultipartUpload" => self.create(key, request),
            "UploadPart" => self.part(
                &key,
                &upload_id,
                query["partNumber"].parse().unwrap(),
                request,
            ),
            "CompleteMultipartUpload" => self.complete(&key, &upload_id, request),
            "AbortMultipartUpload" => match self.uploads.remove(&upload_id) {
                Some(_) => Response {
                    status: 204,
                    headers: vec![],
                    body: vec![],
                },
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
                Some(object) => {
                    let mut headers = object.headers.clone();
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

    /// The data's checksum as sent; an error where it is not that of the bytes.
    fn verified(request: &Arrived) -> Result<Vec<(String, String)>, Response> {
        let mut stored = Vec::new();
        for (header, algorithm) in CHECKSUMS {
            if let Some(sent) = request.header(header) {
                if sent != checksum(algorithm, &request.body) {
                    return Err(error(400, "BadDigest"));
                }
                stored.push((header.to_owned(), sent.to_owned()));
            }
        }
        Ok(stored)
    }

    fn is_occupied(&self, key: &str, request: &Arrived) -> bool {
        request.header("if-none-match") == Some("*") && self.objects.contains_key(key)
    }

    fn put(&mut self, key: String, request: &Arrived) -> Response {
        if self.is_occupied(&key, request) {
            return error(412, "PreconditionFailed");
        }
        let mut headers = match Self::verified(request) {
            Ok(headers) => headers,
            Err(response) => return response,
        };
        let answer = [headers.clone(), self.encryption(request)].concat();
        headers.extend(metadata(request));
        let etag = format!("\"{}\"", &sha256_hex(&request.body)[..32]);
        self.written.push(key.clone());
        self.objects.insert(
            key,
            Object {
                bytes: request.body.clone(),
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
                headers: metadata(request),
                parts: BTreeMap::new(),
            },
        );
        let id = id.replace('&', "&amp;");
        let mut response = xml(
            200,
            format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ),
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
        let header = |value: &str| (name.to_owned(), value.to_owned());
        asked.map(header).into_iter().collect()
    }

    fn part(&mut self, key: &str, id: &str, number: u32, request: &Arrived) -> Response {
        assert!((1..=10_000).contains(&number));
        let checksums = match Self::verified(request) {
            Ok(checksums) => checksums,
            Err(response) => return response,
        };
        let Some(upload) = self.uploads.get_mut(id) else {
            return error(404, "NoSuchUpload");
        };
        assert_eq!(upload.key, key);
        let etag = format!("\"{}\"", &sha256_hex(&request.body)[..32]);
        upload
            .parts
            .insert(number, (request.body.clone(), etag.clone()));
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
        if self.is_occupied(key, request) && !self.ignores_condition_of_complete {
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
                headers.push((header.to_owned(), sent.to_owned()));
            }
        }
        if let Some(size) = request.header("x-amz-mp-object-size") {
            assert_eq!(size, bytes.len().to_string());
        }
        let etag = format!("\"{}-{}\"", &sha256_hex(&bytes)[..32], sizes.len());
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
        xml(
            200,
            format!(
                "<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
            ),
        )
    }

    fn list(&self, prefix: &str) -> Response {
        let uploads: String = self
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(prefix))
            .map(|(id, upload)| {
                let id = id.replace('&', "&amp;");
                format!(
                    "<Upload><Key>{}</Key><UploadId>{id}</UploadId></Upload>",
                    upload.key
                )
            })
            .collect();
        xml(
            200,
            format!("<ListMultipartUploadsResult>{uploads}</ListMultipartUploadsResult>"),
        )
    }
}

fn metadata(request: &Arrived) -> Vec<(String, String)> {
    request
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-amz-meta-"))
        .cloned()
        .collect()
}
