//! Plans, honest and hostile, against the policy of a destination.

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
        ("PUT", STORE, "/other/exports/", &[], &[], "`/reports/exports/`"),
        ("PUT", STORE, "/reports/salaries/", &[], &[], "`/reports/exports/`"),
        ("PUT", STORE, "/reports/export", &[], &[], "`/reports/exports/`"),
        ("PUT", STORE, "/reports/exports/../x", &[], &[], "`..` segment"),
        ("PUT", STORE, "/reports/exports/%2e%2E/x", &[], &[], "`..` segment"),
        ("PUT", STORE, "/reports/exports/%252e%252e/x", &[], &[], "`..` segment"),
        ("PUT", STORE, "/reports/exports/%5C..%5Cx", &[], &[], "`..` segment"),
        ("PUT", STORE, "/reports/exports/%2fx", &[], &[], "encoded slash"),
        (
            "PUT",
            STORE,
            "/reports/exports/\\x",
            &[],
            &[],
            "must be percent-encoded",
        ),
        ("PUT", STORE, "/reports/exports/%4", &[], &[], "two hexadecimal digits"),
        (
            "PUT",
            STORE,
            "/reports/exports/",
            &["acl"],
            &[],
            "not a request that an export needs",
        ),
        (
            "GET",
            STORE,
            "/reports/",
            &["policy"],
            &[],
            "not a request that an export needs",
        ),
        (
            "PATCH",
            STORE,
            "/reports/exports/",
            &[],
            &[],
            "not a request that an export needs",
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
            "only be listed in the configured bucket",
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

const STEM: &str = "2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00";

fn decide_for_run(configuration: &Value, lists: &OperatorLists, asked: Grant) -> Result<Grants, String> {
    let policy = policy_of(configuration, lists).map_err(|e| e.to_string())?;
    Grants::decide(&[asked], &[], &policy).map_err(|e| e.to_string())
}

#[test]
fn places_follow_from_endpoint_bucket_prefix_and_interval() {
    let aws =
        |bucket: &str, region: &str, prefix: &str| json!({"bucket_name": bucket, "region": region, "prefix": prefix});
    let mut styled = configuration();
    styled["use_virtual_style_addressing"] = json!(true);
    let own = |folder: &str| format!("{folder}{}", Protocol::S3.path_of(STEM));
    let cases = [
        (configuration(), STORE, own("/reports/exports/events/"), true),
        (configuration(), STORE, own("/reports/exports/events/_"), true),
        // What `{table}` or the interval give for another run is not this run's.
        (configuration(), STORE, own("/reports/exports/persons/"), false),
        (configuration(), STORE, own("/reports/exports/"), false),
        (configuration(), STORE, "/reports/exports/events/".to_owned(), false),
        (
            configuration(),
            STORE,
            format!(
                "/reports/exports/events/{}",
                Protocol::S3.path_of("2023-07-28T01:00:00+00:00-2023-07-28T02:00:00+00:00")
            ),
            false,
        ),
        (
            configuration(),
            "https://reports.store.example.com:9000",
            own("/exports/events/"),
            false,
        ),
        (
            styled.clone(),
            "https://reports.store.example.com:9000",
            own("/exports/events/"),
            true,
        ),
        (
            styled,
            "https://reports.store.example.com:9000",
            own("/salaries/"),
            false,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://b.s3.eu-west-1.amazonaws.com",
            own("/"),
            true,
        ),
        (
            aws("b", "eu-west-1", "/"),
            "https://s3.eu-west-1.amazonaws.com",
            own("/b/"),
            true,
        ),
        (
            aws("b", "eu-west-1", "a b//"),
            "https://s3.eu-west-1.amazonaws.com",
            own("/b/a%20b/"),
            true,
        ),
        (
            aws("b", "eu-west-1", "{table}"),
            "https://s3.eu-west-1.amazonaws.com",
            "/b/".to_owned(),
            false,
        ),
        (
            aws("b", "eu-west-1", "a{{b"),
            "https://s3.eu-west-1.amazonaws.com",
            own("/b/a%7Bb/"),
            true,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://b.s3-fips.dualstack.eu-west-1.amazonaws.com",
            own("/"),
            true,
        ),
        (
            aws("b", "cn-north-1", ""),
            "https://b.s3.cn-north-1.amazonaws.com.cn",
            own("/"),
            true,
        ),
        (
            aws("b", "cn-north-1", ""),
            "https://b.s3.cn-north-1.amazonaws.com",
            own("/"),
            false,
        ),
        (
            aws("b", "us-isob-east-1", ""),
            "https://b.s3.us-isob-east-1.sc2s.sgov.gov",
            own("/"),
            true,
        ),
        (
            aws("b", "us-gov-west-1", ""),
            "https://b.s3.us-gov-west-1.amazonaws.com",
            own("/"),
            true,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://b.s3.us-east-1.amazonaws.com",
            own("/"),
            false,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://c.s3.eu-west-1.amazonaws.com",
            own("/"),
            false,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://s3.eu-west-1.amazonaws.com",
            own("/c/"),
            false,
        ),
        (
            aws("b", "eu-west-1", ""),
            "http://b.s3.eu-west-1.amazonaws.com",
            own("/"),
            false,
        ),
        (
            aws("b", "eu-west-1", ""),
            "https://b.s3.eu-west-1.amazonaws.com.evil.com",
            own("/"),
            false,
        ),
    ];
    for (configuration, origin, path, allowed) in cases {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let asked = grant(method, origin, &path, &[], &[]);
            let decided = decide_for_run(&configuration, &OperatorLists::default(), asked);
            assert_eq!(decided.is_ok(), allowed, "{method} {origin}{path}: {:?}", decided.err());
        }
    }
}

