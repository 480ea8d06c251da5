//! Addresses, accepted and refused. Resolves no name.

use proptest::prelude::*;

use super::*;

const AWS: Location<'_> = Location {
    bucket: "my-exports",
    region: "eu-central-1",
    endpoint_url: None,
    virtual_style: false,
    dual_stack: false,
    fips: false,
};

fn at(url: &'static str) -> Location<'static> {
    Location {
        endpoint_url: Some(url),
        ..AWS
    }
}

#[test]
fn addresses() {
    let cases = [
        (AWS, "https://my-exports.s3.eu-central-1.amazonaws.com", "/k"),
        (
            Location {
                bucket: "my.exports",
                ..AWS
            },
            "https://s3.eu-central-1.amazonaws.com",
            "/my.exports/k",
        ),
        (
            Location {
                region: "cn-north-1",
                ..AWS
            },
            "https://my-exports.s3.cn-north-1.amazonaws.com.cn",
            "/k",
        ),
        (
            Location {
                region: "us-gov-west-1",
                ..AWS
            },
            "https://my-exports.s3.us-gov-west-1.amazonaws.com",
            "/k",
        ),
        (
            Location {
                region: "us-iso-east-1",
                ..AWS
            },
            "https://my-exports.s3.us-iso-east-1.c2s.ic.gov",
            "/k",
        ),
        (
            Location {
                region: "us-isob-east-1",
                ..AWS
            },
            "https://my-exports.s3.us-isob-east-1.sc2s.sgov.gov",
            "/k",
        ),
        (
            Location {
                region: "eusc-de-east-1",
                ..AWS
            },
            "https://my-exports.s3.eusc-de-east-1.amazonaws.eu",
            "/k",
        ),
        (
            Location {
                dual_stack: true,
                ..AWS
            },
            "https://my-exports.s3.dualstack.eu-central-1.amazonaws.com",
            "/k",
        ),
        (
            Location {
                fips: true,
                region: "us-gov-east-1",
                ..AWS
            },
            "https://my-exports.s3-fips.us-gov-east-1.amazonaws.com",
            "/k",
        ),
        (
            Location {
                fips: true,
                dual_stack: true,
                region: "us-east-1",
                bucket: "a.b.c",
                ..AWS
            },
            "https://s3-fips.dualstack.us-east-1.amazonaws.com",
            "/a.b.c/k",
        ),
        (
            Location {
                virtual_style: true,
                ..AWS
            },
            "https://my-exports.s3.eu-central-1.amazonaws.com",
            "/k",
        ),
        (at("http://localhost:9000"), "http://localhost:9000", "/my-exports/k"),
        (at("HTTPS://MinIO.Internal/"), "https://minio.internal", "/my-exports/k"),
        (at("http://h:80"), "http://h", "/my-exports/k"),
        (at("https://h:443/"), "https://h", "/my-exports/k"),
        (at("https://h:80"), "https://h:80", "/my-exports/k"),
        (at("http://127.0.0.1:9000"), "http://127.0.0.1:9000", "/my-exports/k"),
        (at("http://[0:0::1]:9000"), "http://[::1]:9000", "/my-exports/k"),
        (at("http://[FE80::A]"), "http://[fe80::a]", "/my-exports/k"),
        (
            Location {
                region: "auto",
                ..at("https://account.r2.cloudflarestorage.com")
            },
            "https://account.r2.cloudflarestorage.com",
            "/my-exports/k",
        ),
        (
            Location {
                virtual_style: true,
                ..at("https://store.example:8443")
            },
            "https://my-exports.store.example:8443",
            "/k",
        ),
        (
            Location {
                virtual_style: true,
                bucket: "a.b",
                ..at("http://store.example")
            },
            "http://a.b.store.example",
            "/k",
        ),
        (
            Location {
                bucket: "my_exports",
                ..at("http://h")
            },
            "http://h",
            "/my_exports/k",
        ),
    ];
    for (location, origin, path) in cases {
        let endpoint = Endpoint::decide(&location).unwrap();
        assert_eq!(endpoint.origin(), origin, "{location:?}");
        assert_eq!(endpoint.path(Some("k")), path, "{location:?}");
        assert_eq!(endpoint.is_path_style(), path != "/k", "{location:?}");
        assert_eq!(endpoint.is_https(), origin.starts_with("https"));
        assert_eq!(endpoint.is_aws(), location.endpoint_url.is_none());
        assert_eq!(endpoint.url(Some("k"), &[]), format!("{origin}{path}"), "{location:?}");
        assert!(origin.ends_with(endpoint.host()));
        // What is signed is what an independent URL library makes of it.
        let url = url::Url::parse(&endpoint.url(Some("k"), &[])).unwrap();
        assert_eq!(url.as_str(), endpoint.url(Some("k"), &[]));
    }
}

#[test]
fn the_bucket_itself() {
    let virtual_hosted = Endpoint::decide(&AWS).unwrap();
    assert_eq!(virtual_hosted.path(None), "/");
    let path_style = Endpoint::decide(&at("http://h")).unwrap();
    assert_eq!(path_style.path(None), "/my-exports");
    assert_eq!(
        path_style.url(None, &[("uploads", ""), ("prefix", "a/b")]),
        "http://h/my-exports?prefix=a%2Fb&uploads="
    );
}

#[test]
fn refused_endpoint_urls() {
    const ALLOWED: &str = "`http://` or `https://`, a host and an optional port, such as `https://minio.internal:9000`";
    let scheme = "does not begin with `http://` or `https://`";
    let path = "contains a path after the host";
    let user_info = "contains a user name or password before the host";
    let no_host_name = "does not contain a valid host name (letters, digits, `-` and `.`; other alphabets as `xn--…`)";
    let cases = [
        ("", scheme),
        ("minio:9000", scheme),
        ("s3://bucket", scheme),
        ("https:/h", scheme),
        ("https://h/bucket", path),
        ("https://h//", path),
        ("https://h\\bucket", path),
        ("https://h?x=CANARY", "contains a query or fragment after the host"),
        ("https://h/#CANARY", "contains a query or fragment after the host"),
        ("https://user:CANARY@h", user_info),
        ("https://CANARY@h/path", user_info),
        ("https://", "does not contain a host"),
        ("https:///", "does not contain a host"),
        ("https://:9000", "does not contain a host"),
        ("https://a b", no_host_name),
        ("https://a..b", no_host_name),
        ("https://host.", no_host_name),
        ("https://münchen.example", no_host_name),
        ("https://a%2eb", no_host_name),
        (
            "https://1.2.3",
            "contains the host `1.2.3`, which is not an IPv4 address of four numbers",
        ),
        (
            "https://0x7f",
            "contains the host `0x7f`, which is not an IPv4 address of four numbers",
        ),
        (
            "https://1.2.3.04",
            "contains the host `1.2.3.04`, which is not an IPv4 address of four numbers",
        ),
        ("https://h:0", "contains the port `0`, but ports range from 1 to 65535"),
        (
            "https://h:65536",
            "contains the port `65536`, but ports range from 1 to 65535",
        ),
        ("https://h:", "contains the port ``, but ports range from 1 to 65535"),
        ("https://h:+1", "contains a port that is not a number"),
        ("https://::1", "contains a port that is not a number"),
        ("https://[::1", "contains a port that is not a number"),
        (
            "https://[::g]",
            "does not contain a valid IPv6 address in `[ ]` (zones are not supported)",
        ),
        (
            "https://[fe80::1%eth0]",
            "does not contain a valid IPv6 address in `[ ]` (zones are not supported)",
        ),
        (
            "https://[::ffff:1.2.3.4]",
            "contains an IPv4 address written as an IPv6 address",
        ),
        (
            "https://[::1]9000",
            "contains something other than a port after the `]` of its address",
        ),
    ];
    for (url, message) in cases {
        let problems = Endpoint::decide(&at(url)).unwrap_err();
        let expected = Problem::new("endpoint_url", message).allowing(ALLOWED);
        assert_eq!(
            problems
                .into_iter()
                .map(|problem| problem.with_hint(None))
                .collect::<Vec<_>>(),
            [expected],
            "{url}"
        );
    }
    for (url, hint) in [
        (
            "https://h/bucket",
            Some("put the bucket in `bucket_name`, and folders in `prefix`"),
        ),
        (
            "https://user:CANARY@h",
            Some("put credentials in `aws_access_key_id` and `aws_secret_access_key`"),
        ),
        ("https://::1", Some("write an IPv6 address in `[ ]`")),
        ("https://[::ffff:1.2.3.4]", Some("write it as an IPv4 address")),
        ("https://h:0", None),
    ] {
        let problems = Endpoint::decide(&at(url)).unwrap_err();
        assert_eq!(problems[0].hint.as_deref(), hint, "{url}");
    }
}

#[test]
fn refused_combinations() {
    let cases: Vec<(Location<'_>, Vec<(&str, &str)>)> = vec![
        (
            Location { region: "auto", ..AWS },
            vec![("region", "`auto` is not an AWS region")],
        ),
        (
            Location {
                bucket: "a.b",
                virtual_style: true,
                ..AWS
            },
            vec![(
                "use_virtual_style_addressing",
                "AWS's certificate does not cover `a.b` as a host name, because the name contains a dot",
            )],
        ),
        (
            Location {
                region: "cn-north-1",
                fips: true,
                ..AWS
            },
            vec![("use_fips", "AWS has no FIPS endpoints in China (`cn-north-1`)")],
        ),
        (
            Location {
                dual_stack: true,
                fips: true,
                ..at("ftp://h")
            },
            vec![
                (
                    "use_dual_stack",
                    "selects one of AWS's own endpoints, but `endpoint_url` names another endpoint",
                ),
                (
                    "use_fips",
                    "selects one of AWS's own endpoints, but `endpoint_url` names another endpoint",
                ),
                ("endpoint_url", "does not begin with `http://` or `https://`"),
            ],
        ),
        (
            Location {
                virtual_style: true,
                ..at("http://127.0.0.1:9000")
            },
            vec![(
                "use_virtual_style_addressing",
                "a bucket name cannot be put in front of the IP address `127.0.0.1`",
            )],
        ),
        (
            Location {
                virtual_style: true,
                bucket: "my_exports",
                ..at("http://h")
            },
            vec![(
                "use_virtual_style_addressing",
                "`my_exports` contains a `_`, which is not allowed in host names",
            )],
        ),
    ];
    for (location, expected) in cases {
        let problems = Endpoint::decide(&location).unwrap_err();
        let got: Vec<(&str, &str)> = problems
            .iter()
            .map(|problem| (problem.field.as_str(), problem.message.as_str()))
            .collect();
        assert_eq!(got, expected, "{location:?}");
        assert!(problems.iter().all(|problem| problem.allowed.is_some()));
    }
}

#[test]
fn keys_are_encoded_once_and_never_normalised() {
    let cases = [
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("2023-07-28T01:00:00+00:00", "2023-07-28T01%3A00%3A00%2B00%3A00"),
        ("=&%#?~*", "%3D%26%25%23%3F~%2A"),
        ("%2F", "%252F"),
        ("'\"<>\\`", "%27%22%3C%3E%5C%60"),
        ("//a//", "//a//"),
        ("./../a", "./../a"),
        ("é🦔", "%C3%A9%F0%9F%A6%94"),
        ("-_.~", "-_.~"),
    ];
    let endpoint = Endpoint::decide(&AWS).unwrap();
    for (key, encoded) in cases {
        assert_eq!(encode_key(key), encoded);
        assert_eq!(endpoint.path(Some(key)), format!("/{encoded}"));
    }
}

#[test]
fn queries_are_sorted_and_encoded_with_their_slashes() {
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[], ""),
        (&[("uploads", "")], "uploads="),
        (
            &[("uploadId", "a/b+c=="), ("partNumber", "7")],
            "partNumber=7&uploadId=a%2Fb%2Bc%3D%3D",
        ),
        (&[("b", "1"), ("a", "2"), ("a", "1")], "a=1&a=2&b=1"),
    ];
    for (query, expected) in cases {
        assert_eq!(canonical_query(query), expected);
    }
}

