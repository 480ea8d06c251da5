//! Which IP addresses a run may reach: public ones, and those that the operator named. Resolves nothing itself; it
//! judges what a resolver found, so that what was checked is what is connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::LazyLock;

use ipnet::IpNet;
use url::{Host, Url};

use batch_export_system::explain::Explain;

/// Address blocks that are not the public Internet (IANA special-purpose registries, RFC 6890 and successors), each
/// with the word that people know it by and what it takes to be allowed. First match names the reason.
const SPECIAL: [(&str, &str, Guard); 38] = [
    ("0.0.0.0/8", "unspecified", Guard::Named),
    ("10.0.0.0/8", "private", Guard::Named),
    ("100.100.100.200/32", METADATA, Guard::ByAddress),
    ("100.64.0.0/10", "carrier-grade NAT", Guard::Named),
    ("127.0.0.0/8", "loopback", Guard::Named),
    ("168.63.129.16/32", "the cloud's own host", Guard::ByAddress),
    ("169.254.169.254/32", METADATA, Guard::ByAddress),
    ("169.254.170.2/32", "the cloud's container metadata", Guard::ByAddress),
    ("169.254.170.23/32", "the cloud's container metadata", Guard::ByAddress),
    ("169.254.0.0/16", "link-local", Guard::ByBlock),
    ("172.16.0.0/12", "private", Guard::Named),
    ("192.0.0.192/32", METADATA, Guard::ByAddress),
    ("192.0.0.0/24", "reserved", Guard::Named),
    ("192.0.2.0/24", "documentation", Guard::Named),
    ("192.88.99.0/24", "6to4 relay", Guard::Named),
    ("192.168.0.0/16", "private", Guard::Named),
    ("198.18.0.0/15", "benchmarking", Guard::Named),
    ("198.51.100.0/24", "documentation", Guard::Named),
    ("203.0.113.0/24", "documentation", Guard::Named),
    ("224.0.0.0/4", "multicast", Guard::Named),
    ("240.0.0.0/4", "reserved", Guard::Named),
    ("::/128", "unspecified", Guard::Named),
    ("::1/128", "loopback", Guard::Named),
    ("::ffff:0:0:0/96", "IPv4 by translation (SIIT)", Guard::Named),
    ("64:ff9b:1::/48", "private NAT64", Guard::Named),
    ("100::/64", "discard", Guard::Named),
    ("2001::/32", "Teredo", Guard::Named),
    ("2001:db8::/32", "documentation", Guard::Named),
    ("3fff::/20", "documentation", Guard::Named),
    ("5f00::/16", "segment routing", Guard::Named),
    ("fd00:ec2::254/128", METADATA, Guard::ByAddress),
    ("fd00:ec2::23/128", "the cloud's container metadata", Guard::ByAddress),
    ("fd20:ce::254/128", METADATA, Guard::ByAddress),
    ("fd00:ec2::/32", "link-local in the cloud", Guard::ByBlock),
    ("fc00::/7", "unique-local", Guard::Named),
    ("fe80::/10", "link-local", Guard::ByBlock),
    ("fec0::/10", "site-local", Guard::Named),
    ("ff00::/8", "multicast", Guard::Named),
];

const METADATA: &str = "the cloud's instance metadata";

/// Names that mean such an address wherever they are resolved. Whoever resolves them, a proxy included, is not asked.
const KNOWN_NAMES: [(&str, IpAddr); 5] = [
    ("localhost", IpAddr::V4(Ipv4Addr::LOCALHOST)),
    ("metadata.google.internal", METADATA_ADDRESS),
    ("metadata.goog", METADATA_ADDRESS),
    ("instance-data", METADATA_ADDRESS),
    ("instance-data.ec2.internal", METADATA_ADDRESS),
];
const METADATA_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// What it takes to allow addresses of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// An entry by name, address or block.
    Named,
    /// An entry by a block that lies inside this one: a name must not be able to become such an address.
    ByBlock,
    /// An entry by this very address, as long as a block of one.
    ByAddress,
}

/// One of the blocks, read.
struct Special {
    block: IpNet,
    kind: &'static str,
    guard: Guard,
}

static BLOCKS: LazyLock<Vec<Special>> = LazyLock::new(|| {
    let read = |(block, kind, guard): &(&str, &'static str, Guard)| {
        let block = block.parse().ok()?;
        Some(Special {
            block,
            kind,
            guard: *guard,
        })
    };
    SPECIAL.iter().filter_map(read).collect()
});

/// What the operator allows beyond the public Internet. The default allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AddressPolicy {
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
#[error("`{entry}` is not a host, IP address or CIDR block")]
pub struct PrivateRuleError {
    entry: String,
}

impl Explain for PrivateRuleError {
    fn hint(&self) -> Option<String> {
        Some("use for example \"127.0.0.1:9000\", \"minio.internal\" or \"10.0.0.0/8\"".to_owned())
    }
}

/// An address that is not the public Internet's and that the operator did not name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct AddressRefused {
    host: String,
    port: u16,
    address: IpAddr,
    /// The address that was found inside it, or itself.
    meant: IpAddr,
    kind: &'static str,
    guard: Guard,
}

impl AddressRefused {
    /// Returns the hint for a host that knows the configuration's table in which the remedy belongs.
    pub fn hint_in(&self, table: &str) -> String {
        let port = self.port;
        match self.guard {
            Guard::Named => format!(
                "to allow it, add it to allow_private in {table}, as in allow_private = [\"{}:{port}\"]",
                self.host
            ),
            Guard::ByBlock | Guard::ByAddress => {
                let address = match self.meant {
                    IpAddr::V4(address) => address.to_string(),
                    IpAddr::V6(address) => format!("[{address}]"),
                };
                format!(
                    "to allow it, add it to allow_private in {table} by its address, because a name never allows such an \
                     address: allow_private = [\"{address}:{port}\"]"
                )
            }
        }
    }
}