/// Some providers show the endpoint with the bucket in front: files would go to a folder of that name.
#[test]
fn a_bucket_in_the_endpoints_host_is_seen() {
    let refused = |bucket: &str, endpoint: &str, virtual_style: bool, lists: &OperatorLists| {
        let configuration = json!({
            "bucket_name": bucket, "region": "r", "prefix": "", "endpoint_url": endpoint,
            "use_virtual_style_addressing": virtual_style,
        });
        policy_of(&configuration, lists)
            .err()
            .map(|error| batch_export_system::explain::Cause::of(&error).in_one_text())
    };
    let none = OperatorLists::default();
    for virtual_style in [false, true] {
        let text = refused("Data", "https://data.fra1.example.com:8443", virtual_style, &none);
        let text = text.expect("it is seen");
        for part in [
            "`endpoint_url`",
            "`Data/Data/…`",
            "https://fra1.example.com:8443",
            "allow = [",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
    for (bucket, endpoint) in [
        ("data", "https://fra1.example.com"),
        ("data", "https://database.example.com"),
        ("data", "https://my.data.example.com"),
        ("127", "http://127.0.0.1:9000"),
    ] {
        assert_eq!(refused(bucket, endpoint, false, &none), None, "{endpoint}");
    }
    // A store whose own name begins so.
    let meant = OperatorLists {
        allow: vec!["https://s3.example.com/s3/".parse().unwrap()],
        ..OperatorLists::default()
    };
    assert_eq!(refused("s3", "https://s3.example.com", false, &meant), None);
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
        ("prefix", "a/../b"),
        ("prefix", "a/./b"),
        ("prefix", "{unknown}"),
    ];
    for (field, value) in cases {
        let mut configuration = configuration();
        configuration[field] = json!(value);
        match policy_of(&configuration, &OperatorLists::default()) {
            Err(PolicyError::Field { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field} = {value}: {other:?}"),
        }
    }
}

#[test]
fn signing_is_for_the_configured_region_and_s3() {
    let policy = policy_of(&configuration(), &OperatorLists::default()).unwrap();
    let scope = |service: &str, region: &str| SigningScope {
        service: service.to_owned(),
        region: region.to_owned(),
    };
    let grants = Grants::decide(&[], &[scope("s3", "eu-central-1")], &policy).unwrap();
    assert!(grants.may_sign("s3", "eu-central-1") && !grants.may_sign("s3", "us-east-1"));
    for wrong in [scope("iam", "eu-central-1"), scope("s3", "us-east-1")] {
        let error = Grants::decide(&[], &[wrong], &policy).unwrap_err().to_string();
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
    // A folder with and without its slash is the same folder, and its siblings are not in it.
    let lists = OperatorLists {
        allow: vec!["https://proxy.internal:8443/mirror".parse().unwrap()],
        ..OperatorLists::default()
    };
    decide(&configuration(), &lists, at("/mirror/a")).unwrap();
    decide(&configuration(), &lists, at("/mirror-of-others/a")).unwrap_err();
    decide(&configuration(), &lists, at("/mirror")).unwrap_err();
    for wrong in ["proxy", "ftp://x/", "https://x/a?b", "https://x/%2F", "https://u@x/"] {
        assert!(wrong.parse::<policy::AllowedUrl>().is_err(), "{wrong}");
    }
}
