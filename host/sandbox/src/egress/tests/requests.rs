//! Requests, honest and hostile, against the grants of a run.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;

fn granted() -> Grants {
    let policy = Policy::with_head(Protocol::S3, &configuration(), &OperatorLists::default(), "exports/").unwrap();
    let meta = &["content-type", "x-amz-meta-*"];
    let grants = [
        grant("PUT", STORE, "/reports/exports/", &[], meta),
        grant("PUT", STORE, "/reports/exports/", &["partNumber", "uploadId"], &[]),
        grant("GET", STORE, "/reports", &["prefix", "uploads"], &[]),
    ];
    Grants::decide(&grants, &[], &policy).unwrap()
}

fn request(method: Method, rest: &str, headers: &[&str]) -> Result<Url, String> {
    let url = match rest.starts_with('/') {
        true => format!("{STORE}{rest}"),
        false => rest.to_owned(),
    };
    let headers: HeaderMap = headers
        .iter()
        .map(|n| (n.parse::<HeaderName>().unwrap(), HeaderValue::from_static("v")))
        .collect();
    granted()
        .check(&RequestHead {
            method: &method,
            url: &url,
            headers: &headers,
        })
        .map(|(url, _)| url)
        .map_err(|e| e.to_string())
}

#[test]
fn requests_inside_the_grants_go_out_exactly_as_written() {
    let cases: [(Method, &str, &[&str]); 4] = [
        (
            Method::PUT,
            "/reports/exports/2023-07-28T00%3A00%3A00%2B00%3A00.jsonl.gz",
            &["content-type", "x-amz-meta-a"],
        ),
        (Method::PUT, "/reports/exports//a~b-c_d.e", &[]),
        (Method::PUT, "/reports/exports/a?uploadId=x%2Fy&partNumber=1", &[]),
        (Method::GET, "/reports?prefix=exports%2Fevents&uploads=", &[]),
    ];
    for (method, path, headers) in cases {
        let url = request(method, path, headers).unwrap();
        assert_eq!(url.as_str(), format!("{STORE}{path}"));
    }
}

#[test]
fn requests_outside_the_grants_are_refused_by_the_first_rule_that_nothing_meets() {
    let put = Method::PUT;
    let cases: [(Method, &str, &[&str], &str); 25] = [
        (
            put.clone(),
            "https://evil.example.com/reports/exports/a",
            &[],
            "scheme, host and port",
        ),
        (
            put.clone(),
            "http://store.example.com:9000/reports/exports/a",
            &[],
            "scheme, host and port",
        ),
        (
            put.clone(),
            "https://store.example.com/reports/exports/a",
            &[],
            "scheme, host and port",
        ),
        (
            put.clone(),
            "http://169.254.169.254/latest/meta-data",
            &[],
            "scheme, host and port",
        ),
        (put.clone(), "/reports/salaries/a", &[], "this path"),
        (put.clone(), "/other/exports/a", &[], "this path"),
        (put.clone(), "/reports/", &[], "this path"),
        (put.clone(), "/reports/exports/../salaries/a", &[], "normal form"),
        (put.clone(), "/reports/exports/%2e%2e/salaries/a", &[], "normal form"),
        (put.clone(), "/reports/exports/%252e%252e/a", &[], "`..` segment"),
        (put.clone(), "/reports/exports/%2F..%2Fa", &[], "segment"),
        (put.clone(), "/reports/exports/a%2Fb", &[], "encoded slash"),
        (put.clone(), "/reports/exports\\..\\a", &[], "normal form"),
        (put.clone(), "/reports/exports/a b", &[], "normal form"),
        (put.clone(), "/reports/exports/a#b", &[], "fragment"),
        (
            put.clone(),
            "https://user:pass@store.example.com:9000/reports/exports/a",
            &[],
            "user information",
        ),
        (
            put.clone(),
            "ftp://store.example.com/reports/exports/a",
            &[],
            "http and https",
        ),
        (put.clone(), "/reports/exports/a\r\nHost: evil", &[], "normal form"),
        (Method::DELETE, "/reports/exports/a", &[], "this method"),
        (put.clone(), "/reports/exports/a?acl", &[], "query keys [acl]"),
        (
            put.clone(),
            "/reports/exports/a?uploadId=1",
            &[],
            "query keys [uploadId]",
        ),
        (
            put.clone(),
            "/reports/exports/a?partNumber=1&uploadId=1&uploadId=2",
            &[],
            "is repeated",
        ),
        (
            put,
            "/reports/exports/a",
            &["x-amz-copy-source"],
            "the header `x-amz-copy-source`",
        ),
        (Method::GET, "/reports?prefix=salaries&uploads", &[], "this path"),
        (Method::GET, "/reports?uploads", &[], "this path"),
    ];
    for (method, url, headers, expected) in cases {
        let error = request(method, url, headers).expect_err(url);
        assert!(error.contains(expected), "{url}: {error}");
    }
}

