//! TLS for connections to PostgreSQL: rustls with `ring`, verified in full unless the operator wrote less, and what
//! binds a password to the connection. Never falls back to less.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use batch_export_system::Secret;
use batch_export_system::explain::Cause;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::guard::Guarded;
use super::password::{check_private, read};
use super::settings::SslMode;

/// Makes TLS connections to one server.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// The files that a connection needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files<'a> {
    pub ca: Option<&'a Path>,
    pub certificate: Option<&'a Path>,
    pub key: Option<&'a Path>,
}

impl Tls {
    /// Reads certificates and keys.
    pub(super) fn new(host: &str, mode: SslMode, files: Files<'_>) -> Result<Self, Cause> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            Cause::new(format!("`{host}` is not a name that a certificate could have")).with_hint("correct the host")
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match mode {
            SslMode::Disable | SslMode::Require => Arc::new(Unverified(Arc::clone(&provider))),
            SslMode::VerifyCa => Arc::new(AnyName(authorities(files.ca, &provider)?)),
            SslMode::VerifyFull => authorities(files.ca, &provider)?,
        };
        let unusable = |error: rustls::Error| Cause::new(format!("TLS cannot be used: {error}"));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (files.certificate, files.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate, "the client's certificate")?;
                config
                    .with_client_auth_cert(chain, private_key(key)?)
                    .map_err(|error| {
                        Cause::new(format!("the client's certificate cannot be used: {error}"))
                            .with_hint("give the key_file that belongs to the certificate_file")
                    })?
            }
            _ => config.with_no_client_auth(),
        };
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }
}

/// Returns what verifies certificates by the authorities of a file, or else of the system.
fn authorities(ca_file: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Cause> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in certificates(path, "the ca_file")? {
                roots.add(certificate).map_err(|error| {
                    Cause::new(format!("the ca_file {}: {error}", path.display())).with_hint("correct the file")
                })?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    verifier.map_err(|_| {
        Cause::new("this machine has no certificates of authorities to trust").with_hint(
            "set ca_file to the certificate of the authority that made the server's, or install the package \
             `ca-certificates`",
        )
    })
}

fn certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let wrong = |cause: Cause| cause.map(|said| format!("{what} {}: {said}", path.display()));
    let pem = read(path).map_err(wrong)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(wrong("it holds no certificate".into()).with_hint("give a file in PEM form")),
        Err(error) => Err(wrong(error.to_string().into()).with_hint("give a file in PEM form")),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Cause> {
    let wrong = |cause: Cause| cause.map(|said| format!("the key_file {}: {said}", path.display()));
    check_private(path).map_err(wrong)?;
    // Wiped from memory when it is dropped.
    let pem = Secret::new(read(path).map_err(wrong)?);
    PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| {
        wrong("it holds no private key that can be read".into())
            .with_hint("give a key in PEM form that is not encrypted, such as `openssl pkey` writes")
    })
}

/// Takes a certificate of a known authority whatever its name is.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is looked at last: what is only wrong with it has a good chain.
        match self.0.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Takes any certificate whose key the server has.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection under TLS.
pub(super) struct Encrypted<S>(TlsStream<S>);

impl<S> TlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Guarded<Encrypted<S>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Stream>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let stream = TlsConnector::from(self.config).connect(self.name, stream).await?;
            Ok(Guarded::new(Encrypted(stream)))
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        match certificate.and_then(|certificate| end_point(certificate)) {
            Some(hash) => ChannelBinding::tls_server_end_point(hash),
            None => ChannelBinding::none(),
        }
    }
}

/// The ends of the object identifiers of signature algorithms, and the hashes that they say to use for
/// `tls-server-end-point` (RFC 5929, section 4.1): MD5 and SHA-1 become SHA-256.
const HASHES: [(&[u8], Hash); 9] = [
    // 1.2.840.113549.1.1: RSA with MD5, SHA-1, SHA-256, SHA-384, SHA-512
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], sha256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], sha256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], sha256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c], sha384),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], sha512),
    // 1.2.840.10045.4: ECDSA with SHA-1, SHA-256, SHA-384, SHA-512
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], sha256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], sha256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], sha384),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04], sha512),
];

type Hash = fn(&[u8]) -> Vec<u8>;

fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

fn sha384(bytes: &[u8]) -> Vec<u8> {
    Sha384::digest(bytes).to_vec()
}

fn sha512(bytes: &[u8]) -> Vec<u8> {
    Sha512::digest(bytes).to_vec()
}

/// Returns the hash of a certificate that a password is bound to. `None` where its signature says no hash.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, … }, signature }
    let (whole, _) = element(certificate, SEQUENCE)?;
    let (_, after) = element(whole, SEQUENCE)?;
    let (algorithm, _) = element(after, SEQUENCE)?;
    let (name, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    let (_, hash) = HASHES.iter().find(|(known, _)| *known == name)?;
    Some(hash(certificate))
}

/// Takes the first DER element off: its content, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    const LONG_FORM: u8 = 0x80;
    let [found, length, rest @ ..] = bytes else {
        return None;
    };
    let (length, rest) = match length & LONG_FORM {
        0 => (usize::from(*length), rest),
        _ => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & !LONG_FORM))?;
            let length = digits.iter().try_fold(0_usize, |sum, digit| {
                sum.checked_mul(256)?.checked_add(usize::from(*digit))
            })?;
            (length, rest)
        }
    };
    if *found != tag {
        return None;
    }
    rest.split_at_checked(length)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Returns what is wrong with a handshake, in words, with the way out; `None` where the connection is at fault, which
/// may work later.
pub(super) fn refusal(error: &io::Error, host: &str) -> Option<Cause> {
    let error = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<rustls::Error>())?;
    let certificate = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate,
        rustls::Error::AlertReceived(alert) => {
            return Some(
                Cause::new(format!("the server refuses the TLS handshake ({alert:?})"))
                    .with_hint("set certificate_file and key_file if the server asks for a certificate"),
            );
        }
        other => {
            let cause = Cause::new(format!("the TLS handshake failed: {other}"));
            return Some(cause.with_hint("check that the server speaks TLS 1.2 or 1.3"));
        }
    };
    let cause = |text: String, hint: &str| Some(Cause::new(text).with_hint(hint));
    match certificate {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => cause(
            format!("the server's certificate is not for the name `{host}`"),
            "set host to a name that the certificate has, or sslmode = \"verify-ca\" if its authority makes \
             certificates for your servers alone",
        ),
        CertificateError::UnknownIssuer => cause(
            "the server's certificate is of an authority that is not trusted here".to_owned(),
            "set ca_file to the authority's certificate",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => cause(
            "the server's certificate has expired".to_owned(),
            "renew it on the server, or correct this machine's clock",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => cause(
            "the server's certificate is not valid yet".to_owned(),
            "correct this machine's clock",
        ),
        other => cause(
            format!("the server's certificate cannot be verified: {other}"),
            "give the server a certificate that its authority signed (a certificate of an authority, or one of \
             version 1, does not do for a server)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_bound_to_the_hash_that_the_signature_has() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = rcgen::CertificateParams::new(vec!["db.example.com".to_owned()]).expect("parameters");
        let certificate = made.self_signed(&key).expect("a certificate");
        let der = certificate.der();
        assert_eq!(end_point(der), Some(sha256(der)));
        for cut in 0..der.len() / 2 {
            assert_eq!(end_point(&der[..cut]), None, "{cut}");
        }
        assert_eq!(element(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], 0x30), None);
        assert_eq!(element(&[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1], 0x30), None);
    }
}
