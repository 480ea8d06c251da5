//! How a connection is made: TLS with good and bad certificates, passwords of odd characters, files of passwords,
//! services, URLs and sockets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::database::{count, open, owner, port, server, sockets, sql};
use batch_export_source::{PostgresServer, SourceErrorKind, SslMode};
use batch_export_system::Secret;
use batch_export_system::explain::Explain;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut made = CertificateParams::default();
    made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    made.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(made, KeyPair::generate().expect("a key")).expect("an authority")
}

/// Writes a file that only its owner reads.
fn private(path: &Path, text: &str) -> PathBuf {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("changed");
    path.to_owned()
}

/// Gives the server a certificate for a name, by an authority.
struct Certified {
    folder: TempDir,
}

impl Certified {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("changed");
        let (good, other) = (authority("good"), authority("other"));
        let path = |name: &str| folder.path().join(name);
        let certificate = |names: &[&str], common: &str| {
            let key = KeyPair::generate().expect("a key");
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut made = CertificateParams::new(names).expect("parameters");
            made.distinguished_name.push(DnType::CommonName, common);
            (
                made.signed_by(&key, &good).expect("a certificate").pem(),
                key.serialize_pem(),
            )
        };
        fs::write(path("ca.pem"), good.pem()).expect("written");
        fs::write(path("other.pem"), other.pem()).expect("written");
        for (name, names) in [
            ("good", &["127.0.0.1", "localhost"][..]),
            ("wrong", &["db.example.com"]),
        ] {
            let (certificate, key) = certificate(names, "server");
            fs::write(path(&format!("{name}.crt")), certificate).expect("written");
            let key = private(&path(&format!("{name}.key")), &key);
            let owned = Command::new("chown").arg(owner()).arg(key).status().expect("chown");
            assert!(owned.success());
        }
        let (certificate, key) = certificate(&[], "certified");
        fs::write(path("client.crt"), certificate).expect("written");
        private(&path("client.key"), &key);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn serve(&self, name: &str) {
        let file = |ending: &str| self.path(&format!("{name}.{ending}")).display().to_string();
        let ca = self.path("ca.pem").display().to_string();
        sql(&format!("ALTER SYSTEM SET ssl_cert_file = '{}'", file("crt")));
        sql(&format!("ALTER SYSTEM SET ssl_key_file = '{}'", file("key")));
        sql(&format!("ALTER SYSTEM SET ssl_ca_file = '{ca}'"));
        sql("ALTER SYSTEM SET ssl = on");
        sql("SELECT pg_reload_conf()");
        let begun = Instant::now();
        while sql("SHOW ssl_cert_file").trim() != file("crt") || sql("SHOW ssl").trim() != "on" {
            assert!(begun.elapsed() < Duration::from_secs(10), "it does not reload");
            std::thread::sleep(Duration::from_millis(50));
        }
        // The process that accepts connections reloads on its own.
        std::thread::sleep(Duration::from_millis(500));
    }
}

