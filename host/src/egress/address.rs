//! Which IP addresses a run may reach: public ones, and those that the operator named. Resolves nothing itself; it
//! judges what a resolver found, so that what was checked is what is connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

/// Address blocks that are not the public Internet (IANA special-purpose registries, RFC 6890 and successors), each
/// with the word a person knows it by. First match names the reason.
const SPECIAL: [(&str, &str); 27] = [
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.169.254/32", "the cloud's instance metadata"),
    ("169.254.170.2/32", "the cloud's container metadata"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "documentation"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("64:ff9b:1::/48", "private NAT64"),
    ("100::/64", "discard"),
    ("2001:db8::/32", "documentation"),
    ("3fff::/20", "documentation"),
    ("fd00:ec2::254/128", "the cloud's instance metadata"),
    ("fc00::/7", "unique-local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
];

/// What the operator allows beyond the public Internet. The default allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    allowed: Vec<PrivateRule>,
}

/// One entry of `allow_private`: a host, IP address or CIDR block, the first two with or without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivateRule {
    /// Whatever addresses this name resolves to.
    Host {
        /// In lower case.
        host: String,
        /// Only this port.
        port: Option<u16>,
    },
    /// Addresses of this block.
    Block {
        /// A single address is a block of one.
        block: IpNet,
        /// Only this port.
        port: Option<u16>,
    },
}

/// An entry of `allow_private` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{entry}` is no host, IP address or CIDR block; write for example \"127.0.0.1:9000\", \"minio.internal\" or \"10.0.0.0/8\""
)]
pub struct PrivateRuleError {
    entry: String,
}

/// An address that is not the public Internet's and that the operator did not name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct AddressRefused {
    host: String,
    port: u16,
    address: IpAddr,
    kind: &'static str,
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (&self.host, self.port);
        if host.trim_matches(['[', ']']) == self.address.to_string() {
            write!(f, "the address {host} is not public ({})", self.kind)?;
        } else {
            write!(
                f,
                "`{host}` resolves to {}, which is not public ({})",
                self.address, self.kind
            )?;
        }
        write!(
            f,
            "; if it is meant, add under [destinations.NAME.egress]: allow_private = [\"{host}:{port}\"]"
        )
    }
}

impl FromStr for PrivateRule {
    type Err = PrivateRuleError;

    fn from_str(entry: &str) -> Result<Self, Self::Err> {
        let refuse = || PrivateRuleError {
            entry: entry.to_owned(),
        };
        if let Ok(block) = entry.parse::<IpNet>() {
            return Ok(PrivateRule::Block { block, port: None });
        }
        if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(PrivateRule::Block {
                block: address.into(),
                port: None,
            });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| refuse())?)),
            None => (entry, None),
        };
        match Host::parse(host).map_err(|_| refuse())? {
            Host::Domain(host) => Ok(PrivateRule::Host { host, port }),
            Host::Ipv4(a) => Ok(PrivateRule::Block {
                block: IpAddr::V4(a).into(),
                port,
            }),
            Host::Ipv6(a) => Ok(PrivateRule::Block {
                block: IpAddr::V6(a).into(),
                port,
            }),
        }
    }
}

impl PrivateRule {
    fn covers(&self, host: &str, port: u16, address: IpAddr) -> bool {
        let port_covered = |allowed: &Option<u16>| allowed.is_none_or(|p| p == port);
        match self {
            PrivateRule::Host { host: named, port } => {
                named.eq_ignore_ascii_case(host) && port_covered(port)
            }
            PrivateRule::Block { block, port } => block.contains(&address) && port_covered(port),
        }
    }
}

impl AddressPolicy {
    /// Public addresses, and what these rules name.
    pub fn new(allowed: Vec<PrivateRule>) -> Self {
        AddressPolicy { allowed }
    }

    /// Whether a host may be reached at an address that it resolved to. `host` is as it stands in the URL.
    pub fn check(&self, host: &str, port: u16, address: IpAddr) -> Result<(), AddressRefused> {
        let meant = unwrapped(address);
        let Some(kind) = special_kind(meant) else {
            return Ok(());
        };
        let named = self
            .allowed
            .iter()
            .any(|rule| rule.covers(host, port, meant) || rule.covers(host, port, address));
        match named {
            true => Ok(()),
            false => Err(AddressRefused {
                host: host.to_owned(),
                port,
                address,
                kind,
            }),
        }
    }

    /// The same for a URL whose host is an IP address: those bypass every resolver.
    pub fn check_literal(&self, url: &Url) -> Result<(), AddressRefused> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        let host = url.host_str().unwrap_or_default();
        self.check(host, url.port_or_known_default().unwrap_or(0), address)
    }
}

fn special_kind(address: IpAddr) -> Option<&'static str> {
    SPECIAL
        .iter()
        .find(|(block, _)| {
            block
                .parse::<IpNet>()
                .is_ok_and(|block| block.contains(&address))
        })
        .map(|(_, kind)| *kind)
}

/// The IPv4 address that an IPv6 address carries inside it (mapped, compatible, NAT64, 6to4), or the address itself.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
            if v6 != Ipv6Addr::UNSPECIFIED && v6 != Ipv6Addr::LOCALHOST =>
        {
            v4(high, low)
        }
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

fn v4(high: u16, low: u16) -> IpAddr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}
