//! Where a PostgreSQL database is, who asks, and how the connection is protected: as keys, or as a URL with the
//! parameters that libpq knows. Connects to nothing and reads no file.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use batch_export_system::explain::Cause;
use batch_export_system::{Secret, near_miss};
use percent_encoding::percent_decode_str;

use crate::sql::QuerySettings;

/// What the server is told of who asks, unless configured.
pub(super) const APPLICATION_NAME: &str = "batch-export";
/// Where PostgreSQL listens unless somebody says otherwise.
pub(super) const DEFAULT_PORT: u16 = 5432;

/// A PostgreSQL database as a source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PostgresSettings {
    /// Where it is.
    pub server: PostgresServer,
    /// The rows.
    pub query: QuerySettings,
    /// The time that a statement may take. `None` leaves it to the server.
    pub statement_timeout: Option<Duration>,
    /// What becomes of dates and times before or after all others.
    pub infinity: Infinity,
    /// What becomes of rows that a policy of the database hides from the role.
    pub row_security: RowSecurity,
}

impl PostgresSettings {
    /// Returns settings for these rows.
    pub fn new(server: PostgresServer, query: QuerySettings) -> Self {
        Self {
            server,
            query,
            statement_timeout: None,
            infinity: Infinity::default(),
            row_security: RowSecurity::default(),
        }
    }
}

/// What becomes of dates and times before or after all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Infinity {
    /// They end the run.
    #[default]
    Refuse,
    /// They become null.
    Null,
}

/// What becomes of rows that a policy of the database hides from the role (row-level security).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowSecurity {
    /// A policy that could hide a row ends the run.
    #[default]
    Refuse,
    /// The rows that the role may see are all that is exported.
    Apply,
}

/// The protection of a connection: all but the first are TLS. Nothing is ever tried without protection because it
/// failed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// None.
    Disable,
    /// Nobody listens; who answers is not checked.
    Require,
    /// An authority vouches for who answers, whatever its name is.
    VerifyCa,
    /// An authority vouches for the name of who answers.
    VerifyFull,
}

/// The values of `sslmode`.
const SSL_MODES: [(&str, SslMode); 4] = [
    ("verify-full", SslMode::VerifyFull),
    ("verify-ca", SslMode::VerifyCa),
    ("require", SslMode::Require),
    ("disable", SslMode::Disable),
];

/// A server and a database, and how to connect to them. What is `None` is looked up in the service where one is named,
/// and otherwise has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PostgresServer {
    /// A name, an address, or the folder of a Unix socket, which begins with `/`.
    pub host: Option<String>,
    /// The port; also of a Unix socket.
    pub port: Option<u16>,
    /// The database; by default the user's name.
    pub database: Option<String>,
    /// The role.
    pub user: Option<String>,
    /// Its password. Where there is none, it is looked up in `passfile`.
    pub password: Option<Secret>,
    /// A file of passwords; by default `.pgpass` in the home folder, if it is there.
    pub passfile: Option<PathBuf>,
    /// A section of `service_file`.
    pub service: Option<String>,
    /// A file of services; by default `.pg_service.conf` in the home folder.
    pub service_file: Option<PathBuf>,
    /// The protection; by default everything is verified. Unix sockets have none.
    pub sslmode: Option<SslMode>,
    /// Certificates of the authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate.
    pub certificate_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Whether the password must be bound to the TLS connection.
    pub requires_channel_binding: Option<bool>,
    /// What the server is told of who asks.
    pub application_name: Option<String>,
    /// Settings of the session, as in `-c search_path=sales`.
    pub options: Option<String>,
    /// The time in which a connection must be made.
    pub connect_timeout: Option<Duration>,
}

/// The parameters of URLs and services that are understood.
const PARAMETERS: [&str; 17] = [
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "passfile",
    "service",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "channel_binding",
    "application_name",
    "options",
    "connect_timeout",
    "client_encoding",
    "target_session_attrs",
];

/// How a URL is written.
const URL_FORM: &str = "write it like postgresql://user@host:5432/database?sslmode=verify-full";

