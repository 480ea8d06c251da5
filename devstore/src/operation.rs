//! Which S3 operation an HTTP request is, on which bucket and key; never decides whether it is allowed.

use http::Method;
use percent_encoding::percent_decode_str;

/// The S3 operations that this store knows; the name is the one AWS uses.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    ListBuckets,
    HeadBucket,
    GetBucketLocation,
    ListObjectsV2,
    ListMultipartUploads,
    DeleteObjects,
    PutObject,
    GetObject,
    HeadObject,
    GetObjectTagging,
    DeleteObject,
    CreateMultipartUpload,
    UploadPart,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
    /// Anything else: answered `NotImplemented`.
    Other,
}

impl Operation {
    /// The operation of this name; `Other` for names that this store does not serve.
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "ListBuckets" => Self::ListBuckets,
            "HeadBucket" => Self::HeadBucket,
            "GetBucketLocation" => Self::GetBucketLocation,
            "ListObjectsV2" => Self::ListObjectsV2,
            "ListMultipartUploads" => Self::ListMultipartUploads,
            "DeleteObjects" => Self::DeleteObjects,
            "PutObject" => Self::PutObject,
            "GetObject" => Self::GetObject,
            "HeadObject" => Self::HeadObject,
            "GetObjectTagging" => Self::GetObjectTagging,
            "DeleteObject" => Self::DeleteObject,
            "CreateMultipartUpload" => Self::CreateMultipartUpload,
            "UploadPart" => Self::UploadPart,
            "CompleteMultipartUpload" => Self::CompleteMultipartUpload,
            "AbortMultipartUpload" => Self::AbortMultipartUpload,
            "ListParts" => Self::ListParts,
            _ => Self::Other,
        }
    }

    /// Whether permission to write (`s3:PutObject`, `s3:AbortMultipartUpload`) is what it takes.
    pub(crate) fn writes(self) -> bool {
        use Operation::*;
        matches!(
            self,
            PutObject | CreateMultipartUpload | UploadPart | CompleteMultipartUpload | AbortMultipartUpload
        )
    }

    /// Whether permission to read (`s3:GetObject`, `s3:ListBucket` and their like) is what it takes.
    pub(crate) fn reads(self) -> bool {
        use Operation::*;
        matches!(
            self,
            ListBuckets
                | HeadBucket
                | GetBucketLocation
                | ListObjectsV2
                | ListMultipartUploads
                | GetObject
                | HeadObject
                | GetObjectTagging
                | ListParts
        )
    }

    /// Whether its request body is an object's or a part's data, of any size.
    pub(crate) fn carries_data(self) -> bool {
        matches!(self, Self::PutObject | Self::UploadPart)
    }
}

/// The thing that a request addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub operation: Operation,
    pub bucket: Option<String>,
    pub key: Option<String>,
}

impl Target {
    /// Reads it from the request line and host; `domain` is the one under which buckets are host names, if any.
    pub fn parse(request: &http::request::Parts, domain: Option<&str>) -> Self {
        let path = percent_decode_str(request.uri.path()).decode_utf8_lossy();
        let path = path.strip_prefix('/').unwrap_or(&path);
        let host = request
            .headers
            .get(http::header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default();
        let (bucket, key) = match domain.and_then(|domain| bucket_of_host(host, domain)) {
            Some(bucket) => (Some(bucket.to_owned()), path),
            None => match path.split_once('/') {
                Some((bucket, key)) => (Some(bucket.to_owned()), key),
                None => (Some(path.to_owned()).filter(|bucket| !bucket.is_empty()), ""),
            },
        };
        let key = Some(key.to_owned()).filter(|key| !key.is_empty());
        let query: Vec<&str> = request
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .collect();
        let has = |name: &str| query.iter().any(|pair| pair.split('=').next() == Some(name));
        let copies = request.headers.contains_key("x-amz-copy-source");
        let operation = match (&request.method, &bucket, &key) {
            (_, Some(_), Some(_)) if copies => Operation::Other,
            (method, Some(_), Some(_)) => object_operation(method, &has),
            (method, Some(_), None) => bucket_operation(method, &has),
            (&Method::GET, None, _) => Operation::ListBuckets,
            _ => Operation::Other,
        };
        Self { operation, bucket, key }
    }
}

/// `bucket` in a host of the form `bucket.domain[:port]`.
pub(crate) fn bucket_of_host<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_suffix(domain)?
        .strip_suffix('.')
        .filter(|bucket| !bucket.is_empty())
}

