//! How requests of the host are carried: TLS roots, proxy, connection limits. One `Network` serves all runs; each run
//! gets a client of its own, whose resolver hands out only addresses that the run may reach. Sends nothing itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::http::{TransportError, Way, classify};
use super::resolve::{CheckedResolver, Lookup, system_lookup};
use crate::egress::Grants;
use batch_export_system::Secret;
use batch_export_system::explain::{Cause, Explain, plain};

/// Longest time for name, TCP and TLS together; a store that needs longer is down.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Idle connections are dropped before S3 does so (about 20 s), so that few requests meet a closed one.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Idle connections kept per host: as many as requests may be in flight.
const POOL_IDLE_PER_HOST: usize = 32;
/// Headers of a response; hyper refuses more.
const RESPONSE_HEADERS_LIMIT: usize = 128;
/// Where a machine or its cloud keeps credentials: nothing that a proxy could reach, or should be told of.
const METADATA_ADDRESSES: &str = "localhost,127.0.0.0/8,::1,169.254.0.0/16,fe80::/10,fd00:ec2::/32";

/// TLS and proxy settings. Begin with `default()` and set what should differ. Of the environment, only the variables
/// count that say where the system's certificates are (`SSL_CERT_FILE`, `SSL_CERT_DIR`), as with OpenSSL, Go and curl;
/// those of proxies have no effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkOptions {
    /// PEM file with certificates to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Carries every request, as `http://` or `https://` URL; user information in it is sent to the proxy only.
    pub proxy: Option<Secret>,
    /// Hosts reached without the proxy: comma-separated names, domains (`.internal`), addresses or CIDR blocks.
    pub no_proxy: Option<String>,
}

