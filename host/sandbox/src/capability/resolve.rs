//! Names to addresses: asks once for each connection, judges every address found, and hands out only those that the
//! run may reach. The connection is made to what was judged; nobody asks again in between.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::egress::address::{AddressPolicy, AddressRefused};
use batch_export_system::explain::plain;

/// How a name becomes addresses; tests take the system's place.
pub(crate) type Lookup = Arc<dyn Fn(&str) -> Found + Send + Sync>;
/// The addresses of a name, once they are known.
pub(crate) type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Returns the system's resolver, but for names below `.localhost`: they are this machine (RFC 6761, section 6.3), and
/// not every system knows it. So a store on loopback can be addressed virtual-hosted.
pub(super) fn system_lookup() -> Lookup {
    Arc::new(|host| {
        let host = host.to_owned();
        Box::pin(async move {
            if is_below_localhost(&host) {
                return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
            }
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

fn is_below_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.rsplit_once('.')
        .is_some_and(|(_, last)| last.eq_ignore_ascii_case("localhost"))
}

/// A name that has no address, or none that could be found out.
#[derive(Debug, thiserror::Error)]
#[error("the name `{host}` cannot be resolved ({reason})")]
pub(crate) struct Unresolved {
    host: String,
    reason: String,
}

/// Hands out only addresses that the run may reach, so that what was checked is what is connected to.
pub(super) struct CheckedResolver {
    pub(super) lookup: Lookup,
    /// The granted ports of each granted host.
    pub(super) ports: HashMap<String, Vec<u16>>,
    pub(super) addresses: Arc<AddressPolicy>,
    pub(super) proxy_host: Option<String>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let ports = self.ports.get(&host).cloned().unwrap_or_default();
        let addresses = Arc::clone(&self.addresses);
        // A host that is granted as well is judged like any other: nobody says here what a connection is for.
        let is_proxy = ports.is_empty() && self.proxy_host.as_deref() == Some(host.as_str());
        let asked = (self.lookup)(&host);
        Box::pin(async move {
            let found: Vec<SocketAddr> = asked
                .await
                .map_err(|error| Unresolved {
                    host: host.clone(),
                    reason: unresolved(&error),
                })?
                .into_iter()
                .map(|a| (a, 0).into())
                .collect();
            if is_proxy {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let (allowed, refused) = sort_addresses(&addresses, &host, &ports, found);
            match (allowed.is_empty(), refused) {
                (true, Some(refused)) => Err(refused.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// Returns the resolver's own words, without those that every one of its errors begins with.
fn unresolved(error: &io::Error) -> String {
    let said = error.to_string();
    match said.strip_prefix("failed to lookup address information: ") {
        Some(own) => plain(&io::Error::other(own)),
        None => plain(error),
    }
}

/// Returns the addresses that every granted port of the host may be reached at, and the first refusal.
fn sort_addresses(
    policy: &AddressPolicy,
    host: &str,
    ports: &[u16],
    found: Vec<SocketAddr>,
) -> (Vec<SocketAddr>, Option<AddressRefused>) {
    let mut first_refusal = None;
    let allowed = found
        .into_iter()
        .filter(|address| {
            let refused = ports
                .iter()
                .find_map(|port| policy.check(host, *port, address.ip()).err());
            let is_allowed = refused.is_none() && !ports.is_empty();
            if first_refusal.is_none() {
                first_refusal = refused;
            }
            is_allowed
        })
        .collect();
    (allowed, first_refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_reached_only_at_addresses_that_every_granted_port_allows() {
        let policy = AddressPolicy::new(vec!["store:9000".parse().unwrap()]);
        let found = || vec!["10.0.0.1:0".parse().unwrap(), "1.1.1.1:0".parse().unwrap()];
        let cases: [(&[u16], usize); 4] = [(&[9000], 2), (&[9001], 1), (&[9000, 9001], 1), (&[], 0)];
        for (ports, expected) in cases {
            let (allowed, _) = sort_addresses(&policy, "store", ports, found());
            assert_eq!(allowed.len(), expected, "{ports:?}");
        }
    }

    #[tokio::test]
    async fn a_proxys_name_goes_anywhere_unless_it_is_granted_too() {
        let resolver = |ports: &[(&str, u16)]| CheckedResolver {
            lookup: Arc::new(|_| Box::pin(async { Ok(vec![IpAddr::from([10, 0, 0, 1])]) })),
            ports: ports
                .iter()
                .map(|(host, port)| ((*host).to_owned(), vec![*port]))
                .collect(),
            addresses: Arc::new(AddressPolicy::default()),
            proxy_host: Some("proxy.internal".to_owned()),
        };
        let found = async |resolver: CheckedResolver| {
            let name = "proxy.internal".parse().unwrap();
            resolver.resolve(name).await.is_ok()
        };
        assert!(found(resolver(&[])).await);
        assert!(found(resolver(&[("store", 9000)])).await);
        assert!(!found(resolver(&[("proxy.internal", 9000)])).await);
    }

    #[tokio::test]
    async fn names_below_localhost_are_this_machine_without_asking_anybody() {
        for name in ["s3.localhost", "bucket.s3.LocalHost", "s3.localhost."] {
            let found = system_lookup()(name).await.unwrap();
            assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{name}");
        }
        for name in ["localhost.example.com", "notlocalhost", "localhost"] {
            assert!(!is_below_localhost(name), "{name}");
        }
    }
}
