//! A certificate authority of the store's own, for tests of custom CA files; never meant for anything else.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// The reason why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot make the test certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// An acceptor whose certificate names `127.0.0.1`, `localhost` and the names given, and its CA as PEM.
pub fn acceptor(names: &[String]) -> Result<(TlsAcceptor, String), TlsError> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // By default both would have one name, and OpenSSL takes a certificate whose issuer is its subject for self-signed.
    let name = &mut authority.distinguished_name;
    name.push(DnType::CommonName, "devstore test authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let names = ["127.0.0.1", "localhost"]
        .into_iter()
        .map(str::to_owned)
        .chain(names.iter().cloned());
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(names.collect::<Vec<_>>())?.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), authority.pem()))
}