/// Why network settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The CA file.
    #[error("the CA file {}: {message}", .path.display())]
    CaFile {
        /// As configured.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The variables that say where the system's certificates are.
    #[error("{0}")]
    SystemCertificates(String),
    /// The proxy's URL; it is not repeated because it may hold a password.
    #[error("the proxy's URL cannot be used: {0}")]
    Proxy(String),
    /// The client or its TLS cannot be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

impl Explain for NetworkError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            NetworkError::CaFile { .. } => "give a PEM file with `-----BEGIN CERTIFICATE-----`",
            NetworkError::SystemCertificates(_) => {
                "correct the variable or unset it (it replaces the system's own certificates; `ca_file` adds to them)"
            }
            NetworkError::Proxy(_) => "write for example \"http://proxy.internal:3128\"",
            NetworkError::Client(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// Decided network settings. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    tls: Arc<rustls::ClientConfig>,
    labels: Labels,
    proxy: Option<Proxy>,
    lookup: Lookup,
}

/// What messages about requests say of the network that carried them.
#[derive(Clone)]
pub(crate) struct Labels {
    /// What is wrong with the certificates that this machine trusts; to be told when one is not trusted.
    certificates: Option<Arc<Cause>>,
    /// Host and port of the proxy.
    proxy: Option<Arc<str>>,
}

impl Labels {
    /// Returns the way to a server.
    pub(crate) fn way<'a>(&'a self, host: &'a str) -> Way<'a> {
        Way {
            host,
            proxy: self.proxy.as_deref(),
            certificates: self.certificates.as_deref(),
        }
    }
}

#[derive(Clone)]
struct Proxy {
    all: reqwest::Proxy,
    no_proxy: String,
    /// The operator named it, so it may be private.
    host: String,
    /// Host and port.
    authority: String,
    /// The password, as it is and as it is sent.
    secrets: Arc<[Secret]>,
}

impl Network {
    /// Reads the certificates and the proxy's URL.
    pub fn new(options: &NetworkOptions) -> Result<Self, NetworkError> {
        let no_proxy = options.no_proxy.clone().unwrap_or_default();
        let proxy = options
            .proxy
            .as_ref()
            .map(|url| proxy(url.expose(), no_proxy))
            .transpose()?;
        let (roots, wrong) = system_certificates()?;
        Ok(Network {
            tls: Arc::new(tls(roots, options.ca_file.as_deref())?),
            labels: Labels {
                certificates: wrong.map(Arc::new),
                proxy: proxy.as_ref().map(|proxy| proxy.authority.as_str().into()),
            },
            proxy,
            lookup: system_lookup(),
        })
    }

    /// Returns what messages about requests say of this network.
    pub(crate) fn labels(&self) -> Labels {
        self.labels.clone()
    }

    /// Secrets of the way to the servers, which no response may repeat.
    pub(crate) fn proxy_secrets(&self) -> &[Secret] {
        match &self.proxy {
            Some(proxy) => &proxy.secrets,
            None => &[],
        }
    }

    /// Returns the same network with names resolved in another way.
    #[cfg(test)]
    pub(crate) fn with_lookup(self, lookup: Lookup) -> Self {
        Network { lookup, ..self }
    }

    /// Returns a client for one run, which resolves granted names to allowed addresses and no others.
    pub(crate) fn client(&self, grants: &Grants) -> Result<reqwest::Client, NetworkError> {
        let resolver = CheckedResolver {
            lookup: Arc::clone(&self.lookup),
            ports: grants.hosts(),
            addresses: Arc::clone(grants.addresses()),
            proxy_host: self.proxy.as_ref().map(|proxy| proxy.host.clone()),
        };
        self.builder("")
            .dns_resolver(resolver)
            .build()
            .map_err(|e| NetworkError::Client(with_causes(&e)))
    }

    /// Returns a client for addresses that the operator chose, never a plugin: those of the credential chain (instance
    /// metadata), which are private by nature, and those that alerts are sent to. Those of this machine and its cloud
    /// are not asked for through the proxy: that would get the proxy's own.
    pub fn operators_client(&self) -> Result<reqwest::Client, NetworkError> {
        self.builder(METADATA_ADDRESSES)
            .build()
            .map_err(|e| NetworkError::Client(with_causes(&e)))
    }

    /// Explains why a client of this network got no response from a server, given by host and port: in one sentence,
    /// with what to do about it where these settings are the remedy.
    pub fn explain(&self, error: &reqwest::Error, host: &str) -> TransportError {
        classify(error, self.labels.way(host))
    }

    fn builder(&self, further_no_proxy: &str) -> reqwest::ClientBuilder {
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&self.tls))
            .http1_only()
            .http1_max_headers(RESPONSE_HEADERS_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_IDLE_PER_HOST)
            .tcp_nodelay(true)
            .user_agent(concat!("batch-export/", env!("CARGO_PKG_VERSION")));
        match &self.proxy {
            Some(proxy) => {
                let without = format!("{},{further_no_proxy}", proxy.no_proxy);
                let without = reqwest::NoProxy::from_string(&without);
                builder.proxy(proxy.all.clone().no_proxy(without))
            }
            None => builder,
        }
    }
}

fn proxy(url: &str, no_proxy: String) -> Result<Proxy, NetworkError> {
    let parsed = url::Url::parse(url).map_err(|e| NetworkError::Proxy(e.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(NetworkError::Proxy("it is neither http nor https".to_owned()));
    }
    let host = parsed
        .host_str()
        .ok_or_else(|| NetworkError::Proxy("it names no host".to_owned()))?;
    let all =
        reqwest::Proxy::all(url).map_err(|_| NetworkError::Proxy("the HTTP client does not take it".to_owned()))?;
    Ok(Proxy {
        all,
        no_proxy,
        host: host.to_owned(),
        authority: format!("{host}:{}", parsed.port_or_known_default().unwrap_or_default()),
        secrets: secrets(&parsed),
    })
}

/// Returns a proxy's password, and what the client sends of it.
fn secrets(proxy: &url::Url) -> Arc<[Secret]> {
    let Some(password) = proxy.password() else {
        return Arc::default();
    };
    let plain = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text);
        Zeroizing::new(decoded.decode_utf8_lossy().into_owned())
    };
    let (user, decoded) = (plain(proxy.username()), plain(password));
    let pair = Zeroizing::new(format!("{}:{}", *user, *decoded));
    let sent = base64::engine::general_purpose::STANDARD.encode(pair.as_bytes());
    [decoded.as_str(), sent.as_str()].map(Secret::new).into()
}

