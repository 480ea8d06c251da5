//! Addresses that a run may and may not reach, however they are written.

use super::*;
use batch_export_system::explain::Cause;

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
        ("192.88.99.1", "6to4 relay"),
        ("168.63.129.16", "the cloud's own host"),
        ("100.100.100.200", "instance metadata"),
        ("192.0.0.192", "instance metadata"),
        ("169.254.170.23", "container metadata"),
        ("fd00:ec2::23", "container metadata"),
        ("fd20:ce::254", "instance metadata"),
        // IPv4 inside of IPv6, by every way of putting it there.
        ("::ffff:0:a9fe:a9fe", "SIIT"),
        ("::ffff:0:808:808", "SIIT"),
        ("2001::1", "Teredo"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("5f00::1", "segment routing"),
        ("64:ff9b:1::808:808", "private NAT64"),
        ("64:ff9b:1:a9fe:a9:fe00::", "private NAT64"),
        ("2002:a83f:8110::1", "the cloud's own host"),
        ("2002:c058:6301::", "6to4 relay"),
        ("2606:4700::5efe:169.254.169.254", "instance metadata"),
        ("2606:4700::200:5efe:10.0.0.1", "private"),
        ("2002:808:808::5efe:127.0.0.1", "loopback"),
        ("::ffff:168.63.129.16", "the cloud's own host"),
        ("64:ff9b::c0a8:101", "private"),
    ];
    let policy = AddressPolicy::default();
    for (address, kind) in refused {
        let error = policy
            .check("store", 9000, address.parse().unwrap())
            .expect_err(address);
        let (text, hint) = Cause::of(&error).into_parts();
        assert!(text.contains(kind), "{text}");
        assert!(hint.is_some_and(|hint| hint.contains("allow_private = [\"")), "{text}");
    }
    for address in [
        "1.1.1.1",
        "52.95.110.1",
        "172.32.0.1",
        "2606:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "2606:4700::5efe:8.8.8.8",
        "2001:4860:4860::8888",
        "168.63.129.17",
        "192.88.98.1",
    ] {
        policy.check("store", 443, address.parse().unwrap()).expect(address);
    }
}

#[test]
fn what_the_operator_names_is_allowed_and_nothing_beside_it() {
    let cases = [
        ("127.0.0.1:9000", "127.0.0.1", 9000, "127.0.0.1", true),
        ("127.0.0.1:9000", "127.0.0.1", 9001, "127.0.0.1", false),
        ("127.0.0.1:9000", "store", 9000, "127.0.0.2", false),
        ("minio.internal", "minio.internal", 1, "10.0.0.1", true),
        ("minio.internal:9000", "minio.internal", 1, "10.0.0.1", false),
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
        assert_eq!(checked.is_ok(), allowed, "{rule}: {host}:{port} at {address}");
    }
    for wrong in ["", "10.0.0.0/99", "host:port", "a b"] {
        assert!(wrong.parse::<address::PrivateRule>().is_err(), "{wrong:?}");
    }
}

/// A name can be made to resolve to anything, so no name, and no wide block, allows what must never be reached by
/// accident.
#[test]
fn metadata_and_link_local_addresses_need_an_entry_of_their_own() {
    let cases = [
        ("store", "169.254.169.254", false),
        ("store:9000", "169.254.1.1", false),
        ("store", "fe80::1", false),
        ("store", "168.63.129.16", false),
        ("store", "fd00:ec2::254", false),
        ("store", "::ffff:169.254.169.254", false),
        ("store", "64:ff9b::a9fe:a9fe", false),
        ("64:ff9b:1::/48", "64:ff9b:1::a9fe:a9fe", false),
        ("64:ff9b:1::/48", "64:ff9b:1:a9fe:a9:fe00::", false),
        ("64:ff9b:1::/48", "64:ff9b:1:a9:fe:a9fe::", false),
        ("64:ff9b:1::/48", "64:ff9b:1:0:a9:fea9:fe00::", false),
        ("64:ff9b:1::/48", "64:ff9b:1::808:808", true),
        ("::ffff:0:0:0/96", "::ffff:0:a9fe:a9fe", false),
        ("::ffff:0:0:0/96", "::ffff:0:808:808", true),
        ("0.0.0.0/0", "169.254.169.254", false),
        ("0.0.0.0/0", "169.254.1.1", false),
        ("0.0.0.0/0", "10.0.0.1", true),
        ("::/0", "fe80::1", false),
        ("169.254.0.0/16", "169.254.1.1", true),
        ("169.254.0.0/16", "169.254.169.254", false),
        ("169.254.169.254", "169.254.169.254", true),
        ("169.254.169.254:9000", "169.254.169.254", true),
        ("169.254.169.254:80", "169.254.169.254", false),
        ("169.254.169.254", "::ffff:169.254.169.254", true),
        ("[fe80::1]:9000", "fe80::1", true),
        ("fe80::/64", "fe80::1", true),
        ("168.63.129.16", "168.63.129.16", true),
        ("store", "10.0.0.1", true),
    ];
    for (rule, address, allowed) in cases {
        let policy = AddressPolicy::new(vec![rule.parse().unwrap()]);
        let checked = policy.check("store", 9000, address.parse().unwrap());
        assert_eq!(checked.is_ok(), allowed, "{rule}: {address}: {checked:?}");
    }
    let policy = AddressPolicy::new(vec!["store".parse().unwrap()]);
    let refused = policy.check("store", 9000, "169.254.169.254".parse().unwrap());
    assert_eq!(
        Cause::of(&refused.unwrap_err()).in_one_text(),
        "`store` resolves to 169.254.169.254, which is not public (the cloud's instance metadata); to allow it, add it to allow_private in the destination's `egress` table by its address, because a name never allows such an address: allow_private = [\"169.254.169.254:9000\"]"
    );
}

/// Behind a proxy nobody here resolves names; those that mean such an address everywhere are known.
#[test]
fn names_that_always_mean_such_an_address_are_refused_unresolved() {
    let check = |rules: &[&str], url: &str| {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        AddressPolicy::new(rules).check_literal(&Url::parse(url).unwrap())
    };
    for url in [
        "http://localhost:9000",
        "http://LOCALHOST.:9000",
        "http://metadata.google.internal",
        "http://instance-data.ec2.internal",
        "http://169.254.169.254",
        "http://[::ffff:a9fe:a9fe]",
        "http://0x7f.1:80",
    ] {
        check(&[], url).expect_err(url);
    }
    check(&["metadata.google.internal"], "http://metadata.google.internal").expect_err("a name");
    check(&["localhost"], "http://localhost:9000").expect("named");
    check(&["127.0.0.0/8"], "http://localhost:9000").expect("named by its address");
    check(&[], "https://store.example.com").expect("nobody knows yet");
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
        let policy = Policy::with_head(Protocol::S3, &configuration, &OperatorLists::default(), "exports/").unwrap();
        let origin = format!("http://{host}:9000");
        let asked = grant("PUT", &origin, "/reports/exports/", &[], &[]);
        let error = Grants::decide(&[asked], &[], &policy).expect_err(host).to_string();
        assert!(
            error.contains("normal form") || error.contains("loopback"),
            "{host}: {error}"
        );
    }
}