impl Drop for Certified {
    fn drop(&mut self) {
        sql("ALTER SYSTEM RESET ALL");
        sql("SELECT pg_reload_conf()");
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn one_row() {
    sql("DROP TABLE IF EXISTS door; CREATE TABLE door (id int, at timestamptz); INSERT INTO door VALUES (1, '2026-01-01 01:00Z');
         DO $$ BEGIN
           IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'certified') THEN
             CREATE ROLE certified LOGIN; CREATE ROLE secretive LOGIN;
           END IF;
         END $$;
         GRANT SELECT ON door TO certified, secretive");
}

fn read(server: &PostgresServer) -> Result<usize, String> {
    let read = open(server.clone(), "door").and_then(|mut source| count(source.as_mut()));
    read.map_err(|error| {
        assert_eq!(error.kind(), SourceErrorKind::Permanent, "{error}");
        format!("{error}; {}", error.hint().expect("a hint"))
    })
}

fn by_tls(mode: Option<SslMode>, ca: Option<PathBuf>) -> PostgresServer {
    let mut server = server();
    server.sslmode = mode;
    server.ca_file = ca;
    server
}

#[test]
fn certificates_are_verified_in_full_unless_less_is_asked_for() {
    one_row();
    let files = Certified::new();
    let [ca, other] = ["ca.pem", "other.pem"].map(|name| Some(files.path(name)));
    let error = read(&by_tls(None, ca.clone())).expect_err("no TLS yet");
    assert!(error.contains("does not offer TLS"), "{error}");

    files.serve("good");
    assert_eq!(read(&by_tls(None, ca.clone())), Ok(1));
    assert_eq!(read(&by_tls(Some(SslMode::VerifyCa), ca.clone())), Ok(1));
    assert_eq!(read(&by_tls(Some(SslMode::Require), None)), Ok(1));
    for (mode, ca) in [(None, other.clone()), (Some(SslMode::VerifyCa), other)] {
        let error = read(&by_tls(mode, ca)).expect_err("another authority");
        assert!(error.contains("authority that is not trusted"), "{error}");
    }

    // A client's certificate is what lets this user in.
    let mut certified = by_tls(None, ca.clone());
    certified.user = Some("certified".to_owned());
    let error = read(&certified).expect_err("no certificate");
    assert!(error.contains("certificate"), "{error}");
    certified.certificate_file = Some(files.path("client.crt"));
    certified.key_file = Some(files.path("client.key"));
    assert_eq!(read(&certified), Ok(1));
    fs::set_permissions(files.path("client.key"), fs::Permissions::from_mode(0o644)).expect("changed");
    assert!(read(&certified).expect_err("a key for all").contains("chmod 600"));

    files.serve("wrong");
    let error = read(&by_tls(None, ca.clone())).expect_err("another name");
    assert!(error.contains("not for the name `127.0.0.1`"), "{error}");
    assert_eq!(read(&by_tls(Some(SslMode::VerifyCa), ca)), Ok(1));
}

#[test]
fn passwords_of_odd_characters_open_the_door_and_appear_nowhere() {
    one_row();
    let odd = "p:a@s/s?w%2F#o'r\"d\\ \u{e9}\u{1f600}`$x;--";
    sql(&format!(
        "ALTER ROLE secretive PASSWORD E'{}'",
        odd.replace('\\', "\\\\").replace('\'', "\\'")
    ));
    let mut secretive = server();
    secretive.user = Some("secretive".to_owned());
    let error = read(&secretive).expect_err("no password");
    assert!(error.contains("asks for a password, but there is none"), "{error}");
    secretive.password = Some(Secret::new(odd));
    assert_eq!(read(&secretive), Ok(1));
    secretive.password = Some(Secret::new(format!("{odd}x")));
    let error = read(&secretive).expect_err("a wrong password");
    assert!(error.contains("28P01") && !error.contains("p:a@s"), "{error}");
    assert!(!format!("{secretive:?}").contains("p:a@s"));

    // In a file, in a service and in a URL.
    let folder = tempfile::tempdir().expect("a folder");
    let escaped = odd.replace('\\', "\\\\").replace(':', "\\:");
    let line = format!("127.0.0.1:{}:*:secretive:{escaped}\n", port());
    let mut by_file = secretive.clone();
    by_file.password = None;
    by_file.passfile = Some(private(&folder.path().join("passwords"), &line));
    assert_eq!(read(&by_file), Ok(1));
    let service = format!(
        "[sales]\nhost=127.0.0.1\nport={}\ndbname=postgres\nuser=secretive\nsslmode=disable\npassword={odd}\n",
        port()
    );
    let mut by_service = PostgresServer::default();
    by_service.service = Some("sales".to_owned());
    by_service.service_file = Some(private(&folder.path().join("services"), &service));
    assert_eq!(read(&by_service), Ok(1));
    let encoded: String = odd.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let url = format!(
        "postgresql://secretive:{encoded}@127.0.0.1:{}/postgres?sslmode=disable",
        port()
    );
    assert_eq!(read(&PostgresServer::from_url(&url).expect("a URL")), Ok(1));
}

#[test]
fn passwords_are_bound_to_the_connection_where_it_is_encrypted() {
    one_row();
    let files = Certified::new();
    files.serve("good");
    sql("ALTER ROLE secretive PASSWORD 'secret word'");
    let mut secretive = by_tls(None, Some(files.path("ca.pem")));
    secretive.user = Some("secretive".to_owned());
    secretive.password = Some(Secret::new("secret word"));
    secretive.requires_channel_binding = Some(true);
    assert_eq!(read(&secretive), Ok(1));
    secretive.sslmode = Some(SslMode::Disable);
    secretive.ca_file = None;
    let error = read(&secretive).expect_err("not bound");
    assert!(error.contains("channel_binding"), "{error}");
}

#[test]
fn a_socket_needs_no_tls() {
    one_row();
    let mut socket = server();
    socket.host = Some(sockets());
    socket.sslmode = None;
    assert_eq!(read(&socket), Ok(1));
    let url = format!("postgresql://admin@/postgres?host={}&port={}", sockets(), port());
    assert_eq!(read(&PostgresServer::from_url(&url).expect("a URL")), Ok(1));
}