impl Explain for AddressRefused {
    fn hint(&self) -> Option<String> {
        Some(self.hint_in("the destination's `egress` table"))
    }
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        let found = if host.trim_matches(['[', ']']) == self.address.to_string() {
            format!("the address {host} is not public ({})", self.kind)
        } else {
            format!(
                "`{host}` resolves to {}, which is not public ({})",
                self.address, self.kind
            )
        };
        let inside = match self.meant == self.address {
            true => String::new(),
            false => format!(", by the IPv4 address {} inside it", self.meant),
        };
        write!(f, "{found}{inside}")
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
    fn covers(&self, host: &str, port: u16, address: IpAddr, special: &Special) -> bool {
        let port_covered = |allowed: &Option<u16>| allowed.is_none_or(|p| p == port);
        match self {
            PrivateRule::Host { host: named, port } => {
                special.guard == Guard::Named && named.eq_ignore_ascii_case(host) && port_covered(port)
            }
            PrivateRule::Block { block, port } => {
                let is_narrow = match special.guard {
                    Guard::Named => true,
                    Guard::ByBlock | Guard::ByAddress => special.block.contains(block),
                };
                is_narrow && block.contains(&address) && port_covered(port)
            }
        }
    }
}

impl AddressPolicy {
    /// Returns a policy of public addresses and what these rules name.
    pub(crate) fn new(allowed: Vec<PrivateRule>) -> Self {
        AddressPolicy { allowed }
    }

    /// Whether a host may be reached at an address that it resolved to. `host` is as in the URL. An address
    /// is judged as it is and as every IPv4 address that a router on the way may find inside it.
    pub(crate) fn check(&self, host: &str, port: u16, address: IpAddr) -> Result<(), AddressRefused> {
        for meant in readings(address) {
            let Some(special) = special(meant) else {
                continue;
            };
            let is_named = self
                .allowed
                .iter()
                .any(|rule| rule.covers(host, port, meant, special) || rule.covers(host, port, address, special));
            if !is_named {
                return Err(AddressRefused {
                    host: host.to_owned(),
                    port,
                    address,
                    meant,
                    kind: special.kind,
                    guard: special.guard,
                });
            }
        }
        Ok(())
    }

    /// Returns the same for a URL whose host is an IP address, or a name that always means one: those bypass every
    /// resolver, and a proxy resolves names itself.
    pub(crate) fn check_literal(&self, url: &Url) -> Result<(), AddressRefused> {
        let host = url.host_str().unwrap_or_default();
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(name)) => match known_address(name) {
                Some(address) => address,
                None => return Ok(()),
            },
            None => return Ok(()),
        };
        self.check(host, url.port_or_known_default().unwrap_or(0), address)
    }
}

fn known_address(name: &str) -> Option<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut known = KNOWN_NAMES.iter();
    let found = known.find(|(known, _)| name.eq_ignore_ascii_case(known));
    found.map(|(_, address)| *address)
}

fn special(address: IpAddr) -> Option<&'static Special> {
    BLOCKS.iter().find(|special| special.block.contains(&address))
}

/// Returns an address as it is and, for IPv6, as the IPv4 addresses that translators and tunnels take out of it. Where
/// the IPv6 address is nothing but a wrapping (mapped, compatible, NAT64's well-known prefix, 6to4), only what is
/// inside counts.
fn readings(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(v6) = address else {
        return vec![address];
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] if v6 != Ipv6Addr::UNSPECIFIED && v6 != Ipv6Addr::LOCALHOST => {
            vec![v4(high, low)]
        }
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => vec![v4(high, low)],
        [0x2002, high, low, ..] => match isatap(v6) {
            Some(inside) => vec![v4(high, low), inside],
            None => vec![v4(high, low)],
        },
        // NAT64 of a network's own: where the IPv4 address is depends on the length of its prefix (RFC 6052,
        // section 2.2), which only that network knows.
        [0x64, 0xff9b, 1, a, b, c, d, e] => {
            let placed = [
                v4(a, b << 8 | c >> 8),
                v4(a << 8 | b & 0xff, c),
                v4(b << 8 | c >> 8, c << 8 | d >> 8),
                v4(d, e),
            ];
            let zero = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let mut readings = vec![address];
            // Most places hold padding.
            readings.extend(
                placed
                    .into_iter()
                    .filter(|inside| *inside != zero && special(*inside).is_some_and(|s| s.guard != Guard::Named)),
            );
            readings
        }
        [0, 0, 0, 0, 0xffff, 0, high, low] => vec![address, v4(high, low)],
        // Teredo: the server as it is, the client with its bits turned over (RFC 4380, section 4).
        [0x2001, 0, high, low, .., c, d] => vec![address, v4(high, low), v4(!c, !d)],
        _ => match isatap(v6) {
            Some(inside) => vec![address, inside],
            None => vec![address],
        },
    }
}

/// RFC 5214, section 6.1: `::0:5efe:a.b.c.d` or `::200:5efe:a.b.c.d` in any network.
fn isatap(address: Ipv6Addr) -> Option<IpAddr> {
    match address.segments() {
        [.., 0 | 0x200, 0x5efe, high, low] => Some(v4(high, low)),
        _ => None,
    }
}

fn v4(high: u16, low: u16) -> IpAddr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_the_table_can_be_read() {
        assert_eq!(BLOCKS.len(), SPECIAL.len());
        for special in BLOCKS.iter() {
            let single = special.block.prefix_len() == special.block.max_prefix_len();
            if special.guard == Guard::ByAddress {
                assert!(single, "{}", special.block);
            }
        }
    }
}
