//! TLS as the clients of databases speak it: certificates are verified in full, against those of this machine and those
//! of a file. Opens no connection.

use std::path::Path;
use std::sync::Arc;

use batch_export_system::explain::{Cause, plain};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Returns TLS that trusts this machine's certificates and those of the file.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, Cause> {
    let mut roots = RootCertStore::empty();
    // A machine without certificates of its own trusts nobody, which is said when a server is met.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let wrong = |what: String| {
            Cause::new(format!("the ca_file {} cannot be used: {what}", path.display()))
                .with_hint("let it name a PEM file with the certificate of the authority")
        };
        // A pipe would be waited for without end.
        if !std::fs::metadata(path).is_ok_and(|found| found.is_file()) {
            return Err(wrong("there is no regular file at this path".to_owned()));
        }
        let pem = std::fs::read(path).map_err(|error| wrong(plain(&error)))?;
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(wrong("it holds no certificate".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Cause::new(format!("TLS cannot be set up: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_with_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        for (content, expect) in [
            (None, "there is no regular file at this path"),
            (Some(""), "it holds no certificate"),
            (
                Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                "",
            ),
        ] {
            if let Some(content) = content {
                std::fs::write(&path, content).expect("a file");
            }
            let said = client_config(Some(&path)).expect_err("refused").to_string();
            let start = format!("the ca_file {} cannot be used: {expect}", path.display());
            assert!(said.starts_with(&start), "{said}");
        }
        client_config(None).expect("this machine's own");
    }
}
