//! Plans and requests, honest and hostile, against the policy of a destination.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::policy::{OperatorLists, Policy, PolicyError};
use super::*;

fn configuration() -> Value {
    json!({
        "bucket_name": "reports", "region": "eu-central-1", "prefix": "exports/{table}/",
        "endpoint_url": "https://store.example.com:9000",
    })
}

fn grant(method: &str, origin: &str, path: &str, query: &[&str], headers: &[&str]) -> Grant {
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    Grant {
        operation: "Probe".to_owned(),
        method: method.to_owned(),
        origin: origin.to_owned(),
        path_prefix: path.to_owned(),
        query: owned(query),
        headers: owned(headers),
    }
}

fn decide(configuration: &Value, lists: &OperatorLists, grant: Grant) -> Result<Grants, String> {
    let policy = Policy::for_destination(configuration, lists).unwrap();
    Grants::decide(&[grant], &[], &policy).map_err(|e| e.to_string())
}

const STORE: &str = "https://store.example.com:9000";

#[test]
fn a_plan_for_another_place_or_purpose_is_refused_as_a_whole() {
    type Case = (
        &'static str,
        &'static str,
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
        &'static str,
    );
    let cases: [Case; 20] = [
        (
            "PUT",
            "https://evil.example.com",
            "/reports/exports/",
            &[],
            &[],
            "the policy allows only",
        ),
        (
            "PUT",
            "http://store.example.com:9000",
            "/reports/exports/",
            &[],
            &[],
            "the policy allows only",
        ),
        (
            "PUT",
            "https://store.example.com",
            "/reports/exports/",
            &[],
            &[],
            "the policy allows only",
        ),
        (
            "PUT",
            STORE,
            "/other/exports/",
            &[],
            &[],
            "`/reports/exports/`",
        ),
        (
            "PUT",
            STORE,
            "/reports/salaries/",
            &[],
            &[],
            "`/reports/exports/`",
        ),
        (
            "PUT",
            STORE,
            "/reports/export",
            &[],
            &[],
            "`/reports/exports/`",
        ),
        (
            "PUT",
            STORE,
            "/reports/exports/../x",
            &[],
            &[],
            "`..` segment",
        ),
        (
            "PUT",
            STORE,
            "/reports/exports/%2e%2E/x",
            &[],
            &[],
            "`..` segment",
        ),
        (
            "PUT",
            STORE,
            "/reports/exports/%252e%252e/x",
            &[],
            &[],
            "`..` segment",
        ),
        (
            "PUT",
            STORE,
            "/reports/exports/%5C..%5Cx",
            &[],
            &[],
            "`..` segment",
        ),
        (
            "PUT",
            STORE,
            "/reports/exports/%2fx",
            &[],
            &[],
            "encoded slash",
        ),
        (
            "PUT",
            STORE,
            "/reports/exports/\\x",
            &[],
            &[],
            "must be percent-encoded",
        ),
        (
            "PUT",
            STORE,
            "/reports/exports/%4",
            &[],
            &[],
            "two hexadecimal digits",
        ),
        (
            "PUT",
            STORE,
            "/reports/exports/",
            &["acl"],
            &[],
            "no request that an export needs",
        ),
        (
            "GET",
            STORE,
            "/reports/",
            &["policy"],
            &[],
            "no request that an export needs",
        ),
        (
            "PATCH",
            STORE,
            "/reports/exports/",
            &[],
            &[],
            "no request that an export needs",
        ),
        (
            "PUT",
            STORE,
            "/reports/exports/",
            &[],
            &["x-amz-copy-source"],
            "the header `x-amz-copy-source`",
        ),
        (
            "PUT",
            STORE,
            "/reports/exports/",
            &[],
            &["x-amz-*"],
            "the header `x-amz-*`",
        ),
        (
            "PUT",
            STORE,
            "/reports/exports/",
            &[],
            &["x-amz-acl"],
            "the header `x-amz-acl`",
        ),
        (
            "GET",
            STORE,
            "/other",
            &["prefix", "uploads"],
            &[],
            "configured bucket only",
        ),
    ];
    for (method, origin, path, query, headers, expected) in cases {
        let asked = grant(method, origin, path, query, headers);
        let error = decide(&configuration(), &OperatorLists::default(), asked)
            .expect_err(&format!("{method} {origin}{path} {query:?} {headers:?}"));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_acl_may_be_set_where_the_configuration_says_so() {
    let mut configuration = configuration();
    configuration["acl"] = json!("bucket-owner-full-control");
    let asked = grant("PUT", STORE, "/reports/exports/", &[], &["x-amz-acl"]);
    decide(&configuration, &OperatorLists::default(), asked).unwrap();
}

#[test]
fn places_follow_from_endpoint_bucket_and_prefix() {
    let aws = |bucket: &str, region: &str, prefix: &str| json!({"bucket_name": bucket, "region": region, "prefix": prefix});
    let mut styled = configuration();
    styled["use_virtual_style_addressing"] = json!(true);
    let cases = [
        (configuration(), STORE, "/reports/exports/events/a", true),
        (
            configuration(),
            "https://reports.store.example.com:9000",
            "/exports/a",
            false,
        ),
        (
            styled.clone(),
            "https://reports.store.example.com:9000",
            "/exports/a",
            true,
        ),
        (
            styled,
            "https://reports.store.example.com:9000",
            "/salaries/a",
            false,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://b.s3.eu-west-1.amazonaws.com",
            "/a",
            true,
        ),
        (
            aws("b", "eu-west-1", "/"),
            "https://s3.eu-west-1.amazonaws.com",
            "/b/a",
            true,
        ),
        (
            aws("b", "eu-west-1", "a b"),
            "https://s3.eu-west-1.amazonaws.com",
            "/b/a%20b/x",
            true,
        ),
        (
            aws("b", "eu-west-1", "a"),
            "https://s3.eu-west-1.amazonaws.com",
            "/b/ab",
            false,
        ),
        (
            aws("b", "eu-west-1", "a{{b"),
            "https://s3.eu-west-1.amazonaws.com",
            "/b/a%7Bb",
            true,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://b.s3-fips.dualstack.eu-west-1.amazonaws.com",
            "/a",
            true,
        ),
        (
            aws("b", "cn-north-1", ""),
            "https://b.s3.cn-north-1.amazonaws.com.cn",
            "/a",
            true,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://b.s3.us-east-1.amazonaws.com",
            "/a",
            false,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://c.s3.eu-west-1.amazonaws.com",
            "/a",
            false,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://s3.eu-west-1.amazonaws.com",
            "/c/a",
            false,
        ),
        (
            aws("b", "eu-west-1", ""),
            "http://b.s3.eu-west-1.amazonaws.com",
            "/a",
            false,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://b.s3.eu-west-1.amazonaws.com.evil.com",
            "/a",
            false,
        ),
    ];
    for (configuration, origin, path, allowed) in cases {
        let asked = grant("PUT", origin, path, &[], &[]);
        let decided = decide(&configuration, &OperatorLists::default(), asked);
        assert_eq!(
            decided.is_ok(),
            allowed,
            "{origin}{path}: {:?}",
            decided.err()
        );
    }
}

#[test]
fn a_configuration_cannot_smuggle_another_host_in() {
    let cases = [
        ("bucket_name", "a/../b"),
        ("bucket_name", "evil.com#"),
        ("bucket_name", "a..b"),
        ("bucket_name", ""),
        ("region", "eu.evil.com/"),
        ("region", ""),
        ("endpoint_url", "file:///etc"),
        ("endpoint_url", "https://store/path"),
        ("endpoint_url", "https://user@store"),
        ("endpoint_url", "store:9000"),
    ];
    for (field, value) in cases {
        let mut configuration = configuration();
        configuration[field] = json!(value);
        match Policy::for_destination(&configuration, &OperatorLists::default()) {
            Err(PolicyError::Field { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field} = {value}: {other:?}"),
        }
    }
}

#[test]
fn signing_is_for_the_configured_region_and_s3() {
    let policy = Policy::for_destination(&configuration(), &OperatorLists::default()).unwrap();
    let scope = |service: &str, region: &str| SigningScope {
        service: service.to_owned(),
        region: region.to_owned(),
    };
    let grants = Grants::decide(&[], &[scope("s3", "eu-central-1")], &policy).unwrap();
    assert!(grants.may_sign("s3", "eu-central-1") && !grants.may_sign("s3", "us-east-1"));
    for wrong in [scope("iam", "eu-central-1"), scope("s3", "us-east-1")] {
        let error = Grants::decide(&[], &[wrong], &policy)
            .unwrap_err()
            .to_string();
        assert!(error.contains("`s3` in `eu-central-1`"), "{error}");
    }
}

fn granted() -> Grants {
    let policy = Policy::for_destination(&configuration(), &OperatorLists::default()).unwrap();
    let meta = &["content-type", "x-amz-meta-*"];
    let grants = [
        grant("PUT", STORE, "/reports/exports/", &[], meta),
        grant(
            "PUT",
            STORE,
            "/reports/exports/",
            &["partNumber", "uploadId"],
            &[],
        ),
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
        .map(|n| {
            (
                n.parse::<HeaderName>().unwrap(),
                HeaderValue::from_static("v"),
            )
        })
        .collect();
    granted()
        .check(&RequestHead {
            method: &method,
            url: &url,
            headers: &headers,
        })
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
        (
            Method::PUT,
            "/reports/exports/a?uploadId=x%2Fy&partNumber=1",
            &[],
        ),
        (
            Method::GET,
            "/reports?prefix=exports%2Fevents&uploads=",
            &[],
        ),
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
        (
            put.clone(),
            "/reports/exports/../salaries/a",
            &[],
            "normal form",
        ),
        (
            put.clone(),
            "/reports/exports/%2e%2e/salaries/a",
            &[],
            "normal form",
        ),
        (
            put.clone(),
            "/reports/exports/%252e%252e/a",
            &[],
            "`..` segment",
        ),
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
        (
            put.clone(),
            "/reports/exports/a\r\nHost: evil",
            &[],
            "normal form",
        ),
        (Method::DELETE, "/reports/exports/a", &[], "this method"),
        (
            put.clone(),
            "/reports/exports/a?acl",
            &[],
            "query keys [acl]",
        ),
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
            "stands twice",
        ),
        (
            put,
            "/reports/exports/a",
            &["x-amz-copy-source"],
            "the header `x-amz-copy-source`",
        ),
        (
            Method::GET,
            "/reports?prefix=salaries&uploads",
            &[],
            "this path",
        ),
        (Method::GET, "/reports?uploads", &[], "this path"),
    ];
    for (method, url, headers, expected) in cases {
        let error = request(method, url, headers).expect_err(url);
        assert!(error.contains(expected), "{url}: {error}");
    }
}

#[test]
fn addresses_that_are_not_public_are_refused_unless_named() {
    let refused = [
        ("127.0.0.1", "loopback"),
        ("127.8.8.8", "loopback"),
        ("10.1.2.3", "private"),
        ("172.31.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("169.254.169.254", "instance metadata"),
        ("169.254.1.1", "link-local"),
        ("0.0.0.0", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::1", "loopback"),
        ("::", "unspecified"),
        ("fc00::1", "unique-local"),
        ("fd00:ec2::254", "instance metadata"),
        ("fe80::1", "link-local"),
        ("ff02::1", "multicast"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("::10.0.0.1", "private"),
        ("64:ff9b::a9fe:a9fe", "instance metadata"),
        ("2002:7f00:1::", "loopback"),
    ];
    let policy = AddressPolicy::default();
    for (address, kind) in refused {
        let error = policy
            .check("store", 9000, address.parse().unwrap())
            .expect_err(address);
        let text = error.to_string();
        assert!(
            text.contains(kind) && text.contains("allow_private = [\"store:9000\"]"),
            "{text}"
        );
    }
    for address in [
        "1.1.1.1",
        "52.95.110.1",
        "172.32.0.1",
        "2606:4700::1111",
        "::ffff:1.1.1.1",
    ] {
        policy
            .check("store", 443, address.parse().unwrap())
            .expect(address);
    }
}

#[test]
fn what_the_operator_names_is_allowed_and_nothing_beside_it() {
    let cases = [
        ("127.0.0.1:9000", "127.0.0.1", 9000, "127.0.0.1", true),
        ("127.0.0.1:9000", "127.0.0.1", 9001, "127.0.0.1", false),
        ("127.0.0.1:9000", "store", 9000, "127.0.0.2", false),
        ("minio.internal", "minio.internal", 1, "10.0.0.1", true),
        (
            "minio.internal:9000",
            "minio.internal",
            1,
            "10.0.0.1",
            false,
        ),
        ("minio.internal", "evil.internal", 1, "10.0.0.1", false),
        ("10.0.0.0/8", "any", 1, "10.9.9.9", true),
        ("10.0.0.0/8", "any", 1, "::ffff:10.9.9.9", true),
        ("10.0.0.0/8", "any", 1, "192.168.0.1", false),
        ("[::1]:9000", "[::1]", 9000, "::1", true),
        ("::1", "localhost", 1, "::1", true),
    ];
    for (rule, host, port, address, allowed) in cases {
        let policy = AddressPolicy::new(vec![rule.parse().unwrap()]);
        let checked = policy.check(host, port, address.parse().unwrap());
        assert_eq!(
            checked.is_ok(),
            allowed,
            "{rule}: {host}:{port} at {address}"
        );
    }
    for wrong in ["", "10.0.0.0/99", "host:port", "a b"] {
        assert!(wrong.parse::<address::PrivateRule>().is_err(), "{wrong:?}");
    }
}

#[test]
fn odd_spellings_of_an_address_do_not_pass() {
    for host in [
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "127.0.0.1",
    ] {
        let mut configuration = configuration();
        configuration["endpoint_url"] = json!(format!("http://{host}:9000"));
        let policy = Policy::for_destination(&configuration, &OperatorLists::default()).unwrap();
        let origin = format!("http://{host}:9000");
        let asked = grant("PUT", &origin, "/reports/exports/", &[], &[]);
        let error = Grants::decide(&[asked], &[], &policy)
            .expect_err(host)
            .to_string();
        assert!(
            error.contains("normal form") || error.contains("loopback"),
            "{host}: {error}"
        );
    }
}

#[test]
fn the_operator_may_allow_another_address() {
    let lists = OperatorLists {
        allow: vec!["https://proxy.internal:8443/mirror/".parse().unwrap()],
        ..OperatorLists::default()
    };
    let at = |path: &str| grant("PUT", "https://proxy.internal:8443", path, &[], &[]);
    decide(&configuration(), &lists, at("/mirror/a")).unwrap();
    decide(&configuration(), &lists, at("/other/a")).unwrap_err();
    for wrong in [
        "proxy",
        "ftp://x/",
        "https://x/a?b",
        "https://x/%2F",
        "https://u@x/",
    ] {
        assert!(wrong.parse::<policy::AllowedUrl>().is_err(), "{wrong}");
    }
}