/// Variables that replace the system's certificates.
const CERTIFICATE_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Returns the certificates that this machine trusts, or those that the environment names instead, and what is wrong
/// with them. What the environment names must be there; a system without roots is not an error: plain http needs none,
/// and https says so then.
fn system_certificates() -> Result<(rustls::RootCertStore, Option<Cause>), NetworkError> {
    let refused = |what: String| Err(NetworkError::SystemCertificates(what));
    let mut named = Vec::new();
    for name in CERTIFICATE_VARIABLES {
        let Some(value) = std::env::var_os(name) else {
            continue;
        };
        if value.is_empty() {
            return refused(format!("the environment variable {name} is set, but empty"));
        }
        named.push(name);
        if name == "SSL_CERT_FILE"
            && let Err(error) = std::fs::File::open(&value)
        {
            let path = Path::new(&value).display();
            return refused(format!("{name} names {path}, which cannot be read ({})", plain(&error)));
        }
    }
    let loaded = rustls_native_certs::load_native_certs();
    let failed = loaded.errors.first().map(ToString::to_string);
    let mut roots = rustls::RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(loaded.certs);
    let reason = failed.unwrap_or_else(|| match unusable {
        0 => "there are none".to_owned(),
        unusable => format!("{unusable} of them cannot be used"),
    });
    if roots.is_empty() && !named.is_empty() {
        return refused(format!(
            "no certificate can be read from {}: {reason}",
            named.join(" and ")
        ));
    }
    let wrong = if roots.is_empty() {
        let none = Cause::new(format!("this machine has no certificates to trust ({reason})"));
        Some(none.with_hint("install the package `ca-certificates`, or let SSL_CERT_FILE name a file of certificates"))
    } else if loaded.errors.len() + unusable > 0 {
        Some(format!("not all of this machine's certificates could be read ({reason})").into())
    } else {
        None
    };
    Ok((roots, wrong))
}

/// Returns TLS that trusts these roots and those of the CA file.
fn tls(mut roots: rustls::RootCertStore, ca_file: Option<&Path>) -> Result<rustls::ClientConfig, NetworkError> {
    if let Some(path) = ca_file {
        let wrong = |message: String| NetworkError::CaFile {
            path: path.to_owned(),
            message,
        };
        // A pipe would be waited for without end.
        if !std::fs::metadata(path).is_ok_and(|found| found.is_file()) {
            return Err(wrong("there is no regular file at this path".to_owned()));
        }
        let pem = std::fs::read(path).map_err(|e| wrong(plain(&e)))?;
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|e| wrong(e.to_string()))?;
        if certificates.is_empty() {
            return Err(wrong("it holds no certificate".to_owned()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| NetworkError::Client(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Returns an error with what caused it, on one line: reqwest's own text stops at "error sending request".
pub fn with_causes(error: &dyn std::error::Error) -> String {
    const CAUSES_LIMIT: usize = 8;
    let mut text = error.to_string();
    let mut cause = error.source();
    for _ in 0..CAUSES_LIMIT {
        let Some(error) = cause else { break };
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: NetworkOptions) -> String {
        match Network::new(&options) {
            Ok(_) => panic!("accepted: {options:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn settings_can_be_printed_without_the_proxys_password() {
        let options = NetworkOptions {
            proxy: Some(Secret::new("http://user:canary@proxy:3128")),
            ..NetworkOptions::default()
        };
        let printed = format!("{options:?}");
        assert!(!printed.contains("canary"), "{printed}");
    }

    #[test]
    fn wrong_settings_are_named_and_a_proxys_password_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, "no certificate here").unwrap();
        let text = refused(NetworkOptions {
            ca_file: Some(ca_file),
            ..NetworkOptions::default()
        });
        assert!(
            text.contains("ca.pem") && text.contains("holds no certificate"),
            "{text}"
        );
        for proxy in ["socks5://user:canary@proxy", "proxy:canary"] {
            let text = refused(NetworkOptions {
                proxy: Some(Secret::new(proxy)),
                ..NetworkOptions::default()
            });
            assert!(text.contains("proxy") && !text.contains("canary"), "{text}");
        }
    }
}