impl PostgresServer {
    /// Reads a URL. No error repeats any of it but the name of a parameter: a password may be anywhere in a slip.
    pub fn from_url(text: &str) -> Result<Self, Cause> {
        let text = text.trim();
        let rest = ["postgresql://", "postgres://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| Cause::new("it does not begin with postgresql://").with_hint(URL_FORM))?;
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        // Everything up to the last `@`: an unescaped one in a password is common, and no host has one.
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (user, address),
            None => ("", authority),
        };
        let (user, password) = match user.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (user, None),
        };
        let mut server = Self::default();
        server.set("user", &decoded(user)?)?;
        if let Some(password) = password {
            server.set("password", &decoded(password)?)?;
        }
        let (host, port) = host_and_port(address)?;
        server.set("host", &decoded(host)?)?;
        server.set("port", port)?;
        server.set("dbname", &decoded(database)?)?;
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            server.set(&decoded(name)?, &decoded(value)?)?;
        }
        Ok(server)
    }

    /// Takes a parameter by the name that libpq has for it; an empty value is none.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Cause> {
        if value.is_empty() {
            return Ok(());
        }
        let text = || Some(value.to_owned());
        let path = || Some(PathBuf::from(value));
        match name {
            "host" if value.contains(',') => {
                return Err(Cause::new("it names several hosts").with_hint("name one"));
            }
            "host" => self.host = text(),
            "port" => {
                let port = value.parse().ok().filter(|port| *port > 0);
                self.port = Some(
                    port.ok_or_else(|| Cause::new("its port is not a number from 1 to 65,535").with_hint(URL_FORM))?,
                );
            }
            "dbname" => self.database = text(),
            "user" => self.user = text(),
            "password" => self.password = Some(Secret::new(value)),
            "passfile" => self.passfile = path(),
            "service" => self.service = text(),
            "sslmode" => self.sslmode = Some(value.parse()?),
            "sslrootcert" if value == "system" => self.ca_file = None,
            "sslrootcert" => self.ca_file = path(),
            "sslcert" => self.certificate_file = path(),
            "sslkey" => self.key_file = path(),
            "channel_binding" => {
                self.requires_channel_binding = Some(match value {
                    "require" => true,
                    "prefer" => false,
                    _ => {
                        return Err(Cause::new("its channel_binding is neither prefer nor require")
                            .with_hint("remove it, or write channel_binding=require"));
                    }
                });
            }
            "application_name" => self.application_name = text(),
            "options" => self.options = text(),
            "connect_timeout" => {
                let seconds = value.parse().map_err(|_| {
                    Cause::new("its connect_timeout is not a number of seconds").with_hint("write a whole number")
                })?;
                // What libpq takes for no limit leaves the default.
                self.connect_timeout = (seconds > 0).then(|| Duration::from_secs(seconds));
            }
            // Texts come as UTF-8 whatever is asked for, and one host is as good as any.
            "client_encoding" => {}
            "target_session_attrs" if value == "any" => {}
            "target_session_attrs" => {
                return Err(Cause::new("its target_session_attrs is not any")
                    .with_hint("remove it, and name the server to read from"));
            }
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// Returns it with what another says where it says nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            host: self.host.or(other.host),
            port: self.port.or(other.port),
            database: self.database.or(other.database),
            user: self.user.or(other.user),
            password: self.password.or(other.password),
            passfile: self.passfile.or(other.passfile),
            service: self.service.or(other.service),
            service_file: self.service_file.or(other.service_file),
            sslmode: self.sslmode.or(other.sslmode),
            ca_file: self.ca_file.or(other.ca_file),
            certificate_file: self.certificate_file.or(other.certificate_file),
            key_file: self.key_file.or(other.key_file),
            requires_channel_binding: self.requires_channel_binding.or(other.requires_channel_binding),
            application_name: self.application_name.or(other.application_name),
            options: self.options.or(other.options),
            connect_timeout: self.connect_timeout.or(other.connect_timeout),
        }
    }

    /// Returns what contradicts itself, before anything is connected to.
    pub fn problem(&self) -> Option<Cause> {
        let mode = self.sslmode.unwrap_or(SslMode::VerifyFull);
        let has_certificates = self.ca_file.is_some() || self.certificate_file.is_some();
        Some(match (mode, &self.certificate_file, &self.key_file) {
            (SslMode::Disable, ..) if has_certificates || self.key_file.is_some() => {
                Cause::new("certificates have no effect where sslmode is `disable`")
                    .with_hint("remove them, or set sslmode = \"verify-full\"")
            }
            (SslMode::Require, ..) if self.ca_file.is_some() => {
                Cause::new("the ca_file has no effect where sslmode is `require`: who answers is not checked")
                    .with_hint("set sslmode = \"verify-full\", or \"verify-ca\" where the name cannot be checked")
            }
            (_, Some(_), None) => Cause::new("the certificate_file is there, but its key_file is not")
                .with_hint("set key_file to the file with its private key"),
            (_, None, Some(_)) => Cause::new("the key_file is there, but its certificate_file is not")
                .with_hint("set certificate_file to the file with its certificate"),
            _ => return None,
        })
    }
}

impl FromStr for SslMode {
    type Err = Cause;

    /// Reads a value of `sslmode`.
    fn from_str(text: &str) -> Result<Self, Cause> {
        if let Some((_, mode)) = SSL_MODES.iter().find(|(name, _)| *name == text) {
            return Ok(*mode);
        }
        let names = SSL_MODES.map(|(name, _)| name);
        Err(match text {
            "prefer" | "allow" => Cause::new(format!(
                "sslmode `{text}` is not accepted: whoever is in between can have the connection without TLS"
            ))
            .with_hint("use verify-full, or disable where the network itself is trusted"),
            _ => Cause::new("the sslmode is not known").with_hint(match near_miss(text, names) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("use one of {}", names.join(", ")),
            }),
        })
    }
}

/// What is unknown may be a piece of a password: only what looks like a parameter is repeated.
fn unknown(name: &str) -> Cause {
    let is_name = name.len() < 40 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let cause = Cause::new(match is_name {
        true => format!("its parameter `{name}` is not known"),
        false => "one of its parameters is not known".to_owned(),
    });
    cause.with_hint(match near_miss(name, PARAMETERS) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("use {}", PARAMETERS.join(", ")),
    })
}

