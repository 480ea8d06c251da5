//! Addresses that a run may and may not reach, however they are written.

use super::*;

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