proptest! {
    /// The path decodes to the key, has no other signs than allowed, and begins as the path of the key's beginning.
    #[test]
    fn paths_say_the_key(key in any::<String>(), cut in any::<prop::sample::Index>()) {
        let endpoint = Endpoint::decide(&at("http://h")).unwrap();
        let path = endpoint.path(Some(&key));
        let plain = percent_encoding::percent_decode_str(&path).decode_utf8().unwrap();
        prop_assert_eq!(plain.as_ref(), format!("/my-exports/{key}"));
        prop_assert!(path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.~%".contains(&b)));
        let beginning: String = key.chars().take(cut.index(key.chars().count() + 1)).collect();
        prop_assert!(path.starts_with(&endpoint.path(Some(&beginning))));
    }

    /// Whatever stands in `endpoint_url`, an answer comes, and an accepted one is what URL libraries send to.
    #[test]
    fn any_endpoint_url_is_answered(url in "(https?://)?[a-zA-Z0-9.:@/?#\\[\\]%_ -]{0,24}") {
        if let Ok(endpoint) = Endpoint::decide(&Location { endpoint_url: Some(&url), ..AWS }) {
            let sent = url::Url::parse(&endpoint.origin()).unwrap();
            prop_assert_eq!(sent.as_str(), format!("{}/", endpoint.origin()));
        }
    }
}