/// Query parameters that select another operation than reading or writing the object itself.
const SUBRESOURCES: &[&str] = &[
    "acl",
    "tagging",
    "attributes",
    "retention",
    "legal-hold",
    "torrent",
    "restore",
    "select",
];

fn object_operation(method: &Method, has: &dyn Fn(&str) -> bool) -> Operation {
    if method == Method::GET && has("tagging") {
        return Operation::GetObjectTagging;
    }
    if SUBRESOURCES.iter().any(|name| has(name)) {
        return Operation::Other;
    }
    match (method, has("uploadId"), has("uploads")) {
        (&Method::PUT, true, _) if has("partNumber") => Operation::UploadPart,
        (&Method::PUT, false, _) => Operation::PutObject,
        (&Method::POST, true, _) => Operation::CompleteMultipartUpload,
        (&Method::POST, false, true) => Operation::CreateMultipartUpload,
        (&Method::GET, true, _) => Operation::ListParts,
        (&Method::GET, false, _) => Operation::GetObject,
        (&Method::HEAD, ..) => Operation::HeadObject,
        (&Method::DELETE, true, _) => Operation::AbortMultipartUpload,
        (&Method::DELETE, false, _) => Operation::DeleteObject,
        _ => Operation::Other,
    }
}

fn bucket_operation(method: &Method, has: &dyn Fn(&str) -> bool) -> Operation {
    match *method {
        Method::HEAD => Operation::HeadBucket,
        Method::GET if has("uploads") => Operation::ListMultipartUploads,
        Method::GET if has("location") => Operation::GetBucketLocation,
        Method::GET if has("list-type") => Operation::ListObjectsV2,
        Method::POST if has("delete") => Operation::DeleteObjects,
        _ => Operation::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_follow_from_method_path_query_and_host() {
        use Operation::*;
        let cases = [
            ("GET", "127.0.0.1:9", "/", ListBuckets, None, None),
            ("HEAD", "127.0.0.1:9", "/b", HeadBucket, Some("b"), None),
            ("GET", "127.0.0.1:9", "/b?location", GetBucketLocation, Some("b"), None),
            (
                "GET",
                "127.0.0.1:9",
                "/b/?list-type=2&prefix=x",
                ListObjectsV2,
                Some("b"),
                None,
            ),
            (
                "GET",
                "127.0.0.1:9",
                "/b?uploads",
                ListMultipartUploads,
                Some("b"),
                None,
            ),
            ("POST", "127.0.0.1:9", "/b?delete", DeleteObjects, Some("b"), None),
            (
                "PUT",
                "127.0.0.1:9",
                "/b/a%20b//c",
                PutObject,
                Some("b"),
                Some("a b//c"),
            ),
            (
                "PUT",
                "127.0.0.1:9",
                "/b/k?partNumber=1&uploadId=u",
                UploadPart,
                Some("b"),
                Some("k"),
            ),
            (
                "POST",
                "127.0.0.1:9",
                "/b/k?uploads",
                CreateMultipartUpload,
                Some("b"),
                Some("k"),
            ),
            (
                "POST",
                "127.0.0.1:9",
                "/b/k?uploadId=u",
                CompleteMultipartUpload,
                Some("b"),
                Some("k"),
            ),
            (
                "DELETE",
                "127.0.0.1:9",
                "/b/k?uploadId=u",
                AbortMultipartUpload,
                Some("b"),
                Some("k"),
            ),
            ("GET", "127.0.0.1:9", "/b/k?uploadId=u", ListParts, Some("b"), Some("k")),
            ("PUT", "127.0.0.1:9", "/b/k?acl", Other, Some("b"), Some("k")),
            (
                "GET",
                "127.0.0.1:9",
                "/b/k?tagging",
                GetObjectTagging,
                Some("b"),
                Some("k"),
            ),
            ("PUT", "127.0.0.1:9", "/b/k?tagging", Other, Some("b"), Some("k")),
            ("PUT", "127.0.0.1:9", "/b?policy", Other, Some("b"), None),
            ("GET", "b.s3.test:80", "/k/l", GetObject, Some("b"), Some("k/l")),
            ("GET", "s3.test:80", "/b/l", GetObject, Some("b"), Some("l")),
        ];
        for (method, host, uri, operation, bucket, key) in cases {
            let request = http::Request::builder()
                .method(method)
                .uri(uri)
                .header("host", host)
                .body(())
                .unwrap();
            let target = Target::parse(&request.into_parts().0, Some("s3.test"));
            let expected = Target {
                operation,
                bucket: bucket.map(str::to_owned),
                key: key.map(str::to_owned),
            };
            assert_eq!(target, expected, "{method} {host}{uri}");
        }
    }
}