/// What some servers take for a way up, and readings of a query on which servers differ.
#[test]
fn spellings_that_servers_read_in_different_ways_are_refused() {
    let dots = [
        "..;",
        "..;a=b",
        "..%3B",
        "..%3b/..",
        "..%00",
        "..%00a",
        "..%20",
        "..%20%20",
        "%20..",
        "..%09",
        "...",
        "....",
        ". .",
        ".;",
        ".%20",
        "%2e%2e;",
        "%252e%252e",
        "%25252e%25252e",
        "%2525252525252e%2525252525252e",
        "..%253B",
        "..%2500",
        "..%2520",
        "%5c..%5c",
        "%255c..%255c",
        "a%5c..",
        "%09..",
        "%01..",
        "%20%09..;x",
        "%252f..%252f..",
    ];
    for segment in dots {
        let path = format!("/reports/exports/{segment}/a");
        let error = request(Method::PUT, &path, &[]).expect_err(segment);
        assert!(
            error.contains("segment") || error.contains("normal form") || error.contains("zero byte"),
            "{segment}: {error}"
        );
    }
    let others = [
        ("%c0%ae%c0%ae", "overlong"),
        ("%C0%AF", "overlong"),
        ("%c1%9c", "overlong"),
        ("%e0%80%ae", "overlong"),
        ("%e0%80%af", "overlong"),
        ("%f0%80%80%ae", "overlong"),
        ("%25c0%25ae", "overlong"),
        ("a%00b", "zero byte"),
        ("a%2500b", "zero byte"),
        ("%252525252525252525252e", "more than 8 times"),
    ];
    for (segment, expected) in others {
        let path = format!("/reports/exports/{segment}/a");
        let error = request(Method::PUT, &path, &[]).expect_err(segment);
        assert!(error.contains(expected), "{segment}: {error}");
    }
    for query in [
        "partNumber=1;acl&uploadId=x",
        "partNumber=1&uploadId=x;acl",
        "partNumber=1&uploadId=x;uploadId=y",
        "partNumber=1&uploadId=x%00",
        "partNumber=1&uploadId=x+y",
        "partNumber=1&uploadId=%x",
    ] {
        let path = format!("/reports/exports/a?{query}");
        request(Method::PUT, &path, &[]).expect_err(query);
    }
    for query in [
        "prefix=exports%2F;prefix=&uploads",
        "uploads&prefix=exports%2F;x",
        "prefix=exports%2F&prefix=&uploads",
        "prefix=exports%252F&uploads",
        "prefix=+exports%2F&uploads",
        "prefix=&uploads",
    ] {
        let path = format!("/reports?{query}");
        request(Method::GET, &path, &[]).expect_err(query);
    }
    // What looks alike and is harmless.
    for path in [
        "/reports/exports/a..b",
        "/reports/exports/.hidden",
        "/reports/exports/..a",
        "/reports/exports/a..",
        "/reports/exports/a%3Bb%20c%2525d",
        "/reports/exports/%C3%BC%E2%82%AC%F0%9F%98%80",
        "/reports/exports/100%25",
        "/reports/exports/a?partNumber=1&uploadId=x%3By%2Bz%2526",
    ] {
        request(Method::PUT, path, &[]).expect(path);
    }
}
