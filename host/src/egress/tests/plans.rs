//! Plans, honest and hostile, against the policy of a destination.

use super::super::policy::PolicyError;
use super::*;

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