/// Takes `host:port`, `[::1]:port` and each without a port apart.
fn host_and_port(address: &str) -> Result<(&str, &str), Cause> {
    if address.contains(',') {
        return Err(Cause::new("it names several hosts").with_hint("name one"));
    }
    let odd = || Cause::new("its host is not in the form host:port").with_hint(URL_FORM);
    if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or_else(odd)?;
        return match port.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None if port.is_empty() => Ok((host, "")),
            None => Err(odd()),
        };
    }
    let (host, port) = address.split_once(':').unwrap_or((address, ""));
    match port.contains(':') {
        true => Err(odd()),
        false => Ok((host, port)),
    }
}

fn decoded(text: &str) -> Result<String, Cause> {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    String::from_utf8(bytes).map_err(|_| Cause::new("a %-escape in it is not UTF-8").with_hint("correct it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_system::explain::Explain;

    #[test]
    fn a_url_says_what_it_says_to_libpq() {
        let url = "postgresql://re%40der:p%3A%2F%3Fw@db.example.com:6432/sales?sslmode=verify-ca&sslrootcert=/ca.pem\
                   &application_name=a%20b&connect_timeout=5&channel_binding=require&options=-c%20search_path%3Dx";
        let server = PostgresServer::from_url(url).expect("a URL");
        let expect = PostgresServer {
            host: Some("db.example.com".to_owned()),
            port: Some(6432),
            database: Some("sales".to_owned()),
            user: Some("re@der".to_owned()),
            password: Some(Secret::new("p:/?w")),
            sslmode: Some(SslMode::VerifyCa),
            ca_file: Some(PathBuf::from("/ca.pem")),
            requires_channel_binding: Some(true),
            application_name: Some("a b".to_owned()),
            options: Some("-c search_path=x".to_owned()),
            connect_timeout: Some(Duration::from_secs(5)),
            ..PostgresServer::default()
        };
        assert_eq!(server, expect);
        let host = |url: &str| PostgresServer::from_url(url).expect("a URL").host;
        assert_eq!(
            host("postgres:///sales?host=/run/postgresql").as_deref(),
            Some("/run/postgresql")
        );
        assert_eq!(
            host("postgresql://%2Frun%2Fpostgresql/sales").as_deref(),
            Some("/run/postgresql")
        );
        assert_eq!(host("postgresql://[::1]:5432/sales").as_deref(), Some("::1"));
        assert_eq!(host("postgresql://"), None);
    }

    #[test]
    fn no_message_about_a_url_repeats_what_may_be_a_password() {
        for url in [
            "mysql://u:hunter2@h/d",
            "postgresql://u:hunter2@h:99999/d",
            "postgresql://u:hunter2@h:1:2/d",
            "postgresql://u:hunter2@[::1/d",
            "postgresql://u:hunter2@a,b/d",
            "postgresql://u:hunter2%ff@h/d",
            "postgresql://u:x?hunter2&y@h/d",
            "postgresql://u:hunter2@h/d?sslmode=prefer",
            "postgresql://u:hunter2@h/d?sslmod=require",
            "postgresql://u:hunter2@h/d?connect_timeout=hunter2",
        ] {
            let cause = PostgresServer::from_url(url).expect_err(url);
            assert!(cause.hint().is_some(), "{url}");
            assert!(!cause.in_one_text().contains("hunter"), "{}", cause.in_one_text());
        }
        let server = PostgresServer::from_url("postgresql://u:hunter2@h/d").expect("a URL");
        assert!(!format!("{server:?}").contains("hunter"));
    }

    #[test]
    fn nothing_is_downgraded_and_certificates_are_never_idle() {
        for mode in ["prefer", "allow"] {
            let cause = mode.parse::<SslMode>().expect_err(mode);
            assert!(cause.to_string().contains("without TLS"), "{cause}");
        }
        assert!(
            "verify_full"
                .parse::<SslMode>()
                .expect_err("a slip")
                .in_one_text()
                .contains("did you mean `verify-full`?")
        );
        let file = || Some(PathBuf::from("f"));
        let server = PostgresServer::default;
        for (server, is_fine) in [
            (server(), true),
            (
                PostgresServer {
                    ca_file: file(),
                    ..server()
                },
                true,
            ),
            (
                PostgresServer {
                    ca_file: file(),
                    sslmode: Some(SslMode::Require),
                    ..server()
                },
                false,
            ),
            (
                PostgresServer {
                    ca_file: file(),
                    sslmode: Some(SslMode::Disable),
                    ..server()
                },
                false,
            ),
            (
                PostgresServer {
                    certificate_file: file(),
                    ..server()
                },
                false,
            ),
            (
                PostgresServer {
                    key_file: file(),
                    ..server()
                },
                false,
            ),
            (
                PostgresServer {
                    certificate_file: file(),
                    key_file: file(),
                    ..server()
                },
                true,
            ),
        ] {
            assert_eq!(server.problem().is_none(), is_fine, "{server:?}");
        }
    }
}
